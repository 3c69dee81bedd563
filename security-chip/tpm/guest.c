/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest's commands, and how guest and card are bound to each other:
 *
 * - Behind a guest's TPM2_Startup, and before its response, the card's own
 *   registers are extended into PCR 22, which no guest can extend or reset.
 *   PCRs 0 to 15 are left to the guest and its firmware's log.
 * - That value, and at the guest's first quote after each start all its PCRs,
 *   are measured into the card's register GUEST, so that the card's log tells
 *   what ran.  Once in a boot: a guest cannot fill the log by quoting.
 */
#include <stdio.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/log.h"
#include "security-chip/tpm/private.h"
#include "security-chip/tpm/trace.h"

static void measure(const struct sec_tpm_guest *guest, const char *what,
		    const uint8_t digest[SEC_DIGEST_BYTES])
{
	char name[SEC_EVENT_WHAT];

	snprintf(name, sizeof name, "%s %.40s", what, guest->instance);
	/* A log that is full says so itself. */
	(void)sec_measure(SEC_REGISTER_GUEST, name, digest);
}

static void has_started(struct sec_tpm_guest *guest)
{
	uint8_t pcrs[SEC_TPM_PCRS][SEC_DIGEST_BYTES];

	guest->has_quoted = false;
	if (sec_tpm_pcr_bind()) {
		rt_log_warn("tpm", "cannot extend PCR %u with what the card is",
			    SEC_TPM_CARD_PCR);
		return;
	}
	if (!sec_tpm_pcrs_read(pcrs))
		measure(guest, "tpm-start", pcrs[SEC_TPM_CARD_PCR]);
}

static void has_quoted(struct sec_tpm_guest *guest)
{
	uint8_t pcrs[SEC_TPM_PCRS][SEC_DIGEST_BYTES], digest[SEC_DIGEST_BYTES];

	if (guest->has_quoted)
		return;
	guest->has_quoted = true;
	if (!sec_tpm_pcrs_read(pcrs) && !sec_digest(pcrs, sizeof pcrs, digest))
		measure(guest, "tpm-quote", digest);
}

static void follow(struct sec_tpm_guest *guest, uint32_t code)
{
	switch (code) {
	case TPM_CC_STARTUP:
		has_started(guest);
		return;
	case TPM_CC_QUOTE:
		has_quoted(guest);
		return;
	case TPM_CC_CHANGE_EPS:
		sec_tpm_eks_forget(guest);
		return;
	default:
		return;
	}
}

void sec_tpm_guest_powered(struct sec_tpm_guest *guest, bool is_on)
{
	trace_tpm_power(is_on);
	guest->has_quoted = false;
	if (is_on)
		rt_counter_add(&guest->boots, 1);
}

size_t sec_tpm_guest_run(struct sec_tpm_guest *guest, uint8_t locality,
			 const uint8_t *command, size_t size, uint8_t *answer)
{
	const struct rt_clock clock = { 0 };
	uint64_t start = rt_clock_now_ns(&clock);
	uint32_t code = sec_tpm_code_of(command, size), result;
	uint64_t took_us;
	size_t answered;

	trace_tpm_command(code, (uint32_t)size, locality);
	if (code == TPM_CC_NSM_REQUEST)
		sec_tpm_nsm_begin(&guest->nsm);
	answered = sec_tpm_engine_run(locality, command, size, answer);
	result = sec_tpm_code_of(answer, answered);
	took_us = (rt_clock_now_ns(&clock) - start) / 1000;
	trace_tpm_response(code, result, (uint32_t)answered, took_us);
	rt_counter_add(&guest->commands, 1);
	rt_counter_add(&guest->command_us, took_us);
	if (result == TPM_RC_SUCCESS)
		follow(guest, code);
	else
		rt_counter_add(&guest->failures, 1);
	return answered;
}
