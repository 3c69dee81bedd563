/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies between guest memory and a store that is far larger than the caches,
 * with what this processor has.  Any alignment, no overlap, any thread.
 */
#ifndef EBS_NVME_VOLUME_COPY_H
#define EBS_NVME_VOLUME_COPY_H

#include <stddef.h>
#include <sys/uio.h>

typedef void ebs_copy(void *to, const void *from, size_t size);

/* The copy into a store: end a row of them with ebs_copy_fence(). */
ebs_copy *ebs_copy_to_store(void);
/* What was copied is seen by whoever sees what is stored after this. */
void ebs_copy_fence(void);

/* A vector of memory into a store, and out of one. */
void ebs_copy_in(ebs_copy *copy, void *to, const struct iovec *iov,
		 unsigned int count);
void ebs_copy_out(const void *from, const struct iovec *iov,
		  unsigned int count);

/* Bytes of a store that will be read soon, but not next. */
void ebs_copy_expect(const void *from, size_t size);

/* A row of the table: the best that the processor has comes first. */
struct ebs_copy_method {
	const char *name;
	int (*is_there)(void); /* on this processor */
	ebs_copy *copy;
};
extern const struct ebs_copy_method ebs_copy_methods[];
extern const size_t ebs_copy_method_count;

#endif
