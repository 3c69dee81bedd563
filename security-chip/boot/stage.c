/* SPDX-License-Identifier: BSD-3-Clause */
#include "security-chip/boot/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "firmware/rt/scope.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* ---- Sealed memory ---- */

static int new_memory(const char *name)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create(name, flags | MFD_EXEC);

	/* Before 6.3 all may be executed. */
	return fd < 0 && errno == EINVAL ? memfd_create(name, flags) : fd;
}

bool sec_is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & SEALS) == SEALS;
}

int sec_sealed_bytes(const char *name, const void *bytes, size_t size)
{
	RT_FD int fd = new_memory(name);

	if (fd < 0)
		return -errno;
	if (write(fd, bytes, size) != (ssize_t)size ||
	    fcntl(fd, F_ADD_SEALS, SEALS) || lseek(fd, 0, SEEK_SET))
		return errno ? -errno : -EIO;
	return rt_take_fd(&fd);
}

int sec_sealed_digest(int fd, uint8_t out[SEC_DIGEST_BYTES], uint64_t *out_size)
{
	struct stat status;
	void *bytes;
	int failed;

	if (fstat(fd, &status))
		return -errno;
	if (out_size)
		*out_size = (uint64_t)status.st_size;
	if (!status.st_size)
		return sec_digest("", 0, out);
	bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd,
		     0);
	if (bytes == MAP_FAILED)
		return -errno;
	failed = sec_digest(bytes, (size_t)status.st_size, out);
	munmap(bytes, (size_t)status.st_size);
	return failed;
}

/* ---- Parts ---- */

/* The three ways in which a part can be wrong are consecutive. */
static enum sec_reason wrong(unsigned int part, unsigned int how)
{
	return (enum sec_reason)(SEC_REASON_PROGRAM_MISSING + 3 * part + how);
}
enum { MISSING, SIZE, DIGEST };
_Static_assert(SEC_REASON_NETWORK_DIGEST == SEC_REASON_PROGRAM_MISSING +
						    3 * SEC_PART_NETWORK +
						    DIGEST,
	       "the order in reason.def");

static int copy_whole(int from, uint64_t size, const char *name)
{
	RT_FD int fd = new_memory(name);
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	for (uint64_t done = 0; done < size && n > 0; done += (uint64_t)n) {
		n = sendfile(fd, from, NULL, (size_t)(size - done));
		if (n < 0)
			return -errno;
	}
	if (fcntl(fd, F_ADD_SEALS, SEALS) || lseek(fd, 0, SEEK_SET))
		return -errno;
	return rt_take_fd(&fd);
}

static enum sec_reason take_part(int dir, unsigned int part,
				 struct sec_stage *stage)
{
	const char *name = sec_part_rules[part].name;
	const uint64_t size = stage->manifest.parts[part].size;
	RT_FD int from = openat(dir, name,
				O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	uint8_t digest[SEC_DIGEST_BYTES];
	struct stat status;
	uint64_t copied;

	if (from < 0 || fstat(from, &status) || !S_ISREG(status.st_mode))
		return wrong(part, MISSING);
	if ((uint64_t)status.st_size != size)
		return wrong(part, SIZE);
	stage->parts[part] = copy_whole(from, size, name);
	if (stage->parts[part] < 0 ||
	    sec_sealed_digest(stage->parts[part], digest, &copied))
		return SEC_REASON_MACHINE;
	if (copied != size)
		return wrong(part, SIZE);
	return memcmp(digest, stage->manifest.parts[part].digest,
		      sizeof digest) != 0
		       ? wrong(part, DIGEST)
		       : SEC_REASON_GOOD;
}

/* ---- The manifest ---- */

static bool is_empty(int dir)
{
	for (unsigned int i = 0; i < SEC_PARTS; i++)
		if (!faccessat(dir, sec_part_rules[i].name, F_OK,
			       AT_SYMLINK_NOFOLLOW))
			return false;
	return true;
}

static enum sec_reason read_manifest(int dir, struct sec_stage *stage)
{
	RT_FD int fd = openat(dir, "manifest",
			      O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	uint8_t bytes[SEC_MANIFEST_BYTES + 1];
	ssize_t size = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
	int status;

	if (size < 0)
		return is_empty(dir) ? SEC_REASON_SLOT_EMPTY
				     : SEC_REASON_MANIFEST_MISSING;
	status = sec_manifest_parse(bytes, (size_t)size, &stage->manifest);
	if (status)
		return status == -EPROTO ? SEC_REASON_WRONG_ORDER
					 : SEC_REASON_MANIFEST_MALFORMED;
	memcpy(stage->manifest_bytes, bytes, (size_t)size);
	stage->manifest_size = (size_t)size;
	return SEC_REASON_GOOD;
}

static enum sec_reason check_manifest(const struct sec_manifest *manifest,
				      const uint8_t owner[SEC_DIGEST_BYTES],
				      uint32_t floor)
{
	uint8_t key[SEC_DIGEST_BYTES];

	if (sec_manifest_key_digest(manifest, key))
		return SEC_REASON_MACHINE;
	if (memcmp(key, owner, sizeof key) != 0)
		return SEC_REASON_WRONG_KEY;
	if (sec_manifest_verify(manifest))
		return SEC_REASON_BAD_SIGNATURE;
	return manifest->svn < floor ? SEC_REASON_SVN_BELOW_FLOOR
				     : SEC_REASON_GOOD;
}

enum sec_reason sec_stage_verify(int dir, const uint8_t owner[SEC_DIGEST_BYTES],
				 uint32_t floor, struct sec_stage *out)
{
	enum sec_reason reason;

	memset(out, 0, sizeof *out);
	for (unsigned int i = 0; i < SEC_PARTS; i++)
		out->parts[i] = -1;
	reason = read_manifest(dir, out);
	if (reason == SEC_REASON_GOOD)
		reason = check_manifest(&out->manifest, owner, floor);
	for (unsigned int i = 0; i < SEC_PARTS && reason == SEC_REASON_GOOD;
	     i++)
		if (out->manifest.parts[i].size)
			reason = take_part(dir, i, out);
	if (reason != SEC_REASON_GOOD)
		sec_stage_close(out);
	return reason;
}

void sec_stage_close(struct sec_stage *stage)
{
	for (unsigned int i = 0; i < SEC_PARTS; i++) {
		if (stage->parts[i] >= 0)
			close(stage->parts[i]);
		stage->parts[i] = -1;
	}
}
