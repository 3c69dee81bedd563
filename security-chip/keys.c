/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Custody of volumes' data keys: where the wrapped ones are, how they come to
 * be, and how they are opened.  What is not wrapped is in rt_secret memory, and
 * no longer than it takes.  Any thread.
 */
#include "security-chip/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/secret.h"
#include "security-chip/audit.h"
#include "security-chip/chip.h"
#include "security-chip/keys_file.h"
#include "security-chip/once.h"

#define FOLDER "keys"

struct sec_key {
	struct sec_key_file file;
};

/* Where a wrapped key is: a path from a directory. */
struct place {
	int dir;
	char path[PATH_MAX];
};

/* What is open only for a moment, in rt_secret memory. */
struct secrets {
	uint8_t wrapping[SEC_WRAPPING_KEY_BYTES];
	uint8_t key[SEC_KEY_BYTES];
};

/* ---- the wrapping key ---- */

static int derive_wrapping(const struct sec_key_file *file,
			   struct secrets *secrets, struct rt_error *error)
{
	char label[sizeof file->kms_key_id + 16];
	int status;

	snprintf(label, sizeof label, "volume-key %s", file->kms_key_id);
	status = sec_chip_secret(label, secrets->wrapping,
				 sizeof secrets->wrapping);
	if (!status)
		return 0;
	return rt_error_set(error, status, "the key of %s cannot be opened: %s",
			    file->volume_id,
			    status == -ENODEV
				    ? "there is no security chip"
				    : "the installation's secret cannot be "
				      "read");
}

static int unwrap(const struct sec_key_file *file, struct secrets *secrets,
		  struct rt_error *error)
{
	int status = derive_wrapping(file, secrets, error);

	if (status)
		return status;
	status = sec_key_file_open(file, secrets->wrapping, secrets->key);
	if (!status)
		return 0;
	rt_error_set(error, status,
		     "the key of %s cannot be unwrapped: it was damaged, or "
		     "is of another installation",
		     file->volume_id);
	rt_error_hint(error, "put back the copy of it and of the "
			     "installation's secret; without them the "
			     "volume's data is lost");
	return status;
}

/* Both halves are drawn again should they be the same. */
static int draw(uint8_t key[SEC_KEY_BYTES])
{
	do {
		if (getrandom(key, SEC_KEY_BYTES, 0) != SEC_KEY_BYTES)
			return -EIO;
	} while (!memcmp(key, key + SEC_KEY_BYTES / 2, SEC_KEY_BYTES / 2));
	return 0;
}

static int make_wrapped(struct sec_key_file *file, struct rt_error *error)
{
	struct secrets *secrets = rt_secret_alloc(sizeof *secrets, error);
	int status;

	if (!secrets)
		return -ENOMEM;
	status = derive_wrapping(file, secrets, error);
	if (!status) {
		status = draw(secrets->key);
		if (!status)
			status = sec_key_file_seal(file, secrets->wrapping,
						   secrets->key);
		if (status)
			rt_error_set(error, status,
				     "cannot make a key for %s: %s",
				     file->volume_id, strerror(-status));
	}
	rt_secret_free(secrets);
	return status;
}

static int check_opens(const struct sec_key_file *file, struct rt_error *error)
{
	struct secrets *secrets = rt_secret_alloc(sizeof *secrets, error);
	int status = secrets ? unwrap(file, secrets, error) : -ENOMEM;

	rt_secret_free(secrets);
	return status;
}

/* ---- its file ---- */

static int complain(struct rt_error *error, int code, const struct place *place,
		    const char *why)
{
	rt_error_set(error, code, "the key file %s: %s", place->path, why);
	return code;
}

static int find_place(const char *volume_id, const char *path,
		      struct place *place, struct rt_error *error)
{
	int length;

	place->dir = path ? AT_FDCWD : sec_chip_dir();
	if (!path && place->dir < 0)
		return rt_error_set(error, -ENODEV,
				    "there is no security chip to keep the key "
				    "of %s",
				    volume_id);
	if (!path && mkdirat(place->dir, FOLDER, 0700) && errno != EEXIST)
		return rt_error_set(error, -errno,
				    "cannot make the folder " FOLDER
				    " in the state directory: %s",
				    strerror(errno));
	length = path ? snprintf(place->path, sizeof place->path, "%s", path)
		      : snprintf(place->path, sizeof place->path,
				 FOLDER "/%s.key", volume_id);
	return (size_t)length < sizeof place->path
		       ? 0
		       : rt_error_set(error, -ENAMETOOLONG,
				      "the path of the key of %s is too long",
				      volume_id);
}

/* -ENOENT: there is none, *error is as it was. */
static int read_file(const struct place *place, struct sec_key_file *file,
		     struct rt_error *error)
{
	RT_FD int fd = openat(place->dir, place->path,
			      O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	uint8_t bytes[sizeof *file + 1];
	ssize_t size;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	size = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
	if (size < 0)
		return complain(error, -errno, place, strerror(errno));
	if (!sec_key_file_parse(file, bytes, (size_t)size))
		return 0;
	return complain(error, -EBADMSG, place,
			"it is damaged, or no file of a wrapped key");
}

/* -EEXIST: another card was faster, and its key is the volume's. */
static int make_file(const struct place *place, struct sec_key_file *file,
		     struct rt_error *error)
{
	int status = make_wrapped(file, error);

	if (status)
		return status;
	status =
		sec_file_make_once(place->dir, place->path, file, sizeof *file);
	if (status)
		return status == -EEXIST ? status
					 : complain(error, status, place,
						    strerror(-status));
	rt_log_notice("keys", "made a key for %s", file->volume_id);
	sec_audit("key.made", "%s wrapped by %s", file->volume_id,
		  file->kms_key_id);
	return 0;
}

/* ---- what others use ---- */

static int check_names(const struct sec_key_file *wanted,
		       const struct sec_key_file *file,
		       const struct place *place, struct rt_error *error)
{
	if (strcmp(wanted->volume_id, file->volume_id))
		return rt_error_set(
			error, -EINVAL, "the key file %s is of %s, not of %s",
			place->path, file->volume_id, wanted->volume_id);
	if (!strcmp(wanted->kms_key_id, file->kms_key_id))
		return 0;
	rt_error_set(error, -EINVAL, "the key of %s is wrapped by '%s'",
		     file->volume_id, file->kms_key_id);
	rt_error_place(error, "volume.kms-key-id");
	rt_error_hint(error, "name that one, or keep a new key elsewhere: "
			     "key-file");
	return -EINVAL;
}

static int refuse_to_make(const struct place *place, const char *volume_id,
			  struct rt_error *error)
{
	rt_error_set(error, -ENOKEY,
		     "%s holds data, and its key %s is not there", volume_id,
		     place->path);
	rt_error_place(error, "volume.encrypted");
	rt_error_hint(error, "put the key back; or begin with a blank volume: "
			     "one that holds data cannot become encrypted");
	return -ENOKEY;
}

static int load(const struct place *place, const struct sec_key_file *wanted,
		bool may_make, struct sec_key_file *file,
		struct rt_error *error)
{
	int status = read_file(place, file, error);

	if (status == -ENOENT && !may_make)
		return refuse_to_make(place, wanted->volume_id, error);
	if (status == -ENOENT) {
		*file = *wanted;
		status = make_file(place, file, error);
	}
	if (status == -EEXIST)
		status = read_file(place, file, error);
	if (!status)
		status = check_names(wanted, file, place, error);
	return status ? status : check_opens(file, error);
}

int sec_key_find(const char *volume_id, const char *kms_key_id,
		 const char *path, bool may_make, struct sec_key **out,
		 struct rt_error *error)
{
	RT_FREE struct sec_key *key = calloc(1, sizeof *key);
	struct sec_key_file wanted;
	struct place place;
	int status;

	if (!key)
		return rt_error_set(error, -ENOMEM, "no memory for a key");
	if (!kms_key_id)
		kms_key_id = SEC_KEY_WRAPPING;
	status = sec_key_file_init(&wanted, volume_id, kms_key_id);
	if (status) {
		rt_error_set(error, status,
			     "a wrapping key's name is up to 127 letters, "
			     "digits, ':', '/', '_' and '-'");
		rt_error_place(error, "volume.kms-key-id");
		return status;
	}
	status = find_place(volume_id, path, &place, error);
	if (!status)
		status = load(&place, &wanted, may_make, &key->file, error);
	if (status)
		return status;
	*out = key;
	key = NULL;
	return 0;
}

void sec_key_forget(struct sec_key **key)
{
	free(*key);
	*key = NULL;
}

const char *sec_key_wrapping(const struct sec_key *key)
{
	return key->file.kms_key_id;
}

int sec_key_unwrap(const struct sec_key *key, uint8_t out[SEC_KEY_BYTES],
		   struct rt_error *error)
{
	struct secrets *secrets = rt_secret_alloc(sizeof *secrets, error);
	int status = secrets ? unwrap(&key->file, secrets, error) : -ENOMEM;

	if (!status)
		memcpy(out, secrets->key, SEC_KEY_BYTES);
	rt_secret_free(secrets);
	sec_audit(status ? "key.refused" : "key.unwrapped", "%s wrapped by %s",
		  key->file.volume_id, key->file.kms_key_id);
	return status;
}
