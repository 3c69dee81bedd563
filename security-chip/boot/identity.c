/* SPDX-License-Identifier: BSD-3-Clause */
#include "security-chip/boot/identity.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "security-chip/attest/certificate.h"
#include "security-chip/boot/report.h"

/* 2026-01-01 00:00:00 to 9999-12-31 23:59:59. */
#define FROM_S INT64_C(1767225600)
#define TO_S   INT64_C(253402300799)

/* tcg-dice-kp-: what a key is for. */
#define IDENTITY_INIT "2.23.133.5.4.100.6"
#define ATTEST_LOCAL  "2.23.133.5.4.100.9"
#define EMBEDDED_CA   "2.23.133.5.4.100.12"

/* ---- Making ---- */

/* Name and number come from the key, so that they are the same each time. */
static int issue(struct sec_certificate_plan *plan, const char *what,
		 const struct sec_certificate *issuer,
		 struct sec_certificate *out)
{
	uint8_t point[SEC_POINT_BYTES], digest[SEC_DIGEST_BYTES];
	char common[40];
	const struct sec_name_part name[] = { { "O", "nitro-card" },
					      { "OU", "Simulated" },
					      { "CN", common },
					      { 0 } };
	int length = snprintf(common, sizeof common, "%s ", what);
	int status = sec_key_point(out->key, point);

	if (!status)
		status = sec_digest(point, sizeof point, digest);
	if (status)
		return status;
	for (size_t i = 0; i < 8; i++)
		length += snprintf(common + length,
				   sizeof common - (size_t)length, "%02x",
				   digest[i]);
	plan->subject = name;
	plan->not_before_s = FROM_S;
	plan->not_after_s = TO_S;
	plan->subject_key = "hash";
	plan->key_usage = "critical,keyCertSign";
	memcpy(plan->serial, digest, sizeof plan->serial);
	plan->serial[0] = (plan->serial[0] & 0x7f) | 0x40;
	return sec_certificate_issue(plan, issuer, out);
}

static int make_device(const uint8_t uds[SEC_UDS_BYTES],
		       struct sec_certificate *out)
{
	struct sec_certificate_plan plan = {
		.constraints = "critical,CA:TRUE,pathlen:1",
		.purposes = IDENTITY_INIT "," EMBEDDED_CA,
	};
	int status = sec_dice_device_key(uds, &out->key);

	return status ? status : issue(&plan, "device", NULL, out);
}

static int make_alias(const uint8_t cdi[SEC_CDI_BYTES],
		      const struct sec_tcb *tcb,
		      const struct sec_certificate *device,
		      struct sec_certificate *out)
{
	uint8_t info[SEC_TCB_INFO_BYTES];
	struct sec_certificate_plan plan = {
		.constraints = "critical,CA:TRUE,pathlen:0",
		.purposes = ATTEST_LOCAL "," EMBEDDED_CA,
		.issuer_key = "keyid:always",
		.other = { SEC_TCB_INFO_OID, info, sec_tcb_info(tcb, info) },
	};
	int status =
		plan.other.size ? sec_dice_alias_key(cdi, &out->key) : -EIO;

	return status ? status : issue(&plan, "alias", device, out);
}

static uint32_t copy_out(const struct sec_certificate *certificate,
			 uint8_t out[SEC_CERTIFICATE_BYTES])
{
	memcpy(out, certificate->der, certificate->size);
	return (uint32_t)certificate->size;
}

int sec_identity_make(const uint8_t uds[SEC_UDS_BYTES],
		      const uint8_t cdi[SEC_CDI_BYTES],
		      const struct sec_tcb *tcb, struct sec_identity *out)
{
	struct sec_certificate device = { 0 }, alias = { 0 };
	int status = make_device(uds, &device);

	memset(out, 0, sizeof *out);
	if (!status && tcb)
		status = make_alias(cdi, tcb, &device, &alias);
	if (!status) {
		out->device_size = copy_out(&device, out->device);
		out->alias_size = copy_out(&alias, out->alias);
	}
	sec_certificate_clear(&alias);
	sec_certificate_clear(&device);
	return status;
}

/* ---- Checking ---- */

static bool take(const uint8_t *der, uint32_t size, struct sec_certificate *out)
{
	if (!size || size > SEC_CERTIFICATE_BYTES)
		return false;
	memcpy(out->der, der, size);
	out->size = size;
	return !sec_certificate_read(out);
}

static bool is_signed_by(const struct sec_certificate *certificate,
			 const struct sec_certificate *issuer)
{
	return X509_check_issued(issuer->x509, certificate->x509) ==
		       X509_V_OK &&
	       X509_verify(certificate->x509, X509_get0_pubkey(issuer->x509)) ==
		       1;
}

static bool is_of_cdi(const struct sec_certificate *alias,
		      const uint8_t cdi[SEC_CDI_BYTES])
{
	const EVP_PKEY *theirs = X509_get0_pubkey(alias->x509);
	EVP_PKEY *key = NULL;
	bool is_it = theirs && !sec_dice_alias_key(cdi, &key) &&
		     EVP_PKEY_eq(theirs, key) == 1;

	EVP_PKEY_free(key);
	return is_it;
}

static bool speaks_of(const struct sec_certificate *alias,
		      const struct sec_tcb *tcb)
{
	ASN1_OBJECT *oid = OBJ_txt2obj(SEC_TCB_INFO_OID, 1);
	uint8_t info[SEC_TCB_INFO_BYTES];
	size_t size = sec_tcb_info(tcb, info);
	int at = X509_get_ext_by_OBJ(alias->x509, oid, -1);
	bool is_one = at >= 0 && X509_get_ext_by_OBJ(alias->x509, oid, at) < 0;
	const ASN1_OCTET_STRING *data =
		is_one ? X509_EXTENSION_get_data(X509_get_ext(alias->x509, at))
		       : NULL;

	ASN1_OBJECT_free(oid);
	return data && size && (size_t)ASN1_STRING_length(data) == size &&
	       !memcmp(ASN1_STRING_get0_data(data), info, size);
}

static const char *fault_of(const struct sec_certificate *device,
			    const struct sec_certificate *alias,
			    const uint8_t cdi[SEC_CDI_BYTES],
			    const struct sec_tcb *tcb)
{
	if (!is_signed_by(device, device) || !is_signed_by(alias, device))
		return "its certificates do not hang together";
	if (!is_of_cdi(alias, cdi))
		return "its certificate is not that of its secret";
	return speaks_of(alias, tcb)
		       ? NULL
		       : "its certificate speaks of other measurements";
}

const char *sec_identity_fault(const struct sec_identity *identity,
			       const uint8_t cdi[SEC_CDI_BYTES],
			       const struct sec_tcb *tcb)
{
	struct sec_certificate device = { 0 }, alias = { 0 };
	bool are_some =
		take(identity->device, identity->device_size, &device) &&
		take(identity->alias, identity->alias_size, &alias);
	const char *fault = are_some ? fault_of(&device, &alias, cdi, tcb)
				     : "its certificates are none";

	sec_certificate_clear(&alias);
	sec_certificate_clear(&device);
	return fault;
}

/* ---- Telling ---- */

static void tell(json_t *object, const char *key, json_t *certificates,
		 const char *name, const uint8_t *der, uint32_t size)
{
	struct sec_certificate certificate = { 0 };
	uint8_t point[SEC_POINT_BYTES];
	RT_FREE char *pem = NULL;

	if (take(der, size, &certificate) &&
	    !sec_key_point(X509_get0_pubkey(certificate.x509), point) &&
	    !sec_certificate_pem(&certificate, &pem)) {
		json_object_set_new(object, key,
				    sec_report_hex(point, sizeof point));
		json_object_set_new(certificates, name, json_string(pem));
	}
	sec_certificate_clear(&certificate);
}

void sec_identity_tell(const struct sec_identity *identity, json_t *object)
{
	json_t *certificates = json_object();

	tell(object, "device", certificates, "device", identity->device,
	     identity->device_size);
	tell(object, "identity", certificates, "alias", identity->alias,
	     identity->alias_size);
	json_object_set_new(object, "certificates", certificates);
}
