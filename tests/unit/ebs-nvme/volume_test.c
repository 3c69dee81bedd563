/* SPDX-License-Identifier: BSD-3-Clause */
/* The storage engines, through their seam. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ebs-nvme/volume.h"
#include "firmware/rt/error.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"

#define SIZE (UINT64_C(1) << 20)

static struct rt_loop *loop;
static struct ebs_volume *volume;
static struct rt_error error;
static char path[64];
static uint8_t bytes[SIZE], wanted[SIZE];

/* --- Making volumes ---------------------------------------------------- */

static int open_volume(struct ebs_volume_config config)
{
	if (!loop)
		cr_assert_eq(rt_loop_create(NULL, &loop), 0);
	return ebs_volume_open(loop, &config, &volume, &error);
}

static void make_file_in(const char *folder, off_t size)
{
	int fd;

	snprintf(path, sizeof path, "%s/volume_test_XXXXXX", folder);
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, size), 0);
	close(fd);
}

static void make_file(off_t size)
{
	make_file_in("/tmp", size);
}

static void make_file_volume(void)
{
	make_file(SIZE);
	cr_assert_eq(open_volume((struct ebs_volume_config){ .file = path }), 0,
		     "%s", error.text);
}

/* Some file systems cannot, and some have nothing to go past. */
static void make_direct_volume(void)
{
	make_file(SIZE);
	if (open_volume((struct ebs_volume_config){
		    .file = path, .cache = EBS_VOLUME_CACHE_DIRECT })) {
		unlink(path);
		cr_skip_test("%s", error.text);
	}
}

static void make_tmpfs_volume(void)
{
	cr_assert_eq(rt_guard_install(), 0);
	make_file_in("/dev/shm", SIZE);
	cr_assert_eq(open_volume((struct ebs_volume_config){ .file = path }), 0,
		     "%s", error.text);
}

static void make_memory_volume(void)
{
	cr_assert_eq(
		open_volume((struct ebs_volume_config){ .memory_size = SIZE }),
		0);
}

static void make_null_volume(void)
{
	cr_assert_eq(
		open_volume((struct ebs_volume_config){ .null_size = SIZE }),
		0);
}

static void drop_volume(void)
{
	ebs_volume_close(&volume);
	cr_expect_null(volume);
	rt_loop_destroy(&loop);
	if (path[0])
		unlink(path);
}

TestSuite(ebs_volume_file, .init = make_file_volume, .fini = drop_volume);
TestSuite(ebs_volume_direct, .init = make_direct_volume, .fini = drop_volume);
TestSuite(ebs_volume_tmpfs, .init = make_tmpfs_volume, .fini = drop_volume);
TestSuite(ebs_volume_memory, .init = make_memory_volume, .fini = drop_volume);
TestSuite(ebs_volume_null, .init = make_null_volume, .fini = drop_volume);
TestSuite(ebs_volume_open, .fini = drop_volume);

/* --- Making requests --------------------------------------------------- */

struct request {
	struct ebs_volume_io io;
	struct iovec iov[64];
	int times, status;
};

static void note_done(struct ebs_volume_io *io, int status)
{
	struct request *r = rt_container_of(io, struct request, io);

	r->times++;
	r->status = status;
}

/* The memory in three pieces, the first and the last of them odd ones. */
static void split(struct request *r, uint8_t *memory, uint64_t size)
{
	size_t first = size / 3 | 1, second = size / 2;

	r->iov[0] = (struct iovec){ memory, first };
	r->iov[1] = (struct iovec){ memory + first, second };
	r->iov[2] = (struct iovec){ memory + first + second,
				    size - first - second };
	r->io.iov = r->iov;
	r->io.iov_count = 3;
}

static void prepare(struct request *r, enum ebs_volume_op op, uint64_t offset,
		    uint64_t size, uint8_t *memory)
{
	*r = (struct request){ .io = { .loop = loop,
				       .op = op,
				       .offset = offset,
				       .size = size,
				       .done = note_done } };
	if (memory)
		split(r, memory, size);
}

static void submit(struct request *r)
{
	int status = ebs_volume_submit(volume, &r->io);

	cr_assert_eq(r->times, 0, "done() inside submit");
	if (status != -EINPROGRESS)
		note_done(&r->io, status);
}

static int finish(struct request *r)
{
	while (!r->times)
		cr_assert_geq(rt_loop_step(loop, 5 * UINT64_C(1000000000)), 0);
	cr_expect_eq(r->times, 1);
	return r->status;
}

static int run(enum ebs_volume_op op, uint64_t offset, uint64_t size,
	       uint8_t *memory)
{
	struct request r;

	prepare(&r, op, offset, size, memory);
	submit(&r);
	return finish(&r);
}

static int run_durable(enum ebs_volume_op op, uint64_t offset, uint64_t size,
		       uint8_t *memory)
{
	struct request r;

	prepare(&r, op, offset, size, memory);
	r.io.is_durable = true;
	submit(&r);
	return finish(&r);
}

static void fill(uint8_t *memory, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++) {
		seed = seed * 1103515245 + 12345;
		memory[i] = (uint8_t)(seed >> 16) | 1;
	}
}

/* --- What all engines that keep data promise --------------------------- */

static void check_random_traffic(void)
{
	unsigned int dice = 7;

	for (int i = 0; i < 300; i++) {
		uint64_t offset, size;

		dice = dice * 1103515245 + 12345;
		offset = dice % (SIZE / 512) * 512;
		size = ((dice >> 7) % 64 + 1) * 512;
		if (size > SIZE - offset)
			size = SIZE - offset;
		if (i % 5 == 4) {
			memset(wanted + offset, 0, size);
			cr_expect_eq(run(EBS_VOLUME_WRITE_ZEROES, offset, size,
					 NULL),
				     0);
			continue;
		}
		fill(wanted + offset, size, dice);
		memcpy(bytes, wanted + offset, size);
		cr_expect_eq(run(EBS_VOLUME_WRITE, offset, size, bytes), 0);
	}
	cr_expect_eq(run(EBS_VOLUME_FLUSH, 0, 0, NULL), 0);
	memset(bytes, 0xee, SIZE);
	cr_expect_eq(run(EBS_VOLUME_READ, 0, SIZE, bytes), 0);
	cr_expect_arr_eq(bytes, wanted, SIZE);
}

static void check_discard_leaves_the_rest(void)
{
	fill(wanted, SIZE, 3);
	memcpy(bytes, wanted, SIZE);
	cr_assert_eq(run(EBS_VOLUME_WRITE, 0, SIZE, bytes), 0);
	cr_assert(volume->can_discard);
	cr_expect_eq(run(EBS_VOLUME_DISCARD, 4096 - 512, 3 * 4096, NULL), 0);
	memset(wanted + 4096 - 512, 0, 3 * 4096);
	cr_expect_eq(run(EBS_VOLUME_READ, 0, SIZE, bytes), 0);
	cr_expect_arr_eq(bytes, wanted, SIZE);
	/* Inside one page, too. */
	cr_expect_eq(run(EBS_VOLUME_DISCARD, 65536 + 512, 512, NULL), 0);
	memset(wanted + 65536 + 512, 0, 512);
	cr_expect_eq(run(EBS_VOLUME_READ, 0, SIZE, bytes), 0);
	cr_expect_arr_eq(bytes, wanted, SIZE);
}

static void check_edges(void)
{
	static const struct {
		uint64_t offset, size;
		int status;
	} rows[] = {
		{ 0, 0, 0 },
		{ SIZE, 0, 0 },
		{ SIZE - 512, 512, 0 },
		{ SIZE - 512, 1024, -EINVAL },
		{ SIZE, 512, -EINVAL },
		{ UINT64_MAX - 511, 512, -EINVAL },
		{ 512, UINT64_MAX - 511, -EINVAL },
	};
	static const enum ebs_volume_op ops[] = { EBS_VOLUME_READ,
						  EBS_VOLUME_WRITE,
						  EBS_VOLUME_WRITE_ZEROES };

	for (size_t i = 0; i < RT_COUNT(rows) * RT_COUNT(ops); i++) {
		size_t row = i / RT_COUNT(ops), op = i % RT_COUNT(ops);
		struct request r;

		prepare(&r, ops[op], rows[row].offset, rows[row].size, NULL);
		r.iov[0] = (struct iovec){ bytes, 512 };
		r.io.iov = r.iov;
		r.io.iov_count = 1;
		submit(&r);
		cr_expect_eq(finish(&r), rows[row].status, "row %zu op %zu",
			     row, op);
	}
}

Test(ebs_volume_file, random_traffic_reads_back)
{
	check_random_traffic();
}

Test(ebs_volume_direct, random_traffic_reads_back)
{
	check_random_traffic();
}

Test(ebs_volume_tmpfs, random_traffic_reads_back)
{
	check_random_traffic();
}

Test(ebs_volume_memory, random_traffic_reads_back)
{
	check_random_traffic();
}

Test(ebs_volume_file, a_discard_leaves_the_rest)
{
	check_discard_leaves_the_rest();
}

Test(ebs_volume_direct, a_discard_leaves_the_rest)
{
	check_discard_leaves_the_rest();
}

Test(ebs_volume_tmpfs, a_discard_leaves_the_rest)
{
	check_discard_leaves_the_rest();
}

Test(ebs_volume_memory, a_discard_leaves_the_rest)
{
	check_discard_leaves_the_rest();
}

Test(ebs_volume_file, nothing_outside_the_volume_is_touched)
{
	struct stat status;

	check_edges();
	cr_expect_eq(stat(path, &status), 0);
	cr_expect_eq((uint64_t)status.st_size, SIZE);
}

Test(ebs_volume_direct, nothing_outside_the_volume_is_touched)
{
	check_edges();
}

Test(ebs_volume_tmpfs, nothing_outside_the_volume_is_touched)
{
	check_edges();
}

Test(ebs_volume_memory, nothing_outside_the_volume_is_touched)
{
	check_edges();
}

Test(ebs_volume_null, nothing_outside_the_volume_is_touched)
{
	check_edges();
}

Test(ebs_volume_memory, a_fresh_volume_reads_as_zeros)
{
	fill(bytes, SIZE, 1);
	cr_expect_eq(run(EBS_VOLUME_READ, 0, SIZE, bytes), 0);
	cr_expect_arr_eq(bytes, wanted, SIZE);
}

/* 2 MiB pages, and what is left of one at the end. */
Test(ebs_volume_open, a_large_memory_volume_keeps_all_of_its_bytes)
{
	struct ebs_volume_config config = { .memory_size = 7 * SIZE + 512 };

	cr_assert_eq(open_volume(config), 0);
	fill(wanted, SIZE, 6);
	for (uint64_t i = 0; i <= 6; i++) {
		memcpy(bytes, wanted, SIZE);
		cr_expect_eq(run(EBS_VOLUME_WRITE, i * SIZE + 512, SIZE, bytes),
			     0);
	}
	for (uint64_t i = 0; i <= 6; i++) {
		uint64_t offset = i * SIZE + 512;

		ebs_volume_expect(volume, EBS_VOLUME_READ, offset, SIZE);
		memset(bytes, 0, SIZE);
		cr_expect_eq(run(EBS_VOLUME_READ, offset, SIZE, bytes), 0);
		cr_expect_arr_eq(bytes, wanted, SIZE);
	}
}

static int write_piece(struct request *r, uint64_t offset)
{
	memcpy(bytes, wanted, 8192);
	prepare(r, EBS_VOLUME_WRITE, offset, 8192, bytes);
	return ebs_volume_submit(volume, &r->io);
}

static int count_resident(uint64_t offset)
{
	unsigned char pages[512];
	int count = 0;

	cr_assert_eq(mincore((char *)volume->memory + offset, EBS_PIECE, pages),
		     0);
	for (size_t i = 0; i < RT_COUNT(pages); i++)
		count += pages[i] & 1;
	return count;
}

Test(ebs_volume_open, memory_is_taken_elsewhere_when_it_is_first_written)
{
	struct ebs_volume_config config = { .memory_size = 4 * EBS_PIECE };
	struct request r;

	cr_assert_eq(open_volume(config), 0);
	fill(wanted, 8192, 16);
	cr_expect_eq(run(EBS_VOLUME_READ, 0, SIZE, bytes), 0);
	cr_expect_eq(write_piece(&r, 4096), -EINPROGRESS);
	cr_expect_eq(finish(&r), 0);
	cr_expect_eq(write_piece(&r, 0), 0);
	/* Into two others at once. */
	cr_expect_eq(write_piece(&r, 2 * EBS_PIECE - 4096), -EINPROGRESS);
	cr_expect_eq(finish(&r), 0);
	cr_expect_eq(write_piece(&r, 3 * EBS_PIECE - 8192), 0);
	memset(bytes, 0, 8192);
	cr_expect_eq(run(EBS_VOLUME_READ, 2 * EBS_PIECE - 4096, 8192, bytes),
		     0);
	cr_expect_arr_eq(bytes, wanted, 8192);
	cr_expect_eq(count_resident(2 * EBS_PIECE), 512);
	cr_expect_eq(count_resident(3 * EBS_PIECE), 0);
}

Test(ebs_volume_open, memory_that_was_given_back_is_taken_again)
{
	struct ebs_volume_config config = { .memory_size = 4 * EBS_PIECE };
	struct request r;

	cr_assert_eq(open_volume(config), 0);
	fill(wanted, 8192, 17);
	for (uint64_t at = 0; at < 4 * EBS_PIECE; at += EBS_PIECE) {
		cr_expect_eq(write_piece(&r, at), -EINPROGRESS);
		cr_expect_eq(finish(&r), 0);
	}
	cr_expect_eq(run(EBS_VOLUME_DISCARD, EBS_PIECE - 4096, EBS_PIECE + 8192,
			 NULL),
		     0);
	cr_expect_eq(count_resident(EBS_PIECE), 0);
	cr_expect_eq(write_piece(&r, 8192), 0);
	cr_expect_eq(write_piece(&r, 2 * EBS_PIECE), 0);
	cr_expect_eq(write_piece(&r, EBS_PIECE), -EINPROGRESS);
	cr_expect_eq(finish(&r), 0);
	cr_expect_eq(count_resident(EBS_PIECE), 512);
}

Test(ebs_volume_memory, what_is_expected_need_not_make_sense)
{
	ebs_volume_expect(volume, EBS_VOLUME_READ, SIZE, 512);
	ebs_volume_expect(volume, EBS_VOLUME_READ, UINT64_MAX, UINT64_MAX);
	ebs_volume_expect(volume, EBS_VOLUME_WRITE, 0, SIZE);
	check_edges();
}

Test(ebs_volume_memory, is_done_when_submit_returns)
{
	struct request r;

	prepare(&r, EBS_VOLUME_WRITE, 0, 4096, bytes);
	cr_expect_eq(ebs_volume_submit(volume, &r.io), 0);
	cr_expect_eq(r.times, 0);
}

Test(ebs_volume_null, is_done_when_submit_returns)
{
	struct request r;

	prepare(&r, EBS_VOLUME_READ, 0, 4096, bytes);
	cr_expect_eq(ebs_volume_submit(volume, &r.io), 0);
	cr_expect_eq(r.times, 0);
}

Test(ebs_volume_null, no_memory_is_touched)
{
	fill(bytes, SIZE, 1);
	memcpy(wanted, bytes, SIZE);
	cr_expect_eq(run_durable(EBS_VOLUME_WRITE, 0, SIZE, bytes), 0);
	cr_expect_eq(run(EBS_VOLUME_FLUSH, 0, 0, NULL), 0);
	cr_expect_eq(run(EBS_VOLUME_DISCARD, 0, SIZE, NULL), 0);
	cr_expect_eq(run(EBS_VOLUME_WRITE_ZEROES, 0, SIZE, NULL), 0);
	cr_expect_eq(run(EBS_VOLUME_READ, 0, SIZE, bytes), 0);
	cr_expect_arr_eq(bytes, wanted, SIZE);
}

/* --- The file engine --------------------------------------------------- */

static void check_file(void)
{
	RT_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	cr_expect_eq(pread(fd, bytes, SIZE, 0), (ssize_t)SIZE);
	cr_expect_arr_eq(bytes, wanted, SIZE);
}

Test(ebs_volume_file, what_is_done_is_in_the_file)
{
	cr_expect_eq(volume->size, SIZE);
	fill(wanted + 1024, 8192, 5);
	memcpy(bytes, wanted + 1024, 8192);
	cr_expect_eq(run_durable(EBS_VOLUME_WRITE, 1024, 8192, bytes), 0);
	check_file();
}

Test(ebs_volume_file, every_way_to_make_zeros_makes_zeros)
{
	for (unsigned int method = 0; method <= 2; method++) {
		volume->zero_method = method;
		fill(wanted, SIZE, method);
		memcpy(bytes, wanted, SIZE);
		cr_assert_eq(run(EBS_VOLUME_WRITE, 0, SIZE, bytes), 0);
		memset(wanted + 512, 0, SIZE - 1024);
		cr_expect_eq(
			(method ? run : run_durable)(EBS_VOLUME_WRITE_ZEROES,
						     512, SIZE - 1024, NULL),
			0);
		check_file();
	}
}

Test(ebs_volume_open, zeros_are_made_where_the_file_system_knows_one_way)
{
	int fd = memfd_create("volume", MFD_CLOEXEC);
	char name[64];

	/* Memory files have holes but no zeroed ranges. */
	cr_assert_eq(ftruncate(fd, 4 * SIZE), 0);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	cr_assert_eq(open_volume((struct ebs_volume_config){ .file = name }), 0,
		     "%s", error.text);
	cr_assert_eq(pwrite(fd, "xyz", 3, 4096), 3);
	cr_expect_eq(run(EBS_VOLUME_WRITE_ZEROES, 4096, 3 * SIZE, NULL), 0);
	cr_expect_eq(volume->zero_method, 1);
	cr_expect_eq(pread(fd, bytes, 3, 4096), 3);
	cr_expect_eq(bytes[0], 0);
	/* Larger than one write of zeros. */
	volume->zero_method = 2;
	memset(bytes, 0xee, SIZE);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pwrite(fd, bytes, SIZE, i * (off_t)SIZE),
			     (ssize_t)SIZE);
	cr_expect_eq(run_durable(EBS_VOLUME_WRITE_ZEROES, 512, 3 * SIZE, NULL),
		     0);
	cr_expect_eq(pread(fd, bytes, 1, 511), 1);
	cr_expect_eq(bytes[0], 0xee);
	for (off_t at = 512; at < 512 + 3 * (off_t)SIZE; at += 512) {
		cr_assert_eq(pread(fd, bytes, 512, at), 512);
		cr_assert_arr_eq(bytes, wanted, 512);
	}
	cr_expect_eq(pread(fd, bytes, 1, 512 + 3 * SIZE), 1);
	cr_expect_eq(bytes[0], 0xee);
}

static void check_cut_file(void)
{
	cr_assert_eq(truncate(path, 4096), 0);
	cr_expect_eq(run(EBS_VOLUME_READ, 0, 4096, bytes), 0);
	cr_expect_eq(run(EBS_VOLUME_READ, 2048, 4096, bytes), -EIO);
	cr_expect_eq(run(EBS_VOLUME_READ, 8192, 4096, bytes), -EIO);
}

Test(ebs_volume_file, a_file_that_was_cut_is_an_io_error)
{
	check_cut_file();
}

Test(ebs_volume_direct, a_file_that_was_cut_is_an_io_error)
{
	check_cut_file();
}

Test(ebs_volume_tmpfs, a_file_that_was_cut_is_an_io_error)
{
	check_cut_file();
}

Test(ebs_volume_tmpfs, a_file_that_was_cut_while_it_was_mapped_as_well)
{
	fill(bytes, SIZE, 5);
	cr_expect_eq(run(EBS_VOLUME_WRITE, 0, SIZE, bytes), 0);
	for (int i = 0; i < 100; i++)
		cr_expect_eq(run(EBS_VOLUME_READ, 8192, 4096, bytes), 0);
	check_cut_file();
	/* A write makes it longer again, as it does of any file. */
	fill(wanted, 4096, 6);
	memcpy(bytes, wanted, 4096);
	cr_expect_eq(run(EBS_VOLUME_WRITE, 8192, 4096, bytes), 0);
	memset(bytes, 0, 4096);
	cr_expect_eq(run(EBS_VOLUME_READ, 8192, 4096, bytes), 0);
	cr_expect_arr_eq(bytes, wanted, 4096);
}

/* The volume's descriptor becomes another one; returns the old one. */
static int exchange_fd(int other)
{
	int old = dup(volume->fd);

	dup2(other, volume->fd);
	return old;
}

Test(ebs_volume_file, a_short_transfer_goes_on_where_it_stopped)
{
	struct request r;
	int fds[2];

	/* A pipe stops short wherever its writer did. */
	cr_assert_eq(pipe(fds), 0);
	exchange_fd(fds[0]);
	fill(wanted, 4096, 9);
	prepare(&r, EBS_VOLUME_READ, 0, 4096, bytes);
	submit(&r);
	for (size_t at = 0, piece = 1; at < 4096; at += piece, piece *= 2) {
		size_t left = 4096 - at < piece ? 4096 - at : piece;

		cr_assert_eq(r.times, 0);
		cr_assert_eq(write(fds[1], wanted + at, left), (ssize_t)left);
		while (rt_loop_step(loop, 1000000) > 0)
			;
	}
	cr_expect_eq(finish(&r), 0);
	cr_expect_arr_eq(bytes, wanted, 4096);
}

Test(ebs_volume_file, a_vector_longer_than_the_kernel_takes_is_split)
{
	enum { PIECES = 4096 };
	static struct iovec iov[PIECES];
	struct request r;

	fill(wanted, PIECES * 2, 11);
	memcpy(bytes, wanted, PIECES * 2);
	for (size_t i = 0; i < PIECES; i++)
		iov[i] = (struct iovec){ bytes + i * 2, 2 };
	prepare(&r, EBS_VOLUME_WRITE, 0, PIECES * 2, NULL);
	r.io.iov = iov;
	r.io.iov_count = PIECES;
	submit(&r);
	cr_expect_eq(finish(&r), 0);
	check_file();
}

Test(ebs_volume_file, what_the_host_refuses_is_passed_on)
{
	struct rlimit limit = { .rlim_cur = 6144, .rlim_max = RLIM_INFINITY };

	if (volume->is_in_memory)
		cr_skip_test("a mapping has no such limit");
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	fill(bytes, 8192, 2);
	cr_expect_eq(run(EBS_VOLUME_WRITE, 0, 4096, bytes), 0);
	cr_expect_eq(run(EBS_VOLUME_WRITE, 4096, 4096, bytes), -EFBIG);
	cr_expect_eq(run(EBS_VOLUME_WRITE, 8192, 4096, bytes), -EFBIG);
	cr_expect_eq(run(EBS_VOLUME_FLUSH, 0, 0, NULL), 0,
		     "a refused write is no lost one");
}

Test(ebs_volume_file, after_a_failed_flush_nothing_is_called_durable)
{
	int fds[2], old;

	rt_log_set_level(RT_LOG_ERROR);
	cr_assert_eq(pipe(fds), 0);
	cr_expect_eq(run(EBS_VOLUME_FLUSH, 0, 0, NULL), 0);
	old = exchange_fd(fds[0]); /* a pipe cannot be synced */
	cr_expect_eq(run(EBS_VOLUME_FLUSH, 0, 0, NULL), -EINVAL);
	exchange_fd(old);
	cr_expect_eq(run(EBS_VOLUME_FLUSH, 0, 0, NULL), -EINVAL);
	cr_expect_eq(run_durable(EBS_VOLUME_WRITE, 0, 512, bytes), -EINVAL);
	cr_expect_eq(run_durable(EBS_VOLUME_WRITE_ZEROES, 0, 512, NULL),
		     -EINVAL);
	cr_expect_eq(run(EBS_VOLUME_WRITE, 0, 512, bytes), 0);
	cr_expect_eq(run_durable(EBS_VOLUME_READ, 0, 512, bytes), 0);
}

Test(ebs_volume_file, many_requests_at_a_time_all_complete)
{
	enum { MANY = 1000 };
	static struct request r[MANY];

	fill(wanted, MANY * 1024, 4);
	memcpy(bytes, wanted, MANY * 1024);
	for (size_t i = 0; i < MANY; i++) {
		prepare(&r[i], EBS_VOLUME_WRITE, i * 1024, 1024,
			bytes + i * 1024);
		submit(&r[i]);
	}
	for (size_t i = 0; i < MANY; i++)
		cr_expect_eq(finish(&r[i]), 0);
	check_file();
}

/* --- At once, and past the cache --------------------------------------- */

/* How many pages of the file the host has in memory, from page first on. */
static unsigned int count_cached(size_t first, size_t pages)
{
	RT_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	unsigned char states[SIZE / 4096];
	unsigned int count = 0;

	cr_assert_neq(memory, MAP_FAILED);
	cr_assert_eq(mincore(memory, SIZE, states), 0);
	munmap(memory, SIZE);
	for (size_t i = first; i < first + pages; i++)
		count += states[i] & 1;
	return count;
}

/* Take the file out of the host's memory, and so many pages in again. */
static void cache_only(size_t first, size_t pages)
{
	RT_FD int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t page[4096];

	cr_assert_eq(fsync(fd), 0);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (count_cached(0, SIZE / 4096))
		cr_skip_test("this file system keeps its pages");
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); /* nor reads ahead */
	for (size_t i = first; i < first + pages; i++)
		cr_assert_eq(pread(fd, page, 4096, (off_t)i * 4096), 4096);
	cr_assert_eq(count_cached(0, SIZE / 4096), pages);
}

static void fill_volume(void)
{
	fill(wanted, SIZE, 12);
	memcpy(bytes, wanted, SIZE);
	cr_assert_eq(run(EBS_VOLUME_WRITE, 0, SIZE, bytes), 0);
	memset(bytes, 0, SIZE);
}

static int submit_only(struct request *r, enum ebs_volume_op op,
		       uint64_t offset, uint64_t size)
{
	prepare(r, op, offset, size, bytes + offset);
	return ebs_volume_submit(volume, &r->io);
}

Test(ebs_volume_file, what_the_host_has_in_memory_is_read_at_once)
{
	struct request r;

	fill_volume();
	if (count_cached(0, SIZE / 4096) < SIZE / 4096)
		cr_skip_test("nothing stays in memory here");
	cr_expect_eq(submit_only(&r, EBS_VOLUME_READ, 4096, 65536), 0);
	cr_expect_arr_eq(bytes + 4096, wanted + 4096, 65536);
}

/*
 * A read while the host has just these pages.  It has begun when this returns:
 * to ask the cache makes the kernel read ahead, and now and then a fast disk
 * has answered before we look.
 */
static void begin_read(struct request *r, size_t first, size_t pages,
		       uint64_t offset, uint64_t size)
{
	int status = 0;

	fill_volume();
	for (int i = 0; i < 50 && !status; i++) {
		cache_only(first, pages);
		status = submit_only(r, EBS_VOLUME_READ, offset, size);
	}
	if (!status)
		cr_skip_test("this disk is as fast as the cache");
	cr_assert_eq(status, -EINPROGRESS);
}

Test(ebs_volume_file, what_the_host_has_not_is_waited_for_elsewhere)
{
	struct request r;

	begin_read(&r, 0, 8, 8 * 4096, 4096);
	cr_expect_eq(finish(&r), 0);
	cr_expect_arr_eq(bytes + 8 * 4096, wanted + 8 * 4096, 4096);
}

Test(ebs_volume_file, a_read_of_which_the_host_has_a_part_is_complete)
{
	struct request r;

	begin_read(&r, 4, 4, 4 * 4096, 8 * 4096);
	cr_expect_gt(r.io.transferred, 0, "a part of it at once");
	cr_expect_eq(finish(&r), 0);
	cr_expect_arr_eq(bytes + 4 * 4096, wanted + 4 * 4096, 8 * 4096);
}

/*
 * How often the cache was asked in 64 reads that it had nothing for;
 * UINT32_MAX: it had something.
 */
static unsigned int count_tries(void)
{
	_Atomic unsigned int *misses = &volume->misses[EBS_VOLUME_READ];
	unsigned int tries = 0;

	*misses = 0;
	for (int i = 0; i < 64; i++) {
		cache_only(0, 0);
		tries += *misses < 16;
		cr_expect_eq(run(EBS_VOLUME_READ, 0, 4096, bytes), 0);
		if (!*misses)
			return UINT32_MAX;
	}
	return tries;
}

Test(ebs_volume_file, a_cache_that_never_has_it_is_asked_less_often)
{
	unsigned int tries = UINT32_MAX;

	fill_volume();
	for (int i = 0; i < 50 && tries == UINT32_MAX; i++)
		tries = count_tries();
	if (tries == UINT32_MAX)
		cr_skip_test("this disk is as fast as the cache");
	cr_expect_eq(tries, 16);
	/* And trusted again when it has: one request in 16 asks. */
	for (int i = 0; i < 16; i++)
		cr_expect_eq(run(EBS_VOLUME_READ, 0, 4096, bytes), 0);
	cr_expect_eq(volume->misses[EBS_VOLUME_READ], 0);
}

Test(ebs_volume_tmpfs, everything_is_done_at_once)
{
	struct request r;

	fill(wanted, SIZE, 13);
	memcpy(bytes, wanted, SIZE);
	cr_expect_eq(submit_only(&r, EBS_VOLUME_WRITE, 0, SIZE), 0);
	prepare(&r, EBS_VOLUME_WRITE, 512, 512, bytes + 512);
	r.io.is_durable = true;
	cr_expect_eq(ebs_volume_submit(volume, &r.io), 0);
	prepare(&r, EBS_VOLUME_FLUSH, 0, 0, NULL);
	cr_expect_eq(ebs_volume_submit(volume, &r.io), 0);
	memset(bytes, 0, SIZE);
	cr_expect_eq(submit_only(&r, EBS_VOLUME_READ, 0, SIZE), 0);
	cr_expect_arr_eq(bytes, wanted, SIZE);
	check_file();
}

Test(ebs_volume_open, in_memory_there_is_no_cache_to_go_past)
{
	make_file_in("/dev/shm", SIZE);
	cr_assert_eq(open_volume((struct ebs_volume_config){
			     .file = path, .cache = EBS_VOLUME_CACHE_DIRECT }),
		     0);
	cr_expect_lt(volume->direct_fd, 0);
	check_random_traffic();
}

/* One piece of aligned memory, as most guests have it. */
static int run_aligned(enum ebs_volume_op op, uint64_t offset, uint64_t size)
{
	static _Alignas(4096) uint8_t aligned[SIZE];
	struct request r;

	memcpy(aligned + offset, bytes + offset, size);
	prepare(&r, op, offset, size, NULL);
	r.iov[0] = (struct iovec){ aligned + offset, size };
	r.io.iov = r.iov;
	r.io.iov_count = 1;
	submit(&r);
	finish(&r);
	memcpy(bytes + offset, aligned + offset, size);
	return r.status;
}

Test(ebs_volume_direct, nothing_stays_in_the_hosts_memory)
{
	if (volume->direct_fd < 0)
		cr_skip_test("the file is in memory");
	fill(wanted, SIZE, 14);
	memcpy(bytes, wanted, SIZE);
	cr_expect_eq(run_aligned(EBS_VOLUME_WRITE, 0, SIZE), 0);
	memset(bytes, 0, SIZE);
	cr_expect_eq(run_aligned(EBS_VOLUME_READ, 0, SIZE), 0);
	cr_expect_arr_eq(bytes, wanted, SIZE);
	cr_expect_eq(count_cached(0, SIZE / 4096), 0);
	check_file();
}

Test(ebs_volume_direct, what_is_not_aligned_goes_there_as_well)
{
	fill(wanted, SIZE, 15);
	memcpy(bytes, wanted, SIZE);
	cr_expect_eq(run_aligned(EBS_VOLUME_WRITE, 0, SIZE), 0);
	/* Around each other: an odd one after, and before, an even one. */
	for (uint64_t at = 0; at < SIZE; at += 16384) {
		fill(wanted + at, 16384, (unsigned int)at);
		memcpy(bytes + at, wanted + at, 16384);
		cr_expect_eq(run_durable(EBS_VOLUME_WRITE, at + 512, 15872,
					 bytes + at + 512),
			     0);
		cr_expect_eq(run_aligned(EBS_VOLUME_WRITE, at, 4096), 0);
		memset(bytes + at, 0, 16384);
		cr_expect_eq(run_aligned(EBS_VOLUME_READ, at, 8192), 0);
		cr_expect_eq(run(EBS_VOLUME_READ, at + 8192, 8192,
				 bytes + at + 8192),
			     0);
	}
	cr_expect_arr_eq(bytes, wanted, SIZE);
	cr_expect_eq(run(EBS_VOLUME_FLUSH, 0, 0, NULL), 0);
	check_file();
}

/* --- Block devices ----------------------------------------------------- */

static char device_path[32];

/* A loop device on the test's file; it goes with its last descriptor. */
static int make_device(uint32_t block_size)
{
	RT_FD int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	RT_FD int file = -1;
	struct loop_config config = { .block_size = block_size,
				      .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	int device;

	if (number < 0)
		cr_skip_test("no loop devices here");
	make_file(SIZE);
	file = open(path, O_RDWR | O_CLOEXEC);
	snprintf(device_path, sizeof device_path, "/dev/loop%d", number);
	device = open(device_path, O_RDWR | O_CLOEXEC);
	config.fd = (unsigned int)file;
	if (device < 0 || ioctl(device, LOOP_CONFIGURE, &config))
		cr_skip_test("no loop device to be had");
	return device;
}

static void open_device(uint32_t block_size, unsigned int cache)
{
	RT_FD int device = make_device(block_size);

	cr_assert_eq(open_volume((struct ebs_volume_config){
			     .file = device_path, .cache = cache }),
		     0, "%s", error.text);
	cr_expect_eq(volume->size, SIZE);
	cr_expect_not(volume->is_in_memory);
}

static void make_device_volume(uint32_t block_size)
{
	open_device(block_size, EBS_VOLUME_CACHE_AUTO);
}

Test(ebs_volume_open, a_block_device_can_be_reached_past_the_cache)
{
	open_device(4096, EBS_VOLUME_CACHE_DIRECT);
	cr_expect_geq(volume->direct_fd, 0);
	check_edges();
	check_random_traffic();
	cr_expect_eq(run_aligned(EBS_VOLUME_WRITE, 4096, 8192), 0);
	cr_expect_eq(run_aligned(EBS_VOLUME_READ, 512, 512), 0);
}

Test(ebs_volume_open, a_block_device_is_a_volume)
{
	make_device_volume(512);
	check_edges();
	check_random_traffic();
	check_discard_leaves_the_rest();
	cr_expect_eq(run_durable(EBS_VOLUME_WRITE_ZEROES, 512, 8192, NULL), 0);
}

Test(ebs_volume_open, a_block_device_may_have_larger_blocks_than_ours)
{
	make_device_volume(4096);
	check_edges();
	check_random_traffic();
	/* It cannot discard a part of a block, and need not. */
	cr_expect_eq(run(EBS_VOLUME_DISCARD, 512, 512, NULL), 0);
	cr_expect_eq(run(EBS_VOLUME_READ, 0, SIZE, bytes), 0);
	cr_expect_arr_eq(bytes, wanted, SIZE);
}

Test(ebs_volume_open, a_block_device_belongs_to_one_card)
{
	struct ebs_volume_config config = { .file = device_path };
	struct ebs_volume *second = NULL;

	make_device_volume(512);
	cr_expect_eq(ebs_volume_open(loop, &config, &second, &error), -EBUSY);
	cr_expect_null(second);
}

/* --- Opening ----------------------------------------------------------- */

Test(ebs_volume_open, two_cards_do_not_write_one_file)
{
	struct ebs_volume_config config = { .file = path };
	struct ebs_volume *second = NULL;

	make_file_volume();
	cr_expect_eq(ebs_volume_open(loop, &config, &second, &error), -EBUSY);
	cr_expect(strstr(error.text, "is in use"), "%s", error.text);
	cr_expect(strstr(error.hint, path), "%s", error.hint);
	config.is_read_only = true;
	cr_expect_eq(ebs_volume_open(loop, &config, &second, &error), -EBUSY);
	/* The lock goes with the volume. */
	ebs_volume_close(&volume);
	cr_expect_eq(ebs_volume_open(loop, &config, &second, &error), 0);
	cr_expect_eq(open_volume(config), 0, "readers may be many");
	config.is_read_only = false;
	ebs_volume_close(&second);
	cr_expect_eq(ebs_volume_open(loop, &config, &second, &error), -EBUSY);
	cr_expect_null(second);
}

/* As a killed card's I/O that ends a little after the card. */
Test(ebs_volume_open, waits_for_a_dying_card_to_let_go)
{
	struct ebs_volume_config config = { .file = path };
	struct ebs_volume *second = NULL;
	pid_t child;

	make_file_volume();
	child = fork(); /* shares the lock's open file description */
	if (!child) {
		usleep(300000);
		_exit(0);
	}
	ebs_volume_close(&volume);
	cr_expect_eq(ebs_volume_open(loop, &config, &second, &error), 0, "%s",
		     error.text);
	ebs_volume_close(&second);
	waitpid(child, NULL, 0);
}

static void check_read_only(void)
{
	cr_expect(volume->is_read_only);
	cr_expect_not(volume->can_discard);
	cr_expect_eq(run(EBS_VOLUME_READ, 0, 512, bytes), 0);
	cr_expect_eq(run(EBS_VOLUME_FLUSH, 0, 0, NULL), 0);
	cr_expect_eq(run(EBS_VOLUME_WRITE, 0, 512, bytes), -EROFS);
	cr_expect_eq(run(EBS_VOLUME_DISCARD, 0, 512, NULL), -EROFS);
	cr_expect_eq(run(EBS_VOLUME_WRITE_ZEROES, 0, 512, NULL), -EROFS);
}

Test(ebs_volume_open, a_read_only_volume_does_not_change)
{
	make_file(SIZE);
	chmod(path, 0400);
	cr_assert_eq(open_volume((struct ebs_volume_config){
			     .file = path, .is_read_only = true }),
		     0, "%s", error.text);
	check_read_only();
	ebs_volume_close(&volume);
	cr_assert_eq(open_volume((struct ebs_volume_config){
			     .memory_size = SIZE, .is_read_only = true }),
		     0);
	check_read_only();
	ebs_volume_close(&volume);
	cr_assert_eq(open_volume((struct ebs_volume_config){
			     .null_size = SIZE, .is_read_only = true }),
		     0);
	check_read_only();
}

Test(ebs_volume_open, a_discard_that_the_volume_cannot_do_says_so)
{
	make_file_volume();
	volume->can_discard = false;
	cr_expect_eq(run(EBS_VOLUME_DISCARD, 0, 512, NULL), -EOPNOTSUPP);
}

Test(ebs_volume_open, probing_for_holes_leaves_the_file_alone)
{
	struct stat before, after;
	int fd;

	make_file(SIZE);
	fd = open(path, O_RDWR | O_CLOEXEC);
	fill(wanted, SIZE, 8);
	cr_assert_eq(pwrite(fd, wanted, SIZE, 0), (ssize_t)SIZE);
	cr_assert_eq(fstat(fd, &before), 0);
	cr_assert_eq(open_volume((struct ebs_volume_config){ .file = path }),
		     0);
	cr_assert_eq(fstat(fd, &after), 0);
	cr_expect_eq(before.st_size, after.st_size);
	check_file();
}

Test(ebs_volume_open, what_is_no_volume_is_refused_with_a_sentence)
{
	static char missing[] = "/nonexistent/volume";
	static char folder[] = "/tmp", device[] = "/dev/null";
	static const struct {
		struct ebs_volume_config config;
		int code;
		const char *text, *hint;
	} rows[] = {
		{ { .file = missing },
		  -ENOENT,
		  "cannot open the volume /nonexistent/volume: No such file",
		  "truncate -s 8G" },
		{ { .file = folder }, -EISDIR, "cannot open the volume", "" },
		{ { .file = folder, .is_read_only = true },
		  -EINVAL,
		  "is no file and no block device",
		  "" },
		{ { .file = device },
		  -EINVAL,
		  "is no file and no block device",
		  "" },
		{ { 0 }, -EINVAL, "one of a file, memory", "" },
		{ { .file = device, .null_size = 512 },
		  -EINVAL,
		  "one of a file, memory",
		  "" },
		{ { .memory_size = 513 },
		  -EINVAL,
		  "513 bytes does not consist of whole blocks",
		  "make it 1024 bytes" },
		{ { .null_size = 1 }, -EINVAL, "whole blocks", "512" },
		{ { .memory_size = UINT64_MAX - 511 },
		  -ENOMEM,
		  "cannot reserve",
		  "" },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		memset(&error, 0, sizeof error);
		cr_expect_eq(open_volume(rows[i].config), rows[i].code,
			     "row %zu: %d", i, error.code);
		cr_expect_eq(error.code, rows[i].code, "row %zu", i);
		cr_expect(strstr(error.text, rows[i].text), "row %zu: %s", i,
			  error.text);
		cr_expect(strstr(error.hint, rows[i].hint), "row %zu: %s", i,
			  error.hint);
		cr_expect_null(volume);
	}
}

Test(ebs_volume_open, a_file_of_a_wrong_size_is_refused)
{
	make_file(0);
	cr_expect_eq(open_volume((struct ebs_volume_config){ .file = path }),
		     -EINVAL);
	cr_expect(strstr(error.text, "is empty"), "%s", error.text);
	cr_assert_eq(truncate(path, 1000), 0);
	cr_expect_eq(open_volume((struct ebs_volume_config){ .file = path }),
		     -EINVAL);
	cr_expect(strstr(error.text, "1000 bytes"), "%s", error.text);
	cr_expect(strstr(error.hint, "truncate -s %512 /tmp"), "%s",
		  error.hint);
	cr_expect_null(volume);
}

Test(ebs_volume_open, a_pipe_does_not_hold_up_the_card)
{
	snprintf(path, sizeof path, "/tmp/volume_fifo_%d", (int)getpid());
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_eq(open_volume((struct ebs_volume_config){
			     .file = path, .is_read_only = true }),
		     -EINVAL);
}

Test(ebs_volume_open, closing_nothing_does_nothing)
{
	ebs_volume_close(&volume);
}
