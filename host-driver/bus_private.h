/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a way to reach a function brings: a table of operations.  Each bus has
 * its own struct around struct host_function.
 */
#ifndef HOST_DRIVER_BUS_PRIVATE_H
#define HOST_DRIVER_BUS_PRIVATE_H

#include "firmware/rt/error.h"
#include "host-driver/address.h"
#include "host-driver/bus.h"
#include "host-driver/region.h"

/* BARs, ROM, configuration space, VGA. */
#define HOST_REGIONS 9u

/* Operations that a bus does not have are NULL. */
struct host_bus {
	const char *name;
	void (*close)(struct host_function *fn); /* fn's struct too */
	int (*read)(struct host_function *fn, unsigned int region,
		    uint64_t offset, void *data, size_t size);
	int (*write)(struct host_function *fn, unsigned int region,
		     uint64_t offset, const void *data, size_t size);
	int (*reset)(struct host_function *fn);
	/* Sets bytes, fd, page_bytes and pages; what was set is freed by
	 * host_memory_free() also when it fails. */
	int (*memory_make)(struct host_function *fn,
			   struct host_memory *memory);
	int (*memory_attach)(struct host_function *fn,
			     struct host_memory *memory);
	int (*memory_detach)(struct host_function *fn,
			     const struct host_memory *memory);
	/* fds NULL: flags say the rest (VFIO_IRQ_SET_*). */
	int (*irq_set)(struct host_function *fn, uint32_t flags,
		       unsigned int index, unsigned int start,
		       unsigned int count, const int *fds);
	int (*irq_count)(struct host_function *fn, unsigned int index,
			 unsigned int *out);
	int (*poll)(struct host_function *fn, int timeout_ms);
	pid_t (*peer_pid)(const struct host_function *fn);
};

struct host_function {
	const struct host_bus *bus;
	const char *name;
	struct host_options options; /* timeout_ms is never 0 */
	struct rt_error error;       /* see host_error() */
	struct host_region regions[HOST_REGIONS];
	struct host_dma_stats dma_stats;
};

/* What host_open() does once it knows the bus. */
int host_open_socket(const char *path, const struct host_options *options,
		     struct host_function **out, struct rt_error *error);
int host_open_vfio(const struct host_address *address,
		   const struct host_options *options,
		   struct host_function **out, struct rt_error *error);

/* Fill what every bus has; options may be NULL. */
void host_function_start(struct host_function *fn, const struct host_bus *bus,
			 const struct host_options *options);

#endif
