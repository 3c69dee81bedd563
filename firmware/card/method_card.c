/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods about the card as a whole.  Main thread. */
#include <unistd.h>

#include "firmware/card/card.h"
#include "firmware/card/control.h"
#include "firmware/card/methods.h"
#include "firmware/card/sandbox.h"
#include "firmware/rt/clock.h"

void card_method_card_status(struct card_call *call)
{
	const struct card *card = call->control->card;
	const struct card_settings *settings = &card->config->card;
	uint64_t uptime_ms = rt_wall_clock_ms() - card->started_ms;

	call->result = json_pack(
		"{s:s, s:s, s:s, s:i, s:I, s:s?, s:I, s:I, s:o*}", "name",
		settings->name, "version", NITRO_VERSION, "rpc",
		CARD_RPC_VERSION, "pid", (int)getpid(), "uptime_s",
		(json_int_t)(uptime_ms / 1000), "socket_dir",
		settings->socket_dir, "functions", (json_int_t)card->count,
		"workers", (json_int_t)card->worker_count, "sandbox",
		card->sandbox ? card_sandbox_status(card->sandbox) : NULL);
	if (card->tpm)
		json_object_set_new(call->result, "tpm",
				    json_pack("{s:s, s:s, s:s}", "name",
					      card->config->tpm.name,
					      "instance",
					      card->config->tpm.instance,
					      "socket", card->tpm_socket));
	card_call_done(call);
}

void card_method_card_config(struct card_call *call)
{
	call->result = card_config_to_json(call->control->card->config);
	card_call_done(call);
}

void card_method_card_stop(struct card_call *call)
{
	struct card_control *control = call->control;

	card_call_done(call);
	if (control->stop)
		control->stop(control->opaque);
}
