/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory for DMA through the kernel's VFIO.  Behind an IOMMU the kernel pins
 * what it maps.  Without one we lock pages and read where they are
 * (Documentation/admin-guide/mm/pagemap.rst of Linux).
 *
 * Locked is not pinned: the kernel may still move a page of 4 KiB to another
 * place when it makes room for larger ones, and the device would not know.  The
 * pages are kept out of the two movers that are usual, transparent huge pages
 * and fork(), and huge pages, which are hardly ever moved, are taken first.
 * That is what the no-IOMMU mode is: for tests, on machines without precious
 * data.
 *
 * One thread.  Owns nothing.
 */
#include "host-driver/vfio_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/memory.h"

#define PAGEMAP_PRESENT BIT(63)
#define PAGEMAP_FRAME   BITS(54, 0)

static int map_anonymous(struct host_memory *memory, int flags)
{
	memory->bytes = mmap(NULL, memory->size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	return memory->bytes == MAP_FAILED ? -errno : 0;
}

static bool make_huge(struct host_memory *memory)
{
	if (map_anonymous(memory, MAP_HUGETLB | MAP_HUGE_2MB) == 0 &&
	    madvise(memory->bytes, memory->size, MADV_POPULATE_WRITE) == 0)
		return true;
	host_memory_free(memory);
	return false;
}

/* The frame numbers of the memory's pages of 4 KiB. */
static int read_frames(const struct host_memory *memory, uint64_t *frames,
		       size_t count)
{
	RT_FD int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	off_t at = (off_t)((uintptr_t)memory->bytes / HOST_SMALL_PAGE * 8);
	size_t size = count * sizeof *frames, done = 0;

	if (fd < 0)
		return -errno;
	while (done < size) {
		ssize_t n = pread(fd, (uint8_t *)frames + done, size - done,
				  at + (off_t)done);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Frames become addresses; a frame that we may not see is 0. */
static int translate(uint64_t *pages, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t frame = bits_get(PAGEMAP_FRAME, pages[i]);

		if (!(pages[i] & PAGEMAP_PRESENT))
			return -EFAULT;
		if (frame == 0)
			return -EPERM;
		pages[i] = frame * HOST_SMALL_PAGE;
	}
	return 0;
}

static int find_pages(struct host_memory *memory, struct rt_error *error)
{
	size_t step = memory->page_bytes / HOST_SMALL_PAGE;
	size_t count = memory->size / HOST_SMALL_PAGE;
	RT_FREE uint64_t *pages = calloc(count, sizeof *pages);
	int rc = pages ? read_frames(memory, pages, count) : -ENOMEM;

	if (rc == 0)
		rc = translate(pages, count);
	if (rc == 0) {
		for (size_t i = 0; i < count / step; i++)
			pages[i] = pages[i * step];
		return host_pages_make(memory, pages);
	}
	(void)rt_error_set(error, rc,
			   "the memory's physical addresses cannot "
			   "be read (%s)",
			   rt_errno_name(rc));
	if (rc == -EPERM)
		rt_error_hint(error, "it takes CAP_SYS_ADMIN: run as root");
	return rc;
}

static int lock(struct host_memory *memory, struct rt_error *error)
{
	int rc;

	/* What fork() would leave to the child is the page the device uses. */
	(void)madvise(memory->bytes, memory->size, MADV_DONTFORK);
	if (memory->page_bytes == HOST_SMALL_PAGE)
		(void)madvise(memory->bytes, memory->size, MADV_NOHUGEPAGE);
	if (mlock(memory->bytes, memory->size) == 0)
		return find_pages(memory, error);
	rc = rt_error_set(error, -errno, "%llu KiB cannot be locked (%s)",
			  (unsigned long long)memory->size >> 10,
			  rt_errno_name(errno));
	rt_error_hint(error, "raise the limit (ulimit -l), or ask for less");
	return rc;
}

int host_vfio_memory_make(struct host_memory *memory, bool is_huge,
			  bool is_physical, struct rt_error *error)
{
	int rc;

	if (memory->size == 0 || memory->size % HOST_SMALL_PAGE != 0)
		return rt_error_set(error, -EINVAL,
				    "memory is made of whole pages");
	is_huge = is_huge && host_is_huge(memory->size) && make_huge(memory);
	rc = is_huge ? 0 : map_anonymous(memory, 0);
	if (rc < 0)
		return rt_error_set(error, rc, "there is no memory (%s)",
				    rt_errno_name(rc));
	if (!is_physical)
		return 0;
	memory->page_bytes = is_huge ? HOST_HUGE_PAGE : HOST_SMALL_PAGE;
	return lock(memory, error);
}
