/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How this card came to run: started and verified by nitro-rom, or by hand.
 * Main thread, but where it says otherwise.
 */
#ifndef SECURITY_CHIP_BOOT_BOOT_H
#define SECURITY_CHIP_BOOT_BOOT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */
struct rt_error;

/* The configuration that was measured; text is the caller's to free. */
struct sec_boot_config {
	char *name, *text;
	size_t size;
};

/*
 * Take what the first stage handed over, and hold it against what is here: the
 * log must have its stages in order, what it says of this program and of the
 * configuration must be so, and the certificates must be of it.  Then registers
 * and log go on from it. -EBADMSG: it is refused, and this process should end.
 */
int sec_boot_adopt(int fd, struct sec_boot_config *out, struct rt_error *error);

/*
 * Nobody has verified this card: measure that, this program and the
 * configuration.  The registers never become those of a verified card.
 */
int sec_boot_direct(const void *config, size_t size);

/* All functions serve: tell the first stage, which waits for it. */
void sec_boot_ready(void);

/* The user-mode network's program, borrowed; -1: none was handed over. */
int sec_boot_network(void);

/*
 * The alias key pair: another one for each device, firmware and configuration,
 * and certified to be theirs.  *out is the caller's.  -ENODEV: this card was
 * not verified, and *out is left alone; -EIO.  Any thread.
 */
int sec_boot_alias_key(struct evp_pkey_st **out);

/* The result of boot.status; the caller's. */
json_t *sec_boot_status(void);

/* Erases what is secret. */
void sec_boot_end(void);

#endif
