/* SPDX-License-Identifier: BSD-3-Clause */
/* Sending on a socket whose reader may be slow, or hostile. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "security-chip/tpm/private.h"

#define PATIENCE_MS 5000

static bool may_send(int fd, int end)
{
	struct pollfd fds[] = { { .fd = end, .events = POLLIN },
				{ .fd = fd, .events = POLLOUT } };
	int count;

	do
		count = poll(fds, 2, PATIENCE_MS);
	while (count < 0 && errno == EINTR);
	return count > 0 && !fds[0].revents && fds[1].revents & POLLOUT;
}

bool sec_tpm_send(int fd, int end, const uint8_t *bytes, size_t size)
{
	ssize_t sent;

	while (size) {
		sent = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			bytes += sent;
			size -= (size_t)sent;
		} else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
			return false;
		} else if (!may_send(fd, end)) {
			return false;
		}
	}
	return true;
}
