/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files behind guest memory: which descriptors are memory, one mapping per
 * file, guards against files that are shortened under us.
 *
 * Owns the mappings and a duplicate of each descriptor (a later firmware maps
 * them again from it).  On the function's loop thread.
 *
 * syscalls: fcntl mmap[2&PROT_EXEC=0] munmap madvise fstat fstatfs
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "firmware/rt/guard.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "pcie-model/dma_private.h"
#include "pcie-model/function.h"

/*
 * A page fault in anything but these may wait for a disk, a network or another
 * program, and with it all that runs on our thread.
 */
static bool is_memory(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) &&
	       (fs.f_type == TMPFS_MAGIC ||
		(unsigned long)fs.f_type == HUGETLBFS_MAGIC);
}

static bool is_shortenable(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals < 0 || !(seals & F_SEAL_SHRINK);
}

static struct pcie_dma_file *find_file(struct pcie_function *fn,
				       const struct stat *st, uint64_t end,
				       bool is_write)
{
	struct pcie_dma_file *file;

	LIST_FOREACH (file, &fn->dma.files, entry)
		if (file->device == st->st_dev && file->inode == st->st_ino &&
		    end <= file->size && (file->is_writeable || !is_write))
			return file;
	return NULL;
}

static bool is_known_private(struct pcie_function *fn, const struct stat *st)
{
	struct pcie_dma_file *file;

	LIST_FOREACH (file, &fn->dma.files, entry)
		if (file->device == st->st_dev && file->inode == st->st_ino &&
		    file->is_private)
			return true;
	return false;
}

static void *map_bytes(int fd, uint64_t size, bool is_writeable)
{
	int protection = PROT_READ | (is_writeable ? PROT_WRITE : 0);

	return mmap(NULL, size, protection, MAP_SHARED, fd, 0);
}

/* Writeable if it can be: windows that only read come before others. */
static int map_file(struct pcie_dma_file *file, int access_mode, bool is_write)
{
	void *bytes = MAP_FAILED;

	if (access_mode == O_RDWR)
		bytes = map_bytes(file->fd, file->size, true);
	file->is_writeable = bytes != MAP_FAILED;
	if (bytes == MAP_FAILED && !is_write)
		bytes = map_bytes(file->fd, file->size, false);
	if (bytes == MAP_FAILED)
		return errno == ENOMEM ? -ENOMEM : -EACCES;
	/* A guest's secrets do not belong in our core files. */
	madvise(bytes, file->size, MADV_DONTDUMP);
	file->bytes = bytes;
	return 0;
}

static void free_file(struct pcie_function *fn, struct pcie_dma_file *file)
{
	LIST_REMOVE(file, entry);
	fn->dma.file_count--;
	rt_guard_remove(&file->guard);
	munmap(file->bytes, file->size);
	close(file->fd);
	free(file);
}

/* To refuse the window would be the end of QEMU. */
static int tell_too_many(struct pcie_function *fn)
{
	rt_log_warn(fn->name, "the client shares memory from too many files: "
			      "one more is reached by slow messages");
	return 0;
}

static int open_file(struct pcie_function *fn, int fd, const struct stat *st,
		     bool is_write, struct pcie_dma_file **out)
{
	RT_FREE struct pcie_dma_file *file = calloc(1, sizeof *file);
	RT_FD int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int access_mode = fcntl(fd, F_GETFL) & O_ACCMODE;
	int error;

	if (!file || copy < 0)
		return -ENOMEM;
	file->device = st->st_dev;
	file->inode = st->st_ino;
	file->size = (uint64_t)st->st_size;
	file->is_private = is_known_private(fn, st);
	file->fd = copy;
	error = map_file(file, access_mode, is_write);
	if (error)
		return error;
	if (is_shortenable(copy)) {
		file->guard = rt_guard_add(file->bytes, file->size);
		if (!file->guard) {
			munmap(file->bytes, file->size);
			return tell_too_many(fn);
		}
	}
	LIST_INSERT_HEAD(&fn->dma.files, file, entry);
	fn->dma.file_count++;
	*out = file;
	rt_take_fd(&copy);
	file = NULL;
	return 0;
}

static int tell_not_memory(struct pcie_function *fn)
{
	if (!fn->dma.told_not_memory)
		rt_log_warn(fn->name,
			    "the client shares memory from a file that is "
			    "neither tmpfs, memfd nor hugetlbfs: it is reached "
			    "by slow messages");
	fn->dma.told_not_memory = true;
	return 0;
}

int pcie_dma_file_get(struct pcie_function *fn, int fd, uint64_t offset,
		      uint64_t size, unsigned int protection,
		      struct pcie_dma_file **out)
{
	bool is_write = protection & PCIE_DMA_WRITEABLE;
	int flags = fcntl(fd, F_GETFL);
	uint64_t end = 0;
	struct stat st;
	int error = 0;

	*out = NULL;
	if (flags < 0 || fstat(fd, &st))
		return -EINVAL;
	if (!S_ISREG(st.st_mode) || !is_memory(fd))
		return tell_not_memory(fn);
	if (offset % PCIE_DMA_PAGE ||
	    __builtin_add_overflow(offset, size, &end) ||
	    end > (uint64_t)st.st_size)
		return -EINVAL;
	if (flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY ||
	    (is_write && (flags & O_ACCMODE) == O_RDONLY))
		return -EACCES;
	*out = find_file(fn, &st, end, is_write);
	if (!*out && fn->dma.file_count >= PCIE_DMA_MAX_FILES)
		return tell_too_many(fn);
	if (!*out)
		error = open_file(fn, fd, &st, is_write, out);
	if (*out)
		(*out)->window_count++;
	return error;
}

/* No span can have a pointer into it. */
static bool is_unneeded(const struct pcie_function *fn,
			const struct pcie_dma_file *file)
{
	const struct pcie_dma_holder *holder;
	const struct pcie_dma_span *oldest;

	if (file->window_count)
		return false;
	LIST_FOREACH (holder, &fn->dma.holders, entry) {
		oldest = TAILQ_FIRST(&holder->spans);
		if (oldest && oldest->epoch < file->dead_epoch)
			return false;
	}
	return true;
}

void pcie_dma_file_sweep(struct pcie_function *fn, bool is_all)
{
	struct pcie_dma_file *file = LIST_FIRST(&fn->dma.files), *next;

	for (; file; file = next) {
		next = LIST_NEXT(file, entry);
		/* What a client's file is like is remembered for its stay. */
		if (is_unneeded(fn, file) && (is_all || !file->is_private))
			free_file(fn, file);
	}
}

void pcie_dma_file_put(struct pcie_function *fn, struct pcie_dma_file *file)
{
	if (--file->window_count)
		return;
	file->dead_epoch = ++fn->dma.epoch;
	pcie_dma_file_sweep(fn, false);
}

void pcie_dma_file_make_private(struct pcie_function *fn,
				struct pcie_dma_file *file)
{
	struct pcie_dma_file *other;

	fn->dma.generation++;
	LIST_FOREACH (other, &fn->dma.files, entry)
		if (other->device == file->device &&
		    other->inode == file->inode)
			other->is_private = true;
}

int pcie_dma_file_intact(struct pcie_function *fn, struct pcie_dma_file *file)
{
	if (!file->guard || !rt_guard_is_damaged(file->guard))
		return 0;
	if (!atomic_exchange(&file->told_damaged, true))
		rt_log_warn(fn->name,
			    "the client shortened a file of shared "
			    "memory that was in use: DMA to it fails");
	return -EFAULT;
}
