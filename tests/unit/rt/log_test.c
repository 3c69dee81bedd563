/* SPDX-License-Identifier: BSD-3-Clause */
/* The operator's log. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "firmware/rt/log.h"
#include "firmware/rt/rule.h"

static int log_pipe[2], real_stderr;

static void catch_log(void)
{
	real_stderr = dup(STDERR_FILENO);
	cr_assert_eq(pipe(log_pipe), 0);
	dup2(log_pipe[1], STDERR_FILENO);
	close(log_pipe[1]);
}

/* What was logged; the caller's until the next call. */
static const char *caught(void)
{
	static char text[64 * 1024];
	size_t length = 0;
	ssize_t got;

	dup2(real_stderr, STDERR_FILENO);
	while ((got = read(log_pipe[0], text + length,
			   sizeof text - 1 - length)) > 0)
		length += (size_t)got;
	text[length] = '\0';
	return text;
}

static unsigned int count_lines(const char *text)
{
	unsigned int lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

Test(rt_log, a_line_says_when_how_bad_who_and_what, .init = catch_log)
{
	unsigned int year;
	const char *text;

	rt_log_warn("ebs0", "volume %s opened", "v");
	text = caught();
	cr_expect_eq(sscanf(text, "%4u-", &year), 1);
	cr_expect(strstr(text, "Z warning ebs0: volume v opened\n"), "%s",
		  text);
	cr_expect_eq(count_lines(text), 1);
}

Test(rt_log, lines_above_the_level_are_dropped, .init = catch_log)
{
	const char *text;

	rt_log_debug("x", "one");
	rt_log_set_level(RT_LOG_DEBUG);
	rt_log_debug("x", "two");
	rt_log_set_level(RT_LOG_ERROR);
	rt_log_warn("x", "three");
	rt_log_error("x", "four");
	text = caught();
	cr_expect_null(strstr(text, "one"));
	cr_expect(strstr(text, "two"));
	cr_expect_null(strstr(text, "three"));
	cr_expect(strstr(text, "four"));
}

Test(rt_log, a_call_site_writes_ten_lines_and_holds_the_rest_back,
     .init = catch_log)
{
	struct rt_log_site site = { 0 };
	const char *text;

	for (int i = 0; i < 1000; i++)
		rt_log_write(&site, RT_LOG_INFO, "x", "again");
	cr_expect_eq(site.held_back, 990);
	/* As if the window had opened long ago. */
	site.window_start_ns = 1;
	rt_log_write(&site, RT_LOG_INFO, "x", "once more");
	text = caught();
	cr_expect_eq(count_lines(text), 12, "%s", text);
	cr_expect(strstr(text, "990 more lines like the next one\n"));
	cr_expect(strstr(text, "once more\n"));
}

Test(rt_log, call_sites_do_not_share_their_limit, .init = catch_log)
{
	for (int i = 0; i < 10; i++)
		rt_log_info("x", "one");
	rt_log_info("x", "other");
	cr_expect(strstr(caught(), "other"));
}

Test(rt_log, control_characters_do_not_reach_the_terminal, .init = catch_log)
{
	const char *text;

	rt_log_info("x", "a\nb\033[31mc\x7f");
	text = caught();
	cr_expect(strstr(text, "x: a?b?[31mc?\n"), "%s", text);
	cr_expect_eq(count_lines(text), 1);
}

Test(rt_log, a_long_line_is_cut_and_ends, .init = catch_log)
{
	const char *text;

	rt_log_info("x", "%3000d", 1);
	text = caught();
	cr_expect_eq(count_lines(text), 1);
	cr_expect_eq(text[strlen(text) - 1], '\n');
}

Test(rt_log, levels_have_words)
{
	enum rt_log_level level = RT_LOG_ERROR;

	cr_expect_eq(rt_log_level_parse("debug", &level), 0);
	cr_expect_eq(level, RT_LOG_DEBUG);
	cr_expect_eq(rt_log_level_parse("warn", &level), 0);
	cr_expect_eq(level, RT_LOG_WARN);
	cr_expect_eq(rt_log_level_parse("warning", &level), 0);
	cr_expect_eq(level, RT_LOG_WARN);
	cr_expect_eq(rt_log_level_parse("loud", &level), -EINVAL);
}

static const struct rt_rule rules[] = {
	{ "test.first", "Spec 1.0, 2.3", "The first must hold." },
	{ "test.second", "Spec 1.0, 2.4", "The second must hold." },
};

Test(rt_rule, a_broken_rule_is_counted_and_told_with_its_clause,
     .init = catch_log)
{
	struct rt_rule_record records[2] = { 0 };
	struct rt_rule_book book = { "ebs0", rules, records, 2 };
	const char *text;

	rt_rule_broken(&book, 1, 0xab);
	rt_rule_broken(&book, 1, 0xcd);
	cr_expect_eq(rt_counter_read(&records[1].count), 2);
	cr_expect_eq(rt_counter_read(&records[1].last_value), 0xcd);
	cr_expect_eq(rt_counter_read(&records[0].count), 0);
	text = caught();
	cr_expect(strstr(text, "notice ebs0: test.second broken (Spec 1.0, "
			       "2.4) with value 0xab: The second must hold.\n"),
		  "%s", text);
}

Test(rt_rule, a_noisy_rule_does_not_silence_another, .init = catch_log)
{
	struct rt_rule_record records[2] = { 0 };
	struct rt_rule_book book = { "ebs0", rules, records, 2 };
	const char *text;

	for (uint64_t i = 0; i < 1000; i++)
		rt_rule_broken(&book, 0, i);
	rt_rule_broken(&book, 1, 0);
	text = caught();
	cr_expect_eq(count_lines(text), 11);
	cr_expect(strstr(text, "test.second"));
}
