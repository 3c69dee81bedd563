/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ebs-nvme/volume.h"
#include "ebs-nvme/volume/map.h"
#include "firmware/rt/guard.h"

#define PIECE (UINT64_C(2) << 20)
#define SIZE  (2 * PIECE + 8192)
#define TRIES 64 /* one of so many requests looks for holes */

static int fd;
static struct ebs_map *map;
static uint8_t bytes[8192], there[8192];

static void make_map(void)
{
	cr_assert_eq(rt_guard_install(), 0);
	fd = memfd_create("volume", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(fd, SIZE), 0);
	map = ebs_map_open(fd, SIZE, false);
	cr_assert_not_null(map);
}

static void drop_map(void)
{
	ebs_map_close(&map);
	close(fd);
}

TestSuite(ebs_map, .init = make_map, .fini = drop_map);

static bool transfer(enum ebs_volume_op op, uint64_t offset, size_t size)
{
	struct iovec iov[2] = { { bytes, 512 }, { bytes + 512, size - 512 } };
	struct ebs_volume_io io = {
		.op = op,
		.offset = offset,
		.size = size,
		.iov = iov,
		.iov_count = 2,
	};

	return ebs_map_transfer(map, &io, NULL);
}

static bool is_ever_used(uint64_t offset)
{
	for (int i = 0; i < TRIES; i++)
		if (transfer(EBS_VOLUME_READ, offset, 4096))
			return true;
	return false;
}

static void write_file(uint64_t offset, uint64_t size, int byte)
{
	memset(there, byte, sizeof there);
	for (uint64_t at = 0; at < size; at += sizeof there)
		cr_assert_eq(
			pwrite(fd, there, sizeof there, (off_t)(offset + at)),
			sizeof there);
}

Test(ebs_map, what_has_no_hole_is_read_and_written_in_place)
{
	write_file(0, SIZE, 7);
	for (uint64_t at = 0; at < SIZE; at += PIECE)
		cr_expect(is_ever_used(at));
	cr_expect_eq(bytes[4095], 7);
	memset(bytes, 9, sizeof bytes);
	/* Across two pieces, and to the end. */
	cr_expect(transfer(EBS_VOLUME_WRITE, PIECE - 4096, 8192));
	cr_expect(transfer(EBS_VOLUME_WRITE, SIZE - 1024, 1024));
	cr_expect_eq(pread(fd, there, 8192, PIECE - 4096), 8192);
	cr_expect_arr_eq(there, bytes, 8192);
	cr_expect_eq(pread(fd, there, 8192, SIZE - 1024), 1024);
	cr_expect_arr_eq(there, bytes, 1024);
	memset(bytes, 0, sizeof bytes);
	cr_expect(transfer(EBS_VOLUME_READ, PIECE - 4608, 8192));
	cr_expect_eq(bytes[511], 7);
	cr_expect_eq(bytes[512], 9);
	cr_expect_eq(bytes[8191], 9);
}

Test(ebs_map, a_hole_is_not_filled_by_reading_around_it)
{
	struct stat before, after;

	write_file(0, PIECE, 7);
	write_file(PIECE, 4096 * 100, 7);
	cr_assert_eq(fstat(fd, &before), 0);
	cr_expect(is_ever_used(0));
	cr_expect_not(is_ever_used(PIECE));
	cr_expect_not(transfer(EBS_VOLUME_READ, PIECE - 4096, 8192));
	cr_expect_not(is_ever_used(2 * PIECE));
	cr_assert_eq(fstat(fd, &after), 0);
	cr_expect_eq(before.st_blocks, after.st_blocks);
}

Test(ebs_map, where_a_hole_is_made_is_not_used_until_it_is_filled)
{
	write_file(0, SIZE, 7);
	cr_expect(is_ever_used(0));
	cr_expect(is_ever_used(PIECE));
	ebs_map_forget(map, 4096, 4096);
	cr_assert_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       4096, 4096),
		     0);
	cr_expect_not(is_ever_used(0));
	cr_expect(transfer(EBS_VOLUME_READ, PIECE, 4096));
	write_file(0, 8192, 8);
	cr_expect(is_ever_used(0));
	cr_expect_eq(bytes[0], 8);
}

Test(ebs_map, what_is_forgotten_may_reach_behind_the_end)
{
	ebs_map_forget(map, SIZE - 512, UINT64_C(1) << 40);
	ebs_map_forget(map, 0, 0);
}

Test(ebs_map, a_file_that_was_cut_is_not_used_any_more)
{
	write_file(0, SIZE, 7);
	cr_expect(is_ever_used(0));
	cr_assert_eq(ftruncate(fd, 4096), 0);
	cr_expect(transfer(EBS_VOLUME_READ, 0, 4096));
	cr_expect_not(transfer(EBS_VOLUME_READ, 0, 8192));
	cr_expect_not(transfer(EBS_VOLUME_WRITE, 0, 4096));
	cr_assert_eq(ftruncate(fd, SIZE), 0);
	cr_expect_not(transfer(EBS_VOLUME_READ, 0, 4096));
}

Test(ebs_map, a_write_that_found_the_file_cut_does_not_count)
{
	write_file(0, SIZE, 7);
	cr_expect(is_ever_used(PIECE));
	cr_assert_eq(ftruncate(fd, 4096), 0);
	cr_expect_not(transfer(EBS_VOLUME_WRITE, PIECE, 4096));
}

Test(ebs_map, what_is_behind_the_mapping_is_not_in_it)
{
	write_file(0, SIZE + 8192, 7);
	cr_expect(is_ever_used(2 * PIECE));
	cr_expect_not(transfer(EBS_VOLUME_READ, SIZE - 512, 1024));
	cr_expect_not(transfer(EBS_VOLUME_READ, SIZE, 1024));
	cr_expect_not(transfer(EBS_VOLUME_READ, UINT64_MAX - 511, 1024));
	ebs_map_expect(map, SIZE - 512, 1024);
	ebs_map_expect(map, UINT64_MAX, 2);
	ebs_map_expect(map, 0, SIZE);
}

Test(ebs_map, what_cannot_be_mapped_is_no_error, .init = NULL, .fini = NULL)
{
	int pipes[2];

	cr_assert_eq(pipe(pipes), 0);
	cr_expect_null(ebs_map_open(pipes[0], SIZE, false));
	ebs_map_close(&map);
}
