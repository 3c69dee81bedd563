/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that another process may pull away.  A client that shares a file with
 * us can shorten it, and touching a page past the new end raises SIGBUS.  A
 * guarded range is then replaced by private zeroed memory, all of it, and
 * marked as damaged: the access goes on, and whoever owns the range sees it. A
 * SIGBUS anywhere else ends the process as it always did.
 */
#ifndef FIRMWARE_RT_GUARD_H
#define FIRMWARE_RT_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RT_GUARDS 4096 /* ranges at a time, of the whole process */

struct rt_guard;

extern _Atomic uint64_t rt_guard_damage_count; /* of rt_guard_damages() */

/* Take over SIGBUS, once, before the first thread.  A negative errno or 0. */
int rt_guard_install(void);

/*
 * Guard a mapping of size bytes at start, which is page-aligned, from now until
 * rt_guard_remove().  NULL: no room for another.  Any thread.
 */
struct rt_guard *rt_guard_add(void *start, size_t size);

/* A page of the range was lost since it was added.  Any thread. */
bool rt_guard_is_damaged(const struct rt_guard *guard);

/* How many guards were damaged so far, of the whole process.  Any thread. */
static inline uint64_t rt_guard_damages(void)
{
	return atomic_load_explicit(&rt_guard_damage_count,
				    memory_order_acquire);
}

/* Before the range is unmapped; sets *guard to NULL.  NULL: nothing to do. */
void rt_guard_remove(struct rt_guard **guard);

#endif
