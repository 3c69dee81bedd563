/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that are made once: written aside, under a name that nobody else
 * chooses, and then linked to their own.  A name is durable when its directory
 * is, so that is synced last: data that needs a key must not be older than it.
 *
 * syscalls: openat fsync linkat unlinkat
 */
#include "security-chip/once.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/scope.h"

/* Cards in containers have the same process ids: those are no names. */
static int name_aside(const char *path, char *aside, size_t size)
{
	uint64_t number;

	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return -EIO;
	if ((size_t)snprintf(aside, size, "%s.%016" PRIx64, path, number) >=
	    size)
		return -ENAMETOOLONG;
	return 0;
}

static int write_aside(int dir, const char *aside, const void *bytes,
		       size_t size)
{
	RT_FD int fd = openat(dir, aside,
			      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t written = fd < 0 ? -1 : write(fd, bytes, size);

	if (written < 0)
		return -errno;
	if ((size_t)written != size)
		return -EIO;
	return fsync(fd) ? -errno : 0;
}

static int sync_folder(int dir, const char *path)
{
	const char *end = strrchr(path, '/');
	char folder[PATH_MAX];
	RT_FD int fd = -1;

	snprintf(folder, sizeof folder, "%.*s", end ? (int)(end - path) + 1 : 1,
		 end ? path : ".");
	fd = openat(dir, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) ? -errno : 0;
}

int sec_file_make_once(int dir, const char *path, const void *bytes,
		       size_t size)
{
	char aside[PATH_MAX];
	int status = name_aside(path, aside, sizeof aside), synced = 0;

	if (status)
		return status;
	status = write_aside(dir, aside, bytes, size);
	if (!status && linkat(dir, aside, dir, path, 0))
		status = -errno;
	unlinkat(dir, aside, 0);
	/* Whoever was faster may not be so far yet. */
	if (!status || status == -EEXIST)
		synced = sync_folder(dir, path);
	return synced ? synced : status;
}
