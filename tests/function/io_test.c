/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether the bytes arrive: NVMe Base 1.4, 4.3, 6.8, 6.9, 6.15. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/function/bench.h"

#define MAX_BYTES (256u * 1024)

/* A generator that is the same everywhere: xorshift64*. */
static uint64_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static void transfer(struct bench *b, uint8_t opcode, uint64_t lba,
		     uint8_t *bytes, uint32_t size,
		     struct host_nvme_shape shape)
{
	uint64_t used = b->nvme->memory_used;
	struct host_nvme_data data;
	int rc;

	cr_assert_eq(host_nvme_data_make(b->nvme, size, shape, &data), 0);
	if (opcode == NVME_NVM_WRITE)
		host_nvme_data_put(b->nvme, &data, bytes);
	rc = host_nvme_rw(b->nvme, 1, opcode, lba, size / BENCH_BLOCK, &data);
	cr_assert_eq(rc, 0, "opcode %u, %u bytes at %#jx: %s", opcode, size,
		     (uintmax_t)lba, bench_status_text(rc));
	if (opcode == NVME_NVM_READ)
		host_nvme_data_get(b->nvme, &data, bytes);
	b->nvme->memory_used = used; /* the next one may have it */
}

static struct host_nvme_shape draw_shape(uint64_t *state)
{
	return (struct host_nvme_shape){
		.offset = (uint32_t)(draw(state) % 4) * 516 * (draw(state) & 1),
		.is_scattered = draw(state) & 1,
		.list_offset = (uint32_t)(draw(state) % 512) * 8,
	};
}

/* Random writes and reads, compared with what we remember. */
static void write_and_compare(const struct bench_options *options, int rounds)
{
	uint8_t *truth = calloc(1, BENCH_BYTES), *bytes = malloc(MAX_BYTES);
	uint64_t state = 0x1234567;
	struct bench b;

	cr_assert(truth && bytes);
	bench_start(&b, options);
	for (int i = 0; i < rounds; i++) {
		uint32_t blocks = 1 + (uint32_t)(draw(&state) % 511);
		uint64_t lba = draw(&state) % (BENCH_BLOCKS - blocks);
		uint8_t *there = truth + lba * BENCH_BLOCK;
		uint32_t size;

		if (draw(&state) & 1)
			blocks = 1 + blocks % 16;
		size = blocks * BENCH_BLOCK;
		if (draw(&state) & 1) {
			bench_pattern(there, size, draw(&state));
			transfer(&b, NVME_NVM_WRITE, lba, there, size,
				 draw_shape(&state));
		} else {
			transfer(&b, NVME_NVM_READ, lba, bytes, size,
				 draw_shape(&state));
			cr_assert_arr_eq(bytes, there, size, "round %d", i);
		}
	}
	for (uint64_t at = 0; at < BENCH_BYTES; at += MAX_BYTES) {
		cr_assert_eq(bench_read(&b, at / BENCH_BLOCK, bytes, MAX_BYTES),
			     0);
		cr_assert_arr_eq(bytes, truth + at, MAX_BYTES);
	}
	bench_stop(&b);
	free(truth);
	free(bytes);
}

Test(function_io, random_data_survives_in_memory)
{
	write_and_compare(NULL, 400);
}

Test(function_io, random_data_survives_in_memory_by_message)
{
	write_and_compare(&(struct bench_options){ .is_by_message = true },
			  150);
}

Test(function_io, random_data_survives_in_a_file)
{
	char *file = bench_make_file(BENCH_BYTES);

	write_and_compare(&(struct bench_options){ .file = file }, 400);
	unlink(file);
	free(file);
}

Test(function_io, random_data_survives_in_a_file_by_message)
{
	char *file = bench_make_file(BENCH_BYTES);

	write_and_compare(
		&(struct bench_options){ .file = file, .is_by_message = true },
		150);
	unlink(file);
	free(file);
}

/* QEMU with share=off hands over memory that is not what the guest sees. */
Test(function_io, random_data_survives_memory_that_is_not_shared_after_all)
{
	write_and_compare(
		&(struct bench_options){ .quirks = HOST_PRIVATE_MEMORY }, 100);
}

Test(function_io, random_data_survives_on_a_local_disk)
{
	struct bench_options options = { .profile = "is-3" };
	uint8_t *bytes = malloc(131072), *back = malloc(131072);
	struct bench b;

	cr_assert(bytes && back);
	bench_start(&b, &options);
	for (uint64_t i = 0; i < 64; i++) {
		bench_pattern(bytes, 131072, i);
		cr_assert_eq(bench_write(&b, i * 256, bytes, 131072), 0);
	}
	for (uint64_t i = 0; i < 64; i++) {
		bench_pattern(bytes, 131072, i);
		cr_assert_eq(bench_read(&b, i * 256, back, 131072), 0);
		cr_assert_arr_eq(back, bytes, 131072);
	}
	bench_stop(&b);
	free(bytes);
	free(back);
}

Test(function_io, a_null_volume_takes_everything)
{
	uint8_t bytes[4096];
	struct bench b;

	bench_pattern(bytes, sizeof bytes, 3);
	bench_start(&b, &(struct bench_options){ .null_size = BENCH_BYTES });
	cr_expect_eq(bench_write(&b, 0, bytes, sizeof bytes), 0);
	cr_expect_eq(bench_read(&b, 0, bytes, sizeof bytes), 0);
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
}

/* --- PRPs at their corners ------------------------------------------------ */

struct shape_row {
	const char *name;
	uint32_t size;
	struct host_nvme_shape shape;
};

static const struct shape_row shape_rows[] = {
	{ "one block at the end of a page", 512, { .offset = 3584 } },
	{ "one block across two pages", 512, { .offset = 3844 } },
	{ "a dword in the first page", 4096, { .offset = 4092 } },
	{ "two pages", 8192, { .is_scattered = true } },
	{ "two pages from the middle", 4608, { .offset = 2048 } },
	{ "three pages, so a list", 8704, { .offset = 4 } },
	{ "a list of one entry at the end of its page",
	  8192,
	  { .offset = 512, .list_offset = 4080 } },
	{ "a list that ends with its page",
	  12288,
	  { .is_scattered = true, .list_offset = 4080 } },
	{ "a list that is chained after one entry",
	  16384,
	  { .is_scattered = true, .list_offset = 4080 } },
	{ "a list that starts with its chain",
	  16384,
	  { .is_scattered = true, .list_offset = 4088 } },
	{ "the most there may be", MAX_BYTES, { .is_scattered = true } },
	{ "the most, from the middle of a page",
	  MAX_BYTES,
	  { .offset = 1024, .is_scattered = true, .list_offset = 2048 } },
	{ "the most, chained",
	  MAX_BYTES,
	  { .offset = 4, .is_scattered = true, .list_offset = 4064 } },
};

static void try_shapes(bool is_by_message)
{
	static uint8_t bytes[MAX_BYTES], back[MAX_BYTES];
	struct bench b;

	bench_start(&b,
		    &(struct bench_options){ .is_by_message = is_by_message });
	for (size_t i = 0; i < sizeof shape_rows / sizeof *shape_rows; i++) {
		const struct shape_row *row = &shape_rows[i];

		bench_pattern(bytes, row->size, i);
		transfer(&b, NVME_NVM_WRITE, i, bytes, row->size, row->shape);
		cr_assert_eq(bench_read(&b, i, back, row->size), 0);
		cr_expect_arr_eq(back, bytes, row->size, "write: %s",
				 row->name);
		memset(back, 0, row->size);
		transfer(&b, NVME_NVM_READ, i, back, row->size, row->shape);
		cr_expect_arr_eq(back, bytes, row->size, "read: %s", row->name);
	}
	bench_stop(&b);
}

Test(function_io, every_shape_of_data_is_found)
{
	try_shapes(false);
}

Test(function_io, every_shape_of_data_is_found_by_message)
{
	try_shapes(true);
}

Test(function_io, a_read_touches_nothing_around_its_data)
{
	struct host_nvme_data data;
	struct host_nvme_shape shape = { .offset = 512 };
	uint8_t *page;
	struct bench b;

	bench_start(&b, NULL);
	cr_assert_eq(host_nvme_data_make(b.nvme, 1024, shape, &data), 0);
	page = host_nvme_at(b.nvme, data.pages[0]);
	memset(page, 0xa5, 4096);
	cr_assert_eq(host_nvme_rw(b.nvme, 1, NVME_NVM_READ, 0, 2, &data), 0);
	for (int i = 0; i < 4096; i++)
		cr_assert_eq(page[i], i < 512 || i >= 1536 ? 0xa5 : 0,
			     "byte %d", i);
	bench_stop(&b);
}

Test(function_io, the_last_block_is_there)
{
	uint8_t block[512], back[512];
	struct bench b;

	bench_pattern(block, 512, 9);
	bench_start(&b, NULL);
	cr_expect_eq(bench_write(&b, BENCH_BLOCKS - 1, block, 512), 0);
	cr_expect_eq(bench_read(&b, BENCH_BLOCKS - 1, back, 512), 0);
	cr_expect_arr_eq(back, block, 512);
	bench_stop(&b);
}

/* --- Durability ----------------------------------------------------------- */

static void expect_in_file(const char *file, uint64_t offset,
			   const uint8_t *bytes, size_t size)
{
	uint8_t *back = malloc(size);
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	cr_assert(back && fd >= 0);
	cr_assert_eq(pread(fd, back, size, (off_t)offset), (ssize_t)size);
	cr_expect_arr_eq(back, bytes, size);
	close(fd);
	free(back);
}

Test(function_io, durable_writes_and_flushes_reach_the_file)
{
	char *file = bench_make_file(BENCH_BYTES);
	struct nvme_cmd write = { .opcode = NVME_NVM_WRITE,
				  .nsid = le32_put(1),
				  .cdw10 = le32_put(100),
				  .cdw12 = le32_put(1u << 30 | 7) };
	struct host_nvme_data data;
	uint8_t bytes[4096];
	struct bench b;

	bench_pattern(bytes, sizeof bytes, 11);
	bench_start(&b, &(struct bench_options){ .file = file });
	cr_assert_eq(host_nvme_data_make(b.nvme, 4096,
					 (struct host_nvme_shape){ 0 }, &data),
		     0);
	host_nvme_data_put(b.nvme, &data, bytes);
	write.prp1 = le64_put(data.prp1);
	cr_expect_eq(host_nvme_call(b.nvme, 1, &write, NULL), 0);
	expect_in_file(file, 100 * 512, bytes, 4096);
	cr_expect_eq(bench_write(&b, 200, bytes, 4096), 0);
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	expect_in_file(file, 200 * 512, bytes, 4096);
	cr_expect_eq(host_nvme_set_feature(b.nvme, 6, 0, NULL), 0);
	cr_expect_eq(bench_write(&b, 300, bytes, 4096), 0, "no write cache");
	expect_in_file(file, 300 * 512, bytes, 4096);
	bench_stop(&b);
	unlink(file);
	free(file);
}

Test(function_io, what_the_file_lost_is_an_unrecovered_read)
{
	char *file = bench_make_file(BENCH_BYTES);
	uint8_t bytes[4096];
	struct bench b;

	bench_start(&b, &(struct bench_options){ .file = file });
	cr_assert_eq(truncate(file, BENCH_BYTES / 2), 0);
	cr_expect_eq(bench_read(&b, BENCH_BLOCKS - 8, bytes, 4096),
		     HOST_NVME_STATUS(2, 0x81));
	cr_expect_eq(bench_read(&b, 0, bytes, 4096), 0);
	bench_stop(&b);
	unlink(file);
	free(file);
}

Test(function_io, what_the_file_does_not_take_is_a_write_fault)
{
	const struct rlimit limit = { BENCH_BYTES / 2, RLIM_INFINITY };
	char *file = bench_make_file(BENCH_BYTES);
	uint8_t bytes[4096] = { 1 };
	struct bench b;

	signal(SIGXFSZ, SIG_IGN);
	bench_start(&b, &(struct bench_options){ .file = file });
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_expect_eq(bench_write(&b, BENCH_BLOCKS - 8, bytes, 4096),
		     HOST_NVME_STATUS(2, 0x80));
	cr_expect_eq(bench_write(&b, 0, bytes, 4096), 0);
	bench_stop(&b);
	unlink(file);
	free(file);
}

/* --- Discard -------------------------------------------------------------- */

Test(function_io, discarded_blocks_leave_their_neighbours_alone)
{
	static uint8_t bytes[65536], back[65536];
	struct nvme_dsm_range *range;
	struct nvme_cmd discard = { .opcode = NVME_NVM_DSM,
				    .nsid = le32_put(1),
				    .cdw10 = le32_put(1),
				    .cdw11 = le32_put(4) };
	struct bench b;
	uint64_t page;

	bench_start(&b, &(struct bench_options){ .profile = "is-3" });
	bench_pattern(bytes, sizeof bytes, 21);
	cr_assert_eq(bench_write(&b, 0, bytes, sizeof bytes), 0);
	page = host_nvme_alloc(b.nvme, 4096, 4096);
	range = host_nvme_at(b.nvme, page);
	range[0] = (struct nvme_dsm_range){ .start = le64_put(3),
					    .blocks = le32_put(17) };
	range[1] = (struct nvme_dsm_range){ .start = le64_put(64),
					    .blocks = le32_put(32) };
	discard.prp1 = le64_put(page);
	cr_assert_eq(host_nvme_call(b.nvme, 1, &discard, NULL), 0);
	cr_assert_eq(bench_read(&b, 0, back, sizeof back), 0);
	cr_expect_arr_eq(back, bytes, 3 * 512);
	cr_expect_arr_eq(back + 20 * 512, bytes + 20 * 512, 44 * 512);
	cr_expect_arr_eq(back + 96 * 512, bytes + 96 * 512, 32 * 512);
	bench_stop(&b);
}

/* --- Depth ---------------------------------------------------------------- */

Test(function_io, many_commands_at_once_each_get_their_own_data)
{
	uint8_t block[512], back[512];
	struct host_nvme_data data[31];
	uint16_t cids[31];
	struct bench b;

	bench_start(&b, NULL);
	for (uint64_t i = 0; i < 31; i++) {
		bench_pattern(block, 512, i);
		cr_assert_eq(bench_write(&b, i * 3, block, 512), 0);
	}
	for (uint32_t i = 0; i < 31; i++) {
		struct nvme_cmd read = { .opcode = NVME_NVM_READ,
					 .nsid = le32_put(1),
					 .cdw10 = le32_put(i * 3) };

		cr_assert_eq(host_nvme_data_make(b.nvme, 512,
						 (struct host_nvme_shape){ 0 },
						 &data[i]),
			     0);
		read.prp1 = le64_put(data[i].prp1);
		cr_assert_eq(host_nvme_submit(b.nvme, 1, &read, &cids[i]), 0);
	}
	for (uint64_t i = 0; i < 31; i++) {
		cr_assert_eq(host_nvme_wait(b.nvme, 1, cids[i], NULL), 0);
		host_nvme_data_get(b.nvme, &data[i], back);
		bench_pattern(block, 512, i);
		cr_assert_arr_eq(back, block, 512, "command %ju", (uintmax_t)i);
	}
	bench_stop(&b);
}
