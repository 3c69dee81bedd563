/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The polling queues, against rings that the test plays the controller of.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/nvme_io.h"

#define QID     1
#define IOVA    UINT64_C(0x40000000)
#define BYTES   UINT64_C(0x400000)
#define ENTRIES 8u
#define SLOTS   6
#define BLOCK   512u

static struct host_nvme nvme;
static struct host_nvme_doors doors;
static struct host_nvme_io *q;
static uint32_t *registers; /* 1000h */
static uint32_t posted;     /* completions, ever */

static struct host_nvme_io_options usual(void)
{
	return (struct host_nvme_io_options){ .nsid = 7,
					      .block_bytes = BLOCK,
					      .slots = SLOTS,
					      .slot_bytes = 16384 };
}

/* What the driver would have after host_nvme_create_pair(). */
static void make_rings(void)
{
	memset(&nvme, 0, sizeof nvme);
	registers = calloc(1, HOST_NVME_PAGE);
	nvme.memory = (struct host_memory){
		.bytes = aligned_alloc(HOST_NVME_PAGE, BYTES),
		.iova = IOVA,
		.size = BYTES,
		.page_bytes = BYTES,
		.fd = -1,
	};
	memset(nvme.memory.bytes, 0xa5, BYTES);
	nvme.memory_used = HOST_NVME_PAGE;
	nvme.doorbells = registers;
	nvme.sqs[QID] = (struct host_nvme_sq){
		.iova = host_nvme_alloc(&nvme, ENTRIES * 64, HOST_NVME_PAGE),
		.entries = ENTRIES,
		.cq = QID,
	};
	nvme.cqs[QID] = (struct host_nvme_cq){
		.iova = host_nvme_alloc(&nvme, ENTRIES * 16, HOST_NVME_PAGE),
		.entries = ENTRIES,
		.phase = 1,
	};
	memset(host_nvme_at(&nvme, nvme.cqs[QID].iova), 0, ENTRIES * 16);
	posted = 0;
}

static void make_queue(const struct host_nvme_io_options *options)
{
	make_rings();
	cr_assert_eq(host_nvme_doors_open(&nvme, HOST_NVME_DOORS_AUTO, &doors),
		     0);
	cr_assert_eq(host_nvme_io_open(&doors, QID, options, &q), 0);
}

static void set_up(void)
{
	struct host_nvme_io_options options = usual();

	make_queue(&options);
}

static void tear_down(void)
{
	host_nvme_io_close(&q);
	host_nvme_doors_close(&doors);
	free(nvme.memory.bytes);
	free(registers);
}

static const struct nvme_cmd *entry(unsigned int index)
{
	const struct nvme_cmd *sq = host_nvme_at(&nvme, nvme.sqs[QID].iova);

	return &sq[index];
}

static uint32_t sq_tail(void)
{
	return registers[2 * QID];
}

static uint32_t cq_head(void)
{
	return registers[2 * QID + 1];
}

/* As a controller does it: the phase changes with every round. */
static void complete(uint16_t cid, unsigned int status)
{
	struct nvme_cqe *cq = host_nvme_at(&nvme, nvme.cqs[QID].iova);
	unsigned int phase = posted / ENTRIES % 2 == 0;

	cq[posted++ % ENTRIES] = (struct nvme_cqe){
		.cid = le16_put(cid),
		.sqid = le16_put(QID),
		.status = le16_put((uint16_t)(status << 1 | phase)),
	};
}

static void read_one(uint16_t slot)
{
	struct host_nvme_io_done done;

	host_nvme_io_put(q, NVME_NVM_READ, slot, 1, 1);
	complete(slot, 0);
	cr_assert_eq(host_nvme_io_poll(q, &done, 1), 1);
}

TestSuite(host_nvme_io, .init = set_up, .fini = tear_down);

Test(host_nvme_io, a_command_is_what_the_specification_says)
{
	const struct nvme_cmd *cmd = entry(0);

	host_nvme_io_put(q, NVME_NVM_WRITE, 3, UINT64_C(0x123456789a), 8);
	cr_expect_eq(cmd->opcode, NVME_NVM_WRITE);
	cr_expect_eq(cmd->flags, 0);
	cr_expect_eq(le16_get(cmd->cid), 3);
	cr_expect_eq(le32_get(cmd->nsid), 7);
	cr_expect_eq(le64_get(cmd->mptr), 0);
	cr_expect_eq(le32_get(cmd->cdw10), 0x3456789a);
	cr_expect_eq(le32_get(cmd->cdw11), 0x12);
	cr_expect_eq(le32_get(cmd->cdw12), 7);
	cr_expect_eq(le32_get(cmd->cdw2) | le32_get(cmd->cdw3) |
			     le32_get(cmd->cdw13) | le32_get(cmd->cdw14) |
			     le32_get(cmd->cdw15),
		     0);
}

/* 4.3: nothing, the second page, or a list of all but the first. */
Test(host_nvme_io, the_second_prp_entry_is_of_the_transfer_and_not_the_slot)
{
	uint8_t *buffer = host_nvme_io_buffer(q, 2);
	const le64 *list;

	for (uint16_t slot = 0; slot < 3; slot++)
		host_nvme_io_put(q, NVME_NVM_READ, slot, 0, 8u << slot);
	cr_expect_eq(le64_get(entry(0)->prp2), 0);
	cr_expect_eq(host_nvme_at(&nvme, le64_get(entry(1)->prp2)),
		     (uint8_t *)host_nvme_io_buffer(q, 1) + HOST_NVME_PAGE);
	cr_expect_eq(host_nvme_at(&nvme, le64_get(entry(2)->prp1)), buffer);
	list = host_nvme_at(&nvme, le64_get(entry(2)->prp2));
	for (unsigned int i = 0; i < 3; i++)
		cr_expect_eq(host_nvme_at(&nvme, le64_get(list[i])),
			     buffer + (i + 1) * HOST_NVME_PAGE, "page %u", i);
}

Test(host_nvme_io, an_entry_is_used_again_without_what_was_in_it)
{
	struct host_nvme_io_done done;

	host_nvme_io_put(q, NVME_NVM_READ, 0, UINT64_MAX, 32);
	complete(0, 0);
	cr_assert_eq(host_nvme_io_poll(q, &done, 1), 1);
	for (unsigned int i = 1; i < ENTRIES; i++)
		read_one(1);
	host_nvme_io_put_flush(q, 4);
	cr_expect_eq(entry(0)->opcode, NVME_NVM_FLUSH);
	cr_expect_eq(le16_get(entry(0)->cid), 4);
	cr_expect_eq(le32_get(entry(0)->nsid), 7);
	cr_expect_eq(le64_get(entry(0)->prp1) | le64_get(entry(0)->prp2), 0);
	cr_expect_eq(le32_get(entry(0)->cdw10) | le32_get(entry(0)->cdw11) |
			     le32_get(entry(0)->cdw12),
		     0);
}

Test(host_nvme_io, the_doorbell_is_rung_once_and_only_for_news)
{
	registers[2 * QID] = 0xffff;
	cr_expect_eq(host_nvme_io_ring(q), 0);
	cr_expect_eq(sq_tail(), 0xffff);
	for (uint16_t slot = 0; slot < 5; slot++)
		host_nvme_io_put(q, NVME_NVM_READ, slot, 0, 1);
	cr_expect_eq(sq_tail(), 0xffff);
	cr_expect_eq(host_nvme_io_ring(q), 0);
	cr_expect_eq(sq_tail(), 5);
	cr_expect_eq(host_nvme_io_trapped(q), 0);
}

Test(host_nvme_io, completions_are_found_by_phase_round_after_round)
{
	struct host_nvme_io_done done[SLOTS];

	for (unsigned int i = 0; i < 5 * ENTRIES; i++) {
		uint16_t slot = i % SLOTS;

		cr_assert_eq(host_nvme_io_poll(q, done, SLOTS), 0, "%u", i);
		host_nvme_io_put(q, NVME_NVM_READ, slot, i, 1);
		complete(slot, 0);
		cr_assert_eq(host_nvme_io_poll(q, done, SLOTS), 1, "%u", i);
		cr_assert_eq(done[0].slot, slot);
		cr_assert_eq(done[0].status, 0);
	}
}

Test(host_nvme_io, completions_come_in_any_order_and_no_more_than_asked)
{
	static const uint16_t order[] = { 4, 1, 3, 0, 2 };
	struct host_nvme_io_done done[5];

	for (uint16_t slot = 0; slot < 5; slot++)
		host_nvme_io_put(q, NVME_NVM_READ, slot, 0, 1);
	for (size_t i = 0; i < RT_COUNT(order); i++)
		complete(order[i], 0);
	cr_expect_eq(host_nvme_io_poll(q, done, 2), 2);
	cr_expect_eq(host_nvme_io_poll(q, done + 2, 5), 3);
	for (size_t i = 0; i < RT_COUNT(order); i++)
		cr_expect_eq(done[i].slot, order[i]);
}

Test(host_nvme_io, a_status_has_neither_phase_nor_retry)
{
	struct host_nvme_io_done done;

	host_nvme_io_put(q, NVME_NVM_READ, 5, 0, 1);
	complete(5, HOST_NVME_STATUS(2, 0x81) | 1u << 14);
	cr_assert_eq(host_nvme_io_poll(q, &done, 1), 1);
	cr_expect_eq(done.status, HOST_NVME_STATUS(2, 0x81));
}

Test(host_nvme_io, what_is_not_in_flight_is_not_completed)
{
	static const uint16_t wrong[] = { 1, SLOTS, 0xffff };
	struct host_nvme_io_done done;

	for (size_t i = 0; i < RT_COUNT(wrong); i++) {
		tear_down();
		set_up();
		host_nvme_io_put(q, NVME_NVM_READ, 0, 0, 1);
		complete(wrong[i], 0);
		cr_expect_eq(host_nvme_io_poll(q, &done, 1), -EPROTO, "%u",
			     wrong[i]);
	}
}

Test(host_nvme_io, a_command_is_completed_once)
{
	struct host_nvme_io_done done[2];

	host_nvme_io_put(q, NVME_NVM_READ, 0, 0, 1);
	complete(0, 0);
	cr_expect_eq(host_nvme_io_poll(q, done, 2), 1);
	complete(0, 0);
	cr_expect_eq(host_nvme_io_poll(q, done, 2), -EPROTO);
}

Test(host_nvme_io, a_polled_queue_tells_its_head_while_half_is_free)
{
	for (unsigned int i = 0; i < 3 * ENTRIES; i++) {
		unsigned int told = i / (ENTRIES / 2) * (ENTRIES / 2);

		cr_expect_eq(cq_head(), told % ENTRIES, "%u", i);
		read_one(0);
	}
}

Test(host_nvme_io, a_queue_with_interrupts_tells_its_head_at_once)
{
	struct host_nvme_io_options options = usual();

	tear_down();
	options.has_interrupt = true;
	make_queue(&options);
	for (unsigned int i = 1; i < 3 * ENTRIES; i++) {
		read_one(0);
		cr_expect_eq(cq_head(), i % ENTRIES);
	}
}

Test(host_nvme_io, slots_must_fit_the_rings_and_the_list)
{
	static const struct {
		const char *why;
		uint16_t slots, qid;
		uint32_t block_bytes, slot_bytes;
	} rows[] = {
		{ "no slot", 0, QID, 512, 4096 },
		{ "a full ring looks empty", ENTRIES, QID, 512, 4096 },
		{ "half a power of two", 1, QID, 520, 4096 },
		{ "no block", 1, QID, 0, 4096 },
		{ "no bytes", 1, QID, 512, 0 },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		const struct host_nvme_io_options options = {
			.nsid = 1,
			.slots = rows[i].slots,
			.block_bytes = rows[i].block_bytes,
			.slot_bytes = rows[i].slot_bytes,
		};
		struct host_nvme_io *none = NULL;

		cr_expect_eq(
			host_nvme_io_open(&doors, rows[i].qid, &options, &none),
			-EINVAL, "%s", rows[i].why);
	}
}

/* 7.13: a ring is needed when the new tail has passed the event index. */
Test(host_nvme_io, shadow_doorbells_ring_when_the_controller_waits)
{
	static const struct {
		uint32_t puts, event;
		bool rings;
	} rows[] = {
		{ 1, 0, true },  /* 0 to 1, waits at 0 */
		{ 1, 0, false }, /* 1 to 2, waited at 0: it is awake */
		{ 2, 3, true },  /* 2 to 4, waits at 3 */
		{ 1, 5, false }, /* 4 to 5, waits for more than 5 */
		{ 2, 5, true },  /* 5 to 7 */
		{ 2, 7, true },  /* 7 to 1, around the end */
	};
	struct host_nvme_io_done done[SLOTS];
	uint32_t at = 2 * QID, tail = 0;

	doors.shadow = calloc(1, HOST_NVME_PAGE);
	doors.events = calloc(1, HOST_NVME_PAGE);
	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		registers[at] = 0xffff;
		doors.events[at] = rows[i].event;
		for (uint16_t slot = 0; slot < rows[i].puts; slot++) {
			host_nvme_io_put(q, NVME_NVM_READ, slot, 0, 1);
			complete(slot, 0);
		}
		tail = (tail + rows[i].puts) % ENTRIES;
		cr_expect_eq(host_nvme_io_ring(q), 0);
		cr_expect_eq(doors.shadow[at], tail, "row %zu", i);
		cr_expect_eq(registers[at], rows[i].rings ? tail : 0xffff,
			     "row %zu", i);
		cr_expect_eq(host_nvme_io_poll(q, done, SLOTS), rows[i].puts);
	}
	free(doors.shadow);
	free(doors.events);
}

Test(host_nvme_io, doorbells_lie_as_far_apart_as_the_controller_says)
{
	struct host_nvme_io_options options = usual();

	tear_down();
	make_rings();
	nvme.cap = bits_put(NVME_CAP_DSTRD, 0, 3);
	cr_assert_eq(host_nvme_doors_open(&nvme, HOST_NVME_DOORS_AUTO, &doors),
		     0);
	cr_assert_eq(host_nvme_io_open(&doors, QID, &options, &q), 0);
	host_nvme_io_put(q, NVME_NVM_READ, 0, 0, 1);
	cr_assert_eq(host_nvme_io_ring(q), 0);
	cr_expect_eq(registers[2 * QID * 8], 1);
}

Test(host_nvme_io, mapped_doorbells_are_taken_where_they_are)
{
	struct host_nvme_doors other;

	cr_expect_eq(doors.kind, HOST_NVME_DOORS_MAPPED);
	cr_expect_eq(
		host_nvme_doors_open(&nvme, HOST_NVME_DOORS_TRAPPED, &other),
		0);
	cr_expect_null((void *)(uintptr_t)other.mapped);
	host_nvme_doors_close(&other);
	nvme.doorbells = NULL;
	cr_expect_eq(
		host_nvme_doors_open(&nvme, HOST_NVME_DOORS_MAPPED, &other),
		-EOPNOTSUPP);
}
