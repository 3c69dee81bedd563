/* SPDX-License-Identifier: BSD-3-Clause */
/* The default directories.  Any thread; owns nothing. */
#include "firmware/rt/run_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/scope.h"

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

int rt_state_dir(char *path, size_t size)
{
	const char *given = getenv("STATE_DIRECTORY");
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int length;

	/* Of several directories, systemd's list begins with ours. */
	if (given && given[0] == '/')
		length = snprintf(path, size, "%.*s", (int)strcspn(given, ":"),
				  given);
	else if (geteuid() == 0)
		length = snprintf(path, size, "/var/lib/nitro-card");
	else if (state && state[0] == '/')
		length = snprintf(path, size, "%s/nitro-card", state);
	else if (home && home[0] == '/')
		length = snprintf(path, size, "%s/.local/state/nitro-card",
				  home);
	else
		return -ENOENT;
	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

int rt_make_dirs(const char *path)
{
	RT_FREE char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; *copy && *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}
