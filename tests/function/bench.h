/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole volume function on a bench: the real device behind the real server,
 * and a host that drives it through a socket.  Both live on one thread: the
 * device runs whenever the host waits, so that every run is the same.
 */
#ifndef TESTS_FUNCTION_BENCH_H
#define TESTS_FUNCTION_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/rt/clock.h"
#include "host-driver/nvme_host.h"

struct pcie_function;
struct pcie_server;
struct rt_loop;

#define BENCH_BLOCK  512u
/* Of a volume in memory unless the test says otherwise. */
#define BENCH_BYTES  UINT64_C(0x800000)
#define BENCH_BLOCKS (BENCH_BYTES / BENCH_BLOCK)

/* A zeroed one: ebs-2, 8 MiB in memory, shared guest memory. */
struct bench_options {
	const char *profile; /* NULL: "ebs-2" */
	const char *file;    /* the volume; NULL: in memory */
	uint64_t memory_size, null_size;
	const char *volume_id; /* NULL: the device's default */
	bool is_read_only;
	bool is_encrypted;         /* also where the profile's are not */
	uint32_t queue_entries;    /* CAP.MQES + 1; 0: the profile's */
	bool has_mapped_doorbells; /* else they come by message */
	unsigned int polling;      /* enum ebs_polling */
	bool is_by_message;
	unsigned int quirks; /* enum host_quirk */
	uint32_t admin_entries;
};

struct bench {
	struct bench_options options;
	struct rt_clock clock; /* the host's until a test makes it virtual */
	struct rt_loop *loop;
	struct pcie_function *fn;
	struct pcie_server *server;
	struct host_function *host;
	struct host_nvme *nvme;
};

/* In steps.  Each fails the test when it cannot be done. */
void bench_make_card(struct bench *b, const struct bench_options *options);
void bench_connect(struct bench *b);
void bench_open_driver(struct bench *b);
/* All of them, the controller enabled and the number of queues asked for. */
void bench_enable(struct bench *b, const struct bench_options *options);
/* And a queue pair 1 of 32 entries without interrupts. */
void bench_start(struct bench *b, const struct bench_options *options);

/* The other way round; every step that was not taken is left out. */
void bench_hang_up(struct bench *b);
void bench_remove_card(struct bench *b);
void bench_stop(struct bench *b);

/* The device's clock jumps ahead, and from now on only so. */
void bench_pass_time(struct bench *b, uint64_t ns);

/* Let the device run until nothing happens any more. */
void bench_settle(struct bench *b);

/* MSI-X Enable in configuration space; eventfds are another matter. */
void bench_enable_msix(struct bench *b);

/* Hold every I/O command until it is aborted or its queue deleted. */
void bench_stall_io(struct bench *b, bool is_on);

/* Pages of the data that a seed stands for. */
void bench_pattern(uint8_t *bytes, size_t size, uint64_t seed);

/* One command through queue pair 1 and back; returns the status. */
int bench_write(struct bench *b, uint64_t lba, const void *bytes,
		uint32_t size);
int bench_read(struct bench *b, uint64_t lba, void *bytes, uint32_t size);

/* An empty file of size bytes in a new place under /tmp; free() the name. */
char *bench_make_file(uint64_t size);

/* "0/0b" for 0x00b, for messages; in one of a few static buffers. */
const char *bench_status_text(int status);

#endif
