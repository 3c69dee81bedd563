/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads take and give back guards while the memory of others is cut: each
 * sees damage to its own range and to no other.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/rt/guard.h"

#define THREADS 4
#define ROUNDS  300
#define SIZE    ((size_t)16384)

static _Atomic int wrong;

static void complain(const char *what)
{
	fprintf(stderr, "%s\n", what);
	atomic_fetch_add(&wrong, 1);
}

static void use(int fd, int is_cut)
{
	volatile char *memory =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct rt_guard *guard = rt_guard_add((void *)(size_t)memory, SIZE);

	if (!guard) {
		complain("no room for a guard");
		return;
	}
	if (is_cut && ftruncate(fd, 4096))
		complain("cannot cut the file");
	memory[SIZE - 1] = 1;
	if (rt_guard_is_damaged(guard) != (bool)is_cut)
		complain("damage where there is none, or the other way round");
	rt_guard_remove(&guard);
	munmap((void *)(size_t)memory, SIZE);
}

static void *use_many(void *unused)
{
	int fd = memfd_create("shared", MFD_CLOEXEC);

	for (int i = 0; i < ROUNDS; i++) {
		if (ftruncate(fd, (off_t)SIZE))
			complain("cannot size the file");
		use(fd, i % 2);
	}
	close(fd);
	return unused;
}

int main(void)
{
	pthread_t threads[THREADS];

	if (rt_guard_install())
		return EXIT_FAILURE;
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, use_many, NULL);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
