/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver and a host without sense: whatever they write, in whatever order,
 * the function neither breaks nor loses count.  Each seed is one life of a
 * function; NITRO_MONKEYS says how many there are.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ena/status.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "tests/unit/ena/rig.h"

#define STEPS 400

static uint64_t seed;

static uint32_t dice(uint32_t sides)
{
	seed ^= seed << 13; /* xorshift64 */
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % sides;
}

static uint32_t some_word(void)
{
	switch (dice(6)) {
	case 0:
		return UINT32_MAX;
	case 1:
		return dice(UINT32_MAX);
	case 2:
		return 1u << dice(32);
	default:
		return dice(40);
	}
}

static uint32_t some_address(void)
{
	uint32_t address = (uint32_t)RIG_IOVA + dice(0x1000) * 0x1000;

	switch (dice(8)) {
	case 0:
		return address + dice(4096);
	case 1:
		return some_word();
	default:
		return address;
	}
}

static void write_register(void)
{
	uint32_t offset = ena_registers[dice(ENA_REGISTERS)].offset;

	rig_write32(offset, dice(3) ? some_word() : some_address());
}

static void write_anything(void)
{
	uint64_t value = (uint64_t)some_word() << 32 | some_word();

	pcie_region_write(rig.fn, dice(5), dice(ENA_BAR0_BYTES), &value,
			  1 + dice(8));
}

static void read_anything(void)
{
	uint8_t bytes[8];

	pcie_region_read(rig.fn, dice(5), dice(ENA_BAR0_BYTES), bytes,
			 1 + dice(8));
}

static void fill_words(uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i + 4 <= bytes; i += 4)
		le_store(at + i, 4, dice(2) ? 0 : some_word());
}

static void command(void)
{
	static const uint8_t opcodes[] = { 1, 2, 3, 4, 8, 9, 11, 0, 77 };
	struct ena_admin_aq_entry entry = { 0 };
	struct ena_admin_feature_cmd *cmd = (void *)entry.body;

	if (ena_register_get(rig.nic, ENA_REGS_AQ_CAPS) !=
	    (64u << 16 | rig.depth))
		return;
	fill_words(entry.body, sizeof entry.body);
	entry.opcode = opcodes[dice(sizeof opcodes)];
	if (entry.opcode == 8 || entry.opcode == 9) {
		cmd->feature_id = (uint8_t)dice(34);
		cmd->buffer.length = le32_put(dice(2) ? 512 : some_word());
		cmd->buffer.address_lo = le32_put(some_address());
		cmd->buffer.address_hi = le16_put(dice(9) == 0);
	}
	rig_submit(entry);
}

static void sane_queue(void)
{
	static const uint16_t depths[] = { 2, 32, 256, 1024, 8192, 7 };
	uint16_t depth = depths[dice(RT_COUNT(depths))];
	uint8_t direction = (uint8_t)(1 + dice(2));
	int cq;

	if (ena_register_get(rig.nic, ENA_REGS_AQ_CAPS) !=
	    (64u << 16 | rig.depth))
		return;
	if (dice(3) == 0)
		rig_set_llq((uint16_t)(1u << dice(3)));
	cq = rig_create_cq((uint16_t)dice(8), (uint8_t)(2u << dice(3)), depth,
			   dice(6));
	if (cq >= 0)
		rig_create_sq((uint16_t)cq, direction,
			      (uint8_t)(dice(2) ? 1 : 3), depth);
	if (dice(3) == 0)
		rig_destroy_sq((uint16_t)dice(8), direction);
	if (dice(3) == 0)
		rig_destroy_cq((uint16_t)dice(8));
}

static void fill_memory(void)
{
	fill_words(rig_at(RIG_IOVA + dice(0x800) * 0x1000), 4096);
}

static void ring(void)
{
	rig_write32((dice(2) ? ENA_DOORBELLS : ENA_UNMASKS) + 4 * dice(70),
		    some_word());
}

static void time_passes(void)
{
	rig_wait_ms(dice(1500));
}

static void reset(void)
{
	static const enum pcie_reset_reason whys[] = { PCIE_RESET_BUS,
						       PCIE_RESET_FLR,
						       PCIE_RESET_CONTROL };
	uint16_t command_register = 6;

	if (dice(4) == 0)
		pcie_function_reset(rig.fn, whys[dice(3)], NULL, NULL);
	else
		rig_write32(ENA_REGS_DEV_CTL, some_word() | 1);
	rig_write32(ENA_REGS_DEV_CTL, 0);
	pcie_region_write(rig.fn, PCIE_CONFIG_REGION, 4, &command_register, 2);
	rig_set_up((uint16_t)(1u << (1 + dice(6))));
	rig_give_credit(RIG_AENQ_DEPTH);
	rig_enable_groups(dice(256));
}

static void fault(void)
{
	const char *name = ena_fault_points[dice(ENA_FAULTS)].name;

	if (dice(2))
		rig_fault(name, some_word());
	for (unsigned int i = 0; i < ENA_FAULTS && dice(2); i++)
		rig_clear_fault(ena_fault_points[i].name);
}

static void look(void)
{
	static char text[65536];
	struct pcie_answer answer = { text, sizeof text, 0 };

	for (size_t i = 0; i < ENA_VERBS; i++)
		ena_verbs[i].run(rig.fn, NULL, &answer, NULL);
	ena_describe(rig.fn, text, sizeof text);
}

static void go_on_elsewhere(void)
{
	if (dice(4))
		return; /* it takes long */
	rig_succeed();
	if (dice(2))
		rig_wait_ms(dice(10));
	rig_map();
}

static void (*const actions[])(void) = {
	write_register, write_register, write_anything,  read_anything,
	command,        command,        command,         sane_queue,
	fill_memory,    ring,           time_passes,     reset,
	fault,          look,           go_on_elsewhere,
};

Test(ena_monkey, nothing_that_they_do_breaks_it, .timeout = 120)
{
	const char *wanted = getenv("NITRO_MONKEYS");
	unsigned int lives = wanted ? (unsigned int)atoi(wanted) : 40;

	rt_log_set_level(RT_LOG_ERROR);
	for (unsigned int life = 1; life <= lives; life++) {
		seed = life * UINT64_C(0x9e3779b97f4a7c15);
		rig_start(dice(ENA_PROFILES));
		rig_set_up(32);
		rig.is_wild = true;
		for (unsigned int i = 0; i < STEPS; i++)
			actions[dice(RT_COUNT(actions))]();
		for (unsigned int i = 0; i < ENA_FAULTS; i++)
			rig_clear_fault(ena_fault_points[i].name);
		rig_stop();
	}
}
