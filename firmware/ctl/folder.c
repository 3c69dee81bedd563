/* SPDX-License-Identifier: BSD-3-Clause */
/* Temporary files.  The folder is flat and belongs to this process. */
#include "firmware/ctl/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "firmware/ctl/ctl.h"
#include "firmware/rt/scope.h"

bool ctl_folder_create(char *path, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (!runtime || access(runtime, W_OK) || strlen(runtime) > 60)
		runtime = "/tmp";
	snprintf(path, size, "%s/nitroctl-XXXXXX", runtime);
	if (mkdtemp(path))
		return true;
	ctl_complain("cannot make %s: %s", path, strerror(errno));
	return false;
}

static int remove_one(const char *path, const struct stat *status, int kind,
		      struct FTW *place)
{
	(void)status, (void)kind, (void)place;
	/* What cannot be removed does not keep the rest. */
	remove(path);
	return 0;
}

void ctl_folder_remove(const char *path)
{
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

bool ctl_copy_file(const char *from, const char *to)
{
	RT_FD int in = open(from, O_RDONLY | O_CLOEXEC);
	RT_FD int out =
		in < 0 ? -1
		       : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			      0600);
	ssize_t copied = in < 0 || out < 0 ? -1 : 1;

	while (copied > 0)
		copied = sendfile(out, in, NULL, 1 << 20);
	if (!copied)
		return true;
	ctl_complain("cannot copy %s: %s", from, strerror(errno));
	return false;
}
