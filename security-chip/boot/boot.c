/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The card's side of the hand-over.  Nothing in it is believed for being there:
 * a program could have been started with a forged one.  What a forger cannot
 * have is the CDI, which only fuses and measurements make.
 */
#include "security-chip/boot/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/secret.h"
#include "security-chip/boot/handover.h"
#include "security-chip/boot/stage.h"
#include "security-chip/measure.h"

#define CONFIG_BYTES (UINT64_C(1) << 20)
#define FIRST_FD     16

static struct {
	struct sec_report report;
	struct sec_identity identity;
	uint8_t *cdi; /* NULL: this card was not verified */
	int ready, network;
} boot = { .ready = -1,
	   .network = -1,
	   .report = { .state = SEC_BOOT_RELEASED,
		       .slot = SEC_SLOT_NONE,
		       .version = NITRO_VERSION,
		       .history_count = 1,
		       .history = { SEC_BOOT_RELEASED } } };

/* ---- Started by hand ---- */

static int measure_program(void)
{
	RT_FD int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint8_t digest[SEC_DIGEST_BYTES];
	int status = fd < 0 ? -errno : sec_sealed_digest(fd, digest, NULL);

	return status ? status
		      : sec_measure(SEC_REGISTER_FIRMWARE, "nitro-card",
				    digest);
}

int sec_boot_direct(const void *config, size_t size)
{
	static const char life[] = "life-cycle unprovisioned";
	int status = 0;

	for (unsigned int n = SEC_REGISTER_ROM;
	     n <= SEC_REGISTER_CONFIG && !status; n++)
		status = sec_measure_bytes(n, life, life, strlen(life));
	if (!status)
		status = measure_program();
	if (!status)
		status = sec_measure_bytes(SEC_REGISTER_CONFIG, "card.yaml",
					   config, size);
	return status;
}

/* ---- Handed over ---- */

static int refuse(struct rt_error *error, const char *why)
{
	rt_error_set(error, -EBADMSG, "the hand-over is refused: %s", why);
	rt_error_hint(error, "only nitro-rom starts a card with --handover");
	return -EBADMSG;
}

static bool matches(int fd, const uint8_t *expected)
{
	uint8_t digest[SEC_DIGEST_BYTES];

	return expected && !sec_sealed_digest(fd, digest, NULL) &&
	       !memcmp(digest, expected, sizeof digest);
}

/* Somebody waits at its other end. */
static bool is_pipe(int fd)
{
	struct stat status;

	return !fstat(fd, &status) && S_ISFIFO(status.st_mode);
}

static const char *fault_of_parts(const struct sec_handover *handover)
{
	RT_FD int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (!matches(self, sec_handover_digest(handover, SEC_REGISTER_FIRMWARE,
					       "nitro-card")))
		return "this is not the program that was measured";
	if (!sec_is_sealed(handover->config) ||
	    !matches(handover->config,
		     sec_handover_digest(handover, SEC_REGISTER_CONFIG,
					 "card.yaml")))
		return "this is not the configuration that was measured";
	if (handover->network >= 0 &&
	    (!sec_is_sealed(handover->network) ||
	     !matches(handover->network,
		      sec_handover_digest(handover, SEC_REGISTER_FIRMWARE,
					  "nitro-user-net"))))
		return "this is not the user-mode network that was measured";
	return is_pipe(handover->ready) ? NULL : "nobody waits for this card";
}

static int read_config(const struct sec_handover *handover,
		       struct sec_boot_config *out)
{
	struct stat status;

	if (fstat(handover->config, &status) ||
	    (uint64_t)status.st_size > CONFIG_BYTES)
		return -EFBIG;
	out->size = (size_t)status.st_size;
	out->text = malloc(out->size + 1);
	out->name = strdup(handover->config_name);
	if (out->text && out->name &&
	    pread(handover->config, out->text, out->size, 0) ==
		    (ssize_t)out->size)
		return 0;
	return -ENOMEM;
}

static int keep(const struct sec_handover *handover, struct rt_error *error)
{
	int status = 0;

	boot.cdi = rt_secret_alloc(SEC_CDI_BYTES, error);
	if (!boot.cdi)
		return error->code ? error->code : -ENOMEM;
	memcpy(boot.cdi, handover->cdi, SEC_CDI_BYTES);
	boot.report = handover->report;
	boot.identity = handover->identity;
	for (uint32_t i = 0; i < handover->event_count && !status; i++)
		status = sec_measure(handover->events[i].number,
				     handover->events[i].what,
				     handover->events[i].digest);
	/* A program in memory has no name of its own. */
	prctl(PR_SET_NAME, "nitro-card");
	return status;
}

static int check(const struct sec_handover *handover, struct rt_error *error)
{
	const char *fault = sec_handover_fault(handover);

	if (!fault)
		fault = fault_of_parts(handover);
	return fault ? refuse(error, fault) : 0;
}

/* Not for children, and out of the way of the numbers that they expect. */
static int own(int fd)
{
	int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);

	if (fd >= 0)
		close(fd);
	return moved;
}

static int take(struct sec_handover *handover, struct sec_boot_config *out,
		struct rt_error *error)
{
	int status = check(handover, error);

	if (!status)
		status = read_config(handover, out);
	if (!status) {
		boot.ready = own(handover->ready);
		boot.network = own(handover->network);
		close(handover->config);
		status = keep(handover, error);
	}
	if (status && !error->code)
		rt_error_set(error, status, "the hand-over failed: %s",
			     strerror(-status));
	if (status) {
		free(out->text);
		free(out->name);
		*out = (struct sec_boot_config){ 0 };
	}
	return status;
}

int sec_boot_adopt(int fd, struct sec_boot_config *out, struct rt_error *error)
{
	struct sec_handover *handover = malloc(sizeof *handover);
	bool is_whole;
	int status;

	*out = (struct sec_boot_config){ 0 };
	if (!handover)
		return rt_error_set(error, -ENOMEM, "out of memory");
	is_whole = sec_is_sealed(fd) &&
		   pread(fd, handover, sizeof *handover, 0) == sizeof *handover;
	status = is_whole ? take(handover, out, error)
			  : refuse(error, "it is none");
	if (is_whole)
		close(fd);
	rt_erase(handover, sizeof *handover);
	free(handover);
	return status;
}

/* ---- Afterwards ---- */

void sec_boot_ready(void)
{
	if (boot.ready < 0)
		return;
	/* Who does not listen any more will notice that too. */
	if (write(boot.ready, "R", 1) == 1)
		close(boot.ready);
	boot.ready = -1;
}

int sec_boot_network(void)
{
	return boot.network;
}

int sec_boot_alias_key(struct evp_pkey_st **out)
{
	return boot.cdi ? sec_dice_alias_key(boot.cdi, out) : -ENODEV;
}

json_t *sec_boot_status(void)
{
	struct sec_event *events = calloc(SEC_EVENTS, sizeof *events);
	json_t *json = NULL;

	if (events)
		json = sec_report_json(&boot.report, events,
				       sec_event_log(events, SEC_EVENTS));
	if (json && boot.cdi)
		sec_identity_tell(&boot.identity, json);
	free(events);
	return json;
}

void sec_boot_end(void)
{
	rt_secret_free(boot.cdi);
	boot.cdi = NULL;
}
