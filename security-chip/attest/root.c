/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated root: see root.h.  Any thread; files are replaced at once. */
#include "security-chip/attest/root.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <string.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "security-chip/attest/attest.h"
#include "security-chip/chip.h"

/* 2019-10-28 14:28:05 to 2049-10-28 14:28:05: as long as the real one is. */
#define ROOT_FROM_S INT64_C(1572272885)
#define ROOT_TO_S   INT64_C(2519044085)

/* 64 bits more than the order has, so that no key is likelier: FIPS 186-5
 * A.2.1. */
#define SEED_BYTES 56u

static const struct sec_name_part root_subject[] = {
	{ "C", "ZZ" }, /* ISO 3166-1 leaves it to users: no country */
	{ "O", "nitro-card" },
	{ "OU", "Simulated" },
	{ "CN", SEC_ROOT_DOMAIN },
	{ 0 },
};

/* d = seed mod (n - 1) + 1. */
static int scalar_from(const EC_GROUP *group, const uint8_t *seed, BIGNUM *d)
{
	BN_CTX *context = BN_CTX_new();
	BIGNUM *order = BN_dup(EC_GROUP_get0_order(group));
	int status = context && order && BN_sub_word(order, 1) &&
				     BN_bin2bn(seed, SEED_BYTES, d) &&
				     BN_mod(d, d, order, context) &&
				     BN_add_word(d, 1)
			     ? 0
			     : -EIO;

	BN_free(order);
	BN_CTX_free(context);
	return status;
}

static int key_of_params(OSSL_PARAM *params, EVP_PKEY **out)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	int status =
		context && params && EVP_PKEY_fromdata_init(context) > 0 &&
				EVP_PKEY_fromdata(context, out,
						  EVP_PKEY_KEYPAIR, params) > 0
			? 0
			: -EIO;

	EVP_PKEY_CTX_free(context);
	return status;
}

static int key_of_scalar(const EC_GROUP *group, const BIGNUM *d, EVP_PKEY **out)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EC_POINT *point = EC_POINT_new(group);
	OSSL_PARAM *params = NULL;
	unsigned char encoded[97];
	int status = -EIO;

	if (build && point && EC_POINT_mul(group, point, d, NULL, NULL, NULL) &&
	    EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED,
			       encoded, sizeof encoded, NULL) &&
	    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME,
					    "P-384", 0) &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY,
					     encoded, sizeof encoded) &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, d)) {
		params = OSSL_PARAM_BLD_to_param(build);
		status = key_of_params(params, out);
	}
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EC_POINT_free(point);
	return status;
}

static int derive_key(EVP_PKEY **out)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp384r1);
	BIGNUM *d = BN_secure_new();
	uint8_t seed[SEED_BYTES];
	int status;

	status = sec_chip_secret("attestation root key", seed, sizeof seed);
	if (!status)
		status = group && d && !scalar_from(group, seed, d)
				 ? key_of_scalar(group, d, out)
				 : -EIO;
	OPENSSL_cleanse(seed, sizeof seed);
	BN_clear_free(d);
	EC_GROUP_free(group);
	return status;
}

static int make_root(struct sec_certificate *out)
{
	struct sec_certificate_plan plan = {
		.subject = root_subject,
		.not_before_s = ROOT_FROM_S,
		.not_after_s = ROOT_TO_S,
		.constraints = "critical,CA:TRUE",
		.subject_key = "hash",
		.key_usage = "critical,digitalSignature,keyCertSign,cRLSign",
	};

	if (RAND_bytes(plan.serial, sizeof plan.serial) <= 0)
		return -EIO;
	plan.serial[0] = (plan.serial[0] & 0x7f) | 0x40;
	return sec_certificate_issue(&plan, NULL, out);
}

int sec_root_forge(struct sec_certificate *out)
{
	return make_root(out);
}

/* Whether the file has our key's certificate: it may be of an older secret. */
static int read_root(int dir, struct sec_certificate *out)
{
	RT_FD int fd = openat(dir, SEC_ROOT_FILE, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, out->der, sizeof out->der);

	if (size <= 0)
		return -ENOENT;
	out->size = (size_t)size;
	if (sec_certificate_read(out))
		return -EBADMSG;
	return EVP_PKEY_eq(X509_get0_pubkey(out->x509), out->key) == 1
		       ? 0
		       : -EBADMSG;
}

static int write_root(int dir, const struct sec_certificate *root)
{
	RT_FD int fd = openat(dir, SEC_ROOT_FILE ".new",
			      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (write(fd, root->der, root->size) != (ssize_t)root->size ||
	    fsync(fd) ||
	    renameat(dir, SEC_ROOT_FILE ".new", dir, SEC_ROOT_FILE))
		return errno ? -errno : -EIO;
	return 0;
}

int sec_root_open(struct sec_certificate *out, struct rt_error *error)
{
	int dir = sec_chip_dir(), status;

	if (dir < 0)
		return rt_error_set(error, -ENXIO,
				    "no security chip is open, so there is no "
				    "root for attestation documents");
	status = derive_key(&out->key);
	if (status)
		return rt_error_set(error, status,
				    "the root key of attestation documents "
				    "cannot be derived (%s)",
				    rt_errno_name(status));
	if (!read_root(dir, out))
		return 0;
	status = make_root(out);
	if (!status)
		status = write_root(dir, out);
	if (status)
		return rt_error_set(error, status,
				    "cannot make %s in the card's state "
				    "directory (%s)",
				    SEC_ROOT_FILE, rt_errno_name(status));
	return 0;
}

static int print_pem(const struct sec_certificate *root, char **out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long size;
	int status = -EIO;

	if (bio && PEM_write_bio_X509(bio, root->x509)) {
		size = BIO_get_mem_data(bio, &text);
		*out = strndup(text, (size_t)size);
		status = *out ? 0 : -ENOMEM;
	}
	BIO_free(bio);
	return status;
}

int sec_attest_root_pem(char **out, struct rt_error *error)
{
	struct sec_certificate root = { 0 };
	int status = sec_root_open(&root, error);

	if (!status && print_pem(&root, out))
		status = rt_error_set(error, -ENOMEM,
				      "no memory for the root certificate");
	sec_certificate_clear(&root);
	return status;
}
