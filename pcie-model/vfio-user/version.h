/* SPDX-License-Identifier: BSD-3-Clause */
/* The JSON text of a VERSION message: what each side can do. */
#ifndef PCIE_MODEL_VFIO_USER_VERSION_H
#define PCIE_MODEL_VFIO_USER_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest text we read, and the longest that QEMU has room for; with NUL.
 */
#define VFIO_USER_TEXT_MAX       4096u
#define VFIO_USER_REPLY_TEXT_MAX 194u

struct vfio_user_capabilities {
	uint32_t max_msg_fds;
	uint32_t max_data_xfer_size;
	uint32_t max_dma_maps;
	uint64_t pgsizes;
	bool write_multiple;
	/* It names limits that came with DMA_READ in QEMU: it answers those. */
	bool names_dma_maps;
};

/*
 * Read a client's text of size bytes, the last of which is NUL; size 0: it sent
 * none.  What it does not name has the protocol's default.  -EINVAL: not JSON,
 * not an object, a wrong type or an impossible value.
 */
int vfio_user_capabilities_parse(const char *text, size_t size,
				 struct vfio_user_capabilities *out);

/* What both sides can do. */
void vfio_user_capabilities_meet(const struct vfio_user_capabilities *client,
				 struct vfio_user_capabilities *out);

/* Returns the length with NUL, at most VFIO_USER_REPLY_TEXT_MAX. */
size_t
vfio_user_capabilities_print(const struct vfio_user_capabilities *capabilities,
			     char text[VFIO_USER_REPLY_TEXT_MAX]);

#endif
