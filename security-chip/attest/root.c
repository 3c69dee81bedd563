/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulated root: see root.h.  Any thread; files are replaced at once.
 *
 * syscalls: openat fsync renameat unlinkat
 */
#include "security-chip/attest/root.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/file.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "security-chip/attest/attest.h"
#include "security-chip/chip.h"
#include "security-chip/derive.h"

/* 2019-10-28 14:28:05 to 2049-10-28 14:28:05: as long as the real one is. */
#define ROOT_FROM_S INT64_C(1572272885)
#define ROOT_TO_S   INT64_C(2519044085)

static const struct sec_name_part root_subject[] = {
	{ "C", "ZZ" }, /* ISO 3166-1 leaves it to users: no country */
	{ "O", "nitro-card" },
	{ "OU", "Simulated" },
	{ "CN", SEC_ROOT_DOMAIN },
	{ 0 },
};

static int derive_key(EVP_PKEY **out)
{
	uint8_t seed[SEC_KEY_SEED_BYTES];
	int status = sec_chip_secret("attestation root key", seed, sizeof seed);

	if (!status)
		status = sec_key_of_seed(seed, out);
	OPENSSL_cleanse(seed, sizeof seed);
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

/* Verifiers keep it: it stays the same one, though the machine may end. */
static int write_root(int dir, const struct sec_certificate *root)
{
	RT_FD int fd = openat(dir, SEC_ROOT_FILE ".new",
			      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (write(fd, root->der, root->size) != (ssize_t)root->size ||
	    fsync(fd) ||
	    renameat(dir, SEC_ROOT_FILE ".new", dir, SEC_ROOT_FILE) ||
	    fsync(dir))
		return errno ? -errno : -EIO;
	return 0;
}

/*
 * One certificate for all cards of the installation, though they may start at
 * the same time: the first makes it, and the others wait and then find it.
 */
static int read_or_make(int dir, struct sec_certificate *out)
{
	RT_FD int lock = openat(dir, SEC_ROOT_FILE ".lock",
				O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int status;

	if (lock < 0 || flock(lock, LOCK_EX))
		return -errno;
	if (!read_root(dir, out))
		return 0;
	status = make_root(out);
	return status ? status : write_root(dir, out);
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
	status = read_or_make(dir, out);
	if (status)
		return rt_error_set(error, status,
				    "cannot make %s in the card's state "
				    "directory (%s)",
				    SEC_ROOT_FILE, rt_errno_name(status));
	return 0;
}

int sec_attest_root_pem(char **out, struct rt_error *error)
{
	struct sec_certificate root = { 0 };
	int status = sec_root_open(&root, error);

	if (!status && sec_certificate_pem(&root, out))
		status = rt_error_set(error, -ENOMEM,
				      "no memory for the root certificate");
	sec_certificate_clear(&root);
	return status;
}
