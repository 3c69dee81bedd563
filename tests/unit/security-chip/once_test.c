/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that are made once, and survive the end of the machine. */
#include "security-chip/once.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/security-chip/rig.h"

static struct rig rig;
static int dir;

/* Folders that were synced when they already had the file. */
static unsigned int synced_folders;
static const char *watched;

/* In the place of the C library's. */
int fsync(int fd)
{
	struct stat status;

	if (!fstat(fd, &status) && S_ISDIR(status.st_mode) && watched &&
	    !faccessat(fd, watched, F_OK, 0))
		synced_folders++;
	return (int)syscall(SYS_fsync, fd);
}

static void set_up(void)
{
	rig_create(&rig);
	dir = open(rig.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(dir, 0);
	cr_assert_eq(mkdirat(dir, "keys", 0700), 0);
}

static void tear_down(void)
{
	close(dir);
	rig_destroy(&rig);
}

TestSuite(sec_once, .init = set_up, .fini = tear_down);

static unsigned int count_files(const char *folder)
{
	DIR *stream = opendir(rig_path(&rig, folder));
	unsigned int count = 0;

	cr_assert(stream);
	for (struct dirent *entry; (entry = readdir(stream));)
		count += entry->d_name[0] != '.';
	closedir(stream);
	return count;
}

Test(sec_once, a_file_is_private_and_made_once)
{
	struct stat status;
	size_t size;
	char *bytes;

	umask(0);
	cr_expect_eq(sec_file_make_once(dir, "keys/a", "first", 5), 0);
	cr_expect_eq(sec_file_make_once(dir, "keys/a", "second", 6), -EEXIST);
	bytes = rig_read(&rig, "keys/a", &size);
	cr_expect_eq(size, 5);
	cr_expect_str_eq(bytes, "first");
	free(bytes);
	cr_assert_eq(stat(rig_path(&rig, "keys/a"), &status), 0);
	cr_expect_eq(status.st_mode & 0777, 0600);
	cr_expect_eq(count_files("keys"), 1, "something was left beside it");
}

Test(sec_once, its_name_is_as_durable_as_its_bytes)
{
	watched = "a";
	cr_expect_eq(sec_file_make_once(dir, "keys/a", "bytes", 5), 0);
	cr_expect_eq(synced_folders, 1);
	/* Who finds it may need it before its maker has come so far. */
	cr_expect_eq(sec_file_make_once(dir, "keys/a", "bytes", 5), -EEXIST);
	cr_expect_eq(synced_folders, 2);
	watched = "b";
	cr_expect_eq(sec_file_make_once(dir, "b", "bytes", 5), 0);
	cr_expect_eq(synced_folders, 3);
}

Test(sec_once, what_cannot_be_is_said)
{
	char longest[5000];

	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	cr_expect_eq(sec_file_make_once(dir, "nowhere/a", "bytes", 5), -ENOENT);
	cr_expect_eq(sec_file_make_once(dir, longest, "bytes", 5),
		     -ENAMETOOLONG);
	cr_expect_eq(count_files("keys"), 0);
}
