/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The module as a PCIe function: its configuration, its slots, its life.  On
 * the function's loop thread.
 */
#include "security-chip/nsm/function.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "security-chip/nsm/nsm.h"
#include "security-chip/nsm/trace.h"

/* ---- what the configuration says ---- */

/* As EC2 writes its ids. */
#define INSTANCE_DIGITS 17
#define MODULE_DIGITS   16

static bool is_a_name(const char *text)
{
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789-_.");

	return length && !text[length] && length < NSM_NAME_BYTES;
}

static int check_name(const char *key, const char *text, struct rt_error *error)
{
	if (!text || is_a_name(text))
		return 0;
	rt_error_set(error, -EINVAL, "'%s' is no id that a module can have",
		     text);
	rt_error_place(error, "%s", key);
	rt_error_hint(error, "at most %u letters, digits, '-', '_' and '.'",
		      NSM_NAME_BYTES - 1);
	return -EINVAL;
}

/* Digits of a hash of the text: the same in every run. */
static int digits_of(const char *text, char out[static INSTANCE_DIGITS + 1])
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned int size = 0;

	if (!EVP_Digest(text, strlen(text), hash, &size, EVP_sha384(), NULL))
		return -EIO;
	for (unsigned int i = 0; i <= INSTANCE_DIGITS / 2; i++)
		snprintf(out + 2 * i, INSTANCE_DIGITS + 1 - 2 * i, "%02x",
			 hash[i]);
	return 0;
}

static int choose_ids(struct nsm *nsm, const struct nsm_config *config,
		      struct rt_error *error)
{
	char digits[INSTANCE_DIGITS + 1];
	int status = check_name("instance-id", config->instance_id, error);

	if (!status)
		status = check_name("module-id", config->module_id, error);
	if (status)
		return status;
	if (digits_of(nsm->fn->name, digits))
		return rt_error_set(error, -EIO, "libcrypto has no SHA-384");
	if (config->instance_id)
		snprintf(nsm->instance_id, sizeof nsm->instance_id, "%s",
			 config->instance_id);
	else
		snprintf(nsm->instance_id, sizeof nsm->instance_id, "i-%s",
			 digits);
	if (config->module_id)
		snprintf(nsm->module_id, sizeof nsm->module_id, "%s",
			 config->module_id);
	else
		snprintf(nsm->module_id, sizeof nsm->module_id, "%.40s-enc%.*s",
			 nsm->instance_id, MODULE_DIGITS, digits);
	return 0;
}

static int choose_role(struct nsm *nsm, const struct nsm_config *config,
		       struct rt_error *error)
{
	if (!config->role_arn)
		return 0;
	if (strncmp(config->role_arn, "arn:", 4) != 0) {
		rt_error_set(error, -EINVAL, "'%s' is no ARN of a role",
			     config->role_arn);
		rt_error_place(error, "role-arn");
		rt_error_hint(error,
			      "as arn:aws:iam::123456789012:role/Webserver");
		return -EINVAL;
	}
	nsm->role_arn = strdup(config->role_arn);
	return nsm->role_arn ? 0
			     : rt_error_set(error, -ENOMEM,
					    "no memory for a role's ARN");
}

static int read_offset(const char *text, int64_t *out, struct rt_error *error)
{
	char *end;

	*out = 0;
	if (!text)
		return 0;
	errno = 0;
	*out = strtoll(text, &end, 10);
	if (!errno && end != text && !*end && *out <= SEC_ATTEST_OFFSET_S &&
	    *out >= -SEC_ATTEST_OFFSET_S)
		return 0;
	rt_error_set(error, -EINVAL, "'%s' is no offset of the clock", text);
	rt_error_place(error, "clock-offset");
	rt_error_hint(error, "whole seconds, up to %lld either way",
		      (long long)SEC_ATTEST_OFFSET_S);
	return -EINVAL;
}

static int open_signer(struct nsm *nsm, const struct nsm_config *config,
		       struct rt_error *error)
{
	struct sec_attester_config wanted = { .module_id = nsm->module_id,
					      .region = config->region };
	struct sec_attester *attester;
	int status = read_offset(config->clock_offset, &wanted.clock_offset_s,
				 error);

	if (!status)
		status = sec_attester_create(&wanted, &attester, error);
	if (!status)
		status = nsm_signer_create(nsm->fn->loop, attester,
					   nsm_command_signed, nsm,
					   &nsm->signer, error);
	return status;
}

/* ---- create and destroy ---- */

static void release(struct nsm *nsm)
{
	nsm_signer_destroy(&nsm->signer);
	free(nsm->role_arn);
	free(nsm);
}

static void set_up(struct nsm *nsm)
{
	struct pcie_function *fn = nsm->fn;

	nsm->state = fn->device_state;
	fn->faults = (struct rt_fault_set){ .points = nsm_fault_points,
					    .slots = nsm->fault_slots,
					    .count = NSM_FAULTS };
	fn->rules = (struct rt_rule_book){ fn->name, nsm_rules,
					   nsm->rule_records, NSM_RULES };
	fn->identity = (struct pcie_identity){
		.vendor = VIRTIO_PCI_VENDOR,
		.device = NSM_PCI_DEVICE,
		.subsystem_vendor = VIRTIO_PCI_VENDOR,
		.subsystem = NSM_PCI_SUBSYSTEM,
		.class_code = NSM_PCI_CLASS,
	};
	virtio_identity(&fn->identity);
	nsm_serve_init(nsm);
}

static int nsm_create(struct pcie_function *fn, const void *config,
		      struct rt_error *error)
{
	struct nsm *nsm = calloc(1, sizeof *nsm);
	int status;

	if (!nsm)
		return rt_error_set(error, -ENOMEM, "no memory for an NSM");
	nsm->fn = fn;
	status = choose_ids(nsm, config, error);
	if (!status)
		status = choose_role(nsm, config, error);
	if (!status)
		status = open_signer(nsm, config, error);
	if (status) {
		release(nsm);
		return status;
	}
	fn->device = nsm;
	set_up(nsm);
	rt_log_info(fn->name, "Nitro Secure Module %s", nsm->module_id);
	return 0;
}

static void nsm_destroy(struct pcie_function *fn)
{
	struct nsm *nsm = nsm_of(fn);

	nsm_serve_stop(nsm);
	release(nsm);
	fn->device = NULL;
}

/* ---- slots ---- */

static uint64_t nsm_bar_read(struct pcie_function *fn, unsigned int bar,
			     uint64_t offset, unsigned int size)
{
	return bar == NSM_BAR
		       ? virtio_bar_read(&nsm_of(fn)->virtio, offset, size)
		       : 0;
}

static void nsm_bar_write(struct pcie_function *fn, unsigned int bar,
			  uint64_t offset, unsigned int size, uint64_t value)
{
	if (bar == NSM_BAR)
		virtio_bar_write(&nsm_of(fn)->virtio, offset, size, value);
}

static void nsm_vendor_read(struct pcie_function *fn, unsigned int which,
			    uint8_t *bytes, unsigned int first,
			    unsigned int size)
{
	virtio_window_read(&nsm_of(fn)->virtio, which, bytes, first, size);
}

static void nsm_vendor_wrote(struct pcie_function *fn, unsigned int which,
			     uint8_t *bytes, unsigned int first,
			     unsigned int size)
{
	virtio_window_wrote(&nsm_of(fn)->virtio, which, bytes, first, size);
}

static void nsm_interrupt_mode_changed(struct pcie_function *fn)
{
	virtio_interrupt_mode_changed(&nsm_of(fn)->virtio);
}

static void nsm_quiesce(struct pcie_function *fn)
{
	nsm_serve_stop(nsm_of(fn));
	pcie_function_quiesced(fn);
}

/* Which resets are an instance's beginning: see pcr.c. */
static bool starts_instance(enum pcie_reset_reason why)
{
	return why == PCIE_RESET_POWER_ON || why == PCIE_RESET_BUS ||
	       why == PCIE_RESET_DETACH;
}

static void nsm_reset(struct pcie_function *fn, enum pcie_reset_reason why)
{
	struct nsm *nsm = nsm_of(fn);

	virtio_reset(&nsm->virtio);
	if (!starts_instance(why))
		return;
	trace_nsm_power_on(why);
	nsm_pcrs_start(nsm);
}

static int nsm_resume(struct pcie_function *fn)
{
	struct nsm *nsm = nsm_of(fn);

	if (!virtio_is_sane(&nsm->virtio) || nsm->state->is_answered > 1 ||
	    nsm->state->response_bytes > NSM_RESPONSE_BYTES)
		return -EINVAL;
	virtio_resume(&nsm->virtio);
	return 0;
}

const struct pcie_function_type nsm_function = {
	.name = "nsm",
	.summary = "A Nitro Secure Module: measurements, attestation, "
		   "random numbers.",
	.options = nsm_options,
	.config_size = sizeof(struct nsm_config),
	.state_size = sizeof(struct nsm_state),
	.counters = nsm_counter_names,
	.counter_count = NSM_COUNTERS,
	.regs = virtio_registers,
	.reg_count = VIRTIO_REGISTERS,
	.create = nsm_create,
	.destroy = nsm_destroy,
	.bar_read = nsm_bar_read,
	.bar_write = nsm_bar_write,
	.vendor_read = nsm_vendor_read,
	.vendor_wrote = nsm_vendor_wrote,
	.interrupt_mode_changed = nsm_interrupt_mode_changed,
	.quiesce = nsm_quiesce,
	.reset = nsm_reset,
	.resume = nsm_resume,
	.describe = nsm_describe,
};
