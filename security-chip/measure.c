/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registers and their log, behind one mutex.  Events are few, so reading
 * copies.
 */
#include "security-chip/measure.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "firmware/rt/scope.h"

#define GUEST_EVENTS (SEC_EVENTS / 2)

static struct {
	pthread_mutex_t mutex;
	uint8_t registers[SEC_REGISTERS][SEC_DIGEST_BYTES];
	struct sec_event log[SEC_EVENTS];
	size_t count, guest_count;
} measured = { .mutex = PTHREAD_MUTEX_INITIALIZER };

const char *sec_register_name(enum sec_register n)
{
	static const char *const names[] = { "rom", "firmware", "config",
					     "policy", "guest" };

	_Static_assert(RT_COUNT(names) == SEC_REGISTERS, "a name for each");
	return n < SEC_REGISTERS ? names[n] : "?";
}

int sec_digest(const void *bytes, size_t size, uint8_t out[SEC_DIGEST_BYTES])
{
	return EVP_Digest(bytes, size, out, NULL, EVP_sha384(), NULL) ? 0
								      : -EIO;
}

static int extend(uint8_t value[SEC_DIGEST_BYTES],
		  const uint8_t digest[SEC_DIGEST_BYTES])
{
	uint8_t both[2 * SEC_DIGEST_BYTES];

	memcpy(both, value, SEC_DIGEST_BYTES);
	memcpy(both + SEC_DIGEST_BYTES, digest, SEC_DIGEST_BYTES);
	return sec_digest(both, sizeof both, value);
}

static int append(enum sec_register n, const char *what,
		  const uint8_t digest[SEC_DIGEST_BYTES])
{
	struct sec_event *event = &measured.log[measured.count];
	bool is_guest = n == SEC_REGISTER_GUEST;
	int status;

	if (measured.count == SEC_EVENTS ||
	    (is_guest && measured.guest_count == GUEST_EVENTS))
		return -ENOSPC;
	status = extend(measured.registers[n], digest);
	if (status)
		return status;
	*event = (struct sec_event){ .number = n };
	snprintf(event->what, sizeof event->what, "%s", what);
	memcpy(event->digest, digest, SEC_DIGEST_BYTES);
	measured.count++;
	measured.guest_count += is_guest;
	return 0;
}

int sec_measure(enum sec_register n, const char *what,
		const uint8_t digest[SEC_DIGEST_BYTES])
{
	int status;

	if ((unsigned int)n >= SEC_REGISTERS)
		return -EINVAL;
	pthread_mutex_lock(&measured.mutex);
	status = append(n, what, digest);
	pthread_mutex_unlock(&measured.mutex);
	return status;
}

int sec_measure_bytes(enum sec_register n, const char *what, const void *bytes,
		      size_t size)
{
	uint8_t digest[SEC_DIGEST_BYTES];
	int status = sec_digest(bytes, size, digest);

	return status ? status : sec_measure(n, what, digest);
}

void sec_register_read(enum sec_register n, uint8_t out[SEC_DIGEST_BYTES])
{
	memset(out, 0, SEC_DIGEST_BYTES);
	if ((unsigned int)n >= SEC_REGISTERS)
		return;
	pthread_mutex_lock(&measured.mutex);
	memcpy(out, measured.registers[n], SEC_DIGEST_BYTES);
	pthread_mutex_unlock(&measured.mutex);
}

size_t sec_event_log(struct sec_event *out, size_t room)
{
	size_t count;

	pthread_mutex_lock(&measured.mutex);
	count = measured.count;
	if (room)
		memcpy(out, measured.log,
		       (room < count ? room : count) * sizeof *out);
	pthread_mutex_unlock(&measured.mutex);
	return count;
}

int sec_event_replay(const struct sec_event *events, size_t count,
		     uint8_t out[SEC_REGISTERS][SEC_DIGEST_BYTES])
{
	int status = 0;

	memset(out, 0, SEC_REGISTERS * SEC_DIGEST_BYTES);
	for (size_t i = 0; i < count && !status; i++)
		status = events[i].number < SEC_REGISTERS
				 ? extend(out[events[i].number],
					  events[i].digest)
				 : -EINVAL;
	return status;
}
