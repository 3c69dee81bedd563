/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A volume's cipher, and the requests that need it.
 *
 * Theory.  A guest's data is cut where its pages end, a data unit where a
 * logical block ends.  Whole units inside a piece go through the cipher as they
 * are; one that lies across a cut is put together first, in a buffer that is
 * erased afterwards.
 *
 * An engine that has its bytes in memory is done after one pass.  For any other
 * there is the bounce buffer:
 *
 *   write:  guest ─ encrypt ─► bounce ─► engine
 *   read:   engine ─► bounce ─ decrypt ─► guest
 *
 * The guest never sees ciphertext, and the engine never plaintext: a guest that
 * changes its memory under way changes what is encrypted, nothing else.
 *
 * Blocks that were never written.  A unit of zeros in the store is read as
 * zeros, as a new volume of Amazon's is, encrypted or not.  No guest can write
 * one by its cipher: it would have to know what zeros decrypt to, and is never
 * told.  What it costs: who holds the store sees which blocks are in use (as he
 * does in any sparse file), and can make one read as zeros, where otherwise he
 * could make it read as noise.  XTS does not authenticate.
 */
#include "ebs-nvme/volume/crypt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ebs-nvme/volume.h"
#include "ebs-nvme/volume/xts.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/secret.h"

#define UNIT EBS_XTS_UNIT

struct ebs_crypt {
	const struct ebs_xts_method *method;
	struct ebs_xts_schedule *schedule; /* in rt_secret memory */
	bool is_open;
};

int ebs_crypt_create(struct ebs_crypt **out, struct rt_error *error)
{
	struct ebs_crypt *crypt = calloc(1, sizeof *crypt);

	if (!crypt)
		return rt_error_set(error, -ENOMEM, "no memory for a cipher");
	crypt->method = ebs_xts_choose();
	crypt->schedule = rt_secret_alloc(sizeof *crypt->schedule, error);
	if (!crypt->schedule) {
		free(crypt);
		return error && error->code ? error->code : -ENOMEM;
	}
	*out = crypt;
	return 0;
}

void ebs_crypt_destroy(struct ebs_crypt **crypt)
{
	struct ebs_crypt *c = *crypt;

	if (!c)
		return;
	ebs_crypt_lock(c);
	rt_secret_free(c->schedule);
	free(c);
	*crypt = NULL;
}

/* XTS with equal keys is weaker; FIPS 140-3 IG C.I forbids it. */
int ebs_crypt_unlock(struct ebs_crypt *crypt, const uint8_t key[EBS_KEY_BYTES])
{
	int status;

	ebs_crypt_lock(crypt);
	if (!memcmp(key, key + EBS_KEY_BYTES / 2, EBS_KEY_BYTES / 2))
		return -EINVAL;
	status = crypt->method->begin(crypt->schedule, key);
	crypt->is_open = !status;
	return status;
}

void ebs_crypt_lock(struct ebs_crypt *crypt)
{
	if (crypt->is_open)
		crypt->method->end(crypt->schedule);
	crypt->is_open = false;
}

bool ebs_crypt_is_open(const struct ebs_crypt *crypt)
{
	return crypt->is_open;
}

const char *ebs_crypt_method(const struct ebs_crypt *crypt)
{
	return crypt->method->name;
}

/* ---- vectors that are cut anywhere ---- */

/* Where in a vector one is. */
struct place {
	const struct iovec *iov, *end;
	size_t done; /* bytes of iov */
};

/* Whole units that follow without a cut; *at is where. */
static size_t whole_units(const struct place *p, uint8_t **at)
{
	*at = (uint8_t *)p->iov->iov_base + p->done;
	return (p->iov->iov_len - p->done) / UNIT;
}

static void advance(struct place *p, size_t size)
{
	p->done += size;
	while (p->iov < p->end && p->done == p->iov->iov_len) {
		p->iov++;
		p->done = 0;
	}
}

/* A unit across cuts, between its pieces and one buffer. */
static void move_pieces(struct place *p, uint8_t unit[UNIT], bool is_gather)
{
	for (size_t filled = 0; filled < UNIT && p->iov < p->end;) {
		uint8_t *piece = (uint8_t *)p->iov->iov_base + p->done;
		size_t size = p->iov->iov_len - p->done;

		if (size > UNIT - filled)
			size = UNIT - filled;
		if (is_gather)
			memcpy(unit + filled, piece, size);
		else
			memcpy(piece, unit + filled, size);
		filled += size;
		advance(p, size);
	}
}

static struct place start_of(const struct iovec *iov, unsigned int count)
{
	struct place p = { iov, iov + count, 0 };

	advance(&p, 0);
	return p;
}

void ebs_crypt_in(const struct ebs_crypt *crypt, void *to, uint64_t offset,
		  const struct iovec *iov, unsigned int count, bool is_large)
{
	const struct ebs_xts_method *m = crypt->method;
	ebs_xts *run = is_large ? m->encrypt_to_store : m->encrypt;
	struct place p = start_of(iov, count);
	uint64_t number = offset / UNIT;
	uint8_t *at, *store = to, unit[UNIT];

	while (p.iov < p.end) {
		size_t units = whole_units(&p, &at);

		if (units) {
			run(crypt->schedule, store, at, units, number);
			advance(&p, units * UNIT);
		} else {
			units = 1;
			move_pieces(&p, unit, true);
			run(crypt->schedule, store, unit, 1, number);
			rt_erase(unit, sizeof unit);
		}
		store += units * UNIT;
		number += units;
	}
	m->wipe();
}

void ebs_crypt_out(const struct ebs_crypt *crypt, const void *from,
		   uint64_t offset, const struct iovec *iov, unsigned int count)
{
	const struct ebs_xts_method *m = crypt->method;
	struct place p = start_of(iov, count);
	uint64_t number = offset / UNIT;
	const uint8_t *store = from;
	uint8_t *at, unit[UNIT];

	while (p.iov < p.end) {
		size_t units = whole_units(&p, &at);

		if (units) {
			m->decrypt(crypt->schedule, at, store, units, number);
			advance(&p, units * UNIT);
		} else {
			units = 1;
			m->decrypt(crypt->schedule, unit, store, 1, number);
			move_pieces(&p, unit, false);
			rt_erase(unit, sizeof unit);
		}
		store += units * UNIT;
		number += units;
	}
	m->wipe();
}

/* ---- requests ---- */

static void restore(struct ebs_volume_io *io)
{
	io->iov = io->plain_iov;
	io->iov_count = io->plain_count;
	io->done = io->plain_done;
}

static void finish(struct ebs_volume_io *io, int status)
{
	restore(io);
	if (!status && io->op == EBS_VOLUME_READ)
		ebs_crypt_out(io->volume->crypt, io->bounce, io->offset,
			      io->iov, io->iov_count);
}

static void bounced(struct ebs_volume_io *io, int status)
{
	finish(io, status);
	io->done(io, status);
}

static int bounce(struct ebs_volume *volume, struct ebs_volume_io *io)
{
	int status;

	if (io->op == EBS_VOLUME_WRITE)
		ebs_crypt_in(volume->crypt, io->bounce, io->offset, io->iov,
			     io->iov_count, false);
	io->plain_iov = io->iov;
	io->plain_count = io->iov_count;
	io->plain_done = io->done;
	io->cipher_iov = (struct iovec){ io->bounce, io->size };
	io->iov = &io->cipher_iov;
	io->iov_count = 1;
	io->done = bounced;
	status = volume->engine->submit(volume, io);
	if (status != -EINPROGRESS)
		finish(io, status);
	return status;
}

int ebs_crypt_submit(struct ebs_volume *volume, struct ebs_volume_io *io)
{
	const struct ebs_volume_engine *engine = volume->engine;

	if (!volume->crypt->is_open)
		return -ENOKEY;
	if (io->offset % UNIT || io->size % UNIT)
		return -EINVAL;
	if (engine->is_cipher)
		return engine->submit(volume, io);
	if (engine->at_once && engine->at_once(volume, io))
		return 0;
	return io->bounce ? bounce(volume, io) : -ENOBUFS;
}
