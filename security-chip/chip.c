/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chip's directory and the installation's secret.  The secret is made once,
 * so that of two cards that start at the same time one wins and both use the
 * same.
 *
 * syscalls: openat fstat read
 */
#include "security-chip/chip.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "firmware/rt/error.h"
#include "firmware/rt/run_dir.h"
#include "firmware/rt/scope.h"
#include "security-chip/audit.h"
#include "security-chip/derive.h"
#include "security-chip/once.h"

#define SECRET_BYTES 48
#define SECRET_FILE  "secret"

static _Atomic int chip_dir = -1;

static int complain(struct rt_error *error, int code, const char *path,
		    const char *what)
{
	return rt_error_set(error, code, "the state directory %s %s", path,
			    what);
}

static int check_dir(int fd, const char *path, struct rt_error *error)
{
	struct stat status;

	if (fstat(fd, &status))
		return complain(error, -errno, path, strerror(errno));
	if (status.st_uid != geteuid()) {
		complain(error, -EPERM, path, "belongs to another user");
		rt_error_hint(error, "choose another one: card.state-dir");
		return -EPERM;
	}
	if (status.st_mode & 077) {
		complain(error, -EPERM, path, "is open to other users");
		rt_error_hint(error, "close it: chmod 0700 '%.200s'", path);
		return -EPERM;
	}
	return 0;
}

static int open_dir(const char *path, int *out, struct rt_error *error)
{
	RT_FD int fd = -1;
	int status;

	if (mkdir(path, 0700) && errno != EEXIST)
		return complain(error, -errno, path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return complain(error, -errno, path, strerror(errno));
	status = check_dir(fd, path, error);
	if (!status)
		*out = rt_take_fd(&fd);
	return status;
}

static int open_private(const char *state_dir, int *out, struct rt_error *error)
{
	char path[PATH_MAX];
	int length = snprintf(path, sizeof path, "%s/security-chip", state_dir);
	int status = (size_t)length < sizeof path ? rt_make_dirs(path)
						  : -ENAMETOOLONG;

	if (!status)
		return open_dir(path, out, error);
	complain(error, status, state_dir, strerror(-status));
	rt_error_hint(error, "choose another one: card.state-dir");
	return status;
}

/* ---- The secret ---- */

static int make_secret(int dir)
{
	uint8_t secret[SECRET_BYTES];
	int status = RAND_priv_bytes(secret, sizeof secret) == 1 ? 0 : -EIO;

	if (!status)
		status = sec_file_make_once(dir, SECRET_FILE, secret,
					    sizeof secret);
	OPENSSL_cleanse(secret, sizeof secret);
	return status == -EEXIST ? 0 : status;
}

/* -EBADMSG: it is there, but not as it was made. */
static int read_secret(int dir, uint8_t out[SECRET_BYTES])
{
	RT_FD int fd = openat(dir, SECRET_FILE,
			      O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat status;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size != SECRET_BYTES ||
	    status.st_uid != geteuid() || status.st_mode & 077)
		return -EBADMSG;
	return read(fd, out, SECRET_BYTES) == SECRET_BYTES ? 0 : -EIO;
}

static int check_secret(int dir, const char *path, struct rt_error *error)
{
	uint8_t secret[SECRET_BYTES];
	int status = read_secret(dir, secret);

	if (status == -ENOENT) {
		status = make_secret(dir);
		if (!status)
			status = read_secret(dir, secret);
	}
	OPENSSL_cleanse(secret, sizeof secret);
	if (!status)
		return 0;
	rt_error_set(error, status,
		     "the secret of this installation, "
		     "%s/security-chip/" SECRET_FILE ", %s",
		     path,
		     status == -EBADMSG ? "is damaged or open to other users"
					: strerror(-status));
	rt_error_hint(error, "put back a copy of it, or begin anew without "
			     "what it protects: remove the directory");
	return status;
}

/* ---- What others use ---- */

int sec_chip_open(const char *state_dir, struct rt_error *error)
{
	RT_FD int fd = -1;
	int status;

	if (chip_dir >= 0)
		return rt_error_set(error, -EALREADY,
				    "a security chip is open already");
	status = open_private(state_dir, &fd, error);
	if (!status)
		status = check_secret(fd, state_dir, error);
	if (status)
		return status;
	chip_dir = rt_take_fd(&fd);
	status = sec_audit_open(chip_dir, error);
	if (status)
		sec_chip_close();
	return status;
}

void sec_chip_close(void)
{
	int fd = chip_dir;

	if (fd < 0)
		return;
	sec_audit_close();
	chip_dir = -1;
	close(fd);
}

int sec_chip_dir(void)
{
	return chip_dir;
}

int sec_chip_secret(const char *label, void *out, size_t size)
{
	uint8_t secret[SECRET_BYTES];
	int dir = chip_dir, status;

	if (dir < 0)
		return -ENODEV;
	status = read_secret(dir, secret);
	if (!status)
		status = sec_derive(secret, sizeof secret, label, out, size);
	OPENSSL_cleanse(secret, sizeof secret);
	return status ? -EIO : 0;
}
