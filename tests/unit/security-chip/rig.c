/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/security-chip/rig.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rig_create(struct rig *rig)
{
	strcpy(rig->dir, "/tmp/chip-test-XXXXXX");
	if (!mkdtemp(rig->dir))
		abort();
}

static int remove_one(const char *path, const struct stat *status, int kind,
		      struct FTW *place)
{
	(void)status, (void)kind, (void)place;
	return remove(path);
}

void rig_destroy(struct rig *rig)
{
	nftw(rig->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *rig_path(const struct rig *rig, const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", rig->dir, name);
	return path;
}

char *rig_read(const struct rig *rig, const char *name, size_t *out_size)
{
	FILE *file = fopen(rig_path(rig, name), "r");
	char *bytes = calloc(1, 1 << 20);

	if (!file || !bytes)
		abort();
	*out_size = fread(bytes, 1, (1 << 20) - 1, file);
	fclose(file);
	return bytes;
}

void rig_write(const struct rig *rig, const char *name, const void *bytes,
	       size_t size)
{
	FILE *file = fopen(rig_path(rig, name), "w");

	if (!file || fwrite(bytes, 1, size, file) != size || fclose(file))
		abort();
}
