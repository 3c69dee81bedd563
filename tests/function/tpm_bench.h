/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TPM in a directory of its own, and a VMM's end of its channels: the sockets
 * as QEMU uses them, with nothing of the server's code but its numbers.
 */
#ifndef TESTS_FUNCTION_TPM_BENCH_H
#define TESTS_FUNCTION_TPM_BENCH_H

#include <semaphore.h>
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

/* A connection to its socket, and no more. */
int tpm_dial(const struct tpm_bench *b);
/* The same of a socket that there is. */
void tpm_reach(const struct tpm_bench *b, int fd);
/* A control request without a body, and a descriptor; the answer is to come. */
void tpm_send_fd(const struct tpm_bench *b, uint8_t code, int fd);
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

/* What the card tells about it, read by a job on its thread. */
struct tpm_reading {
	struct sec_tpm_job job;
	struct sec_tpm_status status;
	struct sec_tpm_ek eks[SEC_TPM_EKS];
	sem_t done;
};
void tpm_read(const struct tpm_bench *b, struct tpm_reading *r);

/* GET_STATEBLOB, all at once; its size. */
size_t tpm_get_blob(const struct tpm_bench *b, uint32_t kind, uint8_t *blob,
		    size_t room);
/* SET_STATEBLOB; its result.  size: up to 1 MiB. */
uint32_t tpm_set_blob(const struct tpm_bench *b, uint32_t kind, uint8_t flags,
		      const uint8_t *blob, size_t size);

/* TPM2_Startup(CLEAR) after INIT. */
void tpm_power_on(const struct tpm_bench *b);

#define TPM_STARTUP "8001 0000000c 00000144 0000"
/* TPM2_NV_DefineSpace by the owner: index 0x1800001, eight bytes. */
#define TPM_NV_DEFINE                                                          \
	"8002 0000002d 0000012a 40000001 00000009 40000009 0000 00 0000 "      \
	"0000 000e 01800001 000b 00040004 0000 0008"
#define TPM_NV_WRITE(byte)                                                     \
	"8002 0000002b 00000137 01800001 01800001 00000009 40000009 0000 00 "  \
	"0000 0008 " byte byte byte byte byte byte byte byte " 0000"
#define TPM_NV_READ                                                            \
	"8002 00000023 0000014e 01800001 01800001 00000009 40000009 0000 00 "  \
	"0000 0008 0000"
/* TPM2_CreatePrimary of the owner's: a storage key on P-256, 0x80000000. */
#define TPM_CREATE_PARENT                                                      \
	"8002 00000043 00000131 40000001 00000009 40000009 0000 00 0000 "      \
	"0004 0000 0000 001a 0023 000b 00030072 0000 0006 0080 0043 0010 "     \
	"0003 0010 0000 0000 0000 00000000"

#endif
