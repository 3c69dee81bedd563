/* SPDX-License-Identifier: BSD-3-Clause */
/* Pausing, going on from a copy of the state, and what an operator sees. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ena/status.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "tests/unit/ena/rig.h"

TestSuite(ena_state, .init = rig_start_ready, .fini = rig_stop);

static void pause_function(void)
{
	pcie_function_pause(rig.fn, NULL, NULL);
	rig_turn();
	cr_assert(rig.fn->is_paused);
}

static int restore_with(void (*change)(struct ena_state *state))
{
	size_t size = pcie_function_save(rig.fn, NULL, 0);
	RT_FREE uint8_t *bytes = malloc(size);

	if (change)
		change(rig.nic->state);
	cr_assert_eq(pcie_function_save(rig.fn, bytes, size), size);
	cr_assert_eq(pcie_function_restore(rig.fn, bytes, size), 0);
	return pcie_function_unpause(rig.fn);
}

Test(ena_state, a_paused_nic_is_silent_and_goes_on)
{
	struct ena_admin_aenq_entry event;

	rig_enable_groups(BIT(ENA_ADMIN_AENQ_KEEP_ALIVE));
	pause_function();
	rig_wait_ms(5000);
	cr_expect_not(rig_event(&event));
	cr_assert_eq(restore_with(NULL), 0);
	cr_expect(rig_event(&event), "at once: the guest's clock went on");
	rig_wait_ms(1000);
	cr_expect(rig_event(&event));
	cr_expect_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), 0);
}

Test(ena_state, queues_and_configuration_are_as_before)
{
	uint16_t rx = rig_make_queue(ENA_ADMIN_SQ_DIRECTION_RX);

	rig_set_llq(ENA_ADMIN_LLQ_ENTRY_256B);
	pause_function();
	cr_assert_eq(restore_with(NULL), 0);
	cr_expect_eq(rig.nic->state->llq.entry_bytes, 256);
	cr_expect_eq(ena_rss_queue(rig.nic, 1, true), rx);
	cr_expect_eq(rig_destroy_sq(rx, ENA_ADMIN_SQ_DIRECTION_RX), 0);
}

/* A packet of 60 bytes, rung for by message; is it completed? */
static bool send_one(uint16_t n, uint16_t number)
{
	struct ena_eth_io_tx_desc *desc =
		(void *)rig_at(RIG_SQ(n) + 16u * (number - 1u));
	const struct ena_eth_io_tx_cdesc *done =
		(void *)rig_at(RIG_CQ(n) + 8u * (number - 1u));

	*desc = (struct ena_eth_io_tx_desc){
		.len_ctrl =
			le32_put(60 | (uint32_t)(ENA_ETH_IO_TX_DESC_PHASE |
						 ENA_ETH_IO_TX_DESC_FIRST |
						 ENA_ETH_IO_TX_DESC_LAST |
						 ENA_ETH_IO_TX_DESC_COMP_REQ)),
		.buff_addr_lo = le32_put((uint32_t)RIG_BUFFER),
	};
	rig_write32(ENA_DOORBELLS + 4u * n, number);
	rig_wait_ms(200);
	return done->flags & ENA_ETH_IO_TX_CDESC_PHASE;
}

Test(ena_state, rings_are_found_when_the_memory_comes_after_the_state)
{
	uint16_t tx = rig_make_queue(ENA_ADMIN_SQ_DIRECTION_TX);

	cr_assert_eq(tx, 0);
	cr_assert(send_one(tx, 1));
	rig_succeed();
	rig_wait_ms(10);
	rig_map();
	cr_expect(send_one(tx, 2));
	rig_write32(ENA_UNMASKS + 4u * tx, ENA_ETH_IO_INTR_UNMASK);
	rig_wait_ms(1);
	rig_interrupts(1);
	rig_write32(ENA_UNMASKS + 4u * tx, ENA_ETH_IO_INTR_UNMASK);
	cr_expect(send_one(tx, 3));
	cr_expect_eq(rig_interrupts(1), 1);
}

static void break_depth(struct ena_state *state)
{
	state->sq[0].depth = 3;
}

static void break_llq(struct ena_state *state)
{
	state->sq[0].is_llq = true;
	state->sq[0].llq_entry_bytes = 128;
	state->sq[0].llq_descs_before_header = 2;
	state->sq[0].base = 4u << 20;
}

static void break_vector(struct ena_state *state)
{
	state->cq[0].vector = 200;
}

static void break_flow(struct ena_state *state)
{
	state->flows[3] = (struct ena_flow){ .is_used = true, .type = 99 };
}

static void break_rss(struct ena_state *state)
{
	state->rss.function = 77;
}

Test(ena_state, states_that_cannot_be_are_refused)
{
	void (*const changes[])(struct ena_state *) = { break_depth, break_llq,
							break_vector,
							break_flow, break_rss };

	for (size_t i = 0; i < RT_COUNT(changes); i++) {
		rig_set_up(32);
		rig_make_queue(ENA_ADMIN_SQ_DIRECTION_TX);
		pause_function();
		cr_expect_eq(restore_with(changes[i]), -EINVAL, "%zu", i);
		cr_expect_eq(rig.nic->state->sq[0].depth, 0);
		rig.nic->fn->state.config.bytes[4] = 6;
		rig_reset(0);
	}
}

/* ---- verbs ---- */

static const struct pcie_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ENA_VERBS; i++)
		if (!strcmp(ena_verbs[i].name, name))
			return &ena_verbs[i];
	cr_assert_fail("no %s", name);
	return NULL;
}

static char text[65536];

static int run_verb(const char *name, const char *argument)
{
	struct pcie_answer answer = { text, sizeof text, 0 };
	struct rt_error error = { 0 };
	int status = find_verb(name)->run(rig.fn, argument, &answer, &error);

	cr_expect_lt(answer.length, sizeof text);
	cr_expect(!status || error.text[0], "it says why");
	return status;
}

Test(ena_state, a_pulled_cable_is_told_and_outlives_resets)
{
	struct ena_admin_aenq_entry event;

	rig_enable_groups(BIT(ENA_ADMIN_AENQ_LINK_CHANGE));
	cr_assert(rig_event(&event));
	cr_expect_eq(run_verb("link", "down"), 0);
	cr_expect(strstr(text, "\"link\": \"down\""));
	cr_assert(rig_event(&event));
	cr_expect_eq(event.payload[0], 0);
	cr_expect_eq(run_verb("link", "down"), 0);
	cr_expect_not(rig_event(&event), "nothing has changed");
	rig_reset(0);
	rig_set_up(32);
	rig_enable_groups(BIT(ENA_ADMIN_AENQ_LINK_CHANGE));
	rig_give_credit(RIG_AENQ_DEPTH);
	cr_assert(rig_event(&event));
	cr_expect_eq(event.payload[0], 0);
	cr_expect_eq(run_verb("link", "sideways"), -EINVAL);
}

Test(ena_state, its_own_view_fits_with_all_queues_made)
{
	rig_stop();
	rig_start_config(&(struct ena_config){ .profile = ENA_PROFILE_NITRO_V4,
					       .pairs = 32,
					       .mtu = 9216,
					       .has_llq = true });
	rig_set_up(32);
	for (unsigned int i = 0; i < 32; i++) {
		rig_make_queue(ENA_ADMIN_SQ_DIRECTION_TX);
		rig_make_queue(ENA_ADMIN_SQ_DIRECTION_RX);
	}
	cr_expect_eq(run_verb("queues", NULL), 0);
	cr_expect(strstr(text, "\"queue\": 63"));
	cr_expect_eq(run_verb("statistics", NULL), 0);
	cr_expect_eq(run_verb("notify", "0"), -EINVAL);
	cr_expect_eq(run_verb("notify", "65"), -EINVAL);
	cr_expect_eq(run_verb("notify", "3"), 0);
	cr_expect_eq(run_verb("capture", "relative.pcapng"), -EINVAL);
}

Test(ena_state, an_answer_without_room_is_only_measured)
{
	struct pcie_answer answer = { text, 10, 0 };

	text[10] = 'x';
	cr_expect_eq(find_verb("queues")->run(rig.fn, NULL, &answer, NULL), 0);
	cr_expect_gt(answer.length, 10);
	cr_expect_eq(text[10], 'x');
	cr_expect_gt(ena_describe(rig.fn, NULL, 0), 0);
}
