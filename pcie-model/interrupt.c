/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts: PCI 3.0 2.2.6 (INTx), 6.8 (MSI, MSI-X).  The function's loop
 * thread.
 *
 * Theory.  Clients differ in what they tell us.
 *   QEMU              writes the enable bits to configuration space and then
 *                     gives eventfds; takes them all away and gives new ones
 *                     whenever the guest uses one more vector; keeps the MSI-X
 *                     table, and so its masks, to itself.
 *   cloud-hypervisor  gives the eventfds first and writes the enable bit after.
 *   SPDK, samples     never write an enable bit, or use no interrupts at all.
 * One rule serves them all:
 *
 *   The mode is MSI-X if its enable bit is set, else MSI if its bit is; with
 *   neither set, the one that has an eventfd, MSI-X before MSI; else INTx.
 *
 * So a client that only gives eventfds is served, an FLR (which clears the
 * enable bits but leaves the eventfds) changes nothing for it, and a client
 * between two sets of eventfds is still in the mode that it enabled.
 *
 * A message is sent if nothing masks it: the function mask and, once the client
 * has written it, the vector's mask; power state D3hot; and for a client that
 * enables messages in configuration space also Bus Master Enable, for a message
 * is a memory write.  What is not sent is pending, and each change that may
 * unmask something ends in pcie_interrupt_update().
 *
 * INTx is a level that the client samples: it fires once, is masked, and the
 * client's UNMASK looks at the level again.
 *
 * syscalls: write
 */
#include <linux/pci_regs.h>
#include <string.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "pcie-model/capability.h"
#include "pcie-model/function.h"
#include "pcie-model/interrupt.h"
#include "pcie-model/trace.h"

/* A full counter is an event that is not taken yet: nothing is lost. */
void pcie_event_signal(int fd)
{
	uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof one);

	(void)n;
}

/* ---- masks and modes ---- */

static bool get_bit(const uint64_t *words, unsigned int n)
{
	return words[n / 64] & BIT(n % 64);
}

/* Of the pending bits: several threads may raise interrupts. */
static void put_pending(uint64_t *words, unsigned int n, bool is_set)
{
	uint64_t *word = &words[n / 64];
	uint64_t before = __atomic_load_n(word, __ATOMIC_RELAXED);

	if (is_set)
		__atomic_fetch_or(word, BIT(n % 64), __ATOMIC_RELAXED);
	else if (before & BIT(n % 64))
		__atomic_fetch_and(word, ~BIT(n % 64), __ATOMIC_RELAXED);
}

static void put_bit(uint64_t *words, unsigned int n, bool is_set)
{
	words[n / 64] &= ~BIT(n % 64);
	if (is_set)
		words[n / 64] |= BIT(n % 64);
}

static uint32_t msi_flags(const struct pcie_function *fn)
{
	uint16_t at = fn->config_layout.msi;

	return at ? pcie_config_get(fn, at + PCI_MSI_FLAGS, 2) : 0;
}

static uint32_t msix_flags(const struct pcie_function *fn)
{
	uint16_t at = fn->config_layout.msix;

	return at ? pcie_config_get(fn, at + PCI_MSIX_FLAGS, 2) : 0;
}

enum pcie_interrupt_mode pcie_interrupt_mode(const struct pcie_function *fn)
{
	if (msix_flags(fn) & PCI_MSIX_FLAGS_ENABLE)
		return PCIE_MSIX;
	if (msi_flags(fn) & PCI_MSI_FLAGS_ENABLE)
		return PCIE_MSI;
	if (fn->interrupts.msix_fd_count)
		return PCIE_MSIX;
	if (fn->interrupts.msi_fd_count)
		return PCIE_MSI;
	return PCIE_INTX;
}

static bool may_send_messages(const struct pcie_function *fn)
{
	bool is_enabled = (msix_flags(fn) & PCI_MSIX_FLAGS_ENABLE) ||
			  (msi_flags(fn) & PCI_MSI_FLAGS_ENABLE);

	if (is_enabled)
		return pcie_bus_master_is_on(fn);
	return !pcie_config_is_asleep(fn);
}

static bool msix_is_masked(const struct pcie_function *fn, unsigned int vector)
{
	const struct pcie_interrupt_state *s = &fn->state.interrupts;

	if (msix_flags(fn) & PCI_MSIX_FLAGS_MASKALL)
		return true;
	return get_bit(s->msix_mask_written, vector) &&
	       (s->msix_table[vector][PCI_MSIX_ENTRY_VECTOR_CTRL] &
		PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

static bool msi_is_masked(const struct pcie_function *fn, unsigned int vector)
{
	unsigned int at = fn->config_layout.msi + PCI_MSI_MASK_64;

	return pcie_config_get(fn, at, 4) & BIT(vector);
}

/* ---- delivery ---- */

static void send_msix(struct pcie_function *fn, unsigned int vector)
{
	int fd = fn->interrupts.msix_fds[vector];
	bool can =
		fd >= 0 && may_send_messages(fn) && !msix_is_masked(fn, vector);

	put_pending(fn->state.interrupts.msix_pending, vector, !can);
	if (!can) {
		trace_pcie_irq_latched(PCIE_MSIX, vector);
		return;
	}
	trace_pcie_irq_sent(PCIE_MSIX, vector);
	pcie_event_signal(fd);
}

static void send_msi(struct pcie_function *fn, unsigned int vector)
{
	int fd = fn->interrupts.msi_fds[vector];
	uint32_t *pending = &fn->state.interrupts.msi_pending;

	if (fd < 0 || !may_send_messages(fn) || msi_is_masked(fn, vector)) {
		*pending |= (uint32_t)BIT(vector);
		trace_pcie_irq_latched(PCIE_MSI, vector);
		return;
	}
	*pending &= (uint32_t)~BIT(vector);
	trace_pcie_irq_sent(PCIE_MSI, vector);
	pcie_event_signal(fd);
}

void pcie_intx_fire(struct pcie_function *fn)
{
	struct pcie_interrupt_state *s = &fn->state.interrupts;
	uint32_t command = pcie_config_get(fn, PCI_COMMAND, 2);

	if (!s->intx_level || s->intx_masked || fn->interrupts.intx_fd < 0 ||
	    (command & PCI_COMMAND_INTX_DISABLE) || pcie_config_is_asleep(fn) ||
	    pcie_interrupt_mode(fn) != PCIE_INTX)
		return;
	s->intx_masked = 1;
	trace_pcie_irq_sent(PCIE_INTX, 0);
	pcie_event_signal(fn->interrupts.intx_fd);
}

/* With fewer messages allocated than wanted, several share one. */
static unsigned int fold_msi(const struct pcie_function *fn,
			     unsigned int vector)
{
	unsigned int count = fn->identity.msi_vectors;

	if (msi_flags(fn) & PCI_MSI_FLAGS_ENABLE)
		count = pcie_msi_allocated(fn);
	return vector % count;
}

void pcie_interrupt_raise(struct pcie_function *fn, unsigned int vector)
{
	switch (pcie_interrupt_mode(fn)) {
	case PCIE_MSIX:
		if (vector < fn->identity.msix_vectors)
			send_msix(fn, vector);
		break;
	case PCIE_MSI:
		send_msi(fn, fold_msi(fn, vector));
		break;
	default:
		break;
	}
}

void pcie_intx_set(struct pcie_function *fn, bool level)
{
	if (!fn->identity.has_intx)
		return;
	fn->state.interrupts.intx_level = level;
	pcie_intx_fire(fn);
}

static void send_pending_msix(struct pcie_function *fn)
{
	for (unsigned int w = 0; w < PCIE_MSIX_MAX_VECTORS / 64; w++) {
		uint64_t pending = fn->state.interrupts.msix_pending[w];

		for (; pending; pending &= pending - 1)
			send_msix(fn, w * 64 + (unsigned int)__builtin_ctzll(
						       pending));
	}
}

static void send_pending_msi(struct pcie_function *fn)
{
	uint32_t pending = fn->state.interrupts.msi_pending;

	for (; pending; pending &= pending - 1)
		send_msi(fn, (unsigned int)__builtin_ctz(pending));
}

static void tell_mode(struct pcie_function *fn)
{
	enum pcie_interrupt_mode mode = pcie_interrupt_mode(fn);

	if (mode == fn->interrupts.told_mode)
		return;
	fn->interrupts.told_mode = mode;
	trace_pcie_irq_mode(mode);
	if (fn->type->interrupt_mode_changed)
		fn->type->interrupt_mode_changed(fn);
}

void pcie_interrupt_update(struct pcie_function *fn)
{
	static void (*const send[])(struct pcie_function * fn) = {
		[PCIE_INTX] = pcie_intx_fire,
		[PCIE_MSI] = send_pending_msi,
		[PCIE_MSIX] = send_pending_msix,
	};

	send[pcie_interrupt_mode(fn)](fn);
	tell_mode(fn);
}

/* ---- life ---- */

/* Vectors are masked at first (PCI 3.0, 6.8.2.9). */
static void reset_table(struct pcie_interrupt_state *s)
{
	for (unsigned int i = 0; i < PCIE_MSIX_MAX_VECTORS; i++)
		s->msix_table[i][PCI_MSIX_ENTRY_VECTOR_CTRL] =
			PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

void pcie_interrupt_reset(struct pcie_function *fn)
{
	struct pcie_interrupt_state *s = &fn->state.interrupts;
	/* The client's mask: it has an event in hand and will answer. */
	uint8_t masked = s->intx_masked;

	memset(s, 0, sizeof *s);
	s->intx_masked = masked;
	reset_table(s);
}

void pcie_interrupt_quiet(struct pcie_function *fn)
{
	struct pcie_interrupt_state *s = &fn->state.interrupts;

	memset(s->msix_pending, 0, sizeof s->msix_pending);
	s->msi_pending = 0;
	s->intx_level = 0;
}

void pcie_interrupt_forget(struct pcie_function *fn,
			   enum pcie_interrupt_mode mode)
{
	struct pcie_interrupt_state *s = &fn->state.interrupts;

	if (mode == PCIE_MSIX)
		memset(s->msix_pending, 0, sizeof s->msix_pending);
	else if (mode == PCIE_MSI)
		s->msi_pending = 0;
}

void pcie_interrupt_restore(struct pcie_function *fn,
			    const struct pcie_interrupt_state *saved)
{
	struct pcie_interrupt_state *s = &fn->state.interrupts;
	unsigned int count = fn->identity.msix_vectors;

	memcpy(s, saved, sizeof *s);
	s->intx_level = s->intx_level && fn->identity.has_intx;
	s->intx_masked = s->intx_masked != 0;
	if (fn->identity.msi_vectors)
		s->msi_pending &=
			(uint32_t)BITS(fn->identity.msi_vectors - 1u, 0);
	else
		s->msi_pending = 0;
	for (unsigned int i = count; i < PCIE_MSIX_MAX_VECTORS; i++)
		put_bit(s->msix_pending, i, false);
}

/* ---- the table and the pending bits in the BAR ---- */

/* Reserved bits of an entry stay zero. */
static const uint8_t entry_writable[PCIE_MSIX_ENTRY_BYTES] = {
	0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0x01, 0x00, 0x00, 0x00,
};

void pcie_msix_table_read(const struct pcie_function *fn, uint64_t offset,
			  void *data, size_t size)
{
	const struct pcie_interrupt_state *s = &fn->state.interrupts;

	memcpy(data, (const uint8_t *)s->msix_table + offset, size);
}

static void write_table_byte(struct pcie_interrupt_state *s, uint64_t offset,
			     uint8_t value)
{
	uint64_t at = offset % PCIE_MSIX_ENTRY_BYTES;
	unsigned int vector = (unsigned int)(offset / PCIE_MSIX_ENTRY_BYTES);

	s->msix_table[vector][at] = value & entry_writable[at];
	if (at >= PCI_MSIX_ENTRY_VECTOR_CTRL)
		put_bit(s->msix_mask_written, vector, true);
}

void pcie_msix_table_write(struct pcie_function *fn, uint64_t offset,
			   const void *data, size_t size)
{
	const uint8_t *bytes = data;

	if ((size != 4 && size != 8) || offset % size)
		rt_rule_broken(&fn->bus_rules, PCIE_RULE_MSIX_ACCESS, offset);
	pcie_function_hold(fn);
	for (size_t i = 0; i < size; i++)
		write_table_byte(&fn->state.interrupts, offset + i, bytes[i]);
	pcie_interrupt_update(fn);
	pcie_function_let(fn);
}

void pcie_msix_pba_read(const struct pcie_function *fn, uint64_t offset,
			void *data, size_t size)
{
	const uint64_t *pending = fn->state.interrupts.msix_pending;
	uint8_t *bytes = data;
	uint64_t word;

	for (size_t i = 0; i < size; i++) {
		word = __atomic_load_n(&pending[(offset + i) / 8],
				       __ATOMIC_RELAXED);
		bytes[i] = (uint8_t)(word >> ((offset + i) % 8 * 8));
	}
}
