/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop: watches, timers, posted calls and storage I/O. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"

#define LONG_NS (5 * RT_NS_PER_S) /* much longer than anything here takes */

static struct rt_loop *loop;
static struct rt_clock fake;

static void make_loop(void)
{
	cr_assert_eq(rt_loop_create(NULL, &loop), 0);
}

static void make_fake_loop(void)
{
	rt_clock_make_virtual(&fake, 1000);
	cr_assert_eq(rt_loop_create(&fake, &loop), 0);
}

static void drop_loop(void)
{
	rt_loop_destroy(&loop);
	cr_expect_null(loop);
}

TestSuite(rt_loop, .init = make_loop, .fini = drop_loop);
TestSuite(rt_watch, .init = make_loop, .fini = drop_loop);
TestSuite(rt_io, .init = make_loop, .fini = drop_loop);
TestSuite(rt_timer, .init = make_fake_loop, .fini = drop_loop);
TestSuite(rt_poller, .init = make_loop, .fini = drop_loop);
TestSuite(rt_poller_time, .init = make_fake_loop, .fini = drop_loop);

/* --- Posted calls ------------------------------------------------------ */

struct call {
	struct rt_task task;
	int number;
	struct rt_task *then; /* to post from run() */
	int then_left;
};

static int calls[64], call_count;

static void note_call(struct rt_task *task)
{
	struct call *call = rt_container_of(task, struct call, task);

	calls[call_count++] = call->number;
	if (call->then_left-- > 0)
		rt_loop_post(loop, call->then);
}

Test(rt_loop, posted_calls_run_in_the_order_of_posting)
{
	struct call c[5];

	for (int i = 0; i < 5; i++) {
		c[i] = (struct call){ .task.run = note_call, .number = i };
		rt_loop_post(loop, &c[i].task);
	}
	cr_expect_eq(call_count, 0, "not from inside the post");
	cr_expect_eq(rt_loop_step(loop, LONG_NS), 5);
	for (int i = 0; i < 5; i++)
		cr_expect_eq(calls[i], i);
}

Test(rt_loop, posting_twice_is_posting_once)
{
	struct call c = { .task.run = note_call };

	rt_loop_post(loop, &c.task);
	rt_loop_post(loop, &c.task);
	cr_expect_eq(rt_loop_step(loop, 0), 1);
	rt_loop_post(loop, &c.task);
	cr_expect_eq(rt_loop_step(loop, 0), 1);
	cr_expect_eq(rt_loop_step(loop, 0), 0);
}

Test(rt_loop, a_call_that_posts_itself_runs_once_in_a_turn)
{
	struct call c = { .task.run = note_call, .then_left = 3 };

	c.then = &c.task;
	rt_loop_post(loop, &c.task);
	for (int turn = 1; turn <= 4; turn++) {
		cr_expect_eq(rt_loop_step(loop, LONG_NS), 1);
		cr_expect_eq(call_count, turn);
	}
	cr_expect_eq(rt_loop_step(loop, 0), 0);
}

static void free_call(struct rt_task *task)
{
	calls[call_count++] = 1;
	free(rt_container_of(task, struct call, task));
}

Test(rt_loop, a_call_may_free_its_task)
{
	for (int i = 0; i < 3; i++) {
		struct call *c = calloc(1, sizeof *c);

		c->task.run = free_call;
		rt_loop_post(loop, &c->task);
	}
	cr_expect_eq(rt_loop_step(loop, 0), 3);
}

static void stop_loop(struct rt_task *task)
{
	(void)task;
	rt_loop_stop(loop);
}

static void *post_from_thread(void *task)
{
	usleep(20000);
	rt_loop_post(loop, task);
	return NULL;
}

Test(rt_loop, a_sleeping_loop_wakes_for_a_call_from_another_thread)
{
	struct rt_task task = { .run = stop_loop };
	pthread_t thread;

	pthread_create(&thread, NULL, post_from_thread, &task);
	cr_expect_eq(rt_loop_run(loop), 0);
	pthread_join(thread, NULL);
}

Test(rt_loop, a_stop_before_the_run_ends_it_at_once)
{
	struct rt_task task = { .run = stop_loop };

	rt_loop_stop(loop);
	cr_expect_eq(rt_loop_run(loop), 0);
	/* And it is used up: the next run goes on until the next stop. */
	rt_loop_post(loop, &task);
	cr_expect_eq(rt_loop_run(loop), 0);
	cr_expect_not(task.is_posted);
}

static void stop_on_signal(int number)
{
	(void)number;
	rt_loop_stop(loop);
}

Test(rt_loop, a_signal_handler_stops_the_run)
{
	struct itimerval soon = { .it_value.tv_usec = 20000 };

	signal(SIGALRM, stop_on_signal);
	setitimer(ITIMER_REAL, &soon, NULL);
	cr_expect_eq(rt_loop_run(loop), 0);
}

Test(rt_loop, a_step_with_nothing_to_do_returns_after_its_wait)
{
	uint64_t before = rt_loop_now_ns(loop), took;

	cr_expect_eq(rt_loop_step(loop, 20 * RT_NS_PER_MS), 0);
	took = rt_loop_now_ns(loop) - before;
	cr_expect_geq(took, 20 * RT_NS_PER_MS);
	cr_expect_lt(took, LONG_NS);
}

/* --- Watches ----------------------------------------------------------- */

struct pair {
	struct rt_watch watch;
	int ours, theirs;
	uint32_t events;
	int times;
	char got; /* one byte is read in each ready() */
};

static void read_one(struct rt_watch *watch, uint32_t events)
{
	struct pair *p = rt_container_of(watch, struct pair, watch);

	p->events = events;
	p->times++;
	if (recv(p->ours, &p->got, 1, MSG_DONTWAIT) != 1)
		p->got = 0;
}

static struct pair make_pair(void (*ready)(struct rt_watch *, uint32_t))
{
	struct pair p = { .watch.ready = ready };
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
		     0);
	p.ours = fds[0];
	p.theirs = fds[1];
	return p;
}

static void start(struct pair *p)
{
	cr_assert_eq(rt_watch_start(loop, &p->watch, p->ours, POLLIN), 0);
}

static void drop_pair(struct pair *p)
{
	rt_watch_stop(loop, &p->watch);
	if (p->ours >= 0)
		close(p->ours);
	if (p->theirs >= 0)
		close(p->theirs);
}

Test(rt_watch, a_quiet_descriptor_is_not_reported)
{
	struct pair p = make_pair(read_one);

	start(&p);
	cr_expect_eq(rt_loop_step(loop, RT_NS_PER_MS), 0);
	drop_pair(&p);
}

Test(rt_watch, data_that_a_callback_left_is_reported_again)
{
	struct pair p = make_pair(read_one);

	start(&p);
	cr_assert_eq(write(p.theirs, "abc", 3), 3);
	for (char c = 'a'; c <= 'c'; c++) {
		cr_expect_eq(rt_loop_step(loop, LONG_NS), 1);
		cr_expect_eq(p.got, c);
		cr_expect_eq(p.events, POLLIN);
	}
	cr_expect_eq(rt_loop_step(loop, RT_NS_PER_MS), 0);
	cr_expect_eq(write(p.theirs, "d", 1), 1);
	cr_expect_eq(rt_loop_step(loop, LONG_NS), 1);
	cr_expect_eq(p.times, 4);
	drop_pair(&p);
}

Test(rt_watch, a_closed_peer_is_reported_until_the_watch_stops)
{
	struct pair p = make_pair(read_one);

	start(&p);
	close(p.theirs);
	p.theirs = -1;
	for (int i = 1; i <= 3; i++) {
		cr_expect_eq(rt_loop_step(loop, LONG_NS), 1);
		cr_expect(p.events & POLLHUP);
		cr_expect_eq(p.times, i);
	}
	rt_watch_stop(loop, &p.watch);
	cr_expect_eq(rt_loop_step(loop, RT_NS_PER_MS), 0);
	drop_pair(&p);
}

static void stop_self(struct rt_watch *watch, uint32_t events)
{
	struct pair *p = rt_container_of(watch, struct pair, watch);

	(void)events;
	p->times++;
	rt_watch_stop(loop, watch);
	memset(watch, 0xee, sizeof *watch);
}

Test(rt_watch, a_watch_stopped_in_its_callback_is_forgotten)
{
	struct pair p = make_pair(stop_self);

	start(&p);
	cr_assert_eq(write(p.theirs, "abc", 3), 3);
	cr_expect_eq(rt_loop_step(loop, LONG_NS), 1);
	cr_expect_eq(rt_loop_step(loop, RT_NS_PER_MS), 0);
	cr_expect_eq(p.times, 1);
	p.watch = (struct rt_watch){ 0 };
	drop_pair(&p);
}

static void restart_self(struct rt_watch *watch, uint32_t events)
{
	struct pair *p = rt_container_of(watch, struct pair, watch);

	read_one(watch, events);
	rt_watch_stop(loop, watch);
	start(p);
}

Test(rt_watch, a_watch_restarted_in_its_callback_goes_on)
{
	struct pair p = make_pair(restart_self);

	start(&p);
	cr_assert_eq(write(p.theirs, "abc", 3), 3);
	for (int i = 1; i <= 3; i++)
		cr_expect_eq(rt_loop_step(loop, LONG_NS), 1);
	cr_expect_eq(p.times, 3);
	cr_expect_eq(rt_loop_step(loop, RT_NS_PER_MS), 0);
	drop_pair(&p);
}

static struct pair *victim;

static void stop_victim(struct rt_watch *watch, uint32_t events)
{
	read_one(watch, events);
	rt_watch_stop(loop, &victim->watch);
}

Test(rt_watch, a_completion_on_its_way_does_not_reach_a_stopped_watch)
{
	struct pair one = make_pair(stop_victim), two = make_pair(stop_victim);
	struct pair fresh = make_pair(read_one);

	start(&one);
	start(&two);
	cr_assert_eq(write(one.theirs, "a", 1), 1);
	cr_assert_eq(write(two.theirs, "a", 1), 1);
	victim = &two;
	/* Both have completed; whichever is first stops the second. */
	cr_expect_eq(rt_loop_step(loop, LONG_NS), 1);
	cr_expect_eq(one.times + two.times, 1);
	/* Nor does it reach the one that has the slot now. */
	start(&fresh);
	cr_expect_eq(rt_loop_step(loop, RT_NS_PER_MS), 0);
	cr_expect_eq(fresh.times, 0);
	drop_pair(&one);
	drop_pair(&two);
	drop_pair(&fresh);
}

Test(rt_watch, a_peer_sees_the_end_after_stop_and_close)
{
	struct pair p = make_pair(read_one);
	char byte;

	start(&p);
	rt_loop_step(loop, 0);
	rt_watch_stop(loop, &p.watch);
	close(p.ours);
	p.ours = -1;
	rt_loop_step(loop, 0);
	cr_expect_eq(recv(p.theirs, &byte, 1, MSG_DONTWAIT), 0);
	drop_pair(&p);
}

Test(rt_watch, what_cannot_be_watched_is_said_once)
{
	struct pair p = make_pair(read_one);
	int closed = dup(p.ours);

	close(closed);
	cr_assert_eq(rt_watch_start(loop, &p.watch, closed, POLLIN), 0);
	cr_expect_eq(rt_loop_step(loop, LONG_NS), 1);
	cr_expect_eq(p.events, POLLERR | POLLNVAL);
	cr_expect_eq(rt_loop_step(loop, RT_NS_PER_MS), 0);
	drop_pair(&p);
}

Test(rt_watch, a_started_watch_is_not_started_again)
{
	struct pair p = make_pair(read_one);

	start(&p);
	cr_expect_eq(rt_watch_start(loop, &p.watch, p.ours, POLLIN), -EALREADY);
	rt_watch_stop(loop, &p.watch);
	rt_watch_stop(loop, &p.watch);
	start(&p);
	drop_pair(&p);
}

Test(rt_watch, more_watches_than_the_ring_has_places_all_report)
{
	enum { MANY = 400 };
	static struct pair p[MANY];
	int fds[2], count = 0;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cr_assert_eq(write(fds[1], "x", 1), 1);
	for (int i = 0; i < MANY; i++) {
		p[i].watch.ready = stop_self;
		p[i].ours = fds[0];
		start(&p[i]);
	}
	while (count < MANY) {
		int made = rt_loop_step(loop, LONG_NS);

		cr_assert_gt(made, 0);
		count += made;
	}
	for (int i = 0; i < MANY; i++)
		cr_expect_eq(p[i].times, 1);
	close(fds[0]);
	close(fds[1]);
}

Test(rt_watch, writability_is_reported_while_there_is_room)
{
	struct pair p = make_pair(read_one);

	cr_assert_eq(write(p.theirs, "ab", 2), 2);
	cr_assert_eq(rt_watch_start(loop, &p.watch, p.ours, POLLOUT), 0);
	cr_expect_eq(rt_loop_step(loop, LONG_NS), 1);
	cr_expect_eq(p.events, POLLOUT);
	cr_expect_eq(rt_loop_step(loop, LONG_NS), 1);
	drop_pair(&p);
}

/* --- Timers ------------------------------------------------------------ */

struct alarm {
	struct rt_timer timer;
	int number;
	uint64_t again_ns; /* start anew so much later; 0: do not */
};

static uint64_t fired_at[2000];
static int fired[2000], fired_count;

static void note_fired(struct rt_timer *timer)
{
	struct alarm *alarm = rt_container_of(timer, struct alarm, timer);

	fired_at[fired_count] = timer->deadline_ns;
	fired[fired_count++] = alarm->number;
	if (alarm->again_ns)
		rt_timer_start(loop, timer,
			       timer->deadline_ns + alarm->again_ns);
}

Test(rt_timer, fires_at_its_deadline_and_not_before)
{
	struct alarm a = { .timer.fired = note_fired };

	rt_timer_start(loop, &a.timer, 2000);
	rt_clock_advance(&fake, 999);
	cr_expect_eq(rt_loop_step(loop, 0), 0);
	rt_clock_advance(&fake, 1);
	cr_expect_eq(rt_loop_step(loop, 0), 1);
	cr_expect_eq(rt_loop_step(loop, 0), 0);
	cr_expect_eq(fired_count, 1);
}

Test(rt_timer, a_deadline_in_the_past_fires_in_the_next_turn)
{
	struct alarm a = { .timer.fired = note_fired };

	rt_timer_start(loop, &a.timer, 0);
	cr_expect_eq(fired_count, 0);
	cr_expect_eq(rt_loop_step(loop, LONG_NS), 1);
}

Test(rt_timer, timers_fire_in_the_order_of_their_deadlines)
{
	enum { MANY = 1000 };
	static struct alarm a[MANY];
	unsigned int dice = 1;

	for (int i = 0; i < MANY; i++) {
		dice = dice * 1103515245 + 12345;
		a[i] = (struct alarm){ .timer.fired = note_fired };
		rt_timer_start(loop, &a[i].timer, 2000 + dice % 5000);
	}
	/* Move a third of them and stop another third. */
	for (int i = 0; i < MANY; i += 3) {
		dice = dice * 1103515245 + 12345;
		rt_timer_start(loop, &a[i].timer, 2000 + dice % 5000);
		if (i + 1 < MANY)
			rt_timer_stop(loop, &a[i + 1].timer);
	}
	rt_clock_advance(&fake, 10000);
	rt_loop_step(loop, 0);
	cr_expect_eq(fired_count, MANY - 333);
	for (int i = 1; i < fired_count; i++)
		cr_expect_leq(fired_at[i - 1], fired_at[i]);
	for (int i = 0; i < MANY; i++)
		cr_expect_eq(a[i].timer.heap_slot, 0);
}

Test(rt_timer, a_stopped_timer_does_not_fire)
{
	struct alarm a = { .timer.fired = note_fired };

	rt_timer_start(loop, &a.timer, 2000);
	rt_timer_stop(loop, &a.timer);
	rt_timer_stop(loop, &a.timer);
	rt_clock_advance(&fake, 5000);
	cr_expect_eq(rt_loop_step(loop, 0), 0);
}

Test(rt_timer, starting_a_started_timer_moves_it)
{
	struct alarm a = { .timer.fired = note_fired };

	rt_timer_start(loop, &a.timer, 2000);
	rt_timer_start(loop, &a.timer, 3000);
	rt_clock_advance(&fake, 1500);
	cr_expect_eq(rt_loop_step(loop, 0), 0);
	rt_clock_advance(&fake, 1000);
	cr_expect_eq(rt_loop_step(loop, 0), 1);
}

Test(rt_timer, a_periodic_timer_does_not_hold_up_the_turn)
{
	struct alarm a = { .timer.fired = note_fired, .again_ns = 1 };

	rt_timer_start(loop, &a.timer, 1);
	cr_expect_eq(rt_loop_step(loop, 0), 1);
	cr_expect_eq(rt_loop_step(loop, 0), 1);
	rt_timer_stop(loop, &a.timer);
}

static struct alarm *other;

static void stop_other(struct rt_timer *timer)
{
	note_fired(timer);
	rt_timer_stop(loop, &other->timer);
}

Test(rt_timer, a_timer_may_stop_another_that_is_due)
{
	struct alarm a = { .timer.fired = stop_other };
	struct alarm b = { .timer.fired = note_fired };

	other = &b;
	rt_timer_start(loop, &b.timer, 1001);
	rt_timer_start(loop, &a.timer, 1000);
	rt_clock_advance(&fake, 10);
	cr_expect_eq(rt_loop_step(loop, 0), 1);
	cr_expect_eq(rt_loop_step(loop, 0), 0);
}

Test(rt_loop, a_timer_ends_the_sleep_on_the_host_clock)
{
	struct alarm a = { .timer.fired = note_fired };
	uint64_t start = rt_loop_now_ns(loop);

	rt_timer_start(loop, &a.timer, start + 20 * RT_NS_PER_MS);
	while (!fired_count)
		cr_assert_geq(rt_loop_step(loop, LONG_NS), 0);
	cr_expect_geq(rt_loop_now_ns(loop) - start, 20 * RT_NS_PER_MS);
	cr_expect_lt(rt_loop_now_ns(loop) - start, LONG_NS);
}

/* --- Storage I/O ------------------------------------------------------- */

struct transfer {
	struct rt_io io;
	int result, times;
};

static void note_done(struct rt_io *io, int result)
{
	struct transfer *t = rt_container_of(io, struct transfer, io);

	cr_expect_eq(io->token, 0);
	t->result = result;
	t->times++;
}

static struct transfer fresh_transfer(void)
{
	return (struct transfer){ .io.done = note_done };
}

static void finish(struct transfer *t)
{
	cr_expect_eq(t->times, 0, "not from inside the start");
	while (!t->times)
		cr_assert_geq(rt_loop_step(loop, LONG_NS), 0);
	cr_expect_eq(t->times, 1);
}

static int make_file(void)
{
	int fd = memfd_create("volume", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fd;
}

Test(rt_io, what_is_written_is_read)
{
	RT_FD int fd = make_file();
	char one[3] = "abc", two[2] = "de", back[8] = "";
	struct iovec out[2] = { { one, 3 }, { two, 2 } };
	struct iovec in = { back, sizeof back };
	struct transfer t = fresh_transfer();

	rt_io_writev(loop, &t.io, fd, out, 2, 10, false);
	cr_expect_neq(t.io.token, 0);
	finish(&t);
	cr_expect_eq(t.result, 5);
	t = fresh_transfer();
	rt_io_readv(loop, &t.io, fd, &in, 1, 11);
	finish(&t);
	cr_expect_eq(t.result, 4, "a short count is passed on");
	cr_expect_str_eq(back, "bcde");
}

Test(rt_io, durable_writes_and_syncs_succeed_on_a_real_file)
{
	char name[] = "/tmp/rt_io_XXXXXX";
	RT_FD int fd = mkstemp(name);
	struct iovec out = { name, 4 };
	struct transfer t = fresh_transfer();

	unlink(name);
	rt_io_writev(loop, &t.io, fd, &out, 1, 0, true);
	finish(&t);
	cr_expect_eq(t.result, 4);
	t = fresh_transfer();
	rt_io_datasync(loop, &t.io, fd);
	finish(&t);
	cr_expect_eq(t.result, 0);
}

Test(rt_io, a_hole_is_punched)
{
	RT_FD int fd = make_file();
	char page[4096];
	struct transfer t = fresh_transfer();

	memset(page, 'x', sizeof page);
	cr_assert_eq(pwrite(fd, page, sizeof page, 0), sizeof page);
	rt_io_fallocate(loop, &t.io, fd,
			FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
	finish(&t);
	cr_expect_eq(t.result, 0);
	cr_assert_eq(pread(fd, page, sizeof page, 0), sizeof page);
	cr_expect_eq(page[100], 0);
}

Test(rt_io, errors_are_negative_errnos)
{
	struct transfer t = fresh_transfer();
	RT_FD int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	struct iovec out = { &t, 1 };

	rt_io_writev(loop, &t.io, fd, &out, 1, 0, false);
	finish(&t);
	cr_expect_eq(t.result, -ENOSPC);
	t = fresh_transfer();
	rt_io_readv(loop, &t.io, -1, &out, 1, 0);
	finish(&t);
	cr_expect_eq(t.result, -EBADF);
}

Test(rt_io, more_requests_than_the_ring_holds_all_complete)
{
	enum { MANY = 5000 };
	static struct transfer t[MANY];
	static uint32_t numbers[MANY];
	static struct iovec iov[MANY];
	RT_FD int fd = make_file();
	int count = 0;

	for (uint32_t i = 0; i < MANY; i++) {
		t[i] = fresh_transfer();
		numbers[i] = i;
		iov[i] = (struct iovec){ &numbers[i], sizeof numbers[i] };
		rt_io_writev(loop, &t[i].io, fd, &iov[i], 1, i * 4, false);
	}
	while (count < MANY) {
		int made = rt_loop_step(loop, LONG_NS);

		cr_assert_geq(made, 0);
		count += made;
	}
	memset(numbers, 0xff, sizeof numbers);
	cr_assert_eq(pread(fd, numbers, sizeof numbers, 0), sizeof numbers);
	for (uint32_t i = 0; i < MANY; i++) {
		cr_assert_eq(t[i].times, 1, "request %u", i);
		cr_assert_eq(t[i].result, 4);
		cr_assert_eq(numbers[i], i);
	}
}

/* --- Pollers ----------------------------------------------------------- */

struct look {
	struct rt_poller poller;
	uint64_t answers[4]; /* the last one for ever after */
	int times;
	uint64_t now_ns;
	struct rt_poller *stops, *starts; /* in poll() */
};

static uint64_t note_look(struct rt_poller *poller, uint64_t now_ns)
{
	struct look *look = rt_container_of(poller, struct look, poller);
	int time = look->times++;

	look->now_ns = now_ns;
	if (look->stops)
		rt_poller_stop(loop, look->stops);
	if (look->starts)
		rt_poller_start(loop, look->starts);
	return look->answers[time < 3 ? time : 3];
}

#define LOOK(...)                                                              \
	{                                                                      \
		.poller.poll = note_look, .answers = { __VA_ARGS__ }           \
	}

/* Sleep for ever, but for what else there is. */
#define LOOK_NEVER LOOK(UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX)

static uint64_t step_and_measure(uint64_t wait_ns)
{
	uint64_t before = rt_loop_now_ns(loop);

	cr_expect_geq(rt_loop_step(loop, wait_ns), 0);
	return rt_loop_now_ns(loop) - before;
}

Test(rt_poller, each_is_called_once_in_a_turn)
{
	static struct look a = LOOK_NEVER, b = LOOK(1000000, LONG_NS, LONG_NS),
			   c = LOOK_NEVER;

	rt_poller_start(loop, &a.poller);
	rt_poller_start(loop, &b.poller);
	rt_poller_start(loop, &c.poller);
	rt_poller_start(loop, &a.poller);
	cr_expect_eq(a.times, 0, "not from inside the start");
	for (int turn = 1; turn <= 3; turn++) {
		cr_expect_eq(rt_loop_step(loop, 0), 0);
		cr_expect_eq(a.times, turn);
		cr_expect_eq(b.times, turn);
		cr_expect_eq(c.times, turn);
	}
}

Test(rt_poller_time, others_are_left_alone_while_one_spins)
{
	static struct look busy = LOOK(0), a = LOOK_NEVER,
			   b = LOOK(5000, LONG_NS, LONG_NS, LONG_NS);
	struct rt_task task = { .run = stop_loop };

	rt_poller_start(loop, &a.poller);
	rt_poller_start(loop, &busy.poller);
	rt_poller_start(loop, &b.poller);
	for (int turn = 1; turn <= 5; turn++) {
		rt_loop_step(loop, 0);
		cr_expect_eq(busy.times, turn);
		cr_expect_eq(a.times, 1);
		cr_expect_eq(b.times, 1);
		rt_clock_advance(&fake, 1000);
	}
	/* The time of one of them has come. */
	rt_loop_step(loop, 0);
	cr_expect_eq(b.times, 2);
	/* Something has happened. */
	rt_loop_post(loop, &task);
	rt_loop_step(loop, 0);
	rt_loop_step(loop, 0);
	cr_expect_eq(a.times, 3);
	cr_expect_eq(b.times, 3);
	cr_expect_eq(busy.times, 8);
}

Test(rt_poller_time, who_is_woken_is_called_though_another_spins)
{
	static struct look busy = LOOK(0), a = LOOK_NEVER;

	rt_poller_wake(loop, &a.poller);
	rt_loop_step(loop, 0);
	cr_expect_eq(a.times, 0, "it is not started");
	rt_poller_start(loop, &a.poller);
	rt_poller_start(loop, &busy.poller);
	rt_loop_step(loop, 0);
	rt_loop_step(loop, 0);
	cr_expect_eq(a.times, 1);
	rt_poller_wake(loop, &a.poller);
	rt_poller_wake(loop, &a.poller);
	for (int turn = 0; turn < 3; turn++)
		rt_loop_step(loop, 0);
	cr_expect_eq(a.times, 2);
}

Test(rt_poller, who_is_woken_does_not_let_the_loop_sleep)
{
	static struct look a = LOOK_NEVER;

	rt_poller_start(loop, &a.poller);
	rt_loop_step(loop, 0);
	rt_poller_wake(loop, &a.poller);
	cr_expect_lt(step_and_measure(LONG_NS), LONG_NS);
	cr_expect_eq(a.times, 2);
}

static struct look woken = LOOK_NEVER;

static uint64_t wake_it(struct rt_poller *poller, uint64_t now_ns)
{
	(void)poller;
	(void)now_ns;
	rt_poller_wake(loop, &woken.poller);
	return UINT64_MAX;
}

Test(rt_poller, one_may_be_woken_by_another_that_goes_to_rest)
{
	struct rt_poller wakes = { .poll = wake_it };

	rt_poller_start(loop, &woken.poller);
	rt_poller_start(loop, &wakes);
	rt_loop_step(loop, 0);
	cr_expect_lt(step_and_measure(LONG_NS), LONG_NS);
	cr_expect_geq(woken.times, 2);
	rt_poller_stop(loop, &wakes);
}

Test(rt_poller_time, all_of_a_turn_get_the_time_of_the_turn)
{
	static struct look a = LOOK(0), b = LOOK(0);

	rt_poller_start(loop, &a.poller);
	rt_poller_start(loop, &b.poller);
	for (uint64_t now = 1000; now < 1003; now++) {
		rt_loop_step(loop, 0);
		cr_expect_eq(a.now_ns, now);
		cr_expect_eq(b.now_ns, now);
		rt_clock_advance(&fake, 1);
	}
}

Test(rt_poller, one_that_asks_for_nothing_lets_the_loop_sleep)
{
	static struct look a = LOOK_NEVER;

	rt_poller_start(loop, &a.poller);
	/* The first turn asks it. */
	cr_expect_lt(step_and_measure(LONG_NS), LONG_NS);
	cr_expect_geq(step_and_measure(20 * RT_NS_PER_MS), 20 * RT_NS_PER_MS);
	cr_expect_eq(a.times, 2, "whatever woke the loop");
}

Test(rt_poller, the_loop_sleeps_as_long_as_the_smallest_answer)
{
	static struct look a = LOOK(LONG_NS, LONG_NS),
			   b = LOOK(20 * RT_NS_PER_MS, 0);
	uint64_t asked;

	rt_poller_start(loop, &a.poller);
	rt_poller_start(loop, &b.poller);
	rt_loop_step(loop, LONG_NS);
	asked = b.now_ns;
	rt_loop_step(loop, LONG_NS);
	cr_expect_geq(b.now_ns - asked, 20 * RT_NS_PER_MS);
	cr_expect_lt(b.now_ns - asked, LONG_NS);
	cr_expect_eq(a.times, 2);
}

Test(rt_poller, a_busy_one_does_not_let_the_loop_sleep)
{
	static struct look a = LOOK(0), b = LOOK_NEVER;

	rt_poller_start(loop, &a.poller);
	rt_poller_start(loop, &b.poller);
	for (int turn = 1; turn <= 1000; turn++)
		cr_assert_lt(step_and_measure(LONG_NS), LONG_NS);
	cr_expect_eq(a.times, 1000);
	/* But once it has stopped. */
	rt_poller_stop(loop, &a.poller);
	rt_poller_stop(loop, &a.poller);
	rt_loop_step(loop, 0);
	cr_expect_geq(step_and_measure(20 * RT_NS_PER_MS), 20 * RT_NS_PER_MS);
	cr_expect_eq(a.times, 1000);
}

/*
 * In a cage any other call than read, write and exit is the end of the process,
 * and so is reading the processor's clock.  Returns how the process ended.
 */
static int spin_in_a_cage(uint64_t answer, uint64_t turn_ns)
{
	static struct look a = LOOK(0);
	pid_t child = fork();
	int status;

	if (child) {
		cr_assert_eq(waitpid(child, &status, 0), child);
		return status;
	}
	make_fake_loop();
	rt_poller_start(loop, &a.poller);
	rt_loop_step(loop, 0);
	a.answers[3] = answer;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		syscall(SYS_exit, 2);
	for (int turn = 1; turn < 1000; turn++) {
		rt_clock_advance(&fake, turn_ns);
		rt_loop_step(loop, LONG_NS);
	}
	syscall(SYS_exit, a.times == 1000 ? 0 : 3);
	return -1;
}

Test(rt_poller, a_busy_turn_with_nothing_to_submit_makes_no_system_call)
{
	cr_expect_eq(spin_in_a_cage(0, RT_NS_PER_MS), 0);
}

Test(rt_poller, a_loop_that_spins_in_vain_gives_way_after_a_while)
{
	cr_expect_eq(spin_in_a_cage(RT_POLL_SPIN, 1), 0);
	cr_expect_eq(spin_in_a_cage(RT_POLL_SPIN, 10), SIGKILL);
}

Test(rt_poller, spinning_is_not_sleeping)
{
	static struct look a =
		LOOK(RT_POLL_SPIN, RT_POLL_SPIN, RT_POLL_SPIN, RT_POLL_SPIN);

	rt_poller_start(loop, &a.poller);
	for (int turn = 0; turn < 100; turn++)
		cr_assert_lt(step_and_measure(LONG_NS), LONG_NS);
	cr_expect_eq(a.times, 100);
}

Test(rt_poller, a_busy_one_keeps_nothing_else_waiting)
{
	static struct look busy = LOOK(0);
	struct call c = { .task.run = note_call, .number = 7 };
	struct pair p = make_pair(read_one);
	struct alarm a = { .timer.fired = note_fired };
	struct transfer t = fresh_transfer();
	RT_FD int fd = make_file();
	struct iovec out = { &t, 4 };
	pthread_t thread;

	rt_poller_start(loop, &busy.poller);
	start(&p);
	rt_loop_step(loop, 0);
	pthread_create(&thread, NULL, post_from_thread, &c.task);
	cr_assert_eq(write(p.theirs, "z", 1), 1);
	rt_timer_start(loop, &a.timer, rt_loop_now_ns(loop) + RT_NS_PER_MS);
	rt_io_writev(loop, &t.io, fd, &out, 1, 0, false);
	while (!call_count || !p.times || !fired_count || !t.times)
		cr_assert_geq(rt_loop_step(loop, LONG_NS), 0);
	pthread_join(thread, NULL);
	cr_expect_eq(calls[0], 7);
	cr_expect_eq(p.got, 'z');
	cr_expect_eq(t.result, 4);
	drop_pair(&p);
}

Test(rt_poller, one_may_stop_itself_and_others_in_its_call)
{
	static struct look a = LOOK(0), b = LOOK(0), c = LOOK(0);

	a.stops = &b.poller;
	c.stops = &c.poller;
	rt_poller_start(loop, &a.poller);
	rt_poller_start(loop, &b.poller);
	rt_poller_start(loop, &c.poller);
	for (int turn = 0; turn < 3; turn++)
		rt_loop_step(loop, 0);
	cr_expect_eq(a.times, 3);
	cr_expect_eq(b.times, 0);
	cr_expect_eq(c.times, 1);
}

static uint64_t free_look(struct rt_poller *poller, uint64_t now_ns)
{
	struct look *look = rt_container_of(poller, struct look, poller);

	(void)now_ns;
	rt_poller_stop(loop, poller);
	free(look);
	calls[call_count++] = 1;
	return 0;
}

Test(rt_poller, one_may_be_freed_in_its_call)
{
	for (int i = 0; i < 3; i++) {
		struct look *look = calloc(1, sizeof *look);

		look->poller.poll = free_look;
		rt_poller_start(loop, &look->poller);
	}
	rt_loop_step(loop, 0);
	rt_loop_step(loop, 0);
	cr_expect_eq(call_count, 3);
}

Test(rt_poller, one_that_starts_anew_is_called_next_turn)
{
	static struct look a = LOOK_NEVER;

	a.stops = a.starts = &a.poller;
	rt_poller_start(loop, &a.poller);
	for (int turn = 1; turn <= 3; turn++) {
		cr_expect_lt(step_and_measure(LONG_NS), LONG_NS);
		cr_expect_eq(a.times, turn);
	}
}

static struct look *starter;

static void start_look(struct rt_task *task)
{
	(void)task;
	rt_poller_start(loop, &starter->poller);
}

Test(rt_poller, one_that_a_call_starts_is_asked_before_the_loop_sleeps)
{
	static struct look a = LOOK_NEVER;
	struct rt_task task = { .run = start_look };

	starter = &a;
	rt_loop_post(loop, &task);
	rt_loop_step(loop, LONG_NS);
	cr_expect_eq(a.times, 1);
}

static uint64_t post_once(struct rt_poller *poller, uint64_t now_ns)
{
	static struct call c = { .task.run = note_call };

	(void)poller;
	(void)now_ns;
	if (!call_count)
		rt_loop_post(loop, &c.task);
	return UINT64_MAX;
}

Test(rt_poller, what_one_posts_is_not_slept_upon)
{
	static struct rt_poller poller = { .poll = post_once };

	rt_poller_start(loop, &poller);
	rt_loop_step(loop, LONG_NS);
	cr_expect_lt(step_and_measure(LONG_NS), LONG_NS);
	cr_expect_eq(call_count, 1);
}

/* --- Idleness ---------------------------------------------------------- */

static uint64_t turns_of_thread;

static void count_turn(struct rt_task *task)
{
	(void)task;
	turns_of_thread++;
}

static void *run_loop(void *unused)
{
	rt_loop_run(loop);
	return unused;
}

Test(rt_loop, a_loop_made_here_runs_there)
{
	struct rt_task task = { .run = count_turn };
	struct pair p = make_pair(read_one);
	pthread_t thread;

	start(&p);
	pthread_create(&thread, NULL, run_loop, NULL);
	rt_loop_post(loop, &task);
	cr_assert_eq(write(p.theirs, "z", 1), 1);
	usleep(50000);
	rt_loop_stop(loop);
	pthread_join(thread, NULL);
	cr_expect_eq(p.got, 'z');
	cr_expect_eq(turns_of_thread, 1);
	drop_pair(&p);
}
