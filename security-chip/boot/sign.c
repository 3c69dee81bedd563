/* SPDX-License-Identifier: BSD-3-Clause */
#include "security-chip/boot/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"

#define HALF (SEC_SIGNATURE_BYTES / 2)

/* ---- Keys ---- */

static int cannot(struct rt_error *error, int code, const char *path)
{
	return rt_error_set(error, code, "%s: %s", path, strerror(-code));
}

int sec_sign_new_key(const char *path, struct rt_error *error)
{
	RT_FD int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	EVP_PKEY *key = NULL;
	bool is_done;

	if (!file)
		return cannot(error, -errno, path);
	fd = -1;
	key = EVP_EC_gen("P-384");
	is_done = key && PEM_write_PKCS8PrivateKey(file, key, NULL, NULL, 0,
						   NULL, NULL);
	is_done &= !fclose(file);
	EVP_PKEY_free(key);
	return is_done ? 0 : cannot(error, -EIO, path);
}

static EVP_PKEY *read_key(const char *path, struct rt_error *error)
{
	FILE *file = fopen(path, "re");
	EVP_PKEY *key = NULL;
	char group[16] = "";

	if (!file) {
		cannot(error, -errno, path);
		return NULL;
	}
	key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	fclose(file);
	if (key)
		EVP_PKEY_get_group_name(key, group, sizeof group, NULL);
	if (!strcmp(group, "secp384r1") || !strcmp(group, "P-384"))
		return key;
	EVP_PKEY_free(key);
	rt_error_set(error, -EINVAL, "%s is not a private key on P-384", path);
	rt_error_hint(error, "make one: nitroctl firmware init, or "
			     "openssl genpkey -algorithm EC "
			     "-pkeyopt ec_paramgen_curve:P-384");
	return NULL;
}

int sec_sign_key_digest(const char *path, uint8_t out[SEC_DIGEST_BYTES],
			struct rt_error *error)
{
	EVP_PKEY *key = read_key(path, error);
	uint8_t point[SEC_POINT_BYTES];
	int status;

	if (!key)
		return error->code;
	status = sec_key_point(key, point);
	if (!status)
		status = sec_digest(point, sizeof point, out);
	EVP_PKEY_free(key);
	return status ? cannot(error, status, path) : 0;
}

/* ---- Images ---- */

static int copy_part(const char *from, const char *to, uint64_t max,
		     struct sec_manifest *manifest, unsigned int part,
		     struct rt_error *error)
{
	RT_FD int in = open(from, O_RDONLY | O_CLOEXEC);
	RT_FD int out = -1;
	RT_FREE uint8_t *bytes = NULL;
	struct stat status;

	if (in < 0 || fstat(in, &status))
		return cannot(error, -errno, from);
	if (!S_ISREG(status.st_mode) || !status.st_size ||
	    (uint64_t)status.st_size > max)
		return rt_error_set(error, -EFBIG,
				    "%s must be a file of 1 to %llu bytes",
				    from, (unsigned long long)max);
	bytes = malloc((size_t)status.st_size);
	if (!bytes)
		return cannot(error, -ENOMEM, from);
	if (read(in, bytes, (size_t)status.st_size) != status.st_size)
		return cannot(error, -EIO, from);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		   status.st_mode & 0755);
	if (out < 0 ||
	    write(out, bytes, (size_t)status.st_size) != status.st_size)
		return cannot(error, -errno, to);
	manifest->parts[part].size = (uint64_t)status.st_size;
	return sec_digest(bytes, (size_t)status.st_size,
			  manifest->parts[part].digest);
}

static int copy_parts(const struct sec_sign_request *request,
		      struct sec_manifest *manifest, struct rt_error *error)
{
	char path[PATH_MAX];
	int status = 0;

	for (unsigned int i = 0; i < SEC_PARTS && !status; i++) {
		if (!request->parts[i])
			continue;
		snprintf(path, sizeof path, "%s/%s", request->image,
			 sec_part_rules[i].name);
		status = copy_part(request->parts[i], path,
				   sec_part_rules[i].max_bytes, manifest, i,
				   error);
	}
	return status;
}

static int sign(EVP_PKEY *key, struct sec_manifest *manifest)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t der[160];
	const uint8_t *at = der;
	size_t size = sizeof der;
	ECDSA_SIG *pair = NULL;
	bool is_done =
		context &&
		EVP_DigestSignInit(context, NULL, EVP_sha384(), NULL, key) ==
			1 &&
		EVP_DigestSign(context, der, &size, manifest->to_be_signed,
			       manifest->to_be_signed_size) == 1;

	if (is_done)
		pair = d2i_ECDSA_SIG(NULL, &at, (long)size);
	is_done = pair &&
		  BN_bn2binpad(ECDSA_SIG_get0_r(pair), manifest->signature,
			       HALF) == HALF &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(pair),
			       manifest->signature + HALF, HALF) == HALF;
	ECDSA_SIG_free(pair);
	EVP_MD_CTX_free(context);
	return is_done ? 0 : -EIO;
}

static int write_manifest(EVP_PKEY *key, struct sec_manifest *manifest,
			  const char *image, struct rt_error *error)
{
	uint8_t bytes[SEC_MANIFEST_BYTES];
	char path[PATH_MAX];
	RT_FD int fd = -1;
	size_t size = sec_manifest_encode(manifest, bytes, sizeof bytes);
	int status = size ? sign(key, manifest) : -EMSGSIZE;

	snprintf(path, sizeof path, "%s/manifest", image);
	if (status)
		return cannot(error, status, path);
	size = sec_manifest_encode(manifest, bytes, sizeof bytes);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		return cannot(error, -errno, path);
	return 0;
}

int sec_sign_image(const struct sec_sign_request *request,
		   struct rt_error *error)
{
	struct sec_manifest manifest = { .svn = request->svn };
	EVP_PKEY *key = read_key(request->key, error);
	int status;

	if (!key)
		return error->code;
	snprintf(manifest.version, sizeof manifest.version, "%s",
		 request->version);
	if (sec_key_point(key, manifest.owner_key))
		status = cannot(error, -EIO, request->key);
	else if (mkdir(request->image, 0755) && errno != EEXIST)
		status = cannot(error, -errno, request->image);
	else
		status = copy_parts(request, &manifest, error);
	if (!status)
		status = write_manifest(key, &manifest, request->image, error);
	EVP_PKEY_free(key);
	return status;
}
