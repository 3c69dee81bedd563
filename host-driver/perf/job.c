/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A job of nitro-perf: see job.h.
 *
 * Theory.  A turn polls the queue once, reads the time once, puts a new command
 * for each that has come back, rings once, and counts what came back only then,
 * while the device is already at work again.  An I/O's latency is from the turn
 * that put it to the turn that found it done; with many in flight that includes
 * the driver's own work on a batch, as an application would see it.
 */
#include "host-driver/perf/job.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "host-driver/perf/clock.h"
#include "host-driver/perf/verify.h"

#define IN_FLIGHT     0x8000u
#define LOOK_UP_TURNS 1024u /* in vain, before looking at anything else */
#define SLEEP_MS      100

static int fail(struct perf_job *job, int rc, const char *what)
{
	if (job->error.code == 0)
		rt_error_set(&job->error, rc, "%s: %s", what, strerror(-rc));
	atomic_store(&job->run->failed, 1);
	return rc;
}

static inline bool is_write(const struct perf_request *r)
{
	return r->what & 1;
}

static inline uint64_t block_of(const struct perf_request *r)
{
	return r->what >> 1;
}

static uint64_t thread_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * RT_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* --- What to do next ------------------------------------------------------ */

/* SplitMix64: a few instructions, and good enough for offsets. */
static inline uint64_t draw(struct perf_job *job)
{
	uint64_t z = job->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* The next block that this run has written. */
static uint64_t choose_written(struct perf_job *job)
{
	while (job->generations[job->read_next] == 0)
		job->read_next++;
	return job->read_next++;
}

static inline uint64_t choose_block(struct perf_job *job)
{
	__extension__ typedef unsigned __int128 product;
	uint64_t block;

	if (job->is_random)
		return (uint64_t)((product)draw(job) * job->blocks >> 64);
	block = job->next++;
	if (job->next == job->blocks)
		job->next = 0;
	return block;
}

static inline bool choose_write(struct perf_job *job)
{
	if (!job->is_mixed)
		return job->read_percent == 0;
	return (draw(job) >> 32) * 100 >> 32 >= job->read_percent;
}

static struct perf_stamp stamp_of(const struct perf_job *job, uint64_t block)
{
	const struct perf_options *o = job->run->options;
	uint64_t first = job->first_lba * job->run->device->block_bytes;

	return (struct perf_stamp){
		.seed = o->seed,
		.offset = first + block * o->block_bytes,
		.size = (uint32_t)o->block_bytes,
		.generation = job->generations[block] & PERF_GENERATIONS,
	};
}

/* With --verify no block is in flight twice: take the next that is not. */
static uint64_t claim_block(struct perf_job *job, uint64_t block)
{
	while (job->generations[block] & IN_FLIGHT)
		block = block + 1 == job->blocks ? 0 : block + 1;
	job->generations[block] |= IN_FLIGHT;
	return block;
}

static void fill(struct perf_job *job, uint16_t slot, uint64_t block)
{
	unsigned int generation = job->generations[block] & PERF_GENERATIONS;
	struct perf_stamp stamp;

	generation = generation == PERF_GENERATIONS ? 1 : generation + 1;
	job->generations[block] = (uint16_t)(IN_FLIGHT | generation);
	stamp = stamp_of(job, block);
	perf_verify_fill(host_nvme_io_buffer(job->q, slot), &stamp);
}

/* What --verify has to do before a command. */
static __attribute__((noinline)) uint64_t
prepare(struct perf_job *job, uint16_t slot, uint64_t block, bool is_a_write)
{
	if (job->is_reading_back)
		block = choose_written(job);
	block = claim_block(job, block);
	if (is_a_write)
		fill(job, slot, block);
	return block;
}

static inline void put(struct perf_job *job, uint16_t slot, uint64_t now)
{
	bool is_a_write = choose_write(job);
	uint64_t block = choose_block(job);

	if (job->generations)
		block = prepare(job, slot, block, is_a_write);
	job->requests[slot] =
		(struct perf_request){ .start = now,
				       .what = block << 1 | is_a_write };
	host_nvme_io_put(job->q, is_a_write ? NVME_NVM_WRITE : NVME_NVM_READ,
			 slot, job->first_lba + block * job->lbas, job->lbas);
}

/* As many commands as there are slots, or as are left. */
static void put_all(struct perf_job *job, const struct host_nvme_io_done *done,
		    unsigned int n, uint64_t now)
{
	if (n > job->left)
		n = (unsigned int)job->left;
	for (unsigned int i = 0; i < n; i++)
		put(job, done[i].slot, now);
	job->left -= n;
	job->in_flight += n;
}

/* --- What came back ------------------------------------------------------- */

static int complain(struct perf_job *job, const struct perf_request *r,
		    const char *what)
{
	const struct perf_device *d = job->run->device;
	uint64_t lba = job->first_lba + block_of(r) * job->lbas;

	if (job->error.code == 0)
		rt_error_set(&job->error, -EIO,
			     "%s of %u blocks at LBA %" PRIu64
			     " (offset %" PRIu64 "): %s",
			     is_write(r) ? "write" : "read", job->lbas, lba,
			     lba * d->block_bytes, what);
	atomic_store(&job->run->failed, 1);
	return -EIO;
}

/* A block that this run has not written is checked only in a run of reads. */
static int check(struct perf_job *job, uint16_t slot,
		 const struct perf_request *r)
{
	struct perf_stamp stamp = stamp_of(job, block_of(r));
	char text[128];

	job->generations[block_of(r)] &= (uint16_t)~IN_FLIGHT;
	if (is_write(r))
		return 0;
	if (stamp.generation == 0 && job->run->options->read_percent < 100)
		return 0;
	job->checked++;
	if (perf_verify_check(host_nvme_io_buffer(job->q, slot), &stamp, text,
			      sizeof text))
		return 0;
	return complain(job, r, text);
}

/* Something is to be said or done about a completion. */
static __attribute__((noinline)) int
look_at(struct perf_job *job, const struct host_nvme_io_done *done,
	const struct perf_request *r)
{
	char text[32];

	if (done->status) {
		snprintf(text, sizeof text, "status %x/%02x", done->status >> 8,
			 done->status & 0xff);
		return complain(job, r, text);
	}
	return check(job, done->slot, r);
}

/* Keep what is known of the commands, since their slots are used again. */
static int accept(struct perf_job *job, unsigned int n)
{
	const struct host_nvme_io_done *done = job->done;
	bool is_checked = job->generations;
	int rc = 0;

	for (unsigned int i = 0; i < n; i++) {
		job->past[i] = job->requests[done[i].slot];
		if (__builtin_expect(done[i].status || is_checked, 0))
			rc |= look_at(job, &done[i], &job->past[i]);
	}
	job->in_flight -= n;
	return rc;
}

static void count(struct perf_job *job, unsigned int n, uint64_t now)
{
	for (unsigned int i = 0; i < n; i++)
		perf_histogram_add(is_write(&job->past[i]) ? &job->writes
							   : &job->reads,
				   now - job->past[i].start);
	atomic_store_explicit(&job->done_ios,
			      job->reads.count + job->writes.count,
			      memory_order_relaxed);
}

/* --- Turns ---------------------------------------------------------------- */

static void start_counting(struct perf_job *job)
{
	perf_histogram_clear(&job->reads);
	perf_histogram_clear(&job->writes);
	job->wakeups = 0;
	job->trapped = host_nvme_io_trapped(job->q);
	job->cpu_start_ns = thread_ns();
	job->started = perf_ticks();
}

/* The main thread, or a job in trouble, wants something else. */
static void obey(struct perf_job *job)
{
	int state =
		atomic_load_explicit(&job->run->state, memory_order_relaxed);

	if (atomic_load_explicit(&job->run->failed, memory_order_relaxed))
		state = PERF_STOP;
	if (__builtin_expect(state == job->state, 1))
		return;
	if (state == PERF_MEASURE)
		start_counting(job);
	else
		job->left = 0;
	job->state = state;
}

static void think(const struct perf_job *job)
{
	const struct timespec time = {
		.tv_sec = (time_t)(job->think_ns / RT_NS_PER_S),
		.tv_nsec = (long)(job->think_ns % RT_NS_PER_S),
	};

	nanosleep(&time, NULL);
}

/* n completions at now: put as many commands as there is something left. */
static int turn(struct perf_job *job, unsigned int n, uint64_t now)
{
	uint64_t start = now;
	int rc;

	obey(job);
	if (accept(job, n) < 0)
		job->left = 0;
	if (job->think_ns && job->left) {
		think(job);
		start = perf_ticks();
	}
	put_all(job, job->done, n, start);
	rc = host_nvme_io_ring(job->q);
	count(job, n, now);
	job->idle_turns = 0;
	job->silent_since = 0;
	return rc < 0 ? fail(job, rc, "a doorbell") : 0;
}

/* Nothing came back: be sure that the device lives and that we shall go on. */
static int look_up(struct perf_job *job)
{
	static const struct rt_clock host;
	uint64_t now = rt_clock_now_ns(&host);

	obey(job);
	/* Who rings through a socket must also answer what comes from it. */
	if (!job->run->device->doors.mapped &&
	    perf_device_check(job->run->device) < 0)
		atomic_store(&job->run->gone, 1);
	if (atomic_load(&job->run->gone))
		return -ENODEV;
	if (job->silent_since == 0)
		job->silent_since = now;
	if (now - job->silent_since > job->run->options->timeout_ns)
		return fail(job, -ETIMEDOUT, "nothing is completed any more");
	/* Whoever shares the processor with us may be the device. */
	if (job->event < 0)
		sched_yield();
	return 0;
}

static int await_interrupt(struct perf_job *job)
{
	struct pollfd ready = { .fd = job->event, .events = POLLIN };
	uint64_t value;

	if (poll(&ready, 1, SLEEP_MS) > 0 &&
	    read(job->event, &value, sizeof value) > 0)
		job->wakeups++;
	return look_up(job);
}

static int wait_a_little(struct perf_job *job)
{
	unsigned int turns = ++job->idle_turns;

	if (job->event >= 0)
		return await_interrupt(job);
	return turns % LOOK_UP_TURNS == 0 ? look_up(job) : 0;
}

static int one_turn(struct perf_job *job)
{
	int n = host_nvme_io_poll(job->q, job->done, PERF_BATCH);

	if (n == 0)
		return wait_a_little(job);
	if (n < 0)
		return fail(job, n, "completions");
	return turn(job, (unsigned int)n, perf_ticks());
}

static void run_load(struct perf_job *job)
{
	uint64_t now = perf_ticks();
	int rc;

	for (uint16_t slot = 0; slot < job->depth; slot++)
		put_all(job, &(struct host_nvme_io_done){ .slot = slot }, 1,
			now);
	rc = host_nvme_io_ring(job->q);
	if (rc < 0)
		fail(job, rc, "a doorbell");
	while (job->in_flight > 0 && rc == 0)
		rc = one_turn(job);
}

/* --- The thread ----------------------------------------------------------- */

static void pin(struct perf_job *job)
{
	const struct perf_options *o = job->run->options;
	cpu_set_t set;
	int rc;

	if (o->cpu_count == 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)o->cpus[job->number % o->cpu_count], &set);
	rc = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
	if (rc)
		fail(job, -rc, "--cpus");
}

static void measure(struct perf_job *job)
{
	job->state = PERF_RAMP;
	start_counting(job);
	obey(job);
	if (!atomic_load(&job->run->failed))
		run_load(job);
	job->ended = perf_ticks();
	job->cpu_ns = thread_ns() - job->cpu_start_ns;
	job->trapped = host_nvme_io_trapped(job->q) - job->trapped;
}

/* Read once more all that was written. */
static void read_back(struct perf_job *job)
{
	struct perf_histogram *keep = calloc(1, sizeof *keep);

	if (!keep) {
		fail(job, -ENOMEM, "--verify");
		return;
	}
	*keep = job->reads;
	/* Nobody but this job's errors ends it any more. */
	job->state = PERF_STOP;
	job->is_reading_back = true;
	job->is_mixed = false;
	job->read_percent = 100;
	job->think_ns = 0;
	job->left = job->read_next = 0;
	for (uint64_t i = 0; i < job->blocks; i++)
		job->left += job->generations[i] != 0;
	run_load(job);
	job->reads = *keep;
	free(keep);
}

static void *body(void *opaque)
{
	struct perf_job *job = opaque;
	struct perf_run *run = job->run;
	uint64_t one = 1;

	pin(job);
	pthread_barrier_wait(&run->start);
	measure(job);
	atomic_fetch_sub(&run->running, 1);
	(void)!write(run->finished, &one, sizeof one);
	pthread_barrier_wait(&run->verify);
	if (job->generations && !atomic_load(&run->failed))
		read_back(job);
	return NULL;
}

/* --- Open and close ------------------------------------------------------- */

static int open_area(struct perf_job *job, struct rt_error *error)
{
	const struct perf_options *o = job->run->options;
	const struct perf_device *d = job->run->device;
	uint64_t bytes = d->block_count * d->block_bytes;
	uint64_t size = o->size ? o->size : bytes - o->offset;

	job->blocks = size / o->block_bytes / o->jobs;
	job->lbas = (uint32_t)(o->block_bytes / d->block_bytes);
	job->first_lba = o->offset / d->block_bytes +
			 job->number * job->blocks * job->lbas;
	if (!o->verify)
		return 0;
	if (job->blocks <= o->depth)
		return rt_error_set(error, -EINVAL,
				    "--verify needs an area of more blocks "
				    "than --iodepth for each job");
	job->generations = calloc(job->blocks, sizeof *job->generations);
	if (!job->generations)
		return rt_error_set(error, -ENOMEM,
				    "no memory to remember the generations of "
				    "%" PRIu64 " blocks; --size makes it fewer",
				    job->blocks);
	return 0;
}

/* Data that is not all zeroes, for writes without --verify. */
static void fill_buffers(struct perf_job *job)
{
	const struct perf_options *o = job->run->options;

	for (uint16_t slot = 0; slot < o->depth; slot++) {
		const struct perf_stamp stamp = {
			.seed = o->seed + job->number,
			.offset = slot,
			.size = (uint32_t)o->block_bytes,
		};

		perf_verify_fill(host_nvme_io_buffer(job->q, slot), &stamp);
	}
}

static int open_queue(struct perf_job *job, struct rt_error *error)
{
	const struct perf_options *o = job->run->options;
	const struct host_nvme_io_options options = {
		.nsid = (uint32_t)o->nsid,
		.block_bytes = job->run->device->block_bytes,
		.slots = (uint16_t)o->depth,
		.slot_bytes = (uint32_t)o->block_bytes,
		.has_interrupt = o->has_interrupts,
	};
	int rc = host_nvme_io_open(&job->run->device->doors,
				   (uint16_t)(job->number + 1), &options,
				   &job->q);

	if (rc < 0)
		return rt_error_set(error, rc, "the buffers of a queue: %s",
				    strerror(-rc));
	job->requests = calloc(o->depth, sizeof *job->requests);
	if (!job->requests)
		return rt_error_set(error, -ENOMEM, "no memory");
	if (o->read_percent < 100)
		fill_buffers(job);
	return 0;
}

int perf_job_open(struct perf_job *job, struct perf_run *run,
		  unsigned int number, struct rt_error *error)
{
	const struct perf_options *o = run->options;
	int rc;

	job->run = run;
	job->number = number;
	job->depth = (unsigned int)o->depth;
	job->is_random = o->is_random;
	job->read_percent = o->read_percent;
	job->is_mixed = o->read_percent > 0 && o->read_percent < 100;
	job->left = o->number_ios ? o->number_ios : UINT64_MAX;
	job->think_ns = o->think_ns;
	job->event = o->has_interrupts ? run->device->events[number + 1] : -1;
	job->random = o->seed * UINT64_C(0x2545f4914f6cdd1d) + number;
	rc = open_area(job, error);
	return rc < 0 ? rc : open_queue(job, error);
}

int perf_job_start(struct perf_job *job)
{
	int rc = pthread_create(&job->thread, NULL, body, job);

	job->is_started = rc == 0;
	return -rc;
}

void perf_job_join(struct perf_job *job)
{
	if (job->is_started)
		pthread_join(job->thread, NULL);
	job->is_started = false;
}

void perf_job_close(struct perf_job *job)
{
	host_nvme_io_close(&job->q);
	free(job->requests);
	free(job->generations);
}
