/* SPDX-License-Identifier: BSD-3-Clause */
/* A nitro-card of our own, which serves one image to one guest. */
#ifndef FIRMWARE_CTL_PRIVATE_CARD_H
#define FIRMWARE_CTL_PRIVATE_CARD_H

#include <stdbool.h>

#include "firmware/ctl/child.h"

/*
 * Serve image as the volume ebs0 to a guest of so many processors, with sockets
 * and log in folder.  True: its control socket is there.  False: it has been
 * said why.
 */
bool ctl_card_start(struct ctl_child *card, const char *folder,
		    const char *image, unsigned int cpus);

/* What it has logged, on our stderr: all of it, or only its complaints. */
void ctl_card_show_log(const char *folder, bool all);

#endif
