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
#include "ebs-nvme/encryption.h"
#include "ebs-nvme/trace.h"
#include "ebs-nvme/volume/crypt.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "pcie-model/regs.h"

/* ---- create and destroy ---- */

/* Shadow doorbells need no mapping, and can sleep without a look. */
static bool wants_mapped_doorbells(const struct ebs_profile *p,
				   unsigned int choice)
{
	return choice == EBS_DOORBELLS_MAPPED ||
	       (choice == EBS_DOORBELLS_AUTO && !p->has_shadow_doorbells);
}

static void fill_bars(struct pcie_identity *id, const struct ebs_profile *p,
		      bool is_metal, bool has_mapped_doorbells)
{
	id->bars[0] = (struct pcie_bar){
		.size = 16384,
		.is_64bit = is_metal || p->has_wide_bar,
		.mapped_offset = has_mapped_doorbells ? NVME_REG_DOORBELLS : 0,
		.mapped_size = has_mapped_doorbells ? NVME_PAGE_BYTES : 0,
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
	fill_bars(id, p, is_metal,
		  wants_mapped_doorbells(p, config->doorbells));
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
	uint32_t entries = ebs_entries_of_choice(config->queue_entries);

	c->granted = granted_pairs(c->profile, config->vcpus);
	c->pairs = c->granted < UEFI_PAIRS ? UEFI_PAIRS : c->granted;
	c->entries = entries ? entries : c->profile->queue_entries;
	c->polling = config->polling;
	c->state = c->fn->device_state;
	c->created_ns = rt_loop_now_ns(c->fn->loop);
	c->fn->faults = (struct rt_fault_set){ .points = ebs_fault_points,
					       .slots = c->fault_slots,
					       .count = EBS_FAULTS };
	c->fn->rules = (struct rt_rule_book){ c->fn->name, ebs_rules,
					      c->rule_records, EBS_RULES };
	ebs_controller_init(c);
	ebs_lanes_init(c, config->may_spread);
	ebs_buffers_init(c);
}

static void release(struct ebs_controller *c)
{
	ebs_requests_destroy(c);
	ebs_buffers_destroy(c);
	if (c->volume)
		ebs_volume_close(&c->volume);
	ebs_encryption_close(c);
	free(c);
}

static int open_parts(struct ebs_controller *c, const struct ebs_config *config,
		      struct rt_error *error)
{
	struct ebs_volume_config volume = config->volume;
	int status =
		ebs_identity_make(c->profile, c->fn->name, config->volume_id,
				  config->device_name, &c->identity, error);

	if (status)
		return status;
	if (ebs_requests_create(c))
		return rt_error_set(error, -ENOMEM, "no memory for commands");
	status = ebs_encryption_open(c, &volume, config->volume_id, error);
	if (!status)
		status = ebs_volume_open(c->fn->loop, &volume, &c->volume,
					 error);
	return status ? status : ebs_encryption_prepare(c, error);
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
	ebs_turns_start(c);
	rt_log_info(fn->name, "%s, %s, %llu MiB%s%s", c->identity.serial,
		    c->profile->name,
		    (unsigned long long)(c->volume->size >> 20),
		    c->volume->is_read_only ? ", read-only" : "",
		    c->volume->crypt ? ", encrypted" : "");
	return 0;
}

static void ebs_destroy(struct pcie_function *fn)
{
	struct ebs_controller *c = ebs_controller_of(fn);

	rt_timer_stop(fn->loop, &c->mute_timer);
	ebs_turns_stop(c);
	ebs_lanes_end(c);
	release(c);
	fn->device = NULL;
}

static int ebs_attach(struct pcie_function *fn, struct rt_error *error)
{
	return ebs_encryption_unlock(ebs_controller_of(fn), error);
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

static void registers_write(struct ebs_controller *c, uint64_t offset,
			    unsigned int size, uint64_t value)
{
	ebs_hold(c);
	pcie_regs_write(c->fn, ebs_registers, EBS_REGISTERS,
			c->state->registers, offset, size, value);
	ebs_let(c);
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
		registers_write(c, offset, size, value);
}

static void ebs_catch_up(struct pcie_function *fn)
{
	struct ebs_controller *c = ebs_controller_of(fn);

	ebs_queues_locate(&c->home);
	(void)ebs_doors_look(&c->home);
	if (c->lane_count > 1 && pcie_bar_bytes(fn, 0))
		ebs_lanes_catch_up(c);
}

/* ---- stopping and going on ---- */

/* Also before it is made, and after its end. */
static void ebs_slot_hold(struct pcie_function *fn)
{
	if (fn->device)
		ebs_hold(ebs_controller_of(fn));
}

static void ebs_slot_let(struct pcie_function *fn)
{
	if (fn->device)
		ebs_let(ebs_controller_of(fn));
}

static void ebs_quiesce(struct pcie_function *fn)
{
	struct ebs_controller *c = ebs_controller_of(fn);

	c->is_quiescing = true;
	ebs_doors_absorb(c);
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
		rt_counter_add(&c->home.counters.unsafe_shutdowns, 1);
	if (why == PCIE_RESET_POWER_ON)
		rt_counter_add(&c->home.counters.power_cycles, 1);
	if (why == PCIE_RESET_DETACH)
		ebs_encryption_lock(c);
	/* A paused function stays so until it is told to go on. */
	c->is_quiescing = fn->is_paused || fn->wants_pause;
	ebs_controller_power_on(c);
}

/* What a copied state must fulfil for us to index by it. */
static bool is_sane_queue(const struct ebs_controller *c, unsigned int qid)
{
	const struct ebs_state *state = c->state;
	const struct ebs_sq_state *sq = &state->sq[qid];
	const struct ebs_cq_state *cq = &state->cq[qid];
	bool is_good_sq = !sq->size ||
			  (sq->head < sq->size && sq->tail < sq->size &&
			   sq->cqid < EBS_QUEUES && state->cq[sq->cqid].size);
	bool is_good_cq =
		!cq->size || (cq->head < cq->size && cq->tail < cq->size &&
			      cq->vector < c->profile->msix_vectors);

	return is_good_sq && is_good_cq;
}

static bool is_sane_unfinished(const struct ebs_state *state,
			       const struct ebs_unfinished *u)
{
	if (u->sqid >= EBS_QUEUES || !state->sq[u->sqid].size ||
	    u->cqid != state->sq[u->sqid].cqid || u->kind > EBS_POST_AGAIN)
		return false;
	return u->kind != EBS_POST_AGAIN || u->slot < state->cq[u->cqid].size;
}

static bool is_sane(const struct ebs_controller *c)
{
	const struct ebs_state *state = c->state;
	bool is_good = state->unfinished_count <= c->request_count &&
		       state->aer_count <= EBS_MAX_AERS &&
		       state->event_count <= EBS_MAX_EVENTS &&
		       state->error_next < EBS_MAX_ERRORS &&
		       state->shutdown <= EBS_SHUTDOWN_COMPLETE &&
		       (state->shadow_doorbells | state->event_indexes) %
				       NVME_PAGE_BYTES ==
			       0;

	for (unsigned int i = 0; i < EBS_QUEUES; i++)
		is_good = is_good && is_sane_queue(c, i);
	for (uint32_t i = 0; is_good && i < state->unfinished_count; i++)
		is_good = is_sane_unfinished(state, &state->unfinished[i]);
	return is_good;
}

static int ebs_resume(struct pcie_function *fn)
{
	struct ebs_controller *c = ebs_controller_of(fn);
	struct ebs_state *state = c->state;

	if (ebs_active_count(c) || !is_sane(c))
		return -EINVAL;
	c->is_quiescing = false;
	ebs_counters_set(c, &state->counters);
	ebs_lanes_restore(c);
	for (unsigned int i = 0; i < EBS_QUEUES; i++)
		c->sq[i].fetch = state->sq[i].head;
	ebs_doors_restore(c);
	if (state->shutdown == EBS_SHUTDOWN_FLUSHING)
		state->shutdown = EBS_SHUTDOWN_DRAINING;
	ebs_requests_resume(c);
	ebs_controller_settle(c);
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

static unsigned int count_threads(const struct ebs_controller *c)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < c->lane_count; i++)
		count += c->lanes[i]->queue_count != 0;
	return count;
}

static const char *doorbells_come(const struct ebs_controller *c)
{
	if (ebs_shadow_is_on(c))
		return "shadow";
	return pcie_bar_bytes(c->fn, 0) ? "mapped" : "trapped";
}

static void describe_key(const struct ebs_controller *c, char *text,
			 size_t size)
{
	const struct ebs_crypt *crypt = c->volume->crypt;
	const char *name = ebs_encryption_wrapping(c);

	snprintf(text, size, "\"encrypted\": false");
	if (crypt)
		snprintf(text, size,
			 "\"encrypted\": true, \"kms_key_id\": %s%s%s, "
			 "\"key_loaded\": %s, \"cipher\": \"%s\"",
			 name ? "\"" : "", name ? name : "null",
			 name ? "\"" : "",
			 ebs_crypt_is_open(crypt) ? "true" : "false",
			 ebs_crypt_method(crypt));
}

/* Everything in it is of characters that JSON takes as they are, but for the
 * device name, whose quotes and backslashes are left out. */
static size_t ebs_describe(struct pcie_function *fn, char *text, size_t size)
{
	struct ebs_controller *c = ebs_controller_of(fn);
	char device[sizeof c->identity.device_name], key[320];
	size_t length = 0;
	unsigned int active, threads;

	ebs_hold(c);
	active = ebs_active_count(c);
	threads = count_threads(c);
	ebs_let(c);
	for (const char *p = c->identity.device_name; *p; p++)
		if (*p != '"' && *p != '\\')
			device[length++] = *p;
	device[length] = '\0';
	describe_key(c, key, sizeof key);
	return (size_t)snprintf(
		text, size,
		"\"profile\": \"%s\", \"volume_id\": \"vol-%s\", "
		"\"serial\": \"%s\", \"device_name\": \"%s\", "
		"\"engine\": \"%s\", \"bytes\": %llu, \"read_only\": %s, "
		"\"controller\": \"%s\", \"io_queues\": %u, "
		"\"queue_pairs\": %u, \"threads\": %u, "
		"\"doorbells\": \"%s\", \"in_flight\": %u, %s",
		c->profile->name, c->identity.serial + 3, c->identity.serial,
		device, c->volume->engine->name,
		(unsigned long long)c->volume->size,
		c->volume->is_read_only ? "true" : "false", condition(c),
		count_queues(c), c->granted, threads, doorbells_come(c), active,
		key);
}

static uint64_t ebs_counter(const struct pcie_function *fn,
			    const struct rt_counter_name *name)
{
	const struct ebs_controller *c = ebs_controller_of(fn);
	uint64_t sum = 0;

	for (unsigned int i = 0; i < c->lane_count; i++)
		sum += rt_counter_read(
			(const void *)((const char *)&c->lanes[i]->counters +
				       name->offset));
	return sum;
}

const struct pcie_function_type ebs_function = {
	.name = "ebs",
	.summary = "An EBS volume or instance-store disk, as an NVMe "
		   "controller.",
	.options = ebs_options,
	.config_size = sizeof(struct ebs_config),
	.state_size = sizeof(struct ebs_state),
	.counters = ebs_counter_names,
	.counter_count = EBS_COUNTERS,
	.regs = ebs_registers,
	.reg_count = EBS_REGISTERS,
	.create = ebs_create,
	.destroy = ebs_destroy,
	.attach = ebs_attach,
	.bar_read = ebs_bar_read,
	.bar_write = ebs_bar_write,
	.catch_up = ebs_catch_up,
	.quiesce = ebs_quiesce,
	.reset = ebs_reset,
	.resume = ebs_resume,
	.interrupt_mode_changed = ebs_interrupt_mode_changed,
	.hold = ebs_slot_hold,
	.let = ebs_slot_let,
	.counter = ebs_counter,
	.describe = ebs_describe,
};
