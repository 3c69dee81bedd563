/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TPM in a directory of its own, and a VMM's end of its channels: the sockets
 * as QEMU uses them, with nothing of the server's code but its numbers.
 */
#ifndef TESTS_FUNCTION_TPM_BENCH_H
#define TESTS_FUNCTION_TPM_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "security-chip/tpm/tpm.h"

struct tpm_bench {
	char dir[64], socket[80];
	int dir_fd;
	struct sec_tpm *tpm;
	int control, data; /* -1: not connected */
};

/* The control channel's commands. */
enum {
	CMD_GET_CAPABILITY = 1,
	CMD_INIT,
	CMD_SHUTDOWN,
	CMD_GET_TPMESTABLISHED,
	CMD_SET_LOCALITY,
	CMD_HASH_START,
	CMD_HASH_DATA,
	CMD_HASH_END,
	CMD_CANCEL_TPM_CMD,
	CMD_STORE_VOLATILE,
	CMD_RESET_TPMESTABLISHED,
	CMD_GET_STATEBLOB,
	CMD_SET_STATEBLOB,
	CMD_STOP,
	CMD_GET_CONFIG,
	CMD_SET_DATAFD,
	CMD_SET_BUFFERSIZE,
	CMD_GET_INFO,
	CMD_LOCK_STORAGE,
};

void tpm_bench_create(struct tpm_bench *b); /* a directory, no TPM yet */
void tpm_bench_destroy(struct tpm_bench *b);
/* The TPM of an instance; what sec_tpm_create() says.  key: 32 times. */
int tpm_bench_start(struct tpm_bench *b, const char *instance, uint8_t key,
		    struct rt_error *error);
void tpm_bench_stop(struct tpm_bench *b);

/* Connect and hand over a data channel; the power stays off. */
void tpm_bench_connect(struct tpm_bench *b);
void tpm_bench_disconnect(struct tpm_bench *b);

/*
 * A control request and its answer, of exactly so many bytes.  The first four,
 * the result, come back.
 */
uint32_t tpm_ask(const struct tpm_bench *b, uint32_t code, const void *body,
		 size_t size, void *answer, size_t answer_size);
/* The same of a request with one number or none, and no more answer. */
uint32_t tpm_tell(const struct tpm_bench *b, uint32_t code);
uint32_t tpm_tell_number(const struct tpm_bench *b, uint32_t code,
			 uint32_t number);

/* Exactly so many bytes; false: the peer has hung up, or 20 s have passed. */
bool tpm_receive(int fd, void *bytes, size_t size);
void tpm_send(int fd, const void *bytes, size_t size);

/* A command's response; its size.  hex: "8001 0000000c 00000144 0000". */
size_t tpm_run(const struct tpm_bench *b, const char *hex,
	       uint8_t answer[4096]);
/* Its response code. */
uint32_t tpm_code(const struct tpm_bench *b, const char *hex);
size_t tpm_from_hex(const char *hex, uint8_t *bytes, size_t room);

/* TPM2_Startup(CLEAR) after INIT. */
void tpm_power_on(const struct tpm_bench *b);

#define TPM_STARTUP "8001 0000000c 00000144 0000"

#endif
