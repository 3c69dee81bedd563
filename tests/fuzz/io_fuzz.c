/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile reads and writes: any block, any PRP, lists that point to themselves
 * or nowhere, while queues come and go.
 */
#include "firmware/rt/scope.h"
#include "tests/fuzz/nvme_bench.h"

static nvme_action *const actions[] = {
	nvme_io_command,    nvme_io_command,    nvme_io_command,
	nvme_io_command,    nvme_fill_list,     nvme_fill_list,
	nvme_raw_command,   nvme_doorbell,      nvme_reap,
	nvme_let_run,       nvme_let_time_pass, nvme_answer,
	nvme_admin_command, nvme_reset,         nvme_stall,
	nvme_replace,
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
