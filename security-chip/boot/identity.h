/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who a verified card is (TCG DICE Attestation Architecture 1.1): the device's
 * certificate, which stays, signs that of the alias key, which is another one
 * for other measurements and says what was measured.
 *
 *   UDS ─► device key ─ signs itself, and ─► alias certificate: alias key,
 *   UDS + measurements ─► CDI ─► alias key    MultiTcbInfo
 *
 * Both never end (RFC 5280 4.1.2.5), and are the same at each start but for
 * their signatures.  Any thread.
 */
#ifndef SECURITY_CHIP_BOOT_IDENTITY_H
#define SECURITY_CHIP_BOOT_IDENTITY_H

#include <jansson.h>

#include "security-chip/attest/abi.h"
#include "security-chip/boot/dice.h"
#include "security-chip/boot/tcb_info.h"

/* Flat, and part of the hand-over. */
struct sec_identity {
	uint32_t device_size, alias_size;
	uint8_t device[SEC_CERTIFICATE_BYTES], alias[SEC_CERTIFICATE_BYTES];
};

/*
 * The first stage's: who has the device's secret makes both.  tcb NULL: the
 * device's alone.  0 or -EIO.
 */
int sec_identity_make(const uint8_t uds[SEC_UDS_BYTES],
		      const uint8_t cdi[SEC_CDI_BYTES],
		      const struct sec_tcb *tcb, struct sec_identity *out);

/*
 * NULL: the certificates are in order, the alias is the CDI's, and they speak
 * of what was measured.  Otherwise what is wrong, as the end of a sentence.
 */
const char *sec_identity_fault(const struct sec_identity *identity,
			       const uint8_t cdi[SEC_CDI_BYTES],
			       const struct sec_tcb *tcb);

/*
 * Add to an object: device and identity, the public keys in hexadecimal, and
 * certificates, both of them as PEM.  Without an alias, the device's alone.
 */
void sec_identity_tell(const struct sec_identity *identity, json_t *object);

#endif
