/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A torrent that is captured while the capture's thread writes: every frame is
 * in the file or counted, and the two buffers are never both threads'.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ena/port.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/loop.h"

#define FRAMES 20000u
#define BYTES  1500u

static unsigned int take_all(struct ena_port *port,
			     const struct ena_frame *frames, unsigned int count)
{
	(void)port;
	(void)frames;
	return count;
}

static const struct ena_port_type type = { .name = "sink",
					   .deliver = take_all };
static struct ena_port from = { .type = &type, .name = "from" };
static struct ena_port to = { .type = &type, .name = "to" };

static int send_all(struct rt_loop *loop)
{
	static uint8_t bytes[BYTES] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2 };
	struct iovec rest = { bytes + 64, BYTES - 64 };
	struct ena_frame frame = { .header = bytes,
				   .header_length = 64,
				   .length = BYTES,
				   .parts = &rest,
				   .part_count = 1 };

	for (unsigned int i = 0; i < FRAMES; i++) {
		bytes[100]++;
		if (ena_port_send(&from, &frame, 1) != 1)
			return 1;
		if (i % 256 == 0)
			rt_loop_step(loop, RT_NS_PER_MS);
	}
	return 0;
}

/* A packet block of such a frame has 44 bytes more; the rest is little. */
static int check_file(const char *path, uint64_t missing)
{
	uint64_t whole = (FRAMES - missing) * (BYTES + 44);
	struct stat status;

	if (stat(path, &status) || (uint64_t)status.st_size < whole ||
	    (uint64_t)status.st_size > whole + 400) {
		fprintf(stderr, "%lld bytes for %llu\n",
			(long long)status.st_size, (unsigned long long)whole);
		return 1;
	}
	return 0;
}

int main(void)
{
	char path[] = "/tmp/capture-race-XXXXXX";
	int fd = mkstemp(path), status = 1;
	struct ena_switch *lan;
	struct rt_loop *loop;
	uint64_t missing;

	if (fd < 0 || rt_loop_create(NULL, &loop) ||
	    ena_switch_get(loop, "lan", &lan) || ena_port_plug(&from, lan) ||
	    ena_port_plug(&to, lan) || ena_port_capture(&to, path, NULL))
		return 1;
	close(fd);
	status = send_all(loop);
	missing = to.capture_missing;
	ena_port_unplug(&from);
	ena_port_unplug(&to);
	if (!status)
		status = check_file(path, missing);
	unlink(path);
	ena_switch_put(&lan);
	rt_loop_destroy(&loop);
	return status;
}
