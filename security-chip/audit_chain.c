/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chain of the audit log.  Its key is derived each time: records are few,
 * and a key that is not kept cannot leak.
 *
 * syscalls: pread64 pwrite64 fcntl lseek ftruncate
 */
#include "security-chip/audit_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "security-chip/chip.h"

#define HEX_BYTES ((size_t)2 * SEC_DIGEST_BYTES)

/* MAC of what came before and these bytes. */
static int chain(const uint8_t before[SEC_DIGEST_BYTES], const void *bytes,
		 size_t size, uint8_t out[SEC_DIGEST_BYTES])
{
	uint8_t key[SEC_DIGEST_BYTES], all[SEC_DIGEST_BYTES + SEC_AUDIT_BODY];
	int status = sec_chip_secret("audit log", key, sizeof key);

	if (!status && size > SEC_AUDIT_BODY)
		status = -EMSGSIZE;
	if (!status) {
		memcpy(all, before, SEC_DIGEST_BYTES);
		memcpy(all + SEC_DIGEST_BYTES, bytes, size);
		if (!HMAC(EVP_sha384(), key, sizeof key, all,
			  SEC_DIGEST_BYTES + size, out, NULL))
			status = -EIO;
	}
	OPENSSL_cleanse(key, sizeof key);
	return status;
}

static int seal(const struct sec_audit_head *head,
		uint8_t out[SEC_DIGEST_BYTES])
{
	char text[64];
	int length = snprintf(text, sizeof text, "head %llu %llu",
			      (unsigned long long)head->count,
			      (unsigned long long)head->size);

	return chain(head->mac, text, (size_t)length, out);
}

static void print_hex(const uint8_t mac[SEC_DIGEST_BYTES], char *out)
{
	for (size_t i = 0; i < SEC_DIGEST_BYTES; i++)
		snprintf(out + 2 * i, 3, "%02x", mac[i]);
}

/* Whether line is the record after *mac, which it then becomes. */
static bool follows(const char *line, size_t length, uint64_t number,
		    uint8_t mac[SEC_DIGEST_BYTES])
{
	char hex[HEX_BYTES + 1];
	char *end;

	if (length < HEX_BYTES + 2 || line[HEX_BYTES] != ' ' ||
	    strlen(line) != length ||
	    chain(mac, line + HEX_BYTES + 1, length - HEX_BYTES - 1, mac))
		return false;
	print_hex(mac, hex);
	return !memcmp(hex, line, HEX_BYTES) &&
	       strtoull(line + HEX_BYTES + 1, &end, 10) == number &&
	       *end == ' ';
}

static int read_head(int fd, struct sec_audit_head *out)
{
	uint8_t expected[SEC_DIGEST_BYTES];
	ssize_t size = pread(fd, out, sizeof *out, 0);
	int status;

	if (size < 0)
		return -errno;
	if (!size) {
		*out = (struct sec_audit_head){ 0 };
		return 0;
	}
	if (size != sizeof *out)
		return -EBADMSG;
	status = seal(out, expected);
	if (!status && CRYPTO_memcmp(expected, out->seal, sizeof expected) != 0)
		status = -EBADMSG;
	return status;
}

/* The record after *head, if there is a whole one. */
static bool step(int log, struct sec_audit_head *head)
{
	char line[HEX_BYTES + SEC_AUDIT_BODY + 4];
	uint8_t mac[SEC_DIGEST_BYTES];
	ssize_t size = pread(log, line, sizeof line - 1, (off_t)head->size);
	char *end = size > 0 ? memchr(line, '\n', (size_t)size) : NULL;

	if (!end)
		return false;
	*end = '\0';
	memcpy(mac, head->mac, sizeof mac);
	if (!follows(line, (size_t)(end - line), head->count + 1, mac))
		return false;
	memcpy(head->mac, mac, sizeof mac);
	head->count++;
	head->size += (uint64_t)(end - line) + 1;
	return true;
}

int sec_audit_head_read(int log, int fd, struct sec_audit_head *out)
{
	int status = read_head(fd, out);

	while (!status && step(log, out))
		;
	return status;
}

/* The whole line, or nothing: half a one would look tampered with. */
static int write_line(int log, const char *line, size_t length)
{
	ssize_t written = write(log, line, length);
	int code = errno;
	off_t end;

	if (written == (ssize_t)length)
		return 0;
	if (written < 0)
		return -code;
	/* Most likely there was no room for more. */
	end = lseek(log, 0, SEEK_CUR);
	return end < 0 || ftruncate(log, end - written) ? -EIO : -ENOSPC;
}

int sec_audit_append(int log, int head_fd, struct sec_audit_head *head,
		     const char *body)
{
	char line[HEX_BYTES + SEC_AUDIT_BODY + 4];
	int status = chain(head->mac, body, strlen(body), head->mac), length;

	if (status)
		return status;
	print_hex(head->mac, line);
	length = (int)HEX_BYTES;
	length +=
		snprintf(line + length, sizeof line - HEX_BYTES, " %s\n", body);
	head->count++;
	head->size += (uint64_t)length;
	status = seal(head, head->seal);
	if (!status)
		status = write_line(log, line, (size_t)length);
	if (!status && pwrite(head_fd, head, sizeof *head, 0) != sizeof *head)
		status = -EIO;
	return status;
}

/* ---- Checking ---- */

static int check_lines(FILE *log, uint8_t mac[SEC_DIGEST_BYTES],
		       uint64_t *out_records, struct rt_error *error)
{
	RT_FREE char *line = NULL;
	size_t room = 0;
	ssize_t length;

	while ((length = getline(&line, &room, log)) > 0) {
		if (line[length - 1] == '\n')
			line[--length] = '\0';
		if (!follows(line, (size_t)length, *out_records + 1, mac))
			return rt_error_set(error, -EBADMSG,
					    "the audit log is broken at line "
					    "%llu: it was changed, or one "
					    "before it was removed",
					    (unsigned long long)*out_records +
						    1);
		(*out_records)++;
	}
	return 0;
}

static int compare_head(int fd, const uint8_t mac[SEC_DIGEST_BYTES],
			uint64_t records, struct rt_error *error)
{
	struct sec_audit_head head;
	int status = read_head(fd, &head);

	if (status)
		return rt_error_set(error, status,
				    "the head of the audit log: %s",
				    strerror(-status));
	/* A card that died between the two writes leaves the head behind. */
	if (head.count > records)
		return rt_error_set(error, -EBADMSG,
				    "the audit log ends after line %llu, but "
				    "had %llu lines",
				    (unsigned long long)records,
				    (unsigned long long)head.count);
	if (head.count == records &&
	    memcmp(head.mac, mac, sizeof head.mac) != 0)
		return rt_error_set(error, -EBADMSG,
				    "the audit log is another than its head "
				    "knows");
	return 0;
}

int sec_audit_chain_check(int log, int head, uint64_t *out_records,
			  struct rt_error *error)
{
	uint8_t mac[SEC_DIGEST_BYTES] = { 0 };
	int copy = fcntl(log, F_DUPFD_CLOEXEC, 0);
	FILE *stream = copy >= 0 ? fdopen(copy, "r") : NULL;
	int status;

	*out_records = 0;
	if (!stream) {
		if (copy >= 0)
			close(copy);
		return rt_error_set(error, -ENOMEM, "audit.log: no memory");
	}
	rewind(stream);
	status = check_lines(stream, mac, out_records, error);
	fclose(stream);
	return status ? status : compare_head(head, mac, *out_records, error);
}
