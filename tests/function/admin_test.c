/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Features, log pages, asynchronous events and Abort, as a driver sees them:
 * NVMe Base 1.4, 5.1, 5.2, 5.14, 5.21.
 */
#include <criterion/criterion.h>

#include "ebs-nvme/function.h"
#include "tests/function/bench.h"

#define STATUS(type, code) HOST_NVME_STATUS(type, code)

/* --- Features ------------------------------------------------------------- */

struct feature_row {
	const char *name;
	uint8_t fid;
	uint32_t value; /* to set; cdw11 */
	uint32_t mask;  /* of the bits that come back */
	uint32_t arg;   /* cdw11 of Get Features */
};

static const struct feature_row feature_rows[] = {
	{ "arbitration", 0x01, 0x03020105, 0xffffff07, 0 },
	{ "power management", 0x02, 1, 0x1f, 0 },
	{ "over temperature", 0x04, 350, 0xffff, 0 },
	{ "under temperature", 0x04, 0x100000 | 280, 0xffff, 0x100000 },
	{ "volatile write cache", 0x06, 0, 1, 0 },
	{ "interrupt coalescing", 0x08, 0x0a05, 0xffff, 0 },
	{ "vector configuration", 0x09, 0x10001, 0x1ffff, 1 },
	{ "write atomicity", 0x0a, 1, 1, 0 },
	{ "event configuration", 0x0b, 0x103, 0x1ff, 0 },
};

static int get(struct bench *b, const struct feature_row *row, unsigned int sel,
	       uint32_t *out)
{
	struct nvme_cmd cmd = { .opcode = NVME_ADMIN_GET_FEATURES,
				.cdw10 = le32_put(sel << 8 | row->fid),
				.cdw11 = le32_put(row->arg) };
	struct nvme_cqe cqe = { 0 };
	int rc = host_nvme_call(b->nvme, 0, &cmd, &cqe);

	*out = le32_get(cqe.dw0);
	return rc;
}

static void check_feature(struct bench *b, const struct feature_row *row)
{
	uint32_t fallback, saved, now, can;

	cr_expect_eq(get(b, row, NVME_SEL_CURRENT, &now), 0, "%s", row->name);
	cr_expect_eq(get(b, row, NVME_SEL_DEFAULT, &fallback), 0);
	cr_expect_eq(get(b, row, NVME_SEL_SAVED, &saved), 0);
	cr_expect_eq(get(b, row, NVME_SEL_CAPABILITIES, &can), 0);
	cr_expect_eq(now & row->mask, fallback & row->mask, "%s", row->name);
	cr_expect_eq(saved & row->mask, fallback & row->mask,
		     "%s: without saving, saved is the default", row->name);
	cr_expect_eq(can & NVME_FEATURE_IS_SAVEABLE, 0, "%s", row->name);
	cr_expect_neq(can & NVME_FEATURE_IS_CHANGEABLE, 0, "%s", row->name);
	cr_expect_eq(host_nvme_set_feature(b->nvme, row->fid, row->value, NULL),
		     0, "%s", row->name);
	cr_expect_eq(get(b, row, NVME_SEL_CURRENT, &now), 0);
	cr_expect_eq(now & row->mask, row->value & row->mask, "%s: %#x",
		     row->name, now);
	cr_expect_eq(get(b, row, NVME_SEL_DEFAULT, &now), 0);
	cr_expect_eq(now, fallback, "%s", row->name);
}

Test(function_features, each_is_read_set_and_read_again)
{
	struct bench b;

	bench_enable(&b, NULL);
	for (size_t i = 0; i < sizeof feature_rows / sizeof *feature_rows; i++)
		check_feature(&b, &feature_rows[i]);
	bench_stop(&b);
}

Test(function_features, a_reset_brings_the_defaults_back)
{
	struct bench b;
	uint32_t before, after;

	bench_enable(&b, NULL);
	for (size_t i = 0; i < sizeof feature_rows / sizeof *feature_rows;
	     i++) {
		const struct feature_row *row = &feature_rows[i];

		cr_assert_eq(get(&b, row, NVME_SEL_CURRENT, &before), 0);
		cr_assert_eq(host_nvme_set_feature(b.nvme, row->fid, row->value,
						   NULL),
			     0, "%s", row->name);
		cr_assert_eq(host_nvme_disable(b.nvme), 0);
		cr_assert_eq(host_nvme_enable(b.nvme), 0);
		cr_assert_eq(get(&b, row, NVME_SEL_CURRENT, &after), 0);
		cr_expect_eq(before, after, "%s", row->name);
	}
	bench_stop(&b);
}

Test(function_features, error_recovery_belongs_to_the_namespace)
{
	struct nvme_cmd set = { .opcode = NVME_ADMIN_SET_FEATURES,
				.nsid = le32_put(1),
				.cdw10 = le32_put(5),
				.cdw11 = le32_put(7) };
	struct nvme_cmd read = { .opcode = NVME_ADMIN_GET_FEATURES,
				 .nsid = le32_put(1),
				 .cdw10 = le32_put(5) };
	struct nvme_cqe cqe = { 0 };
	struct bench b;

	bench_enable(&b, NULL);
	cr_expect_eq(host_nvme_call(b.nvme, 0, &set, NULL), 0);
	cr_expect_eq(host_nvme_call(b.nvme, 0, &read, &cqe), 0);
	cr_expect_eq(le32_get(cqe.dw0), 7);
	set.nsid = le32_put(NVME_NSID_ALL);
	cr_expect_eq(host_nvme_call(b.nvme, 0, &set, NULL), 0);
	set.nsid = le32_put(2);
	cr_expect_eq(host_nvme_call(b.nvme, 0, &set, NULL), STATUS(0, 0x0b));
	bench_stop(&b);
}

/* --- Log pages ------------------------------------------------------------ */

struct log_row {
	uint8_t lid;
	uint32_t size;
};

static const struct log_row log_rows[] = {
	{ NVME_LID_ERROR, 64 },
	{ NVME_LID_SMART, 512 },
	{ NVME_LID_FIRMWARE, 512 },
	{ NVME_LID_AMAZON_STATS, 4096 },
};

/*
 * The readers that exist ask for 4100 bytes with PRPs for 4096, because the
 * count is 0's based: what is past the page is not sent, and PRP2 not touched.
 */
static void ask_for_too_much(struct bench *b, const struct log_row *row)
{
	uint64_t page = host_nvme_alloc(b->nvme, 3 * 4096, 4096);
	uint8_t *bytes = host_nvme_at(b->nvme, page);
	struct nvme_cmd cmd = {
		.opcode = NVME_ADMIN_GET_LOG_PAGE,
		/* The readers of Amazon's page name the namespace. */
		.nsid = le32_put(row->lid >= 0xc0 ? 1 : NVME_NSID_ALL),
		.prp1 = le64_put(page),
		.cdw10 = le32_put(1024u << 16 | row->lid),
	};
	size_t past = 0;

	memset(bytes, 0xa5, 3 * 4096);
	cr_expect_eq(host_nvme_call(b->nvme, 0, &cmd, NULL), 0, "page %#x",
		     row->lid);
	for (size_t i = row->size; i < 3 * 4096; i++)
		past += bytes[i] != 0xa5;
	cr_expect_eq(past, 0, "page %#x: %zu bytes too many", row->lid, past);
}

Test(function_logs, asking_for_more_than_the_page_gives_the_page)
{
	struct bench b;

	bench_enable(&b, NULL);
	for (size_t i = 0; i < sizeof log_rows / sizeof *log_rows; i++)
		ask_for_too_much(&b, &log_rows[i]);
	bench_stop(&b);
}

static void compare_in_parts(struct bench *b, const struct log_row *row)
{
	uint8_t whole[4096];
	const void *page;

	cr_assert_eq(host_nvme_get_log(b->nvme, row->lid, 0, row->size, &page),
		     0);
	memcpy(whole, page, row->size);
	for (uint32_t at = 0; at < row->size; at += 32) {
		cr_assert_eq(
			host_nvme_get_log(b->nvme, row->lid, at, 32, &page), 0,
			"page %#x at %u", row->lid, at);
		cr_assert_arr_eq(page, whole + at, 32, "page %#x at %u",
				 row->lid, at);
	}
}

Test(function_logs, parts_of_a_page_are_parts_of_the_page)
{
	struct bench b;

	bench_enable(&b, NULL);
	for (size_t i = 0; i < sizeof log_rows / sizeof *log_rows; i++)
		compare_in_parts(&b, &log_rows[i]);
	bench_stop(&b);
}

Test(function_logs, the_error_page_tells_the_last_failure)
{
	struct nvme_cmd bad = { .opcode = NVME_NVM_READ,
				.nsid = le32_put(1),
				.cdw10 = le32_put(BENCH_BLOCKS + 5) };
	const struct nvme_error_entry *entry;
	struct nvme_cqe cqe;
	const void *page;
	struct bench b;
	uint64_t count;
	uint16_t cid;

	bench_start(&b, NULL);
	bad.prp1 = le64_put(host_nvme_alloc(b.nvme, 4096, 4096));
	cr_assert_eq(host_nvme_get_log(b.nvme, 1, 0, 64, &page), 0);
	entry = page;
	count = le64_get(entry->error_count);
	cr_assert_eq(host_nvme_submit(b.nvme, 1, &bad, &cid), 0);
	cr_assert_eq(host_nvme_wait(b.nvme, 1, cid, &cqe), STATUS(0, 0x80));
	cr_assert_eq(host_nvme_get_log(b.nvme, 1, 0, 64, &page), 0);
	cr_expect_gt(le64_get(entry->error_count), count);
	cr_expect_eq(le16_get(entry->sqid), 1);
	cr_expect_eq(le16_get(entry->cid), cid);
	cr_expect_eq(le16_get(entry->status) >> 1 & 0x7ff, STATUS(0, 0x80));
	cr_expect_eq(le32_get(entry->nsid), 1);
	cr_expect_eq(le64_get(entry->lba), BENCH_BLOCKS + 5);
	cr_expect_neq(le16_get(cqe.status) & 0x4000, 0,
		      "More says that there is an entry");
	bench_stop(&b);
}

Test(function_logs, the_firmware_page_has_one_slot)
{
	const struct nvme_firmware_log *log;
	const void *page;
	struct bench b;

	bench_enable(&b, NULL);
	cr_assert_eq(host_nvme_get_log(b.nvme, 3, 0, 512, &page), 0);
	log = page;
	cr_expect_eq(log->afi & 7, 1, "slot 1 is active");
	cr_expect_arr_eq(log->frs[0], "2.0     ", 8);
	for (size_t i = 1; i < 7; i++)
		cr_expect_eq(le_load(log->frs[i], 8), 0, "slot %zu", i + 1);
	bench_stop(&b);
}

static uint64_t low64(const uint8_t *wide)
{
	return le_load(wide, 8);
}

Test(function_logs, smart_counts_what_was_done)
{
	uint8_t bytes[8192] = { 0 };
	const struct nvme_smart_log *smart;
	struct nvme_smart_log before;
	const void *page;
	struct bench b;

	bench_start(&b, NULL);
	cr_assert_eq(host_nvme_get_log(b.nvme, 2, 0, 512, &page), 0);
	memcpy(&before, page, sizeof before);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(bench_write(&b, 0, bytes, 8192), 0);
	for (int i = 0; i < 7; i++)
		cr_assert_eq(bench_read(&b, 0, bytes, 512), 0);
	cr_assert_eq(host_nvme_get_log(b.nvme, 2, 0, 512, &page), 0);
	smart = page;
	cr_expect_eq(low64(smart->host_writes) - low64(before.host_writes), 10);
	cr_expect_eq(low64(smart->host_reads) - low64(before.host_reads), 7);
	cr_expect_eq(smart->critical_warning, 0);
	cr_expect_gt(le_load(smart->temperature_k, 2), 273);
	cr_expect_lt(le_load(smart->temperature_k, 2), 373);
	cr_expect_leq(smart->spare_threshold, smart->spare_percent);
	bench_stop(&b);
}

Test(function_logs, data_units_are_thousands_of_blocks_rounded_up)
{
	static uint8_t bytes[131072];
	const struct nvme_smart_log *smart;
	const void *page;
	struct bench b;
	uint64_t before;

	bench_start(&b, NULL);
	cr_assert_eq(host_nvme_get_log(b.nvme, 2, 0, 512, &page), 0);
	smart = page;
	before = low64(smart->data_units_written);
	for (int i = 0; i < 40; i++)
		cr_assert_eq(bench_write(&b, 0, bytes, sizeof bytes), 0);
	cr_assert_eq(host_nvme_get_log(b.nvme, 2, 0, 512, &page), 0);
	/* 40 * 256 blocks are 10.24 units. */
	cr_expect_eq(low64(smart->data_units_written) - before, 11);
	bench_stop(&b);
}

Test(function_logs, the_statistics_page_counts_and_has_its_magic)
{
	uint8_t bytes[4096] = { 0 };
	const struct ebs_stats_log *stats;
	const void *page;
	struct bench b;
	uint64_t in_bins = 0;

	bench_start(&b, NULL);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(bench_write(&b, 8, bytes, 4096), 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(bench_read(&b, 8, bytes, 4096), 0);
	cr_assert_eq(host_nvme_get_log(b.nvme, 0xd0, 0, 4096, &page), 0);
	stats = page;
	/* A reader compares the first 64 bits with the magic. */
	cr_expect_eq(le_load(page, 8), EBS_STATS_MAGIC);
	cr_expect_eq(le64_get(stats->write_ops), 5);
	cr_expect_eq(le64_get(stats->read_ops), 3);
	cr_expect_eq(le64_get(stats->write_bytes), 5 * 4096);
	cr_expect_eq(le64_get(stats->read_bytes), 3 * 4096);
	cr_expect_eq(le64_get(stats->queue_length), 0);
	cr_expect_eq(le64_get(stats->write_latency.bin_count), 28);
	for (int i = 0; i < 28; i++)
		in_bins += le32_get(stats->write_latency.bins[i].count);
	cr_expect_eq(in_bins, 5);
	cr_expect_eq(le64_get(stats->write_latency.bins[1].lower_us), 1);
	cr_expect_eq(le64_get(stats->write_latency.bins[1].upper_us), 2);
	bench_stop(&b);
}

Test(function_logs, the_queue_length_is_what_waits_now)
{
	struct nvme_cmd read = { .opcode = NVME_NVM_READ, .nsid = le32_put(1) };
	const struct ebs_stats_log *stats;
	const void *page;
	struct bench b;

	bench_start(&b, NULL);
	bench_stall_io(&b, true);
	read.prp1 = le64_put(host_nvme_alloc(b.nvme, 4096, 4096));
	for (int i = 0; i < 4; i++)
		cr_assert_eq(host_nvme_submit(b.nvme, 1, &read, NULL), 0);
	bench_settle(&b);
	cr_assert_eq(host_nvme_get_log(b.nvme, 0xd0, 0, 4096, &page), 0);
	stats = page;
	cr_expect_eq(le64_get(stats->queue_length), 4);
	cr_expect_eq(le64_get(stats->read_ops), 0);
	bench_stop(&b);
}

Test(function_logs, a_local_disk_has_the_detailed_statistics)
{
	const struct ebs_stats_log *stats;
	const void *page;
	struct bench b;

	bench_start(&b, &(struct bench_options){ .profile = "is-3" });
	cr_assert_eq(host_nvme_get_log(b.nvme, 0xd0, 0, 4096, &page), 0);
	stats = page;
	cr_expect_eq(le32_get(stats->magic), EBS_STATS_MAGIC_LOCAL);
	cr_expect_eq(le32_get(stats->version), 1);
	cr_expect_eq(le32_get(stats->size_class_count), 5);
	cr_expect_eq(host_nvme_get_log(b.nvme, 0xd0, 4096, 4096, &page), 0,
		     "the second half");
	bench_stop(&b);
}

static uint64_t unsafe_shutdowns(struct bench *b)
{
	const struct nvme_smart_log *smart;
	const void *page;

	cr_assert_eq(host_nvme_get_log(b->nvme, 2, 0, 512, &page), 0);
	smart = page;
	return low64(smart->unsafe_shutdowns);
}

Test(function_logs, only_a_shutdown_without_notice_is_unsafe)
{
	struct bench b;
	uint64_t before;

	bench_enable(&b, NULL);
	before = unsafe_shutdowns(&b);
	cr_assert_eq(host_nvme_shutdown(b.nvme, 1), 0);
	bench_hang_up(&b);
	bench_connect(&b);
	bench_open_driver(&b);
	cr_assert_eq(host_nvme_enable(b.nvme), 0);
	cr_expect_eq(unsafe_shutdowns(&b), before);
	bench_hang_up(&b);
	bench_connect(&b);
	bench_open_driver(&b);
	cr_assert_eq(host_nvme_enable(b.nvme), 0);
	cr_expect_eq(unsafe_shutdowns(&b), before + 1);
	bench_stop(&b);
}

/* --- Asynchronous events -------------------------------------------------- */

static uint16_t ask_for_event(struct bench *b)
{
	struct nvme_cmd cmd = { .opcode = NVME_ADMIN_ASYNC_EVENT };
	uint16_t cid;

	cr_assert_eq(host_nvme_submit(b->nvme, 0, &cmd, &cid), 0);
	bench_settle(b);
	return cid;
}

static void ring_wrongly(struct bench *b)
{
	cr_assert_eq(host_nvme_ring_sq(b->nvme, 1, 60000), 0);
	bench_settle(b);
}

static bool has_event(struct bench *b, uint16_t cid)
{
	bench_settle(b);
	host_nvme_reap(b->nvme, 0);
	return host_nvme_take(b->nvme, 0, cid, NULL);
}

Test(function_events, an_event_comes_once_until_its_page_is_read)
{
	const void *page;
	struct bench b;
	uint16_t cid;

	bench_start(&b, NULL);
	cid = ask_for_event(&b);
	ring_wrongly(&b);
	cr_assert(has_event(&b, cid));
	cid = ask_for_event(&b);
	cr_expect_not(has_event(&b, cid), "masked: its page was not read");
	ring_wrongly(&b);
	cr_expect_not(has_event(&b, cid), "still masked");
	cr_assert_eq(host_nvme_get_log(b.nvme, 1, 0, 64, &page), 0);
	/* What happened while it was masked may come now; take it. */
	if (has_event(&b, cid)) {
		cr_assert_eq(host_nvme_get_log(b.nvme, 1, 0, 64, &page), 0);
		cid = ask_for_event(&b);
	}
	cr_assert_not(has_event(&b, cid));
	ring_wrongly(&b);
	cr_expect(has_event(&b, cid), "and now it comes again");
	bench_stop(&b);
}

Test(function_events, retaining_the_event_keeps_it_masked)
{
	struct nvme_cmd log = {
		.opcode = NVME_ADMIN_GET_LOG_PAGE,
		.nsid = le32_put(NVME_NSID_ALL),
		.cdw10 = le32_put(15u << 16 | 1u << 15 | NVME_LID_ERROR),
	};
	struct bench b;
	uint16_t cid;

	bench_start(&b, NULL);
	log.prp1 = le64_put(b.nvme->scratch);
	cid = ask_for_event(&b);
	ring_wrongly(&b);
	cr_assert(has_event(&b, cid));
	cr_assert_eq(host_nvme_call(b.nvme, 0, &log, NULL), 0);
	cid = ask_for_event(&b);
	ring_wrongly(&b);
	cr_expect_not(has_event(&b, cid), "RAE keeps it masked");
	bench_stop(&b);
}

Test(function_events, an_event_waits_for_somebody_to_ask)
{
	struct bench b;

	bench_start(&b, NULL);
	ring_wrongly(&b);
	cr_expect(has_event(&b, ask_for_event(&b)));
	bench_stop(&b);
}

Test(function_events, a_threshold_that_is_passed_is_an_event)
{
	struct nvme_cqe cqe;
	const void *page;
	const struct nvme_smart_log *smart;
	struct bench b;
	uint16_t cid;

	bench_start(&b, NULL);
	cr_assert_eq(host_nvme_set_feature(b.nvme, 0x0b, 0x1f, NULL), 0);
	cid = ask_for_event(&b);
	cr_assert_eq(host_nvme_set_feature(b.nvme, 4, 274, NULL), 0);
	cr_assert_eq(host_nvme_wait(b.nvme, 0, cid, &cqe), 0);
	cr_expect_eq(le32_get(cqe.dw0), 2u << 16 | 1u << 8 | 1u);
	cr_assert_eq(host_nvme_get_log(b.nvme, 2, 0, 512, &page), 0);
	smart = page;
	cr_expect_eq(smart->critical_warning, 2);
	bench_stop(&b);
}

/* 5.14.1.4: the list is empty once it was read. */
Test(function_events, a_resized_volume_is_an_event_and_a_list)
{
	struct nvme_cqe cqe;
	const void *page;
	const le32 *list;
	struct bench b;
	uint16_t cid;

	bench_start(&b, NULL);
	cr_assert_eq(host_nvme_set_feature(b.nvme, 0x0b, 0x100, NULL), 0);
	cid = ask_for_event(&b);
	ebs_function_resized(b.fn);
	cr_assert_eq(host_nvme_wait(b.nvme, 0, cid, &cqe), 0);
	cr_expect_eq(le32_get(cqe.dw0), 4u << 16 | 2);
	cr_assert_eq(host_nvme_get_log(b.nvme, 4, 0, 4096, &page), 0);
	list = page;
	cr_expect_eq(le32_get(list[0]), 1);
	cr_expect_eq(le32_get(list[1]), 0);
	cr_assert_eq(host_nvme_get_log(b.nvme, 4, 0, 4096, &page), 0);
	cr_expect_eq(le32_get(list[0]), 0);
	bench_stop(&b);
}

Test(function_events, an_event_that_is_off_does_not_come)
{
	struct bench b;
	uint16_t cid;

	bench_start(&b, NULL);
	cr_assert_eq(host_nvme_set_feature(b.nvme, 0x0b, 0, NULL), 0);
	cid = ask_for_event(&b);
	cr_assert_eq(host_nvme_set_feature(b.nvme, 4, 274, NULL), 0);
	cr_expect_not(has_event(&b, cid));
	bench_stop(&b);
}

/* --- Abort ---------------------------------------------------------------- */

/* Returns bit 0 of dw0: it was not aborted. */
static uint32_t abort_command(struct bench *b, uint16_t sq, uint16_t cid)
{
	struct nvme_cmd cmd = { .opcode = NVME_ADMIN_ABORT,
				.cdw10 = le32_put((uint32_t)cid << 16 | sq) };
	struct nvme_cqe cqe = { 0 };

	cr_assert_eq(host_nvme_call(b->nvme, 0, &cmd, &cqe), 0);
	return le32_get(cqe.dw0) & 1;
}

static uint16_t start_read(struct bench *b)
{
	struct nvme_cmd read = { .opcode = NVME_NVM_READ, .nsid = le32_put(1) };
	uint16_t cid;

	read.prp1 = le64_put(host_nvme_alloc(b->nvme, 4096, 4096));
	cr_assert_eq(host_nvme_submit(b->nvme, 1, &read, &cid), 0);
	bench_settle(b);
	return cid;
}

Test(function_abort, a_held_command_is_aborted_and_completes_once)
{
	struct nvme_cqe cqe;
	struct bench b;
	uint16_t cid;

	bench_start(&b, NULL);
	bench_stall_io(&b, true);
	cid = start_read(&b);
	cr_expect_eq(abort_command(&b, 1, cid), 0);
	cr_assert_eq(host_nvme_wait(b.nvme, 1, cid, &cqe), STATUS(0, 7));
	bench_stall_io(&b, false);
	cr_assert_eq(host_nvme_idle(b.nvme, 20), 0);
	host_nvme_reap(b.nvme, 1);
	cr_expect_not(host_nvme_take(b.nvme, 1, cid, &cqe));
	cr_expect_eq(abort_command(&b, 1, cid), 1, "it is gone");
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
}

Test(function_abort, an_event_request_is_aborted)
{
	struct bench b;
	uint16_t cid;

	bench_start(&b, NULL);
	cid = ask_for_event(&b);
	cr_expect_eq(abort_command(&b, 0, cid), 0);
	cr_expect_eq(host_nvme_wait(b.nvme, 0, cid, NULL), STATUS(0, 7));
	bench_stop(&b);
}

Test(function_abort, what_is_not_there_is_not_aborted)
{
	struct bench b;

	bench_start(&b, NULL);
	cr_expect_eq(abort_command(&b, 1, 0x7777), 1);
	cr_expect_eq(abort_command(&b, 0, 0x7777), 1);
	cr_expect_eq(abort_command(&b, 2, 0), 1, "no such queue");
	cr_expect_eq(abort_command(&b, 65535, 65535), 1);
	bench_stop(&b);
}

Test(function_abort, the_first_generation_accepts_it_and_does_nothing)
{
	struct bench b;
	uint16_t cid;

	bench_start(&b, &(struct bench_options){ .profile = "ebs-1" });
	bench_stall_io(&b, true);
	cid = start_read(&b);
	cr_expect_eq(abort_command(&b, 1, cid), 1);
	host_nvme_reap(b.nvme, 1);
	cr_expect_not(host_nvme_take(b.nvme, 1, cid, NULL));
	bench_stop(&b);
}

/* As many writes as there are pages at far, whose data never comes. */
static void start_mute_writes(struct bench *b, uint64_t far, uint16_t *cids,
			      unsigned int count)
{
	struct nvme_cmd write = { .opcode = NVME_NVM_WRITE,
				  .nsid = le32_put(1) };

	host_set_quirks(b->host, HOST_MUTE_DMA);
	for (unsigned int i = 0; i < count; i++) {
		write.prp1 = le64_put(far + i * 4096);
		cr_assert_eq(host_nvme_submit(b->nvme, 1, &write, &cids[i]), 0);
	}
	bench_settle(b);
}

/* The limit is 0's based: ACL of 4 lets five wait (5.15.2.2). */
Test(function_abort, one_more_than_the_limit_is_refused)
{
	enum { LIMIT = 5 };
	struct nvme_cmd stop = { .opcode = NVME_ADMIN_ABORT };
	uint64_t far = UINT64_C(0x900000000);
	uint16_t cids[LIMIT + 1], stops[LIMIT + 1];
	struct host_memory lost;
	struct bench b;

	bench_start(&b, NULL);
	cr_assert_eq(
		host_memory_map(b.host, far, (LIMIT + 1) * 4096, false, &lost),
		0);
	start_mute_writes(&b, far, cids, LIMIT + 1);
	for (unsigned int i = 0; i <= LIMIT; i++) {
		stop.cdw10 = le32_put((uint32_t)cids[i] << 16 | 1);
		cr_assert_eq(host_nvme_submit(b.nvme, 0, &stop, &stops[i]), 0);
	}
	cr_expect_eq(host_nvme_wait(b.nvme, 0, stops[LIMIT], NULL),
		     STATUS(1, 3));
	bench_pass_time(&b, 11 * RT_NS_PER_S);
	for (unsigned int i = 0; i < LIMIT; i++) {
		cr_expect_eq(host_nvme_wait(b.nvme, 0, stops[i], NULL), 0);
		cr_expect_eq(host_nvme_wait(b.nvme, 1, cids[i], NULL),
			     STATUS(0, 7));
	}
	cr_expect_gt(host_nvme_wait(b.nvme, 1, cids[LIMIT], NULL), 0);
	bench_stop(&b);
	host_memory_free(&lost);
}

/* The write's data never comes: it is in the hands of the client. */
Test(function_abort, a_command_that_waits_for_memory_is_aborted)
{
	struct nvme_cmd write = { .opcode = NVME_NVM_WRITE,
				  .nsid = le32_put(1) };
	uint64_t far = UINT64_C(0x900000000);
	struct host_memory lost;
	struct bench b;
	struct nvme_cmd stop = { .opcode = NVME_ADMIN_ABORT };
	uint16_t cid, stop_cid;

	bench_start(&b, NULL);
	cr_assert_eq(host_memory_map(b.host, far, 4096, false, &lost), 0);
	write.prp1 = le64_put(far);
	host_set_quirks(b.host, HOST_MUTE_DMA);
	cr_assert_eq(host_nvme_submit(b.nvme, 1, &write, &cid), 0);
	bench_settle(&b);
	cr_assert_eq(host_poll(b.host, 0), 1, "the device asks for the data");
	stop.cdw10 = le32_put((uint32_t)cid << 16 | 1);
	cr_assert_eq(host_nvme_submit(b.nvme, 0, &stop, &stop_cid), 0);
	bench_settle(&b);
	/* Whoever waits for that client waits for ten seconds at most. */
	bench_pass_time(&b, 11 * RT_NS_PER_S);
	cr_expect_eq(host_nvme_wait(b.nvme, 0, stop_cid, NULL), 0);
	cr_expect_eq(host_nvme_wait(b.nvme, 1, cid, NULL), STATUS(0, 7));
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
	host_memory_free(&lost);
}
