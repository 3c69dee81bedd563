/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a driver of the volume function must know: registers, queue entries,
 * command and data layouts of NVM Express 1.4 as far as an EBS volume or an
 * instance-store disk has them, and Amazon's vendor parts.  Definitions only;
 * clauses are those of the NVM Express Base Specification 1.4.
 */
#ifndef EBS_NVME_ABI_H
#define EBS_NVME_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/rt/bits.h"

/* PCI identity. */
#define EBS_PCI_VENDOR             0x1d0f
#define EBS_PCI_DEVICE             0x8061 /* EBS, virtual machine */
#define EBS_PCI_DEVICE_METAL       0x0061
#define EBS_PCI_DEVICE_LOCAL       0xcd01 /* instance store */
#define EBS_PCI_DEVICE_LOCAL_METAL 0xcd00
#define EBS_PCI_CLASS              0x010802

/* Controller registers, 3.1. */
#define NVME_REG_CAP       0x00
#define NVME_REG_VS        0x08
#define NVME_REG_INTMS     0x0c
#define NVME_REG_INTMC     0x10
#define NVME_REG_CC        0x14
#define NVME_REG_CSTS      0x1c
#define NVME_REG_AQA       0x24
#define NVME_REG_ASQ       0x28
#define NVME_REG_ACQ       0x30
#define NVME_REG_DOORBELLS 0x1000 /* stride of 4: CAP.DSTRD is 0 */
#define NVME_SQ_DOORBELL(qid)                                                  \
	(NVME_REG_DOORBELLS + 8 * (uint64_t)(qid)) /* 3.1.24 */
#define NVME_CQ_DOORBELL(qid)                                                  \
	(NVME_REG_DOORBELLS + 8 * (uint64_t)(qid) + 4) /* 3.1.25 */

#define NVME_CAP_MQES   BITS(15, 0) /* 3.1.1 */
#define NVME_CAP_CQR    BITS(16, 16)
#define NVME_CAP_AMS    BITS(18, 17)
#define NVME_CAP_TO     BITS(31, 24) /* units of 500 ms */
#define NVME_CAP_DSTRD  BITS(35, 32)
#define NVME_CAP_NSSRS  BITS(36, 36)
#define NVME_CAP_CSS    BITS(44, 37)
#define NVME_CAP_MPSMIN BITS(51, 48)
#define NVME_CAP_MPSMAX BITS(55, 52)

#define NVME_VERSION(major, minor) ((uint32_t)(major) << 16 | (minor) << 8)

#define NVME_CC_EN     BITS(0, 0) /* 3.1.5 */
#define NVME_CC_CSS    BITS(6, 4)
#define NVME_CC_MPS    BITS(10, 7)
#define NVME_CC_AMS    BITS(13, 11)
#define NVME_CC_SHN    BITS(15, 14)
#define NVME_CC_IOSQES BITS(19, 16)
#define NVME_CC_IOCQES BITS(23, 20)

#define NVME_CSTS_RDY  BITS(0, 0) /* 3.1.6 */
#define NVME_CSTS_CFS  BITS(1, 1)
#define NVME_CSTS_SHST BITS(3, 2)

#define NVME_SHST_NORMAL     0
#define NVME_SHST_PROCESSING 1
#define NVME_SHST_COMPLETE   2

#define NVME_AQA_ASQS BITS(11, 0) /* 3.1.8; 0's based */
#define NVME_AQA_ACQS BITS(27, 16)

/* Memory pages are of 4 KiB: CAP.MPSMIN and MPSMAX are 0. */
#define NVME_PAGE_BYTES UINT64_C(4096)
#define NVME_NSID_ALL   0xffffffffu
#define NVME_LBA_SHIFT  9

/* A submission queue entry, 4.2. */
struct nvme_cmd {
	uint8_t opcode;
	uint8_t flags;
	le16 cid;
	le32 nsid;
	le32 cdw2, cdw3;
	le64 mptr;
	le64 prp1, prp2;
	le32 cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
static_assert(sizeof(struct nvme_cmd) == 64, "submission queue entry");

#define NVME_CMD_FUSE BITS(1, 0) /* of flags */
#define NVME_CMD_PSDT BITS(7, 6)

/* A completion queue entry, 4.6. */
struct nvme_cqe {
	le32 dw0, dw1;
	le16 sq_head, sqid;
	le16 cid;
	le16 status; /* bit 0: phase tag */
};
static_assert(sizeof(struct nvme_cqe) == 16, "completion queue entry");

#define NVME_CQE_PHASE BITS(0, 0) /* of status */
#define NVME_CQE_SC    BITS(8, 1)
#define NVME_CQE_SCT   BITS(11, 9)
#define NVME_CQE_MORE  BITS(14, 14)
#define NVME_CQE_DNR   BITS(15, 15)

/*
 * A status: type in bits 10:8, code in bits 7:0, 4.6.1.  A struct, so that it
 * cannot be mixed with an errno.
 */
typedef struct {
	uint16_t raw;
} nvme_status;

#define NVME_STATUS(sct, sc) ((nvme_status){ (uint16_t)((sct) << 8 | (sc)) })

#define NVME_SUCCESS                NVME_STATUS(0, 0x00)
#define NVME_INVALID_OPCODE         NVME_STATUS(0, 0x01)
#define NVME_INVALID_FIELD          NVME_STATUS(0, 0x02)
#define NVME_DATA_TRANSFER_ERROR    NVME_STATUS(0, 0x04)
#define NVME_INTERNAL_ERROR         NVME_STATUS(0, 0x06)
#define NVME_ABORT_REQUESTED        NVME_STATUS(0, 0x07)
#define NVME_ABORT_SQ_DELETED       NVME_STATUS(0, 0x08)
#define NVME_INVALID_NAMESPACE      NVME_STATUS(0, 0x0b)
#define NVME_SEQUENCE_ERROR         NVME_STATUS(0, 0x0c)
#define NVME_INVALID_PRP_OFFSET     NVME_STATUS(0, 0x13)
#define NVME_LBA_OUT_OF_RANGE       NVME_STATUS(0, 0x80)
#define NVME_CAPACITY_EXCEEDED      NVME_STATUS(0, 0x81)
/* Command specific. */
#define NVME_INVALID_CQ             NVME_STATUS(1, 0x00)
#define NVME_INVALID_QID            NVME_STATUS(1, 0x01)
#define NVME_INVALID_QUEUE_SIZE     NVME_STATUS(1, 0x02)
#define NVME_ABORT_LIMIT_EXCEEDED   NVME_STATUS(1, 0x03)
#define NVME_AER_LIMIT_EXCEEDED     NVME_STATUS(1, 0x05)
#define NVME_INVALID_VECTOR         NVME_STATUS(1, 0x08)
#define NVME_INVALID_LOG_PAGE       NVME_STATUS(1, 0x09)
#define NVME_INVALID_QUEUE_DELETION NVME_STATUS(1, 0x0c)
#define NVME_FEATURE_NOT_SAVEABLE   NVME_STATUS(1, 0x0d)
#define NVME_FEATURE_NOT_CHANGEABLE NVME_STATUS(1, 0x0e)
#define NVME_FEATURE_NOT_PER_NS     NVME_STATUS(1, 0x0f)
#define NVME_WRITE_TO_READ_ONLY     NVME_STATUS(1, 0x82)
/* Media and data integrity. */
#define NVME_WRITE_FAULT            NVME_STATUS(2, 0x80)
#define NVME_UNRECOVERED_READ       NVME_STATUS(2, 0x81)
#define NVME_SCT(status)            ((status).raw >> 8)
#define NVME_SC(status)             ((status).raw & 0xff)
#define NVME_IS_ERROR(status)       ((status).raw != 0)
#define NVME_SAME_STATUS(a, b)      ((a).raw == (b).raw)

/* Admin commands, 5. */
#define NVME_ADMIN_DELETE_SQ    0x00
#define NVME_ADMIN_CREATE_SQ    0x01
#define NVME_ADMIN_GET_LOG_PAGE 0x02
#define NVME_ADMIN_DELETE_CQ    0x04
#define NVME_ADMIN_CREATE_CQ    0x05
#define NVME_ADMIN_IDENTIFY     0x06
#define NVME_ADMIN_ABORT        0x08
#define NVME_ADMIN_SET_FEATURES 0x09
#define NVME_ADMIN_GET_FEATURES 0x0a
#define NVME_ADMIN_ASYNC_EVENT  0x0c
#define NVME_ADMIN_DBBUF_CONFIG 0x7c

/* NVM commands, 6. */
#define NVME_NVM_FLUSH 0x00
#define NVME_NVM_WRITE 0x01
#define NVME_NVM_READ  0x02
#define NVME_NVM_DSM   0x09

/* Create I/O Completion Queue, 5.3; Submission Queue, 5.4. */
#define NVME_QUEUE_QID      BITS(15, 0)  /* cdw10 */
#define NVME_QUEUE_SIZE_0S  BITS(31, 16) /* cdw10 */
#define NVME_QUEUE_PC       BITS(0, 0)   /* cdw11 */
#define NVME_CQ_IEN         BITS(1, 1)   /* cdw11 */
#define NVME_CQ_IV          BITS(31, 16) /* cdw11 */
#define NVME_SQ_QPRIO       BITS(2, 1)   /* cdw11 */
#define NVME_SQ_CQID        BITS(31, 16) /* cdw11 */
#define NVME_ABORT_SQID     BITS(15, 0)  /* cdw10, 5.1 */
#define NVME_ABORT_CID      BITS(31, 16) /* cdw10 */
#define NVME_ABORT_NOT_DONE BITS(0, 0)   /* completion dw0 */

/* Read and Write, 6.9 and 6.15. */
#define NVME_RW_NLB_0S BITS(15, 0) /* cdw12 */
#define NVME_RW_FUA    BITS(30, 30)
#define NVME_RW_LR     BITS(31, 31)

/* Dataset Management, 6.7. */
#define NVME_DSM_NR_0S      BITS(7, 0) /* cdw10 */
#define NVME_DSM_AD         BITS(2, 2) /* cdw11 */
#define NVME_DSM_MAX_RANGES 256u

struct nvme_dsm_range {
	le32 attributes;
	le32 blocks;
	le64 start;
};
static_assert(sizeof(struct nvme_dsm_range) == 16, "range");

/* Identify, 5.15. */
#define NVME_IDENTIFY_CNS    BITS(7, 0) /* cdw10 */
#define NVME_IDENTIFY_BYTES  4096u
#define NVME_CNS_NAMESPACE   0x00
#define NVME_CNS_CONTROLLER  0x01
#define NVME_CNS_ACTIVE_LIST 0x02
#define NVME_CNS_DESCRIPTORS 0x03

struct nvme_power_state { /* 5.15.2.2, figure 248 */
	le16 max_power;
	uint8_t reserved2;
	uint8_t flags;
	le32 entry_latency_us, exit_latency_us;
	uint8_t rrt, rrl, rwt, rwl;
	le16 idle_power;
	uint8_t idle_scale;
	uint8_t reserved19;
	le16 active_power;
	uint8_t active_scale;
	uint8_t reserved23[9];
};
static_assert(sizeof(struct nvme_power_state) == 32, "power state");

struct nvme_id_ctrl { /* 5.15.2.2, figure 247 */
	le16 vid, ssvid;
	char sn[20], mn[40], fr[8];
	uint8_t rab;
	uint8_t ieee[3];
	uint8_t cmic;
	uint8_t mdts;
	le16 cntlid;
	le32 ver;
	le32 rtd3r, rtd3e;
	le32 oaes;
	le32 ctratt;
	le16 rrls;
	uint8_t reserved102[9];
	uint8_t cntrltype;
	uint8_t fguid[16];
	le16 crdt[3];
	uint8_t reserved134[122];
	le16 oacs;
	uint8_t acl, aerl, frmw, lpa, elpe, npss, avscc, apsta;
	le16 wctemp, cctemp;
	le16 mtfa;
	le32 hmpre, hmmin;
	uint8_t tnvmcap[16], unvmcap[16];
	le32 rpmbs;
	le16 edstt;
	uint8_t dsto, fwug;
	le16 kas, hctma, mntmt, mxtmt;
	le32 sanicap;
	uint8_t reserved332[180];
	uint8_t sqes, cqes;
	le16 maxcmd;
	le32 nn;
	le16 oncs, fuses;
	uint8_t fna, vwc;
	le16 awun, awupf;
	uint8_t nvscc, nwpc;
	le16 acwu;
	uint8_t reserved534[2];
	le32 sgls;
	le32 mnan;
	uint8_t reserved544[224];
	char subnqn[256];
	uint8_t reserved1024[1024];
	struct nvme_power_state psd[32];
	/* Amazon's part. */
	char device_name[32]; /* space padded */
	uint8_t reserved3104[992];
};
static_assert(sizeof(struct nvme_id_ctrl) == 4096, "identify controller");
static_assert(offsetof(struct nvme_id_ctrl, oacs) == 256, "5.15.2.2");
static_assert(offsetof(struct nvme_id_ctrl, sqes) == 512, "5.15.2.2");
static_assert(offsetof(struct nvme_id_ctrl, subnqn) == 768, "5.15.2.2");
static_assert(offsetof(struct nvme_id_ctrl, psd) == 2048, "5.15.2.2");
static_assert(offsetof(struct nvme_id_ctrl, device_name) == 3072, "vendor");

#define NVME_OAES_NAMESPACE BITS(8, 8)
#define NVME_OACS_DBBUF     BITS(8, 8)
#define NVME_ONCS_DSM       BITS(2, 2)
#define NVME_LPA_EXTENDED   BITS(2, 2)
#define NVME_VWC_PRESENT    BITS(0, 0)

struct nvme_lba_format {
	le16 metadata_bytes;
	uint8_t data_shift;
	uint8_t performance;
};

struct nvme_id_ns { /* 5.15.2.1, figure 245 */
	le64 nsze, ncap, nuse;
	uint8_t nsfeat, nlbaf, flbas, mc, dpc, dps, nmic, rescap, fpi, dlfeat;
	le16 nawun, nawupf, nacwu, nabsn, nabo, nabspf, noiob;
	uint8_t nvmcap[16];
	le16 npwg, npwa, npdg, npda, nows;
	uint8_t reserved74[18];
	le32 anagrpid;
	uint8_t reserved96[3];
	uint8_t nsattr;
	le16 nvmsetid, endgid;
	uint8_t nguid[16];
	uint8_t eui64[8];
	struct nvme_lba_format lbaf[16];
	uint8_t reserved192[192];
	/* Amazon's part. */
	char device_name[32]; /* space padded */
	char volume_id[32];   /* space padded */
	uint8_t reserved448[192];
	le16 torn_write_unit_0s;        /* NTWPU, blocks */
	le16 torn_write_granularity_0s; /* NTWPG, blocks */
	le32 torn_write_boundary_0s;    /* NTWPB, blocks; 0: none */
	uint8_t reserved648[3448];
};
static_assert(sizeof(struct nvme_id_ns) == 4096, "identify namespace");
static_assert(offsetof(struct nvme_id_ns, nguid) == 104, "5.15.2.1");
static_assert(offsetof(struct nvme_id_ns, lbaf) == 128, "5.15.2.1");
static_assert(offsetof(struct nvme_id_ns, device_name) == 384, "vendor");
static_assert(offsetof(struct nvme_id_ns, torn_write_unit_0s) == 640, "vendor");

#define NVME_NSFEAT_ATOMICS         BITS(1, 1) /* NSABP */
#define NVME_NSFEAT_OPTPERF         BITS(4, 4)
#define NVME_NSATTR_WRITE_PROTECTED BITS(0, 0)

struct nvme_ns_descriptor { /* 5.15.2.4; then length bytes */
	uint8_t type, length;
	uint8_t reserved2[2];
};
static_assert(sizeof(struct nvme_ns_descriptor) == 4, "5.15.2.4");
#define NVME_NIDT_NGUID 2
#define NVME_NIDT_UUID  3

/* Get Log Page, 5.14. */
#define NVME_LOG_LID          BITS(7, 0)   /* cdw10 */
#define NVME_LOG_RAE          BITS(15, 15) /* cdw10 */
#define NVME_LOG_NUMDL        BITS(31, 16) /* cdw10 */
#define NVME_LOG_NUMDU        BITS(15, 0)  /* cdw11 */
#define NVME_LID_ERROR        0x01
#define NVME_LID_SMART        0x02
#define NVME_LID_FIRMWARE     0x03
#define NVME_LID_CHANGED_NS   0x04
#define NVME_LID_AMAZON_STATS 0xd0

struct nvme_error_entry { /* 5.14.1.1 */
	le64 error_count;
	le16 sqid, cid;
	le16 status; /* as in the completion entry, with its phase tag */
	le16 parameter_location;
	le64 lba;
	le32 nsid;
	uint8_t vendor_page;
	uint8_t transport;
	uint8_t reserved30[2];
	le64 command_specific;
	uint8_t reserved40[24];
};
static_assert(sizeof(struct nvme_error_entry) == 64, "error entry");
#define NVME_ERROR_NO_LOCATION 0xffff
#define NVME_ERROR_BYTE        BITS(7, 0)
#define NVME_ERROR_BIT         BITS(10, 8)

struct nvme_smart_log { /* 5.14.1.2 */
	uint8_t critical_warning;
	uint8_t temperature_k[2];
	uint8_t spare_percent, spare_threshold, used_percent;
	uint8_t endurance_warning;
	uint8_t reserved7[25];
	uint8_t data_units_read[16], data_units_written[16];
	uint8_t host_reads[16], host_writes[16];
	uint8_t busy_minutes[16];
	uint8_t power_cycles[16], power_on_hours[16];
	uint8_t unsafe_shutdowns[16];
	uint8_t media_errors[16];
	uint8_t error_entries[16];
	le32 warning_minutes, critical_minutes;
	le16 sensors_k[8];
	le32 thermal[4];
	uint8_t reserved232[280];
};
static_assert(sizeof(struct nvme_smart_log) == 512, "SMART page");
#define NVME_SMART_TEMPERATURE BITS(1, 1)
#define NVME_SMART_READ_ONLY   BITS(3, 3)

struct nvme_firmware_log { /* 5.14.1.3 */
	uint8_t afi;
	uint8_t reserved1[7];
	char frs[7][8];
	uint8_t reserved64[448];
};
static_assert(sizeof(struct nvme_firmware_log) == 512, "firmware page");

/* Amazon's statistics, log page D0h. */
#define EBS_STATS_MAGIC        0x3c23b510u
#define EBS_STATS_MAGIC_LOCAL  0xec2c0d7eu /* instance store */
#define EBS_STATS_BINS         64
#define EBS_STATS_SIZE_CLASSES 8
#define EBS_STATS_SIZE_BINS    32
#define EBS_STATS_BYTES        4096u
#define EBS_STATS_BYTES_LOCAL  8192u

struct ebs_stats_bin {
	le64 lower_us, upper_us;
	le32 count;
	le32 reserved;
};

struct ebs_stats_histogram {
	le64 bin_count;
	struct ebs_stats_bin bins[EBS_STATS_BINS];
};

struct ebs_stats_log {
	le32 magic;
	le32 version; /* 0; instance store 1: the size classes follow */
	le64 read_ops, write_ops;
	le64 read_bytes, write_bytes;
	le64 read_us, write_us;
	le64 volume_iops_exceeded_us, volume_throughput_exceeded_us;
	le64 instance_iops_exceeded_us, instance_throughput_exceeded_us;
	le64 queue_length;
	uint8_t reserved96[416];
	struct ebs_stats_histogram read_latency, write_latency;
	le32 size_class_count;
	le32 size_class_upper_bytes[EBS_STATS_SIZE_CLASSES];
	uint8_t reserved3636[460];
};
static_assert(sizeof(struct ebs_stats_log) == EBS_STATS_BYTES, "page D0h");
static_assert(offsetof(struct ebs_stats_log, read_latency) == 512, "D0h");
static_assert(offsetof(struct ebs_stats_log, write_latency) == 2056, "D0h");
static_assert(offsetof(struct ebs_stats_log, size_class_count) == 3600, "D0h");

/* Counts per size class and bin; the edges are those of the write histogram. */
struct ebs_stats_size_class {
	le64 reads[EBS_STATS_SIZE_BINS], writes[EBS_STATS_SIZE_BINS];
};

struct ebs_stats_log_local {
	struct ebs_stats_log common;
	struct ebs_stats_size_class classes[EBS_STATS_SIZE_CLASSES];
};
static_assert(sizeof(struct ebs_stats_log_local) == EBS_STATS_BYTES_LOCAL,
	      "page D0h of the instance store");

/* Features, 5.21. */
#define NVME_FEATURE_FID           BITS(7, 0)   /* cdw10 */
#define NVME_FEATURE_SEL           BITS(10, 8)  /* cdw10 of Get Features */
#define NVME_FEATURE_SV            BITS(31, 31) /* cdw10 of Set Features */
#define NVME_SEL_CURRENT           0
#define NVME_SEL_DEFAULT           1
#define NVME_SEL_SAVED             2
#define NVME_SEL_CAPABILITIES      3
#define NVME_FEATURE_IS_SAVEABLE   BITS(0, 0) /* dw0 of capabilities */
#define NVME_FEATURE_IS_PER_NS     BITS(1, 1)
#define NVME_FEATURE_IS_CHANGEABLE BITS(2, 2)

#define NVME_FID_ARBITRATION    0x01
#define NVME_FID_POWER          0x02
#define NVME_FID_TEMPERATURE    0x04
#define NVME_FID_ERROR_RECOVERY 0x05
#define NVME_FID_WRITE_CACHE    0x06
#define NVME_FID_QUEUES         0x07
#define NVME_FID_COALESCING     0x08
#define NVME_FID_VECTOR         0x09
#define NVME_FID_ATOMICITY      0x0a
#define NVME_FID_ASYNC_EVENTS   0x0b

#define NVME_ARBITRATION_AB     BITS(2, 0)
#define NVME_POWER_PS           BITS(4, 0)
#define NVME_TEMPERATURE_TMPTH  BITS(15, 0)
#define NVME_TEMPERATURE_TMPSEL BITS(19, 16)
#define NVME_TEMPERATURE_THSEL  BITS(21, 20)
#define NVME_ERROR_DULBE        BITS(16, 16)
#define NVME_WRITE_CACHE_WCE    BITS(0, 0)
#define NVME_QUEUES_NSQ_0S      BITS(15, 0)
#define NVME_QUEUES_NCQ_0S      BITS(31, 16)
#define NVME_COALESCING_THR_0S  BITS(7, 0)
#define NVME_COALESCING_TIME    BITS(15, 8) /* units of 100 us */
#define NVME_VECTOR_IV          BITS(15, 0)
#define NVME_VECTOR_CD          BITS(16, 16)

/* Asynchronous events, 5.2: dw0 of the completion. */
#define NVME_EVENT_TYPE BITS(2, 0)
#define NVME_EVENT_INFO BITS(15, 8)
#define NVME_EVENT_LOG  BITS(23, 16)

#define NVME_EVENT_ERROR                  0
#define NVME_EVENT_SMART                  1
#define NVME_EVENT_NOTICE                 2
#define NVME_EVENT_INVALID_DOORBELL       0x00 /* of ERROR */
#define NVME_EVENT_INVALID_DOORBELL_VALUE 0x01
#define NVME_EVENT_TEMPERATURE            0x01 /* of SMART */
#define NVME_EVENT_NAMESPACE_CHANGED      0x00 /* of NOTICE */

#endif
