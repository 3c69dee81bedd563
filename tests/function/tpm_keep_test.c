/* SPDX-License-Identifier: BSD-3-Clause */
/* What a guest was given to keep outlives the card, and a VMM's snapshot. */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/rt/log.h"
#include "tests/function/tpm_bench.h"

static struct tpm_bench b;

static void start(void)
{
	rt_log_set_level(RT_LOG_ERROR);
	tpm_bench_create(&b);
}

static void stop(void)
{
	tpm_bench_destroy(&b);
}

TestSuite(tpm_keep, .init = start, .fini = stop);

/* TPM2_EvictControl by the owner: 0x80000000 stays as 0x81000001. */
#define MAKE_PERSISTENT                                                        \
	"8002 00000023 00000120 40000001 80000000 00000009 40000009 0000 00 "  \
	"0000 81000001"
#define READ_PERSISTENT "8001 0000000e 00000173 81000001"
/* The same of what is persistent already: it goes. */
#define EVICT                                                                  \
	"8002 00000023 00000120 40000001 81000001 00000009 40000009 0000 00 "  \
	"0000 81000001"

static void begin(void)
{
	struct rt_error error = { 0 };

	cr_assert_eq(tpm_bench_start(&b, "i-1", 7, &error), 0, "%s",
		     error.text);
	tpm_bench_connect(&b);
}

static void end(void)
{
	tpm_bench_disconnect(&b);
	tpm_bench_stop(&b);
}

static void make_things(void)
{
	begin();
	tpm_power_on(&b);
	cr_assert_eq(tpm_code(&b, TPM_CREATE_PARENT), 0);
	cr_assert_eq(tpm_code(&b, MAKE_PERSISTENT), 0);
	cr_assert_eq(tpm_code(&b, TPM_NV_DEFINE), 0);
	cr_assert_eq(tpm_code(&b, TPM_NV_WRITE("a5")), 0);
}

static unsigned int nv_byte(void)
{
	uint8_t answer[4096];

	cr_assert_eq(tpm_run(&b, TPM_NV_READ, answer), 29, "code %02x%02x",
		     answer[8], answer[9]);
	return answer[16];
}

Test(tpm_keep, a_persistent_key_and_an_index_outlive_the_card)
{
	static uint8_t before[4096], after[4096];
	size_t size;

	make_things();
	size = tpm_run(&b, READ_PERSISTENT, before);
	cr_assert_gt(size, 10);
	for (int i = 0; i < 2; i++) {
		end();
		begin();
		tpm_power_on(&b);
		cr_expect_eq(tpm_run(&b, READ_PERSISTENT, after), size);
		cr_expect_arr_eq(after, before, size);
		cr_expect_eq(nv_byte(), 0xa5);
	}
	/* What it was told to forget stays forgotten. */
	cr_assert_eq(tpm_code(&b, EVICT), 0);
	end();
	begin();
	tpm_power_on(&b);
	cr_expect_eq(tpm_code(&b, READ_PERSISTENT), 0x18b, "TPM_RC_HANDLE");
}

/* The VMM of a snapshot is another than that which made it, and so is the card
 * when the installation is the same.
 */
Test(tpm_keep, a_snapshot_comes_back_to_another_card_of_the_installation)
{
	static uint8_t permanent[1 << 20], working[1 << 20];
	static uint8_t before[4096], after[4096];
	size_t permanent_size, working_size, size;

	make_things();
	size = tpm_run(&b, READ_PERSISTENT, before);
	permanent_size = tpm_get_blob(&b, 1, permanent, sizeof permanent);
	working_size = tpm_get_blob(&b, 2, working, sizeof working);
	cr_assert_eq(tpm_code(&b, EVICT), 0);
	cr_assert_eq(tpm_code(&b, TPM_NV_WRITE("11")), 0);
	end();
	begin();
	cr_assert_eq(tpm_set_blob(&b, 1, 2, permanent, permanent_size), 0);
	cr_assert_eq(tpm_set_blob(&b, 2, 2, working, working_size), 0);
	cr_assert_eq(tpm_tell_number(&b, CMD_INIT, 1), 0);
	/* It goes on where it was: the parent is still loaded. */
	cr_expect_eq(tpm_code(&b, "8001 0000000e 00000173 80000000"), 0);
	cr_expect_eq(tpm_run(&b, READ_PERSISTENT, after), size);
	cr_expect_arr_eq(after, before, size);
	cr_expect_eq(nv_byte(), 0xa5);
	/* And what was put back is now the state: without a further write. */
	end();
	begin();
	tpm_power_on(&b);
	cr_expect_eq(nv_byte(), 0xa5);
	cr_expect_eq(tpm_run(&b, READ_PERSISTENT, after), size);
}

Test(tpm_keep, a_snapshot_that_nobody_switches_on_changes_nothing)
{
	static uint8_t permanent[1 << 20];
	size_t size;

	make_things();
	size = tpm_get_blob(&b, 1, permanent, sizeof permanent);
	cr_assert_eq(tpm_code(&b, TPM_NV_WRITE("11")), 0);
	cr_assert_eq(tpm_tell(&b, CMD_STOP), 0);
	cr_assert_eq(tpm_set_blob(&b, 1, 2, permanent, size), 0);
	tpm_bench_disconnect(&b);
	tpm_bench_connect(&b);
	tpm_power_on(&b);
	cr_expect_eq(nv_byte(), 0x11);
}
