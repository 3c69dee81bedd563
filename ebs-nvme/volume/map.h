/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that is in memory anyway (tmpfs), mapped: to read or write it is to
 * copy, without a system call.  The process has installed rt_guard.  Any
 * thread.
 */
#ifndef EBS_NVME_VOLUME_MAP_H
#define EBS_NVME_VOLUME_MAP_H

#include <stdbool.h>
#include <stdint.h>

struct ebs_crypt;
struct ebs_map;
struct ebs_volume_io;

/* NULL: it cannot be mapped. */
struct ebs_map *ebs_map_open(int fd, uint64_t size, bool is_read_only);
void ebs_map_close(struct ebs_map **map);

/*
 * True: all of the read or write is done.  False: nothing of it counts, the
 * file has to be asked (there may be a hole, it was cut, its file system is
 * full).  crypt: what the file has is encrypted; NULL: it is not.
 */
bool ebs_map_transfer(struct ebs_map *map, const struct ebs_volume_io *io,
		      const struct ebs_crypt *crypt);

/* A hole will be made there. */
void ebs_map_forget(struct ebs_map *map, uint64_t offset, uint64_t size);

/* Will be read soon. */
void ebs_map_expect(const struct ebs_map *map, uint64_t offset, uint64_t size);

#endif
