/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Captures: pcapng as in draft-ietf-opsawg-pcapng.  A section block; for each
 * port that comes an interface block; an enhanced packet block for each frame;
 * for each port that leaves a statistics block, which says how many of its
 * frames are missing.
 *
 * Two buffers: the loop fills one while a thread writes the other, so a slow
 * disk holds up nobody.  The loop hands a buffer over when it is full, or a
 * while after its first block, if the thread has nothing to do.  Buffers end
 * with a block, so whoever reads the file meanwhile sees whole ones.
 *
 *   loop:    fill → hand over: is_writing = true, post
 *   thread:  wait → write → is_writing = false
 *
 * syscalls: openat fstat flock ftruncate write close
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "ena/vpc/uplink.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/sandbox.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/thread.h"

#define BUFFER_BYTES (4u << 20)
#define FLUSH_NS     (100 * RT_NS_PER_MS)

/* Block types and options; sections 4.1 to 4.6 of the draft. */
#define BLOCK_SECTION      0x0a0d0d0au
#define BLOCK_INTERFACE    1u
#define BLOCK_STATISTICS   5u
#define BLOCK_PACKET       6u
#define BYTE_ORDER_MAGIC   0x1a2b3c4du
#define LINKTYPE_ETHERNET  1u
#define OPTION_END         0u
#define OPTION_SHB_PROGRAM 4u
#define OPTION_IF_NAME     2u
#define OPTION_IF_TSRESOL  9u
#define OPTION_EPB_FLAGS   2u
#define OPTION_ISB_DROPS   5u
#define NANOSECONDS        9u /* as a power of ten */
#define FLAG_INBOUND       1u
#define FLAG_OUTBOUND      2u

/* Of a packet block besides the frame: 28 before, 16 after, and padding. */
#define PACKET_OVERHEAD 48u

struct buffer {
	size_t used;
	uint8_t *bytes;
};

struct ena_capture {
	struct rt_loop *loop;
	struct rt_timer timer; /* started while a buffer waits to be written */
	char *path;
	dev_t device;
	ino_t inode;
	int fd;
	unsigned int users;
	uint32_t interfaces; /* so far */
	bool is_told;        /* that it has ended early */
	struct buffer buffers[2];
	unsigned int filling; /* which of them */

	pthread_t thread;
	sem_t work;
	_Atomic bool is_writing; /* the other buffer is the thread's */
	_Atomic int error;       /* of the first write that failed */
	off_t written;           /* the thread's; whole blocks */
	LIST_ENTRY(ena_capture) entry;
};

static _Thread_local LIST_HEAD(, ena_capture) captures;

/* ---- The thread ---- */

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		size -= (size_t)n;
	}
	return 0;
}

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) && errno == EINTR)
		;
}

/* After an error nothing more is written, and the file ends with a block. */
static void write_buffer(struct ena_capture *capture,
			 const struct buffer *buffer)
{
	int err;

	if (atomic_load(&capture->error))
		return;
	err = write_all(capture->fd, buffer->bytes, buffer->used);
	if (!err) {
		capture->written += (off_t)buffer->used;
		return;
	}
	atomic_store(&capture->error, err);
	if (ftruncate(capture->fd, capture->written))
		rt_log_warn("capture", "the end of %s is damaged",
			    capture->path);
}

static void *write_buffers(void *arg)
{
	struct ena_capture *capture = arg;

	pthread_setname_np(pthread_self(), "capture");
	for (unsigned int n = 0;; n ^= 1) {
		bool is_last;

		wait_for(&capture->work);
		/* That is how it is told the end, and the rest is its own. */
		is_last = !atomic_load(&capture->is_writing);
		write_buffer(capture, &capture->buffers[n]);
		if (is_last)
			return NULL;
		atomic_store(&capture->is_writing, false);
	}
}

/* ---- Buffers ---- */

static bool has_failed(struct ena_capture *capture)
{
	int err = atomic_load(&capture->error);

	if (err && !capture->is_told)
		rt_log_error("capture", "%s has ended: %s", capture->path,
			     strerror(-err));
	capture->is_told |= err != 0;
	return err != 0;
}

/* False: the thread is still busy with the other one. */
static bool hand_over(struct ena_capture *capture)
{
	if (atomic_load(&capture->is_writing))
		return false;
	if (has_failed(capture)) {
		capture->buffers[capture->filling].used = 0;
		return true;
	}
	capture->filling ^= 1;
	capture->buffers[capture->filling].used = 0;
	atomic_store(&capture->is_writing, true);
	sem_post(&capture->work);
	return true;
}

static void flush_later(struct ena_capture *capture)
{
	rt_timer_start(capture->loop, &capture->timer,
		       rt_loop_now_ns(capture->loop) + FLUSH_NS);
}

static void flush(struct rt_timer *timer)
{
	struct ena_capture *capture =
		rt_container_of(timer, struct ena_capture, timer);

	if (capture->buffers[capture->filling].used && !hand_over(capture))
		flush_later(capture);
}

/* Room for a block of that size, or NULL. */
static uint8_t *begin_block(struct ena_capture *capture, size_t size)
{
	struct buffer *buffer = &capture->buffers[capture->filling];

	if (BUFFER_BYTES - buffer->used < size) {
		if (!hand_over(capture))
			return NULL;
		buffer = &capture->buffers[capture->filling];
	}
	if (!buffer->used)
		flush_later(capture);
	return buffer->bytes + buffer->used;
}

/* ---- Blocks, in this machine's byte order ---- */

static uint8_t *put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof value);
	return at + sizeof value;
}

static uint8_t *put64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof value);
	return at + sizeof value;
}

static uint8_t *pad(uint8_t *at, const uint8_t *start)
{
	while ((at - start) % 4)
		*at++ = 0;
	return at;
}

static uint8_t *put_option(uint8_t *at, uint32_t code, const void *value,
			   size_t size)
{
	uint8_t *start = at;

	at = put32(at, code | (uint32_t)size << 16);
	if (size)
		memcpy(at, value, size);
	return pad(at + size, start);
}

/* The length is in front and at the end. */
static void end_block(struct ena_capture *capture, uint8_t *start, uint8_t *at)
{
	uint32_t size = (uint32_t)(at - start) + 4;

	put32(at, size);
	put32(start + 4, size);
	capture->buffers[capture->filling].used += size;
}

static void put_section(struct ena_capture *capture)
{
	static const char program[] = "nitro-card " NITRO_VERSION;
	uint8_t *start = begin_block(capture, 256), *at = start;

	at = put32(at, BLOCK_SECTION);
	at = put32(at, 0);
	at = put32(at, BYTE_ORDER_MAGIC);
	at = put32(at, 1); /* version 1.0 */
	at = put64(at, UINT64_MAX);
	at = put_option(at, OPTION_SHB_PROGRAM, program, sizeof program - 1);
	at = put_option(at, OPTION_END, NULL, 0);
	end_block(capture, start, at);
}

static bool put_interface(struct ena_capture *capture, const char *name)
{
	static const uint8_t resolution = NANOSECONDS;
	uint8_t *start = begin_block(capture, 128), *at = start;

	if (!start)
		return false;
	at = put32(at, BLOCK_INTERFACE);
	at = put32(at, 0);
	at = put32(at, LINKTYPE_ETHERNET);
	at = put32(at, 0); /* whole frames */
	at = put_option(at, OPTION_IF_NAME, name, strlen(name));
	at = put_option(at, OPTION_IF_TSRESOL, &resolution, 1);
	at = put_option(at, OPTION_END, NULL, 0);
	end_block(capture, start, at);
	return true;
}

static uint8_t *put_stamp(uint8_t *at, uint64_t now_ns)
{
	at = put32(at, (uint32_t)(now_ns >> 32));
	return put32(at, (uint32_t)now_ns);
}

static uint64_t wall_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * RT_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void put_statistics(const struct ena_port *port)
{
	struct ena_capture *capture = port->capture;
	uint8_t *start = begin_block(capture, 64), *at = start;

	if (!start)
		return;
	at = put32(at, BLOCK_STATISTICS);
	at = put32(at, 0);
	at = put32(at, port->capture_id);
	at = put_stamp(at, wall_clock_ns());
	at = put_option(at, OPTION_ISB_DROPS, &port->capture_missing, 8);
	at = put_option(at, OPTION_END, NULL, 0);
	end_block(capture, start, at);
}

static void put_packet(struct ena_port *port, const struct ena_frame *frame,
		       unsigned int n, uint64_t now_ns, uint32_t direction)
{
	struct ena_capture *capture = port->capture;
	uint32_t length = ena_frame_wire_length(frame, n);
	uint8_t *start = begin_block(capture, length + PACKET_OVERHEAD);
	struct iovec piece;
	uint8_t *at = start;

	if (!start) {
		port->capture_missing++;
		return;
	}
	at = put32(at, BLOCK_PACKET);
	at = put32(at, 0);
	at = put32(at, port->capture_id);
	at = put_stamp(at, now_ns);
	at = put32(at, length);
	at = put32(at, length);
	piece = (struct iovec){ at, length };
	ena_frame_put_wire(frame, n, &(struct ena_frame_room){ &piece, 1 });
	at = pad(at + length, start);
	at = put_option(at, OPTION_EPB_FLAGS, &direction, sizeof direction);
	at = put_option(at, OPTION_END, NULL, 0);
	end_block(capture, start, at);
}

void ena_capture_write(struct ena_port *port, const struct ena_frame *frames,
		       unsigned int count, bool is_sent)
{
	uint32_t direction = is_sent ? FLAG_OUTBOUND : FLAG_INBOUND;
	uint64_t now_ns = wall_clock_ns();

	if (has_failed(port->capture))
		return;
	for (unsigned int i = 0; i < count; i++) {
		unsigned int n = ena_frame_wire_count(&frames[i]);

		for (unsigned int k = 0; k < n; k++)
			put_packet(port, &frames[i], k, now_ns, direction);
	}
}

/* ---- Beginning and end ---- */

static int say_why(struct rt_error *error, const char *path, int code)
{
	rt_error_set(error, code, "cannot capture to %s: %s", path,
		     strerror(-code));
	if (code == -EBUSY)
		rt_error_hint(error, "another capture writes it; NICs that "
				     "share a file share a switch");
	if (code == -EACCES || code == -EPERM)
		rt_error_hint(error, "in its sandbox, the card writes those "
				     "of its configuration and others in "
				     "card.capture-dir");
	if (code == -EINVAL)
		rt_error_hint(error, "captures go to plain files");
	return code;
}

/* Who can read traffic can read secrets: the file is the user's only. */
static int open_file(const char *path, struct stat *status, int *out)
{
	RT_FD int fd = rt_sandbox_open(
		path, O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY, 0600);

	if (fd < 0)
		return errno == ENXIO ? -EINVAL : -errno;
	if (fstat(fd, status))
		return -errno;
	if (!S_ISREG(status->st_mode))
		return -EINVAL;
	*out = rt_take_fd(&fd);
	return 0;
}

static struct ena_capture *find_capture(const struct rt_loop *loop,
					const struct stat *status)
{
	struct ena_capture *capture;

	LIST_FOREACH (capture, &captures, entry) {
		if (capture->loop == loop &&
		    capture->device == status->st_dev &&
		    capture->inode == status->st_ino)
			return capture;
	}
	return NULL;
}

static void free_capture(struct ena_capture *capture)
{
	for (unsigned int i = 0; i < RT_COUNT(capture->buffers); i++)
		free(capture->buffers[i].bytes);
	if (capture->fd >= 0)
		close(capture->fd);
	free(capture->path);
	free(capture);
}

static struct ena_capture *alloc_capture(struct rt_loop *loop, const char *path,
					 const struct stat *status)
{
	struct ena_capture *capture = calloc(1, sizeof *capture);

	if (!capture)
		return NULL;
	*capture = (struct ena_capture){ .loop = loop,
					 .timer.fired = flush,
					 .path = strdup(path),
					 .device = status->st_dev,
					 .inode = status->st_ino,
					 .fd = -1 };
	for (unsigned int i = 0; i < RT_COUNT(capture->buffers); i++)
		capture->buffers[i].bytes = malloc(BUFFER_BYTES);
	if (capture->path && capture->buffers[0].bytes &&
	    capture->buffers[1].bytes)
		return capture;
	free_capture(capture);
	return NULL;
}

/* The descriptor is taken only if it succeeds. */
static int make_capture(struct rt_loop *loop, const char *path,
			const struct stat *status, int *fd,
			struct ena_capture **out)
{
	struct ena_capture *capture;
	int err;

	if (flock(*fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (ftruncate(*fd, 0))
		return -errno;
	capture = alloc_capture(loop, path, status);
	if (!capture)
		return -ENOMEM;
	sem_init(&capture->work, 0, 0);
	err = rt_thread_start(&capture->thread, write_buffers, capture);
	if (err) {
		free_capture(capture);
		return err;
	}
	capture->fd = rt_take_fd(fd);
	LIST_INSERT_HEAD(&captures, capture, entry);
	put_section(capture);
	*out = capture;
	return 0;
}

/* What is in the buffers is written before anything else happens. */
static void end_capture(struct ena_capture *capture)
{
	LIST_REMOVE(capture, entry);
	rt_timer_stop(capture->loop, &capture->timer);
	sem_post(&capture->work);
	pthread_join(capture->thread, NULL);
	has_failed(capture);
	sem_destroy(&capture->work);
	free_capture(capture);
}

int ena_port_capture(struct ena_port *port, const char *path,
		     struct rt_error *error)
{
	struct rt_loop *loop = ena_switch_loop(port->lan);
	struct ena_capture *capture;
	RT_FD int fd = -1;
	struct stat status;
	int err;

	if (port->capture)
		return say_why(error, path, -EBUSY);
	err = open_file(path, &status, &fd);
	if (err)
		return say_why(error, path, err);
	capture = find_capture(loop, &status);
	if (!capture)
		err = make_capture(loop, path, &status, &fd, &capture);
	if (err)
		return say_why(error, path, err);
	if (!put_interface(capture, port->name))
		return say_why(error, path, -EAGAIN);
	port->capture_id = capture->interfaces++;
	port->capture_missing = 0;
	port->capture = capture;
	capture->users++;
	return 0;
}

void ena_port_capture_end(struct ena_port *port)
{
	struct ena_capture *capture = port->capture;

	if (!capture)
		return;
	put_statistics(port);
	if (port->capture_missing)
		rt_log_warn(port->name,
			    "%s misses %llu frames: the disk was too slow",
			    capture->path,
			    (unsigned long long)port->capture_missing);
	port->capture = NULL;
	if (!--capture->users)
		end_capture(capture);
}
