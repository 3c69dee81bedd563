/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * XTS-AES-256 with the instructions of x86-64 processors: VAES on registers of
 * 512 bits, or AES-NI on those of 128.
 *
 * A unit is 32 blocks, and each needs its own tweak: the one before, times x
 * in GF(2^128), IEEE 1619, 5.2.  The first of a unit is its number, encrypted
 * under the second key.  That takes as long for one block as for eight, so the
 * wide code does it for many units at a time, and makes each other tweak from
 * the first: one after the other, the blocks would wait for them.
 *
 * Round keys stay where they are and are fetched for each unit: kept in
 * registers there would be too few of these, and the compiler would put keys on
 * the stack.
 */
#include "ebs-nvme/volume/xts.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

#include "firmware/rt/secret.h"

#define GROUP  32u /* units */
#define WIDE   8u  /* registers of 64 bytes that make a unit */
#define NARROW 8u  /* blocks of 16 bytes at a time */
#define AHEAD  8u  /* units: a page, where the processor's own guess ends */
#define LAST   EBS_XTS_ROUNDS

#define AESNI static inline __attribute__((always_inline, target("aes,sse4.1")))
#define VAES                                                                   \
	static inline __attribute__((                                          \
		always_inline,                                                 \
		target("vaes,avx512f,avx512bw,avx512dq,vpclmulqdq,aes")))
#define VAES_TARGET                                                            \
	__attribute__((target("vaes,avx512f,avx512bw,avx512dq,vpclmulqdq,"     \
			      "aes")))
#define AESNI_TARGET __attribute__((target("aes,sse4.1")))

/* clang 14 has no word for it in __builtin_cpu_supports(). */
static bool has_vaes_bit(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && c & bit_VAES;
}

bool ebs_xts_has_vaes(void)
{
	return __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("vpclmulqdq") && has_vaes_bit() &&
	       ebs_xts_has_aesni();
}

bool ebs_xts_has_aesni(void)
{
	return __builtin_cpu_supports("aes") &&
	       __builtin_cpu_supports("sse4.1");
}

/* ---- round keys, FIPS 197, 5.2 ---- */

AESNI void put(uint8_t round[64], __m128i key)
{
	for (unsigned int i = 0; i < 4; i++)
		_mm_store_si128((__m128i *)round + i, key);
}

AESNI __m128i get(const uint8_t round[64])
{
	return _mm_load_si128((const __m128i *)round);
}

/* The running exclusive or over the words of a round key. */
AESNI __m128i spread(__m128i key, __m128i word)
{
	key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
	key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
	return _mm_xor_si128(key, word);
}

#define STEP(n, rcon)                                                          \
	do {                                                                   \
		a = spread(a,                                                  \
			   _mm_shuffle_epi32(                                  \
				   _mm_aeskeygenassist_si128(b, rcon), 0xff)); \
		put(rounds[2 * (n)], a);                                       \
		if ((n) == 7)                                                  \
			break;                                                 \
		b = spread(b, _mm_shuffle_epi32(                               \
				      _mm_aeskeygenassist_si128(a, 0), 0xaa)); \
		put(rounds[2 * (n) + 1], b);                                   \
	} while (0)

AESNI_TARGET static void expand(uint8_t rounds[LAST + 1][64],
				const uint8_t key[32])
{
	__m128i a = _mm_loadu_si128((const __m128i *)key);
	__m128i b = _mm_loadu_si128((const __m128i *)(key + 16));

	put(rounds[0], a);
	put(rounds[1], b);
	STEP(1, 0x01);
	STEP(2, 0x02);
	STEP(3, 0x04);
	STEP(4, 0x08);
	STEP(5, 0x10);
	STEP(6, 0x20);
	STEP(7, 0x40);
}
#undef STEP

AESNI_TARGET int ebs_xts_aesni_begin(struct ebs_xts_schedule *s,
				     const uint8_t key[EBS_XTS_KEY_BYTES])
{
	expand(s->encrypt, key);
	expand(s->tweak, key + 32);
	for (unsigned int i = 0; i <= LAST; i++) {
		__m128i round = get(s->encrypt[LAST - i]);

		if (i && i < LAST)
			round = _mm_aesimc_si128(round);
		put(s->decrypt[i], round);
	}
	ebs_xts_aesni_wipe();
	return 0;
}

void ebs_xts_aesni_end(struct ebs_xts_schedule *s)
{
	rt_erase(s, sizeof *s);
}

/* ---- 128 bits at a time ---- */

AESNI __m128i aes_one(const uint8_t rounds[LAST + 1][64], __m128i block)
{
	block = _mm_xor_si128(block, get(rounds[0]));
	for (unsigned int i = 1; i < LAST; i++)
		block = _mm_aesenc_si128(block, get(rounds[i]));
	return _mm_aesenclast_si128(block, get(rounds[LAST]));
}

AESNI __m128i times_x(__m128i tweak)
{
	__m128i top = _mm_srai_epi32(_mm_shuffle_epi32(tweak, 0x13), 31);
	__m128i carry = _mm_and_si128(top, _mm_set_epi32(0, 1, 0, 0x87));

	return _mm_xor_si128(_mm_add_epi64(tweak, tweak), carry);
}

AESNI __m128i first_tweak(const struct ebs_xts_schedule *s, uint64_t number)
{
	return aes_one(s->tweak, _mm_set_epi64x(0, (long long)number));
}

AESNI void narrow_rounds(const uint8_t rounds[LAST + 1][64],
			 __m128i block[NARROW], bool is_encrypt)
{
	for (unsigned int r = 1; r < LAST; r++) {
		__m128i key = get(rounds[r]);

#pragma GCC unroll 8
		for (unsigned int i = 0; i < NARROW; i++)
			block[i] = is_encrypt ? _mm_aesenc_si128(block[i], key)
					      : _mm_aesdec_si128(block[i], key);
	}
}

/* NARROW blocks; returns the tweak of the next one. */
AESNI __m128i narrow(const uint8_t rounds[LAST + 1][64], __m128i tweak,
		     __m128i *to, const __m128i *from, bool is_encrypt)
{
	__m128i block[NARROW], tweaks[NARROW], key = get(rounds[0]);

#pragma GCC unroll 8
	for (unsigned int i = 0; i < NARROW; i++) {
		tweaks[i] = tweak;
		block[i] = _mm_xor_si128(_mm_loadu_si128(from + i),
					 _mm_xor_si128(tweak, key));
		tweak = times_x(tweak);
	}
	narrow_rounds(rounds, block, is_encrypt);
	key = get(rounds[LAST]);
#pragma GCC unroll 8
	for (unsigned int i = 0; i < NARROW; i++) {
		block[i] = is_encrypt ? _mm_aesenclast_si128(block[i], key)
				      : _mm_aesdeclast_si128(block[i], key);
		_mm_storeu_si128(to + i, _mm_xor_si128(block[i], tweaks[i]));
	}
	return tweak;
}

AESNI void narrow_unit(const struct ebs_xts_schedule *s, uint8_t *to,
		       const uint8_t *from, uint64_t number, bool is_encrypt)
{
	__m128i tweak = first_tweak(s, number);

	for (unsigned int i = 0; i < EBS_XTS_UNIT; i += NARROW * 16)
		tweak = narrow(is_encrypt ? s->encrypt : s->decrypt, tweak,
			       (__m128i *)(to + i), (const __m128i *)(from + i),
			       is_encrypt);
}

AESNI_TARGET void ebs_xts_aesni_encrypt(const struct ebs_xts_schedule *s,
					void *to, const void *from,
					size_t units, uint64_t number)
{
	for (size_t i = 0; i < units; i++)
		narrow_unit(s, (uint8_t *)to + i * EBS_XTS_UNIT,
			    (const uint8_t *)from + i * EBS_XTS_UNIT,
			    number + i, true);
}

AESNI_TARGET void ebs_xts_aesni_decrypt(const struct ebs_xts_schedule *s,
					void *to, const void *from,
					size_t units, uint64_t number)
{
	for (size_t i = 0; i < units; i++) {
		const uint8_t *unit = (const uint8_t *)from + i * EBS_XTS_UNIT;
		uint8_t *plain = (uint8_t *)to + i * EBS_XTS_UNIT;

		if (ebs_xts_is_blank(unit))
			memset(plain, 0, EBS_XTS_UNIT);
		else
			narrow_unit(s, plain, unit, number + i, false);
	}
}

void ebs_xts_aesni_wipe(void)
{
#define WIPE(n) "pxor %%xmm" #n ", %%xmm" #n "\n\t"
	__asm__ volatile(WIPE(0) WIPE(1) WIPE(2) WIPE(3) WIPE(4) WIPE(5) WIPE(6)
				 WIPE(7) WIPE(8) WIPE(9) WIPE(10) WIPE(11) WIPE(
					 12) WIPE(13) WIPE(14) WIPE(15)::
					 : "xmm0", "xmm1", "xmm2", "xmm3",
					   "xmm4", "xmm5", "xmm6", "xmm7",
					   "xmm8", "xmm9", "xmm10", "xmm11",
					   "xmm12", "xmm13", "xmm14", "xmm15");
#undef WIPE
}

/* ---- 512 bits at a time ---- */

VAES __m512i wide_key(const uint8_t rounds[LAST + 1][64], unsigned int i)
{
	return _mm512_load_si512((const void *)rounds[i]);
}

/* Each lane, shifted to the left by so much as `left` says, reduced. */
VAES __m512i times(__m512i tweak, __m512i left, __m512i right)
{
	const __m512i poly = _mm512_set1_epi64(0x87);
	__m512i out = _mm512_srlv_epi64(tweak, right);
	__m512i carry = _mm512_bslli_epi128(out, 8);
	__m512i reduced = _mm512_clmulepi64_epi128(out, poly, 0x01);

	tweak = _mm512_sllv_epi64(tweak, left);
	return _mm512_ternarylogic_epi64(tweak, carry, reduced, 0x96);
}

/* The tweaks of four units from `number` on. */
VAES __m512i wide_first(const struct ebs_xts_schedule *s, uint64_t number)
{
	__m512i block = _mm512_set_epi64(
		0, (long long)(number + 3), 0, (long long)(number + 2), 0,
		(long long)(number + 1), 0, (long long)number);

	block = _mm512_xor_si512(block, wide_key(s->tweak, 0));
	for (unsigned int i = 1; i < LAST; i++)
		block = _mm512_aesenc_epi128(block, wide_key(s->tweak, i));
	return _mm512_aesenclast_epi128(block, wide_key(s->tweak, LAST));
}

/* Powers of x that each register's four tweaks are away from the first. */
#define LANES(n)                                                               \
	{                                                                      \
		n, n, n + 1, n + 1, n + 2, n + 2, n + 3, n + 3                 \
	}
static const alignas(64) uint64_t lefts[WIDE][8] = {
	LANES(0),  LANES(4),  LANES(8),  LANES(12),
	LANES(16), LANES(20), LANES(24), LANES(28),
};
#undef LANES

/* From a unit's first tweak to all of them. */
VAES void wide_tweaks(__m512i tweaks[WIDE], const uint8_t first[16])
{
	const __m512i all = _mm512_set1_epi64(64);
	__m512i tweak =
		_mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)first));

#pragma GCC unroll 8
	for (unsigned int i = 0; i < WIDE; i++) {
		__m512i left = _mm512_load_si512(lefts[i]);

		tweaks[i] = times(tweak, left, _mm512_sub_epi64(all, left));
	}
}

VAES void wide_rounds(const uint8_t rounds[LAST + 1][64], __m512i block[WIDE],
		      bool is_encrypt)
{
#pragma GCC unroll 14
	for (unsigned int r = 1; r < LAST; r++) {
		__m512i key = wide_key(rounds, r);

#pragma GCC unroll 8
		for (unsigned int i = 0; i < WIDE; i++)
			block[i] =
				is_encrypt
					? _mm512_aesenc_epi128(block[i], key)
					: _mm512_aesdec_epi128(block[i], key);
	}
}

VAES void wide_put(uint8_t *to, __m512i block, bool is_store)
{
	if (is_store)
		_mm512_stream_si512((__m512i *)to, block);
	else
		_mm512_storeu_si512(to, block);
}

VAES void wide_unit(const uint8_t rounds[LAST + 1][64], uint8_t *to,
		    const uint8_t *from, const uint8_t first[16],
		    bool is_encrypt, bool is_store)
{
	__m512i block[WIDE], tweaks[WIDE], key = wide_key(rounds, 0);

	wide_tweaks(tweaks, first);
#pragma GCC unroll 8
	for (unsigned int i = 0; i < WIDE; i++)
		block[i] = _mm512_ternarylogic_epi64(
			_mm512_loadu_si512(from + i * 64), tweaks[i], key,
			0x96);
	wide_rounds(rounds, block, is_encrypt);
	key = wide_key(rounds, LAST);
#pragma GCC unroll 8
	for (unsigned int i = 0; i < WIDE; i++) {
		__m512i last = _mm512_xor_si512(tweaks[i], key);

		block[i] = is_encrypt
				   ? _mm512_aesenclast_epi128(block[i], last)
				   : _mm512_aesdeclast_epi128(block[i], last);
		wide_put(to + i * 64, block[i], is_store);
	}
}

/* The first tweaks of units, at most GROUP of them. */
VAES void wide_group(const struct ebs_xts_schedule *s, uint8_t first[GROUP][16],
		     size_t units, uint64_t number)
{
	for (size_t i = 0; i < units && i < GROUP; i += 4)
		_mm512_store_si512(first[i], wide_first(s, number + i));
}

/* What is decrypted comes out of a large store, and is in no cache yet. */
VAES void expect(const uint8_t *unit)
{
#pragma GCC unroll 8
	for (unsigned int i = 0; i < EBS_XTS_UNIT; i += 64)
		__builtin_prefetch(unit + i, 0, 2);
}

VAES bool looks_blank(const uint8_t *unit)
{
	__m512i start = _mm512_loadu_si512(unit);

	return !_mm512_test_epi64_mask(start, start) && ebs_xts_is_blank(unit);
}

VAES void wide(const struct ebs_xts_schedule *s, uint8_t *to,
	       const uint8_t *from, size_t units, uint64_t number,
	       bool is_encrypt, bool is_store)
{
	alignas(64) uint8_t first[GROUP][16];

	for (size_t i = 0; i < units; i++) {
		if (i % GROUP == 0)
			wide_group(s, first, units - i, number + i);
		if (!is_encrypt && i + AHEAD < units)
			expect(from + AHEAD * EBS_XTS_UNIT);
		if (!is_encrypt && looks_blank(from))
			memset(to, 0, EBS_XTS_UNIT);
		else
			wide_unit(is_encrypt ? s->encrypt : s->decrypt, to,
				  from, first[i % GROUP], is_encrypt, is_store);
		to += EBS_XTS_UNIT;
		from += EBS_XTS_UNIT;
	}
}

VAES_TARGET void ebs_xts_vaes_encrypt(const struct ebs_xts_schedule *s,
				      void *to, const void *from, size_t units,
				      uint64_t number)
{
	wide(s, to, from, units, number, true, false);
}

VAES_TARGET void ebs_xts_vaes_encrypt_to_store(const struct ebs_xts_schedule *s,
					       void *to, const void *from,
					       size_t units, uint64_t number)
{
	wide(s, to, from, units, number, true, true);
}

VAES_TARGET void ebs_xts_vaes_decrypt(const struct ebs_xts_schedule *s,
				      void *to, const void *from, size_t units,
				      uint64_t number)
{
	wide(s, to, from, units, number, false, false);
}

/* vzeroall leaves the upper sixteen as they are. */
VAES_TARGET void ebs_xts_vaes_wipe(void)
{
#define WIPE(n) "vpxord %%zmm" #n ", %%zmm" #n ", %%zmm" #n "\n\t"
	__asm__ volatile(
		"vzeroall\n\t" WIPE(16) WIPE(17) WIPE(18) WIPE(19) WIPE(20)
			WIPE(21) WIPE(22) WIPE(23) WIPE(24) WIPE(25) WIPE(26)
				WIPE(27) WIPE(28) WIPE(29) WIPE(30) WIPE(31)::
					: "xmm0", "xmm1", "xmm2", "xmm3",
					  "xmm4", "xmm5", "xmm6", "xmm7",
					  "xmm8", "xmm9", "xmm10", "xmm11",
					  "xmm12", "xmm13", "xmm14", "xmm15",
					  "xmm16", "xmm17", "xmm18", "xmm19",
					  "xmm20", "xmm21", "xmm22", "xmm23",
					  "xmm24", "xmm25", "xmm26", "xmm27",
					  "xmm28", "xmm29", "xmm30", "xmm31");
#undef WIPE
}
#endif
