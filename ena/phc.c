/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hardware clock, feature 29: the driver writes an id to a doorbell and
 * spins until that id stands in its memory beside the time.  On the function's
 * loop.  The time is the host's CLOCK_REALTIME, in nanoseconds.
 */
#include <string.h>
#include <time.h>

#include "ena/control.h"
#include "ena/trace.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"

/* How far the answer may be from the moment of the question. */
#define ERROR_BOUND_NS 50000u
#define OUTPUT_ALIGN   8u
/* EC2's limit of 125 reads a second, as a bucket that a second fills. */
#define READ_NS        (RT_NS_PER_S / 125)
#define BUCKET_NS      RT_NS_PER_S

uint64_t ena_phc_now_ns(const struct ena_nic *nic)
{
	struct timespec now;

	(void)nic;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * RT_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- feature 29 ---- */

ena_status ena_get_phc(struct ena_admin_command *cmd)
{
	const struct ena_profile *p = cmd->nic->profile;
	struct ena_admin_phc_config config = {
		.doorbell_offset = le32_put(ENA_REGS_PHC_DB),
		.expire_timeout_usec = le32_put(p->phc_expire_us),
		.block_timeout_usec = le32_put(p->phc_block_us),
	};

	return ena_answer(cmd, &config, sizeof config);
}

ena_status ena_set_phc(struct ena_admin_command *cmd)
{
	struct ena_admin_phc_config config;
	uint64_t at;
	uint32_t length;

	memcpy(&config, ena_feature_payload(cmd), sizeof config);
	at = le64_get(config.output_address) & BITS(47, 0);
	length = le32_get(config.output_length);
	if (!at || at % OUTPUT_ALIGN ||
	    length < sizeof(struct ena_admin_phc_resp))
		return ena_refuse(cmd->nic, ENA_RULE_PHC_CONFIG,
				  ENA_ADMIN_ILLEGAL_PARAMETER, at);
	cmd->nic->state->phc_output = at;
	return ENA_OK;
}

/* ---- reading it ---- */

static bool is_within_limit(struct ena_nic *nic)
{
	uint64_t now = rt_loop_now_ns(nic->fn->loop);

	if (!nic->limits_phc)
		return true;
	if (nic->phc_spent_ns < now)
		nic->phc_spent_ns = now;
	if (nic->phc_spent_ns + READ_NS > now + BUCKET_NS)
		return false;
	nic->phc_spent_ns += READ_NS;
	return true;
}

static void answer(struct ena_nic *nic, uint16_t id, uint32_t error_flags)
{
	struct ena_admin_phc_resp resp = {
		.timestamp = le64_put(ena_phc_now_ns(nic)),
		.error_bound = le32_put(ERROR_BOUND_NS),
		.error_flags = le32_put(error_flags),
	};
	uint8_t *to = ena_guest_memory(nic, nic->state->phc_output, sizeof resp,
				       true, ENA_RULE_PHC_MEMORY);
	const size_t id_bytes = sizeof resp.req_id;

	if (!to)
		return;
	trace_ena_phc(id, le64_get(resp.timestamp));
	memcpy(to + id_bytes, (uint8_t *)&resp + id_bytes,
	       sizeof resp - id_bytes);
	__atomic_store_n((uint16_t *)(void *)to, htole16(id), __ATOMIC_RELEASE);
}

static void answer_late(struct rt_timer *timer)
{
	struct ena_nic *nic = rt_container_of(timer, struct ena_nic, phc);

	if (nic->state->phc_output)
		answer(nic, nic->phc_id, 0);
}

void ena_phc_doorbell(struct ena_nic *nic, uint16_t id)
{
	struct rt_fault_set *faults = &nic->fn->faults;
	uint64_t flags = 0, late_us;

	if (!nic->state->phc_output || !ena_is_working(nic)) {
		rt_rule_broken(&nic->fn->rules, ENA_RULE_PHC_MEMORY, id);
		return;
	}
	if (!is_within_limit(nic))
		flags = ENA_ADMIN_PHC_ERROR_TIMESTAMP;
	rt_fault(faults, ena_fault_phc_error, &flags);
	if (!rt_fault(faults, ena_fault_phc_late, &late_us)) {
		answer(nic, id, (uint32_t)flags);
		return;
	}
	nic->phc_id = id;
	rt_timer_start(nic->fn->loop, &nic->phc,
		       rt_loop_now_ns(nic->fn->loop) +
			       late_us % RT_NS_PER_S * RT_NS_PER_US);
}

void ena_phc_init(struct ena_nic *nic)
{
	nic->phc.fired = answer_late;
}

void ena_phc_reset(struct ena_nic *nic)
{
	rt_timer_stop(nic->fn->loop, &nic->phc);
}
