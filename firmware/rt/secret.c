/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for keys: pages of memfd_secret(2), or else locked anonymous ones.
 * Owns each mapping until it is given back:
 *
 *   page that faults │ head, the caller's bytes … │ page that faults
 *
 * Any thread; there is nothing shared.
 *
 * syscalls: memfd_secret ftruncate mlock2 madvise munmap
 * syscalls: mmap[2&PROT_EXEC=0]
 */
#include "firmware/rt/secret.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"

#define HEAD_MARK UINT64_C(0x7465726365732d72)

struct head {
	uint64_t mark;
	size_t size; /* of the mapping between the guards */
	bool is_hidden;
	char fill[64 - sizeof(uint64_t) - sizeof(size_t) - sizeof(bool)];
};
static_assert(sizeof(struct head) == 64, "what follows is aligned");

void rt_erase(void *memory, size_t size)
{
	if (size)
		explicit_bzero(memory, size);
}

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int say_why(struct rt_error *error, int code, size_t size)
{
	struct rlimit limit = { 0 };

	rt_error_set(error, -code,
		     "cannot lock %zu bytes of memory for keys: %s", size,
		     strerror(code));
	if (code != ENOMEM && code != EAGAIN && code != EPERM)
		return -code;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	rt_error_hint(error,
		      "this process may lock %llu KiB; allow more: "
		      "LimitMEMLOCK= in the unit, or ulimit -l",
		      (unsigned long long)(limit.rlim_cur >> 10));
	return -code;
}

/* Its pages are locked by their nature.  False: this kernel has none. */
static bool map_hidden(void *at, size_t size)
{
	RT_FD int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size))
		return false;
	return mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		    fd, 0) != MAP_FAILED;
}

static int map_locked(void *at, size_t size)
{
	if (mmap(at, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return errno;
	/* As mlock(), which sanitizers make do nothing. */
	return mlock2(at, size, 0) ? errno : 0;
}

/* Between the guards, whichever way there is. */
static int fill(uint8_t *at, size_t size)
{
	bool is_hidden = map_hidden(at, size);
	int code = is_hidden ? 0 : map_locked(at, size);
	struct head *head = (struct head *)at;

	if (code)
		return code;
	/* The hidden ones are out of core files anyway. */
	if ((madvise(at, size, MADV_DONTDUMP) ||
	     madvise(at, size, MADV_DONTFORK)) &&
	    !is_hidden)
		return errno;
	*head = (struct head){ .mark = HEAD_MARK,
			       .size = size,
			       .is_hidden = is_hidden };
	return 0;
}

void *rt_secret_alloc(size_t size, struct rt_error *error)
{
	size_t page = page_size(), whole;
	uint8_t *memory;
	int code;

	if (__builtin_add_overflow(size, sizeof(struct head) + 3 * page,
				   &whole)) {
		say_why(error, ENOMEM, size);
		return NULL;
	}
	size = (size + sizeof(struct head) + page - 1) / page * page;
	memory = mmap(NULL, size + 2 * page, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		say_why(error, errno, size);
		return NULL;
	}
	code = fill(memory + page, size);
	if (code) {
		munmap(memory, size + 2 * page);
		say_why(error, code, size);
		return NULL;
	}
	return memory + page + sizeof(struct head);
}

static struct head *head_of(const void *memory)
{
	struct head *head =
		(struct head *)((uintptr_t)memory - sizeof(struct head));

	assert(head->mark == HEAD_MARK);
	return head;
}

bool rt_secret_is_hidden(const void *memory)
{
	return head_of(memory)->is_hidden;
}

void rt_secret_free(void *memory)
{
	size_t page = page_size(), size;
	struct head *head;

	if (!memory)
		return;
	head = head_of(memory);
	size = head->size;
	rt_erase(head, size);
	munmap((uint8_t *)head - page, size + 2 * page);
}
