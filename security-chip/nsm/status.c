/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator can see of the module. */
#include "firmware/rt/text.h"
#include "security-chip/nsm/nsm.h"

static void put_pcr(struct rt_text *t, const struct nsm *nsm,
		    unsigned int index)
{
	rt_text_put(t, "%s{\"index\": %u, \"lock\": %s, \"data\": \"",
		    index ? ", " : "", index,
		    nsm_pcr_is_locked(nsm, index) ? "true" : "false");
	for (unsigned int i = 0; i < NSM_PCR_BYTES; i++)
		rt_text_put(t, "%02x", nsm->state->pcrs[index][i]);
	rt_text_put(t, "\"}");
}

size_t nsm_describe(struct pcie_function *fn, char *text, size_t size)
{
	const struct nsm *nsm = nsm_of(fn);
	struct rt_text t = { text, size, 0 };

	rt_text_put(&t, "\"module_id\": \"%s\", \"instance_id\": \"%s\", ",
		    nsm->module_id, nsm->instance_id);
	rt_text_put(&t, "\"device_status\": %u, \"pcrs\": [",
		    nsm->state->virtio.status);
	for (unsigned int i = 0; i < NSM_PCRS; i++)
		put_pcr(&t, nsm, i);
	rt_text_put(&t, "]");
	return t.length;
}
