/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes on the TPM's control channel, and any commands of a guest between
 * them: the TPM behind is the real one.  Messages are taken as their bytes come
 * to be there, answers fit, and what a message takes is what it has.
 *
 * The input is a list of records: a byte (0: control, 1: control with a
 * descriptor, 2: command, 3: the client leaves), a length in two bytes and
 * that many bytes.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/log.h"
#include "security-chip/tpm/private.h"
#include "tests/fuzz/input.h"

static struct sec_tpm_store store;
static struct sec_tpm_guest guest;
static struct sec_tpm_channel channel;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sec_tpm_writes writes;
static struct rt_rule_record records[SEC_TPM_RULES];
static struct rt_rule_book rules = { "fuzz", sec_tpm_rule_texts, records,
				     SEC_TPM_RULES };
static uint8_t in[SEC_TPM_CHANNEL_BYTES], out[SEC_TPM_CHANNEL_BYTES];
static size_t used;

static void powered(void *opaque, bool is_on)
{
	sec_tpm_guest_powered(opaque, is_on);
}

static void begin(void)
{
	static const uint8_t key[SEC_TPM_KEY_BYTES] = { 1 };
	char dir[] = "/dev/shm/tpm-fuzz-XXXXXX";

	rt_log_set_level(RT_LOG_ERROR);
	if (!mkdtemp(dir) ||
	    sec_tpm_store_open(&store, open(dir, O_RDONLY | O_CLOEXEC), "fuzz",
			       key, NULL) ||
	    sec_tpm_engine_open(&store, &writes, NULL))
		abort();
	channel = (struct sec_tpm_channel){ .store = &store,
					    .lock = &lock,
					    .rules = &rules,
					    .powered = powered,
					    .opaque = &guest };
	sec_tpm_channel_init(&channel);
	sec_tpm_nsm_open(&guest.nsm, store.instance);
	guest.instance = store.instance;
	guest.store = &store;
}

static void leave(void)
{
	used = 0;
	sec_tpm_engine_forget();
	sec_tpm_engine_off();
	sec_tpm_channel_reset(&channel);
}

static void take_messages(void)
{
	struct sec_tpm_writer w;
	ssize_t length;

	do {
		w = (struct sec_tpm_writer){ out, 0, sizeof out, false };
		length = sec_tpm_channel_take(&channel, in, used, &w);
		if (length < 0) {
			leave();
			return;
		}
		if ((size_t)length > used || w.is_full || (length && !w.used))
			abort();
		used -= (size_t)length;
		memmove(in, in + length, used);
	} while (length);
}

static void talk(const uint8_t *bytes, size_t size, bool with_fd)
{
	int pair[2];

	if (with_fd && !socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) {
		close(pair[1]);
		sec_tpm_channel_give_fd(&channel, pair[0]);
	}
	if (size > sizeof in - used)
		size = sizeof in - used;
	memcpy(in + used, bytes, size);
	used += size;
	take_messages();
}

/* Commands that make keys take long, which is not what is looked for here. */
static bool is_slow(const uint8_t *command, size_t size)
{
	uint32_t code = sec_tpm_code_of(command, size);

	return code == TPM_CC_CREATE_PRIMARY || code == 0x153 || code == 0x191;
}

static void command(const uint8_t *bytes, size_t size)
{
	uint8_t answer[SEC_TPM_MESSAGE_BYTES];
	size_t answered;

	if (is_slow(bytes, size) || size > sizeof answer)
		return;
	answered = sec_tpm_guest_run(&guest, channel.locality, bytes, size,
				     answer);
	if (answered < TPM_HEADER_BYTES ||
	    answered != sec_tpm_size_of(answer, answered))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sec_tpm_reader r = { data, size, false };
	const uint8_t *bytes;
	unsigned int kind;
	size_t length;

	if (store.dir <= 0)
		begin();
	while (r.left > 3) {
		kind = (unsigned int)sec_tpm_get_number(&r, 1);
		length = sec_tpm_get_number(&r, 2);
		if (length > r.left)
			length = r.left;
		bytes = sec_tpm_get(&r, length);
		if (kind % 4 == 2)
			command(bytes, length);
		else if (kind % 4 == 3)
			leave();
		else
			talk(bytes, length, kind % 4 == 1);
	}
	leave();
	return 0;
}
