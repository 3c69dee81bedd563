/* SPDX-License-Identifier: BSD-3-Clause */
/* The bench of a security module: see nsm_bench.h.  Owns both ends. */
#include "tests/function/nsm_bench.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "firmware/rt/error.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/log.h"
#include "firmware/rt/loop.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server.h"
#include "security-chip/chip.h"

/* ---- the card's side ---- */

void nsm_make_card(struct nsm_bench *b, const struct nsm_config *config)
{
	static const struct nsm_config plain;
	struct rt_error error = { 0 };
	int rc;

	memset(b, 0, sizeof *b);
	rt_log_set_level(RT_LOG_ERROR);
	cr_assert_eq(rt_guard_install(), 0);
	rig_create(&b->rig);
	rc = sec_chip_open(b->rig.dir, &error);
	cr_assert_eq(rc, 0, "%s", error.text);
	cr_assert_eq(rt_loop_create(&b->clock, &b->loop), 0);
	rc = pcie_function_create(&nsm_function, "nsm0", b->loop,
				  config ? config : &plain, &b->fn, &error);
	cr_assert_eq(rc, 0, "%s", error.text);
	rc = pcie_server_create(b->fn, NULL, &b->server, &error);
	cr_assert_eq(rc, 0, "%s", error.text);
}

static void run_device(void *opaque)
{
	struct nsm_bench *b = opaque;

	(void)rt_loop_step(b->loop, 0);
}

void nsm_settle(struct nsm_bench *b)
{
	for (int quiet = 0; quiet < 5;)
		quiet = rt_loop_step(b->loop, 5 * RT_NS_PER_MS) > 0 ? 0
								    : quiet + 1;
}

static void mark_gone(void *opaque)
{
	*(bool *)opaque = true;
}

void nsm_stop(struct nsm_bench *b)
{
	bool is_gone = false;

	nsm_hang_up(b);
	pcie_server_destroy(&b->server, mark_gone, &is_gone);
	for (int i = 0; i < 10000 && !is_gone; i++)
		(void)rt_loop_step(b->loop, RT_NS_PER_MS);
	cr_assert(is_gone, "the function does not become quiet");
	pcie_function_destroy(&b->fn);
	nsm_settle(b);
	rt_loop_destroy(&b->loop);
	sec_chip_close();
	rig_destroy(&b->rig);
}

/* ---- the host's side ---- */

void nsm_connect(struct nsm_bench *b)
{
	struct host_options options = { .idle = run_device,
					.opaque = b,
					.timeout_ms = 20000,
					.quirks = HOST_SMALL_PAGES };
	struct rt_error error = { 0 };
	int ends[2], rc;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
		     0);
	cr_assert_eq(pcie_server_attach(b->server, ends[0]), 0);
	rc = host_open_fd(ends[1], &options, &b->host, &error);
	cr_assert_eq(rc, 0, "%s", error.text);
}

void nsm_start(struct nsm_bench *b, const struct host_nsm_options *options)
{
	nsm_make_card(b, NULL);
	nsm_connect(b);
	cr_assert_eq(host_nsm_open(b->host, options, &b->nsm), 0);
}

void nsm_hang_up(struct nsm_bench *b)
{
	host_nsm_close(&b->nsm);
	if (b->host)
		host_close(&b->host);
	nsm_settle(b);
}

/* ---- requests ---- */

int nsm_call(struct nsm_bench *b, const void *request, size_t size)
{
	b->size = sizeof b->answer;
	return host_nsm_call(b->nsm, request, size, b->answer, &b->size);
}

bool nsm_begins(const struct nsm_bench *b, const void *bytes, size_t size)
{
	return b->size >= size && memcmp(b->answer, bytes, size) == 0;
}

bool nsm_is(const struct nsm_bench *b, const void *bytes, size_t size)
{
	return b->size == size && nsm_begins(b, bytes, size);
}

bool nsm_failed(const struct nsm_bench *b, const char *name)
{
	char expected[64];
	int size = snprintf(expected, sizeof expected,
			    "\xa1\x65"
			    "Error%c%s",
			    (int)(0x60 + strlen(name)), name);

	return nsm_is(b, expected, (size_t)size);
}

/* {name: {"index": n}} or with one more pair to come. */
static size_t put_indexed(char *to, const char *name, unsigned int n,
			  unsigned int pairs)
{
	size_t length = strlen(name), size = 0;

	to[size++] = '\xa1';
	to[size++] = (char)(0x60 + length);
	memcpy(to + size, name, length);
	size += length;
	to[size++] = (char)(0xa0 + pairs);
	memcpy(to + size, "\x65index", 6);
	size += 6;
	if (n > 23)
		to[size++] = '\x18';
	to[size++] = (char)n;
	return size;
}

int nsm_describe_pcr(struct nsm_bench *b, unsigned int n)
{
	char request[64];

	return nsm_call(b, request, put_indexed(request, "DescribePCR", n, 1));
}

int nsm_lock_pcr(struct nsm_bench *b, unsigned int n)
{
	char request[64];

	return nsm_call(b, request, put_indexed(request, "LockPCR", n, 1));
}

int nsm_extend_pcr(struct nsm_bench *b, unsigned int n, const char *text)
{
	char request[128];
	size_t size = put_indexed(request, "ExtendPCR", n, 2);

	size += (size_t)snprintf(request + size, sizeof request - size,
				 "\x64"
				 "data%c%s",
				 (int)(0x40 + strlen(text)), text);
	return nsm_call(b, request, size);
}

/* {"DescribePCR": {"lock": …, "data": 48 bytes}} */
#define LOCK_AT 19u
#define DATA_AT 27u

const uint8_t *nsm_pcr_value(const struct nsm_bench *b)
{
	cr_assert_eq(b->size, DATA_AT + NSM_PCR_BYTES, "%zu bytes", b->size);
	return b->answer + DATA_AT;
}

bool nsm_pcr_lock(const struct nsm_bench *b)
{
	return b->answer[LOCK_AT] == 0xf5;
}

/* ---- what goes wrong ---- */

void nsm_fault(struct nsm_bench *b, const char *name, uint64_t value,
	       uint64_t limit)
{
	struct rt_fault_rule rule = { .probability_ppm = 1000000,
				      .limit = limit,
				      .value = value };

	cr_assert_eq(rt_fault_set_rule(&b->fn->faults, name, &rule), 0);
}

void nsm_fault_over(struct nsm_bench *b, const char *name)
{
	cr_assert_eq(rt_fault_clear(&b->fn->faults, name), 0);
}

uint64_t nsm_broken(const struct nsm_bench *b, const char *rule)
{
	const struct rt_rule_book *book = &b->fn->rules;

	for (size_t i = 0; i < book->count; i++)
		if (strcmp(book->rules[i].name + strlen("nsm."), rule) == 0)
			return rt_counter_read(&book->records[i].count);
	cr_assert_fail("there is no rule %s", rule);
	return 0;
}
