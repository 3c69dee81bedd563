/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file engine: a regular file or a block device, through the host's page
 * cache or past it.
 *
 * Theory.  A request is one to a few operations after each other: a transfer
 * goes on where the kernel stopped short; zeros are made by the first method
 * that the file system knows, and written where it knows none; a durable
 * request ends with the data on the medium.  fdatasync() reports data that was
 * lost once and then forgets it, so the engine remembers: a flush that failed
 * makes all later ones fail (see volume.h).
 *
 * What the host has in memory is transferred at once, with a plain system call
 * (on tmpfs without one, see map.c): that is quicker than any ring.  What would
 * have to wait goes through the loop's io_uring, so that nobody else on the
 * thread waits for it.  Only a transfer counts: whatever else the call at once
 * says (the cache has it not, the file system cannot tell, it failed), the ring
 * is asked for the answer.
 *
 * syscalls: preadv2 pwritev2 fdatasync fallocate
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <unistd.h>

#include "ebs-nvme/volume/file.h"
#include "ebs-nvme/volume/map.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"

/*
 * After so many requests in a row that could not be done at once, only each
 * 16th is tried: the cache may have the next one, but probably has not.
 */
#define MISSES_MAX   16u
#define MISSES_TRIES 16u
#define MISSES_NEVER UINT_MAX /* the file system cannot */

/* How to make zeros, the best way first; after the last they are written. */
static const int zero_modes[] = {
	FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	EBS_FILE_PUNCH,
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

static bool is_multiple(uint64_t value, uint32_t align)
{
	return !(value & (align - 1)); /* a power of two */
}

static bool is_aligned(const struct ebs_volume_io *io, const struct iovec *iov,
		       unsigned int count)
{
	const struct ebs_volume *volume = io->volume;

	if (!is_multiple((uint64_t)position(io), volume->offset_align))
		return false;
	for (unsigned int i = 0; i < count; i++)
		if (!is_multiple((uintptr_t)iov[i].iov_base,
				 volume->memory_align) ||
		    !is_multiple(iov[i].iov_len, volume->offset_align))
			return false;
	return true;
}

/* The descriptor for a transfer: past the cache if it can go there. */
static int choose_fd(const struct ebs_volume_io *io, const struct iovec *iov,
		     unsigned int count)
{
	const struct ebs_volume *volume = io->volume;

	if (volume->direct_fd >= 0 && is_aligned(io, iov, count))
		return volume->direct_fd;
	return volume->fd;
}

static void start_read(struct ebs_volume_io *io)
{
	unsigned int count = vector_length(io);

	io->rt.done = transferred;
	rt_io_readv(io->loop, &io->rt, choose_fd(io, io->iov, count), io->iov,
		    count, position(io));
}

static void write_vector(struct ebs_volume_io *io, const struct iovec *iov,
			 unsigned int count)
{
	io->rt.done = transferred;
	rt_io_writev(io->loop, &io->rt, choose_fd(io, iov, count), iov, count,
		     position(io), io->is_durable);
}

static void start_write(struct ebs_volume_io *io)
{
	write_vector(io, io->iov, vector_length(io));
}

/* --- At once ----------------------------------------------------------- */

static bool is_transfer(const struct ebs_volume_io *io)
{
	return io->op == EBS_VOLUME_READ || io->op == EBS_VOLUME_WRITE;
}

static bool may_be_at_once(const struct ebs_volume_io *io)
{
	struct ebs_volume *volume = io->volume;
	unsigned int misses;

	if (!is_transfer(io) || volume->direct_fd >= 0)
		return false;
	if (volume->is_in_memory)
		return true;
	/* What has to reach a medium waits for it. */
	if (promises_durability(io))
		return false;
	misses = atomic_load_explicit(&volume->misses[io->op],
				      memory_order_relaxed);
	if (misses < MISSES_MAX)
		return true;
	return misses != MISSES_NEVER &&
	       atomic_fetch_add_explicit(&volume->untried, 1,
					 memory_order_relaxed) %
			       MISSES_TRIES ==
		       0;
}

static void set_misses(struct ebs_volume_io *io, unsigned int misses)
{
	_Atomic unsigned int *of_op = &io->volume->misses[io->op];

	if (atomic_load_explicit(of_op, memory_order_relaxed) != misses)
		atomic_store_explicit(of_op, misses, memory_order_relaxed);
}

/* It is only a guess: threads that overwrite each other's do not matter. */
static void note_result(struct ebs_volume_io *io, ssize_t result, int error)
{
	unsigned int misses = io->volume->misses[io->op];

	if (io->volume->is_in_memory || misses == MISSES_NEVER)
		return;
	if (result > 0)
		set_misses(io, 0);
	else if (error == EOPNOTSUPP)
		set_misses(io, MISSES_NEVER);
	else if (misses < MISSES_MAX)
		set_misses(io, misses + 1);
}

static ssize_t transfer(const struct ebs_volume_io *io)
{
	const struct ebs_volume *volume = io->volume;
	int count = (int)vector_length(io);
	int flags = volume->is_in_memory ? 0 : RWF_NOWAIT;

	if (io->op == EBS_VOLUME_READ)
		return preadv2(volume->fd, io->iov, count, position(io), flags);
	if (io->is_durable)
		flags |= RWF_DSYNC;
	return pwritev2(volume->fd, io->iov, count, position(io), flags);
}

/* True: all of it is done.  What is not is left in the request. */
static bool transfer_at_once(struct ebs_volume_io *io)
{
	ssize_t result = transfer(io);

	note_result(io, result, errno);
	if (result <= 0)
		return false;
	io->transferred = (uint64_t)result;
	if (io->transferred >= io->size)
		return true;
	advance(io, (size_t)result);
	return false;
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
	rt_io_fallocate(io->loop, &io->rt, io->volume->fd, EBS_FILE_PUNCH,
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
	uint64_t left = io->size - io->transferred;

	io->zeroes.iov_base = io->volume->memory;
	io->zeroes.iov_len = left < EBS_FILE_ZEROES ? left : EBS_FILE_ZEROES;
	write_vector(io, &io->zeroes, 1);
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

/* True: it is done, as far as there was anything to do. */
static bool do_at_once(struct ebs_volume_io *io)
{
	if (io->op == EBS_VOLUME_FLUSH)
		return io->volume->is_in_memory && !fdatasync(io->volume->fd);
	if (!may_be_at_once(io))
		return false;
	/* Of an encrypted volume this was tried before: file_at_once(). */
	return (io->volume->map && !io->volume->crypt &&
		ebs_map_transfer(io->volume->map, io, NULL)) ||
	       transfer_at_once(io);
}

static bool file_at_once(struct ebs_volume *volume, struct ebs_volume_io *io)
{
	return volume->map && !volume->sync_error && may_be_at_once(io) &&
	       ebs_map_transfer(volume->map, io, volume->crypt);
}

static bool may_make_holes(const struct ebs_volume_io *io)
{
	return io->op == EBS_VOLUME_DISCARD ||
	       io->op == EBS_VOLUME_WRITE_ZEROES;
}

static int file_submit(struct ebs_volume *volume, struct ebs_volume_io *io)
{
	bool is_promise = promises_durability(io);
	int lost = is_promise ? volume->sync_error : 0;

	io->status = 0;
	if (lost)
		return lost;
	if (do_at_once(io))
		return is_promise ? volume->sync_error : 0;
	if (volume->map && may_make_holes(io))
		ebs_map_forget(volume->map, io->offset, io->size);
	start(io);
	return -EINPROGRESS;
}

static void file_zero(struct ebs_volume *volume, uint64_t offset, uint64_t size)
{
	ssize_t result = pwrite(volume->fd, volume->memory,
				size < EBS_FILE_ZEROES ? size : EBS_FILE_ZEROES,
				(off_t)offset);

	if (result < 0)
		rt_log_warn("volume", "a part of it could not be zeroed: %s",
			    rt_errno_name(errno));
}

static void file_expect(const struct ebs_volume *volume, enum ebs_volume_op op,
			uint64_t offset, uint64_t size)
{
	if (volume->map && op == EBS_VOLUME_READ)
		ebs_map_expect(volume->map, offset, size);
}

const struct ebs_volume_engine ebs_volume_file = {
	.name = "file",
	.open = ebs_file_open,
	.submit = file_submit,
	.expect = file_expect,
	.at_once = file_at_once,
	.zero = file_zero,
	.close = ebs_file_close,
};
