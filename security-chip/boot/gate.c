/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is written is the sealed copy that was checked, so an image that changes
 * meanwhile changes nothing.  The manifest comes last: a slot that was half
 * written has none.
 */
#include "security-chip/boot/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>

#include "firmware/rt/scope.h"
#include "security-chip/audit.h"
#include "security-chip/boot/stage.h"

static int new_file(int dir, const char *name)
{
	unlinkat(dir, name, 0);
	return openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
}

static bool write_part(int dir, unsigned int part,
		       const struct sec_stage *stage)
{
	RT_FD int fd = new_file(dir, sec_part_rules[part].name);
	uint64_t size = stage->manifest.parts[part].size;
	off_t at = 0;
	ssize_t n = 1;

	while (fd >= 0 && n > 0 && (uint64_t)at < size)
		n = sendfile(fd, stage->parts[part], &at, size - (uint64_t)at);
	return fd >= 0 && (uint64_t)at == size && !fsync(fd);
}

static bool write_manifest(int dir, const struct sec_stage *stage)
{
	RT_FD int fd = new_file(dir, "manifest");

	return fd >= 0 &&
	       write(fd, stage->manifest_bytes, stage->manifest_size) ==
		       (ssize_t)stage->manifest_size &&
	       !fsync(fd) && !fsync(dir);
}

static bool write_slot(int dir, const struct sec_stage *stage)
{
	bool is_done = dir >= 0;

	if (is_done && unlinkat(dir, "manifest", 0) && errno != ENOENT)
		is_done = false;
	for (unsigned int i = 0; i < SEC_PARTS && is_done; i++) {
		if (stage->parts[i] >= 0)
			is_done = write_part(dir, i, stage);
		else
			unlinkat(dir, sec_part_rules[i].name, 0);
	}
	return is_done && write_manifest(dir, stage);
}

static enum sec_reason install(struct sec_flash *flash, unsigned int slot,
			       const struct sec_stage *stage)
{
	RT_FD int dir = sec_flash_slot(flash, slot);

	/* Nothing of it is started while it is half written. */
	flash->state.trial = SEC_SLOT_NONE;
	flash->state.generation++;
	if (sec_flash_save(flash) || !write_slot(dir, stage))
		return SEC_REASON_MACHINE;
	flash->state.trial = slot;
	flash->state.trial_left = 1;
	flash->state.failed[slot] = SEC_REASON_GOOD;
	flash->state.written++;
	return sec_flash_save(flash) ? SEC_REASON_MACHINE : SEC_REASON_GOOD;
}

static enum sec_reason check_and_install(struct sec_flash *flash,
					 const char *image, unsigned int slot,
					 struct sec_stage *stage)
{
	RT_FD int dir = open(image, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum sec_reason reason;

	if (slot == flash->state.active)
		return SEC_REASON_ACTIVE_SLOT;
	if (dir < 0)
		return SEC_REASON_SLOT_EMPTY;
	reason = sec_stage_verify(dir, flash->owner, flash->state.floor, stage);
	if (reason != SEC_REASON_GOOD)
		return reason;
	reason = install(flash, slot, stage);
	sec_stage_close(stage);
	return reason;
}

static void note(struct sec_flash *flash, unsigned int slot,
		 enum sec_reason reason, const struct sec_manifest *manifest)
{
	if (reason == SEC_REASON_GOOD) {
		sec_audit("gate.written", "slot %c: version %s, security %u",
			  SEC_SLOT_NAMES[slot], manifest->version,
			  manifest->svn);
		return;
	}
	sec_audit("gate.denied", "slot %c: %s", SEC_SLOT_NAMES[slot],
		  sec_reason_name(reason));
	flash->state.denied++;
	sec_flash_save(flash);
}

enum sec_reason sec_gate_install(struct sec_flash *flash, const char *image,
				 unsigned int slot, unsigned int *out_slot)
{
	enum sec_reason reason = sec_flash_lock(flash);
	struct sec_stage stage = { 0 };

	if (slot >= SEC_SLOTS)
		slot = flash->state.active == 0 ? 1 : 0;
	*out_slot = slot;
	if (reason == SEC_REASON_GOOD) {
		reason = check_and_install(flash, image, slot, &stage);
		note(flash, slot, reason, &stage.manifest);
	}
	sec_flash_unlock(flash);
	return reason;
}
