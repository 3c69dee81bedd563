/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers that break the rules of virtio: each is told, and none does harm. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "pcie-model/function.h"
#include "tests/function/nsm_bench.h"

static struct nsm_bench bench;

static void open_bench(void)
{
	nsm_start(&bench, NULL);
}

static void close_bench(void)
{
	nsm_stop(&bench);
}

TestSuite(nsm_hostile, .init = open_bench, .fini = close_bench);

/* ---- queues ---- */

#define REQUEST  (HOST_NSM_IOVA + HOST_NSM_REQUEST)
#define RESPONSE (HOST_NSM_IOVA + HOST_NSM_RESPONSE)

struct entry {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

struct mess {
	const char *rule;
	struct entry entries[3]; /* of the table's first */
	uint16_t heads[2];
	uint16_t more; /* added to the index */
};

static const struct mess messes[] = {
	{ "DESC_INDEX", { { REQUEST, 10, 0, 0 } }, { 64, 1 }, 0 },
	{ "DESC_INDEX", { { REQUEST, 10, 1, 999 } }, { 0, 1 }, 0 },
	{ "DESC_LOOP", { { REQUEST, 10, 1, 0 } }, { 0, 1 }, 0 },
	{ "DESC_FLAGS", { { REQUEST, 16, 4, 0 } }, { 0, 1 }, 0 },
	{ "CHAIN_ORDER",
	  { { REQUEST, 10, 2 | 1, 1 }, { REQUEST, 10, 0, 0 } },
	  { 0, 1 },
	  0 },
	{ "REQUEST_CHAIN", { { REQUEST, 10, 2, 0 } }, { 0, 0 }, 0 },
	{ "REQUEST_CHAIN", { { REQUEST, 0, 0, 0 } }, { 0, 0 }, 0 },
	{ "RESPONSE_CHAIN", { { REQUEST, 10, 0, 0 } }, { 0, 0 }, 0 },
	{ "QUEUE_MEMORY",
	  { { 0x123456789000, 10, 0, 0 }, { RESPONSE, 12288, 2, 0 } },
	  { 0, 1 },
	  0 },
	{ "QUEUE_MEMORY",
	  { { REQUEST, 10, 0, 0 }, { UINT64_MAX - 5, 12288, 2, 0 } },
	  { 0, 1 },
	  0 },
	{ "AVAIL_INDEX", { { REQUEST, 10, 0, 0 } }, { 0, 1 }, 63 },
};

static void make(const struct mess *mess)
{
	for (uint16_t i = 0; i < 3; i++)
		host_nsm_put_desc(bench.nsm, i, mess->entries[i].address,
				  mess->entries[i].length,
				  mess->entries[i].flags,
				  mess->entries[i].next);
	memcpy((char *)bench.nsm->memory.bytes + HOST_NSM_REQUEST,
	       "\x69GetRandom", 10);
	host_nsm_offer(bench.nsm, mess->heads[0]);
	bench.nsm->next_avail += mess->more;
	host_nsm_offer(bench.nsm, mess->heads[1]);
	cr_assert_eq(host_nsm_notify(bench.nsm), 0);
	nsm_settle(&bench);
}

Test(nsm_hostile, a_queue_that_breaks_a_rule_needs_a_reset)
{
	for (size_t i = 0; i < sizeof messes / sizeof *messes; i++) {
		uint64_t before = nsm_broken(&bench, messes[i].rule);

		make(&messes[i]);
		cr_expect_eq(nsm_broken(&bench, messes[i].rule), before + 1,
			     "%zu: %s", i, messes[i].rule);
		cr_expect(host_nsm_status(bench.nsm) &
				  VIRTIO_STATUS_NEEDS_RESET,
			  "%zu: %s", i, messes[i].rule);
		/* 2.1.2: it tells the driver, by the configuration's vector. */
		cr_expect_eq(host_nsm_interrupted(bench.nsm, 0), 1, "%zu", i);
		/* 4.1.4.5.1: and says so, whatever the interrupts are. */
		cr_expect_eq(host_nsm_read_isr(bench.nsm), VIRTIO_ISR_CONFIG,
			     "%zu", i);
		cr_expect_eq(host_nsm_read_isr(bench.nsm), 0, "%zu", i);
		cr_expect_eq(host_nsm_shown(bench.nsm), 0, "%zu", i);
		cr_assert_eq(host_nsm_reset(bench.nsm), 0);
		cr_assert_eq(host_nsm_begin(bench.nsm), 0);
		cr_assert_eq(NSM_CALL(&bench, "\x69GetRandom"), 0);
	}
}

Test(nsm_hostile, a_device_that_needs_a_reset_does_nothing_more)
{
	make(&messes[0]);
	cr_assert_eq(host_nsm_notify(bench.nsm), 0);
	nsm_settle(&bench);
	cr_expect_eq(host_nsm_shown(bench.nsm), 0);
	cr_expect_eq(nsm_broken(&bench, messes[0].rule), 1);
}

Test(nsm_hostile, memory_that_goes_away_is_found)
{
	struct host_memory memory = bench.nsm->memory;

	cr_assert_eq(host_memory_unmap(bench.host, &memory), 0);
	bench.nsm->memory.bytes = NULL;
	cr_assert_eq(host_nsm_notify(bench.nsm), 0);
	nsm_settle(&bench);
	cr_expect_eq(nsm_broken(&bench, "QUEUE_MEMORY"), 1);
}

Test(nsm_hostile, without_bus_mastering_nothing_is_read)
{
	cr_assert_eq(host_turn_off(bench.host), 0);
	cr_assert_eq(host_nsm_notify(bench.nsm), 0);
	nsm_settle(&bench);
	cr_expect_eq(nsm_broken(&bench, "QUEUE_MEMORY"), 1);
	cr_assert_eq(host_turn_on(bench.host), 0);
}

/* ---- registers ---- */

struct poke {
	const char *rule;
	unsigned int field, size;
	uint64_t value;
};

static const struct poke pokes[] = {
	{ "REGISTER_ACCESS", VIRTIO_QUEUE_SIZE, 4, 64 },
	{ "REGISTER_ACCESS", VIRTIO_DEVICE_STATUS, 2, 1 },
	{ "REGISTER_ACCESS", VIRTIO_COMMON_BYTES, 4, 1 },
	{ "REGISTER_READ_ONLY", VIRTIO_NUM_QUEUES, 2, 5 },
	{ "REGISTER_READ_ONLY", VIRTIO_DEVICE_FEATURE, 4, 5 },
	{ "STATUS_CLEARED", VIRTIO_DEVICE_STATUS, 1, 1 },
	{ "STATUS_ORDER", VIRTIO_DEVICE_STATUS, 1, 0x84 },
	{ "FEATURE_LATE", VIRTIO_DRIVER_FEATURE, 4, 1 },
	{ "VECTOR_RANGE", VIRTIO_CONFIG_VECTOR, 2, 2 },
	{ "VECTOR_RANGE", VIRTIO_QUEUE_VECTOR, 2, 77 },
	{ "QUEUE_LATE", VIRTIO_QUEUE_SIZE, 2, 16 },
	{ "QUEUE_LATE", VIRTIO_QUEUE_DESC, 4, 0x1000 },
	{ "QUEUE_LATE", VIRTIO_QUEUE_DEVICE + 4, 4, 0x1000 },
	{ "QUEUE_LATE", VIRTIO_QUEUE_ENABLE, 2, 1 },
	{ "QUEUE_ENABLE", VIRTIO_QUEUE_ENABLE, 2, 0 },
};

Test(nsm_hostile, registers_are_not_written_against_the_rules)
{
	for (size_t i = 0; i < sizeof pokes / sizeof *pokes; i++) {
		const struct poke *p = &pokes[i];
		uint64_t before = nsm_broken(&bench, p->rule);

		cr_assert_eq(
			host_nsm_set(bench.nsm, p->field, p->size, p->value),
			0);
		cr_expect_eq(nsm_broken(&bench, p->rule), before + 1,
			     "row %zu: %s", i, p->rule);
	}
	/* The pokes at vectors and status left it without an interrupt. */
	cr_assert_eq(host_nsm_reset(bench.nsm), 0);
	cr_assert_eq(host_nsm_begin(bench.nsm), 0);
	cr_assert_eq(NSM_CALL(&bench, "\x69GetRandom"), 0);
}

Test(nsm_hostile, set_up_takes_only_what_is_right)
{
	struct host_nsm *nsm = bench.nsm;
	uint64_t value;

	cr_assert_eq(host_nsm_reset(nsm), 0);
	cr_expect_eq(host_nsm_negotiate(nsm, BIT(VIRTIO_F_VERSION_1) | 1),
		     -EPROTO);
	cr_expect_eq(nsm_broken(&bench, "FEATURE_UNKNOWN"), 1);
	cr_assert_eq(host_nsm_reset(nsm), 0);
	cr_expect_eq(host_nsm_negotiate(nsm, 0), -EPROTO);
	cr_expect_eq(nsm_broken(&bench, "FEATURE_VERSION_1"), 1);
	cr_assert_eq(host_nsm_reset(nsm), 0);
	for (unsigned int size = 3; size < 1000; size += 125) {
		uint64_t before = nsm_broken(&bench, "QUEUE_SIZE");

		host_nsm_set(nsm, VIRTIO_QUEUE_SIZE, 2, size);
		cr_expect_eq(nsm_broken(&bench, "QUEUE_SIZE"), before + 1);
	}
	host_nsm_set(nsm, VIRTIO_QUEUE_DESC, 4, 8);
	host_nsm_set(nsm, VIRTIO_QUEUE_ENABLE, 2, 1);
	cr_expect_eq(nsm_broken(&bench, "QUEUE_ALIGNMENT"), 1);
	cr_expect(host_nsm_status(nsm) & VIRTIO_STATUS_NEEDS_RESET);
	cr_assert_eq(host_nsm_reset(nsm), 0);
	host_nsm_set(nsm, VIRTIO_QUEUE_SELECT, 2, 1);
	cr_assert_eq(host_nsm_get(nsm, VIRTIO_QUEUE_SIZE, 2, &value), 0);
	cr_expect_eq(value, 0, "a queue that is not there has no size");
	host_nsm_set(nsm, VIRTIO_QUEUE_SIZE, 2, 16);
	cr_expect_eq(nsm_broken(&bench, "QUEUE_SELECT"), 1);
	cr_assert_eq(host_nsm_notify(nsm), 0);
	cr_expect_eq(nsm_broken(&bench, "NOTIFY_QUEUE"), 1);
	cr_assert_eq(host_nsm_begin(nsm), 0);
	cr_assert_eq(NSM_CALL(&bench, "\x69GetRandom"), 0);
}

Test(nsm_hostile, a_reset_brings_registers_back)
{
	uint64_t value;

	cr_assert_eq(host_nsm_reset(bench.nsm), 0);
	cr_assert_eq(host_nsm_get(bench.nsm, VIRTIO_QUEUE_ENABLE, 2, &value),
		     0);
	cr_expect_eq(value, 0);
	cr_assert_eq(host_nsm_get(bench.nsm, VIRTIO_QUEUE_VECTOR, 2, &value),
		     0);
	cr_expect_eq(value, VIRTIO_NO_VECTOR);
	cr_assert_eq(host_nsm_get(bench.nsm, VIRTIO_QUEUE_DESC, 4, &value), 0);
	cr_expect_eq(value, 0);
}

/* ---- the window ---- */

static void aim(uint8_t bar, uint32_t offset, uint32_t length)
{
	unsigned int cap = bench.nsm->places[VIRTIO_PCI_WINDOW].cap;

	cr_assert_neq(cap, 0);
	cr_assert_eq(host_write(bench.host, HOST_CONFIG, cap + VIRTIO_CAP_BAR,
				&bar, 1),
		     0);
	host_write32(bench.host, HOST_CONFIG, cap + VIRTIO_CAP_OFFSET, offset);
	host_write32(bench.host, HOST_CONFIG, cap + VIRTIO_CAP_LENGTH, length);
}

static uint32_t look_through(void)
{
	unsigned int cap = bench.nsm->places[VIRTIO_PCI_WINDOW].cap;
	uint32_t value;

	cr_assert_eq(host_read32(bench.host, HOST_CONFIG,
				 cap + VIRTIO_CAP_WINDOW_DATA, &value),
		     0);
	return value;
}

Test(nsm_hostile, the_window_reaches_the_registers)
{
	unsigned int cap = bench.nsm->places[VIRTIO_PCI_WINDOW].cap;

	aim(NSM_BAR, VIRTIO_NUM_QUEUES, 2);
	cr_expect_eq(look_through() & 0xffff, 1);
	aim(NSM_BAR, VIRTIO_DEVICE_FEATURE_SELECT, 4);
	host_write32(bench.host, HOST_CONFIG, cap + VIRTIO_CAP_WINDOW_DATA, 1);
	aim(NSM_BAR, VIRTIO_DEVICE_FEATURE, 4);
	cr_expect(look_through() & 1, "VERSION_1 is offered");
}

Test(nsm_hostile, a_window_on_nothing_shows_nothing)
{
	aim(NSM_BAR, VIRTIO_NUM_QUEUES, 3);
	(void)look_through();
	aim(NSM_BAR, VIRTIO_NUM_QUEUES + 1, 2);
	(void)look_through();
	aim(77, 0, 4);
	(void)look_through();
	cr_expect_eq(nsm_broken(&bench, "WINDOW_ACCESS"), 3);
	aim(NSM_BAR, 0xfffffffc, 4);
	cr_expect_eq(look_through(), 0xffffffff);
	aim(NSM_BAR, 0, 0);
	(void)look_through();
	cr_expect_eq(nsm_broken(&bench, "WINDOW_ACCESS"), 3);
	cr_assert_eq(NSM_CALL(&bench, "\x69GetRandom"), 0);
}
