/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues: NVMe Base 1.4, 4.1, 5.3 to 5.6; and what emulations get wrong. */
#include <criterion/criterion.h>

#include "tests/function/bench.h"

static struct nvme_cmd flush_command(void)
{
	return (struct nvme_cmd){ .opcode = NVME_NVM_FLUSH,
				  .nsid = le32_put(1) };
}

/* Put count commands in the queue and ring once; cids[] are theirs. */
static void put_flushes(struct bench *b, uint16_t sq, uint16_t *cids,
			unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct nvme_cmd cmd = flush_command();

		cids[i] = b->nvme->next_cid++;
		cmd.cid = le16_put(cids[i]);
		host_nvme_put(b->nvme, sq, &cmd);
	}
	cr_assert_eq(host_nvme_ring_sq(b->nvme, sq, b->nvme->sqs[sq].tail), 0);
}

Test(function_queues, admin_queues_of_two_entries_work)
{
	struct bench b;
	uint32_t value;

	bench_enable(&b, &(struct bench_options){ .admin_entries = 2 });
	for (int i = 0; i < 300; i++)
		cr_assert_eq(host_nvme_get_feature(b.nvme, 1, 0, &value), 0);
	bench_stop(&b);
}

Test(function_queues, io_queues_of_two_entries_work)
{
	struct bench b;

	bench_enable(&b, NULL);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 2, -1), 0);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
}

Test(function_queues, odd_sizes_wrap_where_they_should)
{
	static const uint32_t sizes[] = { 3, 5, 31, 63 };

	for (size_t i = 0; i < 4; i++) {
		struct bench b;

		bench_enable(&b, NULL);
		cr_assert_eq(host_nvme_create_cq(b.nvme, 1, sizes[i], -1), 0);
		cr_assert_eq(host_nvme_create_sq(b.nvme, 1, sizes[3 - i], 1),
			     0);
		for (int j = 0; j < 400; j++)
			cr_assert_eq(host_nvme_flush(b.nvme, 1), 0, "size %u",
				     sizes[i]);
		bench_stop(&b);
	}
}

Test(function_queues, the_phase_is_right_after_many_rounds)
{
	uint16_t cids[31];
	struct bench b;

	bench_start(&b, NULL);
	for (int round = 0; round < 200; round++) {
		put_flushes(&b, 1, cids, 31);
		for (int i = 0; i < 31; i++)
			cr_assert_eq(host_nvme_wait(b.nvme, 1, cids[i], NULL),
				     0, "round %d", round);
	}
	bench_stop(&b);
}

Test(function_queues, a_full_completion_queue_is_not_overrun)
{
	uint16_t cids[31];
	struct bench b;
	struct host_nvme_cq *q;
	const struct nvme_cqe *cqe;

	bench_enable(&b, NULL);
	cr_assert_eq(host_nvme_create_cq(b.nvme, 1, 4, -1), 0);
	cr_assert_eq(host_nvme_create_sq(b.nvme, 1, 32, 1), 0);
	put_flushes(&b, 1, cids, 31);
	bench_settle(&b);
	q = &b.nvme->cqs[1];
	cqe = host_nvme_at(b.nvme, q->iova);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(le16_get(cqe[i].status) & 1, 1, "entry %d", i);
	cr_expect_eq(le16_get(cqe[3].status), 0,
		     "one entry of a full queue stays free");
	for (int i = 0; i < 31; i++)
		cr_assert_eq(host_nvme_wait(b.nvme, 1, cids[i], NULL), 0,
			     "command %d", i);
	bench_stop(&b);
}

Test(function_queues, a_full_completion_queue_does_not_stall_its_neighbour)
{
	uint16_t cids[31];
	struct bench b;

	bench_enable(&b, NULL);
	cr_assert_eq(host_nvme_create_cq(b.nvme, 1, 2, -1), 0);
	cr_assert_eq(host_nvme_create_sq(b.nvme, 1, 32, 1), 0);
	cr_assert_eq(host_nvme_create_pair(b.nvme, 2, 32, -1), 0);
	put_flushes(&b, 1, cids, 31);
	bench_settle(&b);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(host_nvme_flush(b.nvme, 2), 0);
	for (int i = 0; i < 31; i++)
		cr_assert_eq(host_nvme_wait(b.nvme, 1, cids[i], NULL), 0);
	bench_stop(&b);
}

Test(function_queues, two_submission_queues_share_a_completion_queue)
{
	uint16_t first[31], second[31];
	struct bench b;

	bench_enable(&b, NULL);
	cr_assert_eq(host_nvme_create_cq(b.nvme, 1, 8, -1), 0);
	cr_assert_eq(host_nvme_create_sq(b.nvme, 1, 32, 1), 0);
	cr_assert_eq(host_nvme_create_sq(b.nvme, 2, 32, 1), 0);
	put_flushes(&b, 1, first, 31);
	put_flushes(&b, 2, second, 31);
	for (int i = 0; i < 31; i++) {
		cr_assert_eq(host_nvme_wait(b.nvme, 1, first[i], NULL), 0);
		cr_assert_eq(host_nvme_wait(b.nvme, 2, second[i], NULL), 0);
	}
	cr_expect_eq(host_nvme_delete_sq(b.nvme, 1), 0);
	cr_expect_eq(host_nvme_delete_cq(b.nvme, 1), HOST_NVME_STATUS(1, 0x0c),
		     "the second still uses it");
	cr_expect_eq(host_nvme_delete_sq(b.nvme, 2), 0);
	cr_expect_eq(host_nvme_delete_cq(b.nvme, 1), 0);
	bench_stop(&b);
}

Test(function_queues, completions_tell_how_far_the_queue_was_read)
{
	uint16_t cids[5];
	struct nvme_cqe cqe;
	struct bench b;

	bench_start(&b, NULL);
	put_flushes(&b, 1, cids, 5);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(host_nvme_wait(b.nvme, 1, cids[i], &cqe), 0);
	cr_expect_eq(le16_get(cqe.sq_head), 5);
	cr_expect_eq(le16_get(cqe.sqid), 1);
	cr_expect_eq(le32_get(cqe.dw1), 0);
	bench_stop(&b);
}

Test(function_queues, queues_come_and_go)
{
	struct bench b;

	bench_enable(&b, NULL);
	for (uint32_t i = 0; i < 100; i++) {
		uint64_t used = b.nvme->memory_used;

		cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 2 + i % 60, -1),
			     0);
		cr_assert_eq(host_nvme_create_pair(b.nvme, 2, 64 - i % 60, -1),
			     0);
		cr_assert_eq(host_nvme_flush(b.nvme, 1), 0);
		cr_assert_eq(host_nvme_flush(b.nvme, 2), 0);
		cr_assert_eq(host_nvme_delete_sq(b.nvme, 2), 0);
		cr_assert_eq(host_nvme_delete_cq(b.nvme, 2), 0);
		cr_assert_eq(host_nvme_delete_sq(b.nvme, 1), 0);
		cr_assert_eq(host_nvme_delete_cq(b.nvme, 1), 0);
		memset(host_nvme_at(b.nvme, b.nvme->memory.iova + used), 0,
		       b.nvme->memory_used - used);
		b.nvme->memory_used = used;
	}
	bench_stop(&b);
}

Test(function_queues, deleting_a_queue_ends_its_commands_once)
{
	struct nvme_cmd read = { .opcode = NVME_NVM_READ, .nsid = le32_put(1) };
	uint16_t cids[8];
	struct bench b;

	bench_start(&b, NULL);
	bench_stall_io(&b, true);
	read.prp1 = le64_put(host_nvme_alloc(b.nvme, 4096, 4096));
	for (int i = 0; i < 8; i++)
		cr_assert_eq(host_nvme_submit(b.nvme, 1, &read, &cids[i]), 0);
	bench_settle(&b);
	cr_assert_eq(host_nvme_delete_sq(b.nvme, 1), 0);
	/* 5.6: each has completed before the deletion did, or never will. */
	host_nvme_reap(b.nvme, 1);
	for (int i = 0; i < 8; i++) {
		struct nvme_cqe cqe;

		cr_assert(host_nvme_take(b.nvme, 1, cids[i], &cqe));
		cr_expect_eq(host_nvme_status_of(&cqe),
			     HOST_NVME_STATUS(0, 0x08));
		cr_expect_not(host_nvme_take(b.nvme, 1, cids[i], &cqe));
	}
	bench_stall_io(&b, false);
	cr_assert_eq(host_nvme_idle(b.nvme, 20), 0);
	cr_expect_not(host_nvme_has_new(b.nvme, 1));
	cr_expect_eq(host_nvme_create_sq(b.nvme, 1, 32, 1), 0);
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
}

struct count_row {
	const char *profile;
	uint32_t asked, granted; /* pairs */
};

static const struct count_row count_rows[] = {
	{ "ebs-1", 1, 1 },     { "ebs-1", 64, 2 },   { "ebs-2", 2, 2 },
	{ "ebs-2", 65534, 2 }, { "is-1", 31, 31 },   { "is-1", 100, 31 },
	{ "is-2", 64, 64 },    { "is-3", 1000, 64 }, { "is-3", 3, 3 },
};

/*
 * 5.21.1.7: what is allocated is told and may be more than what was asked for;
 * it must not be fewer unless the controller has no more.
 */
Test(function_queues, the_number_granted_is_the_profiles)
{
	for (size_t i = 0; i < sizeof count_rows / sizeof *count_rows; i++) {
		const struct count_row *row = &count_rows[i];
		uint32_t asked = row->asked - 1, got, again;
		struct bench b;

		bench_enable(
			&b, &(struct bench_options){ .profile = row->profile });
		cr_assert_eq(host_nvme_set_feature(b.nvme, 7,
						   asked << 16 | asked, &got),
			     0);
		cr_expect_geq((got & 0xffff) + 1, row->granted, "%s %u",
			      row->profile, row->asked);
		cr_expect_geq((got >> 16) + 1, row->granted);
		cr_assert_eq(host_nvme_get_feature(b.nvme, 7, 0, &again), 0);
		cr_expect_eq(again, got);
		bench_stop(&b);
	}
}

Test(function_queues, all_queues_of_a_local_disk_work_at_once)
{
	uint16_t cids[64][31];
	struct bench b;

	bench_enable(&b, &(struct bench_options){ .profile = "is-3" });
	bench_enable_msix(&b);
	for (uint16_t q = 1; q <= 64; q++) {
		int rc = host_nvme_create_pair(b.nvme, q, 128, q);

		cr_assert_eq(rc, 0, "queue %u: %s", q, bench_status_text(rc));
	}
	for (uint16_t q = 1; q <= 64; q++)
		put_flushes(&b, q, cids[q - 1], 31);
	for (uint16_t q = 1; q <= 64; q++) {
		for (int i = 0; i < 31; i++)
			cr_assert_eq(
				host_nvme_wait(b.nvme, q, cids[q - 1][i], NULL),
				0);
	}
	cr_expect_eq(host_nvme_create_cq(b.nvme, 65, 8, -1),
		     HOST_NVME_STATUS(1, 1));
	bench_stop(&b);
}

Test(function_queues, commands_with_the_same_identifier_both_complete)
{
	struct nvme_cmd cmd = flush_command();
	struct nvme_cqe cqe;
	struct bench b;
	int found = 0;

	bench_start(&b, NULL);
	cmd.cid = le16_put(0x1234);
	host_nvme_put(b.nvme, 1, &cmd);
	host_nvme_put(b.nvme, 1, &cmd);
	host_nvme_ring_sq(b.nvme, 1, b.nvme->sqs[1].tail);
	bench_settle(&b);
	host_nvme_reap(b.nvme, 1);
	while (host_nvme_take(b.nvme, 1, 0x1234, &cqe)) {
		/* The second may be refused with Command ID Conflict. */
		cr_expect(host_nvme_status_of(&cqe) == 0 ||
			  host_nvme_status_of(&cqe) == HOST_NVME_STATUS(0, 3));
		found++;
	}
	cr_expect_eq(found, 2);
	bench_stop(&b);
}
