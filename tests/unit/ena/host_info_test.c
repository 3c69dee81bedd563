/* SPDX-License-Identifier: BSD-3-Clause */
/* What the driver tells about itself. */
#include <criterion/criterion.h>
#include <string.h>

#include "ena/status.h"
#include "pcie-model/function.h"
#include "tests/unit/ena/rig.h"

TestSuite(ena_host_info, .init = rig_start_ready, .fini = rig_stop);

static int tell(uint64_t info, uint64_t debug, uint32_t bytes)
{
	struct ena_admin_host_attr attr = { le64_put(info), le64_put(debug),
					    le32_put(bytes) };

	return rig_set(ENA_ADMIN_HOST_ATTR_CONFIG, &attr, sizeof attr, 0);
}

Test(ena_host_info, it_is_shown_in_the_status)
{
	struct ena_admin_host_info *info = (void *)rig_at(RIG_HOST);
	char text[2048];

	info->os_type = le32_put(ENA_ADMIN_OS_LINUX);
	strcpy(info->kernel_ver_str, "6.12.\"x\\\x1b");
	info->driver_version = le32_put(0x67001102);
	cr_assert_eq(tell(RIG_HOST, 0, 0), 0);
	ena_describe(rig.fn, text, sizeof text);
	cr_expect(strstr(text, "\"driver\": {\"version\": \"2.17.0g\", "
			       "\"system\": \"Linux\", "
			       "\"kernel\": \"6.12.?x??\"}"),
		  "%s", text);
}

Test(ena_host_info, an_address_out_of_reach_is_told_and_taken)
{
	cr_expect_eq(tell(0x70000000, 0, 0), 0);
	cr_expect_eq(rig_broken(ENA_RULE_HOST_INFO), 1);
}

Test(ena_host_info, strings_without_an_end_are_cut)
{
	memset(rig_at(RIG_HOST), 'a', sizeof(struct ena_admin_host_info));
	cr_expect_eq(tell(RIG_HOST, 0, 0), 0);
	cr_expect_eq(
		tell(RIG_IOVA + RIG_BYTES - sizeof(struct ena_admin_host_info),
		     0, 0),
		0);
}

Test(ena_host_info, the_debug_area_is_read_at_a_reset_and_never_outside)
{
	memset(rig_at(RIG_DEBUG), 'x', 4096);
	cr_expect_eq(tell(RIG_HOST, RIG_DEBUG, 4096), 0);
	rig_reset(ENA_REGS_RESET_MISS_TX_CMPL);
	rig_set_up(32);
	cr_expect_eq(tell(RIG_HOST, RIG_IOVA + RIG_BYTES - 8, UINT32_MAX), 0);
	rig_reset(ENA_REGS_RESET_MISS_TX_CMPL);
}
