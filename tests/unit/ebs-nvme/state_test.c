/* SPDX-License-Identifier: BSD-3-Clause */
/* Pausing, and going on from a copy of the state. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "tests/unit/ebs-nvme/rig.h"

static bool is_paused;

static void paused(struct pcie_function *fn, void *opaque)
{
	(void)fn;
	(void)opaque;
	is_paused = true;
}

static void pause_function(void)
{
	is_paused = false;
	pcie_function_pause(rig.fn, paused, NULL);
	rig_turn();
}

/* As a successor does it: nothing but the bytes is left. */
static void forget_and_restore(void)
{
	size_t size = pcie_function_save(rig.fn, NULL, 0);
	RT_FREE uint8_t *bytes = malloc(size);

	cr_assert_eq(pcie_function_save(rig.fn, bytes, size), size);
	memset(rig.c->sq, 0xee, sizeof rig.c->sq);
	for (unsigned int i = 0; i < EBS_QUEUES; i++)
		rig.c->sq[i] = (struct ebs_sq){ .fetch = 9999 };
	memset(&rig.c->home.counters, 0, sizeof rig.c->home.counters);
	cr_assert_eq(pcie_function_restore(rig.fn, bytes, size), 0);
	cr_assert_eq(pcie_function_unpause(rig.fn), 0);
	rig_turn();
}

Test(ebs_state, a_pause_waits_for_the_storage_and_posts_later, .fini = rig_stop)
{
	rig_start_ready();
	rig.holds_io = true;
	memset(rig_at(RIG_DATA), 0x77, 512);
	rig_submit(1, rig_rw(NVME_NVM_WRITE, 3, 1));
	rig_turn();
	pause_function();
	cr_expect_not(is_paused);
	rig.holds_io = false;
	rig_end_io(0);
	cr_expect(is_paused);
	cr_expect_not(rig_completion(1, NULL), "memory is the successor's");
	forget_and_restore();
	cr_expect(rig_completion(1, NULL));
	cr_expect_not(rig_completion(1, NULL));
	cr_expect_eq(rig.bytes[3 * 512], 0x77);
	cr_expect_eq(rt_counter_read(&rig.c->home.counters.write_ops), 1);
	cr_expect_eq(rig_run(1, rig_rw(NVME_NVM_READ, 3, 1)), 0);
}

Test(ebs_state, commands_that_wait_for_messages_are_run_again, .fini = rig_stop)
{
	rig_start_by_message(EBS_PROFILE_EBS_2);
	rig_enable(16);
	rig_make_pair(1);
	memset(rig_at(RIG_DATA), 0x66, 4096);
	for (int messages = 0; messages < 8; messages++) {
		uint64_t lba = (uint64_t)messages * 8;

		rig.holds_messages = true;
		rig_submit(1, rig_rw(NVME_NVM_WRITE, lba, 8));
		/* Stop at each message that a write needs, one by one. */
		for (int i = 0; i < 20; i++)
			rt_loop_step(rig.loop, 0);
		for (int n = 0; n < messages && rig.message_count; n++) {
			rig_answer_messages();
			for (int i = 0; i < 20; i++)
				rt_loop_step(rig.loop, 0);
		}
		pause_function();
		cr_assert(is_paused, "after %d messages", messages);
		rig.holds_messages = false;
		forget_and_restore();
		cr_expect(rig_completion(1, NULL), "after %d messages",
			  messages);
		cr_expect_not(rig_completion(1, NULL));
		cr_expect_eq(rig.bytes[lba * 512 + 4095], 0x66);
	}
}

Test(ebs_state, features_and_event_requests_go_along, .fini = rig_stop)
{
	rig_start_ready();
	cr_expect_eq(rig_set_feature(NVME_FID_ARBITRATION, 5), 0);
	rig_submit(0, (struct nvme_cmd){ .opcode = NVME_ADMIN_ASYNC_EVENT });
	rig_turn();
	pause_function();
	forget_and_restore();
	cr_expect_eq(rig_get_feature(NVME_FID_ARBITRATION, 0, 0), 0);
	cr_expect_eq(rig_dw0(), 5);
	rig_write32(NVME_SQ_DOORBELL(1), 99);
	rig_turn();
	cr_expect(rig_completion(0, NULL));
}

Test(ebs_state, doorbells_that_came_before_the_pause_are_not_lost,
     .fini = rig_stop)
{
	rig_start_ready();
	rig_submit(1, rig_rw(NVME_NVM_READ, 0, 1));
	pause_function();
	cr_assert(is_paused);
	forget_and_restore();
	cr_expect(rig_completion(1, NULL));
}

Test(ebs_state, a_delete_that_waits_goes_along, .fini = rig_stop)
{
	rig_start_ready();
	rig.holds_io = true;
	rig_submit(1, rig_rw(NVME_NVM_READ, 0, 1));
	rig_turn();
	cr_expect_eq(
		rig_run(0, (struct nvme_cmd){ .opcode = NVME_ADMIN_DELETE_SQ,
					      .cdw10 = le32_put(1) }),
		-1);
	pause_function();
	rig.holds_io = false;
	rig_end_io(0);
	cr_assert(is_paused);
	forget_and_restore();
	cr_expect(rig_completion(1, NULL));
	cr_expect(rig_completion(0, NULL));
	cr_expect_eq(rig.c->state->sq[1].size, 0);
}

static void spoil_cqid(struct ebs_state *state)
{
	state->sq[1].cqid = 77;
}

static void spoil_tail(struct ebs_state *state)
{
	state->sq[1].tail = 16;
}

static void spoil_vector(struct ebs_state *state)
{
	state->cq[1].vector = 200;
}

static void spoil_count(struct ebs_state *state)
{
	state->unfinished_count = 5000;
}

static void spoil_unfinished(struct ebs_state *state)
{
	state->unfinished_count = 1;
	state->unfinished[0].sqid = 5;
}

static void spoil_events(struct ebs_state *state)
{
	state->event_count = 1000;
}

static void (*const spoilers[])(struct ebs_state *state) = {
	spoil_cqid,  spoil_tail,       spoil_vector,
	spoil_count, spoil_unfinished, spoil_events,
};

Test(ebs_state, a_state_that_cannot_be_is_refused)
{
	for (size_t i = 0; i < RT_COUNT(spoilers); i++) {
		rig_start_ready();
		pause_function();
		spoilers[i](rig.fn->device_state);
		cr_expect_eq(pcie_function_unpause(rig.fn), -EINVAL,
			     "spoiler %zu", i);
		rig_stop();
	}
}
