/* SPDX-License-Identifier: BSD-3-Clause */
/* What QEMU needs to be told, and which QEMU that is. */
#ifndef FIRMWARE_CTL_QEMU_H
#define FIRMWARE_CTL_QEMU_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "firmware/ctl/argv.h"

/* The first release whose vfio-user-pci works: 10.1. */
#define CTL_QEMU_MAJOR 10
#define CTL_QEMU_MINOR 1

/* Guest memory of that many bytes, shared so that the card can reach it. */
void ctl_qemu_add_memory(struct ctl_argv *argv, uint64_t bytes);

/*
 * The devices of function.list's functions.  as_ec2: at the slots where EC2
 * has its volumes, 00:04.0 and from 00:1e.0 down, and its NICs, from 00:05.0
 * up.
 */
void ctl_qemu_add_devices(struct ctl_argv *argv, const json_t *functions,
			  bool as_ec2);

/*
 * The TPM that card.status tells of, behind a command response buffer as on
 * EC2.  False: the card has none.
 */
bool ctl_qemu_add_tpm(struct ctl_argv *argv, const json_t *card);

/* An instance's id, "i-0" and 16 digits: always the same for a name. */
#define CTL_INSTANCE_BYTES 24
void ctl_qemu_name_instance(const char *name, char id[CTL_INSTANCE_BYTES]);

/* EC2's SMBIOS identity; name makes the instance's id. */
void ctl_qemu_add_identity(struct ctl_argv *argv, const char *name);

struct ctl_qemu {
	char path[4096];
	char version[32]; /* "11.1.2" */
};

/*
 * Find a QEMU that is new enough: given (NULL: none), $NITRO_QEMU, $PATH, what
 * ./run has put into the cache.  False: it has been said why.
 */
bool ctl_qemu_find(const char *given, struct ctl_qemu *out);

/*
 * Find UEFI firmware: $NITRO_OVMF, the distribution's places, the cache.
 * False: there is none.
 */
bool ctl_ovmf_find(char *path, size_t size);

/* Does KVM run an ordinary guest here?  Takes some milliseconds. */
bool ctl_kvm_works(void);

#endif
