/* SPDX-License-Identifier: BSD-3-Clause */
/* DER (X.690) from the inside out; libcrypto writes the heads. */
#include "security-chip/boot/tcb_info.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>
#include <string.h>

#define VENDOR "nitro-card"

/* Tags of DiceTcbInfo's members. */
enum { TCB_VENDOR, TCB_MODEL, TCB_VERSION, TCB_SVN, TCB_LAYER, TCB_FWIDS = 6 };

struct der {
	uint8_t bytes[SEC_TCB_INFO_BYTES];
	size_t used;
	bool is_full;
};

static void put(struct der *der, int is_constructed, int tag, int class,
		const void *content, size_t size)
{
	int whole = ASN1_object_size(is_constructed, (int)size, tag);
	uint8_t *at = der->bytes + der->used;

	if (der->is_full || (size_t)whole > sizeof der->bytes - der->used) {
		der->is_full = true;
		return;
	}
	ASN1_put_object(&at, is_constructed, (int)size, tag, class);
	memcpy(at, content, size);
	der->used += (size_t)whole;
}

static void put_all(struct der *der, int tag, int class,
		    const struct der *content)
{
	put(der, 1, tag, class, content->bytes, content->used);
	der->is_full |= content->is_full;
}

static void put_text(struct der *der, int tag, const char *text)
{
	put(der, 0, tag, V_ASN1_CONTEXT_SPECIFIC, text, strlen(text));
}

/* Of as few bytes as hold it and its sign (X.690 8.3). */
static void put_number(struct der *der, int tag, uint32_t value)
{
	uint8_t bytes[5] = { 0, (uint8_t)(value >> 24), (uint8_t)(value >> 16),
			     (uint8_t)(value >> 8), (uint8_t)value };
	size_t skip = 0;

	while (skip < 4 && !bytes[skip] && !(bytes[skip + 1] & 0x80))
		skip++;
	put(der, 0, tag, V_ASN1_CONTEXT_SPECIFIC, bytes + skip,
	    sizeof bytes - skip);
}

static void put_fwid(struct der *der, const uint8_t digest[SEC_DIGEST_BYTES])
{
	const ASN1_OBJECT *sha384 = OBJ_nid2obj(NID_sha384);
	struct der members = { 0 }, list = { 0 };

	put(&members, 0, V_ASN1_OBJECT, V_ASN1_UNIVERSAL, OBJ_get0_data(sha384),
	    OBJ_length(sha384));
	put(&members, 0, V_ASN1_OCTET_STRING, V_ASN1_UNIVERSAL, digest,
	    SEC_DIGEST_BYTES);
	put_all(&list, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, &members);
	put_all(der, TCB_FWIDS, V_ASN1_CONTEXT_SPECIFIC, &list);
}

static void put_layer(struct der *der, const struct sec_tcb *tcb,
		      enum sec_register n)
{
	struct der members = { 0 };

	put_text(&members, TCB_VENDOR, VENDOR);
	put_text(&members, TCB_MODEL, sec_register_name(n));
	if (n == SEC_REGISTER_FIRMWARE) {
		put_text(&members, TCB_VERSION, tcb->version);
		put_number(&members, TCB_SVN, tcb->svn);
	}
	put_number(&members, TCB_LAYER, n);
	put_fwid(&members, tcb->registers[n]);
	put_all(der, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, &members);
}

size_t sec_tcb_info(const struct sec_tcb *tcb, uint8_t out[SEC_TCB_INFO_BYTES])
{
	struct der layers = { 0 }, whole = { 0 };

	if (strlen(tcb->version) >= SEC_VERSION_TEXT)
		return 0;
	for (unsigned int n = SEC_REGISTER_ROM; n <= SEC_REGISTER_CONFIG; n++)
		put_layer(&layers, tcb, n);
	put_all(&whole, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, &layers);
	memcpy(out, whole.bytes, whole.used);
	return whole.is_full ? 0 : whole.used;
}
