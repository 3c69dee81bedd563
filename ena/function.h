/* SPDX-License-Identifier: BSD-3-Clause */
/* The network function: an Elastic Network Adapter. */
#ifndef ENA_FUNCTION_H
#define ENA_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

#include "ena/port.h"

struct pcie_function_type;

enum ena_doorbells {
	ENA_DOORBELLS_AUTO,
	ENA_DOORBELLS_MAPPED,
	ENA_DOORBELLS_TRAPPED,
};

/* Milliseconds, 0: as drivers have it, 65535: never; and a count. */
struct ena_hints_config {
	uint64_t mmio_read, keep_alive, missing_tx, missing_tx_count;
	uint64_t admin, netdev;
};

/* What the options in tables.c fill. */
struct ena_config {
	char *name;
	char *mac;            /* "02:00:00:00:00:01"; NULL: from the name */
	unsigned int profile; /* enum ena_profile_number */
	char *lan;            /* the switch's name; NULL: one of its own */
	struct ena_uplink_config uplink;
	char *capture;  /* path of a pcapng file; NULL: none */
	uint64_t pairs; /* queue pairs, the profile's at most */
	uint64_t speed; /* Mb/s */
	uint64_t mtu;   /* the largest, the profile's at most */
	bool has_llq;
	unsigned int doorbells; /* enum ena_doorbells */
	unsigned int polling;   /* enum ena_polling, of nic.h */
	struct ena_hints_config hints;
	bool limits_phc; /* to 125 reads a second, as EC2 does */
};

extern const struct pcie_function_type ena_function;

#endif
