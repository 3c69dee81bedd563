/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A security module on a bench: the real function behind a real server, in a
 * chip of its own directory, and a driver through a socket.  All on one thread:
 * the device runs whenever the host waits.
 */
#ifndef TESTS_FUNCTION_NSM_BENCH_H
#define TESTS_FUNCTION_NSM_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/rt/clock.h"
#include "host-driver/nsm_host.h"
#include "security-chip/nsm/function.h"
#include "tests/unit/security-chip/rig.h"

struct pcie_function;
struct pcie_server;
struct rt_loop;

struct nsm_bench {
	struct rig rig;
	struct rt_clock clock;
	struct rt_loop *loop;
	struct pcie_function *fn;
	struct pcie_server *server;
	struct host_function *host;
	struct host_nsm *nsm;
	/* Of the last request. */
	uint8_t answer[NSM_RESPONSE_BYTES];
	size_t size;
};

/* In steps.  Each fails the test when it cannot be done. */
void nsm_make_card(struct nsm_bench *b, const struct nsm_config *config);
void nsm_connect(struct nsm_bench *b);
/* All of them and the driver; options may be NULL. */
void nsm_start(struct nsm_bench *b, const struct host_nsm_options *options);
void nsm_hang_up(struct nsm_bench *b);
void nsm_stop(struct nsm_bench *b);
/* Let the device run until nothing happens any more. */
void nsm_settle(struct nsm_bench *b);

/* A request of literal bytes; what host_nsm_call() says. */
int nsm_call(struct nsm_bench *b, const void *request, size_t size);
#define NSM_CALL(b, literal) nsm_call(b, literal, sizeof(literal) - 1)
/* The answer is these bytes; begins with them; is an error of that name. */
bool nsm_is(const struct nsm_bench *b, const void *bytes, size_t size);
#define NSM_IS(b, literal) nsm_is(b, literal, sizeof(literal) - 1)
bool nsm_begins(const struct nsm_bench *b, const void *bytes, size_t size);
#define NSM_BEGINS(b, literal) nsm_begins(b, literal, sizeof(literal) - 1)
bool nsm_failed(const struct nsm_bench *b, const char *name);

/* Commands with a number: {"DescribePCR": {"index": n}} and so on. */
int nsm_describe_pcr(struct nsm_bench *b, unsigned int n);
int nsm_extend_pcr(struct nsm_bench *b, unsigned int n, const char *text);
int nsm_lock_pcr(struct nsm_bench *b, unsigned int n);
/* The value that the last DescribePCR told, and its lock. */
const uint8_t *nsm_pcr_value(const struct nsm_bench *b);
bool nsm_pcr_lock(const struct nsm_bench *b);

void nsm_fault(struct nsm_bench *b, const char *name, uint64_t value,
	       uint64_t limit);
void nsm_fault_over(struct nsm_bench *b, const char *name);
/* How often a rule of nsm/rules.def was broken: "NOTIFY_EARLY". */
uint64_t nsm_broken(const struct nsm_bench *b, const char *rule);

#endif
