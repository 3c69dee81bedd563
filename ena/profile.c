/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of NIC generations.  nitro-v4, the default, offers all that any
 * driver knows; the others are what drivers find on older and newer hardware,
 * as far as drivers' sources and reports tell.
 */
#include "ena/profile.h"

#define FEATURE(name)    (uint32_t) BIT(ENA_ADMIN_##name)
#define CAPABILITY(name) (uint32_t) BIT(ENA_ADMIN_##name)
#define GROUP(name)      (uint32_t) BIT(ENA_ADMIN_AENQ_##name)

/* What no driver can do without. */
#define BASIC                                                                  \
	(FEATURE(DEVICE_ATTRIBUTES) | FEATURE(STATELESS_OFFLOAD_CONFIG) |      \
	 FEATURE(RSS_INDIRECTION_TABLE_CONFIG) | FEATURE(AENQ_CONFIG) |        \
	 FEATURE(HOST_ATTR_CONFIG))
#define NITRO                                                                  \
	(BASIC | FEATURE(HW_HINTS) | FEATURE(LLQ) | FEATURE(MAX_QUEUES_EXT) |  \
	 FEATURE(MTU) | FEATURE(RSS_HASH_INPUT) |                              \
	 FEATURE(INTERRUPT_MODERATION) | FEATURE(LINK_CONFIG))
#define NITRO_LATER                                                            \
	(NITRO | FEATURE(RSS_HASH_FUNCTION) | FEATURE(FRAG_BYPASS) |           \
	 FEATURE(PHC_CONFIG) | FEATURE(FLOW_STEERING_CONFIG) |                 \
	 FEATURE(HW_TIMESTAMP))

#define XEN_GROUPS                                                             \
	(GROUP(LINK_CHANGE) | GROUP(FATAL_ERROR) | GROUP(WARNING) |            \
	 GROUP(NOTIFICATION) | GROUP(KEEP_ALIVE))
#define ALL_GROUPS                                                             \
	(XEN_GROUPS | GROUP(CONF_NOTIFICATIONS) | GROUP(DEVICE_REQUEST_RESET))

#define ALL_CAPABILITIES                                                       \
	(CAPABILITY(ENI_STATS) | CAPABILITY(ENA_SRD_INFO) |                    \
	 CAPABILITY(CUSTOMER_METRICS) | CAPABILITY(EXTENDED_RESET_REASONS) |   \
	 CAPABILITY(CDESC_MBZ))

/*
 * A packet of 17 descriptors is what all drivers can make and take; a header of
 * 224 bytes is what an LLQ entry of 256 has room for.
 */
#define COMMON                                                                 \
	.max_mtu = 9216, .packet_descs = 17, .max_header_bytes = 224,          \
	.tx_offloads = 0xff, .rx_offloads = 0xf
/* A clock read that is answered by message takes tens of microseconds. */
#define PHC .phc_expire_us = 1000, .phc_block_us = 2000

const struct ena_profile ena_profiles[ENA_PROFILES] = {
	[ENA_PROFILE_NITRO_V3] = {
		COMMON,
		.name = "nitro-v3",
		.features = NITRO,
		.capabilities = CAPABILITY(ENI_STATS),
		.aenq_groups = XEN_GROUPS,
		.pairs = 8,
		.tx_depth = 1024,
		.rx_depth = 8192,
		.llq_bytes = 1u << 20,
		.llq_depth = 1024,
		.llq_sizes = ENA_ADMIN_LLQ_ENTRY_128B,
		.llq_descs = 2,
		.llq_strides = ENA_ADMIN_MULTIPLE_DESCS_PER_ENTRY,
		.llq_recommended = ENA_ADMIN_LLQ_ENTRY_128B,
		.has_fixed_key = true,
	},
	[ENA_PROFILE_NITRO_V4] = {
		COMMON,
		PHC,
		.name = "nitro-v4",
		.features = NITRO_LATER,
		.capabilities = ALL_CAPABILITIES,
		.aenq_groups = ALL_GROUPS,
		.pairs = 32,
		.tx_depth = 1024,
		.rx_depth = 8192,
		.llq_bytes = 4u << 20,
		.llq_depth = 1024,
		.llq_wide_depth = 512,
		.llq_sizes = ENA_ADMIN_LLQ_ENTRY_128B |
			     ENA_ADMIN_LLQ_ENTRY_256B,
		.llq_descs = 1 | 2 | 4,
		.llq_strides = ENA_ADMIN_SINGLE_DESC_PER_ENTRY |
			       ENA_ADMIN_MULTIPLE_DESCS_PER_ENTRY,
		.llq_accel = ENA_ADMIN_LLQ_ACCEL_NO_META_CACHING,
		.llq_recommended = ENA_ADMIN_LLQ_ENTRY_128B,
		.flows = 128,
	},
	[ENA_PROFILE_NITRO_V5] = {
		COMMON,
		PHC,
		.name = "nitro-v5",
		.features = NITRO_LATER,
		.capabilities = ALL_CAPABILITIES,
		.aenq_groups = ALL_GROUPS,
		.pairs = 32,
		.tx_depth = 1024,
		.rx_depth = 16384,
		.llq_bytes = 8u << 20,
		.llq_depth = 1024,
		.llq_wide_depth = 1024,
		.llq_sizes = ENA_ADMIN_LLQ_ENTRY_128B |
			     ENA_ADMIN_LLQ_ENTRY_256B,
		.llq_descs = 2,
		.llq_strides = ENA_ADMIN_MULTIPLE_DESCS_PER_ENTRY,
		.llq_accel = ENA_ADMIN_LLQ_ACCEL_NO_META_CACHING,
		.llq_recommended = ENA_ADMIN_LLQ_ENTRY_256B,
		.must_llq = true,
		.flows = 128,
	},
	[ENA_PROFILE_XEN] = {
		COMMON,
		.name = "xen",
		.features = BASIC | FEATURE(MAX_QUEUES_NUM) |
			    FEATURE(HW_HINTS) | FEATURE(MTU),
		.aenq_groups = XEN_GROUPS,
		.pairs = 8,
		.tx_depth = 1024,
		.rx_depth = 1024,
		.has_fixed_key = true,
	},
	[ENA_PROFILE_MINIMAL] = {
		COMMON,
		.name = "minimal",
		.features = BASIC | FEATURE(MAX_QUEUES_NUM),
		.aenq_groups = GROUP(LINK_CHANGE) | GROUP(KEEP_ALIVE),
		.pairs = 2,
		.tx_depth = 256,
		.rx_depth = 256,
		.has_fixed_key = true,
	},
};

const char *const ena_profile_names[ENA_PROFILES + 1] = {
	[ENA_PROFILE_NITRO_V3] = "nitro-v3",
	[ENA_PROFILE_NITRO_V4] = "nitro-v4",
	[ENA_PROFILE_NITRO_V5] = "nitro-v5",
	[ENA_PROFILE_XEN] = "xen",
	[ENA_PROFILE_MINIMAL] = "minimal",
};
