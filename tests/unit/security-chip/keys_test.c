/* SPDX-License-Identifier: BSD-3-Clause */
/* Custody of volumes' keys: made once, wrapped, bound, and opened the same. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "security-chip/audit.h"
#include "security-chip/chip.h"
#include "security-chip/keys.h"
#include "security-chip/keys_file.h"
#include "tests/unit/security-chip/rig.h"

#define ID    "vol-0123456789abcdef0"
#define OTHER "vol-0123456789abcdef1"
#define FILE_ "security-chip/keys/" ID ".key"

static struct rig rig;
static struct rt_error error;
static struct sec_key *key;
static uint8_t data[SEC_KEY_BYTES], again[SEC_KEY_BYTES];

static void open_chip(void)
{
	if (!rig.dir[0])
		rig_create(&rig);
	cr_assert_eq(sec_chip_open(rig.dir, &error), 0, "%s", error.text);
}

static void close_chip(void)
{
	if (key)
		sec_key_forget(&key);
	sec_chip_close();
	rig_destroy(&rig);
}

TestSuite(sec_keys, .init = open_chip, .fini = close_chip);

static void get(const char *id, const char *kms, uint8_t out[SEC_KEY_BYTES])
{
	cr_assert_eq(sec_key_find(id, kms, NULL, true, &key, &error), 0, "%s",
		     error.text);
	cr_assert_eq(sec_key_unwrap(key, out, &error), 0, "%s", error.text);
	sec_key_forget(&key);
}

Test(sec_keys, a_volumes_key_is_the_same_at_each_start)
{
	get(ID, NULL, data);
	sec_chip_close();
	open_chip();
	get(ID, NULL, again);
	cr_expect_arr_eq(data, again, sizeof data);
	cr_expect_arr_neq(data, data + 32, 32);
}

Test(sec_keys, each_volume_has_its_own)
{
	get(ID, NULL, data);
	get(OTHER, NULL, again);
	cr_expect_arr_neq(data, again, 32);
	cr_expect_arr_neq(data + 32, again + 32, 32);
}

Test(sec_keys, the_file_is_private_and_has_no_byte_of_the_key)
{
	struct stat status;
	size_t size;
	char *bytes;

	get(ID, NULL, data);
	cr_assert_eq(stat(rig_path(&rig, FILE_), &status), 0);
	cr_expect_eq(status.st_mode & 0777, 0600);
	bytes = rig_read(&rig, FILE_, &size);
	cr_expect_eq(size, sizeof(struct sec_key_file));
	for (size_t i = 0; i + 8 <= sizeof data; i++)
		cr_expect_null(memmem(bytes, size, data + i, 8));
	free(bytes);
}

Test(sec_keys, a_file_without_a_chips_secret_is_nothing)
{
	get(ID, NULL, data);
	sec_chip_close();
	unlink(rig_path(&rig, "security-chip/secret"));
	unlink(rig_path(&rig, "security-chip/audit.log"));
	unlink(rig_path(&rig, "security-chip/audit.head"));
	open_chip();
	cr_expect_eq(sec_key_find(ID, NULL, NULL, true, &key, &error),
		     -EKEYREJECTED);
	cr_expect(strstr(error.text, "cannot be unwrapped"), "%s", error.text);
	cr_expect(strstr(error.hint, "put back"), "%s", error.hint);
}

Test(sec_keys, one_changed_bit_anywhere_is_found)
{
	size_t size;
	char *bytes;

	get(ID, NULL, data);
	bytes = rig_read(&rig, FILE_, &size);
	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= 1;
		rig_write(&rig, FILE_, bytes, size);
		cr_expect_neq(sec_key_find(ID, NULL, NULL, true, &key, &error),
			      0, "byte %zu", i);
		bytes[i] ^= 1;
	}
	rig_write(&rig, FILE_, bytes, size - 1);
	cr_expect_eq(sec_key_find(ID, NULL, NULL, true, &key, &error),
		     -EBADMSG);
	cr_expect(strstr(error.text, "damaged"), "%s", error.text);
	free(bytes);
}

Test(sec_keys, a_key_does_not_open_for_another_volume)
{
	size_t size;
	char *bytes;

	get(ID, NULL, data);
	bytes = rig_read(&rig, FILE_, &size);
	rig_write(&rig, "security-chip/keys/" OTHER ".key", bytes, size);
	cr_expect_eq(sec_key_find(OTHER, NULL, NULL, true, &key, &error),
		     -EINVAL);
	cr_expect(strstr(error.text, "is of " ID), "%s", error.text);
	/* Nor with its name changed. */
	memcpy(bytes + 8, OTHER, strlen(OTHER));
	rig_write(&rig, "security-chip/keys/" OTHER ".key", bytes, size);
	cr_expect_eq(sec_key_find(OTHER, NULL, NULL, true, &key, &error),
		     -EKEYREJECTED);
	free(bytes);
}

Test(sec_keys, the_wrapping_keys_name_counts)
{
	get(ID, "alias/mine", data);
	cr_expect_eq(sec_key_find(ID, NULL, NULL, true, &key, &error), -EINVAL);
	cr_expect_str_eq(error.place, "volume.kms-key-id");
	cr_expect(strstr(error.text, "wrapped by 'alias/mine'"), "%s",
		  error.text);
	cr_expect_eq(sec_key_find(OTHER, "no spaces", NULL, true, &key, &error),
		     -EINVAL);
	cr_expect_eq(sec_key_find(ID, "alias/mine", NULL, true, &key, &error),
		     0);
	cr_expect_str_eq(sec_key_wrapping(key), "alias/mine");
}

Test(sec_keys, a_key_can_be_kept_elsewhere)
{
	char path[128];

	snprintf(path, sizeof path, "%s", rig_path(&rig, "my.key"));
	cr_assert_eq(sec_key_find(ID, NULL, path, true, &key, &error), 0, "%s",
		     error.text);
	cr_expect_eq(access(path, R_OK), 0);
	cr_expect_neq(access(rig_path(&rig, FILE_), R_OK), 0);
}

Test(sec_keys, none_is_made_for_a_volume_that_holds_data)
{
	cr_expect_eq(sec_key_find(ID, NULL, NULL, false, &key, &error),
		     -ENOKEY);
	cr_expect(strstr(error.text, "holds data"), "%s", error.text);
	cr_expect_neq(access(rig_path(&rig, FILE_), R_OK), 0);
	get(ID, NULL, data);
	cr_expect_eq(sec_key_find(ID, NULL, NULL, false, &key, &error), 0);
}

Test(sec_keys, making_and_unwrapping_are_in_the_audit_log)
{
	uint64_t records;
	size_t size;
	char *log;

	get(ID, NULL, data);
	log = rig_read(&rig, "security-chip/audit.log", &size);
	cr_expect(strstr(log, "key.made " ID " wrapped by alias/aws/ebs"));
	cr_expect(strstr(log, "key.unwrapped " ID));
	cr_expect_eq(sec_audit_check(&records, &error), 0);
	free(log);
}

Test(sec_keys, without_a_chip_there_are_none)
{
	sec_chip_close();
	cr_expect_eq(sec_key_find(ID, NULL, NULL, true, &key, &error), -ENODEV);
	cr_expect(strstr(error.text, "no security chip"), "%s", error.text);
}
