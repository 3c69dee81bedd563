/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the rules of a security module are made of: the states in which they
 * find it, its queue, and requests with their answers.  Each rule gets a driver
 * of its own, from finding the device's parts on.
 */
#include "host-driver/probe/nsm.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "firmware/rt/scope.h"

bool probe_is_nsm(const struct probe *p)
{
	return le_load(p->config, 4) ==
	       (VIRTIO_PCI_VENDOR | (uint32_t)NSM_PCI_DEVICE << 16);
}

/* --- The driver ----------------------------------------------------------- */

int nsm_again(struct probe *p, const struct host_nsm_options *options,
	      bool is_begun)
{
	struct host_nsm_options wanted = *options;
	int rc;

	p->bus_error = 0;
	host_nsm_close(&p->nsm);
	probe_config_set(p, PCI_COMMAND, 2,
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	probe_calm_interrupts(p);
	wanted.timeout_ms = p->options.timeout_ms;
	rc = p->bus_error;
	if (!rc)
		rc = host_nsm_attach(p->fn, &wanted, &p->nsm);
	if (!rc && is_begun)
		rc = host_nsm_begin(p->nsm);
	return rc;
}

static int bring_up(struct probe *p, enum probe_need need)
{
	return nsm_again(p, &(struct host_nsm_options){ 0 },
			 need >= PROBE_ADMIN);
}

int probe_nsm_prepare(struct probe *p, enum probe_need need)
{
	int rc;

	if (need == PROBE_BUS)
		return 0;
	rc = bring_up(p, need);
	if (rc != 0 && host_reset(p->fn) == 0)
		rc = bring_up(p, need);
	if (rc != 0 && probe_reopen(p) == 0)
		rc = bring_up(p, need);
	return rc;
}

uint64_t nsm_get(struct probe *p, unsigned int field, unsigned int size)
{
	uint64_t value = 0;
	int rc = host_nsm_get(p->nsm, field, size, &value);

	if (rc < 0 && !p->bus_error)
		p->bus_error = rc;
	return value;
}

void nsm_set(struct probe *p, unsigned int field, unsigned int size,
	     uint64_t value)
{
	int rc = host_nsm_set(p->nsm, field, size, value);

	if (rc < 0 && !p->bus_error)
		p->bus_error = rc;
}

void *nsm_at(struct probe *p, unsigned int offset)
{
	return (uint8_t *)p->nsm->memory.bytes + offset;
}

uint64_t nsm_iova(struct probe *p, unsigned int offset)
{
	return host_memory_iova(&p->nsm->memory, offset);
}

void nsm_put_pair(struct probe *p)
{
	static const char request[] = "\x6b"
				      "DescribeNSM";

	memcpy(nsm_at(p, HOST_NSM_REQUEST), request, sizeof request - 1);
	host_nsm_put_desc(p->nsm, 0, nsm_iova(p, HOST_NSM_REQUEST),
			  sizeof request - 1, 0, 0);
	host_nsm_put_desc(p->nsm, 1, nsm_iova(p, HOST_NSM_RESPONSE),
			  NSM_RESPONSE_BYTES, VIRTIO_DESC_WRITE, 0);
}

void nsm_offer_pair(struct probe *p)
{
	nsm_put_pair(p);
	host_nsm_offer(p->nsm, 0);
	host_nsm_offer(p->nsm, 1);
}

enum probe_verdict nsm_recovers(struct probe *p)
{
	struct cbor body;
	int rc = host_nsm_reset(p->nsm);

	/* What was told before is not the next answer's. */
	(void)host_nsm_interrupted(p->nsm, 0);
	(void)host_nsm_interrupted(p->nsm, 1);
	if (!rc)
		rc = host_nsm_begin(p->nsm);
	if (rc)
		return probe_failed(p, rc, "starting it again");
	return nsm_want_body(p, nsm_ask_bare(p, "DescribeNSM"), "DescribeNSM",
			     &body);
}

/* --- Requests ------------------------------------------------------------- */

int nsm_ask(struct probe *p, const struct cbor_out *request)
{
	p->nsm_size = sizeof p->nsm_answer;
	return host_nsm_call(p->nsm, request->bytes, request->size,
			     p->nsm_answer, &p->nsm_size);
}

int nsm_ask_bare(struct probe *p, const char *command)
{
	struct cbor_out request = { 0 };

	cbor_put_text(&request, command);
	return nsm_ask(p, &request);
}

int nsm_ask_number(struct probe *p, const char *command, const char *argument,
		   uint64_t number, const char *data)
{
	struct cbor_out request = { 0 };

	cbor_put(&request, CBOR_MAP, 1);
	cbor_put_text(&request, command);
	cbor_put(&request, CBOR_MAP, data ? 2 : 1);
	cbor_put_text(&request, argument);
	cbor_put(&request, CBOR_UINT, number);
	if (data) {
		cbor_put_text(&request, "data");
		cbor_put_bytes(&request, data, strlen(data));
	}
	return nsm_ask(p, &request);
}

/* The answer, if it is one item and nothing else. */
static bool take_answer(struct probe *p, struct cbor *out)
{
	const uint8_t *at = p->nsm_answer, *end = at + p->nsm_size;

	return cbor_take(&at, end, out) && at == end;
}

/* What an answer is that should have been another. */
static enum probe_verdict complain(struct probe *p, const char *wanted)
{
	struct cbor answer, text;

	if (!take_answer(p, &answer))
		return probe_broken(p, "the answer of %zu bytes is no CBOR",
				    p->nsm_size);
	if (cbor_find(&answer, "Error", CBOR_TEXT, &text))
		return probe_broken(p, "error %.*s, where %s should be",
				    (int)(text.value < 31 ? text.value : 31),
				    text.inner, wanted);
	return probe_broken(p, "another answer, where %s should be", wanted);
}

enum probe_verdict nsm_want_body(struct probe *p, int rc, const char *command,
				 struct cbor *body)
{
	struct cbor answer;

	if (rc)
		return probe_failed(p, rc, command);
	return take_answer(p, &answer) && answer.value == 1 &&
			       cbor_find(&answer, command, CBOR_MAP, body)
		       ? PROBE_HOLDS
		       : complain(p, command);
}

enum probe_verdict nsm_want_done(struct probe *p, int rc, const char *command)
{
	struct cbor answer;

	if (rc)
		return probe_failed(p, rc, command);
	return take_answer(p, &answer) && cbor_is_text(&answer, command)
		       ? PROBE_HOLDS
		       : complain(p, command);
}

enum probe_verdict nsm_want_error(struct probe *p, int rc, const char *name)
{
	struct cbor answer, text;

	if (rc)
		return probe_failed(p, rc, "a request");
	return take_answer(p, &answer) && answer.value == 1 &&
			       cbor_find(&answer, "Error", CBOR_TEXT, &text) &&
			       (!name || cbor_is_text(&text, name))
		       ? PROBE_HOLDS
		       : complain(p, name ? name : "an error");
}

/* --- Registers ------------------------------------------------------------ */

enum probe_verdict nsm_pcr_get(struct probe *p, unsigned int index,
			       struct nsm_pcr *out)
{
	struct cbor body, lock, data;
	int rc = nsm_ask_number(p, "DescribePCR", "index", index, NULL);

	NSM_TRY(nsm_want_body(p, rc, "DescribePCR", &body));
	if (!cbor_find(&body, "lock", CBOR_SIMPLE, &lock) ||
	    (lock.value != CBOR_TRUE && lock.value != CBOR_FALSE))
		return probe_broken(p, "PCR %u has no lock", index);
	if (!cbor_find(&body, "data", CBOR_BYTES, &data) ||
	    data.value != NSM_PCR_BYTES)
		return probe_broken(p, "PCR %u has no value of %u bytes", index,
				    NSM_PCR_BYTES);
	out->is_locked = lock.value == CBOR_TRUE;
	memcpy(out->value, data.inner, NSM_PCR_BYTES);
	return PROBE_HOLDS;
}

enum probe_verdict nsm_pcr_free(struct probe *p, unsigned int *out)
{
	static const uint8_t zero[NSM_PCR_BYTES];
	struct nsm_pcr pcr;

	for (*out = 0; *out < NSM_PCRS; ++*out) {
		NSM_TRY(nsm_pcr_get(p, *out, &pcr));
		if (!pcr.is_locked && !memcmp(pcr.value, zero, sizeof zero))
			return PROBE_HOLDS;
	}
	return probe_skip(p, "no PCR is free any more in this instance");
}

/* --- Survey --------------------------------------------------------------- */

void probe_nsm_survey(struct probe *p)
{
	struct cbor body, id;

	if (probe_nsm_prepare(p, PROBE_ADMIN))
		return;
	p->nsm_features = p->nsm->features;
	p->nsm_entries = p->nsm->entries;
	if (nsm_want_body(p, nsm_ask_bare(p, "DescribeNSM"), "DescribeNSM",
			  &body) == PROBE_HOLDS &&
	    cbor_find(&body, "module_id", CBOR_TEXT, &id) &&
	    id.value < sizeof p->nsm_module)
		memcpy(p->nsm_module, id.inner, id.value);
}
