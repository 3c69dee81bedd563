/* SPDX-License-Identifier: BSD-3-Clause */
/* The default directory of sockets.  Any thread; owns nothing. */
#include "firmware/rt/run_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int rt_run_dir(char *path, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int length;

	if (geteuid() == 0)
		length = snprintf(path, size, "/run/nitro-card");
	else if (runtime && runtime[0] == '/')
		length = snprintf(path, size, "%s/nitro-card", runtime);
	else
		length = snprintf(path, size, "/tmp/nitro-card-%u", geteuid());
	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}
