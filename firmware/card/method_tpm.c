/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Methods about the TPM.  They wait for its thread, which may be in the middle
 * of a guest's command, and so answer later: job there, task back here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/card/card.h"
#include "firmware/card/control.h"
#include "firmware/card/methods.h"
#include "firmware/rt/scope.h"
#include "security-chip/tpm/tpm.h"

struct question {
	struct sec_tpm_job job;
	struct rt_task answered;
	struct card_call *call;
};

static void answer(struct rt_task *task)
{
	struct question *q = rt_container_of(task, struct question, answered);

	card_call_done(q->call);
	free(q);
}

static void send_back(struct question *q)
{
	rt_loop_post(q->call->control->loop, &q->answered);
}

static void ask(struct card_call *call,
		void (*run)(struct sec_tpm_job *job, struct sec_tpm *tpm))
{
	const struct card *card = call->control->card;
	struct question *q = calloc(1, sizeof *q);

	if (!card->tpm || !q) {
		free(q);
		card_call_fail(call, CARD_RPC_NO_OBJECT,
			       card->tpm ? "out of memory"
					 : "this card has no TPM");
		rt_error_hint(&call->error,
			      "give it one: \"tpm: {}\" in its configuration");
		card_call_done(call);
		return;
	}
	q->job.run = run;
	q->answered.run = answer;
	q->call = call;
	sec_tpm_post(card->tpm, &q->job);
}

static json_t *hex(const uint8_t *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * SEC_DIGEST_BYTES];

	for (size_t i = 0; i < size; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	return json_stringn(text, 2 * size);
}

static json_t *list_pcrs(const struct sec_tpm_status *status)
{
	json_t *list = json_array();

	for (size_t i = 0; i < SEC_TPM_PCRS; i++)
		json_array_append_new(list,
				      hex(status->pcrs[i], SEC_DIGEST_BYTES));
	return list;
}

static json_t *describe(const struct card *card, const struct sec_tpm_status *s)
{
	const struct card_tpm_config *config = &card->config->tpm;

	return json_pack(
		"{s:s, s:s, s:s, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:I, s:o}",
		"name", config->name, "instance", config->instance, "socket",
		card->tpm_socket, "connected", s->is_connected, "power",
		s->is_on, "started", s->is_started, "boots",
		(json_int_t)s->boots, "commands", (json_int_t)s->commands,
		"failures", (json_int_t)s->failures, "requests",
		(json_int_t)s->messages, "refused", (json_int_t)s->refused,
		"stores", (json_int_t)s->stores, "failed_stores",
		(json_int_t)s->failed_stores, "pcrs_sha384",
		s->has_pcrs ? list_pcrs(s) : json_null());
}

static void read_status(struct sec_tpm_job *job, struct sec_tpm *tpm)
{
	struct question *q = rt_container_of(job, struct question, job);
	struct sec_tpm_status status;

	sec_tpm_read_status(tpm, &status);
	q->call->result = describe(q->call->control->card, &status);
	send_back(q);
}

void card_method_tpm_status(struct card_call *call)
{
	ask(call, read_status);
}

/* The indices of both are those of the parameters' choices. */
static void read_ek(struct sec_tpm_job *job, struct sec_tpm *tpm)
{
	struct question *q = rt_container_of(job, struct question, job);
	const struct card_tpm_ek_params *params = q->call->params;
	const struct sec_tpm_ek *ek =
		sec_tpm_read_ek(tpm, (enum sec_tpm_ek_kind)params->key);
	char text[SEC_TPM_EK_TEXT];
	int status =
		ek->size ? sec_tpm_ek_to_base64(ek, params->format == 0, text)
			 : -ENOKEY;

	if (status)
		card_call_fail(q->call, CARD_RPC_REFUSED,
			       "the guest's firmware has changed the TPM's "
			       "endorsement seed");
	else
		q->call->result = json_pack(
			"{s:s, s:s, s:s}", "key_type",
			card_tpm_ek_types[params->key], "key_format",
			card_tpm_ek_formats[params->format], "key_value", text);
	send_back(q);
}

void card_method_tpm_ek(struct card_call *call)
{
	ask(call, read_ek);
}
