/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls to a card: JSON-RPC 2.0 over its control socket, a line each way.  The
 * connection is made by the first call and kept.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/ctl/ctl.h"
#include "firmware/rt/scope.h"

#define ANSWER_SECONDS 10

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	RT_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof patience) ||
	    connect(fd, (const struct sockaddr *)&address, sizeof address))
		return -errno;
	return rt_take_fd(&fd);
}

static json_t *read_line(struct ctl *ctl)
{
	RT_FREE char *line = NULL;
	size_t room = 0;
	ssize_t length = getline(&line, &room, ctl->card);

	return length > 0 ? json_loadb(line, (size_t)length, 0, NULL) : NULL;
}

static enum ctl_exit give_up(struct ctl *ctl, const char *why)
{
	ctl_complain("the card at %s %s", ctl_socket_dir(ctl), why);
	ctl_disconnect(ctl);
	return CTL_UNREACHABLE;
}

static enum ctl_exit make_connection(struct ctl *ctl)
{
	const char *dir = ctl_socket_dir(ctl);
	char path[256];
	json_t *greeting;
	int fd;

	snprintf(path, sizeof path, "%s/control.sock", dir);
	fd = connect_to(path);
	if (fd < 0) {
		ctl_complain("no card answers at %s: %s", path, strerror(-fd));
		ctl_complain("start one with nitro-card, or say where it is: "
			     "--socket-dir DIR");
		return CTL_UNREACHABLE;
	}
	ctl->card = fdopen(fd, "r+");
	if (!ctl->card) {
		close(fd);
		return CTL_UNREACHABLE;
	}
	greeting = read_line(ctl);
	json_decref(greeting);
	return greeting ? CTL_DONE : give_up(ctl, "does not answer");
}

void ctl_disconnect(struct ctl *ctl)
{
	if (ctl->card)
		fclose(ctl->card);
	ctl->card = NULL;
}

static enum ctl_exit complain(const json_t *error)
{
	const json_t *data = json_object_get(error, "data");
	const char *hint = ctl_text(data, "hint");

	ctl_complain("%s", ctl_text(error, "message"));
	if (hint[0])
		ctl_complain("%s", hint);
	return CTL_REFUSED;
}

/* The answer to the call of that number; events are skipped. */
static json_t *wait_for_answer(struct ctl *ctl, json_int_t id)
{
	json_t *line;

	while ((line = read_line(ctl))) {
		if (ctl_number(line, "id") == id)
			return line;
		json_decref(line);
	}
	return NULL;
}

static bool send_call(struct ctl *ctl, const char *method, json_t *params)
{
	json_t *call = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id",
				 (json_int_t)++ctl->next_id, "method", method,
				 "params", params ? params : json_object());
	int status = json_dumpf(call, ctl->card, JSON_COMPACT);

	json_decref(call);
	return !status && fputc('\n', ctl->card) == '\n' && !fflush(ctl->card);
}

enum ctl_exit ctl_call(struct ctl *ctl, const char *method, json_t *params,
		       json_t **out_result)
{
	enum ctl_exit status = ctl->card ? CTL_DONE : make_connection(ctl);
	const json_t *error;
	json_t *answer = NULL;

	*out_result = NULL;
	if (status != CTL_DONE) {
		json_decref(params);
		return status;
	}
	if (!send_call(ctl, method, params))
		return give_up(ctl, "has hung up");
	answer = wait_for_answer(ctl, ctl->next_id);
	if (!answer)
		return give_up(ctl, feof(ctl->card) ? "has hung up"
						    : "does not answer");
	error = json_object_get(answer, "error");
	if (error)
		status = complain(error);
	else
		*out_result = json_incref(json_object_get(answer, "result"));
	json_decref(answer);
	return status;
}
