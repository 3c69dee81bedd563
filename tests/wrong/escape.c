/* SPDX-License-Identifier: BSD-3-Clause */
/* What a card in a sandbox cannot do, tried when its status is asked for. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "firmware/card/methods.h"
#include "tests/wrong/wrong.h"

static const struct sockaddr_in discard = { .sin_family = AF_INET,
					    .sin_addr.s_addr = 0x0100007f,
					    .sin_port = 0x0900 };

/* By their numbers, so that no library of a sanitizer stands between. */
static long escape(void)
{
	const char *const words[] = { "true", NULL };
	static uint8_t sink[256];

	if (makes(M_escape_connect))
		return syscall(SYS_connect, 0, &discard, sizeof discard);
	if (makes(M_escape_send))
		return syscall(SYS_sendto, 0, words, 1, 0, &discard,
			       sizeof discard);
	if (makes(M_escape_execute))
		return syscall(SYS_execve, "/bin/true", words, NULL);
	if (makes(M_escape_read))
		return open("/etc/hostname", O_RDONLY | O_CLOEXEC);
	if (makes(M_escape_write))
		return open("volume.img", O_WRONLY | O_CLOEXEC);
	if (makes(M_escape_code))
		return syscall(SYS_mprotect, sink, 0, PROT_EXEC);
	if (makes(M_escape_ring))
		return syscall(SYS_io_uring_setup, 4, sink);
	return 0;
}

WRAP(void, card_method_card_status, struct card_call *call)
{
	long result = escape();

	if (result)
		fprintf(stderr, "escape: %s\n",
			result < 0 ? strerrorname_np(errno) : "done");
	__real_card_method_card_status(call);
}
