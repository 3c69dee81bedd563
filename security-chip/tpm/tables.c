/* SPDX-License-Identifier: BSD-3-Clause */
/* What the TPM tells others about itself: its rules and its counters. */
#include "security-chip/tpm/private.h"

const struct rt_rule sec_tpm_rule_texts[SEC_TPM_RULES] = {
#define RULE(name, clause, sentence) { "tpm." #name, clause, sentence },
#include "security-chip/tpm/rules.def"
#undef RULE
};

#define COUNTER(member) offsetof(struct sec_tpm, member)

const struct rt_counter_name sec_tpm_counter_names[SEC_TPM_COUNTERS] = {
	{ "boots", "Times a VMM has switched the TPM on.",
	  COUNTER(guest.boots) },
	{ "commands", "Commands of guests that were answered.",
	  COUNTER(guest.commands) },
	{ "errors", "Those of them whose response code was not 0.",
	  COUNTER(guest.failures) },
	{ "command_us", "Microseconds that they took.",
	  COUNTER(guest.command_us) },
	{ "documents", "Attestation documents that were signed.",
	  COUNTER(guest.nsm.documents) },
	{ "requests", "Requests of VMMs on the control channel.",
	  COUNTER(channel.messages) },
	{ "refused_requests", "Those of them that were refused.",
	  COUNTER(channel.refused) },
	{ "state_writes", "Times the permanent state was written.",
	  COUNTER(writes.all) },
	{ "failed_state_writes", "Those of them that failed.",
	  COUNTER(writes.failed) },
};

uint64_t sec_tpm_counter(const struct sec_tpm *tpm,
			 const struct rt_counter_name *name)
{
	const char *base = (const char *)tpm;

	return rt_counter_read((const void *)(base + name->offset));
}

const struct rt_rule_book *sec_tpm_rules(const struct sec_tpm *tpm)
{
	return &tpm->rules;
}
