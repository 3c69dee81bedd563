/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes of a guest's memory, as a human types them. */
#include "firmware/ctl/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/scope.h"

struct unit {
	const char *name;
	unsigned int shift;
};

static const struct unit units[] = {
	{ "", 20 },    { "M", 20 },  { "MiB", 20 }, { "MB", 20 },  { "G", 30 },
	{ "GiB", 30 }, { "GB", 30 }, { "T", 40 },   { "TiB", 40 },
};

bool ctl_parse_memory(const char *text, uint64_t *out)
{
	unsigned long long number;
	char *end;

	if (!*text || !strchr("0123456789", *text))
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || number > UINT64_C(1) << 30)
		return false;
	for (size_t i = 0; i < RT_COUNT(units); i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		if (number > UINT64_MAX >> units[i].shift)
			return false;
		*out = number << units[i].shift;
		return *out >= UINT64_C(16) << 20 && *out < UINT64_C(1) << 47;
	}
	return false;
}
