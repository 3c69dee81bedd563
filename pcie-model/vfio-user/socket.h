/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The UNIX stream socket under vfio-user: passing bytes with descriptors.  No
 * state of its own.
 */
#ifndef PCIE_MODEL_VFIO_USER_SOCKET_H
#define PCIE_MODEL_VFIO_USER_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What the kernel passes with one message, at most. */
#define VFIO_USER_KERNEL_FDS 253u

struct vfio_user_fds {
	int fds[VFIO_USER_KERNEL_FDS];
	unsigned int count;
	bool is_cut; /* some did not arrive */
};

/*
 * One recvmsg(): at most size bytes, and the descriptors that came with them
 * (close-on-exec, the caller's).  They belong to the last message that starts
 * in the bytes: the kernel ends a read after the bytes they were sent with.
 * Returns the number of bytes, 0 at the end, or a negative errno.
 */
ssize_t vfio_user_receive(int socket, void *bytes, size_t size,
			  struct vfio_user_fds *fds);
void vfio_user_close_fds(struct vfio_user_fds *fds);

/* One sendmsg(), with a descriptor unless it is -1. */
ssize_t vfio_user_send(int socket, const void *bytes, size_t size, int fd);

/* The process at the other end; 0: not known. */
pid_t vfio_user_peer(int socket);
bool vfio_user_has_hung_up(int socket);

#endif
