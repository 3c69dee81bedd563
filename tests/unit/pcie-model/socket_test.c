/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/rt/scope.h"
#include "pcie-model/vfio-user/socket.h"
#include "tests/unit/pcie-model/rig.h"

/* As many descriptors as the kernel lets pass. */
Test(vfio_user_socket, takes_every_descriptor_that_came)
{
	unsigned int before = count_fds();
	int fds[VFIO_USER_KERNEL_FDS];
	struct vfio_user_fds got;
	char bytes[4];
	int ends[2];

	cr_assert(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	for (size_t i = 0; i < RT_COUNT(fds); i++)
		fds[i] = ends[0];
	rig.fd = ends[0];
	rig_send("abcd", 4, fds, RT_COUNT(fds));
	rig_send("ef", 2, NULL, 0);
	cr_expect_eq(vfio_user_receive(ends[1], bytes, 4, &got), 4);
	cr_expect_eq(got.count, VFIO_USER_KERNEL_FDS);
	cr_expect(!got.is_cut);
	cr_expect(fcntl(got.fds[252], F_GETFD) & FD_CLOEXEC);
	vfio_user_close_fds(&got);
	cr_expect_eq(vfio_user_receive(ends[1], bytes, 4, &got), 2);
	cr_expect_eq(got.count, 0);
	cr_expect_eq(vfio_user_receive(ends[1], bytes, 4, &got), -EAGAIN);
	cr_expect(!vfio_user_has_hung_up(ends[1]));
	close(ends[0]);
	cr_expect(vfio_user_has_hung_up(ends[1]));
	cr_expect_eq(vfio_user_receive(ends[1], bytes, 4, &got), 0);
	cr_expect_eq(vfio_user_send(ends[1], "x", 1, -1), -EPIPE);
	close(ends[1]);
	cr_expect_eq(count_fds(), before);
}
