/* SPDX-License-Identifier: BSD-3-Clause */
/* A state directory for a test. */
#ifndef TESTS_UNIT_SECURITY_CHIP_RIG_H
#define TESTS_UNIT_SECURITY_CHIP_RIG_H

#include <stddef.h>

struct rig {
	char dir[64]; /* empty at first */
};

void rig_create(struct rig *rig);
/* Removes the directory with all that is in it. */
void rig_destroy(struct rig *rig);
/* A path below it, good until the next call. */
const char *rig_path(const struct rig *rig, const char *name);
/* The whole of a file, with an end; the caller frees it. */
char *rig_read(const struct rig *rig, const char *name, size_t *out_size);
void rig_write(const struct rig *rig, const char *name, const void *bytes,
	       size_t size);

#endif
