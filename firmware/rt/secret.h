/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for keys.  It is never swapped, never in a core file, not inherited by
 * a child, and lies between pages that nobody may touch.  Where the kernel has
 * memfd_secret(2) it is not in the kernel's own map either, so no debugger and
 * no /proc/PID/mem reads it.  Any thread.
 */
#ifndef FIRMWARE_RT_SECRET_H
#define FIRMWARE_RT_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct rt_error;

/*
 * size bytes of zeros, aligned to 64; the caller's until rt_secret_free().
 * NULL: *error (which may be NULL) says why; mostly that RLIMIT_MEMLOCK is
 * too small, as each of them takes whole pages.
 */
void *rt_secret_alloc(size_t size, struct rt_error *error);

/* Erases and gives back what rt_secret_alloc() gave; NULL: nothing to do. */
void rt_secret_free(void *memory);

/* True: the kernel hides it even from a debugger. */
bool rt_secret_is_hidden(const void *memory);

/* Zeros that no compiler leaves out because nobody reads them; NULL: 0 bytes.
 */
void rt_erase(void *memory, size_t size);

#endif
