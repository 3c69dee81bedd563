/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of the vfio-user protocol: what a server says of the function, and that
 * it refuses what makes no sense and goes on.  All by raw messages.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/probe.h"
#include "pcie-model/vfio-user/abi.h"

#define FAR_IOVA     UINT64_C(0x100000000000) /* nothing else is there */
#define PAGE         4096u
#define NO_REGION    42u
#define NO_IRQ       42u
#define NO_COMMAND   99u
#define REPLY_ROOM   4096u
#define SPARSE_LIMIT 16u

static int ask(struct probe *p, uint16_t command, const void *payload,
	       size_t size)
{
	return host_command(p->fn, command, payload, size, NULL, 0, NULL, NULL);
}

enum probe_verdict probe_vfio_user_device_info(struct probe *p)
{
	struct vfio_user_device_info info = { .argsz = sizeof info };
	size_t size = sizeof info;
	int rc = host_command(p->fn, VFIO_USER_DEVICE_GET_INFO, &info,
			      sizeof info, NULL, 0, &info, &size);

	if (rc < 0 || size < sizeof info)
		return probe_failed(p, rc, "the reply");
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) ||
	    !(info.flags & VFIO_DEVICE_FLAGS_RESET))
		return probe_broken(p, "the flags are %xh", info.flags);
	if (info.num_regions < VFIO_PCI_CONFIG_REGION_INDEX + 1)
		return probe_broken(p, "%u regions", info.num_regions);
	if (info.num_irqs < VFIO_PCI_MSIX_IRQ_INDEX + 1)
		return probe_broken(p, "%u kinds of interrupts", info.num_irqs);
	return PROBE_HOLDS;
}

enum probe_verdict probe_vfio_user_device_info_argsz(struct probe *p)
{
	struct vfio_user_device_info info = { .argsz = sizeof info - 4 };

	return probe_want_refusal(
		p, ask(p, VFIO_USER_DEVICE_GET_INFO, &info, sizeof info));
}

/* A region's description with its capabilities, asked as clients do: twice. */
static int region_info(struct probe *p, uint32_t index, uint8_t *reply,
		       size_t *size)
{
	struct vfio_region_info info = { .argsz = sizeof info, .index = index };
	int rc;

	*size = REPLY_ROOM;
	rc = host_command(p->fn, VFIO_USER_DEVICE_GET_REGION_INFO, &info,
			  sizeof info, NULL, 0, reply, size);
	if (rc < 0 || *size < sizeof info)
		return rc < 0 ? rc : -EPROTO;
	memcpy(&info, reply, sizeof info);
	if (info.argsz <= sizeof info || info.argsz > REPLY_ROOM)
		return 0;
	info.index = index;
	*size = REPLY_ROOM;
	rc = host_command(p->fn, VFIO_USER_DEVICE_GET_REGION_INFO, &info,
			  sizeof info, NULL, 0, reply, size);
	return rc < 0 ? rc : *size < sizeof info ? -EPROTO : 0;
}

enum probe_verdict probe_vfio_user_region_info(struct probe *p)
{
	uint8_t reply[REPLY_ROOM];
	struct vfio_region_info info;
	size_t size;
	int rc;

	for (uint32_t i = 0; i < VFIO_PCI_CONFIG_REGION_INDEX + 1; i++) {
		rc = region_info(p, i, reply, &size);
		if (rc < 0)
			return probe_failed(p, rc, "the reply");
		memcpy(&info, reply, sizeof info);
		if (info.index != i)
			return probe_broken(p, "%u instead of %u", info.index,
					    i);
		if (info.size && !(info.flags & VFIO_REGION_INFO_FLAG_READ))
			return probe_broken(p, "region %u cannot be read", i);
	}
	/* The last one is configuration space. */
	if (info.size != 256 && info.size != 4096)
		return probe_broken(p, "configuration space has %llu bytes",
				    (unsigned long long)info.size);
	return PROBE_HOLDS;
}

static enum probe_verdict check_areas(struct probe *p, const uint8_t *reply,
				      size_t size)
{
	struct vfio_region_info info;
	struct vfio_region_info_cap_sparse_mmap sparse;
	struct vfio_region_sparse_mmap_area area;
	size_t at;

	memcpy(&info, reply, sizeof info);
	at = info.cap_offset;
	if (at < sizeof info || at > size || size - at < sizeof sparse)
		return probe_broken(p, "capabilities outside the reply");
	memcpy(&sparse, reply + at, sizeof sparse);
	if (sparse.header.id != VFIO_REGION_INFO_CAP_SPARSE_MMAP)
		return PROBE_HOLDS;
	at += sizeof sparse;
	for (uint32_t i = 0; i < sparse.nr_areas; i++, at += sizeof area) {
		if (i == SPARSE_LIMIT || at > size || size - at < sizeof area)
			return probe_broken(p, "areas outside the reply");
		memcpy(&area, reply + at, sizeof area);
		if (area.offset % PAGE || area.size % PAGE ||
		    area.offset > info.size ||
		    area.size > info.size - area.offset)
			return probe_broken(p, "area %llxh+%llxh",
					    (unsigned long long)area.offset,
					    (unsigned long long)area.size);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_vfio_user_region_areas(struct probe *p)
{
	enum probe_verdict verdict = PROBE_HOLDS;
	uint8_t reply[REPLY_ROOM];
	struct vfio_region_info info;
	bool has_some = false;
	size_t size;
	int fd;

	for (uint32_t i = 0;
	     i < VFIO_PCI_ROM_REGION_INDEX && verdict == PROBE_HOLDS; i++) {
		if (region_info(p, i, reply, &size) < 0)
			return probe_broken(p, "no reply for region %u", i);
		memcpy(&info, reply, sizeof info);
		if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP))
			continue;
		has_some = true;
		fd = host_take_fd(p->fn);
		if (fd < 0)
			return probe_broken(p, "region %u: no descriptor", i);
		close(fd);
		if (info.flags & VFIO_REGION_INFO_FLAG_CAPS)
			verdict = check_areas(p, reply, size);
	}
	return has_some ? verdict : probe_skip(p, "no region can be mapped");
}

enum probe_verdict probe_vfio_user_region_info_index(struct probe *p)
{
	struct vfio_region_info info = { .argsz = sizeof info,
					 .index = NO_REGION };

	return probe_want_refusal(p, ask(p, VFIO_USER_DEVICE_GET_REGION_INFO,
					 &info, sizeof info));
}

enum probe_verdict probe_vfio_user_region_info_argsz(struct probe *p)
{
	struct vfio_region_info info = { .argsz = sizeof info - 8 };

	return probe_want_refusal(p, ask(p, VFIO_USER_DEVICE_GET_REGION_INFO,
					 &info, sizeof info));
}

enum probe_verdict probe_vfio_user_region_read_index(struct probe *p)
{
	struct vfio_user_region_access access = { .region = NO_REGION,
						  .count = 4 };

	return probe_want_refusal(
		p, ask(p, VFIO_USER_REGION_READ, &access, sizeof access));
}

enum probe_verdict probe_vfio_user_short_message(struct probe *p)
{
	struct vfio_user_region_access access = { .region = HOST_CONFIG,
						  .count = 4 };

	return probe_want_refusal(
		p, ask(p, VFIO_USER_REGION_READ, &access, sizeof access - 8));
}

enum probe_verdict probe_vfio_user_write_count(struct probe *p)
{
	/* It says 64 bytes and brings none. */
	struct vfio_user_region_access access = { .region = HOST_CONFIG,
						  .count = 64 };

	return probe_want_refusal(
		p, ask(p, VFIO_USER_REGION_WRITE, &access, sizeof access));
}

enum probe_verdict probe_vfio_user_unknown_command(struct probe *p)
{
	return probe_want_refusal(p, ask(p, NO_COMMAND, NULL, 0));
}

enum probe_verdict probe_vfio_user_second_version(struct probe *p)
{
	struct vfio_user_version version = { 0 };

	return probe_want_refusal(
		p, ask(p, VFIO_USER_VERSION, &version, sizeof version));
}

enum probe_verdict probe_vfio_user_posted_write(struct probe *p)
{
	uint32_t aqa;

	host_set_quirks(p->fn, HOST_POSTED_WRITES);
	probe_set32(p, NVME_REG_AQA, 0x00050007);
	host_set_quirks(p->fn, 0);
	aqa = probe_get32(p, NVME_REG_AQA);
	return aqa == 0x00050007
		       ? PROBE_HOLDS
		       : probe_broken(p, "the register reads %08xh", aqa);
}

enum probe_verdict probe_vfio_user_write_many(struct probe *p)
{
	const struct host_store stores[] = {
		{ .offset = NVME_REG_AQA, .size = 4, .value = 0x00030003 },
		{ .offset = NVME_REG_ASQ, .size = 8, .value = 0x7000 },
		{ .offset = NVME_REG_AQA, .size = 4, .value = 0x00090004 },
	};
	int rc = host_write_many(p->fn, stores, RT_COUNT(stores));

	if (rc == -EOPNOTSUPP)
		return probe_skip(p, "not offered");
	if (rc < 0)
		return probe_failed(p, rc, "REGION_WRITE_MULTI");
	if (probe_get32(p, NVME_REG_AQA) != 0x00090004 ||
	    probe_get64(p, NVME_REG_ASQ) != 0x7000)
		return probe_broken(
			p, "AQA is %08xh and ASQ %llxh afterwards",
			probe_get32(p, NVME_REG_AQA),
			(unsigned long long)probe_get64(p, NVME_REG_ASQ));
	return PROBE_HOLDS;
}

/* --- Interrupts ----------------------------------------------------------- */

enum probe_verdict probe_vfio_user_irq_info(struct probe *p)
{
	struct vfio_irq_info info;
	size_t size;
	int rc;

	for (uint32_t i = 0; i <= VFIO_PCI_MSIX_IRQ_INDEX; i++) {
		info = (struct vfio_irq_info){ .argsz = sizeof info,
					       .index = i };
		size = sizeof info;
		rc = host_command(p->fn, VFIO_USER_DEVICE_GET_IRQ_INFO, &info,
				  sizeof info, NULL, 0, &info, &size);
		if (rc < 0 || size < sizeof info)
			return probe_failed(p, rc, "the reply");
		if (info.index != i)
			return probe_broken(p, "%u instead of %u", info.index,
					    i);
		if (info.count && !(info.flags & VFIO_IRQ_INFO_EVENTFD))
			return probe_broken(p, "kind %u takes no eventfd", i);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_vfio_user_irq_info_index(struct probe *p)
{
	struct vfio_irq_info info = { .argsz = sizeof info, .index = NO_IRQ };

	return probe_want_refusal(
		p, ask(p, VFIO_USER_DEVICE_GET_IRQ_INFO, &info, sizeof info));
}

static int set_irqs(struct probe *p, uint32_t flags, uint32_t index,
		    uint32_t start, uint32_t count)
{
	struct vfio_irq_set set = { .argsz = sizeof set,
				    .flags = flags,
				    .index = index,
				    .start = start,
				    .count = count };

	return ask(p, VFIO_USER_DEVICE_SET_IRQS, &set, sizeof set);
}

enum probe_verdict probe_vfio_user_set_irqs_index(struct probe *p)
{
	return probe_want_refusal(
		p,
		set_irqs(p,
			 VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
			 NO_IRQ, 0, 1));
}

enum probe_verdict probe_vfio_user_set_irqs_range(struct probe *p)
{
	uint32_t flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	uint32_t count = probe_irq_count(p, VFIO_PCI_MSIX_IRQ_INDEX);
	int rc;

	if (count == 0)
		return probe_skip(p, "no MSI-X");
	rc = set_irqs(p, flags, VFIO_PCI_MSIX_IRQ_INDEX, count, 1);
	if (rc >= 0)
		return probe_broken(p, "vector %u was taken", count);
	return probe_want_refusal(
		p, set_irqs(p, flags, VFIO_PCI_MSIX_IRQ_INDEX, UINT32_MAX, 2));
}

enum probe_verdict probe_vfio_user_set_irqs_flags(struct probe *p)
{
	return probe_want_refusal(
		p, set_irqs(p, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL,
			    VFIO_PCI_MSIX_IRQ_INDEX, 0, 1));
}

/* --- Memory --------------------------------------------------------------- */

static int dma_map(struct probe *p, uint64_t address, uint64_t size, int fd)
{
	struct vfio_user_dma_map map = {
		.argsz = sizeof map,
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.address = address,
		.size = size,
	};

	return host_command(p->fn, VFIO_USER_DMA_MAP, &map, sizeof map, &fd,
			    fd >= 0, NULL, NULL);
}

static int dma_unmap(struct probe *p, uint64_t address, uint64_t size)
{
	struct vfio_user_dma_unmap unmap = { .argsz = sizeof unmap,
					     .address = address,
					     .size = size };

	return ask(p, VFIO_USER_DMA_UNMAP, &unmap, sizeof unmap);
}

enum probe_verdict probe_vfio_user_dma_map_overlap(struct probe *p)
{
	int rc = dma_map(p, FAR_IOVA, 2 * PAGE, -1), again;

	if (rc < 0)
		return probe_failed(p, rc, "DMA_MAP");
	again = dma_map(p, FAR_IOVA + PAGE, 2 * PAGE, -1);
	(void)dma_unmap(p, FAR_IOVA, 2 * PAGE);
	if (again >= 0)
		(void)dma_unmap(p, FAR_IOVA + PAGE, 2 * PAGE);
	return probe_want_refusal(p, again);
}

enum probe_verdict probe_vfio_user_dma_map_wrap(struct probe *p)
{
	return probe_want_refusal(p,
				  dma_map(p, ~UINT64_C(0xfff), 2 * PAGE, -1));
}

enum probe_verdict probe_vfio_user_dma_unmap_unknown(struct probe *p)
{
	return probe_want_refusal(p, dma_unmap(p, FAR_IOVA, PAGE));
}

static int make_page(uint8_t **out)
{
	RT_FD int fd = memfd_create("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, PAGE) < 0)
		return -errno;
	*out = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return *out == MAP_FAILED ? -errno : rt_take_fd(&fd);
}

static int identify_into(struct probe *p, uint64_t iova)
{
	return probe_admin(p,
			   (struct probe_cmd){ .opcode = NVME_ADMIN_IDENTIFY,
					       .prp1 = iova,
					       .cdw10 = NVME_CNS_CONTROLLER });
}

/* The page is used once while it is there, and must not be afterwards. */
static enum probe_verdict use_and_take_away(struct probe *p, uint8_t *page)
{
	int rc = identify_into(p, FAR_IOVA), unmapped;

	unmapped = dma_unmap(p, FAR_IOVA, PAGE);
	if (rc != 0)
		return probe_failed(p, rc, "Identify into a second window");
	if (unmapped < 0)
		return probe_failed(p, unmapped, "DMA_UNMAP");
	if (le_load(page, 2) != p->scan.vendor)
		return probe_broken(p, "nothing arrived in a second window");
	memset(page, PROBE_FILL, PAGE);
	rc = identify_into(p, FAR_IOVA);
	for (size_t i = 0; i < PAGE; i++)
		if (page[i] != PROBE_FILL)
			return probe_broken(p, "it wrote to memory that it "
					       "was told to forget");
	return rc == 0 ? probe_broken(p, "Identify is said to have been done")
		       : PROBE_HOLDS;
}

enum probe_verdict probe_vfio_user_dma_unmap_ends_access(struct probe *p)
{
	enum probe_verdict verdict;
	uint8_t *page = MAP_FAILED;
	RT_FD int fd = make_page(&page);
	int rc = fd < 0 ? fd : dma_map(p, FAR_IOVA, PAGE, fd);

	if (rc < 0)
		return probe_failed(p, rc, "DMA_MAP");
	verdict = use_and_take_away(p, page);
	munmap(page, PAGE);
	return verdict;
}

/* --- The connection ------------------------------------------------------- */

enum probe_verdict probe_vfio_user_reconnect(struct probe *p)
{
	int rc = probe_reopen(p);
	uint32_t cc, csts;

	if (rc < 0) {
		p->is_hopeless = true;
		return probe_failed(p, rc, "connecting again");
	}
	cc = probe_get32(p, NVME_REG_CC);
	csts = probe_get32(p, NVME_REG_CSTS);
	return cc & 1 || csts & NVME_CSTS_RDY
		       ? probe_broken(p, "CC is %08xh, CSTS %08xh", cc, csts)
		       : PROBE_HOLDS;
}
