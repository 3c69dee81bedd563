/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls to a card, and what is said when they fail.  The connection is made by
 * the first call and kept.
 */
#include <errno.h>
#include <string.h>

#include "firmware/ctl/ctl.h"

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
	int rc;

	snprintf(path, sizeof path, "%s/control.sock", dir);
	rc = rt_caller_open(&ctl->card, path);
	if (rc == -EPROTO)
		return give_up(ctl, "does not answer");
	if (rc == 0)
		return CTL_DONE;
	ctl_complain("no card answers at %s: %s", path, strerror(-rc));
	ctl_complain("start one with nitro-card, or say where it is: "
		     "--socket-dir DIR");
	return CTL_UNREACHABLE;
}

void ctl_disconnect(struct ctl *ctl)
{
	rt_caller_close(&ctl->card);
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

enum ctl_exit ctl_call(struct ctl *ctl, const char *method, json_t *params,
		       json_t **out_result)
{
	enum ctl_exit status =
		ctl->card.stream ? CTL_DONE : make_connection(ctl);
	const json_t *error;
	json_t *answer = NULL;
	int rc;

	*out_result = NULL;
	if (status != CTL_DONE) {
		json_decref(params);
		return status;
	}
	rc = rt_caller_call(&ctl->card, method, params, &answer);
	if (rc < 0)
		return give_up(ctl, rc == -ECONNRESET ? "has hung up"
						      : "does not answer");
	error = json_object_get(answer, "error");
	if (error)
		status = complain(error);
	else
		*out_result = json_incref(json_object_get(answer, "result"));
	json_decref(answer);
	return status;
}
