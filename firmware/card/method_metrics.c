/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All counters as OpenMetrics 1.0 text: a family for each counter of each kind
 * of function, a sample for each function; the TPM is one more.  Main thread;
 * counters may be read by any.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "firmware/card/card.h"
#include "firmware/card/control.h"
#include "firmware/card/methods.h"
#include "firmware/card/sandbox.h"
#include "firmware/rt/counter.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server.h"
#include "security-chip/tpm/tpm.h"

static const struct rt_counter_name server_counters[] = {
	{ "clients", "Clients that have connected.",
	  offsetof(struct pcie_server_stats, clients) },
	{ "messages", "Messages that clients have sent.",
	  offsetof(struct pcie_server_stats, messages) },
	{ "protocol_errors", "Messages that were refused as malformed.",
	  offsetof(struct pcie_server_stats, protocol_errors) },
};

static void print_family(FILE *out, const char *room,
			 const struct rt_counter_name *name)
{
	fprintf(out,
		"# TYPE nitro_%s_%s counter\n"
		"# HELP nitro_%s_%s %s\n",
		room, name->name, room, name->name, name->sentence);
}

static void print_sample(FILE *out, const char *room,
			 const struct rt_counter_name *name, const char *who,
			 uint64_t value)
{
	fprintf(out, "nitro_%s_%s_total{function=\"%s\"} %" PRIu64 "\n", room,
		name->name, who, value);
}

static uint64_t read_stat(const struct pcie_server_stats *stats,
			  const struct rt_counter_name *name)
{
	const char *base = (const char *)stats;

	return rt_counter_read((const void *)(base + name->offset));
}

static void print_server_counter(FILE *out, const struct card *card,
				 const struct rt_counter_name *name)
{
	print_family(out, "vfio_user", name);
	for (size_t i = 0; i < card->count; i++)
		if (card->functions[i].stats)
			print_sample(out, "vfio_user", name,
				     card->functions[i].config->name,
				     read_stat(card->functions[i].stats, name));
}

static void print_type(FILE *out, const struct card *card,
		       const struct pcie_function_type *type)
{
	for (size_t c = 0; c < type->counter_count; c++) {
		print_family(out, type->name, &type->counters[c]);
		for (size_t i = 0; i < card->count; i++)
			if (card->functions[i].config->type == type)
				print_sample(out, type->name,
					     &type->counters[c],
					     card->functions[i].config->name,
					     pcie_function_counter(
						     card->functions[i].fn,
						     &type->counters[c]));
	}
}

/* A card has one at most. */
static void print_tpm(FILE *out, const struct card *card)
{
	for (size_t i = 0; card->tpm && i < SEC_TPM_COUNTERS; i++) {
		print_family(out, "tpm", &sec_tpm_counter_names[i]);
		print_sample(
			out, "tpm", &sec_tpm_counter_names[i],
			card->config->tpm.name,
			sec_tpm_counter(card->tpm, &sec_tpm_counter_names[i]));
	}
}

static void print_sandbox(FILE *out, const struct card_sandbox *sandbox)
{
	static const struct rt_counter_name refusals = {
		"refusals", "What the sandbox has refused.",
		offsetof(struct card_sandbox, refusals)
	};

	if (!sandbox)
		return;
	print_family(out, "sandbox", &refusals);
	fprintf(out, "nitro_sandbox_refusals_total %" PRIu64 "\n",
		rt_counter_read(&sandbox->refusals));
}

char *card_metrics_text(const struct card *card)
{
	const struct pcie_function_type *const *types = card->config->types;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fprintf(out,
		"# TYPE nitro_card info\n"
		"# HELP nitro_card The card.\n"
		"nitro_card_info{version=\"%s\"} 1\n",
		NITRO_VERSION);
	print_sandbox(out, card->sandbox);
	for (size_t i = 0; i < RT_COUNT(server_counters); i++)
		print_server_counter(out, card, &server_counters[i]);
	for (size_t i = 0; types[i]; i++)
		print_type(out, card, types[i]);
	print_tpm(out, card);
	fputs("# EOF\n", out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

void card_method_metrics_read(struct card_call *call)
{
	RT_FREE char *text = card_metrics_text(call->control->card);

	if (!text)
		card_call_fail(call, CARD_RPC_INTERNAL, "out of memory");
	call->result = json_pack("{s:s, s:s?}", "content_type",
				 "application/openmetrics-text; "
				 "version=1.0.0; charset=utf-8",
				 "text", text);
	card_call_done(call);
}
