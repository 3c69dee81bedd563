/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells in memory: the page of BAR 0 that a client maps, and the shadow
 * doorbells of NVMe Base 1.4, 5.7.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "ebs-nvme/controller.h"
#include "firmware/rt/loop.h"
#include "pcie-model/function.h"
#include "tests/function/bench.h"

#define STATUS(type, code) HOST_NVME_STATUS(type, code)
#define ENTRIES            32u

static const struct bench_options mapped = { .has_mapped_doorbells = true };
static const struct bench_options shadowed = { .profile = "nvme-1" };

static struct nvme_cmd a_flush(void)
{
	return (struct nvme_cmd){ .opcode = NVME_NVM_FLUSH,
				  .nsid = le32_put(1) };
}

static volatile uint32_t *page_of(struct bench *b)
{
	volatile void *page;

	cr_assert_eq(
		host_region_map(b->host, 0, NVME_REG_DOORBELLS, 4096, &page),
		0);
	return page;
}

static uint64_t broken(struct bench *b, enum ebs_rule rule)
{
	return rt_counter_read(&b->fn->rules.records[rule].count);
}

/* --- The mapped page -------------------------------------------------------
 */

Test(function_doorbells, the_page_is_offered_unless_they_are_to_be_trapped)
{
	volatile void *page;
	struct bench b;

	bench_enable(&b, NULL);
	cr_expect_eq(
		host_region_map(b.host, 0, NVME_REG_DOORBELLS, 4096, &page),
		-EOPNOTSUPP);
	bench_stop(&b);
	bench_enable(&b, &mapped);
	(void)page_of(&b);
	bench_stop(&b);
}

Test(function_doorbells, a_store_alone_makes_the_card_work)
{
	struct nvme_cmd flush = a_flush();
	volatile uint32_t *page;
	struct bench b;

	bench_start(&b, &mapped);
	page = page_of(&b);
	for (uint16_t i = 0; i < 3 * ENTRIES; i++) {
		flush.cid = le16_put(i);
		host_nvme_put(b.nvme, 1, &flush);
		page[2] = b.nvme->sqs[1].tail;
		cr_assert_eq(host_nvme_wait(b.nvme, 1, i, NULL), 0);
		cr_assert_eq(page[3], b.nvme->cqs[1].head);
	}
	bench_stop(&b);
}

Test(function_doorbells, messages_are_obeyed_beside_it)
{
	struct nvme_cmd flush = a_flush();
	uint32_t tail;
	struct bench b;

	bench_start(&b, &mapped);
	flush.cid = le16_put(77);
	host_nvme_put(b.nvme, 1, &flush);
	tail = b.nvme->sqs[1].tail;
	cr_assert_eq(host_write32(b.host, 0, NVME_REG_DOORBELLS + 8, tail), 0);
	cr_expect_eq(host_nvme_wait(b.nvme, 1, 77, NULL), 0);
	cr_expect_eq(page_of(&b)[2], tail);
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
}

/* PCIe 2.4.1: a read does not pass the posted writes before it. */
Test(function_doorbells, a_store_takes_effect_before_the_next_message)
{
	uint32_t csts;
	struct bench b;

	bench_start(&b, &mapped);
	bench_pass_time(&b, RT_NS_PER_S); /* it rests */
	bench_pass_time(&b, RT_NS_PER_S);
	page_of(&b)[2] = 60000;
	cr_assert_eq(host_read32(b.host, 0, NVME_REG_CSTS, &csts), 0);
	cr_expect_eq(broken(&b, EBS_RULE_SQ_DOORBELL_RANGE), 1);
	bench_stop(&b);
}

Test(function_doorbells, an_idle_card_finds_them_within_the_stated_time)
{
	static const struct {
		const char *name;
		uint64_t idle_ns, wait_ns;
	} rows[] = {
		{ "at once", 0, 0 },
		{ "after a millisecond", RT_NS_PER_MS, RT_NS_PER_MS / 4 },
		{ "after a second", RT_NS_PER_S, UINT64_C(1) << 23 },
		{ "after an hour", 3600 * RT_NS_PER_S, UINT64_C(1) << 27 },
	};
	struct nvme_cmd flush = a_flush();
	volatile uint32_t *page;
	struct bench b;

	bench_start(&b, &mapped);
	page = page_of(&b);
	bench_pass_time(&b, RT_NS_PER_S);
	for (uint16_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		cr_assert_eq(host_nvme_flush(b.nvme, 1), 0);
		bench_pass_time(&b, rows[i].idle_ns);
		flush.cid = le16_put((uint16_t)(1000 + i));
		host_nvme_put(b.nvme, 1, &flush);
		page[2] = b.nvme->sqs[1].tail;
		bench_pass_time(&b, rows[i].wait_ns);
		host_nvme_reap(b.nvme, 1);
		cr_expect(host_nvme_take(b.nvme, 1, (uint16_t)(1000 + i), NULL),
			  "%s", rows[i].name);
	}
	bench_stop(&b);
}

Test(function_doorbells, a_new_life_does_not_begin_with_the_old_ones_doorbells)
{
	struct bench b;

	bench_start(&b, &mapped);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(host_nvme_flush(b.nvme, 1), 0);
	cr_assert_eq(host_nvme_disable(b.nvme), 0);
	for (int i = 0; i < 16; i++)
		cr_expect_eq(page_of(&b)[i], 0, "doorbell %d", i);
	cr_assert_eq(host_nvme_enable(b.nvme), 0);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 1, ENTRIES, -1), 0);
	bench_settle(&b);
	cr_expect_not(host_nvme_has_new(b.nvme, 1));
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
}

Test(function_doorbells, one_of_a_queue_that_is_not_there_is_reported)
{
	struct bench b;

	bench_start(&b, &mapped);
	page_of(&b)[2 * 40] = 3;
	for (int i = 0; i < 20; i++) /* it searches a part at a time */
		bench_pass_time(&b, RT_NS_PER_S);
	cr_expect_eq(broken(&b, EBS_RULE_DOORBELL_UNKNOWN_QUEUE), 1);
	cr_expect_eq(page_of(&b)[2 * 40], 0);
	bench_stop(&b);
}

Test(function_doorbells, a_deleted_queue_takes_its_own_along)
{
	struct bench b;

	bench_start(&b, &mapped);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(host_nvme_flush(b.nvme, 1), 0);
	cr_assert_eq(host_nvme_delete_sq(b.nvme, 1), 0);
	cr_expect_eq(page_of(&b)[2], 0);
	cr_assert_eq(host_nvme_delete_cq(b.nvme, 1), 0);
	cr_expect_eq(page_of(&b)[3], 0);
	for (int i = 0; i < 20; i++)
		bench_pass_time(&b, RT_NS_PER_S);
	cr_expect_eq(broken(&b, EBS_RULE_SQ_DOORBELL_RANGE), 0);
	cr_expect_eq(broken(&b, EBS_RULE_CQ_DOORBELL_RANGE), 0);
	cr_expect_eq(broken(&b, EBS_RULE_DOORBELL_UNKNOWN_QUEUE), 0);
	bench_stop(&b);
}

Test(function_doorbells, one_that_rings_before_the_controller_is_ready_is_too)
{
	struct bench b;

	bench_enable(&b, &mapped);
	cr_assert_eq(host_nvme_disable(b.nvme), 0);
	page_of(&b)[0] = 1;
	cr_assert_eq(host_nvme_enable(b.nvme), 0);
	cr_expect_eq(broken(&b, EBS_RULE_DOORBELL_NOT_READY), 1);
	bench_stop(&b);
}

Test(function_doorbells, a_wrong_value_is_reported_each_time_and_does_no_harm)
{
	struct bench b;

	bench_start(&b, &mapped);
	for (uint64_t times = 1; times <= 3; times++) {
		page_of(&b)[2] = 60000;
		bench_pass_time(&b, RT_NS_PER_S);
		cr_expect_eq(broken(&b, EBS_RULE_SQ_DOORBELL_RANGE), times);
	}
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
}

Test(function_doorbells, one_that_rings_in_a_pause_is_found_after_it)
{
	struct nvme_cmd flush = a_flush();
	struct bench b;

	bench_start(&b, &mapped);
	for (uint16_t i = 0; i < 2 * ENTRIES; i++) {
		flush.cid = le16_put(i);
		host_nvme_put(b.nvme, 1, &flush);
		cr_assert_eq(pcie_function_pause(b.fn, NULL, NULL), 0);
		bench_settle(&b);
		page_of(&b)[2] = b.nvme->sqs[1].tail;
		bench_settle(&b);
		cr_assert_not(host_nvme_has_new(b.nvme, 1));
		cr_assert_eq(pcie_function_unpause(b.fn), 0);
		cr_assert_eq(host_nvme_wait(b.nvme, 1, i, NULL), 0);
	}
	bench_stop(&b);
}

/* --- Shadow doorbells --------------------------------------------------------
 */

struct shadow {
	uint64_t doorbells, events; /* addresses */
	volatile uint32_t *door, *event;
};

static int configure(struct bench *b, uint64_t doorbells, uint64_t events)
{
	struct nvme_cmd cmd = { .opcode = NVME_ADMIN_DBBUF_CONFIG,
				.prp1 = le64_put(doorbells),
				.prp2 = le64_put(events) };

	return host_nvme_call(b->nvme, 0, &cmd, NULL);
}

static void start_shadowed(struct bench *b, struct shadow *s)
{
	bench_start(b, &shadowed);
	s->doorbells = host_nvme_alloc(b->nvme, 4096, 4096);
	s->events = host_nvme_alloc(b->nvme, 4096, 4096);
	s->door = host_nvme_at(b->nvme, s->doorbells);
	s->event = host_nvme_at(b->nvme, s->events);
	cr_assert_eq(configure(b, s->doorbells, s->events), 0);
}

/* What a driver does: store, and ring by message if it has to.  True: it had
 * to. */
static bool ring(struct bench *b, struct shadow *s, size_t slot, uint32_t value)
{
	uint16_t before = (uint16_t)s->door[slot];
	uint16_t event;

	__atomic_store_n(&s->door[slot], value, __ATOMIC_SEQ_CST);
	event = (uint16_t)__atomic_load_n(&s->event[slot], __ATOMIC_SEQ_CST);
	if ((uint16_t)(value - event - 1) >= (uint16_t)(value - before))
		return false;
	cr_assert_eq(
		host_write32(b->host, 0, NVME_REG_DOORBELLS + slot * 4, value),
		0);
	return true;
}

static bool submit(struct bench *b, struct shadow *s, uint16_t cid)
{
	struct nvme_cmd flush = a_flush();

	flush.cid = le16_put(cid);
	host_nvme_put(b->nvme, 1, &flush);
	return ring(b, s, 2, b->nvme->sqs[1].tail);
}

/* Without its doorbell, which is not the driver's way now. */
static bool take(struct bench *b, struct shadow *s, uint16_t cid)
{
	struct host_nvme_cq *q = &b->nvme->cqs[1];
	struct nvme_cqe *cqe =
		host_nvme_at(b->nvme, q->iova + q->head * sizeof *cqe);

	if (!host_nvme_has_new(b->nvme, 1))
		return false;
	cr_assert_eq(le16_get(cqe->cid), cid);
	q->head = (q->head + 1) % q->entries;
	q->phase ^= !q->head;
	ring(b, s, 3, q->head);
	return true;
}

Test(function_shadow_doorbells, only_a_profile_that_offers_them_has_them)
{
	const struct nvme_id_ctrl *id;
	struct bench b;
	uint64_t pages;

	bench_start(&b, NULL);
	pages = host_nvme_alloc(b.nvme, 8192, 4096);
	cr_assert_eq(host_nvme_identify(b.nvme, 1, 0, (const void **)&id), 0);
	cr_expect_eq(le16_get(id->oacs), 0);
	cr_expect_eq(configure(&b, pages, pages + 4096), STATUS(0, 1));
	bench_stop(&b);
	bench_start(&b, &shadowed);
	cr_assert_eq(host_nvme_identify(b.nvme, 1, 0, (const void **)&id), 0);
	cr_expect_eq(le16_get(id->oacs), NVME_OACS_DBBUF);
	bench_stop(&b);
}

Test(function_shadow_doorbells, the_two_buffers_are_two_pages)
{
	struct bench b;
	uint64_t pages;

	bench_start(&b, &shadowed);
	pages = host_nvme_alloc(b.nvme, 8192, 4096);
	cr_expect_eq(configure(&b, pages + 8, pages + 4096), STATUS(0, 2));
	cr_expect_eq(configure(&b, pages, pages + 2048), STATUS(0, 2));
	cr_expect_eq(configure(&b, pages, pages), STATUS(0, 2));
	cr_expect_eq(configure(&b, pages, UINT64_C(1) << 50), STATUS(0, 4));
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0, "it goes on without them");
	bench_stop(&b);
}

Test(function_shadow_doorbells, a_waking_card_need_not_be_rung)
{
	unsigned int rung = 0;
	struct shadow s;
	struct bench b;

	start_shadowed(&b, &s);
	/* Virtual time: the card never gets tired of looking. */
	rt_clock_make_virtual(&b.clock, rt_clock_now_ns(&b.clock));
	cr_assert_eq(host_nvme_flush(b.nvme, 0) != 0, 1);
	for (uint16_t i = 0; i < 5 * ENTRIES; i++) {
		rung += submit(&b, &s, i);
		bench_settle(&b);
		cr_assert(take(&b, &s, i), "command %u", i);
		bench_settle(&b);
	}
	cr_expect_leq(rung, 1);
	bench_stop(&b);
}

Test(function_shadow_doorbells, a_sleeping_card_is_rung_and_wakes)
{
	struct shadow s;
	struct bench b;

	start_shadowed(&b, &s);
	for (uint16_t i = 0; i < 3 * ENTRIES; i++) {
		bench_settle(&b); /* it sees what was taken */
		bench_pass_time(&b, RT_NS_PER_S);
		cr_assert(submit(&b, &s, i), "it sleeps: command %u", i);
		bench_settle(&b);
		cr_assert(take(&b, &s, i), "command %u", i);
	}
	bench_stop(&b);
}

Test(function_shadow_doorbells, a_message_does_not_make_it_sleep_unrung)
{
	struct shadow s;
	struct bench b;
	uint32_t csts;

	start_shadowed(&b, &s);
	for (uint16_t i = 0; i < 3; i++) {
		bench_settle(&b);
		bench_pass_time(&b, RT_NS_PER_S);
		cr_expect_eq(host_read32(b.host, 0, NVME_REG_CSTS, &csts), 0);
		bench_pass_time(&b, RT_NS_PER_S);
		cr_assert(submit(&b, &s, i), "it sleeps: command %u", i);
		bench_settle(&b);
		cr_assert(take(&b, &s, i), "command %u", i);
	}
	bench_stop(&b);
}

Test(function_shadow_doorbells, an_old_value_that_is_rung_late_is_not_obeyed)
{
	struct nvme_cmd flush = a_flush();
	struct shadow s;
	struct bench b;

	start_shadowed(&b, &s);
	for (uint16_t i = 0; i < 4; i++) {
		flush.cid = le16_put(i);
		host_nvme_put(b.nvme, 1, &flush);
	}
	s.door[2] = 4;
	cr_assert_eq(host_write32(b.host, 0, NVME_REG_DOORBELLS + 8, 4), 0);
	bench_settle(&b);
	/* The one for the first entry was under way for long. */
	cr_assert_eq(host_write32(b.host, 0, NVME_REG_DOORBELLS + 8, 1), 0);
	bench_settle(&b);
	for (uint16_t i = 0; i < 4; i++)
		cr_assert(take(&b, &s, i));
	cr_expect_not(host_nvme_has_new(b.nvme, 1));
	bench_stop(&b);
}

Test(function_shadow_doorbells, a_full_completion_queue_does_not_park_commands)
{
	struct nvme_cmd flush = a_flush();
	struct shadow s;
	struct bench b;

	start_shadowed(&b, &s);
	for (uint16_t i = 0; i < ENTRIES - 1; i++)
		(void)submit(&b, &s, i);
	bench_settle(&b);
	/* One more, which finds no room; then the card sleeps. */
	flush.cid = le16_put(500);
	host_nvme_put(b.nvme, 1, &flush);
	(void)ring(&b, &s, 2, b.nvme->sqs[1].tail);
	bench_pass_time(&b, RT_NS_PER_S);
	for (uint16_t i = 0; i < ENTRIES - 1; i++)
		cr_assert(take(&b, &s, i));
	bench_settle(&b);
	cr_expect(take(&b, &s, 500));
	bench_stop(&b);
}

Test(function_shadow_doorbells, the_admin_queue_keeps_its_own)
{
	struct shadow s;
	struct bench b;
	uint32_t ignored;

	start_shadowed(&b, &s);
	s.door[0] = 9;
	s.door[1] = 9;
	bench_pass_time(&b, RT_NS_PER_S);
	cr_expect_eq(host_nvme_get_feature(b.nvme, 7, 0, &ignored), 0);
	bench_stop(&b);
}

Test(function_shadow_doorbells, a_reset_forgets_them)
{
	struct shadow s;
	struct bench b;

	start_shadowed(&b, &s);
	cr_assert_eq(host_nvme_disable(b.nvme), 0);
	cr_assert_eq(host_nvme_enable(b.nvme), 0);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 1, ENTRIES, -1), 0);
	s.door[2] = 7;
	bench_pass_time(&b, RT_NS_PER_S);
	cr_expect_not(host_nvme_has_new(b.nvme, 1));
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
}

/* Its pages are looked at when a message comes: not if they have gone. */
Test(function_shadow_doorbells, pages_that_the_client_takes_away_are_let_go)
{
	const uint64_t far = UINT64_C(0x900000000);
	struct host_memory memory;
	struct bench b;

	bench_start(&b, &shadowed);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(host_memory_map(b.host, far, 8192, true, &memory),
			     0);
		cr_assert_eq(configure(&b, far, far + 4096), 0);
		cr_assert_eq(host_memory_unmap(b.host, &memory), 0);
		bench_settle(&b);
		cr_assert_eq(host_nvme_disable(b.nvme), 0);
		cr_assert_eq(host_nvme_enable(b.nvme), 0);
	}
	bench_stop(&b);
}
