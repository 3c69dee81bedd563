/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory for a device that the kernel's VFIO gave us. */
#ifndef HOST_DRIVER_VFIO_MEMORY_H
#define HOST_DRIVER_VFIO_MEMORY_H

#include <stdbool.h>

struct host_memory;
struct rt_error;

/*
 * Anonymous memory: huge pages if is_huge and there are any.  With is_physical
 * it is locked, and page_bytes and pages are filled.
 */
int host_vfio_memory_make(struct host_memory *memory, bool is_huge,
			  bool is_physical, struct rt_error *error);

#endif
