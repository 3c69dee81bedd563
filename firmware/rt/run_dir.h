/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a card's sockets and state are when nobody says so. */
#ifndef FIRMWARE_RT_RUN_DIR_H
#define FIRMWARE_RT_RUN_DIR_H

#include <stddef.h>

/*
 * /run/nitro-card for root; otherwise $XDG_RUNTIME_DIR/nitro-card, or
 * /tmp/nitro-card-UID.  -ENAMETOOLONG: it does not fit.
 */
int rt_run_dir(char *path, size_t size);

/*
 * Where an installation keeps its keys and logs: $STATE_DIRECTORY, as systemd
 * sets it; /var/lib/nitro-card for root; otherwise $XDG_STATE_HOME/nitro-card,
 * which is ~/.local/state/nitro-card.  -ENAMETOOLONG: it does not fit; -ENOENT:
 * this user has no home.
 */
int rt_state_dir(char *path, size_t size);

/* Make the directories above path that are missing.  A negative errno or 0. */
int rt_make_dirs(const char *path);

#endif
