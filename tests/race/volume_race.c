/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads with a loop each use one volume at the same time, each its own part
 * of it: what they wrote is what they read, whatever the engine does.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ebs-nvme/volume.h"
#include "ebs-nvme/volume/crypt.h"
#include "firmware/rt/error.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/scope.h"

#define THREADS 3
#define ROUNDS  200
#define BLOCK   4096
#define SIZE    (UINT64_C(1) << 20)

static struct ebs_volume *volume;
static const uint8_t key[EBS_KEY_BYTES] = { 1, 2, 3 };
static _Atomic int wrong;

struct client {
	pthread_t thread;
	unsigned int number;
	struct rt_loop *loop;
	struct ebs_volume_io io;
	struct iovec iov;
	uint8_t bytes[BLOCK], wanted[BLOCK], bounce[BLOCK];
	int is_done, status;
};

/*
 * Their loops live as long as the process: a ring whose memory was another's
 * looks like a race to the sanitizer, which has not seen that one go.
 */
static struct client clients[THREADS];

static void complain(const char *what)
{
	fprintf(stderr, "%s\n", what);
	atomic_fetch_add(&wrong, 1);
}

static void done(struct ebs_volume_io *io, int status)
{
	struct client *c = rt_container_of(io, struct client, io);

	c->is_done = 1;
	c->status = status;
}

static void run(struct client *c, enum ebs_volume_op op, uint64_t offset)
{
	int status;

	c->iov = (struct iovec){ c->bytes, BLOCK };
	c->io = (struct ebs_volume_io){ .loop = c->loop,
					.op = op,
					.offset = offset,
					.size = BLOCK,
					.iov = &c->iov,
					.iov_count = 1,
					.bounce = c->bounce,
					.done = done };
	c->is_done = 0;
	status = ebs_volume_submit(volume, &c->io);
	if (status != -EINPROGRESS)
		done(&c->io, status);
	while (!c->is_done)
		if (rt_loop_step(c->loop, UINT64_MAX) < 0)
			complain("the loop failed");
	if (c->status)
		complain("a request failed");
}

static void check_round(struct client *c, unsigned int round)
{
	uint64_t offset = (c->number + round % 16 * THREADS) * BLOCK;

	memset(c->wanted, (int)(c->number * 64 + round), BLOCK);
	memcpy(c->bytes, c->wanted, BLOCK);
	run(c, EBS_VOLUME_WRITE, offset);
	if (round % 8 == 7) {
		memset(c->wanted, 0, BLOCK);
		run(c, EBS_VOLUME_WRITE_ZEROES, offset);
	}
	if (round % 32 == 31)
		run(c, EBS_VOLUME_FLUSH, 0);
	memset(c->bytes, 0xee, BLOCK);
	run(c, EBS_VOLUME_READ, offset);
	if (memcmp(c->bytes, c->wanted, BLOCK))
		complain("something else was read than was written");
}

static void *use(void *opaque)
{
	struct client *c = opaque;

	for (unsigned int round = 0; round < ROUNDS; round++)
		check_round(c, round);
	return NULL;
}

static void use_volume(struct ebs_volume_config config)
{
	struct rt_error error = { 0 };

	if (ebs_volume_open(clients[0].loop, &config, &volume, &error)) {
		complain(error.text);
		return;
	}
	if (volume->crypt && ebs_crypt_unlock(volume->crypt, key))
		complain("the volume cannot be unlocked");
	for (unsigned int i = 0; i < THREADS; i++) {
		if (pthread_create(&clients[i].thread, NULL, use, &clients[i]))
			abort();
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(clients[i].thread, NULL);
	ebs_volume_close(&volume);
}

static void use_file(const char *folder, unsigned int cache,
		     unsigned int encrypted)
{
	char path[64];
	uint8_t block[BLOCK] = { 0 };
	int fd;

	snprintf(path, sizeof path, "%s/volume_race_XXXXXX", folder);
	fd = mkstemp(path);
	for (uint64_t at = 0; at < SIZE; at += BLOCK)
		if (pwrite(fd, block, BLOCK, (off_t)at) != BLOCK)
			complain("cannot fill the file");
	close(fd);
	use_volume((struct ebs_volume_config){
		.file = path, .cache = cache, .encrypted = encrypted });
	unlink(path);
}

int main(void)
{
	if (rt_guard_install())
		return 1;
	for (unsigned int i = 0; i < THREADS; i++) {
		clients[i].number = i;
		if (rt_loop_create(NULL, &clients[i].loop))
			return 1;
	}
	for (unsigned int e = EBS_VOLUME_ENCRYPTED; e <= EBS_VOLUME_PLAIN;
	     e++) {
		use_volume((struct ebs_volume_config){
			.memory_size = 2 * EBS_PIECE, .encrypted = e });
		use_file("/dev/shm", EBS_VOLUME_CACHE_AUTO, e);
		use_file("/tmp", EBS_VOLUME_CACHE_PAGE, e);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		rt_loop_destroy(&clients[i].loop);
	return atomic_load(&wrong) != 0;
}
