/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PCIe function seen from the host that drives it, reached through a
 * vfio-user socket.  One thread.  Blocking calls with a time-out; errors are
 * negative errnos: those of the server's reply as it gave them, -ECONNRESET
 * when it hung up, -ETIMEDOUT, -EPROTO when its reply is malformed.
 */
#ifndef HOST_DRIVER_BUS_H
#define HOST_DRIVER_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host_function;
struct rt_error;

/* Connect and negotiate.  path: a UNIX socket. */
int host_open(const char *path, struct host_function **out,
	      struct rt_error *error);
/* The same over a connected socket; takes fd. */
int host_open_fd(int fd, struct host_function **out, struct rt_error *error);
void host_close(struct host_function **fn);

/* Between two sends a program may have to let the device run: called while a
 * reply is awaited (a test that has device and driver on one thread). */
void host_set_idle(struct host_function *fn, void (*idle)(void *opaque),
		   void *opaque);

/* Regions 0 to 5: BARs; 7: configuration space. */
#define HOST_CONFIG 7
int host_region_size(struct host_function *fn, unsigned int region,
		     uint64_t *out);
int host_read(struct host_function *fn, unsigned int region, uint64_t offset,
	      void *data, size_t size);
int host_write(struct host_function *fn, unsigned int region, uint64_t offset,
	       const void *data, size_t size);
int host_read32(struct host_function *fn, unsigned int region, uint64_t offset,
		uint32_t *out);
int host_write32(struct host_function *fn, unsigned int region, uint64_t offset,
		 uint32_t value);
int host_reset(struct host_function *fn);

/*
 * Memory for DMA at an I/O virtual address.  is_shared: give the device the
 * descriptor; else it must use DMA messages, which are answered while a call of
 * this interface waits and in host_poll().
 */
struct host_memory {
	void *bytes;
	uint64_t iova, size;
	int fd;
	bool is_shared;
};
int host_memory_map(struct host_function *fn, uint64_t iova, uint64_t size,
		    bool is_shared, struct host_memory *out);
int host_memory_unmap(struct host_function *fn, struct host_memory *memory);

/* Interrupts: index as VFIO_PCI_*_IRQ_INDEX.  fds -1 de-assign. */
int host_irq_set(struct host_function *fn, unsigned int index,
		 unsigned int start, const int *fds, unsigned int count);

/* Serve what the device asks (DMA messages).  Returns how much was served. */
int host_poll(struct host_function *fn, int timeout_ms);

/* A raw vfio-user command, for tests of the protocol itself.  reply may be
 * NULL; *reply_size is its room and then the reply's payload size. */
int host_command(struct host_function *fn, uint16_t command,
		 const void *payload, size_t size, const int *fds,
		 unsigned int fd_count, void *reply, size_t *reply_size);

#endif
