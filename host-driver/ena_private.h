/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the network adapter's driver share. */
#ifndef HOST_DRIVER_ENA_PRIVATE_H
#define HOST_DRIVER_ENA_PRIVATE_H

#include "host-driver/ena_host.h"

static inline struct host_ena_buffer host_ena_scratch(const struct host_ena *e,
						      uint32_t size)
{
	return (struct host_ena_buffer){ .iova = e->scratch, .size = size };
}

/* What unmasks an interrupt and sets its delays. */
static inline uint32_t host_ena_unmask_word(uint32_t rx_delay,
					    uint32_t tx_delay)
{
	uint64_t word = bits_put(ENA_ETH_IO_INTR_RX_DELAY,
				 ENA_ETH_IO_INTR_UNMASK, rx_delay);

	return (uint32_t)bits_put(ENA_ETH_IO_INTR_TX_DELAY, word, tx_delay);
}

/* Note for host_ena_why() what makes no sense; returns -EPROTO. */
int host_protest(struct host_ena *e, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
