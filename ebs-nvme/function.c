/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The volume as a PCIe function: its configuration, its slots, its life.  On
 * the function's loop thread.  Owns the controller, and that owns the rest.
 */
#include "ebs-nvme/function.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebs-nvme/controller.h"
#include "ebs-nvme/trace.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/option.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "pcie-model/regs.h"

/* ---- what a user can say ---- */

static const char *const entries_choices[] = { "profile", "32",  "64",
					       "128",     "256", NULL };
static const uint32_t entries_values[] = { 0, 32, 64, 128, 256 };

#define VOLUME(member) offsetof(struct ebs_volume_config, member)
#define CONFIG(member) offsetof(struct ebs_config, member)

static const struct rt_option volume_options[] = {
	{ .name = "file",
	  .kind = RT_OPTION_PATH,
	  .offset = VOLUME(file),
	  .sentence = "File or block device that holds the volume's bytes." },
	{ .name = "memory",
	  .kind = RT_OPTION_SIZE,
	  .offset = VOLUME(memory_size),
	  .sentence = "Size of a volume in memory that ends with the card." },
	{ .name = "null",
	  .kind = RT_OPTION_SIZE,
	  .offset = VOLUME(null_size),
	  .sentence = "Size of a volume that reads as zeroes and forgets." },
	{ .name = "read-only",
	  .kind = RT_OPTION_BOOL,
	  .offset = VOLUME(is_read_only),
	  .fallback = "false",
	  .sentence = "Whether the guest may not write to the volume." },
	{ 0 },
};

static const struct rt_option options[] = {
	{ .name = "name",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(name),
	  .sentence = "The function's name on this card." },
	{ .name = "profile",
	  .kind = RT_OPTION_CHOICE,
	  .offset = CONFIG(profile),
	  .choices = ebs_profile_names,
	  .fallback = "ebs-2",
	  .sentence = "Generation of EBS (ebs-*) or instance-store (is-*) "
		      "controller to be." },
	{ .name = "volume-id",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(volume_id),
	  .sentence = "Volume id, as vol-0123456789abcdef0; the default "
		      "follows from the name." },
	{ .name = "device-name",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(device_name),
	  .sentence = "Block device mapping name that the guest is told; the "
		      "default is sda1 for EBS." },
	{ .name = "vcpus",
	  .kind = RT_OPTION_NUMBER,
	  .offset = CONFIG(vcpus),
	  .fallback = "2",
	  .min = 1,
	  .max = 1024,
	  .sentence =
		  "The guest's processors; no more I/O queues are granted." },
	{ .name = "queue-entries",
	  .kind = RT_OPTION_CHOICE,
	  .offset = CONFIG(queue_entries),
	  .choices = entries_choices,
	  .fallback = "profile",
	  .sentence = "Entries of an I/O queue, which grow with the size of "
		      "EC2 instances." },
	{ .name = "volume",
	  .kind = RT_OPTION_OBJECT,
	  .offset = CONFIG(volume),
	  .fields = volume_options,
	  .is_required = true,
	  .sentence = "Where the bytes are: one of file, memory and null." },
	{ .name = "metal",
	  .kind = RT_OPTION_BOOL,
	  .offset = CONFIG(is_metal),
	  .fallback = "false",
	  .sentence = "Whether to look as on a bare-metal instance." },
	{ .name = "pm",
	  .kind = RT_OPTION_BOOL,
	  .offset = CONFIG(has_pm),
	  .fallback = "false",
	  .sentence = "Whether to offer power management, as on Graviton." },
	{ .name = "aer",
	  .kind = RT_OPTION_BOOL,
	  .offset = CONFIG(has_aer),
	  .fallback = "false",
	  .sentence = "Whether to offer advanced error reporting." },
	{ .name = "serial-number",
	  .kind = RT_OPTION_BOOL,
	  .offset = CONFIG(has_serial),
	  .fallback = "false",
	  .sentence = "Whether to offer the PCIe serial number, made from the "
		      "volume id." },
	{ 0 },
};

/* ---- tables for others ---- */

static const struct rt_fault_point fault_points[EBS_FAULTS] = {
#define FAULT(room, name, sentence, value) { #name, sentence, value },
#include "ebs-nvme/fault.def"
#undef FAULT
};

static const struct rt_rule rules[EBS_RULES] = {
#define RULE(name, clause, sentence) { "ebs." #name, clause, sentence },
#include "ebs-nvme/rules.def"
#undef RULE
};

#define COUNTER(member) offsetof(struct ebs_controller, counters.member)

static const struct rt_counter_name counters[] = {
	{ "read_ops", "Read commands completed.", COUNTER(read_ops) },
	{ "write_ops", "Write commands completed.", COUNTER(write_ops) },
	{ "flush_ops", "Flush commands completed.", COUNTER(flush_ops) },
	{ "discard_ops", "Deallocations completed.", COUNTER(discard_ops) },
	{ "read_bytes", "Bytes read.", COUNTER(read_bytes) },
	{ "write_bytes", "Bytes written.", COUNTER(write_bytes) },
	{ "read_ns", "Time spent on reads.", COUNTER(read_ns) },
	{ "write_ns", "Time spent on writes.", COUNTER(write_ns) },
	{ "admin_commands", "Admin commands begun.", COUNTER(admin_commands) },
	{ "failed_commands", "Commands that ended with an error.",
	  COUNTER(failed_commands) },
	{ "aborted_commands", "Commands aborted, or ended with their queue.",
	  COUNTER(aborted_commands) },
	{ "read_errors", "Reads that the storage failed.",
	  COUNTER(read_errors) },
	{ "write_errors", "Writes and flushes that the storage failed.",
	  COUNTER(write_errors) },
	{ "bounced", "Commands whose data went through a buffer.",
	  COUNTER(bounced) },
	{ "interrupts", "Interrupt messages sent.", COUNTER(interrupts) },
	{ "resets", "Times the guest disabled the controller.",
	  COUNTER(resets) },
	{ "power_cycles", "Times the function was powered on.",
	  COUNTER(power_cycles) },
	{ "unsafe_shutdowns", "Times the guest vanished without a shutdown.",
	  COUNTER(unsafe_shutdowns) },
};

/* ---- create and destroy ---- */

static void fill_bars(struct pcie_identity *id, const struct ebs_profile *p,
		      bool is_metal)
{
	id->bars[0] = (struct pcie_bar){
		.size = 16384,
		.is_64bit = is_metal || p->has_wide_bar,
	};
	if (p->msix_bar)
		id->bars[p->msix_bar] = (struct pcie_bar){
			.size = 8192,
			.is_64bit = id->bars[0].is_64bit,
			.is_prefetchable = true,
		};
}

static void fill_pci_identity(struct pcie_identity *id,
			      const struct ebs_controller *c,
			      const struct ebs_config *config)
{
	const struct ebs_profile *p = c->profile;
	bool is_metal = config->is_metal;

	*id = (struct pcie_identity){
		.vendor = EBS_PCI_VENDOR,
		.device = is_metal ? p->device_metal : p->device,
		.subsystem_vendor = EBS_PCI_VENDOR,
		.subsystem = is_metal ? p->subsystem_metal : 0,
		.class_code = EBS_PCI_CLASS,
		.has_intx = true,
		.has_pm = is_metal || config->has_pm,
		.has_aer = config->has_aer,
		.msix_vectors = p->msix_vectors,
		.msix_bar = p->msix_bar,
		.msix_table_offset = p->msix_table_offset,
		.msix_pba_offset = p->msix_pba_offset,
		.link_speed = is_metal ? 3 : 0,
		.link_width = is_metal ? 4 : 0,
	};
	if (config->has_serial)
		id->serial = strtoull(c->identity.serial + 4, NULL, 16);
	fill_bars(id, p, is_metal);
}

/* UEFI's driver makes two pairs without asking how many it may. */
#define UEFI_PAIRS 2

static uint16_t granted_pairs(const struct ebs_profile *p, uint64_t vcpus)
{
	if (!vcpus)
		vcpus = 1;
	return vcpus < p->queue_pairs ? (uint16_t)vcpus : p->queue_pairs;
}

static void set_up(struct ebs_controller *c, const struct ebs_config *config)
{
	uint32_t entries = config->queue_entries < RT_COUNT(entries_values)
				   ? entries_values[config->queue_entries]
				   : 0;

	c->granted = granted_pairs(c->profile, config->vcpus);
	c->pairs = c->granted < UEFI_PAIRS ? UEFI_PAIRS : c->granted;
	c->entries = entries ? entries : c->profile->queue_entries;
	c->state = c->fn->device_state;
	c->created_ns = rt_loop_now_ns(c->fn->loop);
	c->fn->faults = (struct rt_fault_set){ fault_points, c->fault_slots,
					       EBS_FAULTS };
	c->fn->rules = (struct rt_rule_book){ c->fn->name, rules,
					      c->rule_records, EBS_RULES };
	ebs_interrupt_init(c);
	ebs_buffers_init(c);
}

static void release(struct ebs_controller *c)
{
	ebs_turn_destroy(c);
	ebs_requests_destroy(c);
	ebs_buffers_destroy(c);
	if (c->volume)
		ebs_volume_close(&c->volume);
	free(c);
}

static int open_parts(struct ebs_controller *c, const struct ebs_config *config,
		      struct rt_error *error)
{
	int status =
		ebs_identity_make(c->profile, c->fn->name, config->volume_id,
				  config->device_name, &c->identity, error);

	if (status)
		return status;
	if (ebs_turn_create(c) || ebs_requests_create(c))
		return rt_error_set(error, -ENOMEM, "no memory for commands");
	return ebs_volume_open(c->fn->loop, &config->volume, &c->volume, error);
}

static int ebs_create(struct pcie_function *fn, const void *config_bytes,
		      struct rt_error *error)
{
	const struct ebs_config *config = config_bytes;
	struct ebs_controller *c = calloc(1, sizeof *c);
	int status;

	if (!c)
		return rt_error_set(error, -ENOMEM,
				    "no memory for a controller");
	c->fn = fn;
	c->profile = &ebs_profiles[config->profile % EBS_PROFILES];
	set_up(c, config);
	status = open_parts(c, config, error);
	if (status) {
		release(c);
		return status;
	}
	fill_pci_identity(&fn->identity, c, config);
	fn->device = c;
	rt_log_info(fn->name, "%s, %s, %llu MiB%s", c->identity.serial,
		    c->profile->name,
		    (unsigned long long)(c->volume->size >> 20),
		    c->volume->is_read_only ? ", read-only" : "");
	return 0;
}

static void ebs_destroy(struct pcie_function *fn)
{
	struct ebs_controller *c = ebs_controller_of(fn);

	ebs_interrupt_clear(c);
	release(c);
	fn->device = NULL;
}

/* ---- registers ---- */

static uint64_t ebs_bar_read(struct pcie_function *fn, unsigned int bar,
			     uint64_t offset, unsigned int size)
{
	struct ebs_controller *c = ebs_controller_of(fn);

	if (bar || offset >= EBS_REGISTER_BYTES)
		return 0;
	return pcie_regs_read(ebs_registers, EBS_REGISTERS, c->state->registers,
			      offset, size);
}

static void doorbells_write(struct ebs_controller *c, uint64_t offset,
			    unsigned int size, uint64_t value)
{
	ebs_doorbell_write(c, offset, (uint32_t)value);
	if (size == 8)
		ebs_doorbell_write(c, offset + 4, (uint32_t)(value >> 32));
}

static void ebs_bar_write(struct pcie_function *fn, unsigned int bar,
			  uint64_t offset, unsigned int size, uint64_t value)
{
	struct ebs_controller *c = ebs_controller_of(fn);

	if (bar)
		return;
	trace_ebs_register_write(offset, value);
	if ((size != 4 && size != 8) || offset % 4)
		rt_rule_broken(&fn->rules, EBS_RULE_REGISTER_ACCESS, offset);
	else if (offset >= NVME_REG_DOORBELLS)
		doorbells_write(c, offset, size, value);
	else if (offset < EBS_REGISTER_BYTES)
		pcie_regs_write(fn, ebs_registers, EBS_REGISTERS,
				c->state->registers, offset, size, value);
}

/* ---- stopping and going on ---- */

static void ebs_quiesce(struct pcie_function *fn)
{
	struct ebs_controller *c = ebs_controller_of(fn);

	c->is_quiescing = true;
	ebs_interrupt_flush(c);
	ebs_requests_release(c);
	ebs_controller_settle(c);
}

/* The guest's machine lost its power while the guest used the volume. */
static bool is_unsafe(const struct ebs_controller *c,
		      enum pcie_reset_reason why)
{
	bool is_power_loss = why == PCIE_RESET_BUS || why == PCIE_RESET_DETACH;

	return is_power_loss &&
	       bits_get(NVME_CSTS_RDY, ebs_register_get(c, NVME_REG_CSTS)) &&
	       c->state->shutdown != EBS_SHUTDOWN_COMPLETE;
}

static void ebs_reset(struct pcie_function *fn, enum pcie_reset_reason why)
{
	struct ebs_controller *c = ebs_controller_of(fn);

	trace_ebs_reset(why);
	if (is_unsafe(c, why))
		rt_counter_add(&c->counters.unsafe_shutdowns, 1);
	if (why == PCIE_RESET_POWER_ON)
		rt_counter_add(&c->counters.power_cycles, 1);
	/* A paused function stays so until it is told to go on. */
	c->is_quiescing = fn->is_paused || fn->wants_pause;
	ebs_controller_power_on(c);
}

/* What a copied state must fulfil for us to index by it. */
static bool is_sane(const struct ebs_controller *c)
{
	const struct ebs_state *state = c->state;
	bool is_good = state->unfinished_count <= c->free_count &&
		       state->aer_count <= EBS_MAX_AERS &&
		       state->event_count <= EBS_MAX_EVENTS &&
		       state->error_next < EBS_MAX_ERRORS &&
		       state->shutdown <= EBS_SHUTDOWN_COMPLETE;

	for (unsigned int i = 0; i < EBS_QUEUES; i++) {
		const struct ebs_sq_state *sq = &state->sq[i];
		const struct ebs_cq_state *cq = &state->cq[i];

		is_good &= !sq->size ||
			   (sq->head < sq->size && sq->tail < sq->size &&
			    sq->cqid < EBS_QUEUES && state->cq[sq->cqid].size);
		is_good &= !cq->size ||
			   (cq->head < cq->size && cq->tail < cq->size &&
			    cq->vector < c->profile->msix_vectors);
	}
	for (uint32_t i = 0; is_good && i < state->unfinished_count; i++) {
		const struct ebs_unfinished *u = &state->unfinished[i];

		is_good = u->sqid < EBS_QUEUES && state->sq[u->sqid].size &&
			  u->kind <= EBS_POST_AGAIN &&
			  u->cqid == state->sq[u->sqid].cqid &&
			  u->slot < state->cq[u->cqid].size;
	}
	return is_good;
}

static int ebs_resume(struct pcie_function *fn)
{
	struct ebs_controller *c = ebs_controller_of(fn);
	struct ebs_state *state = c->state;

	if (c->active_count || !is_sane(c))
		return -EINVAL;
	c->is_quiescing = false;
	c->counters = state->counters;
	for (unsigned int i = 0; i < EBS_QUEUES; i++)
		c->sq[i].fetch = state->sq[i].head;
	if (state->shutdown == EBS_SHUTDOWN_FLUSHING)
		state->shutdown = EBS_SHUTDOWN_DRAINING;
	ebs_requests_resume(c);
	ebs_controller_settle(c);
	ebs_kick(c);
	return 0;
}

static void ebs_interrupt_mode_changed(struct pcie_function *fn)
{
	ebs_interrupt_update_pin(ebs_controller_of(fn));
}

void ebs_function_resized(struct pcie_function *fn)
{
	ebs_event_namespace_changed(ebs_controller_of(fn));
}

/* ---- status ---- */

static const char *condition(const struct ebs_controller *c)
{
	uint32_t csts = ebs_register_get(c, NVME_REG_CSTS);

	if (bits_get(NVME_CSTS_CFS, csts))
		return "failed";
	if (c->state->is_disabling)
		return "disabling";
	if (c->state->shutdown == EBS_SHUTDOWN_COMPLETE)
		return "shut down";
	if (c->state->shutdown != EBS_SHUTDOWN_NONE)
		return "shutting down";
	return bits_get(NVME_CSTS_RDY, csts) ? "ready" : "disabled";
}

static unsigned int count_queues(const struct ebs_controller *c)
{
	unsigned int count = 0;

	for (unsigned int i = 1; i < EBS_QUEUES; i++)
		count += c->state->sq[i].size != 0;
	return count;
}

/* Everything in it is of characters that JSON takes as they are, but for the
 * device name, whose quotes and backslashes are left out. */
static size_t ebs_describe(struct pcie_function *fn, char *text, size_t size)
{
	const struct ebs_controller *c = ebs_controller_of(fn);
	char device[sizeof c->identity.device_name];
	size_t length = 0;

	for (const char *p = c->identity.device_name; *p; p++)
		if (*p != '"' && *p != '\\')
			device[length++] = *p;
	device[length] = '\0';
	return (size_t)snprintf(
		text, size,
		"\"profile\": \"%s\", \"volume_id\": \"vol-%s\", "
		"\"serial\": \"%s\", \"device_name\": \"%s\", "
		"\"engine\": \"%s\", \"bytes\": %llu, \"read_only\": %s, "
		"\"controller\": \"%s\", \"io_queues\": %u, "
		"\"queue_pairs\": %u, \"in_flight\": %u",
		c->profile->name, c->identity.serial + 3, c->identity.serial,
		device, c->volume->engine->name,
		(unsigned long long)c->volume->size,
		c->volume->is_read_only ? "true" : "false", condition(c),
		count_queues(c), c->granted, c->active_count);
}

const struct pcie_function_type ebs_function = {
	.name = "ebs",
	.summary = "An EBS volume or instance-store disk, as an NVMe "
		   "controller.",
	.options = options,
	.config_size = sizeof(struct ebs_config),
	.state_size = sizeof(struct ebs_state),
	.counters = counters,
	.counter_count = RT_COUNT(counters),
	.regs = ebs_registers,
	.reg_count = EBS_REGISTERS,
	.create = ebs_create,
	.destroy = ebs_destroy,
	.bar_read = ebs_bar_read,
	.bar_write = ebs_bar_write,
	.quiesce = ebs_quiesce,
	.reset = ebs_reset,
	.resume = ebs_resume,
	.interrupt_mode_changed = ebs_interrupt_mode_changed,
	.describe = ebs_describe,
};
