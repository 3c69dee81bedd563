/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The checks of a document, one after the other.  What needs no more than that
 * it could be read is checked even if others have failed, so that an author
 * sees all that is wrong at once.
 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "security-chip/verify/state.h"

void verify_detail(struct verification *v, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(v->check->detail, sizeof v->check->detail, format, args);
	va_end(args);
}

const char *verify_who(const struct verification *v, size_t i, char *out,
		       size_t room)
{
	if (i + 1 == v->count)
		return "the leaf";
	snprintf(out, room, "certificate %zu of the bundle", i + 1);
	return out;
}

static bool is_same(struct nitro_attest_bytes a, struct nitro_attest_bytes b)
{
	return a.data && a.size == b.size &&
	       !CRYPTO_memcmp(a.data, b.data, a.size);
}

static enum nitro_attest_result check_nonce(struct verification *v)
{
	if (!v->document.nonce.data)
		verify_detail(v, "the document has none");
	return is_same(v->document.nonce, v->wanted->nonce)
		       ? NITRO_ATTEST_GOOD
		       : NITRO_ATTEST_NONCE;
}

static enum nitro_attest_result check_user_data(struct verification *v)
{
	if (!v->document.user_data.data)
		verify_detail(v, "the document has none");
	return is_same(v->document.user_data, v->wanted->user_data)
		       ? NITRO_ATTEST_GOOD
		       : NITRO_ATTEST_USER_DATA;
}

static enum nitro_attest_result check_pcr(struct verification *v,
					  unsigned int i)
{
	bool is_tpm = v->document.is_tpm;

	if (is_tpm != v->wanted->is_tpm) {
		verify_detail(v, "PCR %u; the document has those of %s", i,
			      is_tpm ? "a NitroTPM" : "an enclave");
		return NITRO_ATTEST_PCR_ABSENT;
	}
	if (is_same(v->document.pcr[i], v->wanted->pcr[i]))
		return NITRO_ATTEST_GOOD;
	verify_detail(v, "PCR %u", i);
	return v->document.pcr[i].data ? NITRO_ATTEST_PCR
				       : NITRO_ATTEST_PCR_ABSENT;
}

static enum nitro_attest_result check_pcrs(struct verification *v)
{
	enum nitro_attest_result result = NITRO_ATTEST_GOOD;

	for (unsigned int i = 0; i < NITRO_ATTEST_PCRS && !result; i++)
		if (v->wanted->pcr[i].data)
			result = check_pcr(v, i);
	return result;
}

static bool wants_pcrs(const struct nitro_attest_expectation *wanted)
{
	for (unsigned int i = 0; i < NITRO_ATTEST_PCRS; i++)
		if (wanted->pcr[i].data)
			return true;
	return false;
}

enum {
	FORM,
	CERTIFICATES,
	ROOT,
	CHAIN,
	VALIDITY,
	SIGNATURE,
	NONCE,
	USER,
	PCRS
};

static const struct {
	const char *name;
	enum nitro_attest_result (*run)(struct verification *v);
} checks[NITRO_ATTEST_CHECKS] = {
	[FORM] = { "form", NULL },
	[CERTIFICATES] = { "certificates", verify_certificates },
	[ROOT] = { "root", verify_root },
	[CHAIN] = { "chain", verify_chain },
	[VALIDITY] = { "validity", verify_validity },
	[SIGNATURE] = { "signature", verify_signature },
	[NONCE] = { "nonce", check_nonce },
	[USER] = { "user-data", check_user_data },
	[PCRS] = { "pcrs", check_pcrs },
};

static bool is_due(const struct verification *v,
		   const struct nitro_attest_report *report, unsigned int i)
{
	const struct nitro_attest_expectation *wanted = v->wanted;

	if (report->check[FORM].verdict != NITRO_ATTEST_HOLDS)
		return false;
	if (i == NONCE)
		return wanted->nonce.data;
	if (i == USER)
		return wanted->user_data.data;
	if (i == PCRS)
		return wants_pcrs(wanted);
	return i == CERTIFICATES ||
	       report->check[CERTIFICATES].verdict == NITRO_ATTEST_HOLDS;
}

static void judge(struct nitro_attest_check *check,
		  enum nitro_attest_result result)
{
	check->result = result;
	check->verdict = result ? NITRO_ATTEST_FAILS : NITRO_ATTEST_HOLDS;
}

static enum nitro_attest_result run_checks(struct verification *v,
					   struct nitro_attest_report *report)
{
	enum nitro_attest_result first = report->check[FORM].result;

	for (unsigned int i = CERTIFICATES; i < NITRO_ATTEST_CHECKS; i++) {
		v->check = &report->check[i];
		v->check->name = checks[i].name;
		if (!is_due(v, report, i))
			continue;
		judge(v->check, checks[i].run(v));
		first = first ? first : v->check->result;
	}
	return first;
}

enum nitro_attest_result
nitro_attest_verify(const uint8_t *document, size_t size,
		    const struct nitro_attest_expectation *expectation,
		    struct nitro_attest_document *out,
		    struct nitro_attest_report *report)
{
	struct verification v = { .wanted = expectation };
	struct nitro_attest_report own;
	struct nitro_attest_check *form;
	enum nitro_attest_result result;

	report = report ? report : &own;
	memset(report, 0, sizeof *report);
	form = &report->check[FORM];
	form->name = checks[FORM].name;
	/* What the library complains of is ours to tell, and not the caller's
	 * to find in its queue. */
	ERR_set_mark();
	judge(form, nitro_attest_read(document, size, &v.document, form->detail,
				      sizeof form->detail));
	result = run_checks(&v, report);
	verify_release(&v);
	ERR_pop_to_mark();
	if (out)
		*out = v.document;
	return result;
}
