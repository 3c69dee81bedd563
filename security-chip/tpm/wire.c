/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending on a socket whose reader may be slow, or hostile.
 *
 * syscalls: sendto[4=0] poll
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "firmware/rt/clock.h"
#include "security-chip/tpm/private.h"

#define PATIENCE_MS 5000 /* for all of a message */

static uint64_t now_ms(void)
{
	const struct rt_clock clock = { 0 };

	return rt_clock_now_ns(&clock) / RT_NS_PER_MS;
}

static bool may_send(int fd, int end, uint64_t until_ms)
{
	struct pollfd fds[] = { { .fd = end, .events = POLLIN },
				{ .fd = fd, .events = POLLOUT } };
	uint64_t now;
	int count;

	do {
		now = now_ms();
		count = poll(fds, 2,
			     now < until_ms ? (int)(until_ms - now) : 0);
	} while (count < 0 && errno == EINTR);
	return count > 0 && !fds[0].revents && fds[1].revents & POLLOUT;
}

bool sec_tpm_send(int fd, int end, const uint8_t *bytes, size_t size)
{
	uint64_t until_ms = now_ms() + PATIENCE_MS;
	ssize_t sent;

	while (size) {
		sent = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			bytes += sent;
			size -= (size_t)sent;
		} else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
			return false;
		} else if (!may_send(fd, end, until_ms)) {
			return false;
		}
	}
	return true;
}
