/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space: the type 0 header (PCI 3.0 6.1, 6.2; PCIe 3.0 7.5) and
 * the machinery of masks and hooks that the capabilities use as well.
 *
 * Four images of 4096 bytes come from the identity: first values, writable
 * bits, bits cleared by writing one, and bits that an FLR keeps.  The fifth, in
 * struct pcie_state, is what the guest sees.  Bits that follow something else
 * (the pin, pending messages) are laid over it when it is read.
 *
 * BAR values decide nothing here: a VMM decodes addresses itself, some leave
 * the value of sizing in them.  The function's loop thread.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "pcie-model/capability.h"
#include "pcie-model/config_space.h"
#include "pcie-model/function.h"
#include "pcie-model/trace.h"

#define MAX_HOOKS 8u

#define COMMAND_WRITABLE                                                       \
	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |        \
	 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)
#define STATUS_W1C                                                             \
	(PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT |                     \
	 PCI_STATUS_REC_TARGET_ABORT | PCI_STATUS_REC_MASTER_ABORT |           \
	 PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY)

/* Registers that do not depend on the identity. */
static const struct pcie_config_field header_fields[] = {
	/* offset          size initial  writable          w1c         sticky */
	{ PCI_COMMAND, 2, 0, COMMAND_WRITABLE, 0, 0 },
	{ PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0, STATUS_W1C, 0 },
	{ PCI_CACHE_LINE_SIZE, 1, 0, 0xff, 0, 0 },
	{ PCI_INTERRUPT_LINE, 1, 0, 0xff, 0, 0 },
};

void pcie_config_put(struct pcie_function *fn, uint16_t base,
		     const struct pcie_config_field *field)
{
	struct pcie_config_layout *l = &fn->config_layout;
	size_t at = (size_t)base + field->offset;

	le_store(l->initial + at, field->size, field->initial);
	le_store(l->writable + at, field->size, field->writable);
	le_store(l->w1c + at, field->size, field->w1c);
	le_store(l->sticky + at, field->size, field->sticky);
}

uint32_t pcie_config_get(const struct pcie_function *fn, unsigned int offset,
			 unsigned int size)
{
	return (uint32_t)le_load(fn->state.config.bytes + offset, size);
}

void pcie_config_set(struct pcie_function *fn, unsigned int offset,
		     unsigned int size, uint32_t value)
{
	le_store(fn->state.config.bytes + offset, size, value);
}

static void put_fixed(struct pcie_function *fn, uint16_t offset, uint8_t size,
		      uint64_t value)
{
	struct pcie_config_field field = { offset, size, value, 0, 0, 0 };

	pcie_config_put(fn, 0, &field);
}

static void build_identity(struct pcie_function *fn)
{
	const struct pcie_identity *id = &fn->identity;

	put_fixed(fn, PCI_VENDOR_ID, 2, id->vendor);
	put_fixed(fn, PCI_DEVICE_ID, 2, id->device);
	put_fixed(fn, PCI_REVISION_ID, 1, id->revision);
	put_fixed(fn, PCI_CLASS_PROG, 1, id->class_code & 0xff);
	put_fixed(fn, PCI_CLASS_DEVICE, 2, id->class_code >> 8);
	put_fixed(fn, PCI_SUBSYSTEM_VENDOR_ID, 2, id->subsystem_vendor);
	put_fixed(fn, PCI_SUBSYSTEM_ID, 2, id->subsystem);
	put_fixed(fn, PCI_INTERRUPT_PIN, 1, id->has_intx ? 1 : 0);
}

/* All bits above the size are writable, so sizing reads back the mask. */
static void build_bar(struct pcie_function *fn, unsigned int i)
{
	const struct pcie_bar *bar = &fn->identity.bars[i];
	uint64_t address = ~((uint64_t)bar->size - 1);
	struct pcie_config_field field = {
		.offset = (uint16_t)(PCI_BASE_ADDRESS_0 + 4 * i),
		.size = bar->is_64bit ? 8 : 4,
		.writable = address,
		/* Kept by an FLR against the letter: QEMU keeps its own copy
		 * and does not write it again. */
		.sticky = address,
	};

	if (bar->is_64bit)
		field.initial |= PCI_BASE_ADDRESS_MEM_TYPE_64;
	if (bar->is_prefetchable)
		field.initial |= PCI_BASE_ADDRESS_MEM_PREFETCH;
	pcie_config_put(fn, 0, &field);
}

static bool is_page_aligned(uint64_t n)
{
	return n % 4096 == 0;
}

static bool range_fits(uint64_t offset, uint64_t size, uint64_t limit)
{
	return offset <= limit && size <= limit - offset;
}

static bool ranges_touch(uint64_t a, uint64_t a_size, uint64_t b,
			 uint64_t b_size)
{
	return a_size && b_size && a < b + b_size && b < a + a_size;
}

static bool bar_is_sound(const struct pcie_identity *id, unsigned int i)
{
	const struct pcie_bar *bar = &id->bars[i];

	if (bar->size == 0)
		return bar->mapped_size == 0;
	if (bar->size < 16 || (bar->size & (bar->size - 1)))
		return false;
	if (bar->is_64bit && (i + 1 == PCIE_BARS || id->bars[i + 1].size))
		return false;
	return is_page_aligned(bar->mapped_offset) &&
	       is_page_aligned(bar->mapped_size) &&
	       range_fits(bar->mapped_offset, bar->mapped_size, bar->size);
}

static bool msix_is_sound(const struct pcie_identity *id)
{
	uint64_t table = id->msix_table_offset, pba = id->msix_pba_offset;
	uint64_t table_size = id->msix_vectors * (uint64_t)PCI_MSIX_ENTRY_SIZE;
	uint64_t pba_size = ((uint64_t)id->msix_vectors + 63) / 64 * 8;
	const struct pcie_bar *bar;

	if (id->msix_vectors == 0)
		return true;
	if (id->msix_vectors > PCIE_MSIX_MAX_VECTORS ||
	    id->msix_bar >= PCIE_BARS || table % 8 || pba % 8)
		return false;
	bar = &id->bars[id->msix_bar];
	return range_fits(table, table_size, bar->size) &&
	       range_fits(pba, pba_size, bar->size) &&
	       !ranges_touch(table, table_size, pba, pba_size) &&
	       !ranges_touch(table, table_size, bar->mapped_offset,
			     bar->mapped_size) &&
	       !ranges_touch(pba, pba_size, bar->mapped_offset,
			     bar->mapped_size);
}

static bool identity_is_sound(const struct pcie_identity *id)
{
	bool is_power_of_two = !(id->msi_vectors & (id->msi_vectors - 1));

	for (unsigned int i = 0; i < PCIE_BARS; i++)
		if (!bar_is_sound(id, i))
			return false;
	return msix_is_sound(id) && is_power_of_two &&
	       id->msi_vectors <= PCIE_MSI_MAX_VECTORS &&
	       id->class_code <= 0xffffff && id->link_speed <= 6 &&
	       id->link_width <= 32;
}

int pcie_config_build(struct pcie_function *fn)
{
	struct pcie_config_layout *l = &fn->config_layout;
	int error;

	if (!identity_is_sound(&fn->identity))
		return -EINVAL;
	memset(l, 0, sizeof *l);
	build_identity(fn);
	for (size_t i = 0; i < RT_COUNT(header_fields); i++)
		pcie_config_put(fn, 0, &header_fields[i]);
	for (unsigned int i = 0; i < PCIE_BARS; i++)
		if (fn->identity.bars[i].size)
			build_bar(fn, i);
	error = pcie_capabilities_build(fn);
	memcpy(fn->state.config.bytes, l->initial, PCIE_CONFIG_BYTES);
	return error;
}

void pcie_config_reset(struct pcie_function *fn, bool keeps_sticky)
{
	const struct pcie_config_layout *l = &fn->config_layout;
	uint8_t *bytes = fn->state.config.bytes;

	for (size_t i = 0; i < PCIE_CONFIG_BYTES; i++) {
		uint8_t keep = keeps_sticky ? l->sticky[i] : 0;

		bytes[i] =
			(uint8_t)((l->initial[i] & ~keep) | (bytes[i] & keep));
	}
}

int pcie_config_restore(struct pcie_function *fn,
			const struct pcie_config_space *saved)
{
	const struct pcie_config_layout *l = &fn->config_layout;
	uint8_t *bytes = fn->state.config.bytes;

	for (size_t i = 0; i < PCIE_CONFIG_BYTES; i++) {
		uint8_t live = l->writable[i] | l->w1c[i] | l->sticky[i];

		if ((saved->bytes[i] ^ l->initial[i]) & ~live)
			return -EINVAL;
	}
	memcpy(bytes, saved->bytes, PCIE_CONFIG_BYTES);
	return 0;
}

/* Set bits of a 32-bit register that the bytes read may cover. */
static void lay_over(uint8_t *data, uint64_t offset, size_t size,
		     unsigned int at, uint32_t bits)
{
	for (unsigned int i = 0; i < 4; i++)
		if (at + i >= offset && at + i - offset < size)
			data[at + i - offset] |= (uint8_t)(bits >> (8 * i));
}

static void lay_over_live_bits(const struct pcie_function *fn, uint8_t *data,
			       uint64_t offset, size_t size)
{
	struct pcie_config_live live[PCIE_CAPABILITY_LIVE] = { 0 };

	if (fn->state.interrupts.intx_level)
		lay_over(data, offset, size, PCI_STATUS, PCI_STATUS_INTERRUPT);
	pcie_capability_live(fn, live);
	for (size_t i = 0; i < PCIE_CAPABILITY_LIVE; i++)
		lay_over(data, offset, size, live[i].offset, live[i].bits);
}

/* How much of an access lies inside. */
static size_t clip(uint64_t offset, size_t size)
{
	if (offset >= PCIE_CONFIG_BYTES)
		return 0;
	if (size > PCIE_CONFIG_BYTES - offset)
		return (size_t)(PCIE_CONFIG_BYTES - offset);
	return size;
}

void pcie_config_read(const struct pcie_function *fn, uint64_t offset,
		      void *data, size_t size)
{
	size_t inside = clip(offset, size);

	memset(data, 0xff, size);
	if (inside == 0)
		return;
	memcpy(data, fn->state.config.bytes + offset, inside);
	lay_over_live_bits(fn, data, offset, inside);
}

static void write_byte(struct pcie_function *fn, size_t at, uint8_t value)
{
	const struct pcie_config_layout *l = &fn->config_layout;
	uint8_t *byte = &fn->state.config.bytes[at];
	uint8_t now = (uint8_t)((*byte & ~l->writable[at]) |
				(value & l->writable[at]));

	*byte = (uint8_t)(now & ~(value & l->w1c[at]));
}

static void wrote_command(struct pcie_function *fn, uint32_t before,
			  uint32_t written)
{
	(void)before;
	(void)written;
	pcie_interrupt_update(fn);
}

static bool find_hook(const struct pcie_function *fn, size_t i,
		      struct pcie_config_hook *out)
{
	if (i > 0)
		return pcie_capability_hook(fn, i - 1, out);
	*out = (struct pcie_config_hook){ PCI_COMMAND, 2, wrote_command };
	return true;
}

/* A register that a write touches, as it was and as the write has it. */
struct touched {
	struct pcie_config_hook hook;
	uint32_t before, written;
};

static bool touch(const struct pcie_function *fn, struct touched *t,
		  uint64_t offset, const uint8_t *data, size_t size)
{
	unsigned int at = t->hook.offset, count = t->hook.size;
	uint8_t merged[4];
	bool is_touched = false;

	t->before = pcie_config_get(fn, at, count);
	le_store(merged, count, t->before);
	for (unsigned int i = 0; i < count; i++) {
		if (at + i < offset || at + i - offset >= size)
			continue;
		merged[i] = data[at + i - offset];
		is_touched = true;
	}
	t->written = (uint32_t)le_load(merged, count);
	return is_touched;
}

void pcie_config_write(struct pcie_function *fn, uint64_t offset,
		       const void *data, size_t size)
{
	struct touched touched[MAX_HOOKS];
	const uint8_t *bytes = data;
	size_t count = 0;

	size = clip(offset, size);
	if (size == 0)
		return;
	trace_pcie_config_write(
		(uint32_t)offset, (uint32_t)size,
		le_load(data, size < 8 ? (unsigned int)size : 8));
	for (size_t i = 0; count < MAX_HOOKS; i++) {
		if (!find_hook(fn, i, &touched[count].hook))
			break;
		if (touch(fn, &touched[count], offset, bytes, size))
			count++;
	}
	for (size_t i = 0; i < size; i++)
		write_byte(fn, (size_t)offset + i, bytes[i]);
	for (size_t i = 0; i < count; i++)
		touched[i].hook.wrote(fn, touched[i].before,
				      touched[i].written);
}

bool pcie_config_is_asleep(const struct pcie_function *fn)
{
	uint16_t pm = fn->config_layout.pm;

	return pm && (pcie_config_get(fn, pm + PCI_PM_CTRL, 2) &
		      PCI_PM_CTRL_STATE_MASK) == 3;
}

bool pcie_bus_master_is_on(const struct pcie_function *fn)
{
	return (pcie_config_get(fn, PCI_COMMAND, 2) & PCI_COMMAND_MASTER) &&
	       !pcie_config_is_asleep(fn);
}
