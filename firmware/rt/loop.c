/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loop: one io_uring and the thread that runs it.
 *
 * Completions carry 64 bits that say whose they are; the low three say what:
 * storage I/O is never cancelled and stays in place, so its address is enough.
 * A watch can be stopped and its struct freed while a completion is on its way,
 * so it has a slot, and the completion carries the slot's number and the
 * generation it was armed in; a stale one fits no generation and is dropped.
 *
 * Readiness is level-triggered: each poll reports once and is armed again after
 * ready(), and arming looks at the descriptor's state of that moment.
 *
 * Posting pushes onto a lock-free stack that the loop takes as a whole and
 * turns round.  The eventfd is written only when the loop sleeps or is about
 * to: the loop says that it will (is_waiting), looks at the stack once more,
 * and only then sleeps; a poster pushes, and then looks whether it must wake.
 *
 * Nothing here makes a system call in a turn that has nothing to submit and
 * does not sleep, and a loop without timers sleeps without a limit.  Pollers
 * are asked last in a turn, so what they start or post is never slept upon, and
 * each says anew how long the loop may sleep.
 *
 * syscalls: io_uring_enter eventfd2
 */
#include "firmware/rt/loop.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/trace_rt.h"

/* Small, for RLIMIT_MEMLOCK; the kernel keeps what the second cannot hold. */
#define SUBMISSIONS 256
#define COMPLETIONS 1024

/* Falling asleep and waking take longer than this. */
#define SHORTEST_SLEEP_NS (2 * RT_NS_PER_US)
/*
 * Spun in vain for so long, the loop gives way to others.  Clients that keep it
 * busy do not let it come to that; alone on its processor it then loses half a
 * microsecond, but a client that shares it would else wait for a time slice.
 */
#define SPIN_NS           (5 * RT_NS_PER_US)

/* What a completion belongs to. */
#define TAG            BITS(2, 0)
#define TAG_IO         0 /* the rest is the address of a struct rt_io */
#define TAG_WATCH      1
#define TAG_WAKE       2
#define TAG_NOBODY     3
#define WATCH_SLOT     BITS(31, 3)
#define WATCH_CYCLE    BITS(63, 32)
#define WATCH_SLOT_END (WATCH_SLOT >> 3)

struct watch_slot {
	struct rt_watch *watch; /* NULL: free */
	int fd;
	uint32_t poll_events;
	uint32_t cycle; /* one more each time the slot is given up */
};

/* A completion taken from the ring before its turn. */
struct completion {
	uint64_t owner;
	int result;
};

struct poller_list {
	TAILQ_HEAD(, rt_poller) head;
	size_t count;
};

struct rt_loop {
	struct io_uring ring;
	const struct rt_clock *clock;
	struct rt_clock host_clock;

	_Atomic(struct rt_task *) posted; /* the latest first */
	_Atomic bool is_waiting, should_stop;
	int wake_fd;

	struct watch_slot *watches;
	size_t watch_slots;

	struct rt_timer **timers; /* a heap; [1] is due first, [0] unused */
	size_t timer_count, timer_room;

	struct poller_list eager;   /* they do not let the loop sleep */
	struct poller_list patient; /* they do … */
	uint64_t poll_deadline_ns;  /* … until then */
	struct rt_poller *polled, *next_poller; /* in this turn */
	uint64_t busy_ns; /* when something was found, or way given */

	struct completion *aside;
	size_t aside_count, aside_room;

	size_t io_count; /* on their way */
};

/*
 * Where the kernel puts the eventfd's count, which nobody reads.  It outlives
 * all loops because a ring that was closed gives up its reads a little later.
 */
static uint64_t wake_sink;

uint64_t rt_loop_now_ns(const struct rt_loop *loop)
{
	return rt_clock_now_ns(loop->clock);
}

/* --- Submissions ------------------------------------------------------- */

static bool grow(void *array, size_t *room, size_t item_size)
{
	size_t wanted = *room ? *room * 2 : 16;
	void *grown = reallocarray(*(void **)array, wanted, item_size);

	if (!grown)
		return false;
	*(void **)array = grown;
	*room = wanted;
	return true;
}

/*
 * Take completions out of the ring without acting on them: the kernel takes
 * nothing new while it still holds completions that the ring has no room for.
 */
static void set_aside(struct rt_loop *loop)
{
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&loop->ring, &cqe)) {
		if (loop->aside_count == loop->aside_room &&
		    !grow(&loop->aside, &loop->aside_room, sizeof *loop->aside))
			return;
		loop->aside[loop->aside_count++] =
			(struct completion){ .owner = cqe->user_data,
					     .result = cqe->res };
		io_uring_cqe_seen(&loop->ring, cqe);
	}
}

/* Waits only while the kernel has no memory for what it was given. */
static struct io_uring_sqe *get_submission(struct rt_loop *loop)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&loop->ring)))
		if (io_uring_submit(&loop->ring) < 0)
			set_aside(loop);
	return sqe;
}

static void arm_wake(struct rt_loop *loop)
{
	struct io_uring_sqe *sqe = get_submission(loop);

	io_uring_prep_read(sqe, loop->wake_fd, &wake_sink, sizeof wake_sink, 0);
	sqe->user_data = TAG_WAKE;
}

/* --- Posted calls ------------------------------------------------------ */

static void wake(const struct rt_loop *loop)
{
	int saved_errno = errno;
	uint64_t one = 1;

	/* It cannot fail: the count stays far below its limit. */
	(void)!write(loop->wake_fd, &one, sizeof one);
	errno = saved_errno;
}

void rt_loop_post(struct rt_loop *loop, struct rt_task *task)
{
	struct rt_task *latest;

	if (atomic_exchange(&task->is_posted, true))
		return;
	latest = atomic_load_explicit(&loop->posted, memory_order_relaxed);
	task->source = rt_trace_in_use;
	do
		task->next = latest;
	while (!atomic_compare_exchange_weak(&loop->posted, &latest, task));
	if (atomic_exchange(&loop->is_waiting, false))
		wake(loop);
}

void rt_loop_stop(struct rt_loop *loop)
{
	atomic_store(&loop->should_stop, true);
	wake(loop);
}

/* The posted tasks, the first one first. */
static struct rt_task *take_posted(struct rt_loop *loop)
{
	struct rt_task *latest = NULL, *first = NULL;

	if (atomic_load_explicit(&loop->posted, memory_order_relaxed))
		latest = atomic_exchange(&loop->posted, NULL);
	while (latest) {
		struct rt_task *next = latest->next;

		latest->next = first;
		first = latest;
		latest = next;
	}
	return first;
}

/* What these post waits for the next turn, so that others get theirs. */
static int run_posted(struct rt_loop *loop)
{
	struct rt_task *task = take_posted(loop);
	int count = 0;

	while (task) {
		struct rt_task *next = task->next;

		rt_trace_use(task->source);
		/* From here on it may be posted again, or be freed by run(). */
		atomic_exchange(&task->is_posted, false);
		task->run(task);
		task = next;
		count++;
	}
	return count;
}

/* --- Watches ----------------------------------------------------------- */

static void arm_watch(struct rt_loop *loop, size_t slot)
{
	struct io_uring_sqe *sqe = get_submission(loop);
	const struct watch_slot *watch = &loop->watches[slot];

	io_uring_prep_poll_add(sqe, watch->fd, watch->poll_events);
	sqe->user_data = watch->watch->token;
}

static int find_free_slot(struct rt_loop *loop, size_t *out)
{
	size_t slot = 0, before = loop->watch_slots;

	while (slot < before && loop->watches[slot].watch)
		slot++;
	if (slot > WATCH_SLOT_END)
		return -ENOSPC;
	if (slot == before) {
		if (!grow(&loop->watches, &loop->watch_slots,
			  sizeof *loop->watches))
			return -ENOMEM;
		for (size_t i = before; i < loop->watch_slots; i++)
			loop->watches[i] = (struct watch_slot){ 0 };
	}
	*out = slot;
	return 0;
}

int rt_watch_start(struct rt_loop *loop, struct rt_watch *watch, int fd,
		   uint32_t poll_events)
{
	size_t slot;
	int err;

	if (watch->token)
		return -EALREADY;
	err = find_free_slot(loop, &slot);
	if (err)
		return err;
	loop->watches[slot].watch = watch;
	loop->watches[slot].fd = fd;
	loop->watches[slot].poll_events = poll_events;
	watch->token = TAG_WATCH | bits_put(WATCH_SLOT, 0, slot) |
		       bits_put(WATCH_CYCLE, 0, loop->watches[slot].cycle);
	watch->source = rt_trace_in_use;
	arm_watch(loop, slot);
	return 0;
}

void rt_watch_stop(struct rt_loop *loop, struct rt_watch *watch)
{
	struct watch_slot *slot;
	struct io_uring_sqe *sqe;

	if (!watch->token)
		return;
	slot = &loop->watches[bits_get(WATCH_SLOT, watch->token)];
	slot->watch = NULL;
	slot->cycle++;
	/* The poll holds the file open: a peer would not see it closed. */
	sqe = get_submission(loop);
	io_uring_prep_poll_remove(sqe, watch->token);
	sqe->user_data = TAG_NOBODY;
	watch->token = 0;
}

static struct watch_slot *find_watch(const struct rt_loop *loop, uint64_t token)
{
	size_t number = bits_get(WATCH_SLOT, token);
	struct watch_slot *slot;

	if (number >= loop->watch_slots)
		return NULL;
	slot = &loop->watches[number];
	return slot->watch && slot->watch->token == token ? slot : NULL;
}

static int complete_watch(struct rt_loop *loop, uint64_t token, int result)
{
	struct watch_slot *slot = find_watch(loop, token);

	if (!slot)
		return 0;
	rt_trace_use(slot->watch->source);
	/* A descriptor that cannot be polled stays so: report it, once. */
	slot->watch->ready(slot->watch,
			   result < 0 ? POLLERR | POLLNVAL : (uint32_t)result);
	/* The callback may have stopped it, or moved all slots. */
	if (result >= 0 && find_watch(loop, token))
		arm_watch(loop, bits_get(WATCH_SLOT, token));
	return 1;
}

/* --- Storage I/O ------------------------------------------------------- */

static struct io_uring_sqe *start_io(struct rt_loop *loop, struct rt_io *io)
{
	assert(!io->token);
	assert(bits_get(TAG, (uintptr_t)io) == TAG_IO);
	io->token = 1;
	io->source = rt_trace_in_use;
	loop->io_count++;
	return get_submission(loop);
}

void rt_io_readv(struct rt_loop *loop, struct rt_io *io, int fd,
		 const struct iovec *iov, unsigned int count, off_t offset)
{
	struct io_uring_sqe *sqe = start_io(loop, io);

	/* The kernel does not have to fetch a vector of one. */
	if (count == 1)
		io_uring_prep_read(sqe, fd, iov->iov_base,
				   (unsigned int)iov->iov_len,
				   (uint64_t)offset);
	else
		io_uring_prep_readv(sqe, fd, iov, count, (uint64_t)offset);
	sqe->user_data = (uintptr_t)io;
}

void rt_io_writev(struct rt_loop *loop, struct rt_io *io, int fd,
		  const struct iovec *iov, unsigned int count, off_t offset,
		  bool is_durable)
{
	struct io_uring_sqe *sqe = start_io(loop, io);

	if (count == 1)
		io_uring_prep_write(sqe, fd, iov->iov_base,
				    (unsigned int)iov->iov_len,
				    (uint64_t)offset);
	else
		io_uring_prep_writev(sqe, fd, iov, count, (uint64_t)offset);
	sqe->rw_flags = is_durable ? RWF_DSYNC : 0;
	sqe->user_data = (uintptr_t)io;
}

void rt_io_datasync(struct rt_loop *loop, struct rt_io *io, int fd)
{
	struct io_uring_sqe *sqe = start_io(loop, io);

	io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	sqe->user_data = (uintptr_t)io;
}

void rt_io_fallocate(struct rt_loop *loop, struct rt_io *io, int fd, int mode,
		     off_t offset, off_t size)
{
	struct io_uring_sqe *sqe = start_io(loop, io);

	io_uring_prep_fallocate(sqe, fd, mode, offset, size);
	sqe->user_data = (uintptr_t)io;
}

void rt_io_madvise(struct rt_loop *loop, struct rt_io *io, void *memory,
		   size_t size, int advice)
{
	struct io_uring_sqe *sqe = start_io(loop, io);

	io_uring_prep_madvise(sqe, memory, (off_t)size, advice);
	sqe->user_data = (uintptr_t)io;
}

static int complete_io(struct rt_loop *loop, struct rt_io *io, int result)
{
	io->token = 0;
	loop->io_count--;
	rt_trace_use(io->source);
	io->done(io, result);
	return 1;
}

/* --- Timers ------------------------------------------------------------ */

static void place_timer(struct rt_loop *loop, struct rt_timer *timer,
			size_t slot)
{
	loop->timers[slot] = timer;
	timer->heap_slot = slot;
}

/* Put the timer at the hole, or above it while it is due before its parent. */
static size_t raise_hole(struct rt_loop *loop, const struct rt_timer *timer,
			 size_t hole)
{
	while (hole > 1 &&
	       timer->deadline_ns < loop->timers[hole / 2]->deadline_ns) {
		place_timer(loop, loop->timers[hole / 2], hole);
		hole /= 2;
	}
	return hole;
}

static size_t earlier_child(const struct rt_loop *loop, size_t slot)
{
	size_t child = slot * 2;

	if (child < loop->timer_count &&
	    loop->timers[child + 1]->deadline_ns <
		    loop->timers[child]->deadline_ns)
		child++;
	return child;
}

static size_t sink_hole(struct rt_loop *loop, const struct rt_timer *timer,
			size_t hole)
{
	while (hole * 2 <= loop->timer_count) {
		size_t child = earlier_child(loop, hole);

		if (timer->deadline_ns <= loop->timers[child]->deadline_ns)
			break;
		place_timer(loop, loop->timers[child], hole);
		hole = child;
	}
	return hole;
}

static void settle_timer(struct rt_loop *loop, struct rt_timer *timer,
			 size_t hole)
{
	place_timer(loop, timer,
		    sink_hole(loop, timer, raise_hole(loop, timer, hole)));
}

int rt_timer_start(struct rt_loop *loop, struct rt_timer *timer,
		   uint64_t deadline_ns)
{
	if (!timer->heap_slot) {
		if (loop->timer_count + 1 >= loop->timer_room &&
		    !grow(&loop->timers, &loop->timer_room,
			  sizeof(struct rt_timer *)))
			return -ENOMEM;
		timer->heap_slot = ++loop->timer_count;
	}
	timer->deadline_ns = deadline_ns;
	timer->source = rt_trace_in_use;
	settle_timer(loop, timer, timer->heap_slot);
	return 0;
}

void rt_timer_stop(struct rt_loop *loop, struct rt_timer *timer)
{
	size_t hole = timer->heap_slot;
	struct rt_timer *last;

	if (!hole)
		return;
	last = loop->timers[loop->timer_count--];
	if (last != timer)
		settle_timer(loop, last, hole);
	timer->heap_slot = 0;
}

static uint64_t next_deadline(const struct rt_loop *loop)
{
	return loop->timer_count ? loop->timers[1]->deadline_ns : UINT64_MAX;
}

/* A timer that starts itself anew for a moment that is past fires next turn. */
static int run_timers(struct rt_loop *loop, uint64_t now)
{
	size_t limit = loop->timer_count;
	int count = 0;

	while (limit-- && next_deadline(loop) <= now) {
		struct rt_timer *timer = loop->timers[1];

		rt_timer_stop(loop, timer);
		rt_trace_use(timer->source);
		timer->fired(timer);
		count++;
	}
	return count;
}

/* --- Pollers ----------------------------------------------------------- */

static void enlist(struct poller_list *list, struct rt_poller *poller)
{
	TAILQ_INSERT_TAIL(&list->head, poller, entry);
	list->count++;
	poller->list = list;
}

static void delist(struct rt_poller *poller)
{
	TAILQ_REMOVE(&poller->list->head, poller, entry);
	poller->list->count--;
	poller->list = NULL;
}

void rt_poller_start(struct rt_loop *loop, struct rt_poller *poller)
{
	if (poller->list)
		return;
	poller->source = rt_trace_in_use;
	/* It has not said how long it can wait. */
	enlist(&loop->eager, poller);
}

void rt_poller_stop(struct rt_loop *loop, struct rt_poller *poller)
{
	if (!poller->list)
		return;
	if (loop->next_poller == poller)
		loop->next_poller = TAILQ_NEXT(poller, entry);
	if (loop->polled == poller)
		loop->polled = NULL;
	delist(poller);
}

void rt_poller_wake(struct rt_loop *loop, struct rt_poller *poller)
{
	if (poller->list != &loop->patient)
		return;
	if (loop->next_poller == poller)
		loop->next_poller = TAILQ_NEXT(poller, entry);
	delist(poller);
	enlist(&loop->eager, poller);
}

static uint64_t run_poller(struct rt_loop *loop, struct rt_poller *poller,
			   uint64_t now)
{
	struct poller_list *list = &loop->eager;
	uint64_t wait_ns;

	loop->polled = poller;
	rt_trace_use(poller->source);
	wait_ns = poller->poll(poller, now);
	/* It may have stopped, and be gone. */
	if (!loop->polled)
		return wait_ns;
	if (wait_ns >= SHORTEST_SLEEP_NS)
		list = &loop->patient;
	if (wait_ns < loop->poll_deadline_ns - now && list == &loop->patient)
		loop->poll_deadline_ns = now + wait_ns;
	if (poller->list != list) {
		delist(poller);
		enlist(list, poller);
	}
	return wait_ns;
}

/* Those that come to the list meanwhile are called next turn. */
static uint64_t run_list(struct rt_loop *loop, struct poller_list *list,
			 size_t limit, uint64_t now)
{
	uint64_t least = UINT64_MAX;
	struct rt_poller *poller;

	loop->next_poller = TAILQ_FIRST(&list->head);
	while (limit-- && (poller = loop->next_poller)) {
		uint64_t wait_ns;

		loop->next_poller = TAILQ_NEXT(poller, entry);
		wait_ns = run_poller(loop, poller, now);
		least = wait_ns < least ? wait_ns : least;
	}
	loop->next_poller = NULL;
	loop->polled = NULL;
	return least;
}

/* Returns whether one has found something. */
static bool run_pollers(struct rt_loop *loop, uint64_t now, bool has_news)
{
	size_t eager = loop->eager.count, patient = loop->patient.count;
	uint64_t least = UINT64_MAX, wait_ns;

	/* Hundreds at rest shall not slow down the one that is not. */
	if (has_news || !eager || now >= loop->poll_deadline_ns) {
		loop->poll_deadline_ns = UINT64_MAX;
		least = run_list(loop, &loop->patient, patient, now);
	}
	wait_ns = run_list(loop, &loop->eager, eager, now);
	return !least || !wait_ns;
}

static void give_way(struct rt_loop *loop, uint64_t now, bool is_busy)
{
	if (is_busy) {
		loop->busy_ns = now;
	} else if (loop->eager.count && now - loop->busy_ns >= SPIN_NS) {
		sched_yield();
		loop->busy_ns = rt_loop_now_ns(loop);
	}
}

/* --- Turns ------------------------------------------------------------- */

static int complete(struct rt_loop *loop, uint64_t owner, int result)
{
	switch (bits_get(TAG, owner)) {
	case TAG_IO:
		return complete_io(loop, (void *)(uintptr_t)owner, result);
	case TAG_WATCH:
		return complete_watch(loop, owner, result);
	case TAG_WAKE:
		arm_wake(loop);
		return 0;
	default:
		return 0;
	}
}

/* What callbacks set aside meanwhile stays for the next turn. */
static int run_aside(struct rt_loop *loop)
{
	size_t done, limit = loop->aside_count;
	int count = 0;

	for (done = 0; done < limit; done++) {
		struct completion completion = loop->aside[done];

		count += complete(loop, completion.owner, completion.result);
	}
	if (done) {
		loop->aside_count -= done;
		memmove(loop->aside, loop->aside + done,
			loop->aside_count * sizeof *loop->aside);
	}
	return count;
}

/* At most one ringful, so that posted calls and timers get their turn. */
static int run_completions(struct rt_loop *loop)
{
	int count = run_aside(loop);
	struct io_uring_cqe *cqe;

	for (size_t i = 0; i < COMPLETIONS; i++) {
		uint64_t owner;
		int result;

		if (io_uring_peek_cqe(&loop->ring, &cqe))
			break;
		owner = cqe->user_data;
		result = cqe->res;
		io_uring_cqe_seen(&loop->ring, cqe);
		count += complete(loop, owner, result);
	}
	return count;
}

/* How long the loop may sleep, at most limit_ns. */
static uint64_t find_wait(const struct rt_loop *loop, uint64_t limit_ns)
{
	uint64_t deadline = next_deadline(loop), now;

	if (loop->poll_deadline_ns < deadline)
		deadline = loop->poll_deadline_ns;
	if (loop->eager.count || loop->aside_count ||
	    atomic_load(&loop->posted) || atomic_load(&loop->should_stop) ||
	    io_uring_cq_ready(&loop->ring))
		return 0;
	if (deadline == UINT64_MAX || !limit_ns)
		return limit_ns;
	now = rt_loop_now_ns(loop);
	if (deadline <= now)
		return 0;
	/* A virtual clock does not come to a deadline by waiting. */
	if (loop->clock->is_virtual || deadline - now > limit_ns)
		return limit_ns;
	return deadline - now;
}

static int submit_and_sleep(struct rt_loop *loop, uint64_t wait_ns)
{
	struct __kernel_timespec limit = {
		.tv_sec = (int64_t)(wait_ns / RT_NS_PER_S),
		.tv_nsec = (long long)(wait_ns % RT_NS_PER_S),
	};
	struct io_uring_cqe *cqe;

	if (wait_ns == UINT64_MAX)
		return io_uring_submit_and_wait(&loop->ring, 1);
	return io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &limit,
						NULL);
}

static int submit(struct rt_loop *loop)
{
	return io_uring_sq_ready(&loop->ring) ? io_uring_submit(&loop->ring)
					      : 0;
}

/* Give the kernel what is new and wait for what it has. */
static int enter(struct rt_loop *loop, uint64_t limit_ns)
{
	uint64_t wait_ns = find_wait(loop, limit_ns);
	int err;

	if (wait_ns) {
		atomic_store(&loop->is_waiting, true);
		/* A poster that was quicker has not seen us waiting. */
		wait_ns = find_wait(loop, wait_ns);
	}
	err = wait_ns ? submit_and_sleep(loop, wait_ns) : submit(loop);
	/* Only this thread sets it, so a busy turn need not write. */
	if (atomic_load_explicit(&loop->is_waiting, memory_order_relaxed))
		atomic_store(&loop->is_waiting, false);
	/* Too much at once, or nothing: the turn goes on with what there is. */
	if (err == -ETIME || err == -EINTR || err == -EAGAIN || err == -EBUSY)
		err = 0;
	return err < 0 ? err : 0;
}

int rt_loop_step(struct rt_loop *loop, uint64_t wait_ns)
{
	const char *source = rt_trace_in_use;
	int err = enter(loop, wait_ns);
	uint64_t now = 0;
	bool has_found;
	int count;

	if (err)
		return err;
	count = run_completions(loop);
	rt_trace_use(source);
	if (count)
		trace_rt_loop_turn((uint32_t)count);
	count += run_posted(loop);
	if (loop->timer_count || loop->eager.count || loop->patient.count)
		now = rt_loop_now_ns(loop);
	count += run_timers(loop, now);
	has_found = run_pollers(loop, now, count);
	give_way(loop, now, count || has_found);
	rt_trace_use(source);
	return count;
}

int rt_loop_run(struct rt_loop *loop)
{
	int err = 0;

	while (err >= 0 && !atomic_load(&loop->should_stop))
		err = rt_loop_step(loop, UINT64_MAX);
	atomic_store(&loop->should_stop, false);
	return err < 0 ? err : 0;
}

/* --- Life -------------------------------------------------------------- */

static int open_ring(struct io_uring *ring, unsigned int flags)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED | flags,
		.cq_entries = COMPLETIONS,
	};

	return io_uring_queue_init_params(SUBMISSIONS, ring, &params);
}

/*
 * A filter of system calls does not see what is asked of a ring, and a ring can
 * be asked to open files and connections.  This one does what is in this file.
 */
static int restrict_ring(struct io_uring *ring)
{
	static const uint8_t operations[] = {
		IORING_OP_READ,        IORING_OP_READV,   IORING_OP_WRITE,
		IORING_OP_WRITEV,      IORING_OP_FSYNC,   IORING_OP_FALLOCATE,
		IORING_OP_MADVISE,     IORING_OP_NOP,     IORING_OP_POLL_ADD,
		IORING_OP_POLL_REMOVE, IORING_OP_TIMEOUT,
	};
	struct io_uring_restriction list[RT_COUNT(operations)] = { 0 };

	for (size_t i = 0; i < RT_COUNT(operations); i++) {
		list[i].opcode = IORING_RESTRICTION_SQE_OP;
		list[i].sqe_op = operations[i];
	}
	/* By their numbers: liburing 2.3 does not export the two functions. */
	return syscall(SYS_io_uring_register, ring->ring_fd,
		       IORING_REGISTER_RESTRICTIONS, list, RT_COUNT(list)) ||
			       syscall(SYS_io_uring_register, ring->ring_fd,
				       IORING_REGISTER_ENABLE_RINGS, NULL, 0)
		       ? -errno
		       : 0;
}

static int make_ring(struct io_uring *ring)
{
	/* Completions need not interrupt the thread: it asks for them. */
	int err = open_ring(ring, IORING_SETUP_COOP_TASKRUN |
					  IORING_SETUP_TASKRUN_FLAG);

	if (err == -EINVAL)
		err = open_ring(ring, 0);
	if (err)
		return err;
	err = restrict_ring(ring);
	if (err)
		io_uring_queue_exit(ring);
	return err;
}

int rt_loop_create(const struct rt_clock *clock, struct rt_loop **out)
{
	RT_FREE struct rt_loop *loop = calloc(1, sizeof *loop);
	int err;

	if (!loop)
		return -ENOMEM;
	loop->clock = clock ? clock : &loop->host_clock;
	TAILQ_INIT(&loop->eager.head);
	TAILQ_INIT(&loop->patient.head);
	loop->poll_deadline_ns = UINT64_MAX;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (loop->wake_fd < 0)
		return -errno;
	err = make_ring(&loop->ring);
	if (err) {
		close(loop->wake_fd);
		return err;
	}
	arm_wake(loop);
	*out = loop;
	loop = NULL;
	return 0;
}

static void drop_pollers(struct poller_list *list)
{
	while (list->count)
		delist(TAILQ_FIRST(&list->head));
}

void rt_loop_destroy(struct rt_loop **loop)
{
	struct rt_loop *l = *loop;

	if (!l)
		return;
	assert(!l->io_count);
	while (l->timer_count)
		rt_timer_stop(l, l->timers[1]);
	for (size_t i = 0; i < l->watch_slots; i++)
		if (l->watches[i].watch)
			l->watches[i].watch->token = 0;
	drop_pollers(&l->eager);
	drop_pollers(&l->patient);
	io_uring_queue_exit(&l->ring);
	close(l->wake_fd);
	free(l->watches);
	free(l->timers);
	free(l->aside);
	free(l);
	*loop = NULL;
}
