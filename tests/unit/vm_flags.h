/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel does with a mapping: "lo" locked, "dd" in no core file, … */
#ifndef TESTS_UNIT_VM_FLAGS_H
#define TESTS_UNIT_VM_FLAGS_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Whether the VmFlags of the mapping that an address is in have that one. */
static inline bool has_vm_flag(const volatile void *at, const char *flag)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	bool is_it = false, has = false;
	char line[512];

	cr_assert(maps);
	while (fgets(line, sizeof line, maps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			is_it = (uintptr_t)at >= start && (uintptr_t)at < end;
		else if (is_it && !strncmp(line, "VmFlags:", 8))
			has = strstr(line, flag);
	}
	fclose(maps);
	return has;
}

#endif
