/* SPDX-License-Identifier: BSD-3-Clause */
/* A nitro-card of our own, which serves an image and a NIC to one guest. */
#ifndef FIRMWARE_CTL_PRIVATE_CARD_H
#define FIRMWARE_CTL_PRIVATE_CARD_H

#include <stdbool.h>

#include "firmware/ctl/child.h"

/* What the guest is to get. */
struct ctl_card {
	const char *image; /* the volume ebs0 */
	/* Where the NIC eth0 leads: user, tap:NAME or none for no NIC. */
	const char *nic;
	unsigned int cpus;
	const char *instance; /* whose TPM it has; NULL: none */
};

bool ctl_card_knows_nic(const char *nic);

/*
 * Start such a card, with sockets and log in folder.  True: it is ready.
 * False: it has been said why.
 */
bool ctl_card_start(struct ctl_child *child, const char *folder,
		    const struct ctl_card *card);

/* What it has logged, on our stderr: all of it, or only its complaints. */
void ctl_card_show_log(const char *folder, bool all);

#endif
