/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The NIC as a PCIe function: its configuration, its slots, its life.  On the
 * function's loop thread.  Owns the adapter, and that owns the rest.
 */
#include "ena/function.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ena/control.h"
#include "ena/status.h"
#include "ena/trace.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "pcie-model/regs.h"

#define MSIX_BAR       4u
#define MSIX_BAR_BYTES 0x10000u
#define MSIX_PBA       0x8000u

/* ---- what the configuration says ---- */

static bool parse_mac(const char *text, uint8_t mac[ENA_ETHER_ADDR_BYTES])
{
	unsigned int bytes[ENA_ETHER_ADDR_BYTES];
	int end = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1],
		   &bytes[2], &bytes[3], &bytes[4], &bytes[5], &end) != 6 ||
	    text[end])
		return false;
	for (unsigned int i = 0; i < ENA_ETHER_ADDR_BYTES; i++)
		mac[i] = (uint8_t)bytes[i];
	return true;
}

/* FNV-1a: the same name has the same address in every run. */
static void make_mac(const char *name, uint8_t mac[ENA_ETHER_ADDR_BYTES])
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *p = name; *p; p++)
		hash = (hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	mac[0] = 0x02;
	for (unsigned int i = 1; i < ENA_ETHER_ADDR_BYTES; i++)
		mac[i] = (uint8_t)(hash >> (8 * i));
}

static int choose_mac(struct ena_nic *nic, const struct ena_config *config,
		      struct rt_error *error)
{
	static const uint8_t zero[ENA_ETHER_ADDR_BYTES];

	make_mac(nic->fn->name, nic->mac);
	if (!config->mac)
		return 0;
	if (parse_mac(config->mac, nic->mac) && !(nic->mac[0] & 1) &&
	    memcmp(nic->mac, zero, sizeof zero) != 0)
		return 0;
	rt_error_set(error, -EINVAL,
		     "'%s' is no MAC address that a NIC can have", config->mac);
	rt_error_place(error, "mac");
	rt_error_hint(error, "as 02:00:00:00:00:01; the first byte is even");
	return -EINVAL;
}

static void choose_hints(struct ena_nic *nic,
			 const struct ena_hints_config *config)
{
	struct ena_admin_hw_hints *hints = &nic->hints;

	hints->mmio_read_timeout = le16_put((uint16_t)config->mmio_read);
	hints->driver_watchdog_timeout = le16_put((uint16_t)config->keep_alive);
	hints->missing_tx_completion_timeout =
		le16_put((uint16_t)config->missing_tx);
	hints->missed_tx_completion_count_threshold_to_reset =
		le16_put((uint16_t)config->missing_tx_count);
	hints->admin_completion_tx_timeout = le16_put((uint16_t)config->admin);
	hints->netdev_wd_timeout = le16_put((uint16_t)config->netdev);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void set_up(struct ena_nic *nic, const struct ena_config *config)
{
	struct pcie_function *fn = nic->fn;

	nic->pairs = (uint16_t)least(config->pairs ? config->pairs : 1,
				     nic->profile->pairs);
	nic->max_mtu = (uint32_t)least(config->mtu ? config->mtu : UINT32_MAX,
				       nic->profile->max_mtu);
	nic->link_mbps = (uint32_t)config->speed;
	nic->llq_bytes = config->has_llq ? nic->profile->llq_bytes : 0;
	nic->polling = config->polling;
	nic->limits_phc = config->limits_phc;
	nic->state = fn->device_state;
	choose_hints(nic, &config->hints);
	for (uint16_t i = 0; i < ENA_QUEUES; i++)
		nic->queues[i].number = i;
	for (uint16_t i = 0; i < ENA_MAX_VECTORS; i++) {
		nic->vectors[i].nic = nic;
		nic->vectors[i].number = i;
	}
	fn->faults = (struct rt_fault_set){ .points = ena_fault_points,
					    .slots = nic->fault_slots,
					    .count = ENA_FAULTS };
	fn->rules = (struct rt_rule_book){ fn->name, ena_rules,
					   nic->rule_records, ENA_RULES };
}

static void fill_pci_identity(struct ena_nic *nic, unsigned int doorbells)
{
	struct pcie_identity *id = &nic->fn->identity;
	bool is_mapped = doorbells != ENA_DOORBELLS_TRAPPED;

	*id = (struct pcie_identity){
		.vendor = ENA_PCI_VENDOR,
		.device = ENA_PCI_DEVICE,
		.subsystem_vendor = ENA_PCI_VENDOR,
		.subsystem = ENA_PCI_DEVICE,
		.class_code = ENA_PCI_CLASS,
		.msix_vectors = (uint16_t)(nic->pairs + 1),
		.msix_bar = MSIX_BAR,
		.msix_pba_offset = MSIX_PBA,
	};
	id->bars[ENA_REGS_BAR] = (struct pcie_bar){
		.size = ENA_BAR0_BYTES,
		.mapped_offset = is_mapped ? ENA_DOORBELLS : 0,
		.mapped_size = is_mapped ? 2 * ENA_DOOR_PAGE_BYTES : 0,
	};
	id->bars[ENA_MEM_BAR] = (struct pcie_bar){
		.size = nic->llq_bytes,
		.is_prefetchable = true,
		.mapped_size = nic->llq_bytes,
	};
	id->bars[MSIX_BAR] = (struct pcie_bar){ .size = MSIX_BAR_BYTES };
}

/* ---- the network ---- */

static int plug_in(struct ena_nic *nic, const struct ena_config *config,
		   struct rt_error *error)
{
	char own[sizeof nic->fn->name + 1];
	int status;

	/* No user's word begins so. */
	snprintf(own, sizeof own, ":%s", nic->fn->name);
	status = ena_switch_get(nic->fn->loop, config->lan ? config->lan : own,
				&nic->lan);
	if (status)
		return rt_error_set(error, status, "no memory for a switch");
	nic->port.type = &ena_nic_port;
	snprintf(nic->port.name, sizeof nic->port.name, "%s", nic->fn->name);
	status = ena_port_plug(&nic->port, nic->lan);
	if (status)
		return rt_error_set(error, status,
				    "its switch has no port left");
	nic->is_plugged = true;
	status = ena_port_own_address(&nic->port, nic->mac);
	if (status)
		return rt_error_set(error, status,
				    "its switch cannot take its address: %s",
				    strerror(-status));
	return 0;
}

static int connect(struct ena_nic *nic, const struct ena_config *config,
		   struct rt_error *error)
{
	struct ena_uplink_config uplink = config->uplink;
	int status = plug_in(nic, config, error);

	memcpy(uplink.address, nic->mac, sizeof uplink.address);
	if (!status)
		status = ena_uplink_open(nic->fn->loop, nic->lan, &uplink,
					 &nic->uplink, error);
	if (!status && config->capture)
		status = ena_port_capture(&nic->port, config->capture, error);
	return status;
}

static void disconnect(struct ena_nic *nic)
{
	if (nic->uplink)
		ena_uplink_close(&nic->uplink);
	if (nic->port.capture)
		ena_port_capture_end(&nic->port);
	if (nic->is_plugged)
		ena_port_unplug(&nic->port);
	if (nic->lan)
		ena_switch_put(&nic->lan);
}

static const char *ena_neighbours(const void *config_bytes)
{
	const struct ena_config *config = config_bytes;

	return config->lan;
}

/* ---- create and destroy ---- */

static void release(struct ena_nic *nic)
{
	disconnect(nic);
	ena_rss_destroy(nic);
	ena_flow_destroy(nic);
	free(nic);
}

static int open_parts(struct ena_nic *nic, const struct ena_config *config,
		      struct rt_error *error)
{
	int status = choose_mac(nic, config, error);

	if (!status && config->lan && config->lan[0] == ':') {
		status = rt_error_set(error, -EINVAL,
				      "a switch's name begins with no colon");
		rt_error_place(error, "switch");
	}
	if (!status && (ena_rss_create(nic) || ena_flow_create(nic)))
		status = rt_error_set(error, -ENOMEM, "no memory for a NIC");
	return status ? status : connect(nic, config, error);
}

static void tell(const struct ena_nic *nic, const struct ena_config *config)
{
	const uint8_t *mac = nic->mac;

	rt_log_info(
		nic->fn->name,
		"%02x:%02x:%02x:%02x:%02x:%02x, %s, %u queue pairs%s%s%s",
		mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
		nic->profile->name, nic->pairs, nic->llq_bytes ? ", LLQ" : "",
		config->lan ? ", switch " : "", config->lan ? config->lan : "");
}

static int ena_create(struct pcie_function *fn, const void *config_bytes,
		      struct rt_error *error)
{
	const struct ena_config *config = config_bytes;
	struct ena_nic *nic = calloc(1, sizeof *nic);
	int status;

	if (!nic)
		return rt_error_set(error, -ENOMEM, "no memory for a NIC");
	nic->fn = fn;
	nic->profile = &ena_profiles[config->profile % ENA_PROFILES];
	set_up(nic, config);
	status = open_parts(nic, config, error);
	if (status) {
		release(nic);
		return status;
	}
	fill_pci_identity(nic, config->doorbells);
	fn->device = nic;
	ena_admin_init(nic);
	ena_aenq_init(nic);
	ena_phc_init(nic);
	ena_path_start(nic);
	tell(nic, config);
	return 0;
}

static void ena_destroy(struct pcie_function *fn)
{
	struct ena_nic *nic = ena_nic_of(fn);

	ena_path_stop(nic);
	ena_admin_pause(nic);
	ena_aenq_pause(nic);
	ena_phc_reset(nic);
	release(nic);
	fn->device = NULL;
}

/* ---- registers ---- */

static uint64_t read_word(struct ena_nic *nic, uint64_t offset)
{
	if (offset == ENA_REGS_DEV_STS)
		return ena_register_read(nic, ENA_REGS_DEV_STS);
	return pcie_regs_read(ena_registers, ENA_REGISTERS,
			      nic->state->registers, offset, 4);
}

static uint64_t ena_bar_read(struct pcie_function *fn, unsigned int bar,
			     uint64_t offset, unsigned int size)
{
	struct ena_nic *nic = ena_nic_of(fn);

	if (bar != ENA_REGS_BAR || offset >= ENA_REGISTER_BYTES)
		return 0;
	if (size == 4 && offset % 4 == 0)
		return read_word(nic, offset);
	return pcie_regs_read(ena_registers, ENA_REGISTERS,
			      nic->state->registers, offset, size);
}

static void write_word(struct ena_nic *nic, uint64_t offset, uint32_t value)
{
	if (offset < ENA_REGISTER_BYTES)
		pcie_regs_write(nic->fn, ena_registers, ENA_REGISTERS,
				nic->state->registers, offset, 4, value);
	else if (offset >= ENA_DOORBELLS &&
		 offset < ENA_DOORBELLS + ENA_DOOR_PAGE_BYTES)
		ena_door_write(nic, offset, value);
	else if (offset >= ENA_UNMASKS &&
		 offset < ENA_UNMASKS + ENA_DOOR_PAGE_BYTES)
		ena_unmask_write(nic, offset, value);
}

static void ena_bar_write(struct pcie_function *fn, unsigned int bar,
			  uint64_t offset, unsigned int size, uint64_t value)
{
	struct ena_nic *nic = ena_nic_of(fn);

	if (bar != ENA_REGS_BAR)
		return;
	trace_ena_register_write(offset, value);
	if ((size != 4 && size != 8) || offset % 4) {
		rt_rule_broken(&fn->rules, ENA_RULE_REGISTER_ACCESS, offset);
		return;
	}
	write_word(nic, offset, (uint32_t)value);
	if (size == 8)
		write_word(nic, offset + 4, (uint32_t)(value >> 32));
}

static void ena_catch_up(struct pcie_function *fn)
{
	ena_doors_catch_up(ena_nic_of(fn));
}

/* ---- stopping and going on ---- */

static void ena_quiesce(struct pcie_function *fn)
{
	struct ena_nic *nic = ena_nic_of(fn);

	nic->is_quiescing = true;
	ena_path_pause(nic);
	ena_admin_pause(nic);
	ena_aenq_pause(nic);
	ena_phc_reset(nic);
	pcie_function_quiesced(fn);
}

static void ena_reset(struct pcie_function *fn, enum pcie_reset_reason why)
{
	struct ena_nic *nic = ena_nic_of(fn);

	trace_ena_power_on(why);
	ena_device_power_on(nic);
	/* A paused function stays so until it is told to go on. */
	nic->is_quiescing = fn->is_paused || fn->wants_pause;
	if (!nic->is_quiescing)
		ena_path_resume(nic);
}

/* What a copied state must fulfil for us to index by it. */
static bool is_sane(const struct ena_nic *nic)
{
	const struct ena_state *state = nic->state;

	return ena_queues_are_sane(nic) && ena_rss_is_sane(nic) &&
	       ena_flow_is_sane(nic) && state->mtu <= nic->max_mtu &&
	       !(state->aenq_groups & ~nic->profile->aenq_groups);
}

static int ena_resume(struct pcie_function *fn)
{
	struct ena_nic *nic = ena_nic_of(fn);

	if (!is_sane(nic))
		return -EINVAL;
	nic->is_quiescing = false;
	ena_rss_prepare(nic);
	ena_flow_prepare(nic);
	if (fn->is_restored)
		ena_queues_open_again(nic);
	ena_path_resume(nic);
	ena_aenq_resume(nic);
	ena_admin_run(nic);
	return 0;
}

const struct pcie_function_type ena_function = {
	.name = "ena",
	.summary = "An Elastic Network Adapter.",
	.options = ena_options,
	.config_size = sizeof(struct ena_config),
	.state_size = sizeof(struct ena_state),
	.neighbours = ena_neighbours,
	.counters = ena_counter_names,
	.counter_count = ENA_COUNTERS,
	.regs = ena_registers,
	.reg_count = ENA_REGISTERS,
	.create = ena_create,
	.destroy = ena_destroy,
	.bar_read = ena_bar_read,
	.bar_write = ena_bar_write,
	.catch_up = ena_catch_up,
	.quiesce = ena_quiesce,
	.reset = ena_reset,
	.resume = ena_resume,
	.describe = ena_describe,
	.verbs = ena_verbs,
	.verb_count = ENA_VERBS,
};
