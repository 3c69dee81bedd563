/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The module's queue as drivers use it: what Linux's does that others do not,
 * resets in the middle, and how it goes on from a saved state.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pcie-model/function.h"
#include "security-chip/nsm/state.h"
#include "tests/function/nsm_bench.h"

static struct nsm_bench bench;

static void close_bench(void)
{
	nsm_stop(&bench);
}

TestSuite(nsm_queue, .fini = close_bench);

static void start(const struct host_nsm_options *options)
{
	nsm_start(&bench, options);
}

static void expect_it_works(void)
{
	cr_assert_eq(NSM_CALL(&bench, "\x69GetRandom"), 0, "%s",
		     host_nsm_why(bench.nsm));
	cr_expect(NSM_BEGINS(&bench, "\xa1\x69GetRandom\xa1"));
}

/* Put the request and the room of host_nsm_call() on the queue. */
static void put_pair(void)
{
	struct host_nsm *nsm = bench.nsm;

	memcpy((char *)nsm->memory.bytes + HOST_NSM_REQUEST, "\x69GetRandom",
	       10);
	host_nsm_put_desc(nsm, 0, HOST_NSM_IOVA + HOST_NSM_REQUEST, 10, 0, 0);
	host_nsm_put_desc(nsm, 1, HOST_NSM_IOVA + HOST_NSM_RESPONSE,
			  NSM_RESPONSE_BYTES, VIRTIO_DESC_WRITE, 0);
	host_nsm_offer(nsm, 0);
	host_nsm_offer(nsm, 1);
}

/* ---- Linux's ways ---- */

Test(nsm_queue, is_served_before_driver_ok_and_the_rule_is_told)
{
	start(&(struct host_nsm_options){ .is_early = true });
	cr_assert_eq(host_nsm_status(bench.nsm) & VIRTIO_STATUS_DRIVER_OK, 0);
	expect_it_works();
	cr_expect_eq(nsm_broken(&bench, "NOTIFY_EARLY"), 1);
}

Test(nsm_queue, both_elements_are_there_at_the_only_interrupt)
{
	start(NULL);
	/* host_nsm_call() complains when there are not two, in order. */
	for (unsigned int i = 1; i <= 100; i++) {
		expect_it_works();
		cr_assert_eq(bench.nsm->interrupts, i);
	}
}

Test(nsm_queue, has_at_least_sixteen_entries_and_offers_version_1)
{
	start(NULL);
	cr_expect_geq(bench.nsm->entries, 16);
	cr_expect(bench.nsm->features & BIT(VIRTIO_F_VERSION_1));
}

Test(nsm_queue, lost_answers_do_not_stop_it)
{
	start(NULL);
	bench.nsm->options.timeout_ms = 50;
	nsm_fault(&bench, "drop_answer", 0, 5);
	for (unsigned int i = 0; i < 5; i++)
		cr_assert_eq(NSM_CALL(&bench, "\x69GetRandom"), -ETIMEDOUT);
	bench.nsm->options.timeout_ms = 0;
	expect_it_works();
}

Test(nsm_queue, memory_that_is_not_shared_is_reached_by_message)
{
	start(&(struct host_nsm_options){ .is_by_message = true });
	for (unsigned int i = 0; i < 40; i++)
		expect_it_works();
	cr_assert_eq(NSM_CALL(&bench, "\xa1\x6b"
				      "Attestation\xa0"),
		     0);
	cr_expect(NSM_BEGINS(&bench, "\xa1\x6b"
				     "Attestation\xa1"));
	cr_expect_gt(host_dma_stats(bench.host)->writes, 0);
}

Test(nsm_queue, works_by_pin_with_the_interrupt_status)
{
	start(&(struct host_nsm_options){ .uses_pin = true });
	for (unsigned int i = 0; i < 5; i++)
		expect_it_works();
	cr_expect_eq(host_nsm_read_isr(bench.nsm), 0, "it was read to clear");
}

Test(nsm_queue, a_driver_that_wants_no_interrupts_gets_none)
{
	start(&(struct host_nsm_options){ .is_polling = true });
	for (unsigned int i = 0; i < 5; i++)
		expect_it_works();
	nsm_settle(&bench);
	cr_expect_eq(host_nsm_interrupted(bench.nsm, 1), 0);
}

Test(nsm_queue, the_indexes_go_round)
{
	start(&(struct host_nsm_options){ .entries = 16 });
	for (unsigned int i = 0; i < 33000; i++)
		expect_it_works();
}

Test(nsm_queue, a_request_alone_waits_for_its_room)
{
	start(NULL);
	put_pair();
	/* Only the first of the two is shown. */
	((struct virtio_avail *)((char *)bench.nsm->memory.bytes +
				 HOST_NSM_AVAIL))
		->index = le16_put(1);
	cr_assert_eq(host_nsm_notify(bench.nsm), 0);
	nsm_settle(&bench);
	cr_expect_eq(host_nsm_shown(bench.nsm), 0);
	((struct virtio_avail *)((char *)bench.nsm->memory.bytes +
				 HOST_NSM_AVAIL))
		->index = le16_put(2);
	cr_assert_eq(host_nsm_notify(bench.nsm), 0);
	cr_expect_eq(host_nsm_await(bench.nsm, 2), 0);
}

Test(nsm_queue, requests_and_room_may_be_in_pieces)
{
	struct host_nsm *nsm;
	uint32_t id, length;

	start(NULL);
	nsm = bench.nsm;
	memcpy((char *)nsm->memory.bytes + HOST_NSM_REQUEST, "\x69GetRandom",
	       10);
	host_nsm_put_desc(nsm, 7, HOST_NSM_IOVA + HOST_NSM_REQUEST, 3,
			  VIRTIO_DESC_NEXT, 2);
	host_nsm_put_desc(nsm, 2, HOST_NSM_IOVA + HOST_NSM_REQUEST + 3, 7, 0,
			  0);
	host_nsm_put_desc(nsm, 5, HOST_NSM_IOVA + HOST_NSM_RESPONSE, 100,
			  VIRTIO_DESC_WRITE | VIRTIO_DESC_NEXT, 9);
	host_nsm_put_desc(nsm, 9, HOST_NSM_IOVA + HOST_NSM_SPARE, 12188,
			  VIRTIO_DESC_WRITE, 0);
	host_nsm_offer(nsm, 7);
	host_nsm_offer(nsm, 5);
	cr_assert_eq(host_nsm_notify(nsm), 0);
	cr_assert_eq(host_nsm_await(nsm, 2), 0);
	host_nsm_take(nsm, &id, &length);
	cr_expect_eq(id, 7);
	host_nsm_take(nsm, &id, &length);
	cr_expect_eq(id, 5);
	cr_expect_eq(length, 278);
}

/* Random numbers are the guest's secret. */
Test(nsm_queue, an_answer_that_was_delivered_is_forgotten)
{
	static const uint8_t zero[NSM_RESPONSE_BYTES];
	const struct nsm_state *state;

	start(NULL);
	state = bench.fn->device_state;
	expect_it_works();
	nsm_settle(&bench);
	cr_expect_arr_eq(state->response, zero, sizeof zero);
}

Test(nsm_queue, several_requests_at_once_are_answered_in_order)
{
	uint32_t id, length;

	start(NULL);
	for (unsigned int i = 0; i < 20; i++)
		put_pair();
	cr_assert_eq(host_nsm_notify(bench.nsm), 0);
	cr_assert_eq(host_nsm_await(bench.nsm, 40), 0);
	for (unsigned int i = 0; i < 40; i++) {
		host_nsm_take(bench.nsm, &id, &length);
		cr_expect_eq(id, i % 2);
	}
}

Test(nsm_queue, an_answer_that_does_not_fit_says_so)
{
	struct host_nsm *nsm;
	uint32_t id, length;

	start(NULL);
	nsm = bench.nsm;
	put_pair();
	host_nsm_put_desc(nsm, 1, HOST_NSM_IOVA + HOST_NSM_RESPONSE, 64,
			  VIRTIO_DESC_WRITE, 0);
	cr_assert_eq(host_nsm_notify(nsm), 0);
	cr_assert_eq(host_nsm_await(nsm, 2), 0);
	host_nsm_take(nsm, &id, &length);
	host_nsm_take(nsm, &id, &length);
	memcpy(bench.answer, (char *)nsm->memory.bytes + HOST_NSM_RESPONSE,
	       length);
	bench.size = length;
	cr_expect(nsm_failed(&bench, "BufferTooSmall"));
	cr_expect_eq(nsm_broken(&bench, "RESPONSE_SIZE"), 1);
}

/* ---- what goes wrong on purpose ---- */

Test(nsm_queue, faults_make_what_their_names_say)
{
	static const struct {
		const char *name;
		uint64_t value;
		const char *complaint;
	} rows[] = {
		{ "early_interrupt", 20000, "1 used elements" },
		{ "swap_answer", 0, "request used as 1" },
		{ "used_id", 9, "response used as 9" },
	};

	start(NULL);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		nsm_fault(&bench, rows[i].name, rows[i].value, 1);
		cr_expect_eq(NSM_CALL(&bench, "\x69GetRandom"), -EPROTO);
		cr_expect(strstr(host_nsm_why(bench.nsm), rows[i].complaint),
			  "%s: %s", rows[i].name, host_nsm_why(bench.nsm));
		nsm_settle(&bench);
		cr_assert_eq(host_nsm_reset(bench.nsm), 0);
		(void)host_nsm_interrupted(bench.nsm, 1);
		cr_assert_eq(host_nsm_begin(bench.nsm), 0);
		expect_it_works();
	}
}

Test(nsm_queue, faults_of_answers)
{
	start(NULL);
	nsm_fault(&bench, "error_code", 8, 1);
	cr_assert_eq(NSM_CALL(&bench, "\x69GetRandom"), 0);
	cr_expect(nsm_failed(&bench, "InternalError"));
	nsm_fault(&bench, "truncated", 20, 1);
	cr_assert_eq(NSM_CALL(&bench, "\x69GetRandom"), 0);
	cr_expect_eq(bench.size, 20);
	nsm_fault(&bench, "long_lengths", 0, 1);
	cr_assert_eq(NSM_CALL(&bench, "\x69GetRandom"), 0);
	cr_expect(NSM_BEGINS(&bench, "\xa1\x69GetRandom\xa1\x66random\x5a"));
	nsm_fault(&bench, "late_answer", 20000, 1);
	expect_it_works();
	bench.nsm->options.timeout_ms = 50;
	nsm_fault(&bench, "drop_interrupt", 0, 1);
	cr_expect_eq(NSM_CALL(&bench, "\x69GetRandom"), -ETIMEDOUT);
	cr_expect_eq(host_nsm_shown(bench.nsm), 2);
}

Test(nsm_queue, faults_of_the_start)
{
	start(NULL);
	nsm_fault(&bench, "queue_size", 1, 0);
	cr_assert_eq(host_nsm_reset(bench.nsm), 0);
	cr_assert_eq(host_nsm_begin(bench.nsm), 0);
	cr_expect_eq(bench.nsm->entries, 1);
	nsm_fault_over(&bench, "queue_size");
	nsm_fault(&bench, "no_version_1", 0, 0);
	cr_assert_eq(host_nsm_reset(bench.nsm), 0);
	cr_expect_eq(host_nsm_begin(bench.nsm), -EPROTO);
	cr_expect_eq(bench.nsm->features & BIT(VIRTIO_F_VERSION_1), 0);
}

/* ---- stopping in the middle ---- */

Test(nsm_queue, a_reset_forgets_a_late_answer)
{
	start(NULL);
	nsm_fault(&bench, "late_answer", 30000, 1);
	put_pair();
	cr_assert_eq(host_nsm_notify(bench.nsm), 0);
	cr_assert_eq(host_nsm_reset(bench.nsm), 0);
	cr_assert_eq(host_nsm_begin(bench.nsm), 0);
	for (unsigned int i = 0; i < 10; i++)
		nsm_settle(&bench);
	cr_expect_eq(host_nsm_shown(bench.nsm), 0);
	expect_it_works();
}

Test(nsm_queue, a_reset_forgets_a_document_that_is_signed)
{
	start(NULL);
	for (unsigned int i = 0; i < 20; i++) {
		put_pair();
		memcpy((char *)bench.nsm->memory.bytes + HOST_NSM_REQUEST,
		       "\x6b"
		       "Attestation",
		       12);
		host_nsm_put_desc(bench.nsm, 0,
				  HOST_NSM_IOVA + HOST_NSM_REQUEST, 12, 0, 0);
		cr_assert_eq(host_nsm_notify(bench.nsm), 0);
		cr_assert_eq(host_nsm_reset(bench.nsm), 0);
		(void)host_nsm_interrupted(bench.nsm, 1);
		cr_assert_eq(host_nsm_begin(bench.nsm), 0);
		expect_it_works();
	}
}

/* The bytes of a paused function; the caller frees them. */
static void *save(size_t *size)
{
	void *bytes;

	pcie_function_pause(bench.fn, NULL, NULL);
	nsm_settle(&bench);
	*size = pcie_function_save(bench.fn, NULL, 0);
	bytes = malloc(*size);
	pcie_function_save(bench.fn, bytes, *size);
	return bytes;
}

Test(nsm_queue, a_saved_state_goes_on_and_a_request_is_done_once)
{
	size_t size;
	void *bytes;

	start(NULL);
	cr_assert_eq(nsm_extend_pcr(&bench, 16, "once"), 0);
	cr_assert_eq(nsm_describe_pcr(&bench, 16), 0);
	nsm_fault(&bench, "late_answer", 50000, 1);
	put_pair();
	cr_assert_eq(host_nsm_notify(bench.nsm), 0);
	bytes = save(&size);
	cr_assert_eq(host_nsm_shown(bench.nsm), 0);
	cr_assert_eq(pcie_function_restore(bench.fn, bytes, size), 0);
	cr_assert_eq(pcie_function_unpause(bench.fn), 0);
	cr_assert_eq(host_nsm_await(bench.nsm, 2), 0);
	free(bytes);
	bench.nsm->seen_used += 2;
	(void)host_nsm_interrupted(bench.nsm, 1);
	expect_it_works();
}

Test(nsm_queue, a_saved_state_that_cannot_be_is_refused)
{
	struct nsm_state *state;
	size_t size;
	void *bytes;

	start(NULL);
	bytes = save(&size);
	state = (void *)((char *)bytes + size - sizeof *state);
	state->virtio.queue.size = 3;
	cr_assert_eq(pcie_function_restore(bench.fn, bytes, size), 0);
	cr_expect_eq(pcie_function_unpause(bench.fn), -EINVAL);
	free(bytes);
}

/* An extend whose answer is cut off by a pause must not be done again. */
Test(nsm_queue, an_extension_is_not_done_twice)
{
	static const char request[] = "\xa1\x69"
				      "ExtendPCR\xa2\x65index\x10"
				      "\x64"
				      "data\x41x";
	uint8_t once[NSM_PCR_BYTES];
	size_t size;

	start(NULL);
	cr_assert_eq(nsm_call(&bench, request, sizeof request - 1), 0);
	memcpy(once, bench.answer + bench.size - 48, 48);
	cr_assert_eq(host_reset(bench.host), 0);
	cr_assert_eq(host_turn_on(bench.host), 0);
	cr_assert_eq(host_msix_enable(bench.host, bench.nsm->events, 2), 0);
	cr_assert_eq(host_nsm_reset(bench.nsm), 0);
	cr_assert_eq(host_nsm_begin(bench.nsm), 0);
	nsm_fault(&bench, "late_answer", 50000, 1);
	put_pair();
	memcpy((char *)bench.nsm->memory.bytes + HOST_NSM_REQUEST, request,
	       sizeof request - 1);
	host_nsm_put_desc(bench.nsm, 0, HOST_NSM_IOVA + HOST_NSM_REQUEST,
			  sizeof request - 1, 0, 0);
	cr_assert_eq(host_nsm_notify(bench.nsm), 0);
	free(save(&size));
	cr_assert_eq(pcie_function_unpause(bench.fn), 0);
	cr_assert_eq(host_nsm_await(bench.nsm, 2), 0);
	bench.nsm->seen_used += 2;
	(void)host_nsm_interrupted(bench.nsm, 1);
	cr_assert_eq(nsm_describe_pcr(&bench, 16), 0);
	cr_expect_arr_eq(nsm_pcr_value(&bench), once, 48);
}
