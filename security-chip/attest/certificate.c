/* SPDX-License-Identifier: BSD-3-Clause */
/* Certificates, made with OpenSSL.  Any thread; it keeps nothing. */
#include "security-chip/attest/certificate.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

int sec_key_make(EVP_PKEY **out)
{
	*out = EVP_EC_gen("P-384");
	return *out ? 0 : -EIO;
}

static int add_name(X509_NAME *name, const struct sec_name_part *parts)
{
	for (; parts->field; parts++)
		if (!X509_NAME_add_entry_by_txt(
			    name, parts->field, MBSTRING_UTF8,
			    (const unsigned char *)parts->text, -1, -1, 0))
			return -EIO;
	return 0;
}

static int set_serial(X509 *x509, const uint8_t serial[SEC_SERIAL_BYTES])
{
	BIGNUM *number = BN_bin2bn(serial, SEC_SERIAL_BYTES, NULL);
	ASN1_INTEGER *integer =
		number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
	int status = integer && X509_set_serialNumber(x509, integer) ? 0 : -EIO;

	ASN1_INTEGER_free(integer);
	BN_free(number);
	return status;
}

static int set_validity(X509 *x509, int64_t from_s, int64_t to_s)
{
	return ASN1_TIME_adj(X509_getm_notBefore(x509), from_s, 0, 0) &&
			       ASN1_TIME_adj(X509_getm_notAfter(x509), to_s, 0,
					     0)
		       ? 0
		       : -EIO;
}

static int add_extension(X509 *x509, X509V3_CTX *context, int nid,
			 const char *value)
{
	X509_EXTENSION *extension;
	int is_added;

	if (!value)
		return 0;
	extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
	is_added = extension && X509_add_ext(x509, extension, -1);
	X509_EXTENSION_free(extension);
	return is_added ? 0 : -EIO;
}

static int add_other(X509 *x509, const char *oid, const uint8_t *der,
		     size_t size)
{
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension = NULL;
	int is_added;

	if (object && data && ASN1_OCTET_STRING_set(data, der, (int)size))
		extension = X509_EXTENSION_create_by_OBJ(NULL, object, 0, data);
	is_added = extension && X509_add_ext(x509, extension, -1);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(data);
	ASN1_OBJECT_free(object);
	return is_added ? 0 : -EIO;
}

static int add_extensions(X509 *x509, X509 *issuer,
			  const struct sec_certificate_plan *plan)
{
	X509V3_CTX context;

	X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
	if (add_extension(x509, &context, NID_basic_constraints,
			  plan->constraints) ||
	    add_extension(x509, &context, NID_authority_key_identifier,
			  plan->issuer_key) ||
	    add_extension(x509, &context, NID_subject_key_identifier,
			  plan->subject_key) ||
	    add_extension(x509, &context, NID_key_usage, plan->key_usage) ||
	    add_extension(x509, &context, NID_crl_distribution_points,
			  plan->crl) ||
	    add_extension(x509, &context, NID_ext_key_usage, plan->purposes))
		return -EIO;
	return plan->other.oid ? add_other(x509, plan->other.oid,
					   plan->other.der, plan->other.size)
			       : 0;
}

static int fill(X509 *x509, const struct sec_certificate_plan *plan,
		EVP_PKEY *key, X509 *issuer)
{
	if (!X509_set_version(x509, X509_VERSION_3) ||
	    set_serial(x509, plan->serial) ||
	    set_validity(x509, plan->not_before_s, plan->not_after_s) ||
	    add_name(X509_get_subject_name(x509), plan->subject) ||
	    !X509_set_issuer_name(x509, X509_get_subject_name(issuer)) ||
	    !X509_set_pubkey(x509, key))
		return -EIO;
	return add_extensions(x509, issuer, plan);
}

static int encode(struct sec_certificate *out)
{
	int size = i2d_X509(out->x509, NULL);
	unsigned char *at = out->der;

	if (size <= 0 || (size_t)size > sizeof out->der)
		return -EIO;
	out->size = (size_t)i2d_X509(out->x509, &at);
	return 0;
}

int sec_certificate_issue(const struct sec_certificate_plan *plan,
			  const struct sec_certificate *issuer,
			  struct sec_certificate *out)
{
	if (!out->key && sec_key_make(&out->key))
		return -EIO;
	X509_free(out->x509);
	out->x509 = X509_new();
	if (!out->x509 ||
	    fill(out->x509, plan, out->key,
		 issuer ? issuer->x509 : out->x509) ||
	    !X509_sign(out->x509, issuer ? issuer->key : out->key,
		       EVP_sha384()))
		return -EIO;
	return encode(out);
}

int sec_certificate_read(struct sec_certificate *out)
{
	const unsigned char *at = out->der;

	X509_free(out->x509);
	out->x509 = d2i_X509(NULL, &at, (long)out->size);
	return out->x509 && at == out->der + out->size ? 0 : -EBADMSG;
}

int sec_certificate_pem(const struct sec_certificate *certificate, char **out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long size;
	int status = -EIO;

	if (bio && PEM_write_bio_X509(bio, certificate->x509)) {
		size = BIO_get_mem_data(bio, &text);
		*out = strndup(text, (size_t)size);
		status = *out ? 0 : -ENOMEM;
	}
	BIO_free(bio);
	return status;
}

void sec_certificate_clear(struct sec_certificate *certificate)
{
	EVP_PKEY_free(certificate->key);
	X509_free(certificate->x509);
	memset(certificate, 0, sizeof *certificate);
}
