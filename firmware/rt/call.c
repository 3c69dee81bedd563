/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls to a card's control socket; the lines are read and written by stdio. */
#include "firmware/rt/call.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

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

static json_t *read_line(struct rt_caller *caller)
{
	RT_FREE char *line = NULL;
	size_t room = 0;
	ssize_t length = getline(&line, &room, caller->stream);

	return length > 0 ? json_loadb(line, (size_t)length, 0, NULL) : NULL;
}

int rt_caller_open(struct rt_caller *caller, const char *path)
{
	json_t *greeting;
	int fd = connect_to(path);

	*caller = (struct rt_caller){ 0 };
	if (fd < 0)
		return fd;
	caller->stream = fdopen(fd, "r+");
	if (!caller->stream) {
		close(fd);
		return -ENOMEM;
	}
	greeting = read_line(caller);
	if (!greeting)
		rt_caller_close(caller);
	json_decref(greeting);
	return greeting ? 0 : -EPROTO;
}

void rt_caller_close(struct rt_caller *caller)
{
	if (caller->stream)
		fclose(caller->stream);
	caller->stream = NULL;
}

/* The answer to the call of that number; events are skipped. */
static json_t *wait_for_answer(struct rt_caller *caller, json_int_t id)
{
	json_t *line;

	while ((line = read_line(caller))) {
		if (json_integer_value(json_object_get(line, "id")) == id)
			return line;
		json_decref(line);
	}
	return NULL;
}

static bool send_call(struct rt_caller *caller, const char *method,
		      json_t *params)
{
	json_t *call =
		json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id",
			  (json_int_t)++caller->next_id, "method", method,
			  "params", params ? params : json_object());
	int status = json_dumpf(call, caller->stream, JSON_COMPACT);

	json_decref(call);
	return !status && fputc('\n', caller->stream) == '\n' &&
	       !fflush(caller->stream);
}

int rt_caller_call(struct rt_caller *caller, const char *method, json_t *params,
		   json_t **out_answer)
{
	if (!send_call(caller, method, params))
		return -ECONNRESET;
	*out_answer = wait_for_answer(caller, caller->next_id);
	if (*out_answer)
		return 0;
	return feof(caller->stream) ? -ECONNRESET : -ETIMEDOUT;
}
