/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio-user server that a test makes up: it runs whenever the client waits,
 * on the same thread, and answers what the test wants it to.
 */
#ifndef TESTS_UNIT_HOST_DRIVER_FAKE_SERVER_H
#define TESTS_UNIT_HOST_DRIVER_FAKE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-driver/bus.h"
#include "pcie-model/vfio-user/abi.h"

/* The mappable area of BAR 0, which has two pages. */
#define FAKE_AREA 0x1000u

struct fake_server {
	int fd;                   /* the server's end; -1: it has hung up */
	int bar_fd;               /* -1: BAR 0 is not mappable */
	const char *version_text; /* NULL: none */
	uint16_t failing;         /* a command that is answered with ... */
	uint32_t errno_value;     /* ... this */
	uint16_t mute;            /* a command at which it hangs up */
	unsigned int commands[32];
	struct vfio_user_dma_map map;           /* the last */
	bool had_fd;                            /* with it */
	uint32_t irq_start, irq_count, irq_fds; /* of the last SET_IRQS */
};

/* The client's end; the caller's to open with host_open_fd(). */
int fake_server_start(struct fake_server *s);
void fake_server_stop(struct fake_server *s);
/* For struct host_options. */
void fake_server_run(void *opaque);

#endif
