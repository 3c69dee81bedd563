/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PCIe function seen from the host that drives it, reached through a
 * vfio-user socket or through the kernel's VFIO.  One thread.  Blocking calls
 * with a time-out.
 *
 * Errors are negative errnos.  From a socket: those of the server's reply as
 * it gave them, -ECONNRESET when it hung up, -ETIMEDOUT, -EPROTO when its reply
 * is malformed.  From the kernel: those of its calls; -EIO when the device
 * reported an error that it does not recover from, -ENODEV when the kernel asks
 * for the device back.  -EOPNOTSUPP: this way to reach it does not have that.
 */
#ifndef HOST_DRIVER_BUS_H
#define HOST_DRIVER_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct host_function;
struct rt_error;

/* What a client may do differently from QEMU with shared guest memory. */
enum host_quirk {
	/* BAR writes ask for no reply, as QEMU's do. */
	HOST_POSTED_WRITES = 1u << 0,
	/* Our bytes of shared memory are a private copy: QEMU with share=off,
	 * which hands over the descriptor all the same. */
	HOST_PRIVATE_MEMORY = 1u << 1,
	/* DMA messages are never answered. */
	HOST_MUTE_DMA = 1u << 2,
	/* DMA messages are answered with an error. */
	HOST_REFUSE_DMA = 1u << 3,
	/* A DMA_WRITE is answered with a bare header, as QEMU 10.1 does. */
	HOST_BARE_DMA_REPLY = 1u << 4,
	/* DMA_READs are answered with one byte less than asked. */
	HOST_SHORT_DMA_REPLY = 1u << 5,
	/* VERSION without capabilities, as SPDK's client sends it. */
	HOST_NO_CAPABILITIES = 1u << 6,
	/* No region is mapped, whatever the device offers. */
	HOST_NO_REGION_MAPS = 1u << 7,
	/* Memory is of small pages even where there are huge ones. */
	HOST_SMALL_PAGES = 1u << 8,
};

/* A zeroed one is QEMU's way. */
struct host_options {
	/* Called while a reply is awaited: lets a device run that lives on the
	 * same thread. */
	void (*idle)(void *opaque);
	void *opaque;
	unsigned int timeout_ms; /* 0: 5000 */
	unsigned int quirks;     /* of enum host_quirk */
};

/*
 * Reach the function at an address, which is one of
 *
 *   vfio-user:PATH      a UNIX socket; anything with a '/' is one, too.  In a
 *                       directory the socket is called "cntrl".
 *   vfio:0000:00:04.0   a PCI function of this machine, bound to vfio-pci; the
 *                       bare PCI address will do, with or without its domain.
 *   vfio-group:…        the same, and through /dev/vfio/GROUP only,
 *   vfio-cdev:…         or through /dev/vfio/devices and /dev/iommu only.
 *
 * options may be NULL.
 */
int host_open(const char *address, const struct host_options *options,
	      struct host_function **out, struct rt_error *error);
/* The same over a connected vfio-user socket; takes fd. */
int host_open_fd(int fd, const struct host_options *options,
		 struct host_function **out, struct rt_error *error);
/* Mappings of regions go with it; memory stays until it is freed. */
void host_close(struct host_function **fn);
/* "vfio-user", "vfio group", "vfio no-IOMMU", "vfio cdev". */
const char *host_bus_name(const struct host_function *fn);
/*
 * What was wrong when memory was refused or the function was lost, in words;
 * its text is empty when there is nothing to say.
 */
const struct rt_error *host_error(const struct host_function *fn);
/* The process at the other end of a socket; 0: not a process, or unknown. */
pid_t host_peer_pid(const struct host_function *fn);

void host_set_idle(struct host_function *fn, void (*idle)(void *opaque),
		   void *opaque);
void host_set_quirks(struct host_function *fn, unsigned int quirks);
void host_set_timeout(struct host_function *fn, unsigned int timeout_ms);

/* Regions 0 to 5: BARs; 7: configuration space. */
#define HOST_CONFIG 7
int host_region_size(struct host_function *fn, unsigned int region,
		     uint64_t *out);
/*
 * A pointer to a part of a region, for loads and stores without a call.  It
 * lives as long as fn.  -EOPNOTSUPP: the device does not offer that part.
 */
int host_region_map(struct host_function *fn, unsigned int region,
		    uint64_t offset, uint64_t size, volatile void **out);
int host_read(struct host_function *fn, unsigned int region, uint64_t offset,
	      void *data, size_t size);
int host_write(struct host_function *fn, unsigned int region, uint64_t offset,
	       const void *data, size_t size);
int host_read32(struct host_function *fn, unsigned int region, uint64_t offset,
		uint32_t *out);
int host_write32(struct host_function *fn, unsigned int region, uint64_t offset,
		 uint32_t value);
int host_read64(struct host_function *fn, unsigned int region, uint64_t offset,
		uint64_t *out);
int host_write64(struct host_function *fn, unsigned int region, uint64_t offset,
		 uint64_t value);
int host_reset(struct host_function *fn);

/* Memory space and bus mastering on, and bus mastering off again. */
int host_turn_on(struct host_function *fn);
int host_turn_off(struct host_function *fn);

/* Several stores in one REGION_WRITE_MULTI: what QEMU does under pressure. */
struct host_store {
	uint64_t offset;
	uint32_t region, size; /* size: at most 8 */
	uint64_t value;
};
int host_write_many(struct host_function *fn, const struct host_store *stores,
		    size_t count);

/* The offset of a capability in configuration space; 0: absent. */
unsigned int host_capability(struct host_function *fn, uint8_t id);

/*
 * Memory for DMA at an I/O virtual address.  is_shared: give the device the
 * descriptor; else it must use DMA messages, which are answered while a call of
 * this interface waits and in host_poll().  The kernel's VFIO maps memory in
 * one way and takes no notice of it.
 *
 * Without an IOMMU the device uses physical addresses and pages lie where they
 * lie: iova is then no address, and host_memory_iova() tells where a byte is.
 */
struct host_memory {
	void *bytes;
	uint64_t iova, size;
	int fd;
	bool is_shared;
	/* Aligned stretches of this size are contiguous for the device: the
	 * whole memory, or a page of it. */
	uint64_t page_bytes;
	struct host_pages *pages; /* NULL: contiguous */
};
int host_memory_map(struct host_function *fn, uint64_t iova, uint64_t size,
		    bool is_shared, struct host_memory *out);
/* The device's address of a byte of the memory. */
uint64_t host_memory_iova(const struct host_memory *memory, uint64_t offset);
/* The byte at a device's address; NULL: it is not of this memory. */
void *host_memory_at(const struct host_memory *memory, uint64_t iova);
/* Lets the memory go also when the device refuses. */
int host_memory_unmap(struct host_function *fn, struct host_memory *memory);

/*
 * A driver that lives longer than its connection: the memory stays when fn is
 * closed, and is given to the device again through another.
 */
int host_memory_attach(struct host_function *fn, struct host_memory *memory);
void host_memory_free(struct host_memory *memory);

/* Interrupts: index as VFIO_PCI_*_IRQ_INDEX.  fds NULL: de-assign. */
int host_irq_set(struct host_function *fn, unsigned int index,
		 unsigned int start, const int *fds, unsigned int count);
/* All of the index off (DATA_NONE, TRIGGER, count 0). */
int host_irq_disable(struct host_function *fn, unsigned int index);
int host_irq_unmask(struct host_function *fn, unsigned int index);
int host_irq_count(struct host_function *fn, unsigned int index,
		   unsigned int *out);

/*
 * MSI-X with an eventfd for each of the first count vectors: assigned, and then
 * turned on in configuration space, which the kernel does by itself.  Before
 * a queue is made that interrupts.  -EOPNOTSUPP: the function has no MSI-X.
 */
int host_msix_enable(struct host_function *fn, const int *fds,
		     unsigned int count);
int host_msix_disable(struct host_function *fn);

/* Serve what the device asks (DMA messages).  Returns how much was served, or
 * that the function is lost. */
int host_poll(struct host_function *fn, int timeout_ms);

/* What the device asked by message so far. */
struct host_dma_stats {
	uint64_t reads, writes, refused, bytes, largest;
};
const struct host_dma_stats *host_dma_stats(const struct host_function *fn);

/* A raw vfio-user command, for tests of the protocol itself.  reply may be
 * NULL; *reply_size is its room and then the reply's payload size.  The
 * reply's descriptors wait in host_take_fd() until the next command. */
int host_command(struct host_function *fn, uint16_t command,
		 const void *payload, size_t size, const int *fds,
		 unsigned int fd_count, void *reply, size_t *reply_size);
int host_take_fd(struct host_function *fn); /* -1: no more */

#endif
