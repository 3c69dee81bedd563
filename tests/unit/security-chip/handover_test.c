/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A card takes what a first stage has made, and each forged field of it is
 * refused, for its own reason.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "security-chip/boot/boot.h"
#include "security-chip/boot/stage.h"
#include "tests/unit/security-chip/handover_rig.h"

#define CONFIG  "functions: []\n"
#define NETWORK "a network"

static struct handover_rig rig = { .uds = { 1, 2, 3 } };
static struct sec_handover good;
static struct sec_boot_config config;
static struct rt_error error;
static int waits; /* the first stage's end of the pipe */

static int sealed(const char *text)
{
	int fd = sec_sealed_bytes("part", text, strlen(text));

	cr_assert_geq(fd, 0);
	return fd;
}

static void set_up(void)
{
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), ends[2];

	cr_assert_eq(sec_sealed_digest(self, rig.program, NULL), 0);
	close(self);
	cr_assert_eq(sec_digest(CONFIG, strlen(CONFIG), rig.config), 0);
	cr_assert_eq(sec_digest(NETWORK, strlen(NETWORK), rig.network), 0);
	handover_make(&rig, &good);
	cr_assert_eq(pipe(ends), 0);
	waits = ends[0];
	good.ready = ends[1];
	good.config = sealed(CONFIG);
	good.network = sealed(NETWORK);
}

TestSuite(sec_handover, .init = set_up, .timeout = 120);

static int adopt(const struct sec_handover *handover)
{
	int fd = sec_sealed_bytes("handover", handover, sizeof *handover);

	cr_assert_geq(fd, 0);
	error = (struct rt_error){ 0 };
	return sec_boot_adopt(fd, &config, &error);
}

Test(sec_handover, what_the_first_stage_made_is_taken)
{
	uint8_t point[SEC_POINT_BYTES], expected[SEC_DIGEST_BYTES];
	struct sec_tcb tcb;
	EVP_PKEY *key = NULL;
	json_t *status, *hex;
	char byte;

	cr_assert_eq(sec_boot_alias_key(&key), -ENODEV);
	cr_assert_eq(adopt(&good), 0, "%s", error.text);
	cr_expect_str_eq(config.name, "/flash/a/card.yaml");
	cr_expect_eq(config.size, strlen(CONFIG));
	cr_expect_arr_eq(config.text, CONFIG, config.size);
	cr_assert_eq(sec_handover_tcb(&good, &tcb), 0);
	for (unsigned int n = 0; n < SEC_REGISTERS; n++) {
		sec_register_read(n, expected);
		cr_expect_arr_eq(tcb.registers[n], expected, sizeof expected);
	}
	/* What it says of itself is the key that it has. */
	cr_assert_eq(sec_boot_alias_key(&key), 0);
	cr_assert_eq(sec_key_point(key, point), 0);
	EVP_PKEY_free(key);
	status = sec_boot_status();
	cr_expect(json_is_true(json_object_get(status, "verified")));
	hex = sec_report_hex(point, sizeof point);
	cr_expect(json_equal(json_object_get(status, "identity"), hex));
	json_decref(hex);
	json_decref(status);
	sec_boot_ready();
	cr_expect_eq(read(waits, &byte, 1), 1);
	cr_expect_eq(byte, 'R');
	cr_expect_eq(read(waits, &byte, 1), 0, "and nothing else");
	sec_boot_end();
	cr_expect_eq(sec_boot_alias_key(&key), -ENODEV);
	free(config.name);
	free(config.text);
}

static void refuse(const struct sec_handover *handover, const char *row,
		   const char *why)
{
	cr_expect_eq(adopt(handover), -EBADMSG, "%s: taken", row);
	cr_expect(strstr(error.text, why), "%s: %s", row, error.text);
	cr_expect(error.hint[0], "%s", row);
	cr_expect_null(config.text, "%s", row);
}

static void refuse_file(int fd, const char *row)
{
	cr_expect_eq(sec_boot_adopt(fd, &config, &error), -EBADMSG, "%s", row);
	cr_expect(strstr(error.text, "it is none"), "%s: %s", row, error.text);
}

Test(sec_handover, what_is_no_sealed_memory_of_that_size_is_none)
{
	int fds[2];

	refuse_file(-1, "closed");
	cr_assert_eq(pipe(fds), 0);
	refuse_file(fds[0], "a pipe");
	refuse_file(open("/proc/self/exe", O_RDONLY), "a file");
	refuse_file(sec_sealed_bytes("short", &good, sizeof good - 1), "short");
	refuse_file(sealed(""), "empty");
}

/* ---- Each field ---- */

static void swap_stages(struct sec_handover *h)
{
	struct sec_event first = h->events[2];

	h->events[2] = h->events[3];
	h->events[3] = first;
}

static void leave_out_firmware(struct sec_handover *h)
{
	memmove(&h->events[3], &h->events[7], 2 * sizeof *h->events);
	h->event_count = 5;
}

static void other_device(struct sec_handover *h)
{
	struct handover_rig theirs = rig;
	struct sec_handover other;

	theirs.uds[0] ^= 1;
	handover_make(&theirs, &other);
	h->identity.device_size = other.identity.device_size;
	memcpy(h->identity.device, other.identity.device,
	       sizeof h->identity.device);
}

/* A secret and its certificates, but of a card that was configured so. */
static void other_configuration(struct sec_handover *h)
{
	struct handover_rig theirs = rig;
	struct sec_handover other;

	theirs.config[0] ^= 1;
	handover_make(&theirs, &other);
	h->identity = other.identity;
	memcpy(h->cdi, other.cdi, sizeof h->cdi);
}

static void other_secret(struct sec_handover *h)
{
	struct sec_identity identity = h->identity;

	other_configuration(h);
	h->identity = identity;
}

#define SPOIL(name, what)                                                      \
	static void name(struct sec_handover *h)                               \
	{                                                                      \
		what;                                                          \
	}

SPOIL(magic, h->magic[7] ^= 1)
SPOIL(size, h->size--)
SPOIL(many_events, h->event_count = SEC_HANDOVER_EVENTS + 1)
SPOIL(state, h->report.state = SEC_BOOT_MEASURE)
SPOIL(life_cycle, h->report.life_cycle = SEC_LIFE_UNPROVISIONED)
SPOIL(slot, h->report.slot = SEC_SLOT_NONE)
SPOIL(slots, h->report.slots[1] = SEC_REASONS)
SPOIL(reason, h->report.reason = SEC_REASONS)
SPOIL(tried, h->report.was_tried = 4)
SPOIL(below_floor, h->report.floor = 4)
SPOIL(no_history, h->report.history_count = 0)
SPOIL(long_history, h->report.history_count = SEC_HISTORY + 1)
SPOIL(history, h->report.history[3] = SEC_BOOT_RELEASED + 1)
SPOIL(version_end, memset(h->report.version, 'x', SEC_VERSION_TEXT))
SPOIL(version_text, h->report.version[0] = (char)0xc3)
SPOIL(name_end, memset(h->config_name, 'x', sizeof h->config_name))
SPOIL(number, h->events[8].number = SEC_REGISTERS)
SPOIL(what_end, memset(h->events[1].what, 'x', SEC_EVENT_WHAT))
SPOIL(what_text, h->events[1].what[0] = '\n')
SPOIL(no_log, h->event_count = 0)
SPOIL(no_config_event, h->event_count = 7)
SPOIL(back_again, h->events[8].number = SEC_REGISTER_ROM)
SPOIL(secret, h->cdi[47] ^= 0x80)
SPOIL(no_device, h->identity.device_size = 0)
SPOIL(long_device, h->identity.device_size = SEC_CERTIFICATE_BYTES + 1)
SPOIL(cut_alias, h->identity.alias_size--)
SPOIL(longer_alias, h->identity.alias_size++)
SPOIL(version, h->report.version[0] = '2')
SPOIL(svn, h->report.svn++)
SPOIL(measured, h->events[1].digest[0] ^= 1)
/* Of these, whoever forges has certificates of his own. */
SPOIL(program, h->events[5].digest[0] ^= 1; handover_certify(&rig, h))
SPOIL(program_name, h->events[5].what[0] = 'N'; handover_certify(&rig, h))
SPOIL(configured, h->events[8].digest[0] ^= 1; handover_certify(&rig, h))
SPOIL(networked, h->events[6].digest[0] ^= 1; handover_certify(&rig, h))
SPOIL(no_config, h->config = -1)
SPOIL(other_config, h->config = h->network)
SPOIL(open_config, h->config = waits)
SPOIL(other_network, h->network = h->config)
SPOIL(open_network, h->network = waits)
SPOIL(nobody, h->ready = -1)
SPOIL(no_pipe, h->ready = h->config)

#define ROW(spoil, why)                                                        \
	{                                                                      \
#spoil, spoil, why                                             \
	}

static const struct {
	const char *name;
	void (*spoil)(struct sec_handover *h);
	const char *why;
} rows[] = {
	ROW(magic, "it is none"),
	ROW(size, "it is none"),
	ROW(many_events, "it is none"),
	ROW(state, "its report is out of range"),
	ROW(life_cycle, "its report is out of range"),
	ROW(slot, "its report is out of range"),
	ROW(slots, "its report is out of range"),
	ROW(reason, "its report is out of range"),
	ROW(tried, "its report is out of range"),
	ROW(below_floor, "its report is out of range"),
	ROW(no_history, "its report is out of range"),
	ROW(long_history, "its report is out of range"),
	ROW(history, "its report is out of range"),
	ROW(version_end, "its report is out of range"),
	ROW(version_text, "its report is out of range"),
	ROW(name_end, "its report is out of range"),
	ROW(number, "its log is out of range"),
	ROW(what_end, "its log is out of range"),
	ROW(what_text, "its log is out of range"),
	ROW(swap_stages, "its stages are in the wrong order"),
	ROW(back_again, "its stages are in the wrong order"),
	ROW(leave_out_firmware, "its stages are in the wrong order"),
	ROW(no_log, "a stage is missing"),
	ROW(no_config_event, "a stage is missing"),
	ROW(no_device, "its certificates are none"),
	ROW(long_device, "its certificates are none"),
	ROW(cut_alias, "its certificates are none"),
	ROW(longer_alias, "its certificates are none"),
	ROW(other_device, "do not hang together"),
	ROW(secret, "not that of its secret"),
	ROW(other_secret, "not that of its secret"),
	ROW(other_configuration, "speaks of other measurements"),
	ROW(version, "speaks of other measurements"),
	ROW(svn, "speaks of other measurements"),
	ROW(measured, "speaks of other measurements"),
	ROW(program, "not the program that was measured"),
	ROW(program_name, "not the program that was measured"),
	ROW(configured, "not the configuration that was measured"),
	ROW(no_config, "not the configuration that was measured"),
	ROW(other_config, "not the configuration that was measured"),
	ROW(open_config, "not the configuration that was measured"),
	ROW(networked, "not the user-mode network that was measured"),
	ROW(other_network, "not the user-mode network that was measured"),
	ROW(open_network, "not the user-mode network that was measured"),
	ROW(nobody, "nobody waits for this card"),
	ROW(no_pipe, "nobody waits for this card"),
};

Test(sec_handover, each_forged_field_is_refused_for_its_own_reason)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct sec_handover forged = good;

		rows[i].spoil(&forged);
		refuse(&forged, rows[i].name, rows[i].why);
	}
	/* None of them has left anything behind. */
	cr_assert_eq(adopt(&good), 0, "%s", error.text);
}

/* ---- Each byte ---- */

static void flip_each(uint8_t *bytes, size_t size, const char *what)
{
	for (size_t i = 0; i < size; i += 5) {
		bytes[i] ^= 0x04;
		cr_assert_not_null(sec_handover_fault(&good), "%s byte %zu",
				   what, i);
		bytes[i] ^= 0x04;
	}
}

Test(sec_handover, each_byte_of_secret_log_and_certificates_counts)
{
	flip_each(good.cdi, sizeof good.cdi, "secret");
	flip_each(good.identity.device, good.identity.device_size, "device");
	flip_each(good.identity.alias, good.identity.alias_size, "alias");
	for (uint32_t i = 0; i < good.event_count; i++) {
		flip_each((uint8_t *)&good.events[i].number,
			  sizeof good.events[i].number, "register");
		flip_each(good.events[i].digest, SEC_DIGEST_BYTES, "digest");
	}
	cr_assert_null(sec_handover_fault(&good));
}

/* The longest text and the largest number that a manifest can have. */
Test(sec_handover, there_is_room_for_any_version)
{
	memset(good.report.version, 'v', SEC_VERSION_TEXT - 1);
	good.report.svn = UINT32_MAX;
	handover_certify(&rig, &good);
	cr_expect_null(sec_handover_fault(&good));
}
