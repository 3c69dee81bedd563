/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is started is what the owner signed: each way in which a slot can be
 * wrong, by its own reason, and each byte of a slot.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "security-chip/audit.h"
#include "security-chip/boot/dice.h"
#include "security-chip/boot/gate.h"
#include "security-chip/boot/report.h"
#include "security-chip/boot/sign.h"
#include "security-chip/boot/stage.h"
#include "security-chip/chip.h"
#include "tests/unit/security-chip/rig.h"

static struct rig rig;
static struct rt_error error;
static uint8_t owner[SEC_DIGEST_BYTES];

/* Sign these files as an image; svn and version as given. */
static void sign(const char *key, const char *image, uint32_t svn)
{
	char paths[5][128];
	const struct sec_sign_request request = {
		.key = strcpy(paths[0], rig_path(&rig, key)),
		.version = "1.2.3",
		.svn = svn,
		.parts = { strcpy(paths[1], rig_path(&rig, "program")),
			   strcpy(paths[2], rig_path(&rig, "config")),
			   strcpy(paths[3], rig_path(&rig, "network")) },
		.image = strcpy(paths[4], rig_path(&rig, image)),
	};

	cr_assert_eq(sec_sign_image(&request, &error), 0, "%s", error.text);
}

static void set_up(void)
{
	rt_log_set_level(RT_LOG_ERROR);
	rig_create(&rig);
	rig_write(&rig, "program",
		  "\x7f"
		  "ELF of a sort",
		  14);
	rig_write(&rig, "config", "functions: []\n", 14);
	rig_write(&rig, "network", "a network", 9);
	cr_assert_eq(sec_sign_new_key(rig_path(&rig, "key"), &error), 0);
	cr_assert_eq(sec_sign_new_key(rig_path(&rig, "other"), &error), 0);
	cr_assert_eq(sec_sign_key_digest(rig_path(&rig, "key"), owner, &error),
		     0);
	sign("key", "image", 5);
}

static void tear_down(void)
{
	sec_chip_close();
	rig_destroy(&rig);
}

TestSuite(sec_boot, .init = set_up, .fini = tear_down, .timeout = 60);

static enum sec_reason verify(const char *image, uint32_t floor)
{
	int dir = open(rig_path(&rig, image), O_RDONLY | O_DIRECTORY);
	struct sec_stage stage;
	enum sec_reason reason = sec_stage_verify(dir, owner, floor, &stage);

	for (unsigned int i = 0; i < SEC_PARTS; i++)
		if (reason == SEC_REASON_GOOD)
			cr_expect(sec_is_sealed(stage.parts[i]));
		else
			cr_expect_eq(stage.parts[i], -1, "nothing is left");
	if (reason == SEC_REASON_GOOD)
		sec_stage_close(&stage);
	close(dir);
	return reason;
}

#define EXPECT_REASON(is, want)                                                \
	do {                                                                   \
		enum sec_reason found = (is);                                  \
		cr_expect_eq(found, SEC_REASON_##want, "%s",                   \
			     sec_reason_name(found));                          \
	} while (0)

Test(sec_boot, what_the_owner_signed_is_good)
{
	EXPECT_REASON(verify("image", 0), GOOD);
	EXPECT_REASON(verify("image", 5), GOOD);
}

Test(sec_boot, a_version_below_the_floor_is_not)
{
	EXPECT_REASON(verify("image", 6), SVN_BELOW_FLOOR);
}

Test(sec_boot, another_key_is_the_wrong_one)
{
	sign("other", "image", 5);
	EXPECT_REASON(verify("image", 0), WRONG_KEY);
}

Test(sec_boot, a_signature_of_another_manifest_is_bad)
{
	size_t size, other_size;
	char *mine, *other;

	sign("key", "again", 6);
	mine = rig_read(&rig, "image/manifest", &size);
	other = rig_read(&rig, "again/manifest", &other_size);
	cr_assert_eq(size, other_size);
	memcpy(mine + size - SEC_SIGNATURE_BYTES,
	       other + size - SEC_SIGNATURE_BYTES, SEC_SIGNATURE_BYTES);
	rig_write(&rig, "image/manifest", mine, size);
	EXPECT_REASON(verify("image", 0), BAD_SIGNATURE);
	free(mine);
	free(other);
}

Test(sec_boot, each_byte_of_the_manifest_counts)
{
	size_t size;
	char *bytes = rig_read(&rig, "image/manifest", &size);

	for (size_t i = 0; i < size; i++)
		for (int bit = 0; bit < 8; bit += 7) {
			enum sec_reason found;

			bytes[i] ^= (char)(1 << bit);
			rig_write(&rig, "image/manifest", bytes, size);
			bytes[i] ^= (char)(1 << bit);
			found = verify("image", 0);
			cr_assert(found == SEC_REASON_MANIFEST_MALFORMED ||
					  found == SEC_REASON_WRONG_KEY ||
					  found == SEC_REASON_BAD_SIGNATURE,
				  "byte %zu bit %d: %s", i, bit,
				  sec_reason_name(found));
		}
	free(bytes);
}

/* Nothing of it is told, so that it need not be text. */
Test(sec_boot, of_what_is_no_manifest_nothing_is_kept)
{
	static const struct sec_manifest nothing;
	struct sec_manifest manifest;
	size_t size;
	char *bytes = rig_read(&rig, "image/manifest", &size);

	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= (char)0x80;
		if (sec_manifest_parse(bytes, size, &manifest))
			cr_assert_arr_eq(&manifest, &nothing, sizeof manifest,
					 "byte %zu", i);
		bytes[i] ^= (char)0x80;
	}
	free(bytes);
}

Test(sec_boot, a_manifest_of_any_other_length_is_none)
{
	size_t size;
	char *bytes = rig_read(&rig, "image/manifest", &size);

	for (size_t i = 0; i < size; i++) {
		rig_write(&rig, "image/manifest", bytes, i);
		EXPECT_REASON(verify("image", 0), MANIFEST_MALFORMED);
	}
	rig_write(&rig, "image/manifest", bytes, size + 1);
	EXPECT_REASON(verify("image", 0), MANIFEST_MALFORMED);
	free(bytes);
}

/* What is wrong with a part has three reasons, in this order. */
static void spoil(const char *part, enum sec_reason missing)
{
	char name[64];
	size_t size;
	char *bytes;

	snprintf(name, sizeof name, "image/%s", part);
	bytes = rig_read(&rig, name, &size);
	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= 1;
		rig_write(&rig, name, bytes, size);
		cr_assert_eq(verify("image", 0), missing + 2, "%s byte %zu",
			     name, i);
		bytes[i] ^= 1;
	}
	for (size_t i = 0; i < size; i++) {
		rig_write(&rig, name, bytes, i);
		cr_assert_eq(verify("image", 0), missing + 1, "%s cut at %zu",
			     name, i);
	}
	rig_write(&rig, name, bytes, size + 1);
	cr_assert_eq(verify("image", 0), missing + 1, "%s longer", name);
	cr_assert_eq(unlink(rig_path(&rig, name)), 0);
	cr_assert_eq(verify("image", 0), missing, "%s missing", name);
	cr_assert_eq(symlink("/dev/zero", rig_path(&rig, name)), 0);
	cr_assert_eq(verify("image", 0), missing, "%s is a link", name);
	free(bytes);
}

Test(sec_boot, each_byte_of_the_program_counts)
{
	spoil("nitro-card", SEC_REASON_PROGRAM_MISSING);
}

Test(sec_boot, each_byte_of_the_configuration_counts)
{
	spoil("card.yaml", SEC_REASON_CONFIG_MISSING);
}

Test(sec_boot, each_byte_of_the_network_counts)
{
	spoil("nitro-user-net", SEC_REASON_NETWORK_MISSING);
}

/* The program in the configuration's place, and the other way round. */
Test(sec_boot, parts_in_each_others_place_are_not_the_signed_ones)
{
	size_t size;
	char *program = rig_read(&rig, "image/nitro-card", &size);

	/* As long as each other, so that only the digest tells. */
	cr_assert_eq(size, 14);
	rig_write(&rig, "image/card.yaml", program, size);
	EXPECT_REASON(verify("image", 0), CONFIG_DIGEST);
	rig_write(&rig, "image/nitro-card", "functions: []\n", 14);
	EXPECT_REASON(verify("image", 0), PROGRAM_DIGEST);
	free(program);
}

Test(sec_boot, a_slot_without_a_manifest_is_told_from_an_empty_one)
{
	unlink(rig_path(&rig, "image/manifest"));
	EXPECT_REASON(verify("image", 0), MANIFEST_MISSING);
	unlink(rig_path(&rig, "image/nitro-card"));
	unlink(rig_path(&rig, "image/card.yaml"));
	unlink(rig_path(&rig, "image/nitro-user-net"));
	EXPECT_REASON(verify("image", 0), SLOT_EMPTY);
}

Test(sec_boot, what_was_verified_cannot_be_exchanged)
{
	int dir = open(rig_path(&rig, "image"), O_RDONLY | O_DIRECTORY);
	struct sec_stage stage;
	char byte = 'x';

	cr_assert_eq(sec_stage_verify(dir, owner, 0, &stage), SEC_REASON_GOOD);
	rig_write(&rig, "image/card.yaml", "something else", 14);
	cr_expect_eq(pread(stage.parts[SEC_PART_CONFIG], &byte, 1, 0), 1);
	cr_expect_eq(byte, 'f');
	cr_expect_eq(pwrite(stage.parts[SEC_PART_CONFIG], "x", 1, 0), -1);
	cr_expect_neq(ftruncate(stage.parts[SEC_PART_CONFIG], 1), 0);
	sec_stage_close(&stage);
	close(dir);
}

/* ---- The flash ---- */

static struct sec_flash flash;

static const char *flash_path(void)
{
	static char path[128];

	return strcpy(path, rig_path(&rig, "flash"));
}

static void make_flash(void)
{
	cr_assert_eq(sec_flash_init(flash_path(), owner, &error), 0, "%s",
		     error.text);
	EXPECT_REASON(sec_flash_open(flash_path(), &flash), GOOD);
	cr_assert_eq(sec_chip_open(flash_path(), &error), 0, "%s", error.text);
}

Test(sec_boot, fuses_are_burnt_once)
{
	make_flash();
	cr_expect_eq(sec_flash_init(flash_path(), owner, &error), -EEXIST);
	sec_flash_close(&flash);
}

static void flip_each(const char *name, enum sec_reason want)
{
	size_t size;
	char *bytes = rig_read(&rig, name, &size);

	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= 0x10;
		chmod(rig_path(&rig, name), 0600);
		rig_write(&rig, name, bytes, size);
		cr_assert_eq(sec_flash_open(flash_path(), &flash), want,
			     "%s byte %zu", name, i);
		bytes[i] ^= 0x10;
	}
	rig_write(&rig, name, bytes, size);
	EXPECT_REASON(sec_flash_open(flash_path(), &flash), GOOD);
	sec_flash_close(&flash);
	chmod(rig_path(&rig, name), 0644);
	cr_assert_eq(sec_flash_open(flash_path(), &flash), want);
	unlink(rig_path(&rig, name));
	cr_assert_eq(sec_flash_open(flash_path(), &flash), want);
	free(bytes);
}

Test(sec_boot, a_floor_that_was_lowered_by_hand_is_noticed)
{
	make_flash();
	sec_flash_close(&flash);
	flip_each("flash/state", SEC_REASON_STATE_DAMAGED);
}

Test(sec_boot, damaged_fuses_are_noticed)
{
	make_flash();
	sec_flash_close(&flash);
	flip_each("flash/fuses", SEC_REASON_FUSES_DAMAGED);
}

Test(sec_boot, a_flash_of_others_is_none)
{
	make_flash();
	sec_flash_close(&flash);
	chmod(flash_path(), 0755);
	EXPECT_REASON(sec_flash_open(flash_path(), &flash), FLASH_MISSING);
	EXPECT_REASON(sec_flash_open("/nowhere", &flash), FLASH_MISSING);
}

/* ---- The gate ---- */

static enum sec_reason install(const char *image, unsigned int slot)
{
	char path[128];
	unsigned int written;

	strcpy(path, rig_path(&rig, image));
	return sec_gate_install(&flash, path, slot, &written);
}

Test(sec_boot, the_gate_writes_the_inactive_slot)
{
	make_flash();
	EXPECT_REASON(install("image", SEC_SLOT_NONE), GOOD);
	EXPECT_REASON(verify("flash/a", 5), GOOD);
	cr_expect_eq(flash.state.trial, 0);
	cr_expect_eq(flash.state.trial_left, 1);
	cr_expect_eq(flash.state.floor, 0, "nothing has run yet");
	cr_expect_eq(flash.state.written, 1);
	flash.state.active = 0;
	sec_flash_save(&flash);
	EXPECT_REASON(install("image", SEC_SLOT_NONE), GOOD);
	EXPECT_REASON(verify("flash/b", 5), GOOD);
	sec_flash_close(&flash);
}

/* Denied for the reason: the slots, but not the counter, are as before. */
static void expect_denied(const char *image, unsigned int slot,
			  enum sec_reason want)
{
	uint64_t denied = flash.state.denied, written = flash.state.written;
	size_t size;
	char *text;

	EXPECT_REASON(install(image, slot) == want ? SEC_REASON_GOOD
						   : SEC_REASON_MACHINE,
		      GOOD);
	cr_expect_eq(flash.state.denied, denied + 1);
	cr_expect_eq(flash.state.written, written);
	EXPECT_REASON(verify("flash/a", 5), GOOD);
	EXPECT_REASON(verify("flash/b", 0), SLOT_EMPTY);
	text = rig_read(&rig, "flash/security-chip/audit.log", &size);
	cr_expect(strstr(text, "gate.denied"), "%s", text);
	cr_expect(strstr(text, sec_reason_name(want)), "%s", text);
	free(text);
}

Test(sec_boot, the_gate_denies_counts_and_audits)
{
	uint64_t records;

	make_flash();
	EXPECT_REASON(install("image", 0), GOOD);
	flash.state.active = 0;
	flash.state.trial = SEC_SLOT_NONE;
	flash.state.floor = 5;
	cr_assert_eq(sec_flash_save(&flash), 0);
	expect_denied("image", 0, SEC_REASON_ACTIVE_SLOT);
	sign("key", "old", 4);
	expect_denied("old", 1, SEC_REASON_SVN_BELOW_FLOOR);
	sign("other", "foreign", 9);
	expect_denied("foreign", 1, SEC_REASON_WRONG_KEY);
	rig_write(&rig, "old/manifest", "", 0);
	expect_denied("old", 1, SEC_REASON_MANIFEST_MALFORMED);
	unlink(rig_path(&rig, "old/manifest"));
	expect_denied("old", 1, SEC_REASON_MANIFEST_MISSING);
	rig_write(&rig, "image/nitro-card", "exchanged 1234", 14);
	expect_denied("image", 1, SEC_REASON_PROGRAM_DIGEST);
	expect_denied("nowhere", 1, SEC_REASON_SLOT_EMPTY);
	cr_expect_eq(sec_audit_check(&records, &error), 0, "%s", error.text);
	cr_expect_eq(records, 8);
	sec_flash_close(&flash);
}

/* ---- States and identity ---- */

Test(sec_boot, states_come_in_their_order_or_the_card_is_held)
{
	for (unsigned int from = 0; from < 4; from++)
		for (unsigned int to = 0; to < 4; to++) {
			struct sec_report report = { .state = from };
			int status = sec_report_advance(&report, to);

			if (!to || to == from + 1) {
				cr_expect_eq(status, 0);
				cr_expect_eq(report.state, to);
				continue;
			}
			cr_expect_eq(status, -EPROTO);
			cr_expect_eq(report.state, SEC_BOOT_HELD);
			cr_expect_eq(report.reason, SEC_REASON_WRONG_ORDER);
		}
}

/* The public half of the alias key, or of the device's. */
static void point_of(const uint8_t secret[48], bool is_device,
		     uint8_t out[SEC_POINT_BYTES])
{
	EVP_PKEY *key = NULL;

	cr_assert_eq(is_device ? sec_dice_device_key(secret, &key)
			       : sec_dice_alias_key(secret, &key),
		     0);
	cr_assert_eq(sec_key_point(key, out), 0);
	EVP_PKEY_free(key);
}

Test(sec_boot, the_alias_changes_with_each_measurement_and_device)
{
	uint8_t registers[SEC_REGISTERS][SEC_DIGEST_BYTES] = { 0 };
	uint8_t uds[SEC_UDS_BYTES] = { 1 }, cdi[SEC_CDI_BYTES];
	uint8_t other[SEC_CDI_BYTES], first[SEC_POINT_BYTES];
	uint8_t point[SEC_POINT_BYTES];

	cr_assert_eq(sec_dice_cdi(uds, registers, cdi), 0);
	point_of(cdi, false, first);
	cr_expect_eq(first[0], 4, "an uncompressed point");
	point_of(cdi, false, point);
	cr_expect_arr_eq(first, point, sizeof point, "the same each time");
	cr_expect_arr_neq(cdi, uds, sizeof cdi);
	for (unsigned int n = 0; n < SEC_REGISTERS; n++) {
		bool is_ours = n <= SEC_REGISTER_CONFIG;

		registers[n][47] ^= 1;
		cr_assert_eq(sec_dice_cdi(uds, registers, other), 0);
		registers[n][47] ^= 1;
		cr_expect_eq(!!memcmp(cdi, other, sizeof cdi), is_ours);
		point_of(other, false, point);
		cr_expect_eq(!!memcmp(first, point, sizeof point), is_ours);
	}
	point_of(uds, true, first);
	uds[47] ^= 1;
	cr_assert_eq(sec_dice_cdi(uds, registers, other), 0);
	cr_expect_arr_neq(cdi, other, sizeof cdi);
	point_of(uds, true, point);
	cr_expect_arr_neq(first, point, sizeof point);
}
