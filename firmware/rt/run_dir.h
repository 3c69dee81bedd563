/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a card's sockets are when nobody says so: nitro-card and nitroctl. */
#ifndef FIRMWARE_RT_RUN_DIR_H
#define FIRMWARE_RT_RUN_DIR_H

#include <stddef.h>

/*
 * /run/nitro-card for root; otherwise $XDG_RUNTIME_DIR/nitro-card, or
 * /tmp/nitro-card-UID.  -ENAMETOOLONG: it does not fit.
 */
int rt_run_dir(char *path, size_t size);

#endif
