/* SPDX-License-Identifier: BSD-3-Clause */
/* The controller's registers and its state machine: NVMe Base 1.4, 3.1, 7.6. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/function/bench.h"

static uint32_t reg32(struct bench *b, uint64_t offset)
{
	uint32_t value = 0;

	cr_assert_eq(host_read32(b->host, 0, offset, &value), 0);
	return value;
}

static uint64_t reg64(struct bench *b, uint64_t offset)
{
	uint64_t value = 0;

	cr_assert_eq(host_read64(b->host, 0, offset, &value), 0);
	return value;
}

static void open_bench(struct bench *b)
{
	bench_make_card(b, NULL);
	bench_connect(b);
	bench_open_driver(b);
}

Test(function_registers, capabilities_are_those_that_drivers_need)
{
	struct bench b;
	uint64_t cap;

	open_bench(&b);
	cap = reg64(&b, NVME_REG_CAP);
	cr_expect_geq(bits_get(NVME_CAP_MQES, cap), 31);
	cr_expect_eq(bits_get(NVME_CAP_CQR, cap), 1);
	cr_expect_geq(bits_get(NVME_CAP_TO, cap), 20);
	cr_expect_eq(bits_get(NVME_CAP_DSTRD, cap), 0);
	cr_expect_eq(bits_get(NVME_CAP_CSS, cap) & 1, 1);
	cr_expect_eq(bits_get(NVME_CAP_MPSMIN, cap), 0);
	cr_expect_eq(bits_get(NVME_CAP_NSSRS, cap), 0);
	cr_expect_eq(reg32(&b, NVME_REG_CSTS), 0);
	cr_expect_eq(reg32(&b, NVME_REG_CC), 0);
	bench_stop(&b);
}

Test(function_registers, the_queue_depth_is_what_the_user_asked_for)
{
	static const uint32_t depths[] = { 32, 64, 256 };

	for (size_t i = 0; i < 3; i++) {
		struct bench b;

		bench_make_card(&b, &(struct bench_options){
					    .queue_entries = depths[i] });
		bench_connect(&b);
		bench_open_driver(&b);
		cr_expect_eq(bits_get(NVME_CAP_MQES, b.nvme->cap) + 1,
			     depths[i]);
		bench_stop(&b);
	}
}

Test(function_registers, the_version_is_the_one_in_identify)
{
	static const char *const profiles[] = { "ebs-2", "is-2", "is-3" };

	for (size_t i = 0; i < 3; i++) {
		const struct nvme_id_ctrl *id;
		const void *page;
		struct bench b;

		bench_enable(&b,
			     &(struct bench_options){ .profile = profiles[i] });
		cr_assert_eq(host_nvme_identify(b.nvme, 1, 0, &page), 0);
		id = page;
		cr_expect_eq(le32_get(id->ver), reg32(&b, NVME_REG_VS), "%s",
			     profiles[i]);
		cr_expect_eq(reg32(&b, NVME_REG_VS), NVME_VERSION(1, 4));
		bench_stop(&b);
	}
}

Test(function_registers, wide_registers_take_halves_in_either_order)
{
	struct bench b;

	open_bench(&b);
	host_write32(b.host, 0, NVME_REG_ASQ, 0x12345000);
	host_write32(b.host, 0, NVME_REG_ASQ + 4, 0x9abc);
	cr_expect_eq(reg64(&b, NVME_REG_ASQ), UINT64_C(0x9abc12345000));
	host_write32(b.host, 0, NVME_REG_ACQ + 4, 0x1111);
	host_write32(b.host, 0, NVME_REG_ACQ, 0x22223000);
	cr_expect_eq(reg64(&b, NVME_REG_ACQ), UINT64_C(0x111122223000));
	cr_expect_eq(reg32(&b, NVME_REG_ACQ + 4), 0x1111);
	host_write64(b.host, 0, NVME_REG_ASQ, UINT64_C(0x55554444333000));
	cr_expect_eq(reg32(&b, NVME_REG_ASQ + 4), 0x555544);
	cr_expect_eq(reg32(&b, NVME_REG_ASQ), 0x44333000);
	bench_stop(&b);
}

Test(function_registers, read_only_registers_ignore_writes)
{
	static const uint64_t offsets[] = { NVME_REG_CAP,  NVME_REG_VS,
					    NVME_REG_CSTS, 0x38,
					    0x40,          0x68 };
	struct bench b;

	open_bench(&b);
	for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
		uint32_t before = reg32(&b, offsets[i]);

		host_write32(b.host, 0, offsets[i], ~before);
		cr_expect_eq(reg32(&b, offsets[i]), before, "offset %#jx",
			     (uintmax_t)offsets[i]);
	}
	/* NSSR without CAP.NSSRS is reserved: the magic does nothing. */
	host_write32(b.host, 0, 0x20, 0x4e564d65);
	cr_expect_eq(reg32(&b, 0x20), 0);
	bench_stop(&b);
}

Test(function_registers, outside_of_the_bar_are_ones)
{
	struct bench b;
	uint64_t size;

	open_bench(&b);
	cr_assert_eq(host_region_size(b.host, 0, &size), 0);
	cr_expect_eq(size, 0x4000);
	cr_expect_eq(reg32(&b, size), UINT32_MAX);
	cr_expect_eq(reg64(&b, size - 4) >> 32, UINT32_MAX);
	cr_expect_eq(host_write32(b.host, 0, size, 1), 0);
	cr_expect_eq(reg64(&b, NVME_REG_CAP), b.nvme->cap);
	bench_stop(&b);
}

/* --- Enable ----------------------------------------------------------------
 */

struct enable_row {
	const char *name;
	uint32_t cc, aqa;
	bool is_bad;
};

#define GOOD_CC  (6u << 16 | 4u << 20)
#define GOOD_AQA (31u << 16 | 31u)

static const struct enable_row enable_rows[] = {
	{ "as usual", GOOD_CC, GOOD_AQA, false },
	{ "two entries", GOOD_CC, 1u << 16 | 1u, false },
	{ "4096 entries", GOOD_CC, 4095u << 16 | 4095u, false },
	{ "entry sizes of zero are for later", 0, GOOD_AQA, false },
	{ "pages of 8 KiB", GOOD_CC | 1u << 7, GOOD_AQA, true },
	{ "pages of 128 MiB", GOOD_CC | 15u << 7, GOOD_AQA, true },
	{ "command set 1", GOOD_CC | 1u << 4, GOOD_AQA, true },
	{ "admin commands only", GOOD_CC | 7u << 4, GOOD_AQA, true },
	{ "reserved arbitration", GOOD_CC | 2u << 11, GOOD_AQA, true },
	{ "submission queue of one", GOOD_CC, 31u << 16, true },
	{ "completion queue of one", GOOD_CC, 31u, true },
	{ "both queues of one", GOOD_CC, 0, true },
};

static int enable_row(struct bench *b, const struct enable_row *row)
{
	struct host_nvme *n = b->nvme;
	uint64_t sq = host_nvme_alloc(n, 0x40000, 4096);
	uint64_t cq = host_nvme_alloc(n, 0x10000, 4096);

	cr_assert(sq && cq);
	host_write32(b->host, 0, NVME_REG_AQA, row->aqa);
	host_write64(b->host, 0, NVME_REG_ASQ, sq);
	host_write64(b->host, 0, NVME_REG_ACQ, cq);
	return host_nvme_enable_as(n, row->cc);
}

Test(function_registers, enable_checks_what_it_is_given)
{
	struct bench b;

	open_bench(&b);
	for (size_t i = 0; i < sizeof enable_rows / sizeof *enable_rows; i++) {
		const struct enable_row *row = &enable_rows[i];
		int rc = enable_row(&b, row);

		cr_expect_eq(rc, row->is_bad ? -EIO : 0, "%s: %d", row->name,
			     rc);
		if (row->is_bad)
			cr_expect_eq(reg32(&b, NVME_REG_CSTS) & 1, 0, "%s",
				     row->name);
		/* Clearing EN leaves the fatal state too. */
		cr_expect_eq(host_write32(b.host, 0, NVME_REG_CC, row->cc), 0);
		bench_settle(&b);
		cr_expect_eq(reg32(&b, NVME_REG_CSTS), 0, "%s", row->name);
	}
	cr_expect_eq(host_nvme_enable(b.nvme), 0);
	bench_stop(&b);
}

Test(function_registers, queues_in_no_memory_do_not_hang_the_host)
{
	struct bench b;
	int rc;

	open_bench(&b);
	host_write32(b.host, 0, NVME_REG_AQA, GOOD_AQA);
	host_write64(b.host, 0, NVME_REG_ASQ, UINT64_C(0xdead00000000));
	host_write64(b.host, 0, NVME_REG_ACQ, UINT64_C(0xfffffffffffff000));
	rc = host_nvme_enable_as(b.nvme, GOOD_CC);
	cr_expect(rc == 0 || rc == -EIO);
	host_nvme_ring_sq(b.nvme, 0, 1);
	bench_settle(&b);
	cr_expect_eq(reg32(&b, NVME_REG_CSTS) & NVME_CSTS_CFS, NVME_CSTS_CFS,
		     "a queue that cannot be read is fatal");
	cr_expect_eq(host_nvme_disable(b.nvme), 0);
	cr_expect_eq(host_nvme_enable(b.nvme), 0);
	bench_stop(&b);
}

Test(function_registers, disable_keeps_the_admin_queue_registers)
{
	struct bench b;
	uint64_t asq, acq;
	uint32_t aqa;

	bench_start(&b, NULL);
	asq = reg64(&b, NVME_REG_ASQ);
	acq = reg64(&b, NVME_REG_ACQ);
	aqa = reg32(&b, NVME_REG_AQA);
	cr_expect_neq(asq, 0);
	cr_expect_eq(host_nvme_disable(b.nvme), 0);
	cr_expect_eq(reg64(&b, NVME_REG_ASQ), asq);
	cr_expect_eq(reg64(&b, NVME_REG_ACQ), acq);
	cr_expect_eq(reg32(&b, NVME_REG_AQA), aqa);
	bench_stop(&b);
}

Test(function_registers, disable_drops_what_is_outstanding_without_a_word)
{
	struct nvme_cmd event = { .opcode = NVME_ADMIN_ASYNC_EVENT };
	struct nvme_cmd read = { .opcode = NVME_NVM_READ, .nsid = le32_put(1) };
	struct host_nvme_cq admin, io;
	struct bench b;

	bench_start(&b, NULL);
	bench_stall_io(&b, true);
	read.prp1 = le64_put(host_nvme_alloc(b.nvme, 4096, 4096));
	cr_assert_eq(host_nvme_submit(b.nvme, 0, &event, NULL), 0);
	cr_assert_eq(host_nvme_submit(b.nvme, 1, &read, NULL), 0);
	bench_settle(&b);
	admin = b.nvme->cqs[0];
	io = b.nvme->cqs[1];
	cr_expect_eq(host_nvme_disable(b.nvme), 0);
	bench_settle(&b);
	/* Nothing was written into the queues after that. */
	b.nvme->cqs[0] = admin;
	b.nvme->cqs[1] = io;
	cr_expect_not(host_nvme_has_new(b.nvme, 0));
	cr_expect_not(host_nvme_has_new(b.nvme, 1));
	bench_stall_io(&b, false);
	cr_expect_eq(host_nvme_enable(b.nvme), 0);
	bench_stop(&b);
}

Test(function_registers, enabling_a_hundred_times_changes_nothing)
{
	struct nvme_id_ctrl first;
	struct bench b;
	const void *page;
	uint32_t queues, again;

	bench_enable(&b, NULL);
	cr_assert_eq(host_nvme_identify(b.nvme, 1, 0, &page), 0);
	memcpy(&first, page, sizeof first);
	cr_assert_eq(host_nvme_set_feature(b.nvme, 7, 0xfffefffe, &queues), 0);
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(host_nvme_disable(b.nvme), 0);
		cr_assert_eq(host_nvme_enable(b.nvme), 0);
		cr_assert_eq(host_nvme_identify(b.nvme, 1, 0, &page), 0);
		cr_assert_arr_eq(page, &first, sizeof first);
		cr_assert_eq(
			host_nvme_set_feature(b.nvme, 7, 0xfffefffe, &again),
			0);
		cr_assert_eq(again, queues);
	}
	bench_stop(&b);
}

/* --- Shutdown --------------------------------------------------------------
 */

Test(function_registers, shutdown_completes_and_only_a_reset_leaves_it)
{
	for (unsigned int shn = 1; shn <= 2; shn++) {
		struct bench b;

		bench_start(&b, NULL);
		cr_expect_eq(host_nvme_shutdown(b.nvme, shn), 0);
		host_write32(b.host, 0, NVME_REG_CC, GOOD_CC | 1);
		cr_expect_eq(bits_get(NVME_CSTS_SHST, reg32(&b, NVME_REG_CSTS)),
			     NVME_SHST_COMPLETE, "SHN %u", shn);
		cr_expect_eq(host_nvme_disable(b.nvme), 0);
		cr_expect_eq(reg32(&b, NVME_REG_CSTS), 0);
		cr_expect_eq(host_nvme_enable(b.nvme), 0);
		bench_stop(&b);
	}
}

Test(function_registers, shutdown_waits_for_commands_and_takes_no_more)
{
	uint8_t block[BENCH_BLOCK];
	struct nvme_cmd read = { .opcode = NVME_NVM_READ, .nsid = le32_put(1) };
	struct bench b;
	uint16_t cid;

	bench_start(&b, NULL);
	bench_pattern(block, sizeof block, 7);
	cr_expect_eq(bench_write(&b, 3, block, sizeof block), 0);
	read.prp1 = le64_put(host_nvme_alloc(b.nvme, 4096, 4096));
	cr_expect_eq(host_nvme_submit(b.nvme, 1, &read, &cid), 0);
	cr_expect_eq(host_nvme_shutdown(b.nvme, 1), 0);
	cr_expect_eq(host_nvme_wait(b.nvme, 1, cid, NULL), 0,
		     "the one before it completes");
	bench_stop(&b);
}

/* --- Doorbells -------------------------------------------------------------
 */

struct doorbell_row {
	const char *name;
	uint64_t offset;
	uint32_t value;
	uint32_t info; /* of the event: 5.2.1 */
};

/* Queue pair 1 has 32 entries; the admin queues have 32. */
static const struct doorbell_row doorbell_rows[] = {
	{ "tail of admin queue at its size", NVME_SQ_DOORBELL(0), 32, 1 },
	{ "tail of queue 1 at its size", NVME_SQ_DOORBELL(1), 32, 1 },
	{ "tail of queue 1 at 65535", NVME_SQ_DOORBELL(1), 65535, 1 },
	{ "head of queue 1 at its size", NVME_CQ_DOORBELL(1), 32, 1 },
	{ "tail of queue 2, which is none", NVME_SQ_DOORBELL(2), 1, 0 },
	{ "head of queue 2, which is none", NVME_CQ_DOORBELL(2), 1, 0 },
	{ "tail of queue 100", NVME_SQ_DOORBELL(100), 1, 0 },
};

static void expect_event(struct bench *b, const struct doorbell_row *row)
{
	struct nvme_cmd cmd = { .opcode = NVME_ADMIN_ASYNC_EVENT };
	struct nvme_cqe cqe;
	const void *page;
	uint16_t cid;
	uint32_t dw0;

	cr_assert_eq(host_nvme_submit(b->nvme, 0, &cmd, &cid), 0);
	bench_settle(b);
	cr_assert_eq(host_write32(b->host, 0, row->offset, row->value), 0);
	cr_assert_eq(host_nvme_wait(b->nvme, 0, cid, &cqe), 0, "%s", row->name);
	dw0 = le32_get(cqe.dw0);
	cr_expect_eq(bits_get(NVME_EVENT_TYPE, dw0), NVME_EVENT_ERROR);
	cr_expect_eq(bits_get(NVME_EVENT_INFO, dw0), row->info, "%s",
		     row->name);
	cr_expect_eq(bits_get(NVME_EVENT_LOG, dw0), NVME_LID_ERROR);
	/* Reading its page lets the next such event come. */
	cr_assert_eq(host_nvme_get_log(b->nvme, NVME_LID_ERROR, 0, 64, &page),
		     0);
}

Test(function_registers, wrong_doorbells_are_told_and_otherwise_ignored)
{
	uint8_t block[BENCH_BLOCK];
	struct bench b;

	bench_start(&b, NULL);
	for (size_t i = 0; i < sizeof doorbell_rows / sizeof *doorbell_rows;
	     i++)
		expect_event(&b, &doorbell_rows[i]);
	cr_expect_eq(bench_read(&b, 0, block, sizeof block), 0);
	bench_stop(&b);
}

Test(function_registers, a_doorbell_before_ready_starts_nothing)
{
	struct bench b;

	open_bench(&b);
	cr_expect_eq(host_nvme_ring_sq(b.nvme, 0, 1), 0);
	cr_expect_eq(host_nvme_ring_sq(b.nvme, 1, 1), 0);
	bench_settle(&b);
	cr_expect_eq(reg32(&b, NVME_REG_CSTS), 0);
	cr_expect_eq(host_nvme_enable(b.nvme), 0);
	cr_expect_eq(host_nvme_get_feature(b.nvme, 1, 0, NULL), 0);
	bench_stop(&b);
}

Test(function_registers, a_doorbell_rung_twice_is_rung_once)
{
	uint8_t block[BENCH_BLOCK];
	struct bench b;

	bench_start(&b, NULL);
	cr_expect_eq(bench_read(&b, 0, block, sizeof block), 0);
	host_nvme_ring_sq(b.nvme, 1, b.nvme->sqs[1].tail);
	host_nvme_ring_cq(b.nvme, 1, b.nvme->cqs[1].head);
	bench_settle(&b);
	cr_expect_not(host_nvme_has_new(b.nvme, 1));
	cr_expect_eq(bench_read(&b, 0, block, sizeof block), 0);
	bench_stop(&b);
}

Test(function_registers, a_burst_of_posted_writes_keeps_its_order)
{
	struct host_store stores[64];
	struct bench b;
	int rc;

	open_bench(&b);
	for (uint32_t i = 0; i < 64; i++)
		stores[i] = (struct host_store){ NVME_REG_ASQ, 0, 8,
						 i * UINT64_C(0x1000) };
	rc = host_write_many(b.host, stores, 64);
	cr_expect_eq(rc, 0, "REGION_WRITE_MULTI: %d", rc);
	cr_expect_eq(reg64(&b, NVME_REG_ASQ), 63 * 0x1000);
	host_set_quirks(b.host, HOST_POSTED_WRITES);
	for (uint32_t i = 0; i < 3000; i++)
		cr_assert_eq(host_write64(b.host, 0, NVME_REG_ACQ,
					  i * UINT64_C(0x1000)),
			     0);
	cr_expect_eq(reg64(&b, NVME_REG_ACQ), 2999 * UINT64_C(0x1000));
	bench_stop(&b);
}
