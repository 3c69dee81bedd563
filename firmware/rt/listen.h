/* SPDX-License-Identifier: BSD-3-Clause */
/* Listening on a UNIX stream socket that has a name in the file system. */
#ifndef FIRMWARE_RT_LISTEN_H
#define FIRMWARE_RT_LISTEN_H

struct rt_error;

/*
 * Listen at path (mode 0600, non-blocking, close-on-exec).  A socket that a
 * dead server left there is replaced; a living one is -EADDRINUSE, any other
 * file -EEXIST.  To tell a living server from one that is just being buried may
 * take a second, so this is for the start of a program, on any thread.
 */
int rt_listen_unix(const char *path, int *out, struct rt_error *error);

#endif
