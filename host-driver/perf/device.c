/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device under load: opened, enabled, asked what it is and given a pair of
 * queues for each job.  Main thread.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "host-driver/perf/perf.h"

#define IOVA      UINT64_C(0x40000000)
#define SPARE     UINT64_C(0x100000) /* the admin queue and identify data */
#define HUGE_PAGE UINT64_C(0x200000)
#define ENTRIES   UINT64_C(256)

static int say(struct rt_error *error, int rc, const char *what)
{
	if (rc > 0)
		return rt_error_set(error, -EIO, "%s: status %x/%02x", what,
				    (unsigned int)rc >> 8,
				    (unsigned int)rc & 0xff);
	if (rc < 0)
		return rt_error_set(error, rc, "%s: %s", what, strerror(-rc));
	return 0;
}

/* Bytes of memory for all queues and buffers, and lists of pages. */
static uint64_t memory_of(const struct perf_options *o)
{
	uint64_t slot = o->block_bytes + 2 * HOST_NVME_PAGE;
	uint64_t entries = o->queue_entries + 2 * o->depth + ENTRIES;
	uint64_t job = o->depth * slot + entries * 80 + 4 * HOST_NVME_PAGE;

	return (SPARE + o->jobs * job + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

static void copy_text(char *to, const char *from, size_t size)
{
	memcpy(to, from, size);
	to[size] = '\0';
	for (size_t i = size; i > 0 && to[i - 1] == ' '; i--)
		to[i - 1] = '\0';
}

static int learn_controller(struct perf_device *d, struct rt_error *error)
{
	const struct nvme_id_ctrl *id;
	const void *page = NULL;
	int rc = host_nvme_identify(d->nvme, NVME_CNS_CONTROLLER, 0, &page);

	if (rc != 0)
		return say(error, rc, "Identify Controller");
	id = page;
	copy_text(d->model, id->mn, sizeof id->mn);
	copy_text(d->serial, id->sn, sizeof id->sn);
	d->max_bytes = id->mdts && id->mdts < 32 ? NVME_PAGE_BYTES << id->mdts
						 : UINT64_MAX;
	d->max_entries = host_nvme_max_entries(d->nvme);
	return 0;
}

/* Room for twice the depth is room enough; more only moves more memory. */
static int choose_entries(struct perf_device *d, const struct perf_options *o,
			  struct rt_error *error)
{
	uint64_t wanted = o->queue_entries;

	if (wanted == 0) {
		wanted = 2 * o->depth < ENTRIES ? ENTRIES : 2 * o->depth;
		if (wanted > d->max_entries)
			wanted = d->max_entries;
	}
	if (wanted > d->max_entries || wanted <= o->depth)
		return rt_error_set(error, -EINVAL,
				    "queues have up to %u entries here: too "
				    "few for that depth",
				    d->max_entries);
	d->entries = (uint32_t)wanted;
	return 0;
}

static int learn_namespace(struct perf_device *d, uint32_t nsid,
			   struct rt_error *error)
{
	const struct nvme_id_ns *id;
	const void *page = NULL;
	int rc = host_nvme_identify(d->nvme, NVME_CNS_NAMESPACE, nsid, &page);
	unsigned int shift;

	if (rc < 0 || (rc > 0 && rc != NVME_INVALID_NAMESPACE.raw))
		return say(error, rc, "Identify Namespace");
	id = page;
	if (rc > 0 || le64_get(id->nsze) == 0)
		return rt_error_set(error, -ENXIO, "there is no namespace %u",
				    nsid);
	d->block_count = le64_get(id->nsze);
	shift = id->lbaf[id->flbas & 0xf].data_shift;
	if (shift < 9 || shift > 16)
		return rt_error_set(error, -ENXIO,
				    "namespace %u has blocks of 2^%u bytes",
				    nsid, shift);
	d->block_bytes = 1u << shift;
	return 0;
}

static int check_fit(const struct perf_device *d, const struct perf_options *o,
		     struct rt_error *error)
{
	uint64_t bytes = d->block_count * d->block_bytes;
	uint64_t size = o->size ? o->size : bytes - o->offset;

	if (o->block_bytes > d->max_bytes)
		return rt_error_set(error, -EINVAL,
				    "the device transfers up to %lu bytes at "
				    "a time, not %lu",
				    d->max_bytes, o->block_bytes);
	if (o->block_bytes % d->block_bytes || o->offset % d->block_bytes)
		return rt_error_set(error, -EINVAL,
				    "--bs and --offset must be multiples of "
				    "the block size, %u",
				    d->block_bytes);
	if (o->offset > bytes || size > bytes - o->offset)
		return rt_error_set(error, -EINVAL,
				    "the area ends after the namespace, which "
				    "has %lu bytes",
				    bytes);
	if (size / o->block_bytes < o->jobs)
		return rt_error_set(error, -EINVAL,
				    "the area has not a block of --bs for "
				    "each job");
	return 0;
}

/* --- Interrupts ----------------------------------------------------------- */

/* Vector 0 is the admin queue's and unused; job i has vector i + 1. */
static int open_events(struct perf_device *d, uint64_t jobs,
		       struct rt_error *error)
{
	unsigned int vectors = 0;
	int rc = host_irq_count(d->fn, VFIO_PCI_MSIX_IRQ_INDEX, &vectors);

	if (rc < 0)
		return say(error, rc, "the number of interrupts");
	if (vectors < jobs + 1)
		return rt_error_set(error, -EINVAL,
				    "the device has %u interrupts: too few for "
				    "that many jobs",
				    vectors);
	d->events = calloc(jobs + 1, sizeof *d->events);
	if (!d->events)
		return say(error, -ENOMEM, "interrupts");
	for (; d->event_count < jobs + 1; d->event_count++) {
		d->events[d->event_count] =
			eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (d->events[d->event_count] < 0)
			return say(error, -errno, "an eventfd");
	}
	rc = host_msix_enable(d->fn, d->events, (unsigned int)d->event_count);
	return say(error, rc, "interrupts");
}

/* --- Queues --------------------------------------------------------------- */

static int open_queues(struct perf_device *d, const struct perf_options *o,
		       struct rt_error *error)
{
	uint32_t wanted = (uint32_t)o->jobs - 1, got = 0;
	int rc = host_nvme_set_feature(d->nvme, NVME_FID_QUEUES,
				       wanted << 16 | wanted, &got);

	if (rc != 0)
		return say(error, rc, "Number of Queues");
	if ((got & 0xffff) < wanted || got >> 16 < wanted)
		return rt_error_set(error, -EINVAL,
				    "the device has not %lu queues for as many "
				    "jobs",
				    o->jobs);
	for (uint16_t qid = 1; qid <= o->jobs && rc == 0; qid++)
		rc = host_nvme_create_pair(d->nvme, qid, d->entries,
					   o->has_interrupts ? qid : -1);
	return say(error, rc, "a queue");
}

static int open_doors(struct perf_device *d, enum host_nvme_doors_kind kind,
		      struct rt_error *error)
{
	int rc = host_nvme_doors_open(d->nvme, kind, &d->doors);

	if (rc == -EOPNOTSUPP)
		return rt_error_set(error, rc,
				    "the device does not offer %s doorbells",
				    host_nvme_doors_name(kind));
	d->has_doors = rc == 0;
	/* As a virtual machine does it: a trapped doorbell awaits no reply. */
	if (rc == 0 && !d->doors.mapped)
		host_set_quirks(d->fn, HOST_POSTED_WRITES);
	return say(error, rc, "doorbells");
}

/* --- Open and close ------------------------------------------------------- */

static int enable(struct perf_device *d, const struct perf_options *o,
		  struct rt_error *error)
{
	const struct host_nvme_options options = { .iova = IOVA,
						   .size = memory_of(o) };
	int rc = host_nvme_open(d->fn, &options, &d->nvme);

	/* Somebody may have left it enabled. */
	if (rc == 0)
		rc = host_nvme_disable(d->nvme);
	if (rc == 0)
		rc = host_nvme_enable(d->nvme);
	return say(error, rc, "the controller cannot be enabled");
}

static int prepare(struct perf_device *d, const struct perf_options *o,
		   struct rt_error *error)
{
	int rc = enable(d, o, error);

	if (rc == 0)
		rc = learn_controller(d, error);
	if (rc == 0)
		rc = learn_namespace(d, (uint32_t)o->nsid, error);
	if (rc == 0)
		rc = check_fit(d, o, error);
	if (rc == 0)
		rc = choose_entries(d, o, error);
	if (rc == 0 && o->has_interrupts)
		rc = open_events(d, o->jobs, error);
	/* Shadow doorbells are told before there are queues to have them. */
	if (rc == 0)
		rc = open_doors(d, o->doors, error);
	return rc < 0 ? rc : open_queues(d, o, error);
}

int perf_device_open(struct perf_device *device,
		     const struct perf_options *options, struct rt_error *error)
{
	int rc;

	*device = (struct perf_device){ 0 };
	rc = host_open(options->address, NULL, &device->fn, error);
	if (rc < 0)
		return rc;
	device->pid = host_peer_pid(device->fn);
	rc = prepare(device, options, error);
	if (rc < 0)
		perf_device_close(device);
	return rc;
}

void perf_device_close(struct perf_device *device)
{
	if (device->nvme && host_poll(device->fn, 0) >= 0)
		(void)host_nvme_disable(device->nvme);
	if (device->has_doors)
		host_nvme_doors_close(&device->doors);
	device->has_doors = false;
	host_nvme_close(&device->nvme);
	host_close(&device->fn);
	while (device->event_count > 0)
		close(device->events[--device->event_count]);
	free(device->events);
	device->events = NULL;
}

int perf_device_check(struct perf_device *device)
{
	int rc;

	pthread_mutex_lock(&device->doors.lock);
	rc = host_poll(device->fn, 0);
	pthread_mutex_unlock(&device->doors.lock);
	return rc < 0 ? rc : 0;
}
