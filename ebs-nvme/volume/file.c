/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file engine: a regular file or a block device through io_uring and the
 * host's page cache.
 *
 * Theory.  A request is one to a few operations after each other: a transfer
 * goes on where the kernel stopped short; zeros are made by the first method
 * that the file system knows, and written where it knows none; a durable
 * request ends with the data on the medium.  fdatasync() reports data that was
 * lost once and then forgets it, so the engine remembers: a flush that failed
 * makes all later ones fail (see volume.h).
 *
 * The whole file is locked with an open-file-description lock, so neither a
 * second card nor QEMU (which uses the same kind) writes it as well.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "ebs-nvme/volume/engine.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"

#define PUNCH       (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZEROES_SIZE (UINT64_C(1) << 20) /* written at a time */

#define LOCK_WAIT_MS  1000
#define LOCK_RETRY_MS 50

/* How to make zeros, the best way first; after the last they are written. */
static const int zero_modes[] = {
	FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	PUNCH,
};
#define WRITE_ZEROS RT_COUNT(zero_modes)

static void start(struct ebs_volume_io *io);

static struct ebs_volume_io *io_of(struct rt_io *rt)
{
	return rt_container_of(rt, struct ebs_volume_io, rt);
}

static off_t position(const struct ebs_volume_io *io)
{
	return (off_t)(io->offset + io->transferred);
}

/* The kernel was disturbed and did nothing. */
static bool is_undone(int result)
{
	return result == -EINTR || result == -EAGAIN;
}

/* --- Reading and writing ----------------------------------------------- */

/* Take n bytes off the front of the vector. */
static void advance(struct ebs_volume_io *io, size_t n)
{
	unsigned int done = 0;

	while (done < io->iov_count && n >= io->iov[done].iov_len)
		n -= io->iov[done++].iov_len;
	io->iov_count -= done;
	memmove(io->iov, io->iov + done, io->iov_count * sizeof *io->iov);
	if (n) {
		assert(io->iov_count);
		io->iov->iov_base = (char *)io->iov->iov_base + n;
		io->iov->iov_len -= n;
	}
}

static void remember_loss(struct ebs_volume *volume, int error)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&volume->sync_error, &none, error))
		rt_log_error("volume",
			     "data could not be made durable: %s; the volume "
			     "confirms no flush any more",
			     rt_errno_name(error));
}

static bool promises_durability(const struct ebs_volume_io *io)
{
	return io->op == EBS_VOLUME_FLUSH ||
	       (io->is_durable && io->op != EBS_VOLUME_READ);
}

static void end(struct ebs_volume_io *io, int status)
{
	struct ebs_volume *volume = io->volume;
	bool is_promise = promises_durability(io);

	/* RWF_DSYNC reports, and forgets, losses of other writes as well. */
	if (is_promise &&
	    (status == -EIO || (status && io->op == EBS_VOLUME_FLUSH)))
		remember_loss(volume, status);
	/* Of two flushes at a time the kernel tells only one. */
	if (is_promise && !status)
		status = volume->sync_error;
	io->done(io, status);
}

static void transferred(struct rt_io *rt, int result)
{
	struct ebs_volume_io *io = io_of(rt);

	if (is_undone(result)) {
		start(io);
		return;
	}
	/* Inside the volume nothing ends a file unless someone cut it. */
	if (result <= 0) {
		end(io, result ? result : -EIO);
		return;
	}
	io->transferred += (unsigned int)result;
	if (io->transferred >= io->size) {
		end(io, 0);
		return;
	}
	if (io->op != EBS_VOLUME_WRITE_ZEROES)
		advance(io, (size_t)result);
	start(io);
}

static unsigned int vector_length(const struct ebs_volume_io *io)
{
	return io->iov_count < IOV_MAX ? io->iov_count : IOV_MAX;
}

static void start_read(struct ebs_volume_io *io)
{
	io->rt.done = transferred;
	rt_io_readv(io->loop, &io->rt, io->volume->fd, io->iov,
		    vector_length(io), position(io));
}

static void start_write(struct ebs_volume_io *io)
{
	io->rt.done = transferred;
	rt_io_writev(io->loop, &io->rt, io->volume->fd, io->iov,
		     vector_length(io), position(io), io->is_durable);
}

/* --- Flushing ---------------------------------------------------------- */

static void flushed(struct rt_io *rt, int result)
{
	struct ebs_volume_io *io = io_of(rt);

	if (is_undone(result)) {
		rt_io_datasync(io->loop, &io->rt, io->volume->fd);
		return;
	}
	end(io, result);
}

static void start_flush(struct ebs_volume_io *io)
{
	io->rt.done = flushed;
	rt_io_datasync(io->loop, &io->rt, io->volume->fd);
}

/* --- Discarding and zeroing -------------------------------------------- */

static bool is_unknown(int result)
{
	return result == -EOPNOTSUPP || result == -ENOSYS || result == -ENODEV;
}

static void discarded(struct rt_io *rt, int result)
{
	struct ebs_volume_io *io = io_of(rt);

	if (is_undone(result)) {
		start(io);
		return;
	}
	if (is_unknown(result)) {
		io->volume->can_discard = false;
		result = -EOPNOTSUPP;
	}
	/* A device may have larger blocks than ours: the data just stays. */
	if (result == -EINVAL)
		result = 0;
	io->done(io, result);
}

static void start_discard(struct ebs_volume_io *io)
{
	io->rt.done = discarded;
	rt_io_fallocate(io->loop, &io->rt, io->volume->fd, PUNCH,
			(off_t)io->offset, (off_t)io->size);
}

/* io->status is the method that this request tries. */
static void zeroed(struct rt_io *rt, int result)
{
	struct ebs_volume_io *io = io_of(rt);
	struct ebs_volume *volume = io->volume;

	if (is_undone(result)) {
		start(io);
	} else if (is_unknown(result)) {
		io->status++;
		if (volume->zero_method < (unsigned int)io->status)
			volume->zero_method = (unsigned int)io->status;
		start(io);
	} else if (result == -EINVAL) {
		/* Not a multiple of a device's larger blocks. */
		io->status = WRITE_ZEROS;
		start(io);
	} else if (!result && io->is_durable) {
		start_flush(io);
	} else {
		end(io, result);
	}
}

static void write_zeros(struct ebs_volume_io *io)
{
	struct ebs_volume *volume = io->volume;
	uint64_t left = io->size - io->transferred;

	io->zeroes.iov_base = volume->memory;
	io->zeroes.iov_len = left < ZEROES_SIZE ? left : ZEROES_SIZE;
	io->rt.done = transferred;
	rt_io_writev(io->loop, &io->rt, volume->fd, &io->zeroes, 1,
		     position(io), io->is_durable);
}

static void start_zeroing(struct ebs_volume_io *io)
{
	struct ebs_volume *volume = io->volume;

	if (io->status < (int)volume->zero_method)
		io->status = (int)volume->zero_method;
	if (io->status >= (int)WRITE_ZEROS) {
		write_zeros(io);
		return;
	}
	io->rt.done = zeroed;
	rt_io_fallocate(io->loop, &io->rt, volume->fd, zero_modes[io->status],
			(off_t)io->offset, (off_t)io->size);
}

/* --- The slots --------------------------------------------------------- */

static void (*const starts[])(struct ebs_volume_io *io) = {
	[EBS_VOLUME_READ] = start_read,
	[EBS_VOLUME_WRITE] = start_write,
	[EBS_VOLUME_FLUSH] = start_flush,
	[EBS_VOLUME_DISCARD] = start_discard,
	[EBS_VOLUME_WRITE_ZEROES] = start_zeroing,
};

static void start(struct ebs_volume_io *io)
{
	starts[io->op](io);
}

static int file_submit(struct ebs_volume *volume, struct ebs_volume_io *io)
{
	int lost = volume->sync_error;

	io->status = 0;
	if (lost && promises_durability(io))
		return lost;
	start(io);
	return -EINPROGRESS;
}

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
	return !fallocate(volume->fd, PUNCH, (off_t)volume->size, 4096);
}

static void file_close(struct ebs_volume *volume)
{
	if (volume->fd >= 0)
		close(volume->fd);
	volume->fd = -1;
	ebs_volume_release(volume);
}

static int set_up(struct ebs_volume *volume, const char *path,
		  struct rt_error *error)
{
	int err = let_block(volume->fd);

	if (err)
		return say_why(error, path, err);
	err = lock_file(volume->fd, path, volume->is_read_only, error);
	if (err)
		return err;
	err = take_size(volume, path, error);
	if (err)
		return err;
	volume->can_discard = can_punch(volume);
	return ebs_volume_reserve(volume, ZEROES_SIZE, PROT_READ, error);
}

static int file_open(struct ebs_volume *volume,
		     const struct ebs_volume_config *config,
		     struct rt_error *error)
{
	int err = open_file(config->file, config->is_read_only, &volume->fd,
			    error);

	if (err)
		return err;
	err = set_up(volume, config->file, error);
	if (err)
		file_close(volume);
	return err;
}

const struct ebs_volume_engine ebs_volume_file = {
	.name = "file",
	.open = file_open,
	.submit = file_submit,
	.close = file_close,
};
