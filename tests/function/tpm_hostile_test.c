/* SPDX-License-Identifier: BSD-3-Clause */
/* VMMs that do not behave: others do not wait for them, and it is told. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "firmware/rt/log.h"
#include "security-chip/tpm/rules.h"
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

static uint64_t count_of(enum sec_tpm_rule rule)
{
	return rt_counter_read(&sec_tpm_rules(b.tpm)->records[rule].count);
}

static uint64_t cpu_ms(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

Test(tpm_hostile, a_card_without_descriptors_waits_for_them_in_peace)
{
	int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct rlimit before, none = { 3, 0 };
	uint64_t used;
	uint8_t byte;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	/* It is connected, and cannot be accepted. */
	tpm_reach(&b, other);
	used = cpu_ms();
	usleep(1000000);
	used = cpu_ms() - used;
	cr_expect_lt(used, 150, "it runs in circles");
	cr_expect_eq(tpm_tell_number(&b, CMD_SET_LOCALITY, 0), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_expect_not(tpm_receive(other, &byte, 1), "there is a VMM already");
	close(other);
}

/* The VMM's descriptors come with a request that needs none. */
static void hand_over_a_file(void)
{
	uint8_t answer[8];
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	tpm_send_fd(&b, CMD_GET_CONFIG, fd);
	close(fd);
	cr_assert(tpm_receive(b.control, answer, sizeof answer));
}

static void connect_again(void)
{
	struct tpm_bench other = b;
	uint8_t byte;

	other.control = tpm_dial(&b);
	cr_expect_not(tpm_receive(other.control, &byte, 1));
	close(other.control);
}

static void read_from_beyond(void)
{
	static const uint8_t state[12] = { [7] = 1, [11] = 99 };
	static const uint8_t info[16] = { [7] = 1, [8] = 1 };
	uint8_t answer[16];

	cr_expect_eq(tpm_ask(&b, CMD_GET_STATEBLOB, state, 12, answer, 16), 3);
	cr_expect_eq(tpm_ask(&b, CMD_GET_INFO, info, 16, answer, 4), 3);
}

static void send_too_much(void)
{
	static const uint8_t body[12] = { [3] = 2, [7] = 1, [9] = 0xff };
	uint8_t answer[4];

	cr_expect_eq(tpm_ask(&b, CMD_SET_STATEBLOB, body, 12, answer, 4), 3);
}

Test(tpm_hostile, each_broken_rule_is_told)
{
	for (int rule = 0; rule < SEC_TPM_RULES; rule++)
		cr_expect_eq(count_of((enum sec_tpm_rule)rule), 0,
			     "a start as QEMU's breaks %s",
			     sec_tpm_rule_texts[rule].name);
	cr_expect_eq(tpm_tell(&b, 0x99), 0x0a);
	cr_expect_eq(tpm_tell_number(&b, CMD_SET_LOCALITY, 9u << 24), 0x3d);
	cr_expect_eq(tpm_tell(&b, CMD_SET_DATAFD), 0x1f);
	cr_expect_eq(tpm_set_blob(&b, 1, 2, (const uint8_t *)"late", 4), 0x0a);
	read_from_beyond();
	cr_expect_eq(tpm_code(&b, "8001 00000005 0000017b 0010"), 0x142);
	cr_expect_neq(tpm_code(&b, "8001 0000"), 0);
	cr_expect_eq(tpm_tell(&b, CMD_STOP), 0);
	cr_expect_eq(tpm_tell(&b, CMD_HASH_START), 0x0a);
	cr_expect_eq(tpm_set_blob(&b, 7, 2, (const uint8_t *)"kind", 4), 0x03);
	cr_expect_eq(tpm_set_blob(&b, 1, 2, (const uint8_t *)"mine", 4), 0x21);
	hand_over_a_file();
	connect_again();
	send_too_much();
	for (int rule = 0; rule < SEC_TPM_RULES; rule++)
		cr_expect_eq(count_of((enum sec_tpm_rule)rule), 1, "%s",
			     sec_tpm_rule_texts[rule].name);
}

Test(tpm_hostile, is_counted_for_whoever_watches)
{
	uint64_t values[SEC_TPM_COUNTERS];

	cr_expect_eq(tpm_code(&b, "8001 0000000c 0000017b 0010"), 0);
	cr_expect_neq(tpm_code(&b, "8001 0000000a 0000ffff"), 0);
	cr_expect_eq(tpm_tell(&b, 0x99), 0x0a);
	for (size_t i = 0; i < SEC_TPM_COUNTERS; i++)
		values[i] = sec_tpm_counter(b.tpm, &sec_tpm_counter_names[i]);
	cr_expect_eq(values[0], 1, "boots");
	cr_expect_geq(values[1], 3, "commands");
	cr_expect_geq(values[2], 1, "errors");
	cr_expect_gt(values[3], 0, "their time");
	cr_expect_eq(values[4], 0, "documents");
	cr_expect_eq(values[5], 3, "SET_DATAFD, INIT, 0x99");
	cr_expect_eq(values[6], 1, "refused");
	cr_expect_gt(values[7], 0, "writes");
	cr_expect_eq(values[8], 0, "failed ones");
}

static size_t count_in(const uint8_t *bytes, size_t left,
		       const uint8_t *inverted, size_t size)
{
	size_t found = 0, same;

	for (size_t at = 0; at + size <= left; at++) {
		for (same = 0; same < size; same++)
			if ((bytes[at + same] ^ inverted[same]) != 0xff)
				break;
		found += same == size;
	}
	return found;
}

/* A page at a time, and what began on the one before. */
static size_t count_between(int memory, unsigned long first, unsigned long end,
			    const uint8_t *inverted, size_t size)
{
	static uint8_t pages[64 + 65536];
	size_t found = 0, kept = 0;
	ssize_t got;

	for (; first < end; first += (unsigned long)got) {
		got = pread(memory, pages + kept, 65536, (off_t)first);
		if (got <= 0)
			break;
		/* What is looked at is no place where it lies. */
		found += count_in(pages, kept + (size_t)got, inverted, size);
		kept += (size_t)got;
		memmove(pages, pages + kept - (size - 1), size - 1);
		kept = size - 1;
	}
	explicit_bzero(pages, sizeof pages);
	return found;
}

/* How often these bytes, of which each is turned over, are in our memory. */
static size_t count_in_memory(const uint8_t *inverted, size_t size)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long first, end;
	size_t found = 0;
	char line[512];

	while (fgets(line, sizeof line, maps))
		if (strstr(line, " rw-p ") &&
		    sscanf(line, "%lx-%lx", &first, &end) == 2 &&
		    end - first < 1ul << 28)
			found += count_between(memory, first, end, inverted,
					       size);
	close(memory);
	fclose(maps);
	return found;
}

Test(tpm_hostile, nothing_of_an_answer_stays_with_the_card)
{
	static uint8_t answer[4096], inverted[32];

	for (int i = 0; i < 3; i++) {
		/* TPM2_GetRandom of 32 bytes. */
		cr_assert_eq(tpm_run(&b, "8001 0000000c 0000017b 0020", answer),
			     44);
		for (size_t n = 0; n < sizeof inverted; n++)
			inverted[n] = (uint8_t)~answer[12 + n];
		/* It is in our own memory, and is found there. */
		cr_expect_geq(count_in_memory(inverted, sizeof inverted), 1);
		explicit_bzero(answer, sizeof answer);
		cr_expect_eq(count_in_memory(inverted, sizeof inverted), 0);
	}
}
