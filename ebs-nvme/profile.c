/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of controller generations.  EBS firmware "1.0" and "2.0", and the
 * three generations of instance-store disks, as dumps of EC2 instances show
 * them; where no dump is public, what fits the rest was chosen (marked: ours).
 * nvme-1 is no copy of anything: what Amazon's firmware does not offer, for
 * guests that need not believe they are on EC2.
 */
#include "ebs-nvme/profile.h"

#include "ebs-nvme/abi.h"

#define EBS_MODEL   "Amazon Elastic Block Store"
#define LOCAL_MODEL "Amazon EC2 NVMe Instance Storage"
#define LOCAL_NQN   "nqn.2008-08.com.amazon.aws:ec2-nvme-instance:"
/* A0:02:DC, stored the wrong way round; 40:B4:CD, stored the right one. */
#define EBS_IEEE                                                               \
	{                                                                      \
		0xa0, 0x02, 0xdc                                               \
	}
#define LOCAL_IEEE                                                             \
	{                                                                      \
		0xcd, 0xb4, 0x40                                               \
	}

/* What all EBS controllers share, and what all local disks share. */
#define EBS_COMMON                                                             \
	.msix_bar = 0, .msix_table_offset = 0x2000, /* ours */                 \
		.msix_pba_offset = 0x3000,          /* ours */                 \
		.msix_vectors = 3, .queue_pairs = 2, .queue_entries = 64,      \
	.model = EBS_MODEL, EBS_VOLUME

/* What nvme-1 has of them, too. */
#define EBS_VOLUME                                                             \
	.device = EBS_PCI_DEVICE, .device_metal = EBS_PCI_DEVICE_METAL,        \
	.ssvid = EBS_PCI_VENDOR, .serial_prefix = "vol", .ieee = EBS_IEEE,     \
	.rab = 32, .mdts = 6, .acl = 4, .aerl = 0, .frmw = 0x03, .elpe = 0,    \
	.npss = 1, .avscc = 1,                                                 \
	.oaes = NVME_OAES_NAMESPACE, /* ours: resizing is noticed */           \
		.has_write_cache = true, .max_power_cw = 1,                    \
	.power_latency_us = 1000000, .has_vendor_area = true, .npwg_0s = 7,    \
	.nows_0s = 7, .torn_write_unit_0s = 31,                                \
	.torn_write_granularity_0s = 7, .torn_write_boundary_0s = 31,          \
	.stats_magic = EBS_STATS_MAGIC, .stats_version = 0

#define LOCAL_COMMON                                                           \
	.device = EBS_PCI_DEVICE_LOCAL,                                        \
	.device_metal = EBS_PCI_DEVICE_LOCAL_METAL, .msix_bar = 2,             \
	.msix_table_offset = 0, .msix_pba_offset = 0x1000, .msix_vectors = 65, \
	.queue_entries = 128, .serial_prefix = "AWS", .model = LOCAL_MODEL,    \
	.firmware = "0", .ieee = LOCAL_IEEE, .mdts = 5, .acl = 3, .aerl = 4,   \
	.frmw = 0x03, .elpe = 63, .oncs = NVME_ONCS_DSM,                       \
	.torn_write_granularity_0s = 7, .stats_magic = EBS_STATS_MAGIC_LOCAL,  \
	.stats_version = 1, .has_size_classes = true, .draws_keys = true

const struct ebs_profile ebs_profiles[EBS_PROFILES] = {
	[EBS_PROFILE_EBS_1] = {
		EBS_COMMON,
		.name = "ebs-1",
		.firmware = "1.0",
		.version = NVME_VERSION(1, 1), /* ours: older than VER */
		.lpa = 0,
		.namespace_id = EBS_ID_NONE,
		.nsfeat = NVME_NSFEAT_OPTPERF,
	},
	[EBS_PROFILE_EBS_2] = {
		EBS_COMMON,
		.name = "ebs-2",
		.firmware = "2.0",
		.version = NVME_VERSION(1, 4),
		.ver = NVME_VERSION(1, 4),
		.subnqn = "nqn:2008-08.com.amazon.aws:ebs:",
		.lpa = NVME_LPA_EXTENDED, /* ours */
		.can_abort = true,
		.namespace_id = EBS_ID_UUID,
		.nsfeat = NVME_NSFEAT_OPTPERF | NVME_NSFEAT_ATOMICS,
		.nawupf_0s = 31, /* ours: torn-write prevention's 16 KiB */
	},
	[EBS_PROFILE_IS_1] = {
		LOCAL_COMMON,
		.name = "is-1",
		.queue_pairs = 31,
		.version = NVME_VERSION(1, 1), /* ours */
		.lpa = 0,
		.namespace_id = EBS_ID_NONE,
		.torn_write_unit_0s = 7,
		.torn_write_boundary_0s = 7,
	},
	[EBS_PROFILE_IS_2] = {
		LOCAL_COMMON,
		.name = "is-2",
		.queue_pairs = 64,
		.version = NVME_VERSION(1, 4), /* ours */
		.ver = NVME_VERSION(1, 4),
		.subnqn = LOCAL_NQN,
		.lpa = NVME_LPA_EXTENDED, /* ours */
		.can_abort = true,
		.namespace_id = EBS_ID_NONE,
		.torn_write_unit_0s = 31,
		.torn_write_boundary_0s = 31,
	},
	[EBS_PROFILE_IS_3] = {
		LOCAL_COMMON,
		.name = "is-3",
		.has_wide_bar = true,
		.subsystem_metal = EBS_PCI_DEVICE_LOCAL_METAL,
		.queue_pairs = 64,
		.version = NVME_VERSION(1, 4), /* ours */
		.ver = NVME_VERSION(1, 4),
		.subnqn = LOCAL_NQN,
		.lpa = NVME_LPA_EXTENDED, /* ours */
		.can_abort = true,
		.namespace_id = EBS_ID_NGUID,
		.torn_write_unit_0s = 31,
		.torn_write_boundary_0s = 31,
	},
	[EBS_PROFILE_NVME_1] = {
		EBS_VOLUME,
		.name = "nvme-1",
		.msix_bar = 4,
		.msix_table_offset = 0,
		.msix_pba_offset = 0x1000,
		.msix_vectors = 65,
		.queue_pairs = 64,
		.queue_entries = 1024,
		.model = "nitro-card NVMe",
		.firmware = "1.0",
		.version = NVME_VERSION(1, 4),
		.ver = NVME_VERSION(1, 4),
		.subnqn = "nqn.2026-11.card.nitro:nvme:",
		.lpa = NVME_LPA_EXTENDED,
		.oncs = NVME_ONCS_DSM,
		.has_shadow_doorbells = true,
		.can_abort = true,
		.namespace_id = EBS_ID_UUID,
		.nsfeat = NVME_NSFEAT_OPTPERF | NVME_NSFEAT_ATOMICS,
		.nawupf_0s = 31,
	},
};

const char *const ebs_profile_names[EBS_PROFILES + 1] = {
	[EBS_PROFILE_EBS_1] = "ebs-1", [EBS_PROFILE_EBS_2] = "ebs-2",
	[EBS_PROFILE_IS_1] = "is-1",   [EBS_PROFILE_IS_2] = "is-2",
	[EBS_PROFILE_IS_3] = "is-3",   [EBS_PROFILE_NVME_1] = "nvme-1",
};
