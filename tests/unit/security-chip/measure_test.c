/* SPDX-License-Identifier: BSD-3-Clause */
/* Registers and the log that explains them. */
#include "security-chip/measure.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hex(const uint8_t digest[SEC_DIGEST_BYTES], char out[97])
{
	for (size_t i = 0; i < SEC_DIGEST_BYTES; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* printf abc | sha384sum; FIPS 180-4's own example. */
#define ABC                                                                    \
	"cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"                     \
	"1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"
/* (head -c 48 /dev/zero; printf abc | sha384sum | xxd -r -p) | sha384sum */
#define ZERO_AND_ABC                                                           \
	"93732e3733514a841c982cfa75ea76ab55fe011acb9cd980"                     \
	"ef4523913c65be1b0998e04d77f8c174f81a82151619ca40"

Test(sec_measure, a_register_is_extended_as_the_tcg_says)
{
	uint8_t digest[SEC_DIGEST_BYTES];
	char text[97];

	cr_assert_eq(sec_digest("abc", 3, digest), 0);
	hex(digest, text);
	cr_expect_str_eq(text, ABC);
	cr_assert_eq(sec_measure(SEC_REGISTER_CONFIG, "card.yaml", digest), 0);
	sec_register_read(SEC_REGISTER_CONFIG, digest);
	hex(digest, text);
	cr_expect_str_eq(text, ZERO_AND_ABC);
	sec_register_read(SEC_REGISTER_ROM, digest);
	for (size_t i = 0; i < sizeof digest; i++)
		cr_assert_eq(digest[i], 0, "others stay");
}

Test(sec_measure, the_log_replays_to_the_registers)
{
	uint8_t replayed[SEC_REGISTERS][SEC_DIGEST_BYTES],
		now[SEC_DIGEST_BYTES];
	struct sec_event log[64];
	char what[16];
	size_t count;

	for (unsigned int i = 0; i < 50; i++) {
		snprintf(what, sizeof what, "event %u", i);
		cr_assert_eq(sec_measure_bytes(i % SEC_REGISTERS, what, what,
					       strlen(what)),
			     0);
	}
	count = sec_event_log(log, 64);
	cr_assert_eq(count, 50);
	cr_expect_str_eq(log[7].what, "event 7");
	cr_assert_eq(sec_event_replay(log, count, replayed), 0);
	for (unsigned int n = 0; n < SEC_REGISTERS; n++) {
		sec_register_read(n, now);
		cr_expect_arr_eq(replayed[n], now, SEC_DIGEST_BYTES);
	}
	/* Another order of two events of one register is another value. */
	log[60] = log[2];
	log[2] = log[7];
	log[7] = log[60];
	cr_assert_eq(sec_event_replay(log, count, replayed), 0);
	sec_register_read(2, now);
	cr_expect_arr_neq(replayed[2], now, SEC_DIGEST_BYTES);
}

Test(sec_measure, what_is_no_register_is_refused)
{
	uint8_t digest[SEC_DIGEST_BYTES] = { 0 };
	uint8_t replayed[SEC_REGISTERS][SEC_DIGEST_BYTES];
	struct sec_event event = { .number = SEC_REGISTERS };

	cr_expect_eq(sec_measure(SEC_REGISTERS, "?", digest), -EINVAL);
	cr_expect_eq(sec_event_replay(&event, 1, replayed), -EINVAL);
	cr_expect_eq(sec_event_log(NULL, 0), 0);
}

Test(sec_measure, a_name_is_cut_to_its_room)
{
	uint8_t digest[SEC_DIGEST_BYTES] = { 0 };
	struct sec_event event;
	char what[200];

	memset(what, 'x', sizeof what - 1);
	what[sizeof what - 1] = '\0';
	cr_assert_eq(sec_measure(SEC_REGISTER_ROM, what, digest), 0);
	sec_event_log(&event, 1);
	cr_expect_eq(strlen(event.what), SEC_EVENT_WHAT - 1);
}

Test(sec_measure, guests_cannot_fill_the_log)
{
	uint8_t digest[SEC_DIGEST_BYTES] = { 0 }, before[SEC_DIGEST_BYTES];
	uint8_t after[SEC_DIGEST_BYTES];

	for (unsigned int i = 0; i < SEC_EVENTS / 2; i++)
		cr_assert_eq(sec_measure(SEC_REGISTER_GUEST, "g", digest), 0);
	sec_register_read(SEC_REGISTER_GUEST, before);
	cr_expect_eq(sec_measure(SEC_REGISTER_GUEST, "g", digest), -ENOSPC);
	sec_register_read(SEC_REGISTER_GUEST, after);
	cr_expect_arr_eq(before, after, SEC_DIGEST_BYTES, "not extended");
	for (unsigned int i = 0; i < SEC_EVENTS / 2; i++)
		cr_assert_eq(sec_measure(SEC_REGISTER_POLICY, "p", digest), 0);
	cr_expect_eq(sec_measure(SEC_REGISTER_POLICY, "p", digest), -ENOSPC);
	cr_expect_eq(sec_event_log(NULL, 0), SEC_EVENTS);
}
