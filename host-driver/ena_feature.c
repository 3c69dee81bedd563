/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver of the network adapter: features, statistics, the clock.  Each is
 * one admin command, or two.  One thread.  Buffers of commands are in the
 * scratch page.
 */
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "host-driver/ena_host.h"
#include "host-driver/ena_private.h"

#define SPEC_VERSION   0x0200u
#define EXT_VERSION    1u
#define DRIVER_VERSION 1u
#define METRICS_BYTES  512u
#define PHC_BYTES      64u
#define STALE_ID       0xdeadu

static const struct host_ena_buffer no_buffer;

static struct ena_admin_ctrl_buff describe(struct host_ena_buffer buffer)
{
	return (struct ena_admin_ctrl_buff){
		.length = le32_put(buffer.size),
		.address_lo = le32_put((uint32_t)buffer.iova),
		.address_hi = le16_put((uint16_t)(buffer.iova >> 32)),
	};
}

/* --- Features in general -------------------------------------------------- */

/* Drivers set the flag for lists of pages, and give a plain buffer. */
static uint8_t flags_for(struct host_ena_buffer buffer)
{
	return buffer.size ? ENA_ADMIN_FLAGS_CTRL_INDIRECT : 0;
}

int host_ena_get_feature(struct host_ena *e, uint8_t feature, uint8_t version,
			 struct host_ena_buffer buffer, void *out, size_t size)
{
	const struct ena_admin_feature_cmd cmd = {
		.buffer = describe(buffer),
		.feature_id = feature,
		.feature_version = version,
	};
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_GET_FEATURE,
					    .flags = flags_for(buffer) };
	struct ena_admin_acq_entry answer = { 0 };
	int rc;

	assert(size <= sizeof answer.body);
	memcpy(entry.body, &cmd, sizeof cmd);
	rc = host_ena_call(e, &entry, &answer);
	if (rc == 0)
		memcpy(out, answer.body, size);
	return rc;
}

int host_ena_set_feature(struct host_ena *e, uint8_t feature,
			 const void *payload, size_t size,
			 struct host_ena_buffer buffer,
			 struct ena_admin_acq_entry *out)
{
	struct ena_admin_feature_cmd cmd = {
		.buffer = describe(buffer),
		.feature_id = feature,
	};
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_SET_FEATURE,
					    .flags = flags_for(buffer) };

	assert(size <= sizeof cmd.payload);
	memcpy(cmd.payload, payload, size);
	memcpy(entry.body, &cmd, sizeof cmd);
	return host_ena_call(e, &entry, out);
}

bool host_ena_has_feature(const struct host_ena *e, uint8_t feature)
{
	return le32_get(e->facts.attr.supported_features) >> feature & 1;
}

bool host_ena_can(const struct host_ena *e, enum ena_admin_capability cap)
{
	return le32_get(e->facts.attr.capabilities) >> cap & 1;
}

/* --- What the device says of itself --------------------------------------- */

/* A device without feature 7 says the same of both directions. */
static int learn_old_queues(struct host_ena *e)
{
	struct ena_admin_max_queues_ext *q = &e->facts.queues;
	struct ena_admin_max_queues old;
	int rc = host_ena_get_feature(e, ENA_ADMIN_MAX_QUEUES_NUM, 0, no_buffer,
				      &old, sizeof old);

	if (rc != 0)
		return rc;
	*q = (struct ena_admin_max_queues_ext){
		.max_tx_sq_num = old.max_sq_num,
		.max_tx_cq_num = old.max_cq_num,
		.max_rx_sq_num = old.max_sq_num,
		.max_rx_cq_num = old.max_cq_num,
		.max_tx_sq_depth = old.max_sq_depth,
		.max_tx_cq_depth = old.max_cq_depth,
		.max_rx_sq_depth = old.max_sq_depth,
		.max_rx_cq_depth = old.max_cq_depth,
		.max_tx_header_size = old.max_header_size,
		.max_per_packet_tx_descs = old.max_packet_tx_descs,
		.max_per_packet_rx_descs = old.max_packet_rx_descs,
	};
	return 0;
}

static int learn_queues(struct host_ena *e)
{
	struct ena_admin_max_queues_ext *q = &e->facts.queues;
	int rc;

	if (!host_ena_has_feature(e, ENA_ADMIN_MAX_QUEUES_EXT))
		return learn_old_queues(e);
	rc = host_ena_get_feature(e, ENA_ADMIN_MAX_QUEUES_EXT, EXT_VERSION,
				  no_buffer, q, sizeof *q);
	if (rc == 0 && q->version != EXT_VERSION)
		return host_protest(e, "queue limits of version %u",
				    q->version);
	return rc;
}

/* What may be missing stays zeroes. */
static int learn_optional(struct host_ena *e, uint8_t feature, uint8_t version,
			  void *out, size_t size)
{
	int rc;

	memset(out, 0, size);
	if (!host_ena_has_feature(e, feature))
		return 0;
	rc = host_ena_get_feature(e, feature, version, no_buffer, out, size);
	return rc == ENA_ADMIN_UNSUPPORTED_OPCODE ? 0 : rc;
}

int host_ena_learn(struct host_ena *e)
{
	struct host_ena_facts *f = &e->facts;
	struct ena_admin_intr_moderation moderation = { 0 };
	int rc = host_ena_get_feature(e, ENA_ADMIN_DEVICE_ATTRIBUTES, 0,
				      no_buffer, &f->attr, sizeof f->attr);

	if (rc == 0)
		rc = learn_queues(e);
	if (rc == 0)
		rc = host_ena_get_feature(e, ENA_ADMIN_AENQ_CONFIG, 0,
					  no_buffer, &f->aenq, sizeof f->aenq);
	if (rc == 0)
		rc = host_ena_get_feature(e, ENA_ADMIN_STATELESS_OFFLOAD_CONFIG,
					  0, no_buffer, &f->offload,
					  sizeof f->offload);
	if (rc == 0)
		rc = learn_optional(e, ENA_ADMIN_HW_HINTS, 0, &f->hints,
				    sizeof f->hints);
	if (rc == 0)
		rc = learn_optional(e, ENA_ADMIN_LLQ, 1, &f->llq,
				    sizeof f->llq);
	if (rc == 0)
		rc = learn_optional(e, ENA_ADMIN_INTERRUPT_MODERATION, 0,
				    &moderation, sizeof moderation);
	f->delay_us = le16_get(moderation.intr_delay_resolution);
	return rc;
}

int host_ena_set_mtu(struct host_ena *e, uint32_t mtu)
{
	const struct ena_admin_mtu payload = { .mtu = le32_put(mtu) };

	return host_ena_set_feature(e, ENA_ADMIN_MTU, &payload, sizeof payload,
				    no_buffer, NULL);
}

int host_ena_set_host_info(struct host_ena *e, uint32_t driver_features)
{
	const struct ena_admin_host_attr attr = {
		.os_info_ba = le64_put(e->host_info),
		.debug_ba = le64_put(e->debug_area),
		.debug_area_size = le32_put(HOST_ENA_PAGE),
	};
	struct ena_admin_host_info *info = host_ena_at(e, e->host_info);

	*info = (struct ena_admin_host_info){
		.os_type = le32_put(ENA_ADMIN_OS_LINUX),
		.os_dist_str = "libnitro-host",
		.kernel_ver_str = "user space",
		.driver_version = le32_put(DRIVER_VERSION),
		.ena_spec_version = le16_put(SPEC_VERSION),
		.num_cpus = le16_put(1),
		.driver_supported_features = le32_put(driver_features),
	};
	return host_ena_set_feature(e, ENA_ADMIN_HOST_ATTR_CONFIG, &attr,
				    sizeof attr, no_buffer, NULL);
}

int host_ena_get_link(struct host_ena *e, struct ena_admin_link *out)
{
	return host_ena_get_feature(e, ENA_ADMIN_LINK_CONFIG, 0, no_buffer, out,
				    sizeof *out);
}

/* --- LLQ ------------------------------------------------------------------ */

/* The first of what we like that it has; 0: none. */
static uint16_t choose(le16 supported, const uint16_t *order, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (le16_get(supported) & order[i])
			return order[i];
	return 0;
}

static uint16_t choose_entry(const struct ena_admin_llq *llq, uint16_t bytes)
{
	static const uint16_t order[] = { ENA_ADMIN_LLQ_ENTRY_128B,
					  ENA_ADMIN_LLQ_ENTRY_192B,
					  ENA_ADMIN_LLQ_ENTRY_256B };
	uint16_t supported = le16_get(llq->entry_size_supported);

	if (bytes != 0)
		return supported & order[bytes / 64 - 2];
	if (supported & llq->entry_size_recommended)
		return llq->entry_size_recommended;
	return choose(llq->entry_size_supported, order, RT_COUNT(order));
}

static uint16_t bytes_of(uint16_t entry)
{
	if (entry == ENA_ADMIN_LLQ_ENTRY_128B)
		return 128;
	return entry == ENA_ADMIN_LLQ_ENTRY_192B ? 192 : 256;
}

static int agree(struct host_ena *e, const struct ena_admin_llq *wanted)
{
	const struct ena_admin_llq *llq = &e->facts.llq;
	uint16_t flags = le16_get(llq->accel_flags);
	int rc = host_ena_set_feature(e, ENA_ADMIN_LLQ, wanted, sizeof *wanted,
				      no_buffer, NULL);

	if (rc != 0)
		return rc;
	e->llq = (struct host_ena_llq){
		.entry_bytes = bytes_of(le16_get(wanted->entry_size_enabled)),
		.descs_before_header =
			le16_get(wanted->descs_before_header_enabled),
		.is_single = le16_get(wanted->stride_enabled) ==
			     ENA_ADMIN_SINGLE_DESC_PER_ENTRY,
		.keeps_no_meta = flags & ENA_ADMIN_LLQ_ACCEL_NO_META_CACHING,
		.burst_bytes = flags & ENA_ADMIN_LLQ_ACCEL_LIMIT_TX_BURST
				       ? le16_get(llq->max_tx_burst_size)
				       : 0,
	};
	return 0;
}

int host_ena_set_llq(struct host_ena *e, uint16_t entry_bytes)
{
	static const uint16_t descs[] = { 2, 1, 4, 8 };
	static const uint16_t strides[] = { ENA_ADMIN_MULTIPLE_DESCS_PER_ENTRY,
					    ENA_ADMIN_SINGLE_DESC_PER_ENTRY };
	const struct ena_admin_llq *llq = &e->facts.llq;
	uint16_t entry, before, stride;

	if (entry_bytes != 0 && entry_bytes != 128 && entry_bytes != 192 &&
	    entry_bytes != 256)
		return -EINVAL;
	entry = choose_entry(llq, entry_bytes);
	before = choose(llq->descs_before_header_supported, descs,
			RT_COUNT(descs));
	stride = choose(llq->stride_supported, strides, RT_COUNT(strides));
	if (le32_get(llq->max_llq_num) == 0 || !e->llq_memory || !entry ||
	    !before || !stride ||
	    !(le16_get(llq->header_location_supported) &
	      ENA_ADMIN_INLINE_HEADER))
		return -EOPNOTSUPP;
	return agree(e, &(struct ena_admin_llq){
				.header_location_enabled =
					le16_put(ENA_ADMIN_INLINE_HEADER),
				.entry_size_enabled = le16_put(entry),
				.descs_before_header_enabled = le16_put(before),
				.stride_enabled = le16_put(stride),
				/* All that we know; the device intersects. */
				.accel_flags = le16_put(
					ENA_ADMIN_LLQ_ACCEL_NO_META_CACHING |
					ENA_ADMIN_LLQ_ACCEL_LIMIT_TX_BURST),
			});
}

/* --- Statistics ----------------------------------------------------------- */

static int ask_stats(struct host_ena *e, const struct ena_admin_get_stats *cmd,
		     struct ena_admin_acq_entry *out)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_GET_STATS };

	memcpy(entry.body, cmd, sizeof *cmd);
	return host_ena_call(e, &entry, out);
}

int host_ena_get_stats(struct host_ena *e, enum ena_admin_stats_type type,
		       void *out, size_t size)
{
	const struct ena_admin_get_stats cmd = { .type = (uint8_t)type };
	struct ena_admin_acq_entry answer = { 0 };
	int rc = ask_stats(e, &cmd, &answer);

	assert(size <= sizeof answer.body);
	if (rc == 0)
		memcpy(out, answer.body, size);
	return rc;
}

int host_ena_get_metrics(struct host_ena *e, uint64_t wanted,
			 uint64_t *reported, uint64_t *values)
{
	const struct ena_admin_get_stats cmd = {
		.buffer = describe(
			host_ena_scratch(e, values ? METRICS_BYTES : 0)),
		.type = ENA_ADMIN_STATS_CUSTOMER_METRICS,
		.requested_metrics = le64_put(wanted),
	};
	const uint8_t *at = host_ena_at(e, e->scratch);
	struct ena_admin_acq_entry answer = { 0 };
	int rc = ask_stats(e, &cmd, &answer);

	*reported = rc == 0 ? le_load(answer.body, 8) : 0;
	/* One after the other, without gaps. */
	for (unsigned int bit = 0; values && bit < 64; bit++) {
		if (!(*reported >> bit & 1))
			continue;
		values[bit] = le_load(at, 8);
		at += 8;
	}
	return rc;
}

/* --- The clock ------------------------------------------------------------ */

int host_ena_phc_start(struct host_ena *e)
{
	struct ena_admin_phc_config config = { 0 };
	uint64_t page = host_ena_alloc(e, HOST_ENA_PAGE, HOST_ENA_PAGE);
	int rc = page ? host_ena_get_feature(e, ENA_ADMIN_PHC_CONFIG, 0,
					     no_buffer, &config, 28)
		      : -ENOMEM;

	if (rc != 0)
		return rc;
	e->phc_doorbell = le32_get(config.doorbell_offset);
	config = (struct ena_admin_phc_config){
		.output_address = le64_put(page),
		.output_length = le32_put(PHC_BYTES),
	};
	rc = host_ena_set_feature(e, ENA_ADMIN_PHC_CONFIG, &config, 28,
				  no_buffer, NULL);
	e->phc = rc == 0 ? page : 0;
	return rc;
}

int host_ena_phc_read(struct host_ena *e, uint64_t *ns, uint32_t *error_ns)
{
	static const struct rt_clock host;
	uint64_t end =
		rt_clock_now_ns(&host) + e->options.timeout_ms * RT_NS_PER_MS;
	struct ena_admin_phc_resp *answer;
	uint16_t id = ++e->phc_id;
	int rc;

	if (!e->phc)
		return -EINVAL;
	answer = host_ena_at(e, e->phc);
	answer->req_id = le16_put((uint16_t)(id + STALE_ID));
	rc = host_write32(e->fn, ENA_REGS_BAR, e->phc_doorbell, id);
	while (rc >= 0 && le16toh(__atomic_load_n(&answer->req_id.raw,
						  __ATOMIC_ACQUIRE)) != id) {
		rc = host_poll(e->fn, 0);
		sched_yield();
		if (rc >= 0 && rt_clock_now_ns(&host) > end)
			rc = -ETIMEDOUT;
	}
	if (rc < 0)
		return rc;
	*ns = le64_get(answer->timestamp);
	*error_ns = le32_get(answer->error_bound);
	return le32_get(answer->error_flags) ? -EBUSY : 0;
}

int host_ena_set_timestamps(struct host_ena *e, bool tx, bool rx)
{
	const struct ena_admin_hw_timestamp payload = { .version = 1,
							.tx = tx,
							.rx = rx };

	return host_ena_set_feature(e, ENA_ADMIN_HW_TIMESTAMP, &payload,
				    sizeof payload, no_buffer, NULL);
}
