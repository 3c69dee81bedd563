/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A chain of descriptors (virtio 1.2, 2.7.4, 2.7.5), entry by entry.  What is
 * readable comes first; a chain is no longer than the queue, which is how loops
 * are found; nothing is taken that was not negotiated.
 */
#include "security-chip/nsm/virtio.h"

void virtio_chain_begin(struct virtio_chain *chain, uint16_t head)
{
	*chain = (struct virtio_chain){ .head = head,
					.next = head,
					.has_next = true };
}

static bool flags_are_known(uint16_t flags)
{
	return !(flags & ~(VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE));
}

static void add_range(struct virtio_chain *chain,
		      const struct virtio_desc *desc)
{
	uint64_t length = le32_get(desc->length);

	chain->ranges[chain->count++] =
		(struct pcie_dma_range){ le64_get(desc->address), length };
	if (le16_get(desc->flags) & VIRTIO_DESC_WRITE) {
		chain->writable_bytes += length;
	} else {
		chain->readable++;
		chain->readable_bytes += length;
	}
}

bool virtio_chain_add(struct virtio_queue *q, struct virtio_chain *chain,
		      const struct virtio_desc *desc)
{
	struct virtio_device *device = q->device;
	uint16_t flags = le16_get(desc->flags);

	if (!flags_are_known(flags)) {
		virtio_fail(device, NSM_RULE_DESC_FLAGS, flags);
		return false;
	}
	if (chain->readable < chain->count && !(flags & VIRTIO_DESC_WRITE)) {
		virtio_fail(device, NSM_RULE_CHAIN_ORDER, chain->head);
		return false;
	}
	if (chain->count >= device->state->queue.size) {
		virtio_fail(device, NSM_RULE_DESC_LOOP, chain->head);
		return false;
	}
	add_range(chain, desc);
	chain->has_next = flags & VIRTIO_DESC_NEXT;
	chain->next = le16_get(desc->next);
	return true;
}
