/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that are made once and never changed: secrets, and wrapped keys. */
#ifndef SECURITY_CHIP_ONCE_H
#define SECURITY_CHIP_ONCE_H

#include <stddef.h>

/*
 * A file of these bytes and mode 0600, path being from the directory dir.  It
 * is there as a whole or not at all, and when this returns 0 the end of the
 * machine does not take it away.  -EEXIST: there is one, which stays as it is;
 * of several who try at a time, in whatever process, one succeeds.  Any thread.
 */
int sec_file_make_once(int dir, const char *path, const void *bytes,
		       size_t size);

#endif
