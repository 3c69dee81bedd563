/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as an attestation document.  It is checked under the root that it
 * brings itself, at the time that it names, so that those of the corpus are
 * good and what differs from them by little comes far.
 */
#include <stdlib.h>

#include "security-chip/verify/nitro-attest.h"
#include "tests/fuzz/input.h"

/* What a compiler may not leave out. */
static volatile unsigned int touched;

#define FAR_S INT64_C(4000000000)

static bool all_hold(const struct nitro_attest_report *report)
{
	for (size_t i = 0; i < NITRO_ATTEST_CHECKS; i++)
		if (report->check[i].verdict == NITRO_ATTEST_FAILS)
			return false;
	return true;
}

/* Every byte that the document is said to have is there. */
static unsigned int touch(struct nitro_attest_bytes bytes)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < bytes.size; i++)
		sum += bytes.data[i];
	return sum;
}

static unsigned int touch_all(const struct nitro_attest_document *document)
{
	unsigned int sum = touch(document->module_id) +
			   touch(document->certificate) +
			   touch(document->public_key) +
			   touch(document->user_data) + touch(document->nonce);

	for (size_t i = 0; i < NITRO_ATTEST_PCRS; i++)
		sum += touch(document->pcr[i]);
	for (size_t i = 0; i < document->cabundle_count; i++)
		sum += touch(document->cabundle[i]);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nitro_attest_expectation wanted = { 0 };
	struct nitro_attest_document document;
	struct nitro_attest_report report;
	enum nitro_attest_result result;
	char detail[64];

	if (nitro_attest_read(data, size, &document, detail, sizeof detail))
		wanted.root = (struct nitro_attest_bytes){ data, size };
	else
		wanted.root = document.cabundle[0];
	touched = touch_all(&document);
	if (document.timestamp_ms / 1000 < FAR_S)
		wanted.time_s = (int64_t)(document.timestamp_ms / 1000);
	wanted.pcr[0] = document.pcr[0];
	wanted.nonce = document.nonce;
	result = nitro_attest_verify(data, size, &wanted, NULL, &report);
	if (!result != all_hold(&report) || !nitro_attest_sentence(result)[0])
		abort();
	return 0;
}
