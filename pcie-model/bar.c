/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accesses to BARs.  A BAR is cut into areas: the MSI-X table and pending bits,
 * which the model answers for; the part that a client may map, which is shared
 * memory; and the device's own registers.  An access is done area by area, in
 * pieces of at most 8 bytes.
 *
 * Owns the memory of the mapped parts.  Its content is the client's to change
 * at any moment.  The function's loop thread.
 *
 * syscalls: memfd_create ftruncate fcntl mmap[2&PROT_EXEC=0] munmap fstat
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "pcie-model/aer.h"
#include "pcie-model/bar.h"
#include "pcie-model/function.h"
#include "pcie-model/trace.h"

#define PIECE_BYTES 8u
#define PAGE_BYTES  4096u

enum area_kind {
	AREA_DEVICE,
	AREA_TABLE,
	AREA_PENDING,
	AREA_MAPPED,
};

struct area {
	enum area_kind kind;
	uint64_t start, end;
};

#define SPECIAL_AREAS 3u

static void list_special_areas(const struct pcie_function *fn, unsigned int bar,
			       struct area areas[SPECIAL_AREAS])
{
	const struct pcie_identity *id = &fn->identity;
	const struct pcie_bar *b = &id->bars[bar];
	uint64_t vectors = bar == id->msix_bar ? id->msix_vectors : 0;
	uint64_t table = id->msix_table_offset, pba = id->msix_pba_offset;

	areas[0] = (struct area){ AREA_TABLE, table,
				  table + vectors * PCIE_MSIX_ENTRY_BYTES };
	areas[1] = (struct area){ AREA_PENDING, pba,
				  pba + (vectors + 63) / 64 * 8 };
	areas[2] = (struct area){ AREA_MAPPED, b->mapped_offset,
				  (uint64_t)b->mapped_offset + b->mapped_size };
}

/* The area of an offset inside the BAR. */
static struct area find_area(const struct pcie_function *fn, unsigned int bar,
			     uint64_t offset)
{
	struct area device = { AREA_DEVICE, 0, fn->identity.bars[bar].size };
	struct area special[SPECIAL_AREAS];

	list_special_areas(fn, bar, special);
	for (size_t i = 0; i < SPECIAL_AREAS; i++) {
		const struct area *a = &special[i];

		if (a->start == a->end)
			continue;
		if (offset >= a->start && offset < a->end)
			return *a;
		if (a->start > offset && a->start < device.end)
			device.end = a->start;
	}
	return device;
}

/* One aligned store or load, so that neither side sees half of it. */
static void store_mapped(uint8_t *at, unsigned int size, uint64_t value)
{
	bool is_aligned = (uintptr_t)at % size == 0;

	if (size == 4 && is_aligned)
		__atomic_store_n((uint32_t *)(void *)at,
				 htole32((uint32_t)value), __ATOMIC_RELEASE);
	else if (size == 8 && is_aligned)
		__atomic_store_n((uint64_t *)(void *)at, htole64(value),
				 __ATOMIC_RELEASE);
	else
		le_store(at, size, value);
}

static uint64_t load_mapped(const uint8_t *at, unsigned int size)
{
	bool is_aligned = (uintptr_t)at % size == 0;

	if (size == 4 && is_aligned)
		return le32toh(__atomic_load_n(
			(const uint32_t *)(const void *)at, __ATOMIC_ACQUIRE));
	if (size == 8 && is_aligned)
		return le64toh(__atomic_load_n(
			(const uint64_t *)(const void *)at, __ATOMIC_ACQUIRE));
	return le_load(at, size);
}

/* A piece of an access: 1 to 8 bytes within one area. */
struct piece {
	struct area area;
	unsigned int bar, size;
	uint64_t offset;
};

static struct piece cut_piece(const struct pcie_function *fn, unsigned int bar,
			      uint64_t offset, size_t size)
{
	struct piece p = { .area = find_area(fn, bar, offset),
			   .bar = bar,
			   .offset = offset };

	if (size > p.area.end - offset)
		size = (size_t)(p.area.end - offset);
	if (size > PIECE_BYTES)
		size = PIECE_BYTES - (size_t)(offset % PIECE_BYTES);
	p.size = (unsigned int)size;
	return p;
}

static void read_piece(struct pcie_function *fn, const struct piece *p,
		       uint8_t *data)
{
	uint64_t inside = p->offset - p->area.start;

	switch (p->area.kind) {
	case AREA_TABLE:
		pcie_msix_table_read(fn, inside, data, p->size);
		break;
	case AREA_PENDING:
		pcie_msix_pba_read(fn, inside, data, p->size);
		break;
	case AREA_MAPPED:
		le_store(data, p->size,
			 load_mapped(fn->bar_memory[p->bar].bytes + inside,
				     p->size));
		break;
	case AREA_DEVICE:
		le_store(data, p->size,
			 fn->type->bar_read(fn, p->bar, p->offset, p->size));
		break;
	}
}

static void write_piece(struct pcie_function *fn, const struct piece *p,
			const uint8_t *data)
{
	uint64_t inside = p->offset - p->area.start;
	uint64_t value = le_load(data, p->size);

	switch (p->area.kind) {
	case AREA_TABLE:
		pcie_msix_table_write(fn, inside, data, p->size);
		break;
	case AREA_PENDING:
		break;
	case AREA_MAPPED:
		store_mapped(fn->bar_memory[p->bar].bytes + inside, p->size,
			     value);
		fn->type->bar_write(fn, p->bar, p->offset, p->size, value);
		break;
	case AREA_DEVICE:
		fn->type->bar_write(fn, p->bar, p->offset, p->size, value);
		break;
	}
}

/* How much of an access lies inside. */
static size_t clip(const struct pcie_function *fn, unsigned int bar,
		   uint64_t offset, size_t size)
{
	uint64_t limit = fn->identity.bars[bar].size;

	if (offset >= limit)
		return 0;
	return size < limit - offset ? size : (size_t)(limit - offset);
}

/* In D3hot all but configuration requests are unsupported (PCIe 5.3.1.4.1). */
static bool is_refused(struct pcie_function *fn, bool is_write)
{
	const uint32_t header[4] = { is_write ? (uint32_t)BIT(30) : 0 };

	if (pcie_function_is_resetting(fn))
		return true;
	if (!pcie_config_is_asleep(fn))
		return false;
	rt_rule_broken(&fn->bus_rules, PCIE_RULE_ASLEEP, is_write);
	pcie_aer_uncorrectable(fn, PCI_ERR_UNC_UNSUP, header);
	return true;
}

void pcie_bar_read(struct pcie_function *fn, unsigned int bar, uint64_t offset,
		   void *data, size_t size)
{
	uint8_t *at = data;
	size_t inside = clip(fn, bar, offset, size);

	memset(data, 0xff, size);
	if (is_refused(fn, false))
		return;
	while (inside > 0) {
		struct piece p = cut_piece(fn, bar, offset, inside);

		read_piece(fn, &p, at);
		trace_pcie_bar_read(bar, offset, p.size, le_load(at, p.size));
		at += p.size;
		offset += p.size;
		inside -= p.size;
	}
}

void pcie_bar_write(struct pcie_function *fn, unsigned int bar, uint64_t offset,
		    const void *data, size_t size)
{
	const uint8_t *at = data;
	size_t inside = clip(fn, bar, offset, size);

	/* A piece may put the function to sleep or reset it. */
	while (inside > 0 && !is_refused(fn, true)) {
		struct piece p = cut_piece(fn, bar, offset, inside);

		trace_pcie_bar_write(bar, offset, p.size, le_load(at, p.size));
		write_piece(fn, &p, at);
		at += p.size;
		offset += p.size;
		inside -= p.size;
	}
}

/* ---- the mapped part ---- */

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static off_t memory_size(const struct pcie_bar *bar)
{
	return (bar->size + (off_t)PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static int create_memory(const struct pcie_bar *bar, int *out)
{
	RT_FD int fd = memfd_create("bar", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, memory_size(bar)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	*out = rt_take_fd(&fd);
	return 0;
}

static int map_memory(const struct pcie_bar *bar, struct pcie_bar_memory *m)
{
	void *bytes = mmap(NULL, bar->mapped_size, PROT_READ | PROT_WRITE,
			   MAP_SHARED, m->fd, bar->mapped_offset);

	if (bytes == MAP_FAILED)
		return -errno;
	m->bytes = bytes;
	return 0;
}

static int add_memory(const struct pcie_bar *bar, struct pcie_bar_memory *m)
{
	int error = create_memory(bar, &m->fd);

	return error ? error : map_memory(bar, m);
}

static void drop_memory(const struct pcie_bar *bar, struct pcie_bar_memory *m)
{
	if (m->bytes)
		munmap(m->bytes, bar->mapped_size);
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct pcie_bar_memory){ -1, NULL, false };
}

int pcie_bars_create(struct pcie_function *fn)
{
	int error = 0;

	for (unsigned int i = 0; i < PCIE_BARS && !error; i++)
		if (fn->identity.bars[i].mapped_size)
			error = add_memory(&fn->identity.bars[i],
					   &fn->bar_memory[i]);
	return error;
}

void pcie_bars_reset(struct pcie_function *fn)
{
	for (unsigned int i = 0; i < PCIE_BARS; i++)
		if (fn->bar_memory[i].bytes)
			memset(fn->bar_memory[i].bytes, 0,
			       fn->identity.bars[i].mapped_size);
}

void pcie_bars_destroy(struct pcie_function *fn)
{
	for (unsigned int i = 0; i < PCIE_BARS; i++)
		drop_memory(&fn->identity.bars[i], &fn->bar_memory[i]);
}

/* As create_memory() makes it: nobody can take the memory from under us. */
static bool is_bar_memory(const struct pcie_bar *bar, int fd)
{
	struct stat st;

	return fcntl(fd, F_GET_SEALS) == SEALS && fstat(fd, &st) == 0 &&
	       st.st_size == memory_size(bar);
}

int pcie_bar_adopt(struct pcie_function *fn, unsigned int bar, int fd)
{
	struct pcie_bar_memory adopted = { -1, NULL, true };
	const struct pcie_bar *b;
	int error;

	if (bar >= PCIE_BARS)
		return -EINVAL;
	b = &fn->identity.bars[bar];
	if (!b->mapped_size || !is_bar_memory(b, fd))
		return -EINVAL;
	adopted.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	error = adopted.fd < 0 ? -errno : map_memory(b, &adopted);
	if (error) {
		drop_memory(b, &adopted);
		return error;
	}
	drop_memory(b, &fn->bar_memory[bar]);
	fn->bar_memory[bar] = adopted;
	return 0;
}

bool pcie_bar_is_adopted(const struct pcie_function *fn, unsigned int bar)
{
	return bar < PCIE_BARS && fn->bar_memory[bar].is_adopted;
}

int pcie_bar_fd(const struct pcie_function *fn, unsigned int bar)
{
	return bar < PCIE_BARS ? fn->bar_memory[bar].fd : -1;
}

volatile uint8_t *pcie_bar_bytes(const struct pcie_function *fn,
				 unsigned int bar)
{
	return bar < PCIE_BARS ? fn->bar_memory[bar].bytes : NULL;
}
