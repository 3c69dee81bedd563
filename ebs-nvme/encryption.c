/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A volume's encryption as a whole.  An EBS volume has a data key, which the
 * card's keeper of keys has wrapped and opens at each attachment.  An
 * instance-store disk draws one for each attachment and keeps it nowhere: what
 * an earlier guest wrote can then be read by nobody, which is how EC2 destroys
 * it.  Owns the wrapped key and the bounce buffers.
 */
#include "ebs-nvme/encryption.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "ebs-nvme/controller.h"
#include "ebs-nvme/volume/crypt.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/secret.h"

#define ENDS_BYTES UINT64_C(4096)
#define LOOK_BYTES (1u << 20)

static const struct ebs_key_keeper *keeper;

void ebs_key_keeper_set(const struct ebs_key_keeper *k)
{
	keeper = k;
}

/* ---- whether ---- */

/* What nobody writes, or keeps, there is no use in encrypting. */
static bool is_by_default(const struct ebs_controller *c,
			  const struct ebs_volume_config *config)
{
	return c->profile->draws_keys && !config->is_read_only &&
	       !config->null_size;
}

static int refuse(struct rt_error *error, const char *place, const char *why)
{
	rt_error_set(error, -EINVAL, "%s", why);
	rt_error_place(error, "volume.%s", place);
	return -EINVAL;
}

static int check_words(const struct ebs_controller *c,
		       const struct ebs_volume_config *config,
		       struct rt_error *error)
{
	const char *place = config->kms_key_id ? "kms-key-id" : "key-file";

	if (!config->kms_key_id && !config->key_file)
		return 0;
	if (c->profile->draws_keys)
		return refuse(error, place,
			      "an instance-store disk draws its key anew at "
			      "each attachment; nothing wraps or keeps it");
	if (config->encrypted == EBS_VOLUME_ENCRYPTED)
		return 0;
	refuse(error, place, "this volume is not encrypted");
	rt_error_hint(error, "say so: encrypted: true");
	return -EINVAL;
}

/* An id made from "ebs0" is that of many files, which would share a key. */
static int check_id(const struct ebs_volume_config *config,
		    const char *volume_id, struct rt_error *error)
{
	if (volume_id || config->key_file || !config->file)
		return 0;
	rt_error_set(error, -EINVAL,
		     "an encrypted volume needs an id of its own: its key is "
		     "kept under it");
	rt_error_place(error, "volume-id");
	rt_error_hint(error, "for example volume-id: vol-0123456789abcdef0; or "
			     "keep the key elsewhere: key-file");
	return -EINVAL;
}

/* Zeros, which a file without any data has, too. */
static bool are_zeros(int fd, off_t offset)
{
	static const uint8_t zeros[4096];
	uint8_t bytes[sizeof zeros];
	ssize_t size = 1;

	for (off_t at = 0; at < (off_t)LOOK_BYTES && size > 0; at += size) {
		size = pread(fd, bytes, sizeof bytes, offset + at);
		if (size > 0 && memcmp(bytes, zeros, (size_t)size) != 0)
			return false;
	}
	return size >= 0;
}

/*
 * Whether nobody has written to what will hold the volume: by its ends, where
 * partition tables, file systems and boot loaders are.
 */
static bool is_blank(const char *file)
{
	RT_FD int fd =
		file ? open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	/* What cannot be opened is told by the engine. */
	if (end < 0)
		return true;
	return are_zeros(fd, 0) &&
	       are_zeros(fd,
			 end > (off_t)LOOK_BYTES ? end - (off_t)LOOK_BYTES : 0);
}

static int find_key(struct ebs_controller *c,
		    const struct ebs_volume_config *config,
		    struct rt_error *error)
{
	char id[sizeof c->identity.serial + 1];

	if (!keeper)
		return rt_error_set(error, -ENODEV,
				    "nobody here keeps keys of volumes");
	snprintf(id, sizeof id, "vol-%s", c->identity.serial + 3);
	return keeper->find(id, config->kms_key_id, config->key_file,
			    is_blank(config->file), &c->key, error);
}

int ebs_encryption_open(struct ebs_controller *c,
			struct ebs_volume_config *config, const char *volume_id,
			struct rt_error *error)
{
	int status;

	if (config->encrypted == EBS_VOLUME_ENCRYPTED_AUTO)
		config->encrypted = is_by_default(c, config)
					    ? EBS_VOLUME_ENCRYPTED
					    : EBS_VOLUME_PLAIN;
	status = check_words(c, config, error);
	if (status || config->encrypted != EBS_VOLUME_ENCRYPTED ||
	    c->profile->draws_keys)
		return status;
	status = check_id(config, volume_id, error);
	return status ? status : find_key(c, config, error);
}

/* Untouched ones cost no memory, and no core file has any. */
int ebs_encryption_prepare(struct ebs_controller *c, struct rt_error *error)
{
	size_t size =
		c->request_count * (size_t)ebs_profile_max_bytes(c->profile);
	void *memory;

	if (!c->volume->needs_bounce)
		return 0;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return rt_error_set(error, -errno,
				    "no memory for buffers of an encrypted "
				    "volume");
	madvise(memory, size, MADV_DONTDUMP);
	c->cipher_buffers = memory;
	c->cipher_buffers_size = size;
	return 0;
}

void ebs_encryption_close(struct ebs_controller *c)
{
	if (c->cipher_buffers)
		munmap(c->cipher_buffers, c->cipher_buffers_size);
	c->cipher_buffers = NULL;
	if (c->key)
		keeper->forget(&c->key);
}

/* ---- when ---- */

static int get_key(struct ebs_controller *c, uint8_t key[EBS_KEY_BYTES],
		   struct rt_error *error)
{
	if (c->key)
		return keeper->unwrap(c->key, key, error);
	if (getrandom(key, EBS_KEY_BYTES, 0) == EBS_KEY_BYTES)
		return 0;
	return rt_error_set(error, -EIO, "the host has no random bytes");
}

/* As EC2 hands a disk over: no label of an old file system is at its ends. */
static void clear_ends(struct ebs_volume *volume)
{
	uint64_t size = volume->size < ENDS_BYTES ? volume->size : ENDS_BYTES;

	if (!volume->engine->zero)
		return;
	volume->engine->zero(volume, 0, size);
	volume->engine->zero(volume, volume->size - size, size);
}

int ebs_encryption_unlock(struct ebs_controller *c, struct rt_error *error)
{
	struct ebs_volume *volume = c->volume;
	uint8_t *key;
	int status;

	if (!volume->crypt)
		return 0;
	key = rt_secret_alloc(EBS_KEY_BYTES, error);
	if (!key)
		return -ENOMEM;
	status = get_key(c, key, error);
	if (!status) {
		status = ebs_crypt_unlock(volume->crypt, key);
		if (status)
			rt_error_set(error, status,
				     "the key does not suit the cipher: %s",
				     strerror(-status));
	}
	rt_secret_free(key);
	if (!status && c->profile->draws_keys)
		clear_ends(volume);
	return status;
}

void ebs_encryption_lock(struct ebs_controller *c)
{
	if (!c->volume->crypt || !ebs_crypt_is_open(c->volume->crypt))
		return;
	ebs_crypt_lock(c->volume->crypt);
	rt_log_info(c->fn->name, "the volume's key was erased");
}

const char *ebs_encryption_wrapping(const struct ebs_controller *c)
{
	return c->key ? keeper->wrapping(c->key) : NULL;
}
