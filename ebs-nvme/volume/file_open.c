/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a file or a block device becomes a volume: what it is, that nobody else
 * writes it, how large it is, and which ways to its bytes it offers.
 *
 * The whole file is locked with an open-file-description lock, so neither a
 * second card nor QEMU (which uses the same kind) writes it as well.
 *
 * Past the page cache it is reached by a second descriptor.  The first one
 * stays, for what the device's blocks are too large for or the guest's memory
 * is not aligned for: the page cache is the buffer then, and the kernel keeps
 * the two from contradicting each other.
 *
 * syscalls: close fstat
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "ebs-nvme/volume/file.h"
#include "ebs-nvme/volume/map.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"

#define LOCK_WAIT_MS  1000
#define LOCK_RETRY_MS 50

/* What direct I/O needs where the kernel does not say. */
#define ALIGN_SAFE 4096u

static int say_why(struct rt_error *error, const char *path, int code)
{
	rt_error_set(error, code, "cannot open the volume %s: %s", path,
		     strerror(-code));
	if (code == -ENOENT)
		rt_error_hint(error, "make it with: truncate -s 8G %s", path);
	if (code == -EACCES || code == -EROFS || code == -EPERM)
		rt_error_hint(error, "let this user write it, or make the "
				     "volume read-only");
	if (code == -EBUSY)
		rt_error_hint(error,
			      "unmount it, or stop the card that has it");
	return code;
}

/*
 * O_NONBLOCK is for the open() of what turns out to be a pipe or a terminal.
 * O_EXCL fails for a block device that the host has mounted.
 */
static int open_file(const char *path, bool is_read_only, int *out,
		     struct rt_error *error)
{
	int mode = is_read_only ? O_RDONLY : O_RDWR;
	int fd = open(path, mode | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	RT_FD int first = fd;
	struct stat status;

	if (fd < 0 || fstat(fd, &status))
		return say_why(error, path, -errno);
	if (S_ISREG(status.st_mode)) {
		*out = rt_take_fd(&first);
		return 0;
	}
	if (!S_ISBLK(status.st_mode))
		return rt_error_set(
			error, -EINVAL,
			"the volume %s is no file and no block device", path);
	fd = open(path, mode | O_CLOEXEC | (is_read_only ? 0 : O_EXCL));
	if (fd < 0)
		return say_why(error, path, -errno);
	*out = fd;
	return 0;
}

/* io_uring does not wait for a descriptor that is not to block. */
static int let_block(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK))
		return -errno;
	return 0;
}

/*
 * A card that was killed holds its lock until the last of its I/O has ended,
 * and its successor may already be here.
 */
static bool try_lock(int fd, bool is_read_only)
{
	struct flock whole = { .l_type = is_read_only ? F_RDLCK : F_WRLCK,
			       .l_whence = SEEK_SET };

	for (int waited_ms = 0;; waited_ms += LOCK_RETRY_MS) {
		if (!fcntl(fd, F_OFD_SETLK, &whole))
			return true;
		if ((errno != EAGAIN && errno != EACCES) ||
		    waited_ms >= LOCK_WAIT_MS)
			return false;
		poll(NULL, 0, LOCK_RETRY_MS);
	}
}

static int lock_file(int fd, const char *path, bool is_read_only,
		     struct rt_error *error)
{
	if (try_lock(fd, is_read_only))
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return rt_error_set(error, -errno,
				    "cannot lock the volume %s: %s", path,
				    strerror(errno));
	rt_error_set(error, -EBUSY, "the volume %s is in use", path);
	rt_error_hint(error,
		      "another card or QEMU has it open; "
		      "`fuser %s` says who",
		      path);
	return -EBUSY;
}

static int find_size(int fd, uint64_t *out)
{
	struct stat status;

	if (fstat(fd, &status))
		return -errno;
	*out = (uint64_t)status.st_size;
	if (S_ISBLK(status.st_mode) && ioctl(fd, BLKGETSIZE64, out))
		return -errno;
	return 0;
}

static int take_size(struct ebs_volume *volume, const char *path,
		     struct rt_error *error)
{
	uint64_t size;
	int err = find_size(volume->fd, &size);

	if (err)
		return rt_error_set(error, err,
				    "cannot tell the size of the volume %s: %s",
				    path, strerror(-err));
	if (!size) {
		rt_error_set(error, -EINVAL, "the volume %s is empty", path);
		rt_error_hint(error, "give it a size: truncate -s 8G %s", path);
		return -EINVAL;
	}
	err = ebs_volume_set_size(volume, size, error);
	if (err)
		rt_error_hint(error, "round it up: truncate -s %%512 %s", path);
	return err;
}

/* A partition's queue is its disk's, one folder up. */
static bool device_can_zero(dev_t device)
{
	static const char *const places[] = { "", "../" };

	for (size_t i = 0; i < RT_COUNT(places); i++) {
		unsigned long long limit = 0;
		char path[96];
		FILE *file;

		snprintf(path, sizeof path,
			 "/sys/dev/block/%u:%u/%squeue/write_zeroes_max_bytes",
			 major(device), minor(device), places[i]);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%llu", &limit) != 1)
			limit = 0;
		fclose(file);
		return limit > 0;
	}
	return false;
}

/* Without touching data: behind a file's end a hole changes nothing. */
static bool can_punch(const struct ebs_volume *volume)
{
	struct stat status;

	if (volume->is_read_only || fstat(volume->fd, &status))
		return false;
	if (S_ISBLK(status.st_mode))
		return device_can_zero(status.st_rdev);
	return !fallocate(volume->fd, EBS_FILE_PUNCH, (off_t)volume->size,
			  4096);
}

void ebs_file_close(struct ebs_volume *volume)
{
	ebs_map_close(&volume->map);
	if (volume->direct_fd >= 0)
		close(volume->direct_fd);
	volume->direct_fd = -1;
	if (volume->fd >= 0)
		close(volume->fd);
	volume->fd = -1;
	ebs_volume_release(volume);
}

/*
 * No disk is behind it: to read or write it is to copy.  A block device is a
 * file in memory only by its name.
 */
static bool is_in_memory(int fd)
{
	struct stat status;
	struct statfs fs;

	return !fstat(fd, &status) && S_ISREG(status.st_mode) &&
	       !fstatfs(fd, &fs) &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static void find_alignment(struct ebs_volume *volume)
{
	struct statx status;

	volume->memory_align = ALIGN_SAFE;
	volume->offset_align = ALIGN_SAFE;
	if (statx(volume->direct_fd, "", AT_EMPTY_PATH, STATX_DIOALIGN,
		  &status) ||
	    !(status.stx_mask & STATX_DIOALIGN) || !status.stx_dio_offset_align)
		return;
	volume->memory_align = status.stx_dio_mem_align;
	volume->offset_align = status.stx_dio_offset_align;
}

/* By the descriptor: the path may mean another file by now. */
static int open_direct(struct ebs_volume *volume, const char *path,
		       struct rt_error *error)
{
	int mode = volume->is_read_only ? O_RDONLY : O_RDWR;
	char again[32];
	int code;

	snprintf(again, sizeof again, "/proc/self/fd/%d", volume->fd);
	volume->direct_fd = open(again, mode | O_DIRECT | O_CLOEXEC);
	if (volume->direct_fd < 0) {
		code = rt_error_set(error, -errno,
				    "cannot open the volume %s past the page "
				    "cache: %s",
				    path, strerror(errno));
		rt_error_hint(error, "leave cache out, or say: cache: page");
		return code;
	}
	find_alignment(volume);
	return 0;
}

static int find_ways(struct ebs_volume *volume,
		     const struct ebs_volume_config *config,
		     struct rt_error *error)
{
	volume->is_in_memory = is_in_memory(volume->fd);
	if (volume->is_in_memory)
		volume->map = ebs_map_open(volume->fd, volume->size,
					   volume->is_read_only);
	/* In memory there is nothing behind the page cache. */
	if (config->cache != EBS_VOLUME_CACHE_DIRECT || volume->is_in_memory)
		return 0;
	return open_direct(volume, config->file, error);
}

static int set_up(struct ebs_volume *volume,
		  const struct ebs_volume_config *config,
		  struct rt_error *error)
{
	const char *path = config->file;
	int err = let_block(volume->fd);

	if (err)
		return say_why(error, path, err);
	err = lock_file(volume->fd, path, volume->is_read_only, error);
	if (err)
		return err;
	err = take_size(volume, path, error);
	if (err)
		return err;
	err = find_ways(volume, config, error);
	if (err)
		return err;
	volume->can_discard = can_punch(volume);
	return ebs_volume_reserve(volume, EBS_FILE_ZEROES, PROT_READ, error);
}

int ebs_file_open(struct ebs_volume *volume,
		  const struct ebs_volume_config *config,
		  struct rt_error *error)
{
	int err = open_file(config->file, config->is_read_only, &volume->fd,
			    error);

	volume->direct_fd = -1;
	if (err)
		return err;
	err = set_up(volume, config, error);
	if (err)
		ebs_file_close(volume);
	return err;
}
