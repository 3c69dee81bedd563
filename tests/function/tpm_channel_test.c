/* SPDX-License-Identifier: BSD-3-Clause */
/* The TPM through its sockets, as a VMM and the guest behind it see it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/rt/log.h"
#include "tests/function/tpm_bench.h"

static struct tpm_bench b;

static void start(void)
{
	struct rt_error error = { 0 };

	rt_log_set_level(RT_LOG_ERROR);
	tpm_bench_create(&b);
	cr_assert_eq(tpm_bench_start(&b, "i-1", 7, &error), 0, "%s",
		     error.text);
	tpm_bench_connect(&b);
}

static void stop(void)
{
	tpm_bench_destroy(&b);
}

TestSuite(tpm, .init = start, .fini = stop);

/* TPM2_GetCapability(TPM_CAP_TPM_PROPERTIES, TPM_PT_FAMILY_INDICATOR, 1). */
#define GET_FAMILY  "8001 00000016 0000017a 00000006 00000100 00000001"
#define GET_RANDOM  "8001 0000000c 0000017b 0010"
/* TPM2_PCR_Read of SHA-384, PCR 22. */
#define READ_PCR_22 "8001 00000014 0000017e 00000001 000c 03 000040"
/* TPM2_PCR_Event, PCR 22 and PCR 16. */
#define EVENT(pcr)                                                             \
	"8002 0000001f 0000013c " pcr " 00000009 40000009 0000 00 0000 "       \
	"0002 abcd"

Test(tpm, says_what_it_can_do)
{
	static const uint8_t all[8] = { 0, 0, 0, 0, 0, 1, 0x7f, 0xff };
	uint8_t answer[8];

	tpm_ask(&b, CMD_GET_CAPABILITY, NULL, 0, answer, sizeof answer);
	cr_expect_arr_eq(answer, all, 8);
}

Test(tpm, answers_the_probe_that_comes_before_power_on)
{
	cr_expect_eq(tpm_code(&b, "8001 0000000e 00000181 00000000"), 0x100);
}

Test(tpm, begins_as_qemu_begins_it)
{
	uint8_t buffer[16], established[8];
	static const uint8_t none[4] = { 0 };

	cr_expect_eq(tpm_tell(&b, CMD_STOP), 0);
	cr_expect_eq(tpm_ask(&b, CMD_SET_BUFFERSIZE, none, 4, buffer, 16), 0);
	cr_expect_eq(buffer[6], 0x10, "4096 bytes at most");
	cr_expect_eq(tpm_tell_number(&b, CMD_INIT, 0), 0);
	cr_expect_eq(
		tpm_ask(&b, CMD_GET_TPMESTABLISHED, NULL, 0, established, 8),
		0);
	cr_expect_eq(established[4], 0);
	cr_expect_eq(tpm_tell_number(&b, CMD_SET_LOCALITY, 0), 0);
	cr_expect_eq(tpm_code(&b, TPM_STARTUP), 0);
	cr_expect_eq(tpm_code(&b, GET_FAMILY), 0);
	/* A guest's reset. */
	cr_expect_eq(tpm_tell(&b, CMD_STOP), 0);
	cr_expect_eq(tpm_code(&b, GET_FAMILY), 0x100);
	cr_expect_eq(tpm_tell_number(&b, CMD_INIT, 0), 0);
	cr_expect_eq(tpm_code(&b, GET_FAMILY), 0x100, "TPM_RC_INITIALIZE");
	cr_expect_eq(tpm_code(&b, TPM_STARTUP), 0);
	cr_expect_eq(tpm_tell(&b, CMD_SHUTDOWN), 0);
}

Test(tpm, knows_the_other_requests)
{
	uint8_t config[8], info[3000];
	static const uint8_t specification[16] = { [7] = 1 };
	uint32_t length;

	cr_expect_eq(tpm_ask(&b, CMD_GET_CONFIG, NULL, 0, config, 8), 0);
	cr_expect_eq(config[7], 3, "files and blobs are encrypted");
	tpm_power_on(&b);
	cr_expect_eq(tpm_ask(&b, CMD_GET_INFO, specification, 16, info, 12), 0);
	length = info[10] << 8 | info[11];
	cr_assert(length && length < sizeof info);
	cr_assert(tpm_receive(b.control, info, length));
	info[length] = '\0';
	cr_expect(strstr((char *)info, "\"family\":\"2.0\""), "%s", info);
	cr_expect_eq(tpm_tell_number(&b, CMD_LOCK_STORAGE, 3), 0);
	cr_expect_eq(tpm_tell(&b, CMD_CANCEL_TPM_CMD), 0);
	cr_expect_eq(tpm_tell_number(&b, CMD_RESET_TPMESTABLISHED, 3u << 24),
		     0);
	cr_expect_eq(tpm_tell(&b, CMD_STORE_VOLATILE), 0);
}

Test(tpm, names_the_error_of_what_it_does_not_do)
{
	cr_expect_eq(tpm_tell(&b, 0x14), 0x0a, "an unknown request");
	cr_expect_eq(tpm_tell(&b, 0), 0x0a);
	cr_expect_eq(tpm_tell(&b, 0xffffffff), 0x0a);
	cr_expect_eq(tpm_tell(&b, CMD_HASH_START), 0x0a, "no power");
	cr_expect_eq(tpm_tell(&b, CMD_STORE_VOLATILE), 0x0a);
	cr_expect_eq(tpm_tell_number(&b, CMD_SET_LOCALITY, 5u << 24), 0x3d);
	cr_expect_eq(tpm_tell(&b, CMD_SET_DATAFD), 0x1f, "there is one");
	tpm_power_on(&b);
	cr_expect_eq(tpm_tell_number(&b, CMD_SET_BUFFERSIZE, 4096), 0x0a);
	cr_expect_eq(tpm_tell_number(&b, CMD_RESET_TPMESTABLISHED, 9u << 24),
		     0x3d);
}

Test(tpm, measures_what_a_drtm_hashes_into_pcr_17)
{
	static const uint8_t data[] = { 0, 0, 0, 3, 'a', 'b', 'c' };
	uint8_t answer[4096], before[48];

	tpm_power_on(&b);
	tpm_run(&b, "8001 00000014 0000017e 00000001 000c 03 000002", answer);
	memcpy(before, answer + 30, 48);
	cr_expect_eq(tpm_tell(&b, CMD_HASH_START), 0);
	cr_expect_eq(tpm_ask(&b, CMD_HASH_DATA, data, sizeof data, answer, 4),
		     0);
	cr_expect_eq(tpm_tell(&b, CMD_HASH_END), 0);
	tpm_run(&b, "8001 00000014 0000017e 00000001 000c 03 000002", answer);
	cr_expect_arr_neq(answer + 30, before, 48);
	cr_expect_eq(before[0], 0xff, "a PCR of the D-RTM before it");
}

Test(tpm, a_command_with_a_wrong_size_is_answered)
{
	tpm_power_on(&b);
	cr_expect_eq(tpm_code(&b, "8001 ffffffff 0000017b 0010"), 0x142);
	cr_expect_eq(tpm_code(&b, "8001 00000005 0000017b 0010"), 0x142);
	cr_expect_eq(tpm_code(&b, "8001 0000"), 0x9a, "less than a header");
	cr_expect_eq(tpm_code(&b, "8001 00000100 0000017b 0010"), 0x142,
		     "more than ever comes");
	cr_expect_eq(tpm_code(&b, GET_RANDOM), 0, "and all is well again");
}

Test(tpm, a_command_may_come_in_pieces)
{
	uint8_t command[32], answer[28];
	size_t size = tpm_from_hex(GET_RANDOM, command, sizeof command);

	tpm_power_on(&b);
	for (size_t i = 0; i < size; i++) {
		tpm_send(b.data, command + i, 1);
		usleep(1000);
	}
	cr_assert(tpm_receive(b.data, answer, sizeof answer));
	cr_expect_eq(answer[9], 0);
}

Test(tpm, a_request_that_is_too_long_ends_the_connection)
{
	static const uint8_t message[] = { 0, 0,    0,    CMD_SET_STATEBLOB,
					   0, 0,    0,    2,
					   0, 0,    0,    1,
					   0, 0xff, 0xff, 0xff };
	uint8_t answer[4], more;

	tpm_send(b.control, message, sizeof message);
	cr_assert(tpm_receive(b.control, answer, 4));
	cr_expect_eq(answer[3], 3);
	cr_expect_not(tpm_receive(b.control, &more, 1));
	tpm_bench_disconnect(&b);
	tpm_bench_connect(&b);
	tpm_power_on(&b);
}

Test(tpm, a_vmm_may_leave_in_any_way_and_come_back)
{
	tpm_power_on(&b);
	cr_expect_eq(tpm_code(&b, TPM_NV_DEFINE), 0);
	for (int i = 0; i < 3; i++) {
		/* In the middle of a request, and of a command. */
		tpm_send(b.control, "\0\0", 2);
		tpm_send(b.data, "\x80\1\0", 3);
		tpm_bench_disconnect(&b);
		tpm_bench_connect(&b);
		cr_expect_eq(tpm_code(&b, GET_FAMILY), 0x100, "power is off");
		tpm_power_on(&b);
		cr_expect_eq(tpm_code(&b, TPM_NV_WRITE("11")), 0);
		cr_expect_eq(tpm_code(&b, TPM_NV_READ), 0);
	}
}

Test(tpm, a_second_vmm_is_turned_away)
{
	struct tpm_bench other = b;
	uint8_t byte;

	other.control = tpm_dial(&b);
	cr_expect_not(tpm_receive(other.control, &byte, 1));
	close(other.control);
	tpm_power_on(&b);
}

Test(tpm, pcr_22_is_the_cards_own)
{
	uint8_t answer[4096], before[48];

	tpm_power_on(&b);
	tpm_run(&b, READ_PCR_22, answer);
	memcpy(before, answer + 30, 48);
	/* TPM_RC_LOCALITY: neither extended nor reset by a guest. */
	cr_expect_eq(tpm_code(&b, EVENT("00000016")), 0x907);
	cr_expect_eq(tpm_code(&b, "8002 0000001b 0000013d 00000016 00000009 "
				  "40000009 0000 00 0000"),
		     0x907);
	cr_expect_eq(tpm_code(&b, EVENT("00000010")), 0, "PCR 16 is anyone's");
	tpm_run(&b, READ_PCR_22, answer);
	cr_expect_arr_eq(answer + 30, before, 48);
	/* Each start is bound in the same way. */
	cr_expect_eq(tpm_tell(&b, CMD_STOP), 0);
	tpm_power_on(&b);
	tpm_run(&b, READ_PCR_22, answer);
	cr_expect_arr_eq(answer + 30, before, 48);
}

Test(tpm, a_long_command_can_be_cancelled)
{
	/* TPM2_CreatePrimary of RSA 3072: seconds, without a cancel. */
	static const char create[] =
		"8002 00000043 00000131 40000001 00000009 40000009 0000 00 "
		"0000 0004 0000 0000 001a 0001 000b 00030072 0000 0006 0080 "
		"0043 0010 0c00 00000000 0000 0000 00000000";
	uint8_t command[128], answer[10];
	size_t size = tpm_from_hex(create, command, sizeof command);

	tpm_power_on(&b);
	tpm_send(b.data, command, size);
	usleep(100000);
	cr_expect_eq(tpm_tell(&b, CMD_CANCEL_TPM_CMD), 0);
	cr_assert(tpm_receive(b.data, answer, 10));
	cr_expect((answer[8] == 0x09 && answer[9] == 0x09) || !answer[9],
		  "TPM_RC_CANCELED, or it was quick: %02x%02x", answer[8],
		  answer[9]);
}

Test(tpm, ends_at_once_also_in_the_middle_of_a_command)
{
	static const char create[] =
		"8002 00000043 00000131 40000001 00000009 40000009 0000 00 "
		"0000 0004 0000 0000 001a 0001 000b 00030072 0000 0006 0080 "
		"0043 0010 0c00 00000000 0000 0000 00000000";
	uint8_t command[128];
	size_t size = tpm_from_hex(create, command, sizeof command);

	tpm_power_on(&b);
	tpm_send(b.data, command, size);
	usleep(50000);
	tpm_bench_stop(&b);
}
