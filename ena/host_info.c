/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the driver tells about itself: host information, feature 28, and the
 * area into which it writes its own statistics.  Both are the driver's memory,
 * read when they are needed and never written.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "ena/control.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"

#define DEBUG_NAME_BYTES 32u
#define DEBUG_RECORDS    256u
#define LINE_BYTES       400u

static const char *const systems[] = {
	[ENA_ADMIN_OS_LINUX] = "Linux", [ENA_ADMIN_OS_WINDOWS] = "Windows",
	[ENA_ADMIN_OS_DPDK] = "DPDK",   [ENA_ADMIN_OS_FREEBSD] = "FreeBSD",
	[ENA_ADMIN_OS_IPXE] = "iPXE",   [ENA_ADMIN_OS_ESXI] = "ESXi",
};

static const char *const reasons[ENA_REGS_RESET_REASONS] = {
	[ENA_REGS_RESET_NORMAL] = "normal",
	[ENA_REGS_RESET_KEEP_ALIVE_TO] = "no keep-alive",
	[ENA_REGS_RESET_ADMIN_TO] = "the admin queue timed out",
	[ENA_REGS_RESET_MISS_TX_CMPL] = "sent packets were not completed",
	[ENA_REGS_RESET_INV_RX_REQ_ID] = "a receive completion's id",
	[ENA_REGS_RESET_INV_TX_REQ_ID] = "a transmit completion's id",
	[ENA_REGS_RESET_TOO_MANY_RX_DESCS] = "too many buffers in a packet",
	[ENA_REGS_RESET_INIT_ERR] = "it could not start",
	[ENA_REGS_RESET_DRIVER_INVALID_STATE] = "its state is invalid",
	[ENA_REGS_RESET_OS_TRIGGER] = "the system asked",
	[ENA_REGS_RESET_OS_NETDEV_WD] = "a transmit queue stood still",
	[ENA_REGS_RESET_SHUTDOWN] = "shutdown",
	[ENA_REGS_RESET_USER_TRIGGER] = "the user asked",
	[ENA_REGS_RESET_GENERIC] = "something else",
	[ENA_REGS_RESET_MISS_INTERRUPT] = "an interrupt was missed",
	[ENA_REGS_RESET_SUSPECTED_POLL_STARVATION] = "its polling starved",
	[ENA_REGS_RESET_RX_DESCRIPTOR_MALFORMED] =
		"a malformed receive completion",
	[ENA_REGS_RESET_TX_DESCRIPTOR_MALFORMED] =
		"a malformed transmit completion",
	[ENA_REGS_RESET_MISSING_ADMIN_INTERRUPT] =
		"an admin interrupt was missed",
	[ENA_REGS_RESET_DEVICE_REQUEST] = "the device asked",
	[ENA_REGS_RESET_MISS_FIRST_INTERRUPT] =
		"a queue's first interrupt was missed",
};

const char *ena_reset_reason_name(unsigned int reason)
{
	return reason < RT_COUNT(reasons) ? reasons[reason] : "unknown";
}

const char *ena_host_system(const struct ena_admin_host_info *info)
{
	uint32_t type = le32_get(info->os_type);

	return type < RT_COUNT(systems) && systems[type] ? systems[type]
							 : "unknown system";
}

/* Foreign bytes, fit to be shown; size is that of both. */
void ena_copy_text(char *to, const char *from, size_t size)
{
	size_t i = 0;

	for (; i + 1 < size && from[i]; i++)
		to[i] = isprint((unsigned char)from[i]) && from[i] != '"' &&
					from[i] != '\\'
				? from[i]
				: '?';
	to[i] = '\0';
}

/* major.minor.sub and a letter: 'g' is the driver that Amazon distributes. */
void ena_driver_version(const struct ena_admin_host_info *info, char *text,
			size_t size)
{
	uint32_t version = le32_get(info->driver_version);
	char letter[2] = { (char)(version >> 24), '\0' };

	if (!islower((unsigned char)letter[0]))
		letter[0] = '\0';
	snprintf(text, size, "%u.%u.%u%s", version & 0xff, version >> 8 & 0xff,
		 version >> 16 & 0xff, letter);
}

bool ena_host_info_read(struct ena_nic *nic, struct ena_admin_host_info *info)
{
	const void *from;

	if (!nic->state->host_info)
		return false;
	from = ena_guest_memory(nic, nic->state->host_info, sizeof *info, false,
				ENA_RULE_HOST_INFO);
	if (from)
		memcpy(info, from, sizeof *info);
	return from;
}

/* Drivers tell it two times for each reset. */
static bool is_news(struct ena_nic *nic, struct ena_admin_host_info info)
{
	memset(info.supported_network_features, 0,
	       sizeof info.supported_network_features);
	if (!memcmp(&info, &nic->told_host_info, sizeof info))
		return false;
	nic->told_host_info = info;
	return true;
}

static void tell(struct ena_nic *nic)
{
	struct ena_admin_host_info info;
	char kernel[sizeof info.kernel_ver_str];
	char version[32];

	if (!ena_host_info_read(nic, &info) || !is_news(nic, info))
		return;
	ena_copy_text(kernel, info.kernel_ver_str, sizeof kernel);
	ena_driver_version(&info, version, sizeof version);
	rt_log_info(nic->fn->name,
		    "the guest's driver is %s for %s (%s), %u processors",
		    version, ena_host_system(&info), kernel,
		    le16_get(info.num_cpus));
}

ena_status ena_set_host_attributes(struct ena_admin_command *cmd)
{
	struct ena_state *state = cmd->nic->state;
	struct ena_admin_host_attr attr;

	memcpy(&attr, ena_feature_payload(cmd), sizeof attr);
	state->host_info = le64_get(attr.os_info_ba) & BITS(47, 0);
	state->debug_area = le64_get(attr.debug_ba) & BITS(47, 0);
	state->debug_bytes = le32_get(attr.debug_area_size);
	tell(cmd->nic);
	return ENA_OK;
}

/* ---- the debug area: names of 32 bytes, each with a number ---- */

struct debug_record {
	char name[DEBUG_NAME_BYTES];
	le64 value;
};

/* True: it was one. */
static bool add_record(char *line, size_t *length,
		       const struct debug_record *record)
{
	char name[DEBUG_NAME_BYTES];

	ena_copy_text(name, record->name, sizeof name);
	if (!name[0])
		return false;
	if (le64_get(record->value))
		*length += (size_t)snprintf(
			line + *length, LINE_BYTES - *length, " %s=%llu", name,
			(unsigned long long)le64_get(record->value));
	return true;
}

void ena_debug_area_tell(struct ena_nic *nic)
{
	struct debug_record record;
	uint32_t count = nic->state->debug_bytes / sizeof record;
	uint32_t abilities =
		le32_get(nic->told_host_info.driver_supported_features);
	const uint8_t *from = NULL;
	char line[LINE_BYTES] = "";
	size_t length = 0;
	bool is_good = true;

	if (count > DEBUG_RECORDS)
		count = DEBUG_RECORDS;
	/* Newer drivers have sections there, which nobody has described. */
	if (count && nic->state->debug_area &&
	    !(abilities & ENA_ADMIN_DRIVER_EXTENDED_DEBUG) &&
	    pcie_bus_master_is_on(nic->fn))
		from = pcie_dma_direct(nic->fn, nic->state->debug_area,
				       (uint64_t)count * sizeof record, false);
	for (uint32_t i = 0; from && i < count && is_good; i++) {
		memcpy(&record, from + i * sizeof record, sizeof record);
		is_good = add_record(line, &length, &record);
		if (length > LINE_BYTES / 2 ||
		    (length && (!is_good || i + 1 == count))) {
			rt_log_warn(nic->fn->name, "its statistics:%s", line);
			length = 0;
		}
	}
}
