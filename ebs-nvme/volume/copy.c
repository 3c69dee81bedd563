/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies into and out of a large store.
 *
 * What is written to a store is not read again soon: stores that go past the
 * caches save reading the line that they replace, and leave the caches to those
 * who use them.  At 4 KiB they take half the time of memcpy().
 *
 * Out of a store the C library's memcpy() is as good as any loop; the time goes
 * into waiting for lines, until the processor has noticed that it is a row.
 * Asking for a page two requests ahead takes a third of the time away; further
 * ahead, or more, there are too many at once.
 */
#include "ebs-nvme/volume/copy.h"

#include <stdint.h>
#include <string.h>

#include "firmware/rt/scope.h"

#define LINE         64u
#define STREAM_MIN   512u  /* below, lines are written in parts too often */
#define EXPECT_BYTES 4096u /* at a page's end the processor starts anew */

#ifdef __x86_64__
#include <immintrin.h>

/* Up to the first whole line of `to`; returns how much that was. */
static size_t copy_head(void *to, const void *from)
{
	size_t size = -(uintptr_t)to % LINE;

	memcpy(to, from, size);
	return size;
}

__attribute__((target("avx512f"))) static void
copy_avx512(void *to, const void *from, size_t size)
{
	size_t i;

	if (size < STREAM_MIN) {
		memcpy(to, from, size);
		return;
	}
	for (i = copy_head(to, from); i + 2 * LINE <= size; i += 2 * LINE) {
		const char *source = (const char *)from + i;
		char *target = (char *)to + i;
		__m512i a = _mm512_loadu_si512(source);
		__m512i b = _mm512_loadu_si512(source + LINE);

		_mm512_stream_si512((__m512i *)target, a);
		_mm512_stream_si512((__m512i *)(target + LINE), b);
	}
	memcpy((char *)to + i, (const char *)from + i, size - i);
}

__attribute__((target("avx2"))) static void
copy_avx2(void *to, const void *from, size_t size)
{
	size_t i;

	if (size < STREAM_MIN) {
		memcpy(to, from, size);
		return;
	}
	for (i = copy_head(to, from); i + LINE <= size; i += LINE) {
		const __m256i *source =
			(const __m256i *)((const char *)from + i);
		__m256i *target = (__m256i *)((char *)to + i);
		__m256i a = _mm256_loadu_si256(source);
		__m256i b = _mm256_loadu_si256(source + 1);

		_mm256_stream_si256(target, a);
		_mm256_stream_si256(target + 1, b);
	}
	memcpy((char *)to + i, (const char *)from + i, size - i);
}

static int has_avx512(void)
{
	return __builtin_cpu_supports("avx512f");
}

static int has_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

void ebs_copy_fence(void)
{
	_mm_sfence();
}
#else
void ebs_copy_fence(void)
{
}
#endif

static void copy_plain(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
}

static int is_always(void)
{
	return 1;
}

const struct ebs_copy_method ebs_copy_methods[] = {
#ifdef __x86_64__
	{ "avx512", has_avx512, copy_avx512 },
	{ "avx2", has_avx2, copy_avx2 },
#endif
	{ "memcpy", is_always, copy_plain },
};
const size_t ebs_copy_method_count = RT_COUNT(ebs_copy_methods);

ebs_copy *ebs_copy_to_store(void)
{
	const struct ebs_copy_method *method = ebs_copy_methods;

	while (!method->is_there())
		method++;
	return method->copy;
}

void ebs_copy_in(ebs_copy *copy, void *to, const struct iovec *iov,
		 unsigned int count)
{
	char *at = to;

	for (unsigned int i = 0; i < count; i++) {
		copy(at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
}

void ebs_copy_out(const void *from, const struct iovec *iov, unsigned int count)
{
	const char *at = from;

	for (unsigned int i = 0; i < count; i++) {
		memcpy(iov[i].iov_base, at, iov[i].iov_len);
		at += iov[i].iov_len;
	}
}

void ebs_copy_expect(const void *from, size_t size)
{
	size_t end = size < EXPECT_BYTES ? size : EXPECT_BYTES;

	/* Not into the nearest cache: others still use that. */
	for (size_t i = 0; i < end; i += LINE)
		__builtin_prefetch((const char *)from + i, 0, 2);
}
