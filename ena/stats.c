/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET_STATS: what the guest may know of what it sent and got since the last
 * reset.  Nobody fills in scope, queue and device as they are meant, so the
 * answer is the function's as a whole.
 */
#include <string.h>

#include "ena/control.h"
#include "firmware/rt/scope.h"

/* No connections are tracked here, so all of an allowance is left. */
#define CONNTRACK_ALLOWANCE 1000000u

static le64 value_of(const struct rt_counter *counter)
{
	return le64_put(rt_counter_read(counter));
}

static ena_status get_basic(struct ena_admin_command *cmd)
{
	const struct ena_guest_counters *c = &cmd->nic->state->counters;
	struct ena_admin_basic_stats stats = {
		.tx_bytes = value_of(&c->tx_bytes),
		.tx_pkts = value_of(&c->tx_packets),
		.rx_bytes = value_of(&c->rx_bytes),
		.rx_pkts = value_of(&c->rx_packets),
		.rx_drops = value_of(&c->rx_drops),
		.tx_drops = value_of(&c->tx_drops),
		.rx_overruns = value_of(&c->rx_overruns),
	};

	return ena_answer(cmd, &stats, sizeof stats);
}

static ena_status get_eni(struct ena_admin_command *cmd)
{
	const struct ena_guest_counters *c = &cmd->nic->state->counters;
	struct ena_admin_eni_stats stats = {
		.bw_in_allowance_exceeded = value_of(&c->bw_in_exceeded),
		.bw_out_allowance_exceeded = value_of(&c->bw_out_exceeded),
		.pps_allowance_exceeded = value_of(&c->pps_exceeded),
		.conntrack_allowance_exceeded =
			value_of(&c->conntrack_exceeded),
		.linklocal_allowance_exceeded =
			value_of(&c->linklocal_exceeded),
	};

	return ena_answer(cmd, &stats, sizeof stats);
}

/* Its flags are 0: there is no SRD on this network. */
static ena_status get_srd(struct ena_admin_command *cmd)
{
	const struct ena_guest_counters *c = &cmd->nic->state->counters;
	struct ena_admin_srd_stats stats = {
		.tx_pkts = value_of(&c->srd_tx),
		.eligible_tx_pkts = value_of(&c->srd_tx_eligible),
		.rx_pkts = value_of(&c->srd_rx),
	};

	return ena_answer(cmd, &stats, sizeof stats);
}

static void list_metrics(const struct ena_guest_counters *c,
			 le64 all[ENA_ADMIN_CUSTOMER_METRICS_COUNT])
{
	all[ENA_ADMIN_BW_IN_ALLOWANCE_EXCEEDED] = value_of(&c->bw_in_exceeded);
	all[ENA_ADMIN_BW_OUT_ALLOWANCE_EXCEEDED] =
		value_of(&c->bw_out_exceeded);
	all[ENA_ADMIN_PPS_ALLOWANCE_EXCEEDED] = value_of(&c->pps_exceeded);
	all[ENA_ADMIN_CONNTRACK_ALLOWANCE_EXCEEDED] =
		value_of(&c->conntrack_exceeded);
	all[ENA_ADMIN_LINKLOCAL_ALLOWANCE_EXCEEDED] =
		value_of(&c->linklocal_exceeded);
	all[ENA_ADMIN_CONNTRACK_ALLOWANCE_AVAILABLE] =
		le64_put(CONNTRACK_ALLOWANCE);
}

/* Those asked for go to the buffer without gaps; without one they are named. */
static ena_status get_metrics(struct ena_admin_command *cmd)
{
	const struct ena_admin_get_stats *request = (const void *)cmd->in.body;
	uint64_t wanted = le64_get(request->requested_metrics) &
			  BITS(ENA_ADMIN_CUSTOMER_METRICS_COUNT - 1, 0);
	le64 all[ENA_ADMIN_CUSTOMER_METRICS_COUNT];
	le64 chosen[ENA_ADMIN_CUSTOMER_METRICS_COUNT];
	le64 reported = le64_put(wanted);
	uint32_t count = 0;
	ena_status status;
	void *buffer;

	list_metrics(&cmd->nic->state->counters, all);
	for (unsigned int i = 0; i < RT_COUNT(all); i++)
		if (wanted & BIT(i))
			chosen[count++] = all[i];
	if (count) {
		buffer = ena_admin_buffer(cmd, &request->buffer,
					  count * (uint32_t)sizeof *chosen,
					  true, &status);
		if (status.code)
			return status;
		if (buffer)
			memcpy(buffer, chosen, count * sizeof *chosen);
	}
	return ena_answer(cmd, &reported, sizeof reported);
}

static const struct {
	ena_admin_fn *get;
	int capability; /* -1: all have it */
} types[] = {
	[ENA_ADMIN_STATS_BASIC] = { get_basic, -1 },
	[ENA_ADMIN_STATS_ENI] = { get_eni, ENA_ADMIN_ENI_STATS },
	[ENA_ADMIN_STATS_SRD] = { get_srd, ENA_ADMIN_ENA_SRD_INFO },
	[ENA_ADMIN_STATS_CUSTOMER_METRICS] = { get_metrics,
					       ENA_ADMIN_CUSTOMER_METRICS },
};

ena_status ena_get_stats(struct ena_admin_command *cmd)
{
	const struct ena_admin_get_stats *request = (const void *)cmd->in.body;
	uint8_t type = request->type;
	uint32_t capabilities = cmd->nic->profile->capabilities;

	if (type < RT_COUNT(types) && types[type].get &&
	    (types[type].capability < 0 ||
	     capabilities & BIT(types[type].capability)))
		return types[type].get(cmd);
	return ena_refuse(cmd->nic, ENA_RULE_STATS_TYPE,
			  ENA_ADMIN_UNSUPPORTED_OPCODE, type);
}
