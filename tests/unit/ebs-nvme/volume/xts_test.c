/* SPDX-License-Identifier: BSD-3-Clause */
/* Each way to do XTS-AES-256 is the standard's, and two libraries'. */
#include <criterion/criterion.h>
#include <gcrypt.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebs-nvme/volume/copy.h"
#include "ebs-nvme/volume/xts.h"
#include "firmware/rt/scope.h"

#define UNITS 19u /* two groups of eight, and some */
#define BYTES (UNITS * EBS_XTS_UNIT)

struct vector {
	unsigned int name;
	uint64_t number;
	const char *cipher; /* hexadecimal */
};

static const struct vector vectors[] = {
#define VECTOR(name, number, cipher) { name, number, cipher },
#include "tests/unit/ebs-nvme/volume/xts_vectors.def"
#undef VECTOR
};

/* Digits of e and of pi: Key1 and Key2 of vectors 10 to 14. */
static const char vector_key[] =
	"2718281828459045235360287471352662497757247093699959574966967627"
	"3141592653589793238462643383279502884197169399375105820974944592";

static struct ebs_xts_schedule schedule;
static uint8_t key[EBS_XTS_KEY_BYTES];
static alignas(64) uint8_t plain[BYTES + 64], cipher[BYTES + 64];
static alignas(64) uint8_t wanted[BYTES + 64], again[BYTES + 64];

static void from_hex(uint8_t *bytes, const char *hex, size_t size)
{
	for (size_t i = 0; i < size; i++)
		cr_assert_eq(sscanf(hex + 2 * i, "%2hhx", &bytes[i]), 1);
}

static void fill(uint8_t *bytes, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(rand_r(&seed) >> 8);
}

static const struct ebs_xts_method *method_there(size_t i)
{
	const struct ebs_xts_method *m = &ebs_xts_methods[i];

	return m->is_there() ? m : NULL;
}

static void begin(const struct ebs_xts_method *m)
{
	cr_assert_eq(m->begin(&schedule, key), 0);
}

Test(ebs_xts, the_vectors_of_ieee_1619_come_out)
{
	uint8_t unit[EBS_XTS_UNIT], out[EBS_XTS_UNIT];

	from_hex(key, vector_key, sizeof key);
	for (size_t i = 0; i < sizeof unit; i++)
		plain[i] = (uint8_t)i;
	for (size_t i = 0; i < ebs_xts_method_count; i++) {
		const struct ebs_xts_method *m = method_there(i);

		if (!m)
			continue;
		begin(m);
		for (size_t v = 0; v < RT_COUNT(vectors); v++) {
			from_hex(unit, vectors[v].cipher, sizeof unit);
			m->encrypt(&schedule, out, plain, 1, vectors[v].number);
			cr_expect_arr_eq(out, unit, sizeof unit,
					 "%s, vector %u", m->name,
					 vectors[v].name);
			m->decrypt(&schedule, out, unit, 1, vectors[v].number);
			cr_expect_arr_eq(out, plain, sizeof unit,
					 "%s, vector %u back", m->name,
					 vectors[v].name);
		}
		m->end(&schedule);
	}
}

static void by_openssl(uint64_t number)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint8_t tweak[16] = { 0 };
	int size;

	for (size_t i = 0; i < UNITS; i++, number++) {
		for (unsigned int j = 0; j < 8; j++)
			tweak[j] = (uint8_t)(number >> 8 * j);
		cr_assert_eq(EVP_EncryptInit_ex(context, EVP_aes_256_xts(),
						NULL, key, tweak),
			     1);
		cr_assert_eq(EVP_EncryptUpdate(
				     context, wanted + i * EBS_XTS_UNIT, &size,
				     plain + i * EBS_XTS_UNIT, EBS_XTS_UNIT),
			     1);
	}
	EVP_CIPHER_CTX_free(context);
}

static void by_libgcrypt(uint64_t number)
{
	gcry_cipher_hd_t handle;
	uint8_t tweak[16] = { 0 };

	gcry_check_version(NULL);
	cr_assert_eq(gcry_cipher_open(&handle, GCRY_CIPHER_AES256,
				      GCRY_CIPHER_MODE_XTS, 0),
		     0);
	cr_assert_eq(gcry_cipher_setkey(handle, key, sizeof key), 0);
	for (size_t i = 0; i < UNITS; i++, number++) {
		for (unsigned int j = 0; j < 8; j++)
			tweak[j] = (uint8_t)(number >> 8 * j);
		cr_assert_eq(gcry_cipher_setiv(handle, tweak, sizeof tweak), 0);
		cr_assert_eq(gcry_cipher_encrypt(
				     handle, wanted + i * EBS_XTS_UNIT,
				     EBS_XTS_UNIT, plain + i * EBS_XTS_UNIT,
				     EBS_XTS_UNIT),
			     0);
	}
	gcry_cipher_close(handle);
}

static void expect_same(const struct ebs_xts_method *m, uint64_t number,
			size_t shift)
{
	memset(cipher, 0, sizeof cipher);
	m->encrypt(&schedule, cipher + shift, plain, UNITS, number);
	cr_expect_arr_eq(cipher + shift, wanted, BYTES, "%s from %#llx",
			 m->name, (unsigned long long)number);
	cr_expect_eq(cipher[BYTES + shift], 0, "%s wrote too much", m->name);
	m->encrypt_to_store(&schedule, again, plain, UNITS, number);
	ebs_copy_fence();
	cr_expect_arr_eq(again, wanted, BYTES, "%s to a store", m->name);
	m->decrypt(&schedule, again + shift, cipher + shift, UNITS, number);
	cr_expect_arr_eq(again + shift, plain, BYTES, "%s back", m->name);
	/* In place. */
	m->decrypt(&schedule, cipher + shift, cipher + shift, UNITS, number);
	cr_expect_arr_eq(cipher + shift, plain, BYTES, "%s in place", m->name);
}

/* Random keys and data; numbers at which carries happen. */
static void compare(void (*library)(uint64_t number))
{
	static const uint64_t numbers[] = {
		0,
		1,
		UINT64_C(0xfffffffa),
		UINT64_C(0x7ffffffffffffffa),
		UINT64_MAX - 3,
		UINT64_C(0x0123456789abcdef),
	};

	for (unsigned int round = 0; round < 12; round++) {
		uint64_t number = numbers[round % RT_COUNT(numbers)];

		fill(key, sizeof key, 2 * round + 1);
		fill(plain, sizeof plain, 2 * round + 2);
		library(number);
		for (size_t i = 0; i < ebs_xts_method_count; i++) {
			const struct ebs_xts_method *m = method_there(i);

			if (!m)
				continue;
			begin(m);
			expect_same(m, number, round % 16);
			m->wipe();
			m->end(&schedule);
		}
	}
}

Test(ebs_xts, random_units_are_as_openssl_has_them)
{
	compare(by_openssl);
}

Test(ebs_xts, random_units_are_as_libgcrypt_has_them)
{
	compare(by_libgcrypt);
}

Test(ebs_xts, a_unit_of_zeros_is_read_as_zeros_and_nothing_else_is)
{
	fill(key, sizeof key, 1);
	for (size_t i = 0; i < ebs_xts_method_count; i++) {
		const struct ebs_xts_method *m = method_there(i);

		if (!m)
			continue;
		begin(m);
		memset(cipher, 0, BYTES);
		cipher[EBS_XTS_UNIT + 511] = 1;
		cipher[3 * EBS_XTS_UNIT] = 1;
		memset(again, 0x5a, BYTES);
		m->decrypt(&schedule, again, cipher, UNITS, 7);
		for (size_t u = 0; u < UNITS; u++)
			cr_expect_eq(ebs_xts_is_blank(again + u * EBS_XTS_UNIT),
				     u != 1 && u != 3, "%s, unit %zu", m->name,
				     u);
		m->end(&schedule);
	}
}

Test(ebs_xts, the_end_of_a_schedule_erases_it)
{
	fill(key, sizeof key, 1);
	for (size_t i = 0; i < ebs_xts_method_count; i++) {
		const uint8_t *bytes = (const uint8_t *)&schedule;
		const struct ebs_xts_method *m = method_there(i);

		if (!m)
			continue;
		begin(m);
		m->end(&schedule);
		for (size_t j = 0; j < sizeof schedule; j++)
			cr_assert_eq(bytes[j], 0, "%s, byte %zu", m->name, j);
	}
}

/* The vector registers as a debugger would see them. */
#ifdef __x86_64__
__attribute__((target("avx512f"))) static void
save_registers(uint8_t out[32][64])
{
#define SAVE(n) "vmovdqu64 %%zmm" #n ", " #n "*64(%0)\n\t"
	__asm__ volatile(
		SAVE(0) SAVE(1) SAVE(2) SAVE(3) SAVE(4) SAVE(5) SAVE(6) SAVE(7)
			SAVE(8) SAVE(9) SAVE(10) SAVE(11) SAVE(12) SAVE(13)
				SAVE(14) SAVE(15) SAVE(16) SAVE(17) SAVE(18)
					SAVE(19) SAVE(20) SAVE(21)
		:
		: "r"(out)
		: "memory");
	__asm__ volatile(SAVE(22) SAVE(23) SAVE(24) SAVE(25) SAVE(26) SAVE(27)
				 SAVE(28) SAVE(29) SAVE(30) SAVE(31)
			 :
			 : "r"(out)
			 : "memory");
#undef SAVE
}

Test(ebs_xts, no_register_keeps_a_key)
{
	static uint8_t registers[32][64], none[32][64];
	const struct ebs_xts_method *m = ebs_xts_methods;

	if (!m->is_there())
		cr_skip_test("this processor has no VAES");
	fill(key, sizeof key, 1);
	begin(m);
	m->encrypt(&schedule, cipher, plain, UNITS, 7);
	m->wipe();
	save_registers(registers);
	cr_expect_arr_eq(registers, none, sizeof none);
	m->end(&schedule);
}
#endif
