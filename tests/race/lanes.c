/* SPDX-License-Identifier: BSD-3-Clause */
/* The function, its workers, and its driver: see lanes.h. */
#include "tests/race/lanes.h"

#include <inttypes.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ebs-nvme/controller.h"
#include "ebs-nvme/function.h"
#include "ebs-nvme/volume/crypt.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/log.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server.h"

#define WORKERS   3u
#define QUEUES    4u
#define ENTRIES   32u
#define SLOTS     8u /* the last one makes mistakes */
#define BLOCKS    16u
#define BLOCK     512u
#define BYTES     (BLOCKS * BLOCK)
#define VOLUME    UINT64_C(0x800000)
#define VECTORS   (QUEUES + 1)
#define BEYOND    (VOLUME / BLOCK)
#define EXTRA     UINT64_C(0x200000000)
#define OUT_RANGE HOST_NVME_STATUS(0, 0x80)
#define SLEEP_US  200u
#define ABORTED   HOST_NVME_STATUS(0, 0x07)
#define DELETED   HOST_NVME_STATUS(0, 0x08)

/* ---- the card's side ---- */

struct worker {
	pthread_t thread;
	struct rt_loop *loop;
	struct rt_task stop;
};

struct card {
	const struct lanes_options *options;
	struct worker workers[WORKERS];
	struct rt_loop *loops[WORKERS];
	struct pcie_workers among;
	struct pcie_function *fn;
	struct pcie_server *server;
	char path[64]; /* of the volume */
	int fd;        /* to attach */
	sem_t gone;
	uint8_t *saved;
};

static _Atomic unsigned int wrong;

static void complain(const char *what, uint64_t value)
{
	atomic_fetch_add(&wrong, 1);
	fprintf(stderr, "%s (%" PRIu64 ")\n", what, value);
}

static void must(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "%s: %d\n", what, rc);
	abort();
}

/* A call on a loop's thread, and back. */
struct call {
	struct rt_task task;
	void (*run)(struct card *card);
	struct card *card;
	sem_t done;
};

static void run_call(struct rt_task *task)
{
	struct call *call = rt_container_of(task, struct call, task);

	if (call->run)
		call->run(call->card);
	sem_post(&call->done);
}

static void call_on(struct card *card, struct rt_loop *loop,
		    void (*run)(struct card *card))
{
	struct call call = { .task.run = run_call, .run = run, .card = card };

	sem_init(&call.done, 0, 0);
	rt_loop_post(loop, &call.task);
	sem_wait(&call.done);
	sem_destroy(&call.done);
}

static void call_home(struct card *card, void (*run)(struct card *card))
{
	call_on(card, card->loops[0], run);
}

static void stop_loop(struct rt_task *task)
{
	rt_loop_stop(rt_container_of(task, struct worker, stop)->loop);
}

static void *run_worker(void *opaque)
{
	struct worker *worker = opaque;

	must(rt_loop_run(worker->loop), "a worker");
	return NULL;
}

static void start_workers(struct card *card)
{
	for (unsigned int i = 0; i < WORKERS; i++) {
		struct worker *worker = &card->workers[i];

		must(rt_loop_create(NULL, &worker->loop), "a loop");
		card->loops[i] = worker->loop;
		worker->stop.run = stop_loop;
		pthread_create(&worker->thread, NULL, run_worker, worker);
	}
	card->among = (struct pcie_workers){ card->loops, 0, WORKERS };
}

static void stop_workers(struct card *card)
{
	/* Word that it has ended, and the answer. */
	for (unsigned int i = 0; i < 2 * WORKERS; i++)
		call_on(card, card->loops[i % WORKERS], NULL);
	for (unsigned int i = 0; i < WORKERS; i++)
		rt_loop_post(card->loops[i], &card->workers[i].stop);
	for (unsigned int i = 0; i < WORKERS; i++)
		pthread_join(card->workers[i].thread, NULL);
	for (unsigned int i = 0; i < WORKERS; i++)
		rt_loop_destroy(&card->workers[i].loop);
}

static void make_file(struct card *card)
{
	int fd;

	snprintf(card->path, sizeof card->path, "%s/nitro-lanes-XXXXXX",
		 card->options->volume == LANES_FILE ? "/tmp" : "/dev/shm");
	fd = mkstemp(card->path);
	if (fd < 0 || ftruncate(fd, (off_t)VOLUME))
		must(-1, card->path);
	close(fd);
}

/* The same key for all; it is the queues that the test is about. */
static int find_key(const char *volume_id, const char *kms_key_id,
		    const char *file, bool may_make, void **out,
		    struct rt_error *error)
{
	static int key;

	(void)volume_id, (void)kms_key_id, (void)file, (void)may_make,
		(void)error;
	*out = &key;
	return 0;
}

static int unwrap_key(const void *key, uint8_t *out, struct rt_error *error)
{
	(void)key, (void)error;
	for (unsigned int i = 0; i < EBS_KEY_BYTES; i++)
		out[i] = (uint8_t)i;
	return 0;
}

static void forget_key(void **key)
{
	*key = NULL;
}

static const struct ebs_key_keeper keeper = {
	.find = find_key,
	.unwrap = unwrap_key,
	.forget = forget_key,
};

static void make_there(struct card *card)
{
	const struct lanes_options *o = card->options;
	struct ebs_config config = {
		.profile = EBS_PROFILE_NVME_1,
		.volume_id = (char *)(uintptr_t) "vol-0123456789abcdef0",
		.vcpus = QUEUES + 1,
		.doorbells = o->doors == HOST_NVME_DOORS_MAPPED
				     ? EBS_DOORBELLS_MAPPED
				     : EBS_DOORBELLS_TRAPPED,
		.may_spread = !o->is_at_home,
		.polling = o->is_sleepy ? EBS_POLLING_NEVER : EBS_POLLING_AUTO,
		.volume = { .memory_size = VOLUME },
	};
	struct rt_error error = { 0 };

	if (o->volume != LANES_MEMORY)
		config.volume =
			(struct ebs_volume_config){ .file = card->path };
	ebs_key_keeper_set(&keeper);
	if (o->is_encrypted)
		config.volume.encrypted = EBS_VOLUME_ENCRYPTED;
	must(pcie_function_create_among(&ebs_function, "ebs0", &card->among,
					&config, &card->fn, &error),
	     error.text);
	must(pcie_server_create(card->fn, NULL, &card->server, &error),
	     error.text);
}

static void attach_there(struct card *card)
{
	card->fd = pcie_server_attach(card->server, card->fd);
}

static void mark_gone(void *opaque)
{
	sem_post(&((struct card *)opaque)->gone);
}

static void remove_server_there(struct card *card)
{
	pcie_server_destroy(&card->server, mark_gone, card);
}

static void remove_there(struct card *card)
{
	pcie_function_destroy(&card->fn);
}

static void start_card(struct card *card, const struct lanes_options *options)
{
	*card = (struct card){ .options = options };
	sem_init(&card->gone, 0, 0);
	if (options->volume != LANES_MEMORY)
		make_file(card);
	start_workers(card);
	call_home(card, make_there);
}

static void stop_card(struct card *card)
{
	call_home(card, remove_server_there);
	sem_wait(&card->gone);
	call_home(card, remove_there);
	stop_workers(card);
	sem_destroy(&card->gone);
	if (card->path[0])
		unlink(card->path);
}

/* ---- a queue's thread ---- */

struct slot {
	bool is_in_flight, is_write;
	uint64_t version; /* of what is in the volume; 0: nobody knows */
};

struct driver;

struct queue {
	struct driver *driver;
	uint16_t qid;
	pthread_t thread;
	struct host_nvme_io *io;
	struct slot slots[SLOTS];
	uint64_t mistakes;
	_Atomic uint64_t done;
};

struct driver {
	struct card *card;
	struct host_function *fn;
	struct host_nvme *nvme;
	struct host_nvme_doors doors;
	struct queue queues[QUEUES];
	int events[VECTORS];
	_Atomic bool must_drain, must_stop;
	uint64_t dice;
};

static uint64_t lba_of(const struct queue *q, uint16_t slot)
{
	return ((uint64_t)q->qid * SLOTS + slot) * BLOCKS;
}

static uint64_t word_of(const struct queue *q, uint16_t slot, size_t i)
{
	return q->slots[slot].version * UINT64_C(0x9e3779b97f4a7c15) +
	       lba_of(q, slot) * 1000003 + i;
}

static void fill(struct queue *q, uint16_t slot)
{
	uint64_t *words = host_nvme_io_buffer(q->io, slot);

	for (size_t i = 0; i < BYTES / sizeof *words; i++)
		words[i] = word_of(q, slot, i);
}

static void check(struct queue *q, uint16_t slot)
{
	const uint64_t *words = host_nvme_io_buffer(q->io, slot);

	for (size_t i = 0; i < BYTES / sizeof *words; i++) {
		if (words[i] == word_of(q, slot, i))
			continue;
		complain("a queue read what it has not written", q->qid);
		return;
	}
}

/* Commands that a lane leaves to the home thread. */
static void make_mistake(struct queue *q, uint16_t slot)
{
	switch (q->mistakes++ % 3) {
	case 0:
		host_nvme_io_put(q->io, NVME_NVM_READ, slot, BEYOND, 1);
		break;
	case 1: /* ranges, but not to deallocate them */
		memset(host_nvme_io_buffer(q->io, slot), 0, BYTES);
		host_nvme_io_put(q->io, NVME_NVM_DSM, slot, 0, 1);
		break;
	default:
		host_nvme_io_put_flush(q->io, slot);
	}
}

static void start_command(struct queue *q, uint16_t number)
{
	struct slot *slot = &q->slots[number];

	slot->is_in_flight = true;
	if (number == SLOTS - 1) {
		make_mistake(q, number);
		return;
	}
	slot->is_write = !slot->version || !slot->is_write;
	if (slot->is_write) {
		slot->version++;
		fill(q, number);
	}
	host_nvme_io_put(q->io, slot->is_write ? NVME_NVM_WRITE : NVME_NVM_READ,
			 number, lba_of(q, number), BLOCKS);
}

static void end_command(struct queue *q, uint16_t number, uint16_t status)
{
	struct slot *slot = &q->slots[number];
	bool is_mistake = number == SLOTS - 1;

	slot->is_in_flight = false;
	q->done++;
	if (status == ABORTED || status == DELETED)
		slot->is_write = false; /* write it again */
	else if (is_mistake && q->mistakes % 3 == 1 && status != OUT_RANGE)
		complain("a mistake was not found", status);
	else if (is_mistake ? q->mistakes % 3 != 1 && status : status)
		complain("a command failed", status);
	else if (!is_mistake && !slot->is_write)
		check(q, number);
}

/* Returns how many commands are still out. */
static unsigned int go_round(struct queue *q, bool may_start)
{
	struct host_nvme_io_done done[SLOTS];
	unsigned int count = 0;
	int n = host_nvme_io_poll(q->io, done, SLOTS);

	for (int i = 0; i < n; i++)
		end_command(q, done[i].slot, done[i].status);
	for (uint16_t i = 0; i < SLOTS; i++) {
		if (may_start && !q->slots[i].is_in_flight)
			start_command(q, i);
		count += q->slots[i].is_in_flight;
	}
	if (host_nvme_io_ring(q->io) < 0 || n < 0)
		complain("a queue cannot be driven", q->qid);
	if (n == 0)
		sched_yield();
	return count;
}

/* Where the card is to sleep, it finds nothing to do for a while. */
static bool may_start(const struct queue *q, unsigned int count)
{
	if (atomic_load(&q->driver->must_drain))
		return false;
	if (!q->driver->card->options->is_sleepy)
		return true;
	if (!count)
		usleep(SLEEP_US);
	return !count;
}

static void *drive(void *opaque)
{
	struct queue *q = opaque;
	struct driver *d = q->driver;
	unsigned int count = 0;

	while (!atomic_load(&d->must_stop)) {
		count = go_round(q, may_start(q, count));
		if (!count && atomic_load(&d->must_drain))
			break;
	}
	return NULL;
}

/* ---- what a host and an operator do meanwhile ---- */

static uint32_t roll(struct driver *d, uint32_t sides)
{
	d->dice = d->dice * UINT64_C(6364136223846793005) + 1;
	return (uint32_t)(d->dice >> 40) % sides;
}

static void make_events(struct driver *d)
{
	for (unsigned int i = 0; i < VECTORS; i++)
		d->events[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void close_events(struct driver *d)
{
	for (unsigned int i = 0; i < VECTORS; i++)
		close(d->events[i]);
}

static void change_events(struct driver *d)
{
	if (!d->card->options->has_interrupts)
		return;
	close_events(d);
	make_events(d);
	if (roll(d, 2))
		must(host_irq_disable(d->fn, VFIO_PCI_MSIX_IRQ_INDEX), "off");
	must(host_irq_set(d->fn, VFIO_PCI_MSIX_IRQ_INDEX, 0, d->events,
			  VECTORS),
	     "eventfds");
}

static void change_memory(struct driver *d)
{
	struct host_memory memory;

	must(host_memory_map(d->fn, EXTRA, 0x100000, true, &memory), "map");
	must(host_memory_unmap(d->fn, &memory), "unmap");
}

static void abort_one(struct driver *d)
{
	struct nvme_cmd cmd = {
		.opcode = NVME_ADMIN_ABORT,
		.cdw10 = le32_put(roll(d, SLOTS) << 16 | (1 + roll(d, QUEUES))),
	};

	if (host_nvme_call(d->nvme, 0, &cmd, NULL) < 0)
		complain("an abort was not answered", 0);
}

static void ask(struct driver *d)
{
	const void *page;

	if (host_nvme_get_log(d->nvme, NVME_LID_SMART, 0, 512, &page) ||
	    host_nvme_get_log(d->nvme, NVME_LID_ERROR, 0, 512, &page))
		complain("a log page was refused", 0);
	(void)host_nvme_set_feature(d->nvme, NVME_FID_COALESCING,
				    roll(d, 4) << 8 | roll(d, 8), NULL);
	for (size_t i = 0; i < EBS_COUNTERS; i++)
		(void)pcie_function_counter(d->card->fn, &ebs_counter_names[i]);
}

static void make_and_delete(struct driver *d)
{
	uint16_t qid = QUEUES + 1;

	if (host_nvme_create_pair(d->nvme, qid, ENTRIES, -1) ||
	    host_nvme_delete_sq(d->nvme, qid) ||
	    host_nvme_delete_cq(d->nvme, qid))
		complain("a queue was not made or not deleted", qid);
}

static void set_fault_there(struct card *card)
{
	const struct rt_fault_rule rule = { .is_set = true,
					    .probability_ppm = 500000,
					    .value = 100 };

	pcie_function_hold(card->fn);
	must(rt_fault_set_rule(&card->fn->faults, "io_delay", &rule), "fault");
	pcie_function_let(card->fn);
}

static void clear_fault_there(struct card *card)
{
	pcie_function_hold(card->fn);
	must(rt_fault_clear(&card->fn->faults, "io_delay"), "fault");
	pcie_function_let(card->fn);
}

/* Whatever is done to them, all queues get on. */
static void wait_for_progress(struct driver *d)
{
	for (unsigned int i = 0; i < QUEUES; i++) {
		uint64_t now = atomic_load(&d->queues[i].done);

		while (atomic_load(&d->queues[i].done) < now + 2 * SLOTS)
			usleep(200);
	}
}

static void cause_faults(struct driver *d)
{
	call_home(d->card, set_fault_there);
	pthread_mutex_unlock(&d->doors.lock);
	wait_for_progress(d);
	pthread_mutex_lock(&d->doors.lock);
	call_home(d->card, clear_fault_there);
}

static void paused(struct pcie_function *fn, void *opaque)
{
	(void)fn;
	mark_gone(opaque);
}

static void pause_there(struct card *card)
{
	must(pcie_function_pause(card->fn, paused, card), "pause");
}

static void save_there(struct card *card)
{
	size_t size = pcie_function_save(card->fn, NULL, 0);
	RT_FREE uint8_t *bytes = malloc(size);

	(void)pcie_function_save(card->fn, bytes, size);
	must(pcie_function_restore(card->fn, bytes, size), "restore");
}

static void unpause_there(struct card *card)
{
	must(pcie_function_unpause(card->fn), "unpause");
}

static void pause_it(struct driver *d)
{
	call_home(d->card, pause_there);
	sem_wait(&d->card->gone);
	/* The bytes of mapped doorbells go on to live beside the state. */
	if (d->card->options->doors != HOST_NVME_DOORS_MAPPED)
		call_home(d->card, save_there);
	call_home(d->card, unpause_there);
}

static void take_step(struct driver *d)
{
	static void (*const steps[])(struct driver * d) = {
		change_events, change_memory,   abort_one,    ask,
		abort_one,     make_and_delete, cause_faults, pause_it,
	};

	pthread_mutex_lock(&d->doors.lock);
	steps[roll(d, RT_COUNT(steps))](d);
	pthread_mutex_unlock(&d->doors.lock);
	sched_yield();
}

/* ---- a life of the controller ---- */

static void connect_driver(struct driver *d)
{
	const struct host_options options = { .timeout_ms = 60000 };
	struct rt_error error = { 0 };
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "pair");
	/* The last client may just be leaving. */
	do {
		d->card->fd = dup(ends[0]);
		call_home(d->card, attach_there);
	} while (d->card->fd);
	close(ends[0]);
	must(host_open_fd(ends[1], &options, &d->fn, &error), error.text);
	must(host_nvme_open(d->fn,
			    &(struct host_nvme_options){ .timeout_ms = 60000 },
			    &d->nvme),
	     "a driver");
	must(host_nvme_enable(d->nvme), "enable");
}

static void open_queue(struct driver *d, uint16_t qid)
{
	bool has_interrupts = d->card->options->has_interrupts;
	const struct host_nvme_io_options options = {
		.nsid = 1,
		.block_bytes = BLOCK,
		.slots = SLOTS,
		.slot_bytes = BYTES,
		.has_interrupt = has_interrupts,
	};
	struct queue *q = &d->queues[qid - 1];

	*q = (struct queue){ .driver = d, .qid = qid };
	must(host_nvme_create_pair(d->nvme, qid, ENTRIES,
				   has_interrupts ? qid : -1),
	     "a pair");
	must(host_nvme_io_open(&d->doors, qid, &options, &q->io), "a queue");
}

static void start_queues(struct driver *d)
{
	make_events(d);
	if (d->card->options->has_interrupts)
		must(host_msix_enable(d->fn, d->events, VECTORS), "MSI-X");
	must(host_nvme_doors_open(d->nvme, d->card->options->doors, &d->doors),
	     "doorbells");
	for (uint16_t qid = 1; qid <= QUEUES; qid++)
		open_queue(d, qid);
	for (unsigned int i = 0; i < QUEUES; i++)
		pthread_create(&d->queues[i].thread, NULL, drive,
			       &d->queues[i]);
}

static void wait_for_queues(struct driver *d)
{
	for (unsigned int i = 0; i < QUEUES; i++)
		pthread_join(d->queues[i].thread, NULL);
	for (unsigned int i = 0; i < QUEUES; i++)
		host_nvme_io_close(&d->queues[i].io);
}

static void delete_queues(struct driver *d)
{
	for (uint16_t qid = 1; qid <= QUEUES; qid++)
		if (host_nvme_delete_sq(d->nvme, qid) ||
		    host_nvme_delete_cq(d->nvme, qid))
			complain("a queue was not deleted", qid);
}

enum ending { DRAIN, DELETE, DISABLE, RESET, HANG_UP, ENDINGS };

/* While the queues are driven, but for the first and the last. */
static void end_life(struct driver *d, enum ending ending)
{
	pthread_mutex_lock(&d->doors.lock);
	if (ending == DELETE)
		delete_queues(d);
	else if (ending == DISABLE)
		must(host_nvme_disable(d->nvme), "disable");
	else if (ending == RESET)
		must(host_reset(d->fn), "reset");
	pthread_mutex_unlock(&d->doors.lock);
	if (ending == DRAIN)
		atomic_store(&d->must_drain, true);
	else
		atomic_store(&d->must_stop, true);
	wait_for_queues(d);
	if (ending == DRAIN)
		delete_queues(d);
}

static void disconnect(struct driver *d)
{
	host_nvme_doors_close(&d->doors);
	d->nvme->fn = NULL; /* no farewell */
	host_close(&d->fn);
	host_nvme_close(&d->nvme);
	close_events(d);
}

static void count_lanes_there(struct card *card)
{
	struct ebs_controller *c = ebs_controller_of(card->fn);

	if (c->lane_count != (card->options->is_at_home ? 1 : WORKERS))
		complain("queues are on a wrong number of threads",
			 c->lane_count);
}

static void live(struct card *card, unsigned int round)
{
	struct driver *d = calloc(1, sizeof *d);

	d->card = card;
	d->dice = round * UINT64_C(0x9e3779b97f4a7c15) + 7;
	connect_driver(d);
	start_queues(d);
	for (unsigned int i = 0; i < card->options->steps; i++)
		take_step(d);
	call_home(card, count_lanes_there);
	wait_for_progress(d);
	end_life(d, (enum ending)(round % ENDINGS));
	disconnect(d);
	free(d);
}

unsigned int lanes_run(const struct lanes_options *options)
{
	unsigned int before = atomic_load(&wrong);
	struct card card;

	rt_log_set_level(RT_LOG_ERROR);
	must(rt_guard_install(), "guards");
	start_card(&card, options);
	for (unsigned int i = 0; i < options->rounds; i++)
		live(&card, i);
	stop_card(&card);
	return atomic_load(&wrong) - before;
}
