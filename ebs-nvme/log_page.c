/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Get Log Page, NVMe Base 1.4, 5.14, and Amazon's statistics page D0h.
 *
 * A reader may ask for more than a page has (Amazon's own tools ask for 4,100
 * bytes of 4,096, with pointers for 4,096): it gets what there is, and pointers
 * behind that are not touched.
 */
#include <string.h>

#include "ebs-nvme/controller.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

#define NS_PER_HOUR   (3600 * RT_NS_PER_S)
#define NS_PER_MINUTE (60 * RT_NS_PER_S)

/* Classes of I/O sizes in the instance store's statistics, upper bounds. */
static const uint32_t size_classes[] = { 512, 4096, 8192, 32768, UINT32_MAX };

unsigned int ebs_stats_size_class(uint64_t bytes)
{
	unsigned int i = 0;

	while (i < RT_COUNT(size_classes) - 1 && bytes > size_classes[i])
		i++;
	return i;
}

void ebs_error_log_add(struct ebs_controller *c, const struct ebs_request *r,
		       nvme_status status)
{
	struct ebs_state *state = c->state;
	struct nvme_error_entry entry = {
		.error_count = le64_put(++state->error_count),
		.sqid = le16_put(0xffff), /* no command's */
		.cid = le16_put(0xffff),
		.parameter_location = le16_put(NVME_ERROR_NO_LOCATION),
	};

	if (r) {
		entry.sqid = le16_put(r->sqid);
		entry.cid = r->cmd.cid;
		entry.status = le16_put(ebs_status_field(status, 0));
		entry.parameter_location = le16_put(r->error_location);
		entry.lba = le64_put(r->lba);
		entry.nsid = r->cmd.nsid;
	}
	state->errors[state->error_next] = entry;
	state->error_next = (state->error_next + 1) % EBS_MAX_ERRORS;
}

/* Newest first, 5.14.1.1. */
static size_t fill_errors(struct ebs_controller *c, void *page)
{
	struct nvme_error_entry *entries = page;
	size_t count = c->profile->elpe + 1u;
	size_t slot = c->state->error_next;

	for (size_t i = 0; i < count; i++) {
		slot = (slot + EBS_MAX_ERRORS - 1) % EBS_MAX_ERRORS;
		entries[i] = c->state->errors[slot];
	}
	return count * sizeof *entries;
}

static void put128(uint8_t field[16], uint64_t value)
{
	le_store(field, 8, value);
}

static uint64_t powered_ns(const struct ebs_controller *c)
{
	return c->state->powered_ms * RT_NS_PER_MS +
	       rt_loop_now_ns(c->fn->loop) - c->created_ns;
}

/* Data units are thousands of 512 bytes, rounded up, 5.14.1.2. */
static uint64_t data_units(const struct rt_counter *bytes)
{
	return (rt_counter_read(bytes) + 511999) / 512000;
}

static uint8_t critical_warning(const struct ebs_controller *c)
{
	const struct ebs_feature_values *f = &c->state->features;
	uint64_t warning = 0;

	warning = bits_put(NVME_SMART_TEMPERATURE, warning,
			   EBS_TEMPERATURE_K >= f->over_k ||
				   EBS_TEMPERATURE_K <= f->under_k);
	return (uint8_t)warning;
}

static size_t fill_smart(struct ebs_controller *c, void *page)
{
	struct nvme_smart_log *log = page;
	struct ebs_counters sum, *n = &sum;

	ebs_counters_get(c, &sum);
	log->critical_warning = critical_warning(c);
	le_store(log->temperature_k, 2, EBS_TEMPERATURE_K);
	log->spare_percent = 100;
	put128(log->data_units_read, data_units(&n->read_bytes));
	put128(log->data_units_written, data_units(&n->write_bytes));
	put128(log->host_reads, rt_counter_read(&n->read_ops));
	put128(log->host_writes, rt_counter_read(&n->write_ops));
	put128(log->busy_minutes,
	       (rt_counter_read(&n->read_ns) + rt_counter_read(&n->write_ns)) /
		       NS_PER_MINUTE);
	put128(log->power_cycles, rt_counter_read(&n->power_cycles));
	put128(log->power_on_hours, powered_ns(c) / NS_PER_HOUR);
	put128(log->unsafe_shutdowns, rt_counter_read(&n->unsafe_shutdowns));
	put128(log->media_errors, rt_counter_read(&n->read_errors) +
					  rt_counter_read(&n->write_errors));
	put128(log->error_entries, c->state->error_count);
	return sizeof *log;
}

static size_t fill_firmware(struct ebs_controller *c, void *page)
{
	struct nvme_firmware_log *log = page;
	const char *firmware = c->profile->firmware;

	log->afi = 1; /* slot 1 is active */
	memset(log->frs[0], ' ', sizeof log->frs[0]);
	memcpy(log->frs[0], firmware, strnlen(firmware, sizeof log->frs[0]));
	return sizeof *log;
}

/* Reading it clears it, 5.14.1.4. */
static size_t fill_changed_ns(struct ebs_controller *c, void *page)
{
	if (c->state->has_namespace_changed)
		le_store(page, 4, 1);
	c->state->has_namespace_changed = false;
	return 4096;
}

static uint32_t bin_count(const struct rt_histogram *histogram,
			  unsigned int bin)
{
	uint64_t count = rt_counter_read(&histogram->bins[bin]);

	return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static void fill_histogram(struct ebs_stats_histogram *out,
			   const struct rt_histogram *histogram)
{
	out->bin_count = le64_put(RT_HISTOGRAM_BINS);
	for (unsigned int i = 0; i < RT_HISTOGRAM_BINS; i++) {
		out->bins[i].lower_us = le64_put(rt_histogram_lower_us(i));
		out->bins[i].upper_us = le64_put(rt_histogram_upper_us(i));
		out->bins[i].count = le32_put(bin_count(histogram, i));
	}
}

static void fill_size_classes(const struct ebs_counters *n,
			      struct ebs_stats_log_local *log)
{
	struct ebs_stats_size_class *out;

	log->common.size_class_count = le32_put(RT_COUNT(size_classes));
	for (size_t i = 0; i < RT_COUNT(size_classes); i++) {
		log->common.size_class_upper_bytes[i] =
			le32_put(size_classes[i]);
		out = &log->classes[i];
		for (unsigned int bin = 0; bin < RT_HISTOGRAM_BINS; bin++) {
			out->reads[bin] = le64_put(
				rt_counter_read(&n->size_reads[i].bins[bin]));
			out->writes[bin] = le64_put(
				rt_counter_read(&n->size_writes[i].bins[bin]));
		}
	}
}

void ebs_fill_stats(const struct ebs_controller *c, void *page)
{
	struct ebs_stats_log *log = page;
	struct ebs_counters sum, *n = &sum;

	ebs_counters_get(c, &sum);
	log->magic = le32_put(c->profile->stats_magic);
	log->version = le32_put(c->profile->stats_version);
	log->read_ops = le64_put(rt_counter_read(&n->read_ops));
	log->write_ops = le64_put(rt_counter_read(&n->write_ops));
	log->read_bytes = le64_put(rt_counter_read(&n->read_bytes));
	log->write_bytes = le64_put(rt_counter_read(&n->write_bytes));
	log->read_us = le64_put(rt_counter_read(&n->read_ns) / RT_NS_PER_US);
	log->write_us = le64_put(rt_counter_read(&n->write_ns) / RT_NS_PER_US);
	log->queue_length = le64_put(ebs_io_count(c));
	fill_histogram(&log->read_latency, &n->read_latency);
	fill_histogram(&log->write_latency, &n->write_latency);
	if (c->profile->has_size_classes)
		fill_size_classes(n, page);
}

static size_t fill_amazon_stats(struct ebs_controller *c, void *page)
{
	ebs_fill_stats(c, page);
	return c->profile->has_size_classes ? EBS_STATS_BYTES_LOCAL
					    : EBS_STATS_BYTES;
}

enum scope { CONTROLLER, ANY_NAMESPACE };

static const struct log_page {
	uint8_t id;
	enum scope scope;
	uint32_t needs_oaes; /* bits of Identify Controller's OAES */
	size_t (*fill)(struct ebs_controller *c, void *page);
} pages[] = {
	{ NVME_LID_ERROR, CONTROLLER, 0, fill_errors },
	{ NVME_LID_SMART, CONTROLLER, 0, fill_smart },
	{ NVME_LID_FIRMWARE, CONTROLLER, 0, fill_firmware },
	{ NVME_LID_CHANGED_NS, CONTROLLER, NVME_OAES_NAMESPACE,
	  fill_changed_ns },
	{ NVME_LID_AMAZON_STATS, ANY_NAMESPACE, 0, fill_amazon_stats },
};

static const struct log_page *find_page(const struct ebs_request *r)
{
	uint64_t id = bits_get(NVME_LOG_LID, le32_get(r->cmd.cdw10));

	for (size_t i = 0; i < RT_COUNT(pages); i++)
		if (pages[i].id == id &&
		    !(pages[i].needs_oaes & ~r->c->profile->oaes))
			return &pages[i];
	return NULL;
}

/* 0: none; FFFFFFFFh: the controller's.  SMART per namespace: LPA bit 0. */
static bool is_namespace_good(const struct log_page *page, uint32_t nsid)
{
	return !nsid || nsid == NVME_NSID_ALL ||
	       (nsid == 1 && page->scope == ANY_NAMESPACE);
}

static uint64_t requested_bytes(const struct ebs_request *r)
{
	uint64_t low = bits_get(NVME_LOG_NUMDL, le32_get(r->cmd.cdw10));
	uint64_t high = bits_get(NVME_LOG_NUMDU, le32_get(r->cmd.cdw11));

	return ((high << 16 | low) + 1) * 4;
}

static uint64_t requested_offset(const struct ebs_request *r)
{
	return (uint64_t)le32_get(r->cmd.cdw13) << 32 | le32_get(r->cmd.cdw12);
}

static nvme_status check(struct ebs_request *r, const struct log_page *page)
{
	if (!page)
		return ebs_not_offered(r, NVME_INVALID_LOG_PAGE,
				       EBS_BYTE_CDW10);
	if (!is_namespace_good(page, le32_get(r->cmd.nsid)))
		return ebs_guest_error(r, EBS_RULE_NAMESPACE,
				       NVME_INVALID_NAMESPACE, EBS_BYTE_NSID,
				       0);
	if (requested_bytes(r) > ebs_profile_max_bytes(r->c->profile))
		return ebs_guest_error(r, EBS_RULE_TRANSFER_SIZE,
				       NVME_INVALID_FIELD, EBS_BYTE_CDW10 + 2,
				       0);
	if (requested_offset(r) & 3)
		return ebs_invalid_field(r, EBS_BYTE_CDW12, 0);
	return NVME_SUCCESS;
}

nvme_status ebs_admin_get_log_page(struct ebs_request *r)
{
	const struct log_page *page = find_page(r);
	uint64_t offset = requested_offset(r), bytes = requested_bytes(r);
	nvme_status status = check(r, page);
	size_t size;

	if (NVME_IS_ERROR(status))
		return status;
	memset(r->data, 0, r->pool->size);
	size = page->fill(r->c, r->data);
	if (offset >= size)
		return ebs_invalid_field(r, EBS_BYTE_CDW12, 0);
	if (!bits_get(NVME_LOG_RAE, le32_get(r->cmd.cdw10)))
		ebs_event_unmask(r->c, page->id);
	r->data += offset;
	return ebs_admin_reply(r,
			       bytes < size - offset ? bytes : size - offset);
}
