/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a driver of the security chip's functions must know: the virtio
 * transport over PCI (virtio 1.2, 4.1), its split virtqueue (2.7), and the
 * Nitro Secure Module's use of them.  Numbers and layouts; nothing else.
 */
#ifndef SECURITY_CHIP_ABI_H
#define SECURITY_CHIP_ABI_H

#include <assert.h>

#include "firmware/rt/bits.h"

/* ---- virtio over PCI ---- */

#define VIRTIO_PCI_VENDOR 0x1af4u
/* 4.1.2: 0x1040 and the device's number, which is 33 for the NSM (5). */
#define NSM_VIRTIO_ID     33u
#define NSM_PCI_DEVICE    (0x1040u + NSM_VIRTIO_ID)
#define NSM_PCI_CLASS     0x088000u /* a system peripheral */
#define NSM_PCI_SUBSYSTEM 0x1100u

/* 4.1.4: struct virtio_pci_cap, in a vendor-specific capability. */
enum virtio_pci_cfg_type {
	VIRTIO_PCI_COMMON = 1,
	VIRTIO_PCI_NOTIFY = 2,
	VIRTIO_PCI_ISR = 3,
	VIRTIO_PCI_DEVICE = 4,
	VIRTIO_PCI_WINDOW = 5, /* VIRTIO_PCI_CAP_PCI_CFG */
};
#define VIRTIO_CAP_CFG_TYPE     3u
#define VIRTIO_CAP_BAR          4u
#define VIRTIO_CAP_OFFSET       8u
#define VIRTIO_CAP_LENGTH       12u
#define VIRTIO_CAP_BYTES        16u
#define VIRTIO_CAP_MULTIPLIER   16u /* of notifications only: le32 */
#define VIRTIO_CAP_WINDOW_DATA  16u /* of the window only: 4 bytes */
#define VIRTIO_CAP_LONGER_BYTES 20u

/* 4.1.4.3: struct virtio_pci_common_cfg, as far as no feature adds to it. */
enum virtio_common {
	VIRTIO_DEVICE_FEATURE_SELECT = 0x00,
	VIRTIO_DEVICE_FEATURE = 0x04,
	VIRTIO_DRIVER_FEATURE_SELECT = 0x08,
	VIRTIO_DRIVER_FEATURE = 0x0c,
	VIRTIO_CONFIG_VECTOR = 0x10,
	VIRTIO_NUM_QUEUES = 0x12,
	VIRTIO_DEVICE_STATUS = 0x14,
	VIRTIO_CONFIG_GENERATION = 0x15,
	VIRTIO_QUEUE_SELECT = 0x16,
	VIRTIO_QUEUE_SIZE = 0x18,
	VIRTIO_QUEUE_VECTOR = 0x1a,
	VIRTIO_QUEUE_ENABLE = 0x1c,
	VIRTIO_QUEUE_NOTIFY_OFF = 0x1e,
	VIRTIO_QUEUE_DESC = 0x20,
	VIRTIO_QUEUE_DRIVER = 0x28,
	VIRTIO_QUEUE_DEVICE = 0x30,
	VIRTIO_COMMON_BYTES = 0x38,
};
#define VIRTIO_NO_VECTOR 0xffffu

/* 2.1. */
#define VIRTIO_STATUS_ACKNOWLEDGE 0x01u
#define VIRTIO_STATUS_DRIVER      0x02u
#define VIRTIO_STATUS_DRIVER_OK   0x04u
#define VIRTIO_STATUS_FEATURES_OK 0x08u
#define VIRTIO_STATUS_NEEDS_RESET 0x40u
#define VIRTIO_STATUS_FAILED      0x80u

/* 6. */
#define VIRTIO_F_VERSION_1       32u
#define VIRTIO_F_ACCESS_PLATFORM 33u

/* 4.1.4.5. */
#define VIRTIO_ISR_QUEUE  0x1u
#define VIRTIO_ISR_CONFIG 0x2u

/* 2.7.5: an entry of the descriptor table. */
struct virtio_desc {
	le64 address;
	le32 length;
	le16 flags, next;
};
static_assert(sizeof(struct virtio_desc) == 16, "virtq_desc");
#define VIRTIO_DESC_NEXT     0x1u
#define VIRTIO_DESC_WRITE    0x2u
#define VIRTIO_DESC_INDIRECT 0x4u

/* 2.7.6: what the driver offers; le16 ring[size] follows. */
struct virtio_avail {
	le16 flags, index;
};
#define VIRTIO_AVAIL_NO_INTERRUPT 0x1u

/* 2.7.8: what the device has used; struct virtio_used_entry ring[size]. */
struct virtio_used {
	le16 flags, index;
};
struct virtio_used_entry {
	le32 id, length;
};
static_assert(sizeof(struct virtio_used_entry) == 8, "virtq_used_elem");

/* 2.7: how the parts are aligned. */
#define VIRTIO_DESC_ALIGN  16u
#define VIRTIO_AVAIL_ALIGN 2u
#define VIRTIO_USED_ALIGN  4u

/* ---- the Nitro Secure Module ---- */

/*
 * One queue.  A request is a chain that the device reads, and the chain after
 * it is for the answer: Linux drivers/misc/nsm.c.
 */
#define NSM_QUEUE_ENTRIES  64u
#define NSM_REQUEST_BYTES  4096u
#define NSM_RESPONSE_BYTES 12288u

#define NSM_BAR          0u
#define NSM_BAR_BYTES    0x4000u
#define NSM_ISR          0x1000u
#define NSM_NOTIFY       0x3000u
#define NSM_NOTIFY_BYTES 4u
#define NSM_MSIX_BAR     1u
#define NSM_VECTORS      2u

#define NSM_PCRS       32u
#define NSM_PCR_BYTES  48u   /* SHA-384 */
#define NSM_BOOT_PCRS  16u   /* locked when an instance starts */
#define NSM_DATA_BYTES 1024u /* of user_data, nonce, public_key each */

#endif
