/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator can see of the module. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "security-chip/nsm/nsm.h"

struct text {
	char *at;
	size_t size, length;
};

static void __attribute__((format(printf, 2, 3)))
put(struct text *t, const char *format, ...)
{
	size_t left = t->length < t->size ? t->size - t->length : 0;
	va_list arguments;
	int written;

	va_start(arguments, format);
	written = vsnprintf(left ? t->at + t->length : NULL, left, format,
			    arguments);
	va_end(arguments);
	if (written > 0)
		t->length += (size_t)written;
}

static void put_pcr(struct text *t, const struct nsm *nsm, unsigned int index)
{
	put(t, "%s{\"index\": %u, \"lock\": %s, \"data\": \"",
	    index ? ", " : "", index,
	    nsm_pcr_is_locked(nsm, index) ? "true" : "false");
	for (unsigned int i = 0; i < NSM_PCR_BYTES; i++)
		put(t, "%02x", nsm->state->pcrs[index][i]);
	put(t, "\"}");
}

size_t nsm_describe(struct pcie_function *fn, char *text, size_t size)
{
	const struct nsm *nsm = nsm_of(fn);
	struct text t = { text, size, 0 };

	put(&t, "\"module_id\": \"%s\", \"instance_id\": \"%s\", ",
	    nsm->module_id, nsm->instance_id);
	put(&t, "\"device_status\": %u, \"pcrs\": [",
	    nsm->state->virtio.status);
	for (unsigned int i = 0; i < NSM_PCRS; i++)
		put_pcr(&t, nsm, i);
	put(&t, "]");
	return t.length;
}
