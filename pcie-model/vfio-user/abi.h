/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user protocol on the wire, as in QEMU's docs/interop/vfio-user.rst.
 * A stream socket between two programs of one host: integers are in the host's
 * byte order.  Payloads that are those of VFIO come from <linux/vfio.h>.
 */
#ifndef PCIE_MODEL_VFIO_USER_ABI_H
#define PCIE_MODEL_VFIO_USER_ABI_H

#include <assert.h>
#include <linux/vfio.h>
#include <stddef.h>
#include <stdint.h>

#define VFIO_USER_MAJOR 0
#define VFIO_USER_MINOR 2

enum vfio_user_command {
	VFIO_USER_VERSION = 1,
	VFIO_USER_DMA_MAP = 2,
	VFIO_USER_DMA_UNMAP = 3,
	VFIO_USER_DEVICE_GET_INFO = 4,
	VFIO_USER_DEVICE_GET_REGION_INFO = 5,
	VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6,
	VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
	VFIO_USER_DEVICE_SET_IRQS = 8,
	VFIO_USER_REGION_READ = 9,
	VFIO_USER_REGION_WRITE = 10,
	VFIO_USER_DMA_READ = 11,  /* from the server */
	VFIO_USER_DMA_WRITE = 12, /* from the server */
	VFIO_USER_DEVICE_RESET = 13,
	VFIO_USER_REGION_WRITE_MULTI = 15,
	VFIO_USER_DEVICE_FEATURE = 16,
	VFIO_USER_MIG_DATA_READ = 17,
	VFIO_USER_MIG_DATA_WRITE = 18,
};

/* Fields of vfio_user_header.flags. */
#define VFIO_USER_TYPE         0xfu
#define VFIO_USER_TYPE_COMMAND 0u
#define VFIO_USER_TYPE_REPLY   1u
#define VFIO_USER_NO_REPLY     0x10u
#define VFIO_USER_ERROR        0x20u

struct vfio_user_header {
	uint16_t id; /* the sender's; the reply carries it back */
	uint16_t command;
	uint32_t size; /* with this header */
	uint32_t flags;
	uint32_t error; /* positive errno, with VFIO_USER_ERROR */
};
static_assert(sizeof(struct vfio_user_header) == 16, "vfio-user header");

/* Request and reply; a JSON text with its NUL may follow. */
struct vfio_user_version {
	uint16_t major, minor;
};
static_assert(sizeof(struct vfio_user_version) == 4, "VERSION");

struct vfio_user_dma_map {
	uint32_t argsz;
	uint32_t flags; /* VFIO_DMA_MAP_FLAG_READ, _WRITE */
	uint64_t offset, address, size;
};
static_assert(sizeof(struct vfio_user_dma_map) == 32, "DMA_MAP");

/* Newer clients say how they would like the descriptor to be used. */
#define VFIO_USER_DMA_MAP_MMAP    4u
#define VFIO_USER_DMA_MAP_FILE_IO 8u

/* Request and reply; flags as VFIO_DMA_UNMAP_FLAG_*. */
struct vfio_user_dma_unmap {
	uint32_t argsz, flags;
	uint64_t address, size;
};
static_assert(sizeof(struct vfio_user_dma_unmap) == 24, "DMA_UNMAP");

/* The first 16 bytes of struct vfio_device_info. */
struct vfio_user_device_info {
	uint32_t argsz;
	uint32_t flags; /* VFIO_DEVICE_FLAGS_* */
	uint32_t num_regions, num_irqs;
};
static_assert(sizeof(struct vfio_user_device_info) == 16, "GET_INFO");

static_assert(sizeof(struct vfio_region_info) == 32, "GET_REGION_INFO");
static_assert(sizeof(struct vfio_region_info_cap_sparse_mmap) == 16 &&
		      sizeof(struct vfio_region_sparse_mmap_area) == 16,
	      "GET_REGION_INFO capability");
static_assert(sizeof(struct vfio_irq_info) == 16, "GET_IRQ_INFO");
static_assert(sizeof(struct vfio_irq_set) == 20, "SET_IRQS");
static_assert(sizeof(struct vfio_device_feature) == 8, "DEVICE_FEATURE");

/* Request and the start of the reply. */
struct vfio_user_region_io_fds {
	uint32_t argsz, flags, index, count;
};
static_assert(sizeof(struct vfio_user_region_io_fds) == 16, "IO_FDS");

/* REGION_READ and REGION_WRITE, request and reply; data may follow. */
struct vfio_user_region_access {
	uint64_t offset;
	uint32_t region, count;
};
static_assert(sizeof(struct vfio_user_region_access) == 16, "REGION_*");

/* REGION_WRITE_MULTI: a uint64_t count, then so many of these. */
struct vfio_user_multi_write {
	uint64_t offset;
	uint32_t region, count; /* of data, 1 to 8 */
	uint8_t data[8];
};
static_assert(sizeof(struct vfio_user_multi_write) == 24, "WRITE_MULTI");

/* DMA_READ and DMA_WRITE, request and reply; data may follow. */
struct vfio_user_dma_access {
	uint64_t address, count;
};
static_assert(sizeof(struct vfio_user_dma_access) == 16, "DMA_READ, DMA_WRITE");

/* Region indexes are those of vfio-pci: BARs, ROM, configuration, VGA. */
#define VFIO_USER_REGIONS 9u
#define VFIO_USER_IRQS    5u

#endif
