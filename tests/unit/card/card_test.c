/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting and stopping whole cards. */
#include "firmware/card/card.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/card/config.h"
#include "firmware/card/config_file.h"
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
