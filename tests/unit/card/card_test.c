/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting and stopping whole cards. */
#include "firmware/card/card.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/card/config.h"
#include "firmware/card/config_file.h"
#include "firmware/card/worker.h"
#include "pcie-model/function.h"
#include "tests/unit/card/fake.h"

static struct card_config *parse(const char *text, FILE *out)
{
	struct card_source source = { 0 };
	struct card_config *config = NULL;

	cr_assert_eq(card_source_copy("card.yaml", text, strlen(text), &source),
		     0);
	cr_assert_eq(card_config_create(fake_types, &source, out, &config), 0);
	return config;
}

Test(card_card, functions_listen_on_sockets_of_their_names)
{
	char dir[] = "/tmp/card-test-XXXXXX", text[200], path[64];
	struct card_config *config;
	struct card *card;
	struct stat status;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(text, sizeof text,
		 "card: { socket-dir: %s }\n"
		 "functions: [ { fake: { name: a, volume: {} } },"
		 " { fake: { volume: {} } } ]\n",
		 dir);
	config = parse(text, stderr);
	cr_assert_eq(card_start(config, CARD_SERVE, &card), 0);
	snprintf(path, sizeof path, "%s/a.sock", dir);
	cr_expect_eq(stat(path, &status), 0);
	cr_expect_eq(status.st_mode & 0777, 0600);
	cr_expect_str_eq(card->functions[0].socket, path);
	cr_expect_eq(card_find(card, "fake0"), &card->functions[1]);
	cr_expect_null(card_find(card, "fake1"));
	cr_expect(card_stop(&card));
	cr_expect_neq(stat(path, &status), 0);
	card_config_destroy(&config);
	rmdir(dir);
}

Test(card_card, what_fails_at_the_start_is_told_with_its_place)
{
	char *complaints;
	size_t size;
	FILE *out = open_memstream(&complaints, &size);
	struct card_config *config =
		parse("functions:\n"
		      "  - fake: { volume: { file: missing.img } }\n"
		      "  - fake: { volume: {} }\n"
		      "  - fake: { volume: { file: /missing } }\n"
		      "faults:\n"
		      "  - { target: fake1, point: io_dealy }\n",
		      out);
	struct card *card;

	cr_expect_eq(card_start(config, CARD_CHECK, &card), -EINVAL);
	card_config_destroy(&config);
	fclose(out);
	cr_expect_str_eq(
		complaints,
		"card.yaml:2:29: error: cannot open missing.img\n"
		"  - fake: { volume: { file: missing.img } }\n"
		"                            ^~~~~~~~~~~\n"
		"card.yaml:2:29: note: make it with truncate(1)\n"
		"card.yaml:6:29: error: fake1 has no fault point 'io_dealy'\n"
		"  - { target: fake1, point: io_dealy }\n"
		"                            ^~~~~~~~\n"
		"card.yaml:4:29: error: cannot open /missing\n"
		"  - fake: { volume: { file: /missing } }\n"
		"                            ^~~~~~~~\n"
		"card.yaml:4:29: note: make it with truncate(1)\n",
		"%s", complaints);
	free(complaints);
}

Test(card_card, neighbours_share_a_worker_and_others_are_dealt_out)
{
	struct card_config *config =
		parse("card: { workers: 3 }\n"
		      "functions:\n"
		      "  - fake: { volume: {} }\n"
		      "  - fake: { volume: {}, device-name: a }\n"
		      "  - fake: { volume: {}, device-name: b }\n"
		      "  - fake: { volume: {}, device-name: a }\n"
		      "  - fake: { volume: {}, device-name: b }\n"
		      "  - fake: { volume: {} }\n",
		      stderr);
	static const size_t homes[] = { 0, 1, 2, 1, 2, 2 };
	struct card *card;

	cr_assert_eq(card_start(config, CARD_CHECK, &card), 0);
	for (size_t i = 0; i < card->count; i++) {
		const struct card_function *function = &card->functions[i];

		cr_expect_eq(function->workers.home, homes[i], "%zu", i);
		cr_expect_eq(function->loop, card->loops[homes[i]]);
	}
	cr_expect(card_stop(&card));
	card_config_destroy(&config);
}

Test(card_card, functions_are_dealt_out_to_the_workers)
{
	struct card_config *config =
		parse("card: { workers: 3 }\n"
		      "functions: [ { fake: { volume: {} } },"
		      " { fake: { volume: {} } }, { fake: { volume: {} } },"
		      " { fake: { volume: {} } }, { fake: { volume: {} } } ]\n",
		      stderr);
	struct card *card;

	cr_assert_eq(card_start(config, CARD_CHECK, &card), 0);
	cr_expect_eq(card->worker_count, 3);
	for (size_t i = 0; i < card->count; i++) {
		const struct card_function *function = &card->functions[i];
		const struct pcie_workers *workers = &function->fn->workers;

		cr_expect_eq(function->loop, card->loops[i % 3]);
		cr_expect_eq(function->fn->loop, function->loop);
		cr_expect_eq(workers->count, 3);
		cr_expect_eq(workers->home, i % 3);
		cr_expect_eq(workers->loops[(i + 1) % 3],
			     card->loops[(i + 1) % 3]);
	}
	cr_expect_neq(card->loops[0], card->loops[1]);
	cr_expect(card_stop(&card));
	card_config_destroy(&config);
}

Test(card_card, a_user_may_have_more_workers_than_functions)
{
	struct card_config *config = parse("card: { workers: 4 }\n"
					   "functions: [ fake: {volume: {}} ]",
					   stderr);
	struct card *card;

	cr_assert_eq(card_start(config, CARD_CHECK, &card), 0);
	cr_expect_eq(card->worker_count, 4);
	cr_expect_eq(card->functions[0].fn->workers.count, 4);
	cr_expect(card_stop(&card));
	card_config_destroy(&config);
}

Test(card_card, workers_are_half_of_the_processors_and_at_least_one)
{
	cpu_set_t set;
	unsigned int half;

	cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
	half = (unsigned int)CPU_COUNT(&set) / 2;
	half = half ? half : 1;
	cr_expect_eq(card_worker_choice(CARD_WORKERS), half);
	cr_expect_eq(card_worker_choice(1), half < 8 ? half : 8);
	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	cr_assert_eq(sched_setaffinity(0, sizeof set, &set), 0);
	cr_expect_eq(card_worker_choice(CARD_WORKERS), 1);
}

Test(card_card, one_worker_has_room_for_many_functions)
{
	enum { MANY = 100 };
	char dir[] = "/tmp/card-test-XXXXXX", *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct card_config *config;
	struct card *card;

	cr_assert_not_null(mkdtemp(dir));
	fprintf(out, "card: { workers: 1, socket-dir: %s }\nfunctions:\n", dir);
	for (int i = 0; i < MANY; i++)
		fputs("  - fake: { volume: {} }\n", out);
	fclose(out);
	config = parse(text, stderr);
	cr_assert_eq(card_start(config, CARD_SERVE, &card), 0);
	cr_expect_eq(card->count, MANY);
	cr_expect_eq(card->functions[MANY - 1].loop, card->functions[0].loop);
	cr_expect(card_stop(&card));
	cr_expect_eq(rmdir(dir), 0, "no socket is left");
	card_config_destroy(&config);
	free(text);
}

Test(card_card, the_socket_directory_is_made_private)
{
	char dir[] = "/tmp/card-test-XXXXXX", path[64];
	struct rt_error error = { 0 };
	struct stat status;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/deep/er", dir);
	cr_assert_eq(card_make_socket_dir(path, &error), 0, "%s", error.text);
	cr_assert_eq(card_make_socket_dir(path, &error), 0, "%s", error.text);
	cr_expect_eq(stat(path, &status), 0);
	cr_expect_eq(status.st_mode & 0777, 0700);
	cr_expect_eq(card_make_socket_dir("/dev/null", &error), -ENOTDIR);
	cr_expect_str_eq(error.text, "/dev/null is not a directory");
	rmdir(path);
	snprintf(path, sizeof path, "%s/deep", dir);
	rmdir(path);
	rmdir(dir);
}
