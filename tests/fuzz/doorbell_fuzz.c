/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells in memory that nobody trusts: the mapped page and shadow doorbells
 * change at any moment, their buffers come and go, and the queues' memory too.
 */
#include "firmware/rt/scope.h"
#include "tests/fuzz/nvme_bench.h"

static void store_mapped(struct nvme_bench *b)
{
	volatile uint8_t *page = pcie_bar_bytes(b->fn, 0);
	uint8_t choice = input_u8(&b->in);
	uint32_t value =
		choice & 0x80 ? input_u32(&b->in) : input_u8(&b->in) % 70;
	uint16_t slot = choice & 0x40 ? input_u16(&b->in) % 1024 : choice % 8;

	if (page)
		((volatile uint32_t *)(volatile void *)page)[slot] = value;
}

static void store_shadow(struct nvme_bench *b)
{
	uint8_t choice = input_u8(&b->in);
	uint32_t page = choice & 0x80 ? 0x5000 : 0x6000;
	uint32_t value =
		choice & 0x40 ? input_u32(&b->in) : input_u8(&b->in) % 70;

	((volatile uint32_t *)(volatile void *)(b->memory + page))[choice % 8] =
		value;
}

static void configure_buffers(struct nvme_bench *b)
{
	uint8_t choice = input_u8(&b->in);
	struct nvme_cmd cmd = {
		.opcode = NVME_ADMIN_DBBUF_CONFIG,
		.prp1 = le64_put(choice & 1 ? SHARED_IOVA + 0x5000
					    : nvme_bench_address(b)),
		.prp2 = le64_put(choice & 2 ? SHARED_IOVA + 0x6000
					    : nvme_bench_address(b)),
	};

	nvme_bench_put(b, 0, &cmd);
	nvme_bench_ring(b, 0);
}

static void unmapped(struct pcie_function *fn, void *opaque)
{
	(void)fn;
	(void)opaque;
}

/* The shared window goes and comes, and a message follows, as it would. */
static void change_windows(struct nvme_bench *b)
{
	uint32_t csts;

	if (pcie_dma_unmap(b->fn, SHARED_IOVA, SHARED_BYTES, unmapped, NULL))
		return;
	if (input_u8(&b->in) & 1)
		nvme_bench_step(2);
	b->fn->type->catch_up(b->fn);
	pcie_region_read(b->fn, 0, NVME_REG_CSTS, &csts, sizeof csts);
	nvme_bench_map_shared(b);
}

static nvme_action *const actions[] = {
	store_mapped,       store_mapped,       store_mapped,   store_shadow,
	store_shadow,       configure_buffers,  change_windows, nvme_io_command,
	nvme_io_command,    nvme_doorbell,      nvme_reap,      nvme_let_run,
	nvme_admin_command, nvme_let_time_pass, nvme_reset,     nvme_replace,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nvme_bench b;

	nvme_bench_start(&b, data, size);
	nvme_bench_enable(&b);
	nvme_bench_make_queues(&b);
	nvme_bench_run(&b, actions, RT_COUNT(actions));
	nvme_bench_stop(&b);
	return 0;
}
