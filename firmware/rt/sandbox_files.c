/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Landlock, by its three system calls: the library is not everywhere, and
 * headers are older than kernels.  The numbers are those of Linux
 * (include/uapi/linux/landlock.h); each ABI version adds rights, and what a
 * kernel does not know may not be asked of it.
 *
 * syscalls: openat
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "firmware/rt/run_dir.h"
#include "firmware/rt/sandbox.h"
#include "firmware/rt/sandbox_private.h"
#include "firmware/rt/scope.h"

#define FS_EXECUTE     (UINT64_C(1) << 0)
#define FS_WRITE_FILE  (UINT64_C(1) << 1)
#define FS_READ_FILE   (UINT64_C(1) << 2)
#define FS_READ_DIR    (UINT64_C(1) << 3)
#define FS_REMOVE_DIR  (UINT64_C(1) << 4)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_DIR    (UINT64_C(1) << 7)
#define FS_MAKE_REG    (UINT64_C(1) << 8)
#define FS_MAKE_SOCK   (UINT64_C(1) << 9)
#define FS_FIRST       ((UINT64_C(1) << 13) - 1) /* ABI 1 */
#define FS_REFER       (UINT64_C(1) << 13)       /* ABI 2 */
#define FS_TRUNCATE    (UINT64_C(1) << 14)       /* ABI 3 */
#define FS_IOCTL_DEV   (UINT64_C(1) << 15)       /* ABI 5 */
#define NET_BIND_TCP   (UINT64_C(1) << 0)        /* ABI 4 */
#define NET_CONNECT    (UINT64_C(1) << 1)        /* ABI 4 */
#define SCOPE_ABSTRACT (UINT64_C(1) << 0)        /* ABI 6 */
#define SCOPE_SIGNAL   (UINT64_C(1) << 1)        /* ABI 6 */

/* What can be asked of a file; the rest is of folders. */
#define OF_FILES                                                               \
	(FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define READING (FS_READ_FILE | FS_READ_DIR)
#define WRITING (READING | FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

/* As of ABI 6; a kernel takes a longer one if what it does not know is zero. */
struct ruleset {
	uint64_t fs, net, scoped;
};

static const uint64_t uses[] = {
	[RT_SANDBOX_READ] = READING,
	[RT_SANDBOX_UPDATE] = WRITING,
	[RT_SANDBOX_CREATE] = WRITING,
	[RT_SANDBOX_KEEP] =
		READING | FS_WRITE_FILE | FS_MAKE_REG | FS_REMOVE_FILE,
	[RT_SANDBOX_SOCKETS] = FS_READ_DIR | FS_MAKE_SOCK | FS_REMOVE_FILE,
	[RT_SANDBOX_FOLDER] = WRITING | FS_MAKE_REG | FS_MAKE_SOCK |
			      FS_MAKE_DIR | FS_REMOVE_FILE | FS_REMOVE_DIR |
			      FS_REFER,
	[RT_SANDBOX_DROPBOX] = FS_WRITE_FILE | FS_TRUNCATE | FS_MAKE_REG,
	[RT_SANDBOX_EXECUTE] = READING | FS_EXECUTE,
};

/* Of the process, for good. */
static bool is_restricted;

static uint64_t known_rights(int version)
{
	return FS_FIRST | (version >= 2 ? FS_REFER : 0) |
	       (version >= 3 ? FS_TRUNCATE : 0) |
	       (version >= 5 ? FS_IOCTL_DEV : 0);
}

static int begin(struct rt_sandbox_files *files, bool has_network)
{
	struct ruleset all = { 0 };
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
			       LANDLOCK_CREATE_RULESET_VERSION);

	*files = (struct rt_sandbox_files){ .rules = -1 };
	if (version < 0)
		return -errno;
	all.fs = known_rights((int)version);
	if (version >= 4 && !has_network)
		all.net = NET_BIND_TCP | NET_CONNECT;
	if (version >= 6)
		all.scoped = SCOPE_SIGNAL | (has_network ? 0 : SCOPE_ABSTRACT);
	files->rules =
		(int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
	if (files->rules < 0)
		return -errno;
	files->handled = all.fs;
	files->version = (int)version;
	return 0;
}

int rt_sandbox_files_begin(struct rt_sandbox_files *files)
{
	return begin(files, false);
}

int rt_sandbox_files_begin_networked(struct rt_sandbox_files *files)
{
	return begin(files, true);
}

/* It will be made anyway, and later it could not be. */
static void make_folder(const char *path)
{
	if (!rt_make_dirs(path) && mkdir(path, 0700))
		return; /* it is there, or cannot be; whoever uses it tells */
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY,
		      0600);

	if (fd >= 0)
		close(fd);
}

static void allow(const struct rt_sandbox_files *files, const char *path,
		  uint64_t access)
{
	RT_FD int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr beneath = { .parent_fd = fd };
	struct stat status;

	if (fd < 0 || fstat(fd, &status))
		return;
	if (!S_ISDIR(status.st_mode))
		access &= OF_FILES;
	beneath.allowed_access = access & files->handled;
	syscall(SYS_landlock_add_rule, files->rules, LANDLOCK_RULE_PATH_BENEATH,
		&beneath, 0);
}

/* To make a file is a right of its folder; one that is there is only read. */
static void allow_keeping(const struct rt_sandbox_files *files,
			  const char *path)
{
	RT_FREE char *copy = strdup(path);

	if (!access(path, F_OK))
		allow(files, path, READING);
	else if (copy)
		allow(files, dirname(copy), uses[RT_SANDBOX_KEEP]);
}

void rt_sandbox_files_allow(const struct rt_sandbox_files *files,
			    const char *path, enum rt_sandbox_use use)
{
	if (files->rules < 0 || !path)
		return;
	if (use == RT_SANDBOX_CREATE)
		make_file(path);
	if (use == RT_SANDBOX_FOLDER || use == RT_SANDBOX_DROPBOX)
		make_folder(path);
	if (use == RT_SANDBOX_KEEP)
		allow_keeping(files, path);
	else
		allow(files, path, uses[use]);
}

int rt_sandbox_files_enforce(struct rt_sandbox_files *files)
{
	int code = 0;

	if (files->rules < 0)
		return -ENOSYS;
	if (syscall(SYS_landlock_restrict_self, files->rules, 0))
		code = -errno;
	close(files->rules);
	files->rules = -1;
	if (code)
		files->version = 0;
	is_restricted = !code;
	return code;
}

/* ---- A door of which refusals can be told ---- */

static void report_file(const char *path)
{
	struct rt_sandbox_refusal refusal = { .number = SYS_openat };

	refusal.thread = (int32_t)syscall(SYS_gettid);
	prctl(PR_GET_NAME, refusal.name);
	snprintf(refusal.path, sizeof refusal.path, "%s", path);
	rt_sandbox_report(&refusal);
}

int rt_sandbox_open(const char *path, int flags, mode_t mode)
{
	int fd = open(path, flags | O_CLOEXEC, mode);

	if (fd < 0 && errno == EACCES && is_restricted) {
		report_file(path);
		errno = EACCES;
	}
	return fd;
}
