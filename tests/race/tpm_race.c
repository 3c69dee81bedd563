/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VMM's requests, its guest's commands, the card's own jobs, readers of the
 * counters and the end of it all, at the same time: round after round with the
 * state that the one before has left.
 */
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "security-chip/tpm/tpm.h"

#define ROUNDS 16
#define BOOTS  4 /* of a round, at least */
#define LAST   4 /* that are posted just before the end */
#define END_MS 100000

static char dir[] = "/tmp/tpm_race_XXXXXX", path[64];
static struct sec_tpm *tpm;
static _Atomic bool is_over; /* the round: who is connected leaves */
static _Atomic int wrong;

static void complain(const char *what)
{
	fprintf(stderr, "%s\n", what);
	atomic_fetch_add(&wrong, 1);
}

/* ---- the guest: commands, until its channel is closed ---- */

static bool receive(int fd, uint8_t *bytes, size_t size)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	ssize_t got;

	while (size) {
		if (poll(&readable, 1, 100) < 0)
			return false;
		got = recv(fd, bytes, size, MSG_DONTWAIT);
		if (!got || (got < 0 && is_over))
			return false;
		if (got > 0) {
			bytes += got;
			size -= (size_t)got;
		}
	}
	return true;
}

static void *be_guest(void *opaque)
{
	/* TPM2_Startup, GetRandom, Shutdown, and a header that lies. */
	static const uint8_t commands[][12] = {
		{ 0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0 },
		{ 0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 16 },
		{ 0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 0 },
		{ 0x80, 1, 0, 0, 0, 5, 0, 0, 1, 0x7b, 0, 16 },
	};
	int fd = *(const int *)opaque;
	uint8_t answer[4096];
	size_t size;

	for (size_t i = 0;; i = (i + 1) % RT_COUNT(commands)) {
		if (send(fd, commands[i], sizeof commands[i], MSG_NOSIGNAL) <
			    0 ||
		    !receive(fd, answer, 10))
			return NULL;
		size = (size_t)answer[4] << 8 | answer[5];
		if (size < 10 || size > sizeof answer ||
		    !receive(fd, answer + 10, size - 10))
			return NULL;
	}
}

/* ---- the VMM: requests, until it is hung up on ---- */

static bool ask(int fd, const uint8_t *request, size_t size, size_t fixed)
{
	uint8_t answer[16];
	static _Thread_local uint8_t state[1 << 20];

	if (send(fd, request, size, MSG_NOSIGNAL) < 0 ||
	    !receive(fd, answer, fixed))
		return false;
	/* A state comes behind its size. */
	return fixed < 16 ||
	       receive(fd, state,
		       (size_t)answer[13] << 16 | (size_t)answer[14] << 8 |
			       answer[15]);
}

static void talk(int fd)
{
	static const uint8_t get_permanent[16] = { [3] = 0x0c, [11] = 1 };
	static const uint8_t get_volatile[16] = { [3] = 0x0c, [11] = 2 };
	static const uint8_t init[8] = { [3] = 2 }, locality[8] = { [3] = 5 };
	static const uint8_t cancel[4] = { [3] = 9 }, store[4] = { [3] = 0x0a };
	static const uint8_t unknown[4] = { [3] = 0x77 };
	static const uint8_t stop[4] = { [3] = 0x0e };

	for (int i = 0; i < 3 && !is_over; i++)
		if (!ask(fd, init, 8, 4) || !ask(fd, locality, 8, 4) ||
		    !ask(fd, get_permanent, 16, 16) || !ask(fd, cancel, 4, 4) ||
		    !ask(fd, get_volatile, 16, 16) || !ask(fd, store, 4, 4) ||
		    !ask(fd, unknown, 4, 4) || !ask(fd, stop, 4, 4))
			return;
}

static bool hand_over(int control, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} room = { 0 };
	uint8_t code[4] = { 0, 0, 0, 0x10 }, answer[4];
	struct iovec iov = { code, sizeof code };
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = room.bytes,
				 .msg_controllen = sizeof room.bytes };
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	return sendmsg(control, &header, MSG_NOSIGNAL) == 4 &&
	       receive(control, answer, 4);
}

static void be_connected(int control)
{
	pthread_t guest;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return;
	if (hand_over(control, pair[1])) {
		close(pair[1]);
		if (pthread_create(&guest, NULL, be_guest, &pair[0]))
			abort();
		talk(control);
		shutdown(pair[0], SHUT_RDWR);
		pthread_join(guest, NULL);
	} else {
		close(pair[1]);
	}
	close(pair[0]);
}

static void *be_vmm(void *opaque)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int control;

	(void)opaque;
	memcpy(address.sun_path, path, sizeof path);
	while (!is_over) {
		control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (!connect(control, (struct sockaddr *)&address,
			     sizeof address))
			be_connected(control);
		close(control);
	}
	return NULL;
}

/* ---- the card ---- */

struct question {
	struct sec_tpm_job job;
	struct sec_tpm_status status;
	sem_t done;
};

static void answer(struct sec_tpm_job *job, struct sec_tpm *asked)
{
	struct question *q = rt_container_of(job, struct question, job);

	sec_tpm_read_status(asked, &q->status);
	(void)sec_tpm_read_ek(asked, SEC_TPM_EK_RSA_2048);
	sem_post(&q->done);
}

static void post(struct question *q)
{
	q->job.run = answer;
	sem_init(&q->done, 0, 0);
	sec_tpm_post(tpm, &q->job);
}

static void watch(void)
{
	const struct rt_rule_book *book = sec_tpm_rules(tpm);
	uint64_t seen = 0;

	for (size_t i = 0; i < SEC_TPM_COUNTERS; i++)
		seen += sec_tpm_counter(tpm, &sec_tpm_counter_names[i]);
	for (size_t i = 0; i < book->count; i++)
		seen += rt_counter_read(&book->records[i].count);
	if (seen == UINT64_MAX)
		complain("that cannot be");
}

static void ask_about_it(void)
{
	static struct question q, last[LAST];

	do {
		post(&q);
		watch();
		sem_wait(&q.done);
	} while (q.status.boots < BOOTS);
	for (int i = 0; i < LAST; i++)
		post(&last[i]);
	if (!sec_tpm_destroy(&tpm, END_MS))
		complain("it does not end");
	for (int i = 0; i < LAST; i++)
		if (sem_trywait(&last[i].done))
			complain("a job was lost at the end");
}

static void run_round(int fd)
{
	struct sec_tpm_config config = {
		.name = "tpm0", .instance = "i-1", .socket = path, .dir = fd
	};
	struct rt_error error = { 0 };
	pthread_t vmms[2];

	if (sec_tpm_create(&config, &tpm, &error)) {
		complain(error.text);
		return;
	}
	is_over = false;
	for (size_t i = 0; i < RT_COUNT(vmms); i++)
		if (pthread_create(&vmms[i], NULL, be_vmm, NULL))
			abort();
	ask_about_it();
	is_over = true;
	for (size_t i = 0; i < RT_COUNT(vmms); i++)
		pthread_join(vmms[i], NULL);
}

static int remove_one(const char *name, const struct stat *status, int kind,
		      struct FTW *place)
{
	(void)status, (void)kind, (void)place;
	return remove(name);
}

int main(void)
{
	int fd;

	rt_log_set_level(RT_LOG_ERROR);
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof path, "%s/tpm0.tpm", dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < ROUNDS; i++)
		run_round(fd);
	close(fd);
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return atomic_load(&wrong) != 0;
}
