/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the files of the control plane: nothing here is for the data path,
 * whose door is nic.h.
 */
#ifndef ENA_CONTROL_H
#define ENA_CONTROL_H

#include "ena/nic.h"

/* ---- device.c: registers, resets, guest memory ---- */

uint32_t ena_register_get(const struct ena_nic *nic, uint32_t offset);
void ena_register_set(struct ena_nic *nic, uint32_t offset, uint32_t value);
/* As the driver reads it: with what faults make of it. */
uint32_t ena_register_read(struct ena_nic *nic, uint32_t offset);
/* As after power-on; what outlives resets stays. */
void ena_device_power_on(struct ena_nic *nic);
/* Of a 48-bit address as registers and descriptors have it. */
static inline uint64_t ena_address(uint32_t lo, uint32_t hi)
{
	return (uint64_t)(hi & 0xffff) << 32 | lo;
}
/*
 * pcie_dma_direct(), where not being reached is the driver's mistake or that of
 * who started the machine: it is a broken rule, and the log has the remedy.
 */
void *ena_guest_memory(struct ena_nic *nic, uint64_t iova, uint64_t size,
		       bool is_write, enum ena_rule rule);

/* Is that the memory the guest sees?  Asks at most once after a reset. */
void ena_check_memory(struct ena_nic *nic, uint64_t iova);

/* ---- admin.c ---- */

/* Phase of entry number counter, of those there ever were. */
bool ena_ring_phase(uint16_t counter, uint32_t depth);
/* An entry of 64 bytes, whose byte at phase_at makes it valid. */
void ena_store_entry(uint8_t *to, const void *entry, size_t phase_at);

void ena_admin_init(struct ena_nic *nic);
void ena_admin_pause(struct ena_nic *nic);
/* Commands up to the doorbell; more than a few of them over several turns. */
void ena_admin_run(struct ena_nic *nic);
/*
 * The command's buffer: size bytes of the guest's, or NULL: status is to be
 * returned.  A buffer that is not given at all: NULL and ENA_OK.
 */
void *ena_admin_buffer(struct ena_admin_command *cmd,
		       const struct ena_admin_ctrl_buff *where, uint32_t size,
		       bool is_write, ena_status *status);

/* ---- The commands: each fills cmd->out.body ---- */

typedef ena_status ena_admin_fn(struct ena_admin_command *cmd);
ena_admin_fn ena_create_cq, ena_create_sq, ena_destroy_cq, ena_destroy_sq;
ena_admin_fn ena_get_feature, ena_set_feature, ena_get_stats;

/*
 * queue_admin.c, of a restored state.  Opened again before its client has given
 * back the memory: the data path finds the rings as soon as they are there.
 */
bool ena_queues_are_sane(const struct ena_nic *nic);
void ena_queues_open_again(struct ena_nic *nic);

/* llq.c: the most entries of a queue. */
uint32_t ena_llq_depth(const struct ena_nic *nic, uint32_t entry_bytes);

/* features.c */
uint32_t ena_features(const struct ena_nic *nic); /* bit n: feature n */
/* Aligned to 4 bytes only. */
const void *ena_feature_payload(const struct ena_admin_command *cmd);
const struct ena_admin_ctrl_buff *
ena_feature_buffer(const struct ena_admin_command *cmd);
/* Fills the completion's body; ENA_OK. */
ena_status ena_answer(struct ena_admin_command *cmd, const void *payload,
		      size_t size);

/* ---- Features: payloads as 4.9 of the facts has them ---- */

ena_admin_fn ena_get_llq, ena_set_llq;
ena_admin_fn ena_get_rss_function, ena_set_rss_function;
ena_admin_fn ena_get_rss_input, ena_set_rss_input;
ena_admin_fn ena_get_rss_table, ena_set_rss_table;
ena_admin_fn ena_set_flow;
ena_admin_fn ena_get_aenq, ena_set_aenq;
ena_admin_fn ena_get_phc, ena_set_phc;
ena_admin_fn ena_set_host_attributes;

/* ---- aenq.c ---- */

void ena_aenq_init(struct ena_nic *nic);
void ena_aenq_pause(struct ena_nic *nic);
void ena_aenq_resume(struct ena_nic *nic);
/* The head doorbell; and how many events there is room for. */
void ena_aenq_head(struct ena_nic *nic, uint16_t head);
uint16_t ena_aenq_credit(const struct ena_nic *nic);
/* Credit, groups or the link changed: post what waits for that. */
void ena_aenq_update(struct ena_nic *nic);
/* False: the group is off, or there is no room. */
bool ena_aenq_post(struct ena_nic *nic, uint16_t group, uint16_t syndrome,
		   const void *payload, size_t size);

/* Bit n: the configuration could be better, code n + 1.  As above. */
bool ena_aenq_notify(struct ena_nic *nic, uint64_t notifications);

/* ---- rss.c, flow_steering.c ---- */

int ena_rss_create(struct ena_nic *nic); /* -ENOMEM */
void ena_rss_destroy(struct ena_nic *nic);
void ena_rss_reset(struct ena_nic *nic);
void ena_rss_set_entry(struct ena_nic *nic, uint16_t index, uint16_t queue);
/* What is made from the state, after that changed. */
void ena_rss_prepare(struct ena_nic *nic);
bool ena_rss_is_sane(const struct ena_nic *nic);
int ena_flow_create(struct ena_nic *nic); /* -ENOMEM */
void ena_flow_destroy(struct ena_nic *nic);
void ena_flow_prepare(struct ena_nic *nic);
bool ena_flow_is_sane(const struct ena_nic *nic);

/* ---- phc.c, host_info.c ---- */

void ena_phc_init(struct ena_nic *nic);
void ena_phc_reset(struct ena_nic *nic);
void ena_phc_doorbell(struct ena_nic *nic, uint16_t id);
/* False: there is none, or not within reach. */
bool ena_host_info_read(struct ena_nic *nic, struct ena_admin_host_info *info);
const char *ena_host_system(const struct ena_admin_host_info *info);
void ena_driver_version(const struct ena_admin_host_info *info, char *text,
			size_t size);
/* Foreign bytes, fit for logs and JSON; size is that of both. */
void ena_copy_text(char *to, const char *from, size_t size);
/* The driver's own statistics, to the log. */
void ena_debug_area_tell(struct ena_nic *nic);
/* "keep-alive timeout" */
const char *ena_reset_reason_name(unsigned int reason);

#endif
