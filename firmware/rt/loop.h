/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One io_uring per thread: descriptors to watch, timers, storage I/O, calls
 * posted from other threads, and memory to poll.  Everything but rt_loop_post()
 * and rt_loop_stop() is called on the loop's own thread (before the loop first
 * runs: on the thread that made it).  Callbacks run on that thread, never from
 * inside the call that started the operation, and trace with the source that
 * was in use when it was started (see rt_trace_use()).  The caller owns each
 * watch, timer, task, poller and I/O struct and keeps it in place while it is
 * started.
 */
#ifndef FIRMWARE_RT_LOOP_H
#define FIRMWARE_RT_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/uio.h>

struct rt_clock;
struct rt_loop;
struct poller_list;

/* clock is borrowed; NULL: the host's monotonic clock. */
int rt_loop_create(const struct rt_clock *clock, struct rt_loop **out);

/*
 * Timers, watches and pollers that are still started are dropped; no I/O may be
 * on its way, and every rt_loop_post() to this loop has returned.
 */
void rt_loop_destroy(struct rt_loop **loop);

/* Runs until rt_loop_stop().  Returns 0, or a negative errno of io_uring. */
int rt_loop_run(struct rt_loop *loop);
void rt_loop_stop(struct rt_loop *loop); /* any thread, or a signal handler */

/*
 * One turn: wait at most wait_ns for something to do, do all that is ready.
 * wait_ns is the host's time whatever the loop's clock: a virtual clock does
 * not come to a deadline by waiting.  Returns the number of callbacks made,
 * those of pollers not counted, or a negative errno.
 */
int rt_loop_step(struct rt_loop *loop, uint64_t wait_ns);

uint64_t rt_loop_now_ns(const struct rt_loop *loop);

/* A call to make on the loop's thread, in the order of posting. */
struct rt_task {
	void (*run)(struct rt_task *task);
	struct rt_task *next;   /* the loop's, as are the others */
	_Atomic bool is_posted; /* posting twice is posting once */
	const char *source;     /* of its traces */
};
void rt_loop_post(struct rt_loop *loop, struct rt_task *task); /* any thread */

/*
 * Level-triggered readiness of a descriptor, which is borrowed.  POLLERR and
 * POLLHUP come unasked.  POLLERR | POLLNVAL: it cannot be polled; it is not
 * reported again.  Stop the watch before closing the descriptor; a peer sees it
 * closed when the loop has made a turn.
 */
struct rt_watch {
	void (*ready)(struct rt_watch *watch, uint32_t poll_events);
	uint64_t token; /* the loop's; 0: not started */
	const char *source;
};
/* -ENOMEM, -EALREADY (it is started). */
int rt_watch_start(struct rt_loop *loop, struct rt_watch *watch, int fd,
		   uint32_t poll_events);
/*
 * May be called from ready(); ready() is not called again after it.  Stopping
 * what is not started does nothing.
 */
void rt_watch_stop(struct rt_loop *loop, struct rt_watch *watch);

/* One call at a moment of the loop's clock, never before it. */
struct rt_timer {
	void (*fired)(struct rt_timer *timer);
	uint64_t deadline_ns;
	size_t heap_slot; /* the loop's; 0: not started */
	const char *source;
};
/*
 * Starting a started timer moves it.  May fail only with -ENOMEM.  Stopping
 * what is not started does nothing.
 */
int rt_timer_start(struct rt_loop *loop, struct rt_timer *timer,
		   uint64_t deadline_ns);
void rt_timer_stop(struct rt_loop *loop, struct rt_timer *timer);

/*
 * Memory that others write without a word, and that must be looked at: poll()
 * is called once in each turn of the loop, after all that is ready has had its
 * callback.  It returns for how many nanoseconds it may be left alone:
 *   0             it has found something; call it again at once
 *   RT_POLL_SPIN  it has found nothing but will not wait; the loop does not
 *                 sleep either, but gives way now and then to other threads of
 *                 its processor
 *   UINT64_MAX    for as long as nothing else wakes the loop
 * While one does not let the loop sleep, turns in which nothing had a callback
 * leave the others alone for as long as they said.  A turn without sleep that
 * has nothing to submit makes no system call.  now_ns is the loop's clock, read
 * once in a turn, just before the timers fire.
 */
#define RT_POLL_SPIN 1
struct rt_poller {
	uint64_t (*poll)(struct rt_poller *poller, uint64_t now_ns);
	struct poller_list *list; /* the loop's, as are the others */
	const char *source;
	TAILQ_ENTRY(rt_poller) entry;
};
/*
 * Starting what is started, and stopping or waking what is not, does nothing.
 * All may be called from any poll(), which may also free its poller once it is
 * stopped.
 */
void rt_poller_start(struct rt_loop *loop, struct rt_poller *poller);
void rt_poller_stop(struct rt_loop *loop, struct rt_poller *poller);
/*
 * It has work after all: it is called in the next turn at the latest, which
 * comes at once.  In its own poll() what that returns counts.
 */
void rt_poller_wake(struct rt_loop *loop, struct rt_poller *poller);

/*
 * Storage I/O.  done() gets the number of bytes (0 where none are moved), or a
 * negative errno; short counts are passed on as the kernel gave them.  The
 * descriptor, the vector and its memory stay in place until done(), which is
 * always called, once.
 */
struct rt_io {
	void (*done)(struct rt_io *io, int result);
	uint64_t token; /* the loop's; 0: not started */
	const char *source;
};
void rt_io_readv(struct rt_loop *loop, struct rt_io *io, int fd,
		 const struct iovec *iov, unsigned int count, off_t offset);
/* is_durable: the data is on the medium before done() (RWF_DSYNC). */
void rt_io_writev(struct rt_loop *loop, struct rt_io *io, int fd,
		  const struct iovec *iov, unsigned int count, off_t offset,
		  bool is_durable);
void rt_io_datasync(struct rt_loop *loop, struct rt_io *io, int fd);
void rt_io_fallocate(struct rt_loop *loop, struct rt_io *io, int fd, int mode,
		     off_t offset, off_t size);
/* Whatever of our memory the kernel has to be told, by a thread of its own. */
void rt_io_madvise(struct rt_loop *loop, struct rt_io *io, void *memory,
		   size_t size, int advice);

#endif
