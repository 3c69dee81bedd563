/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "pcie-model/vfio-user/socket.h"
#include "tests/unit/pcie-model/rig.h"

static char folder[] = "/tmp/vfio_user_socket_XXXXXX";
static char path[64];

static void start(void)
{
	cr_assert(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/fn", folder);
}

static void stop(void)
{
	unlink(path);
	rmdir(folder);
}

TestSuite(vfio_user_socket, .init = start, .fini = stop);

Test(vfio_user_socket, is_for_its_owner_only)
{
	struct rt_error error;
	struct stat st;
	int fd;

	cr_assert_eq(vfio_user_listen(path, &fd, &error), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode, S_IFSOCK | 0600);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

Test(vfio_user_socket, replaces_a_dead_one_but_not_a_living_one)
{
	struct rt_error error;
	int first, second;

	cr_assert_eq(vfio_user_listen(path, &first, &error), 0);
	cr_expect_eq(vfio_user_listen(path, &second, &error), -EADDRINUSE);
	cr_expect(strstr(error.text, path));
	close(first);
	cr_expect_eq(vfio_user_listen(path, &second, &error), 0);
	close(second);
}

Test(vfio_user_socket, leaves_other_files_alone)
{
	struct rt_error error;
	struct stat st;
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);

	cr_expect_eq(vfio_user_listen(path, &fd, &error), -EEXIST);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect(S_ISREG(st.st_mode));
	close(fd);
}

Test(vfio_user_socket, says_what_is_wrong_with_a_path)
{
	struct rt_error error;
	char longest[200];
	int fd;

	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	cr_expect_eq(vfio_user_listen(longest, &fd, &error), -ENAMETOOLONG);
	cr_expect_eq(vfio_user_listen("/nowhere/at/all", &fd, &error), -ENOENT);
}

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
