/* SPDX-License-Identifier: BSD-3-Clause */
/* How much memory a guest shall have. */
#ifndef FIRMWARE_CTL_SIZE_H
#define FIRMWARE_CTL_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#define CTL_MEMORY_RULE                                                        \
	"'%s' is not a size of at least 16MiB, such as 512MiB or 4GiB"

/* "1GiB", "512M", a bare number of MiB as in QEMU; whole MiB only. */
bool ctl_parse_memory(const char *text, uint64_t *out);

#endif
