/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sealed files, replaced whole: written beside the old one, synced, renamed,
 * and the directory synced.  Owns the folder's descriptor and a lock on the
 * instance, which the kernel lets go when the process dies.
 *
 * syscalls: openat renameat unlinkat fsync fdatasync flock
 */
#include "security-chip/tpm/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "firmware/rt/scope.h"
#include "firmware/rt/secret.h"

#define FOLDER     "tpm"
#define NAME_BYTES (SEC_TPM_INSTANCE_BYTES + 32)

static bool is_good_name(const char *name)
{
	size_t length = strlen(name);

	return length && length < SEC_TPM_INSTANCE_BYTES && name[0] != '.' &&
	       strspn(name,
		      "abcdefghijklmnopqrstuvwxyz"
		      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
}

static void name_file(const struct sec_tpm_store *store, const char *kind,
		      const char *end, char name[NAME_BYTES])
{
	snprintf(name, NAME_BYTES, "%s.%.16s%s", store->instance, kind, end);
}

/* For sentences; a descriptor knows its path. */
static void name_folder(const struct sec_tpm_store *store, char *path,
			size_t size)
{
	char link[32];
	ssize_t length;

	snprintf(link, sizeof link, "/proc/self/fd/%d", store->dir);
	length = readlink(link, path, size - 1);
	snprintf(path + (length > 0 ? length : 0), 2, "%s",
		 length > 0 ? "" : ".");
}

static int open_folder(struct sec_tpm_store *store, int dir,
		       struct rt_error *error)
{
	if (mkdirat(dir, FOLDER, 0700) && errno != EEXIST)
		return rt_error_set(error, -errno,
				    "cannot make the TPM's folder: %s",
				    strerror(errno));
	store->dir = openat(dir, FOLDER,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (store->dir < 0)
		return rt_error_set(error, -errno,
				    "cannot open the TPM's folder: %s",
				    strerror(errno));
	return 0;
}

static int take_lock(struct sec_tpm_store *store, struct rt_error *error)
{
	char name[NAME_BYTES];

	name_file(store, "lock", "", name);
	store->lock = openat(store->dir, name,
			     O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (store->lock < 0)
		return rt_error_set(error, -errno,
				    "cannot write the TPM's state: %s: %s",
				    name, strerror(errno));
	if (!flock(store->lock, LOCK_EX | LOCK_NB))
		return 0;
	rt_error_set(error, -EBUSY, "another card has the TPM of %s",
		     store->instance);
	rt_error_hint(error, "stop it, or give this one another tpm.instance");
	return -EBUSY;
}

int sec_tpm_store_open(struct sec_tpm_store *store, int dir,
		       const char *instance,
		       const uint8_t key[SEC_TPM_KEY_BYTES],
		       struct rt_error *error)
{
	int status;

	*store = (struct sec_tpm_store){ .dir = -1, .lock = -1 };
	if (!is_good_name(instance))
		return rt_error_set(error, -EINVAL,
				    "an instance's name is up to %u letters, "
				    "digits, '.', '_' and '-'",
				    SEC_TPM_INSTANCE_BYTES - 1);
	store->key = rt_secret_alloc(SEC_TPM_KEY_BYTES, error);
	if (!store->key)
		return -ENOMEM;
	strcpy(store->instance, instance);
	memcpy(store->key, key, SEC_TPM_KEY_BYTES);
	status = open_folder(store, dir, error);
	if (!status)
		status = take_lock(store, error);
	if (status)
		sec_tpm_store_close(store);
	return status;
}

void sec_tpm_store_close(struct sec_tpm_store *store)
{
	rt_secret_free(store->key);
	store->key = NULL;
	if (store->lock >= 0)
		close(store->lock);
	if (store->dir >= 0)
		close(store->dir);
	store->dir = store->lock = -1;
}

/* All of a file of at most limit bytes. */
static int read_file(int fd, size_t limit, uint8_t **out, size_t *size)
{
	RT_FREE uint8_t *data = malloc(limit + 1);
	size_t used = 0;
	ssize_t got;

	if (!data)
		return -ENOMEM;
	do {
		got = read(fd, data + used, limit + 1 - used);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0)
			used += (size_t)got;
	} while (got && used <= limit);
	if (used > limit)
		return -EBADMSG;
	*out = data;
	*size = used;
	data = NULL;
	return 0;
}

static int refuse(const struct sec_tpm_store *store, const char *name,
		  int status, struct rt_error *error)
{
	char folder[200];

	name_folder(store, folder, sizeof folder);
	if (status != -EBADMSG)
		return rt_error_set(error, status,
				    "cannot read the TPM's state %s/%s: %s",
				    folder, name, strerror(-status));
	rt_error_set(error, status,
		     "the TPM's state %s/%s was altered, or is of another "
		     "installation or instance",
		     folder, name);
	rt_error_hint(error, "bring back the right one; moved away, it makes "
			     "room for a new TPM without the keys of this one");
	return status;
}

int sec_tpm_store_read(const struct sec_tpm_store *store, const char *kind,
		       uint8_t **out, size_t *size, struct rt_error *error)
{
	RT_FREE uint8_t *sealed = NULL;
	char name[NAME_BYTES];
	size_t sealed_size = 0;
	RT_FD int fd = -1;
	int status;

	name_file(store, kind, "", name);
	fd = openat(store->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		return refuse(store, name, -errno, error);
	status = read_file(fd, SEC_TPM_STATE_BYTES + SEC_TPM_SEAL_BYTES,
			   &sealed, &sealed_size);
	if (!status)
		status = sec_tpm_unseal(store, kind, sealed, sealed_size, out,
					size);
	return status ? refuse(store, name, status, error) : 0;
}

static int write_all(int fd, const uint8_t *data, size_t size)
{
	ssize_t put;

	while (size) {
		put = write(fd, data, size);
		if (put < 0 && errno != EINTR)
			return -errno;
		if (put > 0) {
			data += put;
			size -= (size_t)put;
		}
	}
	return 0;
}

static int write_file(const struct sec_tpm_store *store, const char *name,
		      const uint8_t *data, size_t size)
{
	RT_FD int fd = openat(
		store->dir, name,
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int status;

	if (fd < 0)
		return -errno;
	status = write_all(fd, data, size);
	if (!status && fdatasync(fd))
		status = -errno;
	return status;
}

int sec_tpm_store_write(const struct sec_tpm_store *store, const char *kind,
			const uint8_t *data, size_t size)
{
	char name[NAME_BYTES], beside[NAME_BYTES];
	RT_FREE uint8_t *sealed = NULL;
	size_t sealed_size = 0;
	int status =
		sec_tpm_seal(store, kind, data, size, &sealed, &sealed_size);

	if (status)
		return status;
	name_file(store, kind, "", name);
	name_file(store, kind, ".new", beside);
	status = write_file(store, beside, sealed, sealed_size);
	if (!status && renameat(store->dir, beside, store->dir, name))
		status = -errno;
	if (!status && fsync(store->dir))
		status = -errno;
	return status;
}

int sec_tpm_store_remove(const struct sec_tpm_store *store, const char *kind)
{
	char name[NAME_BYTES];

	name_file(store, kind, "", name);
	if (unlinkat(store->dir, name, 0))
		return errno == ENOENT ? 0 : -errno;
	return fsync(store->dir) ? -errno : 0;
}
