/* SPDX-License-Identifier: BSD-3-Clause */
/* VMMs that do not behave: others do not wait for them, and it is told. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/rt/log.h"
#include "tests/function/tpm_bench.h"

static struct tpm_bench b;
static struct tpm_reading r;

static void start(void)
{
	struct rt_error error = { 0 };

	rt_log_set_level(RT_LOG_ERROR);
	tpm_bench_create(&b);
	cr_assert_eq(tpm_bench_start(&b, "i-1", 7, &error), 0, "%s",
		     error.text);
	tpm_bench_connect(&b);
	tpm_power_on(&b);
}

static void stop(void)
{
	tpm_bench_destroy(&b);
}

TestSuite(tpm_hostile, .init = start, .fini = stop);

/* TPM2_Create: a signing key of RSA 3072, which takes its time. */
#define CREATE_SLOWLY                                                          \
	"8002 0000003f 00000153 80000000 00000009 40000009 0000 00 0000 "      \
	"0004 0000 0000 0016 0001 000b 00040072 0000 0010 0010 0c00 "          \
	"00000000 0000 0000 00000000"
#define MANY 16

static void send_many(void)
{
	uint8_t commands[MANY * 64];
	size_t size = 0;

	for (int i = 0; i < MANY; i++)
		size += tpm_from_hex(CREATE_SLOWLY, commands + size,
				     sizeof commands - size);
	tpm_send(b.data, commands, size);
}

Test(tpm_hostile, many_commands_at_once_keep_nobody_waiting)
{
	uint8_t answer[10];
	uint64_t before;

	cr_assert_eq(tpm_code(&b, TPM_CREATE_PARENT), 0);
	cr_assert_eq(tpm_code(&b, CREATE_SLOWLY), 0);
	tpm_read(&b, &r);
	before = r.status.commands;
	send_many();
	cr_assert(tpm_receive(b.data, answer, sizeof answer));
	tpm_read(&b, &r);
	cr_expect_lt(r.status.commands, before + MANY, "between two of them");
	/* Those of a VMM that has gone are not done for the next one. */
	tpm_bench_disconnect(&b);
	tpm_bench_connect(&b);
	tpm_power_on(&b);
	tpm_read(&b, &r);
	cr_expect_lt(r.status.commands, before + MANY);
}
