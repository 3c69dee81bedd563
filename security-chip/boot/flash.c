/* SPDX-License-Identifier: BSD-3-Clause */
#include "security-chip/boot/flash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "firmware/rt/error.h"
#include "firmware/rt/run_dir.h"
#include "firmware/rt/scope.h"

#define FUSES_MAGIC "NITFUSE1"
#define STATE_MAGIC "NITSTAT1"

struct fuses {
	char magic[8];
	uint8_t owner[SEC_DIGEST_BYTES], uds[SEC_UDS_BYTES];
	uint8_t check[SEC_DIGEST_BYTES]; /* SHA-384 of the rest */
};

/* ---- Files ---- */

static int write_file(int dir, const char *name, const void *bytes, size_t size,
		      mode_t mode)
{
	char aside[32];
	RT_FD int fd = -1;

	snprintf(aside, sizeof aside, ".%s.%d", name, (int)getpid());
	unlinkat(dir, aside, 0);
	fd = openat(dir, aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	if (write(fd, bytes, size) != (ssize_t)size || fsync(fd) ||
	    renameat(dir, aside, dir, name) || fsync(dir))
		return errno ? -errno : -EIO;
	return 0;
}

/* Exactly that many bytes, of a file that is for us alone. */
static bool read_file(int dir, const char *name, void *out, size_t size)
{
	RT_FD int fd = openat(dir, name,
			      O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat status;

	return fd >= 0 && !fstat(fd, &status) && S_ISREG(status.st_mode) &&
	       status.st_uid == geteuid() && !(status.st_mode & 077) &&
	       status.st_size == (off_t)size &&
	       read(fd, out, size) == (ssize_t)size;
}

/* ---- Fuses ---- */

static int check_of(const struct fuses *fuses, uint8_t out[SEC_DIGEST_BYTES])
{
	return sec_digest(fuses, offsetof(struct fuses, check), out);
}

static bool read_fuses(int dir, struct fuses *fuses)
{
	uint8_t check[SEC_DIGEST_BYTES];

	return read_file(dir, "fuses", fuses, sizeof *fuses) &&
	       !memcmp(fuses->magic, FUSES_MAGIC, sizeof fuses->magic) &&
	       !check_of(fuses, check) &&
	       !memcmp(check, fuses->check, sizeof check);
}

int sec_flash_uds(const struct sec_flash *flash, uint8_t out[SEC_UDS_BYTES])
{
	struct fuses fuses;
	int status = read_fuses(flash->dir, &fuses) ? 0 : -EIO;

	if (!status)
		memcpy(out, fuses.uds, SEC_UDS_BYTES);
	OPENSSL_cleanse(&fuses, sizeof fuses);
	return status;
}

static int burn(int dir, const uint8_t owner[SEC_DIGEST_BYTES])
{
	struct fuses fuses = { .magic = FUSES_MAGIC };
	int status;

	memcpy(fuses.owner, owner, sizeof fuses.owner);
	status = RAND_priv_bytes(fuses.uds, sizeof fuses.uds) == 1 ? 0 : -EIO;
	if (!status)
		status = check_of(&fuses, fuses.check);
	if (!status)
		status = write_file(dir, "fuses", &fuses, sizeof fuses, 0400);
	OPENSSL_cleanse(&fuses, sizeof fuses);
	return status;
}

/* ---- The state ---- */

static int seal(const struct sec_flash *flash, uint8_t out[SEC_DIGEST_BYTES])
{
	static const char label[] = "flash state";
	uint8_t uds[SEC_UDS_BYTES], key[SEC_DIGEST_BYTES];
	int status = sec_flash_uds(flash, uds);

	if (!status &&
	    (!HMAC(EVP_sha384(), uds, sizeof uds, (const uint8_t *)label,
		   sizeof label, key, NULL) ||
	     !HMAC(EVP_sha384(), key, sizeof key,
		   (const uint8_t *)&flash->state,
		   offsetof(struct sec_flash_state, mac), out, NULL)))
		status = -EIO;
	OPENSSL_cleanse(uds, sizeof uds);
	OPENSSL_cleanse(key, sizeof key);
	return status;
}

static bool is_in_range(const struct sec_flash_state *state)
{
	return state->active <= SEC_SLOT_NONE && state->trial <= SEC_SLOT_NONE;
}

static enum sec_reason read_state(struct sec_flash *flash)
{
	struct sec_flash_state *state = &flash->state;
	uint8_t mac[SEC_DIGEST_BYTES];

	if (read_file(flash->dir, "state", state, sizeof *state) &&
	    !memcmp(state->magic, STATE_MAGIC, sizeof state->magic) &&
	    !seal(flash, mac) && !CRYPTO_memcmp(mac, state->mac, sizeof mac) &&
	    is_in_range(state))
		return SEC_REASON_GOOD;
	return SEC_REASON_STATE_DAMAGED;
}

int sec_flash_save(struct sec_flash *flash)
{
	int status;

	memcpy(flash->state.magic, STATE_MAGIC, sizeof flash->state.magic);
	status = seal(flash, flash->state.mac);
	return status ? status
		      : write_file(flash->dir, "state", &flash->state,
				   sizeof flash->state, 0600);
}

/* ---- The whole ---- */

static int open_dir(const char *path)
{
	RT_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) || status.st_uid != geteuid() ||
	    status.st_mode & 077)
		return -1;
	return rt_take_fd(&fd);
}

static int fill(int dir, const uint8_t owner[SEC_DIGEST_BYTES])
{
	struct sec_flash flash = { .dir = dir };
	int status;

	if (!faccessat(dir, "fuses", F_OK, 0))
		return -EEXIST;
	status = burn(dir, owner);
	flash.state.active = flash.state.trial = SEC_SLOT_NONE;
	if (!status)
		status = sec_flash_save(&flash);
	if (!status && (mkdirat(dir, "a", 0700) || mkdirat(dir, "b", 0700)))
		status = -errno;
	return status;
}

int sec_flash_init(const char *path, const uint8_t owner[SEC_DIGEST_BYTES],
		   struct rt_error *error)
{
	RT_FD int dir = -1;
	int status = rt_make_dirs(path);

	if (!status && mkdir(path, 0700) && errno != EEXIST)
		status = -errno;
	dir = status ? -1 : open_dir(path);
	if (!status)
		status = dir < 0 ? -EPERM : fill(dir, owner);
	if (!status)
		return 0;
	rt_error_set(error, status, "cannot make a flash at %s: %s", path,
		     strerror(-status));
	if (status == -EEXIST)
		rt_error_hint(error, "there is one, and its fuses are burnt; "
				     "choose another place: --flash DIR");
	return status;
}

enum sec_reason sec_flash_open(const char *path, struct sec_flash *flash)
{
	enum sec_reason reason;
	struct fuses fuses = { 0 };

	*flash = (struct sec_flash){ .dir = open_dir(path) };
	if (flash->dir < 0)
		return SEC_REASON_FLASH_MISSING;
	reason = read_fuses(flash->dir, &fuses) ? read_state(flash)
						: SEC_REASON_FUSES_DAMAGED;
	memcpy(flash->owner, fuses.owner, sizeof flash->owner);
	OPENSSL_cleanse(&fuses, sizeof fuses);
	if (reason != SEC_REASON_GOOD)
		sec_flash_close(flash);
	return reason;
}

void sec_flash_close(struct sec_flash *flash)
{
	if (flash->dir >= 0)
		close(flash->dir);
	flash->dir = -1;
}

enum sec_reason sec_flash_lock(struct sec_flash *flash)
{
	if (flock(flash->dir, LOCK_EX))
		return SEC_REASON_MACHINE;
	return read_state(flash);
}

void sec_flash_unlock(struct sec_flash *flash)
{
	flock(flash->dir, LOCK_UN);
}

int sec_flash_slot(const struct sec_flash *flash, unsigned int slot)
{
	const char name[2] = { SEC_SLOT_NAMES[slot], '\0' };

	return openat(flash->dir, name,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}
