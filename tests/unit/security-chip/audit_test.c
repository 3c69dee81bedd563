/* SPDX-License-Identifier: BSD-3-Clause */
/* The audit log holds together, and what was done to it shows. */
#include "security-chip/audit.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "security-chip/chip.h"
#include "tests/unit/security-chip/rig.h"

#define LOG  "security-chip/audit.log"
#define HEAD "security-chip/audit.head"

static struct rig rig;
static struct rt_error error;
static uint64_t records;

static void set_up(void)
{
	rt_log_set_level(RT_LOG_ERROR);
	rig_create(&rig);
	cr_assert_eq(sec_chip_open(rig.dir, &error), 0, "%s", error.text);
}

static void tear_down(void)
{
	sec_chip_close();
	rig_destroy(&rig);
}

TestSuite(sec_audit, .init = set_up, .fini = tear_down);

static void write_five(void)
{
	for (int i = 1; i <= 5; i++)
		sec_audit("test.event", "number %d", i);
	cr_assert_eq(sec_audit_check(&records, &error), 0, "%s", error.text);
	cr_assert_eq(records, 5);
}

static void expect_broken(uint64_t good, const char *text)
{
	cr_expect_eq(sec_audit_check(&records, &error), -EBADMSG);
	cr_expect_eq(records, good, "%llu", (unsigned long long)records);
	cr_expect(strstr(error.text, text), "%s", error.text);
}

/* The start of a line, 1 being the first. */
static char *line_of(char *text, int number)
{
	while (--number)
		text = strchr(text, '\n') + 1;
	return text;
}

Test(sec_audit, an_empty_log_is_whole)
{
	cr_expect_eq(sec_audit_check(&records, &error), 0);
	cr_expect_eq(records, 0);
}

Test(sec_audit, a_record_says_when_and_what)
{
	size_t size;
	char *text;

	sec_audit("gate.denied", "slot %c: %s", 'b', "old\nversion");
	text = rig_read(&rig, LOG, &size);
	cr_expect(strstr(text, " 1 20"), "%s", text);
	cr_expect(strstr(text, "Z gate.denied slot b: old?version\n"), "%s",
		  text);
	free(text);
}

Test(sec_audit, it_goes_on_after_a_restart)
{
	write_five();
	sec_chip_close();
	cr_assert_eq(sec_chip_open(rig.dir, &error), 0);
	sec_audit("test.event", "six");
	cr_expect_eq(sec_audit_check(&records, &error), 0, "%s", error.text);
	cr_expect_eq(records, 6);
}

/* Each byte of it, for each byte counts. */
Test(sec_audit, an_altered_record_breaks_the_chain_there, .timeout = 60)
{
	char *text, *line;
	size_t size;

	write_five();
	text = rig_read(&rig, LOG, &size);
	line = line_of(text, 3);
	for (size_t i = 0; line[i - !!i] != '\n'; i++) {
		line[i] ^= 1;
		rig_write(&rig, LOG, text, size);
		cr_assert_eq(sec_audit_check(&records, &error), -EBADMSG,
			     "byte %zu", i);
		cr_assert_eq(records, 2, "byte %zu", i);
		cr_assert(strstr(error.text, "broken at line 3"), "%s",
			  error.text);
		line[i] ^= 1;
	}
	free(text);
}

Test(sec_audit, a_removed_record_breaks_the_chain_there)
{
	char *text, *line, *next;
	size_t size;

	write_five();
	text = rig_read(&rig, LOG, &size);
	line = line_of(text, 2);
	next = line_of(text, 3);
	memmove(line, next, size - (size_t)(next - text) + 1);
	rig_write(&rig, LOG, text, size - (size_t)(next - line));
	expect_broken(1, "broken at line 2");
	free(text);
}

Test(sec_audit, two_records_in_the_wrong_order_break_the_chain)
{
	char *text, *line, swapped[2048];
	size_t size, length;

	write_five();
	text = rig_read(&rig, LOG, &size);
	line = line_of(text, 4);
	length = (size_t)(line_of(text, 5) - line);
	memcpy(swapped, line + length, size - (size_t)(line - text) - length);
	memcpy(swapped + size - (size_t)(line - text) - length, line, length);
	memcpy(line, swapped, size - (size_t)(line - text));
	rig_write(&rig, LOG, text, size);
	expect_broken(3, "broken at line 4");
	free(text);
}

Test(sec_audit, records_that_miss_at_the_end_are_missed)
{
	char *text;
	size_t size;

	write_five();
	text = rig_read(&rig, LOG, &size);
	rig_write(&rig, LOG, text, (size_t)(line_of(text, 4) - text));
	expect_broken(3, "ends after line 3, but had 5 lines");
	free(text);
}

Test(sec_audit, a_head_that_was_set_back_by_hand_is_noticed)
{
	char *head;
	size_t size;

	write_five();
	head = rig_read(&rig, HEAD, &size);
	head[0] = 3;
	rig_write(&rig, HEAD, head, size);
	expect_broken(5, "head of the audit log");
	sec_chip_close();
	cr_expect_eq(sec_chip_open(rig.dir, &error), -EBADMSG);
	cr_expect(strstr(error.text, "tampered with"), "%s", error.text);
	free(head);
}

/* As if the card had died between its two writes. */
Test(sec_audit, a_head_that_stayed_behind_catches_up)
{
	char *head;
	size_t size;

	write_five();
	head = rig_read(&rig, HEAD, &size);
	sec_audit("test.event", "six");
	sec_audit("test.event", "seven");
	rig_write(&rig, HEAD, head, size);
	cr_expect_eq(sec_audit_check(&records, &error), 0, "%s", error.text);
	cr_expect_eq(records, 7);
	sec_audit("test.event", "eight");
	cr_expect_eq(sec_audit_check(&records, &error), 0, "%s", error.text);
	cr_expect_eq(records, 8);
	free(head);
}

/* A full disk takes half a line. */
Test(sec_audit, a_record_that_has_no_room_leaves_the_log_whole)
{
	struct rlimit limit, small;
	size_t size;

	write_five();
	free(rig_read(&rig, LOG, &size));
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = size + 20;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	sec_audit("test.event", "lost");
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	sec_audit("test.event", "six");
	cr_expect_eq(sec_audit_check(&records, &error), 0, "%s", error.text);
	cr_expect_eq(records, 6);
}

Test(sec_audit, another_installations_log_does_not_check)
{
	write_five();
	sec_chip_close();
	cr_assert_eq(unlink(rig_path(&rig, "security-chip/secret")), 0);
	cr_expect_eq(sec_chip_open(rig.dir, &error), -EBADMSG);
}

Test(sec_audit, a_flood_is_held_back_and_counted)
{
	for (int i = 0; i < 1500; i++)
		sec_audit("test.flood", "%d", i);
	cr_expect_eq(sec_audit_check(&records, &error), 0, "%s", error.text);
	cr_expect_eq(records, 1000);
}

Test(sec_audit, without_a_chip_nothing_is_written)
{
	sec_chip_close();
	sec_audit("test.event", "lost");
	cr_expect_eq(sec_audit_check(&records, &error), -ENODEV);
}
