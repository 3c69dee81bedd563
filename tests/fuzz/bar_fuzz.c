/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Register and configuration accesses of every size at every offset, with
 * memory behind the queues that they may set up.
 */
#include "firmware/rt/scope.h"
#include "tests/fuzz/nvme_bench.h"

static nvme_action *const actions[] = {
	nvme_region_access, nvme_region_access, nvme_region_access,
	nvme_region_access, nvme_register,      nvme_register,
	nvme_doorbell,      nvme_fill_memory,   nvme_let_run,
	nvme_let_time_pass, nvme_restart,       nvme_admin_command,
	nvme_io_command,    nvme_reset,         nvme_answer,
	nvme_replace,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nvme_bench b;

	nvme_bench_start(&b, data, size);

	nvme_bench_run(&b, actions, RT_COUNT(actions));
	nvme_bench_stop(&b);
	return 0;
}
