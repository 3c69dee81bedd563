/* SPDX-License-Identifier: BSD-3-Clause */
/* Registers, reads by DMA, and resets of every kind. */
#include <criterion/criterion.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "firmware/rt/error.h"
#include "pcie-model/function.h"
#include "tests/unit/ena/rig.h"

static void start(void)
{
	rig_start(ENA_PROFILE_NITRO_V4);
	rig_set_up(32);
}

TestSuite(ena_device, .init = start, .fini = rig_stop);

Test(ena_device, it_is_ready_and_says_what_it_is_from_power_on)
{
	cr_expect_eq(rig_read32(ENA_REGS_VERSION), 0x0a);
	cr_expect_eq(rig_read32(ENA_REGS_CONTROLLER_VERSION), 0x01000001);
	cr_expect_eq(rig_read32(ENA_REGS_CAPS), 0x303d);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 1);
	cr_expect_eq(rig_read32(ENA_REGS_INTR_MASK), 1);
	cr_expect_eq(rig_read32(0x6c), 0, "between registers");
	cr_expect_eq(rig_read32(0x104), 0, "behind them");
	cr_expect_eq(rig.fn->identity.device, 0xec20);
	cr_expect_eq(rig.fn->identity.msix_vectors, 5);
	cr_expect_eq(rig.fn->identity.bars[2].size, 4u << 20);
}

Test(ena_device, every_register_is_read_by_dma_as_directly)
{
	uint32_t value;

	for (size_t i = 0; i < ENA_REGISTERS; i++) {
		uint32_t offset = ena_registers[i].offset;

		if (offset == ENA_REGS_MMIO_REG_READ)
			continue;
		cr_assert(rig_readless(offset, &value));
		cr_expect_eq(value, rig_read32(offset), "%#x", offset);
	}
	cr_expect_eq(rig_broken(ENA_RULE_READLESS_OFFSET), 0);
	cr_assert(rig_readless(0x6c, &value));
	cr_expect_eq(value, 0);
	cr_expect_eq(rig_broken(ENA_RULE_READLESS_OFFSET), 1);
}

Test(ena_device, reads_by_dma_work_for_65536_and_more)
{
	uint32_t value;

	for (unsigned int i = 0; i < 70000; i++)
		cr_assert(rig_readless(ENA_REGS_VERSION, &value));
}

Test(ena_device, no_read_goes_to_an_address_that_was_taken_back)
{
	uint32_t value;

	rig_write32(ENA_REGS_MMIO_RESP_LO, 0);
	rig_write32(ENA_REGS_MMIO_RESP_HI, 0);
	cr_expect_not(rig_readless(ENA_REGS_VERSION, &value));
	cr_expect_eq(rig_broken(ENA_RULE_READLESS_ADDRESS), 1);
	rig_write32(ENA_REGS_MMIO_RESP_LO, (uint32_t)RIG_READLESS + 4);
	cr_expect_not(rig_readless(ENA_REGS_VERSION, &value));
	rig_write32(ENA_REGS_MMIO_RESP_LO, 0x10);
	cr_expect_not(rig_readless(ENA_REGS_VERSION, &value));
	cr_expect_eq(rig_broken(ENA_RULE_READLESS_MEMORY), 2);
}

Test(ena_device, nothing_is_written_while_bus_mastering_is_off)
{
	uint16_t command = 2;
	uint32_t value;

	pcie_region_write(rig.fn, PCIE_CONFIG_REGION, PCI_COMMAND, &command, 2);
	cr_expect_not(rig_readless(ENA_REGS_VERSION, &value));
	cr_expect_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), -1);
}

Test(ena_device, a_reset_is_held_until_the_driver_ends_it)
{
	uint32_t value;

	rig_write32(ENA_REGS_DEV_CTL, 0x30000001);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 9);
	/* As Linux does: the address again, then it waits. */
	rig_write32(ENA_REGS_MMIO_RESP_LO, (uint32_t)RIG_READLESS);
	rig_write32(ENA_REGS_MMIO_RESP_HI, 0);
	rig_wait_ms(5000);
	cr_assert(rig_readless(ENA_REGS_DEV_STS, &value));
	cr_expect_eq(value, 9);
	rig_write32(ENA_REGS_DEV_CTL, 0);
	cr_assert(rig_readless(ENA_REGS_DEV_STS, &value));
	cr_expect_eq(value, 1);
	cr_expect_eq(rig.nic->state->resets[3], 1);
	cr_expect_eq(rig.nic->state->last_reason, 3);
}

Test(ena_device, a_reset_in_a_reset_begins_anew)
{
	rig_write32(ENA_REGS_DEV_CTL, 1);
	rig_write32(ENA_REGS_DEV_CTL, 1);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 9);
	rig_write32(ENA_REGS_DEV_CTL, 0);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 1);
	rig_write32(ENA_REGS_DEV_CTL, 0);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 1);
}

Test(ena_device, a_reset_forgets_all_but_the_address_of_reads_and_the_mac)
{
	struct ena_admin_mtu mtu = { le32_put(1500) };
	uint8_t mac[6];
	uint32_t value;

	cr_assert_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), 0);
	memcpy(mac, rig.last.body + 24, sizeof mac);
	cr_assert_eq(rig_set(ENA_ADMIN_MTU, &mtu, sizeof mtu, 0), 0);
	rig_set_llq(ENA_ADMIN_LLQ_ENTRY_128B);
	rig_make_queue(ENA_ADMIN_SQ_DIRECTION_TX);
	rig_reset(ENA_REGS_RESET_ADMIN_TO);
	cr_expect(rig_readless(ENA_REGS_VERSION, &value));
	cr_expect_eq(rig_read32(ENA_REGS_AQ_CAPS), 0);
	cr_expect_eq(rig_read32(ENA_REGS_INTR_MASK), 1);
	cr_expect_eq(rig.nic->state->mtu, 9216);
	cr_expect_not(rig.nic->state->llq.is_set);
	cr_expect_eq(rig.nic->state->sq[0].depth, 0);
	rig_set_up(32);
	cr_assert_eq(rig_get(ENA_ADMIN_DEVICE_ATTRIBUTES, 0), 0);
	cr_expect_arr_eq(mac, rig.last.body + 24, sizeof mac);
}

Test(ena_device, extended_reasons_count_where_they_are_offered)
{
	rig_reset(ENA_REGS_RESET_DEVICE_REQUEST);
	cr_expect_eq(rig.nic->state->last_reason, 19);
	rig_stop();
	rig_start(ENA_PROFILE_XEN);
	rig_write32(ENA_REGS_DEV_CTL, 0x31000001);
	cr_expect_eq(rig.nic->state->last_reason, 3);
}

Test(ena_device, old_ipxe_leaves_the_reset_by_setting_up_its_queues)
{
	rig_write32(ENA_REGS_DEV_CTL, 1);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 9, "it waits for READY");
	rig_write32(ENA_REGS_ACQ_CAPS, 64u << 16 | 2);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 1);
}

Test(ena_device, commands_that_wait_end_with_the_reset)
{
	rig_write32(ENA_REGS_DEV_CTL, 1);
	rig_submit((struct ena_admin_aq_entry){ .opcode = 8 });
	rig_turn();
	cr_expect_not(rig_completion());
	cr_expect_eq(rig_broken(ENA_RULE_ADMIN_NOT_READY), 1);
}

Test(ena_device, a_function_reset_forgets_the_address_of_reads_too)
{
	uint32_t value;

	pcie_function_reset(rig.fn, PCIE_RESET_FLR, NULL, NULL);
	rig_turn();
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 1);
	cr_expect_eq(rig_read32(ENA_REGS_MMIO_RESP_LO), 0);
	cr_expect_not(rig_readless(ENA_REGS_VERSION, &value));
}

Test(ena_device, odd_accesses_change_nothing_and_are_told)
{
	uint8_t bytes[8] = { 1 };

	pcie_region_write(rig.fn, 0, ENA_REGS_DEV_CTL, bytes, 1);
	pcie_region_write(rig.fn, 0, ENA_REGS_DEV_CTL + 2, bytes, 4);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 1);
	cr_expect_eq(rig_broken(ENA_RULE_REGISTER_ACCESS), 2);
	rig_write32(ENA_REGS_DEV_STS, 0xff);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 1);
	cr_expect_eq(rig_broken(ENA_RULE_REGISTER_READ_ONLY), 1);
}

Test(ena_device, two_registers_can_be_written_at_once)
{
	uint64_t address = UINT64_C(0x123456789000);

	pcie_region_write(rig.fn, 0, ENA_REGS_MMIO_RESP_LO, &address, 8);
	cr_expect_eq(rig_read32(ENA_REGS_MMIO_RESP_LO), 0x56789000);
	cr_expect_eq(rig_read32(ENA_REGS_MMIO_RESP_HI), 0x1234);
}

/* ---- faults ---- */

Test(ena_device, fault_readless_leaves_reads_unanswered)
{
	uint32_t value;

	rig_fault("readless", 0);
	cr_expect_not(rig_readless(ENA_REGS_VERSION, &value));
	rig_clear_fault("readless");
	cr_expect(rig_readless(ENA_REGS_VERSION, &value));
}

Test(ena_device, fault_reset_stuck_keeps_out_of_reset_or_in_it)
{
	rig_fault("reset_stuck", 0);
	rig_write32(ENA_REGS_DEV_CTL, 1);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 1);
	rig_clear_fault("reset_stuck");
	rig_fault("reset_stuck", 1);
	rig_write32(ENA_REGS_DEV_CTL, 1);
	rig_write32(ENA_REGS_DEV_CTL, 0);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 9);
	rig_clear_fault("reset_stuck");
	rig_write32(ENA_REGS_DEV_CTL, 0);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 1);
}

Test(ena_device, fault_not_ready_says_so_both_ways)
{
	uint32_t value = 1;

	rig_fault("not_ready", 0);
	cr_expect_eq(rig_read32(ENA_REGS_DEV_STS), 0);
	cr_assert(rig_readless(ENA_REGS_DEV_STS, &value));
	cr_expect_eq(value, 0);
}

/* ---- configuration ---- */

Test(ena_create, addresses_that_no_nic_has_are_refused)
{
	static const char *const bad[] = { "03:00:00:00:00:01",
					   "00:00:00:00:00:00", "02:00",
					   "02:00:00:00:00:01x", "" };
	struct rt_loop *loop;
	struct pcie_function *fn;
	struct rt_error error;

	cr_assert_eq(rt_loop_create(NULL, &loop), 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char mac[32];
		struct ena_config config = { .mac = mac };

		strcpy(mac, bad[i]);
		cr_expect_lt(pcie_function_create(&ena_function, "eth0", loop,
						  &config, &fn, &error),
			     0, "%s", bad[i]);
		cr_expect_str_eq(error.place, "mac");
	}
	rt_loop_destroy(&loop);
}

Test(ena_create, nics_of_one_switch_are_neighbours_and_others_are_not)
{
	char lan[] = "lan";
	struct ena_config named = { .lan = lan }, alone = { 0 };

	cr_expect_str_eq(ena_function.neighbours(&named), "lan");
	cr_expect_null(ena_function.neighbours(&alone));
}
