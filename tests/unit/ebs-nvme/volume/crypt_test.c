/* SPDX-License-Identifier: BSD-3-Clause */
/* An encrypted volume, whatever is behind it, and however data is cut. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ebs-nvme/volume.h"
#include "ebs-nvme/volume/crypt.h"
#include "firmware/rt/error.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/scope.h"

#define SIZE   (UINT64_C(4) << 20)
#define IO_MAX (UINT64_C(256) << 10)
#define BLOCK  512u

static struct rt_loop *loop;
static struct ebs_volume *volume;
static struct rt_error error;
static char path[64];
static uint8_t key[EBS_KEY_BYTES];
static uint8_t data[IO_MAX + 4096], back[IO_MAX + 4096], bounce[IO_MAX];
static int file = -1;

/* Where volumes are; NULL: in memory. */
static const char *const folders[] = { "/tmp", "/dev/shm", NULL };

static void fill(uint8_t *bytes, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(rand_r(&seed) >> 8);
}

static void make_file(const char *folder)
{
	snprintf(path, sizeof path, "%s/crypt_test_XXXXXX", folder);
	file = mkstemp(path);
	cr_assert_geq(file, 0);
	cr_assert_eq(ftruncate(file, (off_t)SIZE), 0);
}

static void open_volume(const char *folder)
{
	struct ebs_volume_config config = { .encrypted = EBS_VOLUME_ENCRYPTED };

	cr_assert_eq(rt_guard_install(), 0);
	cr_assert_eq(rt_loop_create(NULL, &loop), 0);
	if (folder) {
		make_file(folder);
		config.file = path;
	} else {
		config.memory_size = SIZE;
	}
	cr_assert_eq(ebs_volume_open(loop, &config, &volume, &error), 0, "%s",
		     error.text);
	fill(key, sizeof key, 11);
	cr_assert_eq(ebs_crypt_unlock(volume->crypt, key), 0);
}

static void close_volume(void)
{
	ebs_volume_close(&volume);
	if (file >= 0) {
		close(file);
		unlink(path);
	}
	file = -1;
	rt_loop_destroy(&loop);
}

struct request {
	struct ebs_volume_io io;
	struct iovec iov[65];
	int times, status;
};

static void note_done(struct ebs_volume_io *io, int status)
{
	struct request *r = rt_container_of(io, struct request, io);

	r->times++;
	r->status = status;
}

static int run(struct request *r, enum ebs_volume_op op, uint64_t offset,
	       uint64_t size, unsigned int iov_count)
{
	int status;

	r->io.loop = loop;
	r->io.op = op;
	r->io.offset = offset;
	r->io.size = size;
	r->io.iov = r->iov;
	r->io.iov_count = iov_count;
	r->io.bounce = volume->needs_bounce ? bounce : NULL;
	r->io.done = note_done;
	r->times = 0;
	status = ebs_volume_submit(volume, &r->io);
	if (status != -EINPROGRESS)
		return status;
	while (!r->times)
		cr_assert_geq(rt_loop_step(loop, UINT64_MAX), 0);
	cr_expect_eq(r->times, 1);
	return r->status;
}

static int move(enum ebs_volume_op op, uint8_t *at, uint64_t offset,
		uint64_t size)
{
	struct request r = { .iov = { { at, size } } };

	return run(&r, op, offset, size, 1);
}

/* In pieces of random sizes, at odd addresses. */
static int move_cut(enum ebs_volume_op op, uint8_t *at, uint64_t offset,
		    uint64_t size, unsigned int seed)
{
	struct request r = { 0 };
	uint64_t done = 0;
	unsigned int count = 0;

	while (done < size) {
		uint64_t piece = (unsigned)rand_r(&seed) % 5000;

		if (piece > size - done || count == RT_COUNT(r.iov) - 1)
			piece = size - done;
		r.iov[count++] = (struct iovec){ at + done, piece };
		done += piece;
	}
	return run(&r, op, offset, size, count);
}

/* What the store has: itself, past the volume. */
static void read_store(uint8_t *to, uint64_t offset, size_t size)
{
	if (volume->memory_size && file < 0)
		memcpy(to, (uint8_t *)volume->memory + offset, size);
	else
		cr_assert_eq(pread(file, to, size, (off_t)offset),
			     (ssize_t)size);
}

static void expect_ciphertext(uint64_t offset, const uint8_t *plain,
			      size_t size)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint8_t store[BLOCK], wanted[BLOCK];
	int written;

	for (size_t i = 0; i < size; i += BLOCK) {
		uint64_t lba = (offset + i) / BLOCK;
		uint8_t tweak[16] = { 0 };

		memcpy(tweak, &lba, sizeof lba);
		EVP_EncryptInit_ex(context, EVP_aes_256_xts(), NULL, key,
				   tweak);
		EVP_EncryptUpdate(context, wanted, &written, plain + i, BLOCK);
		read_store(store, offset + i, BLOCK);
		cr_expect_arr_eq(store, wanted, BLOCK, "block %llu",
				 (unsigned long long)lba);
	}
	EVP_CIPHER_CTX_free(context);
}

#define FOR_EACH_STORE(folder)                                                 \
	for (size_t s_ = 0; s_ < RT_COUNT(folders); s_++)                      \
		for (const char *folder = folders[s_],                         \
				*once_ = (open_volume(folder), "");            \
		     once_; once_ = (close_volume(), NULL))

Test(ebs_crypt, what_was_written_is_read_and_the_store_has_its_ciphertext)
{
	FOR_EACH_STORE(folder)
	{
		for (uint64_t size = BLOCK; size <= IO_MAX; size *= 8) {
			uint64_t offset =
				SIZE / 2 + 3 * BLOCK - size / 2 / 512 * 512;

			fill(data, size, (unsigned)size);
			cr_expect_eq(move(EBS_VOLUME_WRITE, data, offset, size),
				     0);
			expect_ciphertext(offset, data, size);
			memset(back, 0, size);
			cr_expect_eq(move(EBS_VOLUME_READ, back, offset, size),
				     0);
			cr_expect_arr_eq(back, data, size, "%s, %llu bytes",
					 folder ? folder : "memory",
					 (unsigned long long)size);
		}
	}
}

Test(ebs_crypt, data_may_be_cut_anywhere)
{
	FOR_EACH_STORE(folder)
	{
		for (unsigned int seed = 1; seed < 30; seed++) {
			uint64_t size = (1 + seed * 7 % 256) * BLOCK;
			uint64_t offset = seed * 9 * BLOCK;

			fill(data, size, seed);
			memset(back, 0x5a, sizeof back);
			cr_expect_eq(move_cut(EBS_VOLUME_WRITE, data, offset,
					      size, seed),
				     0);
			expect_ciphertext(offset, data, size);
			cr_expect_eq(move_cut(EBS_VOLUME_READ, back + 1, offset,
					      size, seed + 100),
				     0);
			cr_expect_arr_eq(back + 1, data, size, "%s, seed %u",
					 folder ? folder : "memory", seed);
			cr_expect_eq(back[size + 1], 0x5a);
			cr_expect_eq(back[0], 0x5a);
		}
	}
}

Test(ebs_crypt, what_nobody_wrote_is_zeros)
{
	FOR_EACH_STORE(folder)
	{
		memset(back, 0x5a, sizeof back);
		cr_expect_eq(move(EBS_VOLUME_READ, back, 8 * BLOCK, 4096), 0);
		for (size_t i = 0; i < 4096; i++)
			cr_assert_eq(back[i], 0);
	}
}

Test(ebs_crypt, what_was_zeroed_or_discarded_is_zeros_beside_what_was_not)
{
	static const enum ebs_volume_op ops[] = { EBS_VOLUME_WRITE_ZEROES,
						  EBS_VOLUME_DISCARD };

	FOR_EACH_STORE(folder)
	{
		for (size_t i = 0; i < RT_COUNT(ops); i++) {
			struct request r = { 0 };

			fill(data, 3 * 4096, 5);
			cr_expect_eq(move(EBS_VOLUME_WRITE, data, 0, 3 * 4096),
				     0);
			if (run(&r, ops[i], 4096, 4096, 0) == -EOPNOTSUPP)
				continue;
			memset(data + 4096, 0, 4096);
			cr_expect_eq(move(EBS_VOLUME_READ, back, 0, 3 * 4096),
				     0);
			cr_expect_arr_eq(back, data, 3 * 4096);
		}
	}
}

Test(ebs_crypt, zeros_that_are_written_are_ciphertext_like_all_else)
{
	FOR_EACH_STORE(folder)
	{
		memset(data, 0, 4096);
		cr_expect_eq(move(EBS_VOLUME_WRITE, data, 0, 4096), 0);
		expect_ciphertext(0, data, 4096);
		cr_expect_eq(move(EBS_VOLUME_READ, back, 0, 4096), 0);
		cr_expect_arr_eq(back, data, 4096);
	}
}

Test(ebs_crypt, a_locked_volume_moves_nothing_and_another_key_reads_noise)
{
	FOR_EACH_STORE(folder)
	{
		uint8_t other[EBS_KEY_BYTES];

		fill(data, 4096, 3);
		cr_expect_eq(move(EBS_VOLUME_WRITE, data, 0, 4096), 0);
		ebs_crypt_lock(volume->crypt);
		memset(back, 0x5a, 4096);
		cr_expect_eq(move(EBS_VOLUME_READ, back, 0, 4096), -ENOKEY);
		cr_expect_eq(move(EBS_VOLUME_WRITE, back, 0, 4096), -ENOKEY);
		cr_expect_eq(back[0], 0x5a);
		fill(other, sizeof other, 12);
		cr_expect_eq(ebs_crypt_unlock(volume->crypt, other), 0);
		cr_expect_eq(move(EBS_VOLUME_READ, back, 0, 4096), 0);
		cr_expect_arr_neq(back, data, BLOCK);
		cr_expect_eq(ebs_crypt_unlock(volume->crypt, key), 0);
		cr_expect_eq(move(EBS_VOLUME_READ, back, 0, 4096), 0);
		cr_expect_arr_eq(back, data, 4096);
	}
}

Test(ebs_crypt, a_key_of_two_equal_halves_is_refused)
{
	open_volume(NULL);
	memcpy(key + 32, key, 32);
	cr_expect_eq(ebs_crypt_unlock(volume->crypt, key), -EINVAL);
	cr_expect_not(ebs_crypt_is_open(volume->crypt));
	close_volume();
}

/* A map of tmpfs is used once its pieces are known to have no holes. */
Test(ebs_crypt, a_file_in_memory_is_encrypted_in_place_too)
{
	open_volume("/dev/shm");
	for (uint64_t at = 0; at < SIZE; at += IO_MAX) {
		fill(data, IO_MAX, (unsigned)at);
		cr_expect_eq(move(EBS_VOLUME_WRITE, data, at, IO_MAX), 0);
	}
	for (unsigned int i = 0; i < 200; i++) {
		uint64_t at = i * 37 % 500 * 4096;

		fill(data, 4096, i);
		memset(bounce, 0, 4096);
		cr_expect_eq(move(EBS_VOLUME_WRITE, data, at, 4096), 0);
		expect_ciphertext(at, data, 4096);
		cr_expect_eq(move(EBS_VOLUME_READ, back, at, 4096), 0);
		cr_expect_arr_eq(back, data, 4096);
	}
	memset(bounce, 0, 4096);
	cr_expect_eq(move(EBS_VOLUME_READ, back, 0, 4096), 0);
	cr_expect_eq(bounce[0] | bounce[1] | bounce[2] | bounce[3], 0,
		     "it went through the bounce buffer");
	close_volume();
}

Test(ebs_crypt, a_read_that_fails_leaves_the_guests_memory_alone)
{
	open_volume("/tmp");
	fill(data, 4096, 3);
	cr_expect_eq(move(EBS_VOLUME_WRITE, data, SIZE - 4096, 4096), 0);
	cr_assert_eq(ftruncate(file, 4096), 0);
	memset(back, 0x5a, 4096);
	cr_expect_lt(move(EBS_VOLUME_READ, back, SIZE - 4096, 4096), 0);
	for (size_t i = 0; i < 4096; i++)
		cr_assert_eq(back[i], 0x5a);
	close_volume();
}

/* What the processor can do, and what the null engine does. */
Test(ebs_crypt, a_volume_that_forgets_has_nothing_to_read)
{
	struct ebs_volume_config config = { .null_size = SIZE,
					    .encrypted = EBS_VOLUME_ENCRYPTED };

	cr_assert_eq(rt_loop_create(NULL, &loop), 0);
	cr_assert_eq(ebs_volume_open(loop, &config, &volume, &error), 0);
	fill(key, sizeof key, 11);
	cr_assert_eq(ebs_crypt_unlock(volume->crypt, key), 0);
	memset(bounce, 0, sizeof bounce);
	cr_expect_eq(move(EBS_VOLUME_READ, back, 0, 4096), 0);
	cr_expect_eq(move(EBS_VOLUME_WRITE, data, 0, 4096), 0);
	close_volume();
}
