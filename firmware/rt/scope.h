/* SPDX-License-Identifier: BSD-3-Clause */
/* Clean-up at the end of a scope; ownership is handed over by clearing. */
#ifndef FIRMWARE_RT_SCOPE_H
#define FIRMWARE_RT_SCOPE_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static inline void rt_scope_free(void *p)
{
	free(*(void **)p);
}

static inline void rt_scope_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define RT_FREE __attribute__((cleanup(rt_scope_free)))
#define RT_FD   __attribute__((cleanup(rt_scope_close)))

/* The descriptor leaves the scope's care. */
static inline int rt_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define RT_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define rt_container_of(ptr, type, member)                                     \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
