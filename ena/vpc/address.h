/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which addresses are at which port of a switch.  An address is a number whose
 * lowest byte is the first on the wire.
 */
#ifndef ENA_VPC_ADDRESS_H
#define ENA_VPC_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

struct rt_loop;

#define ENA_SWITCH_PORTS  256u
#define ENA_ADDRESS_SLOTS 2048u /* a power of two */
#define ENA_ADDRESS_GROUP UINT64_C(1)

struct ena_address {
	uint64_t address; /* 0: free */
	uint32_t heard_s;
	uint16_t port;
	bool is_own;
};

/* Zeroed, but for the loop, it is empty. */
struct ena_addresses {
	struct rt_loop *loop;
	uint32_t now_s; /* 0: the clock was not read since begin */
	uint16_t learned[ENA_SWITCH_PORTS]; /* of each port, without its own */
	struct ena_address slots[ENA_ADDRESS_SLOTS];
};

/* Time has passed. */
static inline void ena_addresses_begin(struct ena_addresses *t)
{
	t->now_s = 0;
}

/* The port, or -1. */
int ena_addresses_find(struct ena_addresses *t, uint64_t address);
/*
 * A frame from there came in at that port.  False: it cannot be, since the
 * address is a group's or another NIC's own.
 */
bool ena_addresses_hear(struct ena_addresses *t, uint64_t source,
			uint16_t port);
/* As ena_port_own_address(). */
int ena_addresses_own(struct ena_addresses *t, uint64_t address, uint16_t port);
/* All of a port, its own too. */
void ena_addresses_forget(struct ena_addresses *t, uint16_t port);
unsigned int ena_addresses_count(const struct ena_addresses *t);

#endif
