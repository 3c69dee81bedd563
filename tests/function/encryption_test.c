/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An encrypted volume as a whole, with the keys that the security chip keeps:
 * what a driver writes is in the file as XTS-AES-256 of it (IEEE 1619), found
 * by the library's cipher and the key that the chip unwraps.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ebs-nvme/controller.h"
#include "ebs-nvme/volume/crypt.h"
#include "firmware/card/custody.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "pcie-model/vfio-user/server.h"
#include "security-chip/chip.h"
#include "security-chip/keys.h"
#include "tests/function/bench.h"
#include "tests/unit/security-chip/rig.h"
#include "tests/unit/vm_flags.h"

#define ID        "vol-0123456789abcdef0"
#define OTHER_ID  "vol-0123456789abcdef1"
#define MAX_BYTES (128u * 1024)
#define SCRATCH   1000u /* block from which on tests write */

static struct rig rig;
static struct rt_error error;
static struct bench b;
static char *file;
static uint8_t bytes[MAX_BYTES], back[MAX_BYTES];

/* What the volume has to hold, and which of its blocks were written. */
static uint8_t truth[BENCH_BYTES];
static bool is_written[BENCH_BLOCKS];

static void set_up(void)
{
	rig_create(&rig);
	cr_assert_eq(sec_chip_open(rig.dir, &error), 0, "%s", error.text);
	card_custody_begin();
	file = bench_make_file(BENCH_BYTES);
}

static void tear_down(void)
{
	unlink(file);
	free(file);
	sec_chip_close();
	rig_destroy(&rig);
}

TestSuite(function_encryption, .init = set_up, .fini = tear_down);

static void start(struct bench_options options)
{
	options.file = file;
	options.is_encrypted = !options.profile;
	if (!options.volume_id && !options.profile)
		options.volume_id = ID;
	bench_start(&b, &options);
}

static void write_at(uint64_t lba, uint32_t size, struct host_nvme_shape shape)
{
	uint64_t used = b.nvme->memory_used;
	struct host_nvme_data data;

	bench_pattern(bytes, size, lba);
	cr_assert_eq(host_nvme_data_make(b.nvme, size, shape, &data), 0);
	host_nvme_data_put(b.nvme, &data, bytes);
	cr_assert_eq(host_nvme_rw(b.nvme, 1, NVME_NVM_WRITE, lba,
				  size / BENCH_BLOCK, &data),
		     0);
	b.nvme->memory_used = used;
	memcpy(truth + lba * BENCH_BLOCK, bytes, size);
	for (uint32_t i = 0; i < size / BENCH_BLOCK; i++)
		is_written[lba + i] = true;
}

static const struct {
	uint32_t size;
	struct host_nvme_shape shape;
} writes[] = {
	{ 512, { 0 } },
	{ 512, { .offset = 3844 } }, /* across two pages */
	{ 4096, { .offset = 4092 } },
	{ 4096, { 0 } },
	{ 4608, { .offset = 2048 } },
	{ 16384, { .is_scattered = true, .list_offset = 4080 } },
	{ MAX_BYTES, { .is_scattered = true } },
	{ MAX_BYTES, { .offset = 4, .is_scattered = true } },
};

/* At the first block, the last, and between: beside each other, with gaps. */
static void write_all(void)
{
	uint64_t lba = SCRATCH;

	for (size_t i = 0; i < RT_COUNT(writes); i++) {
		write_at(lba, writes[i].size, writes[i].shape);
		lba += writes[i].size / BENCH_BLOCK + i % 3;
	}
	write_at(0, 4096, (struct host_nvme_shape){ 0 });
	write_at(BENCH_BLOCKS - 1, 512, (struct host_nvme_shape){ 0 });
	/* Once more, in the midst of what was written before. */
	write_at(SCRATCH + 3, 1024, (struct host_nvme_shape){ .offset = 508 });
}

static void read_all(void)
{
	for (uint64_t at = 0; at < BENCH_BYTES; at += MAX_BYTES) {
		cr_assert_eq(bench_read(&b, at / BENCH_BLOCK, back, MAX_BYTES),
			     0);
		cr_assert_arr_eq(back, truth + at, MAX_BYTES, "from byte %ju",
				 (uintmax_t)at);
	}
}

/* ---- what is in the file ---- */

static void decrypt(EVP_CIPHER_CTX *context, const uint8_t *key, uint64_t lba,
		    const uint8_t *store, uint8_t *plain)
{
	uint8_t tweak[16] = { 0 };
	int size = 0;

	for (unsigned int i = 0; i < 8; i++)
		tweak[i] = (uint8_t)(lba >> 8 * i);
	cr_assert_eq(EVP_DecryptInit_ex(context, EVP_aes_256_xts(), NULL, key,
					tweak),
		     1);
	cr_assert_eq(
		EVP_DecryptUpdate(context, plain, &size, store, BENCH_BLOCK),
		1);
	cr_assert_eq(size, BENCH_BLOCK);
}

static void get_key(uint8_t key[SEC_KEY_BYTES])
{
	struct sec_key *wrapped;

	cr_assert_eq(sec_key_find(ID, NULL, NULL, true, &wrapped, &error), 0);
	cr_assert_eq(sec_key_unwrap(wrapped, key, &error), 0);
	sec_key_forget(&wrapped);
}

/* Every block: one that nobody wrote is zeros in the file as well. */
static void check_file(void)
{
	static const uint8_t zeros[BENCH_BLOCK];
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint8_t key[SEC_KEY_BYTES], store[BENCH_BLOCK], plain[BENCH_BLOCK];
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	get_key(key);
	for (uint64_t lba = 0; lba < BENCH_BLOCKS; lba++) {
		cr_assert_eq(pread(fd, store, sizeof store,
				   (off_t)(lba * BENCH_BLOCK)),
			     BENCH_BLOCK);
		decrypt(context, key, lba, store, plain);
		cr_assert_arr_eq(is_written[lba] ? plain : store,
				 is_written[lba] ? truth + lba * BENCH_BLOCK
						 : zeros,
				 BENCH_BLOCK, "block %ju", (uintmax_t)lba);
	}
	close(fd);
	EVP_CIPHER_CTX_free(context);
}

static void round_trip(struct bench_options options)
{
	start(options);
	write_all();
	read_all();
	check_file();
	bench_stop(&b);
	check_file();
	start(options);
	read_all();
	bench_stop(&b);
}

Test(function_encryption, the_file_has_xts_of_what_was_written)
{
	round_trip((struct bench_options){ 0 });
}

Test(function_encryption, the_file_has_xts_of_what_came_by_message)
{
	round_trip((struct bench_options){ .is_by_message = true });
}

Test(function_encryption, a_volume_that_grew_keeps_what_it_had)
{
	start((struct bench_options){ 0 });
	write_all();
	bench_stop(&b);
	cr_assert_eq(truncate(file, 2 * (off_t)BENCH_BYTES), 0);
	start((struct bench_options){ 0 });
	read_all();
	cr_assert_eq(bench_read(&b, BENCH_BLOCKS, back, MAX_BYTES), 0);
	for (size_t i = 0; i < MAX_BYTES; i++)
		cr_assert_eq(back[i], 0);
	bench_pattern(bytes, MAX_BYTES, 5);
	cr_assert_eq(bench_write(&b, BENCH_BLOCKS - 1, bytes, 1024), 0);
	cr_assert_eq(bench_read(&b, BENCH_BLOCKS - 1, back, 1024), 0);
	cr_expect_arr_eq(back, bytes, 1024);
	bench_stop(&b);
}

Test(function_encryption, two_volumes_have_nothing_in_common)
{
	uint8_t first[4096], second[4096];
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	start((struct bench_options){ 0 });
	write_at(SCRATCH, 4096, (struct host_nvme_shape){ 0 });
	bench_stop(&b);
	cr_assert_eq(pread(fd, first, 4096, SCRATCH * BENCH_BLOCK), 4096);
	/* Only a blank one gets a key. */
	cr_assert_eq(truncate(file, 0), 0);
	cr_assert_eq(truncate(file, BENCH_BYTES), 0);
	start((struct bench_options){ .volume_id = OTHER_ID });
	write_at(SCRATCH, 4096, (struct host_nvme_shape){ 0 });
	bench_stop(&b);
	cr_assert_eq(pread(fd, second, 4096, SCRATCH * BENCH_BLOCK), 4096);
	close(fd);
	for (size_t i = 0; i < 4096; i += 16)
		cr_expect_arr_neq(first + i, second + i, 16);
}

/* ---- deallocation ---- */

static void deallocate(uint64_t lba, uint32_t blocks)
{
	uint64_t page = host_nvme_alloc(b.nvme, 4096, 4096);
	struct nvme_dsm_range *range = host_nvme_at(b.nvme, page);
	struct nvme_cmd command = { .opcode = NVME_NVM_DSM,
				    .nsid = le32_put(1),
				    .prp1 = le64_put(page),
				    .cdw11 = le32_put(4) };

	*range = (struct nvme_dsm_range){ .start = le64_put(lba),
					  .blocks = le32_put(blocks) };
	cr_assert_eq(host_nvme_call(b.nvme, 1, &command, NULL), 0);
}

Test(function_encryption, what_was_deallocated_is_zeros_and_nothing_else_is)
{
	start((struct bench_options){ .profile = "is-3" });
	write_all();
	deallocate(SCRATCH + 2, 37);
	memset(truth + (SCRATCH + 2) * BENCH_BLOCK, 0, 37 * BENCH_BLOCK);
	read_all();
	bench_stop(&b);
}

/* ---- when the key is there ---- */

static const struct ebs_crypt *cipher(void)
{
	return ebs_controller_of(b.fn)->volume->crypt;
}

Test(function_encryption, a_key_is_there_while_somebody_is_attached)
{
	bench_make_card(&b, &(struct bench_options){ .file = file,
						     .volume_id = ID,
						     .is_encrypted = true });
	cr_expect_not(ebs_crypt_is_open(cipher()));
	for (int i = 0; i < 2; i++) {
		bench_connect(&b);
		cr_expect(ebs_crypt_is_open(cipher()));
		bench_hang_up(&b);
		cr_expect_not(ebs_crypt_is_open(cipher()));
	}
	bench_remove_card(&b);
}

Test(function_encryption, nobody_gets_in_without_the_installations_secret)
{
	int ends[2];

	bench_make_card(&b, &(struct bench_options){ .file = file,
						     .volume_id = ID,
						     .is_encrypted = true });
	cr_assert_eq(unlink(rig_path(&rig, "security-chip/secret")), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
		     0);
	cr_expect_lt(pcie_server_attach(b.server, ends[0]), 0);
	cr_expect_not(ebs_crypt_is_open(cipher()));
	cr_expect_not(pcie_server_has_client(b.server));
	close(ends[1]);
	bench_remove_card(&b);
}

Test(function_encryption, what_an_instance_store_disk_held_is_gone_at_detach)
{
	struct bench_options options = { .profile = "is-3" };

	start(options);
	write_all();
	bench_stop(&b);
	start(options);
	cr_assert_eq(bench_read(&b, 0, back, 4096), 0);
	for (size_t i = 0; i < 4096; i++)
		cr_assert_eq(back[i], 0, "byte %zu at its start", i);
	cr_assert_eq(bench_read(&b, SCRATCH, back, MAX_BYTES), 0);
	for (size_t i = 0; i < MAX_BYTES; i += 16)
		if (is_written[SCRATCH + i / BENCH_BLOCK])
			cr_assert_arr_neq(back + i,
					  truth + SCRATCH * BENCH_BLOCK + i,
					  16);
	bench_stop(&b);
}

/* Guests whose memory is reached by message: their data passes through us. */
Test(function_encryption, buffers_for_messages_are_empty_and_in_no_core_file)
{
	const struct ebs_buffer_pool *pool;

	start((struct bench_options){ .is_by_message = true });
	write_all();
	read_all();
	pool = &ebs_controller_of(b.fn)->bounce_buffers;
	cr_assert_eq(pool->free_count, pool->count);
	cr_expect(has_vm_flag(pool->memory, " dd"));
	for (size_t i = 0; i < pool->count * pool->size; i++)
		cr_assert_eq(pool->memory[i], 0, "byte %zu of them", i);
	bench_stop(&b);
}
