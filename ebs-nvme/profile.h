/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The generations of Amazon's NVMe controllers, as data.  Whatever differs
 * between them is a field here; code asks the field, never the name.
 */
#ifndef EBS_NVME_PROFILE_H
#define EBS_NVME_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

enum ebs_profile_number {
	EBS_PROFILE_EBS_1,
	EBS_PROFILE_EBS_2,
	EBS_PROFILE_IS_1,
	EBS_PROFILE_IS_2,
	EBS_PROFILE_IS_3,
	EBS_PROFILE_NVME_1,
	EBS_PROFILES,
};

enum ebs_namespace_id {
	EBS_ID_NONE,
	EBS_ID_UUID,  /* version 5, from the serial number */
	EBS_ID_NGUID, /* from the serial number */
};

struct ebs_profile {
	const char *name; /* the word in the card's configuration */
	/* PCI. */
	uint16_t device, device_metal;
	uint16_t subsystem_metal; /* on virtual machines it is 0 */
	bool has_wide_bar;        /* BAR 0 is of 64 bits */
	uint8_t msix_bar;
	uint32_t msix_table_offset, msix_pba_offset;
	uint16_t msix_vectors;
	/* Queues. */
	uint16_t queue_pairs;   /* at most; and no more than there are vCPUs */
	uint16_t queue_entries; /* unless the user says otherwise */
	/* Identify Controller. */
	uint32_t version; /* register VS */
	uint32_t ver;     /* field VER, which 1.1 did not have */
	uint16_t ssvid;
	const char *serial_prefix;
	const char *model, *firmware;
	const char *subnqn; /* the serial number follows; NULL: none */
	uint8_t ieee[3];    /* as the bytes stand */
	uint8_t rab, mdts, acl, aerl, frmw, lpa, elpe, npss, avscc;
	uint16_t oncs, oaes;
	bool has_write_cache;
	bool has_shadow_doorbells; /* Doorbell Buffer Config */
	bool can_abort;            /* else Abort is accepted and does nothing */
	bool draws_keys;           /* encrypted, anew for each attachment */
	/* Power state 0. */
	uint16_t max_power_cw; /* hundredths of a watt */
	uint32_t power_latency_us;
	/* Identify Namespace. */
	enum ebs_namespace_id namespace_id;
	bool has_vendor_area; /* device name and volume id */
	uint8_t nsfeat;
	uint16_t nawupf_0s, npwg_0s, nows_0s;
	uint16_t torn_write_unit_0s, torn_write_granularity_0s;
	uint32_t torn_write_boundary_0s;
	/* Log page D0h. */
	uint32_t stats_magic, stats_version;
	bool has_size_classes;
};

extern const struct ebs_profile ebs_profiles[EBS_PROFILES];
/* Their names, NULL-terminated: the choices of the option. */
extern const char *const ebs_profile_names[EBS_PROFILES + 1];

/* How many bytes a command may move. */
static inline uint32_t ebs_profile_max_bytes(const struct ebs_profile *profile)
{
	return UINT32_C(4096) << profile->mdts;
}

#endif
