/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/function/tpm_bench.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS  20000
/* "Could not start": it tests an algorithm first (part 1, 12.2.3). */
#define TPM_RC_RETRY 0x922

void tpm_bench_create(struct tpm_bench *b)
{
	*b = (struct tpm_bench){ .control = -1, .data = -1 };
	strcpy(b->dir, "/tmp/tpm-bench-XXXXXX");
	cr_assert(mkdtemp(b->dir));
	snprintf(b->socket, sizeof b->socket, "%s/tpm0.tpm", b->dir);
	b->dir_fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert(b->dir_fd >= 0);
}

static int remove_one(const char *path, const struct stat *status, int kind,
		      struct FTW *place)
{
	(void)status, (void)kind, (void)place;
	return remove(path);
}

void tpm_bench_destroy(struct tpm_bench *b)
{
	tpm_bench_disconnect(b);
	tpm_bench_stop(b);
	close(b->dir_fd);
	nftw(b->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int tpm_bench_start(struct tpm_bench *b, const char *instance, uint8_t key,
		    struct rt_error *error)
{
	struct sec_tpm_config config = { .name = "tpm0",
					 .instance = instance,
					 .socket = b->socket,
					 .dir = b->dir_fd };

	memset(config.key, key, sizeof config.key);
	return sec_tpm_create(&config, &b->tpm, error);
}

void tpm_bench_stop(struct tpm_bench *b)
{
	cr_assert(sec_tpm_destroy(&b->tpm, PATIENCE_MS));
}

void tpm_send_fd(const struct tpm_bench *b, uint8_t request, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	uint8_t code[4] = { 0, 0, 0, request };
	struct iovec iov = { code, sizeof code };
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof control.bytes };
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	cr_assert_eq(sendmsg(b->control, &header, 0), 4);
}

void tpm_reach(const struct tpm_bench *b, int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, b->socket);
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address),
		     0);
}

int tpm_dial(const struct tpm_bench *b)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	tpm_reach(b, fd);
	return fd;
}

void tpm_bench_connect(struct tpm_bench *b)
{
	uint8_t result[4];
	int pair[2];

	b->control = tpm_dial(b);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
		     0);
	tpm_send_fd(b, CMD_SET_DATAFD, pair[1]);
	close(pair[1]);
	b->data = pair[0];
	cr_assert(tpm_receive(b->control, result, sizeof result));
	cr_assert_eq(memcmp(result, "\0\0\0\0", 4), 0);
}

void tpm_bench_disconnect(struct tpm_bench *b)
{
	if (b->control >= 0)
		close(b->control);
	if (b->data >= 0)
		close(b->data);
	b->control = b->data = -1;
}

bool tpm_receive(int fd, void *bytes, size_t size)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	size_t used = 0;
	ssize_t got;

	while (used < size) {
		if (poll(&readable, 1, PATIENCE_MS) < 1)
			return false;
		got = read(fd, (uint8_t *)bytes + used, size - used);
		if (got <= 0)
			return false;
		used += (size_t)got;
	}
	return true;
}

void tpm_send(int fd, const void *bytes, size_t size)
{
	cr_assert_eq(send(fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

static uint32_t number_in(const uint8_t bytes[4])
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
	       (uint32_t)bytes[2] << 8 | bytes[3];
}

static void number_to(uint8_t bytes[4], uint32_t number)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(number >> (24 - 8 * i));
}

uint32_t tpm_ask(const struct tpm_bench *b, uint32_t code, const void *body,
		 size_t size, void *answer, size_t answer_size)
{
	uint8_t message[4];

	number_to(message, code);
	tpm_send(b->control, message, sizeof message);
	if (size)
		tpm_send(b->control, body, size);
	cr_assert(tpm_receive(b->control, answer, answer_size),
		  "no answer to control request %u", code);
	return number_in(answer);
}

uint32_t tpm_tell(const struct tpm_bench *b, uint32_t code)
{
	uint8_t answer[4];

	return tpm_ask(b, code, NULL, 0, answer, sizeof answer);
}

uint32_t tpm_tell_number(const struct tpm_bench *b, uint32_t code,
			 uint32_t number)
{
	uint8_t body[4], answer[4];

	number_to(body, number);
	return tpm_ask(b, code, body, sizeof body, answer, sizeof answer);
}

size_t tpm_from_hex(const char *hex, uint8_t *bytes, size_t room)
{
	size_t used = 0;
	unsigned int value;

	for (; *hex; hex += 2) {
		while (*hex == ' ')
			hex++;
		cr_assert(used < room && sscanf(hex, "%2x", &value) == 1);
		bytes[used++] = (uint8_t)value;
	}
	return used;
}

static size_t run_once(const struct tpm_bench *b, const char *hex,
		       uint8_t answer[4096])
{
	uint8_t command[4096];
	size_t size = tpm_from_hex(hex, command, sizeof command);

	tpm_send(b->data, command, size);
	cr_assert(tpm_receive(b->data, answer, 10), "no response");
	size = number_in(answer + 2);
	cr_assert(size >= 10 && size <= 4096);
	cr_assert(tpm_receive(b->data, answer + 10, size - 10));
	return size;
}

size_t tpm_run(const struct tpm_bench *b, const char *hex, uint8_t answer[4096])
{
	size_t size;

	do
		size = run_once(b, hex, answer);
	while (number_in(answer + 6) == TPM_RC_RETRY);
	return size;
}

uint32_t tpm_code(const struct tpm_bench *b, const char *hex)
{
	uint8_t answer[4096];

	tpm_run(b, hex, answer);
	return number_in(answer + 6);
}

void tpm_power_on(const struct tpm_bench *b)
{
	cr_assert_eq(tpm_tell_number(b, CMD_INIT, 0), 0);
	cr_assert_eq(tpm_code(b, TPM_STARTUP), 0);
}

static void read_all(struct sec_tpm_job *job, struct sec_tpm *tpm)
{
	struct tpm_reading *r = (struct tpm_reading *)job;

	sec_tpm_read_status(tpm, &r->status);
	for (int i = 0; i < SEC_TPM_EKS; i++)
		r->eks[i] = *sec_tpm_read_ek(tpm, (enum sec_tpm_ek_kind)i);
	sem_post(&r->done);
}

void tpm_read(const struct tpm_bench *b, struct tpm_reading *r)
{
	*r = (struct tpm_reading){ .job.run = read_all };
	sem_init(&r->done, 0, 0);
	sec_tpm_post(b->tpm, &r->job);
	sem_wait(&r->done);
}

size_t tpm_get_blob(const struct tpm_bench *b, uint32_t kind, uint8_t *blob,
		    size_t room)
{
	uint8_t request[12] = { 0, 0, 0, 1, 0, 0, 0, (uint8_t)kind };
	uint8_t head[16];
	size_t size;

	cr_assert_eq(tpm_ask(b, CMD_GET_STATEBLOB, request, 12, head, 16), 0);
	size = (size_t)head[13] << 16 | (size_t)head[14] << 8 | head[15];
	cr_assert_eq(memcmp(head + 8, head + 12, 4), 0, "all at once");
	cr_expect_eq(head[7], size ? 2 : 0, "PTM_STATE_FLAG_ENCRYPTED");
	cr_assert(size <= room);
	cr_assert(tpm_receive(b->control, blob, size));
	return size;
}

uint32_t tpm_set_blob(const struct tpm_bench *b, uint32_t kind, uint8_t flags,
		      const uint8_t *blob, size_t size)
{
	static uint8_t request[12 + (1 << 20)];
	uint8_t answer[4];

	memcpy(request,
	       (uint8_t[]){ 0, 0, 0, flags, 0, 0, 0, (uint8_t)kind, 0,
			    (uint8_t)(size >> 16), (uint8_t)(size >> 8),
			    (uint8_t)size },
	       12);
	memcpy(request + 12, blob, size);
	return tpm_ask(b, CMD_SET_STATEBLOB, request, 12 + size, answer, 4);
}
