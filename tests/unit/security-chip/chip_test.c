/* SPDX-License-Identifier: BSD-3-Clause */
/* The chip's directory and the installation's secret. */
#include "security-chip/chip.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "tests/unit/security-chip/rig.h"

static struct rig rig;
static struct rt_error error;

static void set_up(void)
{
	rig_create(&rig);
}

static void tear_down(void)
{
	sec_chip_close();
	rig_destroy(&rig);
}

TestSuite(sec_chip, .init = set_up, .fini = tear_down);

static unsigned int mode_of(const char *name)
{
	struct stat status;

	cr_assert_eq(stat(rig_path(&rig, name), &status), 0, "%s", name);
	return status.st_mode & 0777;
}

static void open_chip(void)
{
	cr_assert_eq(sec_chip_open(rig.dir, &error), 0, "%s", error.text);
}

Test(sec_chip, its_files_are_for_its_user_alone)
{
	umask(0);
	open_chip();
	cr_expect_geq(sec_chip_dir(), 0);
	cr_expect_eq(mode_of("security-chip"), 0700);
	cr_expect_eq(mode_of("security-chip/secret"), 0600);
	cr_expect_eq(mode_of("security-chip/audit.log"), 0600);
	cr_expect_eq(mode_of("security-chip/audit.head"), 0600);
}

Test(sec_chip, the_secret_is_the_same_at_each_start)
{
	uint8_t first[100], again[100];

	open_chip();
	cr_assert_eq(sec_chip_secret("a", first, sizeof first), 0);
	sec_chip_close();
	cr_expect_eq(sec_chip_dir(), -1);
	cr_expect_eq(sec_chip_secret("a", again, sizeof again), -ENODEV);
	open_chip();
	cr_assert_eq(sec_chip_secret("a", again, sizeof again), 0);
	cr_expect_arr_eq(first, again, sizeof first);
}

Test(sec_chip, each_label_and_each_installation_has_its_own)
{
	uint8_t a[48], b[48], other[48];

	open_chip();
	cr_assert_eq(sec_chip_secret("a", a, sizeof a), 0);
	cr_assert_eq(sec_chip_secret("b", b, sizeof b), 0);
	sec_chip_close();
	cr_expect_arr_neq(a, b, sizeof a);
	cr_assert_eq(unlink(rig_path(&rig, "security-chip/secret")), 0);
	cr_assert_eq(unlink(rig_path(&rig, "security-chip/audit.head")), 0);
	open_chip();
	cr_assert_eq(sec_chip_secret("a", other, sizeof other), 0);
	cr_expect_arr_neq(a, other, sizeof a);
}

/* openssl kdf -keylen 48 -kdfopt digest:SHA384 -kdfopt hexkey:00…2f
 * -kdfopt info:label HKDF */
Test(sec_chip, secrets_are_hkdf_of_the_file)
{
	static const uint8_t expected[] = {
		0x7d, 0x50, 0xb7, 0x21, 0xa6, 0x5a, 0xaa, 0xa6, 0x5e, 0x65,
		0x45, 0xd7, 0xa0, 0x1a, 0x22, 0x15, 0xa3, 0x56, 0x2a, 0x37,
		0x14, 0x39, 0x9f, 0x5d, 0xdb, 0xfc, 0x77, 0x02, 0xcf, 0xc5,
		0xe2, 0x7c, 0xec, 0x28, 0xe9, 0xe5, 0xf2, 0x9f, 0x88, 0x1f,
		0x3e, 0x95, 0x36, 0x01, 0x07, 0x75, 0x3b, 0x81
	};
	uint8_t key[48], out[sizeof expected];

	for (uint8_t i = 0; i < sizeof key; i++)
		key[i] = i;
	cr_assert_eq(mkdir(rig_path(&rig, "security-chip"), 0700), 0);
	umask(077);
	rig_write(&rig, "security-chip/secret", key, sizeof key);
	open_chip();
	cr_assert_eq(sec_chip_secret("label", out, sizeof out), 0);
	cr_expect_arr_eq(out, expected, sizeof expected);
}

Test(sec_chip, there_is_one_at_a_time)
{
	open_chip();
	cr_expect_eq(sec_chip_open(rig.dir, &error), -EALREADY);
}

Test(sec_chip, directories_above_are_made)
{
	char deep[128];

	strcpy(deep, rig_path(&rig, "a/b/c"));
	cr_assert_eq(sec_chip_open(deep, &error), 0, "%s", error.text);
	cr_expect_eq(mode_of("a/b/c/security-chip"), 0700);
}

static void expect_refused(int code, const char *text)
{
	cr_expect_eq(sec_chip_open(rig.dir, &error), code, "%s", error.text);
	cr_expect(strstr(error.text, text), "%s", error.text);
	cr_expect(error.hint[0], "with a remedy");
	cr_expect_eq(sec_chip_dir(), -1);
}

Test(sec_chip, a_directory_that_is_open_to_others_is_refused)
{
	cr_assert_eq(mkdir(rig_path(&rig, "security-chip"), 0700), 0);
	cr_assert_eq(chmod(rig_path(&rig, "security-chip"), 0750), 0);
	expect_refused(-EPERM, "is open to other users");
}

Test(sec_chip, a_directory_of_another_user_is_refused)
{
	if (geteuid() != 0)
		cr_skip_test("only root can give a directory away");
	cr_assert_eq(mkdir(rig_path(&rig, "security-chip"), 0700), 0);
	cr_assert_eq(chown(rig_path(&rig, "security-chip"), 65534, 65534), 0);
	expect_refused(-EPERM, "belongs to another user");
}

Test(sec_chip, a_link_in_place_of_the_directory_is_refused)
{
	cr_assert_eq(symlink("/tmp", rig_path(&rig, "security-chip")), 0);
	cr_expect_eq(sec_chip_open(rig.dir, &error), -ENOTDIR);
	cr_expect(strstr(error.text, "security-chip"), "%s", error.text);
}

Test(sec_chip, a_secret_that_was_cut_off_is_refused)
{
	open_chip();
	sec_chip_close();
	cr_assert_eq(truncate(rig_path(&rig, "security-chip/secret"), 47), 0);
	expect_refused(-EBADMSG, "is damaged or open to other users");
}

Test(sec_chip, a_secret_that_others_can_read_is_refused)
{
	open_chip();
	sec_chip_close();
	cr_assert_eq(chmod(rig_path(&rig, "security-chip/secret"), 0640), 0);
	expect_refused(-EBADMSG, "is damaged or open to other users");
}

Test(sec_chip, no_directory_can_be_made_below_a_file)
{
	rig_write(&rig, "file", "x", 1);
	strcat(rig.dir, "/file");
	cr_expect_eq(sec_chip_open(rig.dir, &error), -ENOTDIR);
	cr_expect(strstr(error.text, "Not a directory"), "%s", error.text);
	*strrchr(rig.dir, '/') = '\0';
}
