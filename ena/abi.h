/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a driver of the network function must know: registers, admin commands,
 * events, descriptors and completions of the Elastic Network Adapter.
 * Definitions only.  There is no public specification; names are those of the
 * Linux driver, and clauses those of its header files:
 *
 *   R  ena_regs_defs.h    A  ena_admin_defs.h    E  ena_eth_io_defs.h
 */
#ifndef ENA_ABI_H
#define ENA_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/bits.h"

/* PCI identity. */
#define ENA_PCI_VENDOR 0x1d0f
#define ENA_PCI_DEVICE 0xec20 /* VF: the one that every driver knows */
#define ENA_PCI_CLASS  0x020000

#define ENA_REGS_BAR 0 /* registers and doorbells */
#define ENA_MEM_BAR  2 /* LLQ memory */

/* ---- Registers, R ---- */

#define ENA_REGS_VERSION              0x00
#define ENA_REGS_CONTROLLER_VERSION   0x04
#define ENA_REGS_CAPS                 0x08
#define ENA_REGS_CAPS_EXT             0x0c
#define ENA_REGS_AQ_BASE_LO           0x10
#define ENA_REGS_AQ_BASE_HI           0x14
#define ENA_REGS_AQ_CAPS              0x18
#define ENA_REGS_ACQ_BASE_LO          0x20
#define ENA_REGS_ACQ_BASE_HI          0x24
#define ENA_REGS_ACQ_CAPS             0x28
#define ENA_REGS_AQ_DB                0x2c
#define ENA_REGS_ACQ_TAIL             0x30
#define ENA_REGS_AENQ_CAPS            0x34
#define ENA_REGS_AENQ_BASE_LO         0x38
#define ENA_REGS_AENQ_BASE_HI         0x3c
#define ENA_REGS_AENQ_HEAD_DB         0x40
#define ENA_REGS_AENQ_TAIL            0x44
#define ENA_REGS_INTR_MASK            0x4c
#define ENA_REGS_DEV_CTL              0x54
#define ENA_REGS_DEV_STS              0x58
#define ENA_REGS_MMIO_REG_READ        0x5c
#define ENA_REGS_MMIO_RESP_LO         0x60
#define ENA_REGS_MMIO_RESP_HI         0x64
#define ENA_REGS_RSS_IND_ENTRY_UPDATE 0x68
#define ENA_REGS_PHC_DB               0x100

#define ENA_REGS_VERSION_MINOR BITS(7, 0)
#define ENA_REGS_VERSION_MAJOR BITS(15, 8)

#define ENA_REGS_CONTROLLER_SUBMINOR BITS(7, 0)
#define ENA_REGS_CONTROLLER_MINOR    BITS(15, 8)
#define ENA_REGS_CONTROLLER_MAJOR    BITS(23, 16)
#define ENA_REGS_CONTROLLER_IMPL     BITS(31, 24)

#define ENA_REGS_CAPS_CONTIGUOUS   BITS(0, 0)
#define ENA_REGS_CAPS_RESET_TO     BITS(5, 1) /* units of 100 ms */
#define ENA_REGS_CAPS_DMA_WIDTH    BITS(15, 8)
#define ENA_REGS_CAPS_ADMIN_CMD_TO BITS(19, 16) /* 100 ms; 0: 3 s */

#define ENA_REGS_QUEUE_DEPTH      BITS(15, 0) /* AQ, ACQ and AENQ_CAPS */
#define ENA_REGS_QUEUE_ENTRY_SIZE BITS(31, 16)

#define ENA_REGS_INTR_MASK_MGMT BITS(0, 0)

#define ENA_REGS_DEV_CTL_DEV_RESET  BITS(0, 0)
#define ENA_REGS_DEV_CTL_AQ_RESTART BITS(1, 1)
#define ENA_REGS_DEV_CTL_QUIESCENT  BITS(2, 2)
#define ENA_REGS_DEV_CTL_IO_RESUME  BITS(3, 3)
#define ENA_REGS_DEV_CTL_REASON_EXT BITS(27, 24) /* bits 7:4 */
#define ENA_REGS_DEV_CTL_REASON     BITS(31, 28) /* bits 3:0 */

#define ENA_REGS_DEV_STS_READY             BITS(0, 0)
#define ENA_REGS_DEV_STS_RESET_IN_PROGRESS BITS(3, 3)
#define ENA_REGS_DEV_STS_RESET_FINISHED    BITS(4, 4)
#define ENA_REGS_DEV_STS_FATAL_ERROR       BITS(5, 5)

#define ENA_REGS_MMIO_REG_READ_REQ_ID BITS(15, 0)
#define ENA_REGS_MMIO_REG_READ_OFF    BITS(31, 16)

enum ena_regs_reset_reason {
	ENA_REGS_RESET_NORMAL = 0,
	ENA_REGS_RESET_KEEP_ALIVE_TO = 1,
	ENA_REGS_RESET_ADMIN_TO = 2,
	ENA_REGS_RESET_MISS_TX_CMPL = 3,
	ENA_REGS_RESET_INV_RX_REQ_ID = 4,
	ENA_REGS_RESET_INV_TX_REQ_ID = 5,
	ENA_REGS_RESET_TOO_MANY_RX_DESCS = 6,
	ENA_REGS_RESET_INIT_ERR = 7,
	ENA_REGS_RESET_DRIVER_INVALID_STATE = 8,
	ENA_REGS_RESET_OS_TRIGGER = 9,
	ENA_REGS_RESET_OS_NETDEV_WD = 10,
	ENA_REGS_RESET_SHUTDOWN = 11,
	ENA_REGS_RESET_USER_TRIGGER = 12,
	ENA_REGS_RESET_GENERIC = 13,
	ENA_REGS_RESET_MISS_INTERRUPT = 14,
	ENA_REGS_RESET_SUSPECTED_POLL_STARVATION = 15,
	ENA_REGS_RESET_RX_DESCRIPTOR_MALFORMED = 16,
	ENA_REGS_RESET_TX_DESCRIPTOR_MALFORMED = 17,
	ENA_REGS_RESET_MISSING_ADMIN_INTERRUPT = 18,
	ENA_REGS_RESET_DEVICE_REQUEST = 19,
	ENA_REGS_RESET_MISS_FIRST_INTERRUPT = 20,
	ENA_REGS_RESET_REASONS,
};

/* Answer to a register read by DMA, A; written whole, req_id last. */
struct ena_admin_mmio_resp {
	le16 req_id;
	le16 reg_off;
	le32 reg_val;
};
static_assert(sizeof(struct ena_admin_mmio_resp) == 8, "readless response");

/* ---- Admin queue, A ---- */

#define ENA_ADMIN_COMMAND_ID BITS(11, 0)

#define ENA_ADMIN_FLAGS_PHASE         BITS(0, 0)
#define ENA_ADMIN_FLAGS_CTRL_DATA     BITS(1, 1)
#define ENA_ADMIN_FLAGS_CTRL_INDIRECT BITS(2, 2) /* and yet it is direct */

enum ena_admin_opcode {
	ENA_ADMIN_CREATE_SQ = 1,
	ENA_ADMIN_DESTROY_SQ = 2,
	ENA_ADMIN_CREATE_CQ = 3,
	ENA_ADMIN_DESTROY_CQ = 4,
	ENA_ADMIN_GET_FEATURE = 8,
	ENA_ADMIN_SET_FEATURE = 9,
	ENA_ADMIN_GET_STATS = 11,
};

enum ena_admin_status {
	ENA_ADMIN_SUCCESS = 0,
	ENA_ADMIN_RESOURCE_ALLOCATION_FAILURE = 1,
	ENA_ADMIN_BAD_OPCODE = 2,
	ENA_ADMIN_UNSUPPORTED_OPCODE = 3, /* "the device has no such thing" */
	ENA_ADMIN_MALFORMED_REQUEST = 4,
	ENA_ADMIN_ILLEGAL_PARAMETER = 5,
	ENA_ADMIN_UNKNOWN_ERROR = 6,
	ENA_ADMIN_RESOURCE_BUSY = 7,
};

enum ena_admin_feature {
	ENA_ADMIN_DEVICE_ATTRIBUTES = 1,
	ENA_ADMIN_MAX_QUEUES_NUM = 2,
	ENA_ADMIN_HW_HINTS = 3,
	ENA_ADMIN_LLQ = 4,
	ENA_ADMIN_MAX_QUEUES_EXT = 7,
	ENA_ADMIN_FRAG_BYPASS = 8,
	ENA_ADMIN_RSS_HASH_FUNCTION = 10,
	ENA_ADMIN_STATELESS_OFFLOAD_CONFIG = 11,
	ENA_ADMIN_RSS_INDIRECTION_TABLE_CONFIG = 12,
	ENA_ADMIN_MTU = 14,
	ENA_ADMIN_RSS_HASH_INPUT = 18,
	ENA_ADMIN_INTERRUPT_MODERATION = 20,
	ENA_ADMIN_AENQ_CONFIG = 26,
	ENA_ADMIN_LINK_CONFIG = 27,
	ENA_ADMIN_HOST_ATTR_CONFIG = 28,
	ENA_ADMIN_PHC_CONFIG = 29,
	ENA_ADMIN_FLOW_STEERING_CONFIG = 30,
	ENA_ADMIN_HW_TIMESTAMP = 31,
	ENA_ADMIN_FEATURES = 32,
};

#define ENA_ADMIN_ENTRY_BYTES 64u /* of AQ, ACQ and AENQ alike */

/* Where a command's buffer is: one piece, whatever the flags say. */
struct ena_admin_ctrl_buff {
	le32 length;
	le32 address_lo;
	le16 address_hi;
	le16 reserved;
};

/* An admin submission as it stands; what follows depends on the opcode. */
struct ena_admin_aq_entry {
	le16 command_id;
	uint8_t opcode;
	uint8_t flags;
	uint8_t body[60];
};
static_assert(sizeof(struct ena_admin_aq_entry) == 64, "admin submission");

struct ena_admin_acq_entry {
	le16 command_id;
	uint8_t status;
	uint8_t flags; /* ENA_ADMIN_FLAGS_PHASE */
	le16 extended_status;
	le16 sq_head_indx;
	uint8_t body[56];
};
static_assert(sizeof(struct ena_admin_acq_entry) == 64, "admin completion");

/* Bodies of submissions and completions. */

struct ena_admin_create_cq { /* of a submission */
	uint8_t caps_1;      /* ENA_ADMIN_CQ_INTERRUPT */
	uint8_t caps_2;      /* ENA_ADMIN_CQ_ENTRY_WORDS */
	le16 depth;
	le32 msix_vector; /* ENA_ADMIN_NO_VECTOR: none */
	le32 base_lo;
	le16 base_hi;
	le16 reserved;
};
#define ENA_ADMIN_CQ_INTERRUPT   BITS(5, 5)
#define ENA_ADMIN_CQ_ENTRY_WORDS BITS(4, 0) /* of 32 bits: 2, 4 or 8 */
#define ENA_ADMIN_NO_VECTOR      0xffffffffu

struct ena_admin_create_cq_resp {
	le16 cq_idx;
	le16 actual_depth;
	le32 numa_node_register_offset; /* in BAR 0; 0: none */
	le32 head_db_register_offset;   /* 0: none */
	le32 interrupt_unmask_register_offset;
};

struct ena_admin_create_sq {
	uint8_t identity; /* ENA_ADMIN_SQ_DIRECTION */
	uint8_t reserved;
	uint8_t caps_2; /* ENA_ADMIN_SQ_PLACEMENT and _POLICY */
	uint8_t caps_3; /* ENA_ADMIN_SQ_CONTIGUOUS */
	le16 cq_idx;
	le16 depth; /* descriptors, or LLQ entries */
	le32 base_lo;
	le16 base_hi;
	le16 base_reserved;
	le32 head_writeback_lo;
	le16 head_writeback_hi;
	le16 head_writeback_reserved;
};
#define ENA_ADMIN_SQ_DIRECTION     BITS(7, 5)
#define ENA_ADMIN_SQ_DIRECTION_TX  1u
#define ENA_ADMIN_SQ_DIRECTION_RX  2u
#define ENA_ADMIN_SQ_PLACEMENT     BITS(3, 0)
#define ENA_ADMIN_PLACEMENT_HOST   1u
#define ENA_ADMIN_PLACEMENT_DEVICE 3u /* LLQ */
#define ENA_ADMIN_SQ_POLICY        BITS(6, 4)
#define ENA_ADMIN_SQ_CONTIGUOUS    BITS(0, 0)

struct ena_admin_create_sq_resp {
	le16 sq_idx;
	le16 reserved;
	le32 doorbell_offset;        /* in BAR 0 */
	le32 llq_descriptors_offset; /* in BAR 2 */
	le32 llq_headers_offset;
};

struct ena_admin_destroy_sq {
	le16 sq_idx;
	uint8_t identity; /* ENA_ADMIN_SQ_DIRECTION */
	uint8_t reserved;
};

struct ena_admin_destroy_cq {
	le16 cq_idx;
	le16 reserved;
};

/* What GET_FEATURE and SET_FEATURE have in common, after the header. */
struct ena_admin_feature_cmd {
	struct ena_admin_ctrl_buff buffer;
	uint8_t flags; /* 1:0: select 1 current, 3 default; drivers send 0 */
	uint8_t feature_id;
	uint8_t feature_version;
	uint8_t reserved;
	uint8_t payload[44]; /* of SET; that of GET is the completion's body */
};
static_assert(sizeof(struct ena_admin_feature_cmd) == 60, "feature command");

struct ena_admin_device_attr {
	le32 impl_id;
	le32 device_version;
	le32 supported_features; /* bit n: feature n */
	le32 capabilities;       /* bit n: enum ena_admin_capability */
	le32 phys_addr_width;
	le32 virt_addr_width;
	uint8_t mac_addr[6];
	le16 flow_steering_max_entries;
	le32 max_mtu; /* without the Ethernet header */
};
static_assert(sizeof(struct ena_admin_device_attr) == 36, "device attributes");

enum ena_admin_capability {
	ENA_ADMIN_ENI_STATS = 0,
	ENA_ADMIN_ENA_SRD_INFO = 1,
	ENA_ADMIN_CUSTOMER_METRICS = 2,
	ENA_ADMIN_EXTENDED_RESET_REASONS = 3,
	ENA_ADMIN_CDESC_MBZ = 4,
};

struct ena_admin_max_queues { /* feature 2 */
	le32 max_sq_num, max_sq_depth;
	le32 max_cq_num, max_cq_depth;
	le32 max_legacy_llq_num, max_legacy_llq_depth;
	le32 max_header_size;
	le16 max_packet_tx_descs, max_packet_rx_descs;
};
static_assert(sizeof(struct ena_admin_max_queues) == 32, "max queues");

struct ena_admin_max_queues_ext { /* feature 7 */
	uint8_t version;          /* 1 */
	uint8_t reserved[3];
	le32 max_tx_sq_num, max_tx_cq_num, max_rx_sq_num, max_rx_cq_num;
	le32 max_tx_sq_depth, max_tx_cq_depth;
	le32 max_rx_sq_depth, max_rx_cq_depth;
	le32 max_tx_header_size; /* bytes, at most 255 */
	le16 max_per_packet_tx_descs, max_per_packet_rx_descs;
};
static_assert(sizeof(struct ena_admin_max_queues_ext) == 44, "max queues ext");

struct ena_admin_hw_hints { /* in ms; 0: the driver's own, 0xffff: never */
	le16 mmio_read_timeout;
	le16 driver_watchdog_timeout;
	le16 missing_tx_completion_timeout;
	le16 missed_tx_completion_count_threshold_to_reset; /* a count */
	le16 admin_completion_tx_timeout;
	le16 netdev_wd_timeout;
	le16 max_tx_sgl_size, max_rx_sgl_size;
	le16 reserved[8];
};
static_assert(sizeof(struct ena_admin_hw_hints) == 32, "hints");

struct ena_admin_llq {
	le32 max_llq_num, max_llq_depth;
	le16 header_location_supported, header_location_enabled;
	le16 entry_size_supported, entry_size_enabled;
	le16 descs_before_header_supported, descs_before_header_enabled;
	le16 stride_supported, stride_enabled;
	uint8_t feature_version;
	uint8_t entry_size_recommended;
	le16 max_wide_llq_depth; /* of 256-byte entries; 0: half of depth */
	le16 accel_flags;        /* ENA_ADMIN_LLQ_ACCEL_* */
	le16 max_tx_burst_size;  /* bytes; GET only */
	le32 reserved;
};
static_assert(sizeof(struct ena_admin_llq) == 36, "LLQ feature");
#define ENA_ADMIN_INLINE_HEADER             BIT(0)
#define ENA_ADMIN_HEADER_RING               BIT(1)
#define ENA_ADMIN_LLQ_ENTRY_128B            BIT(0)
#define ENA_ADMIN_LLQ_ENTRY_192B            BIT(1)
#define ENA_ADMIN_LLQ_ENTRY_256B            BIT(2)
#define ENA_ADMIN_SINGLE_DESC_PER_ENTRY     BIT(0)
#define ENA_ADMIN_MULTIPLE_DESCS_PER_ENTRY  BIT(1)
#define ENA_ADMIN_LLQ_ACCEL_NO_META_CACHING BIT(0)
#define ENA_ADMIN_LLQ_ACCEL_LIMIT_TX_BURST  BIT(1)
/* descs_before_header: the bit's value is the number: 1, 2, 4 or 8. */

struct ena_admin_frag_bypass {
	uint8_t enable;
	uint8_t reserved[3];
};

struct ena_admin_rss_hash_function {
	le32 supported_func, selected_func; /* BIT(enum ena_admin_hash) */
	le32 init_val;
};
enum ena_admin_hash {
	ENA_ADMIN_TOEPLITZ = 1,
	ENA_ADMIN_CRC32 = 2,
};
#define ENA_ADMIN_RSS_KEY_WORDS 10u
#define ENA_ADMIN_RSS_KEY_BYTES 40u
struct ena_admin_rss_hash_key { /* the buffer of feature 10 */
	le32 key_parts;
	le32 reserved;
	uint8_t key[ENA_ADMIN_RSS_KEY_BYTES]; /* used last byte first */
};
static_assert(sizeof(struct ena_admin_rss_hash_key) == 48, "RSS key");

struct ena_admin_rss_hash_input {
	le16 supported_input_sort, enabled_input_sort;
};
#define ENA_ADMIN_RSS_SORT_L3 BITS(1, 1)
#define ENA_ADMIN_RSS_SORT_L4 BITS(2, 2)

enum ena_admin_flow_hash_proto {
	ENA_ADMIN_RSS_TCP4 = 0,
	ENA_ADMIN_RSS_UDP4 = 1,
	ENA_ADMIN_RSS_TCP6 = 2,
	ENA_ADMIN_RSS_UDP6 = 3,
	ENA_ADMIN_RSS_IP4 = 4,
	ENA_ADMIN_RSS_IP6 = 5,
	ENA_ADMIN_RSS_IP4_FRAG = 6,
	ENA_ADMIN_RSS_NOT_IP = 7,
	ENA_ADMIN_RSS_TCP6_EX = 8,
	ENA_ADMIN_RSS_IP6_EX = 9,
	ENA_ADMIN_RSS_PROTOS = 16,
};
#define ENA_ADMIN_RSS_L2_DA BITS(0, 0)
#define ENA_ADMIN_RSS_L2_SA BITS(1, 1)
#define ENA_ADMIN_RSS_L3_DA BITS(2, 2)
#define ENA_ADMIN_RSS_L3_SA BITS(3, 3)
#define ENA_ADMIN_RSS_L4_DP BITS(4, 4)
#define ENA_ADMIN_RSS_L4_SP BITS(5, 5)
struct ena_admin_proto_input {
	le16 fields;
	le16 reserved;
};
struct ena_admin_rss_hash_control { /* the buffer of feature 18 */
	struct ena_admin_proto_input supported[ENA_ADMIN_RSS_PROTOS];
	struct ena_admin_proto_input selected[ENA_ADMIN_RSS_PROTOS];
	struct ena_admin_proto_input reserved[2 * ENA_ADMIN_RSS_PROTOS];
};
static_assert(sizeof(struct ena_admin_rss_hash_control) == 256,
	      "RSS hash control");

struct ena_admin_rss_ind_table_entry {
	le16 cq_idx; /* and yet it is the index of an RX submission queue */
	le16 reserved;
};
struct ena_admin_rss_ind_table {
	le16 min_size, max_size, size; /* log2 of entries */
	uint8_t flags;                 /* bit 0: one entry may be set */
	uint8_t reserved;
	le32 inline_index; /* ENA_ADMIN_RSS_WHOLE_TABLE: in the buffer */
	struct ena_admin_rss_ind_table_entry inline_entry;
};
static_assert(sizeof(struct ena_admin_rss_ind_table) == 16, "RSS table");
#define ENA_ADMIN_RSS_WHOLE_TABLE 0xffffffffu

struct ena_admin_offload {
	le32 tx, rx_supported, rx_enabled;
};
#define ENA_ADMIN_TX_L3_CSUM_IPV4      BIT(0)
#define ENA_ADMIN_TX_L4_IPV4_CSUM_PART BIT(1)
#define ENA_ADMIN_TX_L4_IPV4_CSUM_FULL BIT(2)
#define ENA_ADMIN_TX_L4_IPV6_CSUM_PART BIT(3)
#define ENA_ADMIN_TX_L4_IPV6_CSUM_FULL BIT(4)
#define ENA_ADMIN_TX_TSO_IPV4          BIT(5)
#define ENA_ADMIN_TX_TSO_IPV6          BIT(6)
#define ENA_ADMIN_TX_TSO_ECN           BIT(7)
#define ENA_ADMIN_RX_L3_CSUM_IPV4      BIT(0)
#define ENA_ADMIN_RX_L4_IPV4_CSUM      BIT(1)
#define ENA_ADMIN_RX_L4_IPV6_CSUM      BIT(2)
#define ENA_ADMIN_RX_HASH              BIT(3)

struct ena_admin_mtu {
	le32 mtu;
};

struct ena_admin_intr_moderation {
	le16 intr_delay_resolution; /* us */
	le16 reserved;
};

struct ena_admin_aenq_config {
	le32 supported_groups, enabled_groups; /* BIT(enum ena_admin_aenq) */
};

struct ena_admin_link {
	le32 speed;     /* Mb/s */
	le32 supported; /* BIT(enum ena_admin_link_type) */
	le32 flags;
};
#define ENA_ADMIN_LINK_AUTONEG BIT(0)
#define ENA_ADMIN_LINK_DUPLEX  BIT(1)
enum ena_admin_link_type {
	ENA_ADMIN_LINK_1G,
	ENA_ADMIN_LINK_2_5G,
	ENA_ADMIN_LINK_5G,
	ENA_ADMIN_LINK_10G,
	ENA_ADMIN_LINK_25G,
	ENA_ADMIN_LINK_40G,
	ENA_ADMIN_LINK_50G,
	ENA_ADMIN_LINK_100G,
	ENA_ADMIN_LINK_200G,
	ENA_ADMIN_LINK_400G,
};

/* Words of 64 bits stand at multiples of 4 bytes in commands. */
#define ENA_ADMIN_IN_COMMAND __attribute__((packed, aligned(4)))

struct ena_admin_host_attr {
	le64 os_info_ba;
	le64 debug_ba;
	le32 debug_area_size;
} ENA_ADMIN_IN_COMMAND;
static_assert(sizeof(struct ena_admin_host_attr) == 20, "host attributes");

struct ena_admin_host_info { /* a page of the driver's memory */
	le32 os_type;        /* enum ena_admin_os */
	char os_dist_str[128];
	le32 os_dist;
	char kernel_ver_str[32];
	le32 kernel_ver;
	le32 driver_version;
	le32 supported_network_features[2];
	le16 ena_spec_version;
	le16 bdf;
	le16 num_cpus;
	le16 reserved;
	le32 driver_supported_features; /* ENA_ADMIN_DRIVER_* */
};
static_assert(sizeof(struct ena_admin_host_info) == 196, "host info");
enum ena_admin_os {
	ENA_ADMIN_OS_LINUX = 1,
	ENA_ADMIN_OS_WINDOWS = 2,
	ENA_ADMIN_OS_DPDK = 3,
	ENA_ADMIN_OS_FREEBSD = 4,
	ENA_ADMIN_OS_IPXE = 5,
	ENA_ADMIN_OS_ESXI = 6,
};
#define ENA_ADMIN_DRIVER_RX_OFFSET            BIT(1)
#define ENA_ADMIN_DRIVER_INTERRUPT_MODERATION BIT(2)
#define ENA_ADMIN_DRIVER_RX_BUF_MIRRORING     BIT(3)
#define ENA_ADMIN_DRIVER_RSS_CONFIGURABLE     BIT(4)
#define ENA_ADMIN_DRIVER_RX_PAGE_REUSE        BIT(6)
#define ENA_ADMIN_DRIVER_TX_IPV6_CSUM         BIT(7)
#define ENA_ADMIN_DRIVER_PHC                  BIT(8)
#define ENA_ADMIN_DRIVER_EXTENDED_DEBUG       BIT(9)

struct ena_admin_phc_config {
	uint8_t version; /* 0: by DMA */
	uint8_t reserved[3];
	le32 doorbell_offset;
	le32 expire_timeout_usec;
	le32 block_timeout_usec;
	le64 output_address;
	le32 output_length;
} ENA_ADMIN_IN_COMMAND;
static_assert(sizeof(struct ena_admin_phc_config) == 28, "PHC feature");
struct ena_admin_phc_resp { /* req_id last */
	le16 req_id;
	uint8_t reserved1[6];
	le64 timestamp; /* ns */
	uint8_t reserved2[8];
	le32 error_bound; /* ns */
	le32 error_flags; /* ENA_ADMIN_PHC_ERROR_* */
	uint8_t reserved3[32];
};
static_assert(sizeof(struct ena_admin_phc_resp) == 64, "PHC response");
#define ENA_ADMIN_PHC_ERROR_TIMESTAMP BITS(0, 0)
#define ENA_ADMIN_PHC_ERROR_BOUND     BITS(1, 1)

struct ena_admin_hw_timestamp {
	uint8_t version; /* 1 */
	uint8_t tx, rx;  /* 0 none, 1 all */
};

struct ena_admin_flow_steering { /* SET's payload */
	uint8_t action;          /* enum ena_admin_flow_action */
	uint8_t type;            /* enum ena_admin_flow_type */
	le16 rx_q_idx;           /* the ordinal of a receive ring */
	le16 rule_location;
	le16 reserved;
	le32 flags;
};
enum ena_admin_flow_action {
	ENA_ADMIN_FLOW_ADD = 1,
	ENA_ADMIN_FLOW_REMOVE = 2,
	ENA_ADMIN_FLOW_REMOVE_ALL = 3,
};
enum ena_admin_flow_type {
	ENA_ADMIN_FLOW_IPV4 = 1,
	ENA_ADMIN_FLOW_IPV6 = 2,
	ENA_ADMIN_FLOW_IPV4_TCP = 3,
	ENA_ADMIN_FLOW_IPV6_TCP = 4,
	ENA_ADMIN_FLOW_IPV4_UDP = 5,
	ENA_ADMIN_FLOW_IPV6_UDP = 6,
};
#define ENA_ADMIN_FLOW_ANYWHERE                                                \
	0xffffu              /* rule_location: the device's choice             \
			      */
struct ena_admin_flow_rule { /* the buffer of feature 30 */
	uint8_t dst_ip[16], dst_ip_mask[16]; /* IPv4 in the first four */
	uint8_t src_ip[16], src_ip_mask[16];
	le16 dst_port, dst_port_mask, src_port, src_port_mask;
	uint8_t tos, tos_mask;
	uint8_t reserved[54];
};
static_assert(sizeof(struct ena_admin_flow_rule) == 128, "flow rule");

enum ena_admin_stats_type {
	ENA_ADMIN_STATS_BASIC = 0,
	ENA_ADMIN_STATS_EXTENDED = 1,
	ENA_ADMIN_STATS_ENI = 2,
	ENA_ADMIN_STATS_SRD = 3,
	ENA_ADMIN_STATS_CUSTOMER_METRICS = 4,
};
struct ena_admin_get_stats {
	struct ena_admin_ctrl_buff buffer;
	uint8_t type;  /* enum ena_admin_stats_type */
	uint8_t scope; /* nobody fills these three in as they are meant */
	le16 reserved;
	le16 queue_idx;
	le16 device_id;
	le64 requested_metrics; /* bit n: enum ena_admin_customer_metric */
} ENA_ADMIN_IN_COMMAND;
static_assert(offsetof(struct ena_admin_get_stats, requested_metrics) == 20,
	      "statistics command");
struct ena_admin_basic_stats {
	le64 tx_bytes, tx_pkts, rx_bytes, rx_pkts;
	le64 rx_drops, tx_drops, rx_overruns;
};
struct ena_admin_eni_stats {
	le64 bw_in_allowance_exceeded, bw_out_allowance_exceeded;
	le64 pps_allowance_exceeded, conntrack_allowance_exceeded;
	le64 linklocal_allowance_exceeded;
};
struct ena_admin_srd_stats {
	le64 flags; /* ENA_ADMIN_SRD_* */
	le64 tx_pkts, eligible_tx_pkts, rx_pkts, resource_utilization;
};
#define ENA_ADMIN_SRD_ENABLED             BIT(0)
#define ENA_ADMIN_SRD_UDP_ENABLED         BIT(1)
#define ENA_ADMIN_SRD_UDP_ORDERING_BYPASS BIT(2)
enum ena_admin_customer_metric {
	ENA_ADMIN_BW_IN_ALLOWANCE_EXCEEDED,
	ENA_ADMIN_BW_OUT_ALLOWANCE_EXCEEDED,
	ENA_ADMIN_PPS_ALLOWANCE_EXCEEDED,
	ENA_ADMIN_CONNTRACK_ALLOWANCE_EXCEEDED,
	ENA_ADMIN_LINKLOCAL_ALLOWANCE_EXCEEDED,
	ENA_ADMIN_CONNTRACK_ALLOWANCE_AVAILABLE,
	ENA_ADMIN_CUSTOMER_METRICS_COUNT,
};

/* ---- Asynchronous events, A ---- */

enum ena_admin_aenq {
	ENA_ADMIN_AENQ_LINK_CHANGE = 0,
	ENA_ADMIN_AENQ_FATAL_ERROR = 1,
	ENA_ADMIN_AENQ_WARNING = 2,
	ENA_ADMIN_AENQ_NOTIFICATION = 3,
	ENA_ADMIN_AENQ_KEEP_ALIVE = 4,
	ENA_ADMIN_AENQ_REFRESH_CAPABILITIES = 5,
	ENA_ADMIN_AENQ_CONF_NOTIFICATIONS = 6,
	ENA_ADMIN_AENQ_DEVICE_REQUEST_RESET = 7,
	ENA_ADMIN_AENQ_GROUPS,
};
#define ENA_ADMIN_AENQ_UPDATE_HINTS 2 /* syndrome of a notification */
struct ena_admin_aenq_entry {
	le16 group;
	le16 syndrome;
	uint8_t flags; /* ENA_ADMIN_FLAGS_PHASE */
	uint8_t reserved[3];
	le32 timestamp_lo, timestamp_hi;
	uint8_t payload[48];
};
static_assert(sizeof(struct ena_admin_aenq_entry) == 64, "event");
struct ena_admin_aenq_link_change {
	le32 flags;
};
#define ENA_ADMIN_AENQ_LINK_UP BITS(0, 0)
struct ena_admin_aenq_keep_alive {
	le64 rx_drops, tx_drops, rx_overruns;
};
struct ena_admin_aenq_conf_notifications {
	le64 notifications; /* bit n: code n + 1 */
};

/* ---- I/O queues, E ---- */

#define ENA_ETH_IO_L3_PROTO_UNKNOWN 0u
#define ENA_ETH_IO_L3_PROTO_IPV4    8u
#define ENA_ETH_IO_L3_PROTO_IPV6    11u
#define ENA_ETH_IO_L4_PROTO_UNKNOWN 0u
#define ENA_ETH_IO_L4_PROTO_TCP     12u
#define ENA_ETH_IO_L4_PROTO_UDP     13u

struct ena_eth_io_tx_desc {
	le32 len_ctrl;
	le32 meta_ctrl;
	le32 buff_addr_lo;
	le32 buff_addr_hi_hdr_sz;
};
static_assert(sizeof(struct ena_eth_io_tx_desc) == 16, "TX descriptor");
/* len_ctrl */
#define ENA_ETH_IO_TX_DESC_LENGTH          BITS(15, 0)
#define ENA_ETH_IO_TX_DESC_REQ_ID_HI       BITS(21, 16)
#define ENA_ETH_IO_TX_DESC_META_DESC       BITS(23, 23)
#define ENA_ETH_IO_TX_DESC_PHASE           BITS(24, 24)
#define ENA_ETH_IO_TX_DESC_FIRST           BITS(26, 26)
#define ENA_ETH_IO_TX_DESC_LAST            BITS(27, 27)
#define ENA_ETH_IO_TX_DESC_COMP_REQ        BITS(28, 28)
/* meta_ctrl, of a packet's first data descriptor */
#define ENA_ETH_IO_TX_DESC_L3_PROTO_IDX    BITS(3, 0)
#define ENA_ETH_IO_TX_DESC_DF              BITS(4, 4)
#define ENA_ETH_IO_TX_DESC_TSO_EN          BITS(7, 7)
#define ENA_ETH_IO_TX_DESC_L4_PROTO_IDX    BITS(12, 8)
#define ENA_ETH_IO_TX_DESC_L3_CSUM_EN      BITS(13, 13)
#define ENA_ETH_IO_TX_DESC_L4_CSUM_EN      BITS(14, 14)
#define ENA_ETH_IO_TX_DESC_FCS_DIS         BITS(15, 15)
#define ENA_ETH_IO_TX_DESC_L4_CSUM_PARTIAL BITS(17, 17)
#define ENA_ETH_IO_TX_DESC_REQ_ID_LO       BITS(31, 22)
/* buff_addr_hi_hdr_sz */
#define ENA_ETH_IO_TX_DESC_ADDR_HI         BITS(15, 0)
#define ENA_ETH_IO_TX_DESC_HEADER_LENGTH   BITS(31, 24)

struct ena_eth_io_tx_meta_desc {
	le32 len_ctrl;
	le32 word1;
	le32 word2;
	le32 reserved;
};
static_assert(sizeof(struct ena_eth_io_tx_meta_desc) == 16, "TX meta");
/* len_ctrl; META_DESC, PHASE, FIRST as above */
#define ENA_ETH_IO_TX_META_EXT_VALID  BITS(14, 14)
#define ENA_ETH_IO_TX_META_MSS_HI     BITS(19, 16)
#define ENA_ETH_IO_TX_META_TYPE       BITS(20, 20) /* 1: extended */
#define ENA_ETH_IO_TX_META_STORE      BITS(21, 21)
/* word2 */
#define ENA_ETH_IO_TX_META_L3_HDR_LEN BITS(7, 0)
#define ENA_ETH_IO_TX_META_L3_HDR_OFF BITS(15, 8)
#define ENA_ETH_IO_TX_META_L4_HDR_LEN BITS(21, 16) /* words of 32 bits */
#define ENA_ETH_IO_TX_META_MSS_LO     BITS(31, 22)

struct ena_eth_io_tx_cdesc {
	le16 req_id;
	uint8_t status;
	uint8_t flags;
	le16 sub_qid;
	le16 sq_head_idx;
};
static_assert(sizeof(struct ena_eth_io_tx_cdesc) == 8, "TX completion");
#define ENA_ETH_IO_TX_CDESC_PHASE BITS(0, 0)
#define ENA_ETH_IO_TX_CDESC_MBZ   BITS(7, 6)
struct ena_eth_io_tx_cdesc_ext {
	struct ena_eth_io_tx_cdesc base;
	le32 timestamp_lo, timestamp_hi; /* ns */
};
static_assert(sizeof(struct ena_eth_io_tx_cdesc_ext) == 16, "TX completion");

struct ena_eth_io_rx_desc {
	le16 length; /* 0: 65536 */
	uint8_t reserved;
	uint8_t ctrl;
	le16 req_id;
	le16 reserved2;
	le32 buff_addr_lo;
	le16 buff_addr_hi;
	le16 reserved3;
};
static_assert(sizeof(struct ena_eth_io_rx_desc) == 16, "RX descriptor");
#define ENA_ETH_IO_RX_DESC_PHASE    BITS(0, 0)
#define ENA_ETH_IO_RX_DESC_FIRST    BITS(2, 2)
#define ENA_ETH_IO_RX_DESC_LAST     BITS(3, 3)
#define ENA_ETH_IO_RX_DESC_COMP_REQ BITS(4, 4)

struct ena_eth_io_rx_cdesc {
	le32 status;
	le16 length;
	le16 req_id;
	le32 hash;
	le16 sub_qid;
	uint8_t offset;
	uint8_t reserved;
};
static_assert(sizeof(struct ena_eth_io_rx_cdesc) == 16, "RX completion");
#define ENA_ETH_IO_RX_CDESC_L3_PROTO_IDX    BITS(4, 0)
#define ENA_ETH_IO_RX_CDESC_SRC_VLAN_CNT    BITS(6, 5)
#define ENA_ETH_IO_RX_CDESC_MBZ7            BITS(7, 7)
#define ENA_ETH_IO_RX_CDESC_L4_PROTO_IDX    BITS(12, 8)
#define ENA_ETH_IO_RX_CDESC_L3_CSUM_ERR     BITS(13, 13)
#define ENA_ETH_IO_RX_CDESC_L4_CSUM_ERR     BITS(14, 14)
#define ENA_ETH_IO_RX_CDESC_IPV4_FRAG       BITS(15, 15)
#define ENA_ETH_IO_RX_CDESC_L4_CSUM_CHECKED BITS(16, 16)
#define ENA_ETH_IO_RX_CDESC_MBZ17           BITS(17, 17)
#define ENA_ETH_IO_RX_CDESC_PHASE           BITS(24, 24)
#define ENA_ETH_IO_RX_CDESC_L3_CSUM2        BITS(25, 25)
#define ENA_ETH_IO_RX_CDESC_FIRST           BITS(26, 26)
#define ENA_ETH_IO_RX_CDESC_LAST            BITS(27, 27)
#define ENA_ETH_IO_RX_CDESC_BUFFER          BITS(30, 30)
struct ena_eth_io_rx_cdesc_ext {
	struct ena_eth_io_rx_cdesc base;
	le32 buff_addr_lo;
	le16 buff_addr_hi;
	le16 reserved;
	le32 timestamp_lo, timestamp_hi; /* ns */
};
static_assert(sizeof(struct ena_eth_io_rx_cdesc_ext) == 32, "RX completion");

/* A completion queue's interrupt_unmask register. */
#define ENA_ETH_IO_INTR_RX_DELAY BITS(14, 0) /* units of the resolution */
#define ENA_ETH_IO_INTR_TX_DELAY BITS(29, 15)
#define ENA_ETH_IO_INTR_UNMASK   BITS(30, 30)
#define ENA_ETH_IO_INTR_KEEP     BITS(31, 31) /* the delays as they are */

#define ENA_ETH_IO_NUMA_NODE   BITS(7, 0)
#define ENA_ETH_IO_NUMA_ENABLE BITS(31, 31)

#endif
