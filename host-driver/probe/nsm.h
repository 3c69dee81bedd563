/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the rules of a Nitro Secure Module are made of: its driver in the state
 * that a rule needs, requests in CBOR, and what is found in answers.  Shares
 * nothing with a device but its numbers.
 */
#ifndef HOST_DRIVER_PROBE_NSM_H
#define HOST_DRIVER_PROBE_NSM_H

#include "firmware/rt/bits.h"
#include "host-driver/probe/probe.h"

/* run.c's, for a module. */
bool probe_is_nsm(const struct probe *p);
int probe_nsm_prepare(struct probe *p, enum probe_need need);
void probe_nsm_survey(struct probe *p);

/* ---- nsm.c: the driver ---- */

/* The driver from the beginning, and up to DRIVER_OK if it is begun. */
int nsm_again(struct probe *p, const struct host_nsm_options *options,
	      bool is_begun);
/* Fields of the common configuration; what fails breaks the rule. */
uint64_t nsm_get(struct probe *p, unsigned int field, unsigned int size);
void nsm_set(struct probe *p, unsigned int field, unsigned int size,
	     uint64_t value);
/* A byte of the driver's memory, and its address for the device. */
void *nsm_at(struct probe *p, unsigned int offset);
uint64_t nsm_iova(struct probe *p, unsigned int offset);
/* The request "DescribeNSM" and the room for its answer, in two chains of a
 * descriptor each; and the same offered. */
void nsm_put_pair(struct probe *p);
void nsm_offer_pair(struct probe *p);
/* The verdict on a module after whatever was done to it: a reset brings it
 * back. */
enum probe_verdict nsm_recovers(struct probe *p);

/* ---- nsm_device.c ---- */

/* A function level reset; -EOPNOTSUPP: there is none. */
int nsm_flr(struct probe *p);

/* ---- nsm_cbor.c ---- */

enum cbor_major {
	CBOR_UINT = 0,
	CBOR_BYTES = 2,
	CBOR_TEXT = 3,
	CBOR_ARRAY = 4,
	CBOR_MAP = 5,
	CBOR_TAG = 6,
	CBOR_SIMPLE = 7,
};
#define CBOR_FALSE 20u
#define CBOR_TRUE  21u
#define CBOR_NULL  22u

struct cbor {
	unsigned int major;
	uint64_t value;       /* or its length, or how many items or pairs */
	const uint8_t *inner; /* the string, or the first of its items */
	const uint8_t *end;   /* of all that there is */
};

/* The item at *at, which is then behind it and all in it; false: none. */
bool cbor_take(const uint8_t **at, const uint8_t *end, struct cbor *out);
/* All items until the end are whole, and each head is as short as can be. */
bool cbor_is_canonical(const uint8_t *at, const uint8_t *end);
bool cbor_is_text(const struct cbor *item, const char *text);
/* The value of a name in a map, of this kind; false: there is none. */
bool cbor_find(const struct cbor *map, const char *name, enum cbor_major major,
	       struct cbor *out);
/* The value of a number in a map of byte strings. */
bool cbor_find_number(const struct cbor *map, uint64_t number,
		      struct cbor *out);

struct cbor_out {
	size_t size;
	uint8_t bytes[8192];
};
void cbor_put(struct cbor_out *out, enum cbor_major major, uint64_t value);
void cbor_put_text(struct cbor_out *out, const char *text);
void cbor_put_bytes(struct cbor_out *out, const void *bytes, size_t size);

/* ---- nsm.c: requests ---- */

#define NSM_NO_NUMBER UINT64_MAX

/* Ask, and keep the answer; what host_nsm_call() says. */
int nsm_ask(struct probe *p, const struct cbor_out *request);
/* A command without arguments. */
int nsm_ask_bare(struct probe *p, const char *command);
/* With a number, and "data" of that text if it is not NULL. */
int nsm_ask_number(struct probe *p, const char *command, const char *argument,
		   uint64_t number, const char *data);
/* Holds if the answer is {command: {…}}, which goes to *body. */
enum probe_verdict nsm_want_body(struct probe *p, int rc, const char *command,
				 struct cbor *body);
/* Holds if it is the command's name. */
enum probe_verdict nsm_want_done(struct probe *p, int rc, const char *command);
/* Holds if it is {"Error": name}; NULL: any. */
enum probe_verdict nsm_want_error(struct probe *p, int rc, const char *name);

/* A register as DescribePCR tells it. */
struct nsm_pcr {
	bool is_locked;
	uint8_t value[NSM_PCR_BYTES];
};
enum probe_verdict nsm_pcr_get(struct probe *p, unsigned int index,
			       struct nsm_pcr *out);
/* The first one of zeroes that is not locked; skips the rule without one. */
enum probe_verdict nsm_pcr_free(struct probe *p, unsigned int *out);

/* Ends the rule unless it holds so far. */
#define NSM_TRY(verdict)                                                       \
	do {                                                                   \
		enum probe_verdict tried = (verdict);                          \
		if (tried != PROBE_HOLDS)                                      \
			return tried;                                          \
	} while (0)

#endif
