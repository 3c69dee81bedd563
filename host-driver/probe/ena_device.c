/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of a network adapter as a device: what PCI sees of it, its registers,
 * reads by DMA, and resets.  ena_regs_defs.h; ena_com.c for who relies on it.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/ena.h"

#define BAR0_LEAST  0x4000u /* what drivers map */
#define FLR_WAIT_MS 100u
#define WRAPS       66000u /* more than 16 bits count */
#define SILENCE_MS  1200u  /* a keep-alive would have come */

/* --- PCI ------------------------------------------------------------------ */

enum probe_verdict probe_ena_pci_identity(struct probe *p)
{
	uint32_t revision = probe_config_get(p, PCI_REVISION_ID, 1);

	if (revision & 1)
		return probe_broken(p,
				    "revision %02xh: drivers would not read "
				    "registers by DMA",
				    revision);
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_pci_registers(struct probe *p)
{
	uint32_t bar = probe_config_get(p, PCI_BASE_ADDRESS_0, 4);
	uint64_t size = probe_region_size(p, ENA_REGS_BAR);

	if (size < BAR0_LEAST)
		return probe_broken(p, "BAR 0 has %lu bytes", size);
	return bar & 8 ? probe_broken(p, "BAR 0 is prefetchable") : PROBE_HOLDS;
}

enum probe_verdict probe_ena_pci_llq_memory(struct probe *p)
{
	uint64_t size = probe_region_size(p, ENA_MEM_BAR);
	uint32_t bar = probe_config_get(p, PCI_BASE_ADDRESS_2, 4);
	bool has_llq = le32_get(p->ena_facts.llq.max_llq_num) > 0;

	if (!has_llq)
		return probe_skip(p, "no LLQ");
	if (size == 0)
		return probe_broken(p, "there is LLQ, and no BAR 2");
	return bar & 8 ? PROBE_HOLDS
		       : probe_broken(p, "BAR 2 is not prefetchable");
}

enum probe_verdict probe_ena_pci_vectors(struct probe *p)
{
	unsigned int count = probe_irq_count(p, VFIO_PCI_MSIX_IRQ_INDEX);

	return count >= 2 ? PROBE_HOLDS
			  : probe_broken(p, "%u MSI-X vectors", count);
}

static bool has_flr(struct probe *p, unsigned int *express)
{
	*express = probe_capability(p, PCI_CAP_ID_EXP);
	return *express && probe_config_get(p, *express + PCI_EXP_DEVCAP, 4) &
				   PCI_EXP_DEVCAP_FLR;
}

enum probe_verdict probe_ena_pci_flr(struct probe *p)
{
	struct host_ena_cq cq = { 0 };
	unsigned int express;
	uint32_t caps = 1, sts = 0;
	int rc;

	if (!has_flr(p, &express))
		return probe_broken(p, "it has no function level reset");
	rc = host_ena_create_cq(p->ena, 64, 2, -1, &cq);
	if (rc)
		return probe_failed(p, rc, "making a queue");
	probe_config_set(p, express + PCI_EXP_DEVCTL, 2,
			 PCI_EXP_DEVCTL_BCR_FLR);
	probe_pause_ms(p, FLR_WAIT_MS);
	probe_config_set(p, PCI_COMMAND, 2,
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	caps = probe_get32(p, ENA_REGS_AQ_CAPS);
	sts = probe_get32(p, ENA_REGS_DEV_STS);
	if (caps != 0)
		return probe_broken(p, "the admin queue is still there");
	return sts & ENA_REGS_DEV_STS_READY
		       ? PROBE_HOLDS
		       : probe_broken(p, "DEV_STS is %08xh afterwards", sts);
}

enum probe_verdict probe_ena_pci_bus_master_off(struct probe *p)
{
	uint64_t page = ena_page(p);

	ena_fill(p, page);
	(void)host_ena_set_answer(p->ena, page);
	(void)host_turn_off(p->fn);
	probe_set32(p, ENA_REGS_MMIO_REG_READ, 1);
	probe_pause_ms(p, PROBE_QUIET_MS);
	return ena_is_filled(p, page, 0, HOST_ENA_PAGE)
		       ? PROBE_HOLDS
		       : probe_broken(p, "it wrote to memory");
}

/* --- Registers ------------------------------------------------------------ */

enum probe_verdict probe_ena_register_ready(struct probe *p)
{
	int rc = host_reset(p->fn);
	uint32_t sts;

	if (rc < 0)
		return probe_failed(p, rc, "a reset of the function");
	sts = probe_get32(p, ENA_REGS_DEV_STS);
	return sts & ENA_REGS_DEV_STS_READY &&
			       !(sts & ENA_REGS_DEV_STS_RESET_IN_PROGRESS)
		       ? PROBE_HOLDS
		       : probe_broken(p, "DEV_STS is %08xh", sts);
}

enum probe_verdict probe_ena_register_caps(struct probe *p)
{
	uint32_t caps = probe_get32(p, ENA_REGS_CAPS);
	uint64_t width = bits_get(ENA_REGS_CAPS_DMA_WIDTH, caps);

	if (bits_get(ENA_REGS_CAPS_RESET_TO, caps) == 0)
		return probe_broken(p, "no time for a reset");
	return width >= 32 && width <= 48
		       ? PROBE_HOLDS
		       : probe_broken(p, "addresses of %lu bits", width);
}

enum probe_verdict probe_ena_register_versions(struct probe *p)
{
	uint32_t version = probe_get32(p, ENA_REGS_CONTROLLER_VERSION);

	if (probe_get32(p, ENA_REGS_VERSION) == 0)
		return probe_broken(p, "VERSION is 0");
	return (version & 0xffffff) >= 1
		       ? PROBE_HOLDS
		       : probe_broken(p, "CONTROLLER_VERSION is %08xh",
				      version);
}

enum probe_verdict probe_ena_register_read_only(struct probe *p)
{
	static const uint16_t offsets[] = { ENA_REGS_VERSION,
					    ENA_REGS_CONTROLLER_VERSION,
					    ENA_REGS_CAPS, ENA_REGS_CAPS_EXT,
					    ENA_REGS_DEV_STS };

	for (size_t i = 0; i < RT_COUNT(offsets); i++) {
		uint32_t before = probe_get32(p, offsets[i]);

		probe_set32(p, offsets[i], ~before);
		if (probe_get32(p, offsets[i]) != before)
			return probe_broken(p, "the register at %02xh changes",
					    offsets[i]);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_register_reserved(struct probe *p)
{
	static const uint16_t offsets[] = { 0x1c, 0x48, 0x50, 0x6c, 0xfc };

	for (size_t i = 0; i < RT_COUNT(offsets); i++) {
		probe_set32(p, offsets[i], UINT32_MAX);
		if (probe_get32(p, offsets[i]) != 0)
			return probe_broken(p, "%02xh is not 0", offsets[i]);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_register_read_back(struct probe *p)
{
	static const uint16_t offsets[] = { ENA_REGS_AQ_BASE_LO,
					    ENA_REGS_ACQ_BASE_LO,
					    ENA_REGS_AENQ_BASE_LO,
					    ENA_REGS_MMIO_RESP_LO };

	for (size_t i = 0; i < RT_COUNT(offsets); i++) {
		probe_set32(p, offsets[i], 0x12345000);
		if (probe_get32(p, offsets[i]) != 0x12345000)
			return probe_broken(p, "%02xh does not keep a value",
					    offsets[i]);
	}
	return PROBE_HOLDS;
}

/* --- Reads by DMA --------------------------------------------------------- */

/* Registers are read directly otherwise: say where answers go. */
static int answers_to(struct probe *p, uint64_t page)
{
	p->ena->answer = page;
	return host_ena_set_answer(p->ena, page);
}

enum probe_verdict probe_ena_readless_agrees(struct probe *p)
{
	static const uint16_t offsets[] = { ENA_REGS_VERSION,
					    ENA_REGS_CONTROLLER_VERSION,
					    ENA_REGS_CAPS, ENA_REGS_DEV_STS,
					    ENA_REGS_INTR_MASK };

	for (size_t i = 0; i < RT_COUNT(offsets); i++) {
		uint32_t direct = probe_get32(p, offsets[i]), value = 0;
		int rc = host_ena_read_dma(p->ena, offsets[i], &value);

		if (rc)
			return probe_failed(p, rc, "a read");
		if (value != direct)
			return probe_broken(p, "%02xh is %08xh, by DMA %08xh",
					    offsets[i], direct, value);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_readless_eight_bytes(struct probe *p)
{
	uint64_t page = ena_page(p);
	uint64_t keep = p->ena->answer;
	uint32_t value;
	int rc;

	ena_fill(p, page);
	rc = answers_to(p, page + 64);
	if (rc == 0)
		rc = host_ena_read_dma(p->ena, ENA_REGS_CAPS, &value);
	p->ena->answer = keep;
	if (rc)
		return probe_failed(p, rc, "a read");
	return ena_is_filled(p, page, 0, 64) &&
			       ena_is_filled(p, page, 72, HOST_ENA_PAGE)
		       ? PROBE_HOLDS
		       : probe_broken(p, "more than 8 bytes are written");
}

enum probe_verdict probe_ena_readless_first(struct probe *p)
{
	uint32_t value = 0;
	int rc = host_reset(p->fn);

	if (rc == 0)
		rc = host_turn_on(p->fn);
	if (rc == 0)
		rc = host_ena_set_answer(p->ena, p->ena->answer);
	if (rc == 0)
		rc = host_ena_read_dma(p->ena, ENA_REGS_DEV_STS, &value);
	if (rc)
		return probe_failed(p, rc, "before any reset");
	return value & 1 ? PROBE_HOLDS
			 : probe_broken(p, "DEV_STS is %xh", value);
}

enum probe_verdict probe_ena_readless_in_reset(struct probe *p)
{
	uint64_t keep = p->ena->answer, page = ena_page(p);
	uint32_t value = 0;
	int rc = host_ena_write(p->ena, ENA_REGS_DEV_CTL, 1);

	if (rc == 0)
		rc = answers_to(p, page);
	if (rc == 0)
		rc = host_ena_read_dma(p->ena, ENA_REGS_DEV_STS, &value);
	if (rc == 0)
		rc = host_ena_reset_end(p->ena);
	if (rc == 0)
		rc = host_ena_read_dma(p->ena, ENA_REGS_CAPS, &value);
	p->ena->answer = keep;
	return rc ? probe_failed(p, rc, "an address given in the reset")
		  : PROBE_HOLDS;
}

enum probe_verdict probe_ena_readless_off(struct probe *p)
{
	uint64_t page = ena_page(p);
	int rc;

	ena_fill(p, page);
	rc = host_ena_set_answer(p->ena, page);
	if (rc == 0)
		rc = host_ena_set_answer(p->ena, 0);
	if (rc)
		return probe_failed(p, rc, "taking the address back");
	probe_set32(p, ENA_REGS_MMIO_REG_READ, 7);
	probe_pause_ms(p, PROBE_QUIET_MS);
	return ena_is_filled(p, page, 0, HOST_ENA_PAGE)
		       ? PROBE_HOLDS
		       : probe_broken(p, "it still answers");
}

enum probe_verdict probe_ena_readless_wrap(struct probe *p)
{
	uint32_t value;

	for (uint32_t i = 0; i < WRAPS; i++) {
		int rc = host_ena_read_dma(p->ena, ENA_REGS_VERSION, &value);

		if (rc)
			return probe_failed(p, rc, "after many reads");
	}
	return PROBE_HOLDS;
}

/* --- Reset ---------------------------------------------------------------- */

enum probe_verdict probe_ena_reset_level(struct probe *p)
{
	int rc = host_ena_reset_begin(p->ena, ENA_REGS_RESET_NORMAL);
	uint32_t sts;

	if (rc)
		return probe_failed(p, rc, "the begin of a reset");
	probe_pause_ms(p, PROBE_QUIET_MS);
	sts = probe_get32(p, ENA_REGS_DEV_STS);
	if (!(sts & ENA_REGS_DEV_STS_RESET_IN_PROGRESS))
		return probe_broken(p, "it ends by itself: DEV_STS is %xh",
				    sts);
	rc = host_ena_reset_end(p->ena);
	return rc ? probe_failed(p, rc, "the end of a reset") : PROBE_HOLDS;
}

enum probe_verdict probe_ena_reset_again(struct probe *p)
{
	int rc = host_ena_reset_begin(p->ena, ENA_REGS_RESET_NORMAL);

	probe_set32(p, ENA_REGS_DEV_CTL, 1);
	probe_pause_ms(p, 1);
	if (rc == 0)
		rc = host_ena_reset_end(p->ena);
	if (rc == 0)
		rc = host_ena_start(p->ena);
	return rc ? probe_failed(p, rc, "a reset that began twice")
		  : PROBE_HOLDS;
}

enum probe_verdict probe_ena_reset_many(struct probe *p)
{
	for (int i = 0; i < 30; i++) {
		int rc = host_ena_reset(p->ena, ENA_REGS_RESET_NORMAL);

		if (rc)
			return probe_failed(p, rc, "one of many");
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_reset_reasons(struct probe *p)
{
	for (unsigned int i = 0; i < ENA_REGS_RESET_REASONS; i++) {
		int rc = host_ena_reset(p->ena, i);

		if (rc)
			return probe_broken(p, "reason %u: no reset", i);
	}
	return PROBE_HOLDS;
}

enum probe_verdict probe_ena_reset_forgets_queues(struct probe *p)
{
	struct host_ena_cq cq = { 0 };
	int rc = host_ena_create_cq(p->ena, 64, 2, -1, &cq);

	if (rc == 0)
		rc = host_ena_start(p->ena);
	if (rc)
		return probe_failed(p, rc, "a queue and a reset");
	return ena_want_refusal(p, host_ena_destroy_cq(p->ena, &cq));
}

enum probe_verdict probe_ena_reset_forgets_events(struct probe *p)
{
	struct ena_admin_aenq_config config = { 0 };
	int rc = host_ena_reset(p->ena, ENA_REGS_RESET_NORMAL);

	if (rc == 0)
		rc = host_ena_admin_init(p->ena);
	if (rc == 0)
		rc = host_ena_get_feature(p->ena, ENA_ADMIN_AENQ_CONFIG, 0,
					  (struct host_ena_buffer){ 0 },
					  &config, sizeof config);
	if (rc)
		return probe_failed(p, rc, "Get Feature after a reset");
	return le32_get(config.enabled_groups) == 0
		       ? PROBE_HOLDS
		       : probe_broken(p, "groups %xh are still enabled",
				      le32_get(config.enabled_groups));
}

enum probe_verdict probe_ena_reset_forgets_admin(struct probe *p)
{
	int rc = host_ena_reset(p->ena, ENA_REGS_RESET_NORMAL);
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_GET_STATS };
	struct ena_admin_acq_entry out;

	if (rc)
		return probe_failed(p, rc, "a reset");
	rc = host_ena_submit(p->ena, &entry, NULL);
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (rc)
		return probe_failed(p, rc, "a doorbell");
	(void)host_ena_reap(p->ena);
	return host_ena_take(p->ena, le16_get(entry.command_id), &out)
		       ? probe_broken(p, "a command is completed")
		       : PROBE_HOLDS;
}

enum probe_verdict probe_ena_reset_same_identity(struct probe *p)
{
	struct host_ena_facts before = p->ena->facts;
	int rc = host_ena_start(p->ena);

	if (rc)
		return probe_failed(p, rc, "starting again");
	if (memcmp(&before.attr, &p->ena->facts.attr, sizeof before.attr) != 0)
		return probe_broken(p, "its attributes have changed");
	return memcmp(&before.queues, &p->ena->facts.queues,
		      sizeof before.queues)
		       ? probe_broken(p, "its queues have changed")
		       : PROBE_HOLDS;
}

enum probe_verdict probe_ena_reset_busy(struct probe *p)
{
	struct ena_admin_aq_entry entry = { .opcode = ENA_ADMIN_GET_STATS };
	uint64_t page = ena_page(p);
	struct host_ena_packet packet = { .bytes = host_ena_at(p->ena, page),
					  .iova = page,
					  .length = 60 };
	int rc;

	for (unsigned int i = 0; i < ENA_DEPTH / 2; i++)
		(void)host_ena_tx_put(p->tx, &packet, 1);
	rc = host_ena_tx_ring(p->tx);
	for (unsigned int i = 0; i < 8 && rc == 0; i++)
		rc = host_ena_submit(p->ena, &entry, NULL);
	if (rc == 0)
		rc = host_ena_start(p->ena);
	return rc ? probe_failed(p, rc, "a reset with work to do")
		  : PROBE_HOLDS;
}

enum probe_verdict probe_ena_reset_quiet(struct probe *p)
{
	const struct host_memory *m = &p->ena->memory;
	RT_FREE uint8_t *copy = malloc(m->size);
	int rc = host_ena_reset(p->ena, ENA_REGS_RESET_NORMAL);

	if (rc || !copy)
		return probe_failed(p, rc ? rc : -ENOMEM, "a reset");
	memcpy(copy, m->bytes, m->size);
	probe_pause_ms(p, SILENCE_MS);
	return memcmp(copy, m->bytes, m->size) == 0
		       ? PROBE_HOLDS
		       : probe_broken(p, "it wrote to memory after a reset");
}
