/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guards against memory that is pulled away.
 *
 * The table is static because the signal handler must find it; it holds
 * addresses of the moment and no device state.  A guard is free when its size
 * is 0.  Adding stores the start first and the size last; the handler loads the
 * size first, so it never takes a half-made guard for a range.  Guards are
 * removed only when nothing touches their range any more, so a guard cannot
 * change under a handler that is at work on a fault in it.
 *
 * The handler runs on the thread that touched the page and calls nothing but
 * mmap(), madvise() and sigaction(), which are single system calls.
 *
 * syscalls: rt_sigaction mmap[2&PROT_EXEC=0] madvise
 * syscalls: tgkill[0=getpid()]
 */
#include "firmware/rt/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct rt_guard {
	_Atomic uintptr_t start;
	_Atomic size_t size; /* 0: free */
	_Atomic bool is_taken, is_damaged;
};

_Atomic uint64_t rt_guard_damage_count;

static struct rt_guard guards[RT_GUARDS];
/* Guards that were ever in use: what the handler has to look through. */
static _Atomic size_t used_count;
static uintptr_t page_size = 4096;

static struct rt_guard *find_guard(uintptr_t address)
{
	size_t count = atomic_load(&used_count);

	for (size_t i = 0; i < count; i++) {
		size_t size = atomic_load(&guards[i].size);
		uintptr_t start = atomic_load(&guards[i].start);

		if (size && address - start < size)
			return &guards[i];
	}
	return NULL;
}

static void give_up(int number)
{
	struct sigaction by_default = { .sa_handler = SIG_DFL };

	/* Returning repeats the access, which now ends the process. */
	sigaction(number, &by_default, NULL);
}

static bool replace(uintptr_t start, size_t size)
{
	if (mmap((void *)start, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
		 0) == MAP_FAILED)
		return false;
	/* As what it replaces: others' data, which no core file has. */
	madvise((void *)start, size, MADV_DONTDUMP);
	return true;
}

/*
 * The whole range goes at the first lost page: a client that cuts and grows its
 * file all the time costs one fault and one mapping, and huge pages, which
 * cannot be replaced by small ones, need no care.
 */
static bool mend(struct rt_guard *guard, uintptr_t address)
{
	atomic_store(&guard->is_damaged, true);
	atomic_fetch_add(&rt_guard_damage_count, 1);
	return replace(atomic_load(&guard->start), atomic_load(&guard->size)) ||
	       replace(address & ~(page_size - 1), page_size);
}

static void page_lost(int number, siginfo_t *info, void *context)
{
	int saved_errno = errno;
	uintptr_t address = (uintptr_t)info->si_addr;
	struct rt_guard *guard = NULL;

	(void)context;
	/* Other codes are not the end of a file: kill(), broken memory. */
	if (info->si_code == BUS_ADRERR)
		guard = find_guard(address);
	if (!guard || !mend(guard, address))
		give_up(number);
	if (info->si_code <= 0)
		raise(number); /* it was sent, so no access will repeat it */
	errno = saved_errno;
}

int rt_guard_install(void)
{
	struct sigaction action = { .sa_sigaction = page_lost,
				    .sa_flags = SA_SIGINFO };

	page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) ? -errno : 0;
}

static void raise_used_count(size_t count)
{
	size_t used = atomic_load(&used_count);

	while (used < count &&
	       !atomic_compare_exchange_weak(&used_count, &used, count))
		;
}

static bool take(struct rt_guard *guard)
{
	bool is_taken = false;

	return atomic_compare_exchange_strong(&guard->is_taken, &is_taken,
					      true);
}

struct rt_guard *rt_guard_add(void *start, size_t size)
{
	for (size_t i = 0; i < RT_GUARDS; i++) {
		struct rt_guard *guard = &guards[i];

		if (!take(guard))
			continue;
		atomic_store(&guard->is_damaged, false);
		atomic_store(&guard->start, (uintptr_t)start);
		atomic_store(&guard->size, size);
		raise_used_count(i + 1);
		return guard;
	}
	return NULL;
}

bool rt_guard_is_damaged(const struct rt_guard *guard)
{
	return atomic_load_explicit(&guard->is_damaged, memory_order_relaxed);
}

void rt_guard_remove(struct rt_guard **guard)
{
	if (!*guard)
		return;
	atomic_store(&(*guard)->size, 0);
	atomic_store(&(*guard)->is_taken, false);
	*guard = NULL;
}
