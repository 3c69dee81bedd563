/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TPM's life.  Whoever makes it owns it; the control thread starts and ends
 * the data thread:
 *
 *   maker:    check the state, listen, start …… is_ending, cancel, join, free
 *   control:  make the TPM if it is new → data thread → serve …… join it
 *   data:     commands and jobs …… the jobs that are left
 *
 * syscalls: unlink eventfd2
 */
#include "security-chip/tpm/tpm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "firmware/rt/listen.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/secret.h"
#include "security-chip/tpm/private.h"

#define CANCEL_MS 20

static void powered(void *opaque, bool is_on)
{
	sec_tpm_guest_powered(opaque, is_on);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void free_tpm(struct sec_tpm *tpm)
{
	sec_tpm_channel_reset(&tpm->channel);
	sec_tpm_nsm_close(&tpm->guest.nsm);
	sec_tpm_engine_close();
	sec_tpm_store_close(&tpm->store);
	close_fd(tpm->listener);
	close_fd(tpm->end);
	close_fd(tpm->wake);
	if (tpm->has_offer)
		close_fd(tpm->offered);
	if (tpm->socket)
		unlink(tpm->socket);
	free(tpm->socket);
	free(tpm->in);
	free(tpm->out);
	pthread_mutex_destroy(&tpm->lock);
	pthread_mutex_destroy(&tpm->post_lock);
	free(tpm);
}

static struct sec_tpm *allocate(const struct sec_tpm_config *config)
{
	struct sec_tpm *tpm = calloc(1, sizeof *tpm);

	if (!tpm)
		return NULL;
	tpm->name = config->name;
	tpm->rules = (struct rt_rule_book){ config->name, sec_tpm_rule_texts,
					    tpm->rule_records, SEC_TPM_RULES };
	tpm->listener = tpm->client = tpm->offered = tpm->data.fd = -1;
	tpm->store.dir = tpm->store.lock = -1;
	tpm->end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	tpm->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	tpm->in = malloc(SEC_TPM_CHANNEL_BYTES);
	tpm->out = malloc(SEC_TPM_CHANNEL_BYTES);
	pthread_mutex_init(&tpm->lock, NULL);
	pthread_mutex_init(&tpm->post_lock, NULL);
	STAILQ_INIT(&tpm->jobs);
	sec_tpm_channel_init(&tpm->channel);
	tpm->channel.store = &tpm->store;
	tpm->channel.lock = &tpm->lock;
	tpm->channel.rules = &tpm->rules;
	tpm->channel.powered = powered;
	tpm->channel.opaque = &tpm->guest;
	tpm->guest.instance = tpm->store.instance;
	tpm->guest.store = &tpm->store;
	if (tpm->end >= 0 && tpm->wake >= 0 && tpm->in && tpm->out)
		return tpm;
	free_tpm(tpm);
	return NULL;
}

/* That it can be read now is no promise, but most mistakes show. */
static int check_state(struct sec_tpm *tpm, struct rt_error *error)
{
	RT_FREE uint8_t *state = NULL;
	size_t size = 0;
	int status = sec_tpm_store_read(&tpm->store, "permall", &state, &size,
					error);

	rt_erase(state, size);
	if (!status)
		status = sec_tpm_eks_load(&tpm->guest, &tpm->store, error);
	return status == -ENOENT ? 0 : status;
}

static int start(struct sec_tpm *tpm, const char *path, struct rt_error *error)
{
	int status = rt_listen_unix(path, &tpm->listener, error);

	if (status)
		return status;
	tpm->socket = strdup(path);
	if (!tpm->socket)
		return rt_error_set(error, -ENOMEM, "out of memory");
	status = -pthread_create(&tpm->control, NULL, sec_tpm_control_run, tpm);
	if (status)
		rt_error_set(error, status, "cannot start the TPM's thread: %s",
			     strerror(-status));
	return status;
}

int sec_tpm_create(const struct sec_tpm_config *config, struct sec_tpm **out,
		   struct rt_error *error)
{
	struct sec_tpm *tpm;
	int status;

	*out = NULL;
	/* Before the other's is opened, which freeing this one would close. */
	if (sec_tpm_engine_is_open())
		return rt_error_set(error, -EBUSY,
				    "a card has one TPM, and it has it");
	tpm = allocate(config);
	if (!tpm)
		return rt_error_set(error, -ENOMEM, "out of memory");
	status = sec_tpm_store_open(&tpm->store, config->dir, config->instance,
				    config->key, error);
	if (!status)
		status = check_state(tpm, error);
	if (!status)
		status = sec_tpm_engine_open(&tpm->store, &tpm->writes, error);
	if (!status)
		sec_tpm_nsm_open(&tpm->guest.nsm, tpm->store.instance);
	if (!status && config->socket)
		status = start(tpm, config->socket, error);
	if (status)
		free_tpm(tpm);
	else
		*out = tpm;
	return status;
}

static struct timespec in_ms(unsigned int ms)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_nsec += (long)ms * 1000000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	return at;
}

/* A cancel that comes just before a command begins is lost: ask again. */
static bool join(struct sec_tpm *tpm, unsigned int ms)
{
	struct timespec at;

	for (unsigned int waited = 0; waited <= ms; waited += CANCEL_MS) {
		sec_tpm_engine_cancel();
		at = in_ms(CANCEL_MS);
		if (!pthread_timedjoin_np(tpm->control, NULL, &at))
			return true;
	}
	return false;
}

bool sec_tpm_destroy(struct sec_tpm **tpm, unsigned int ms)
{
	struct sec_tpm *t = *tpm;

	*tpm = NULL;
	if (!t)
		return true;
	t->is_ending = true;
	eventfd_write(t->end, 1);
	eventfd_write(t->wake, 1);
	if (t->socket && !join(t, ms))
		return false;
	free_tpm(t);
	return true;
}

void sec_tpm_read_status(struct sec_tpm *tpm, struct sec_tpm_status *out)
{
	const struct sec_tpm_guest *guest = &tpm->guest;
	int status;

	*out = (struct sec_tpm_status){
		.is_connected = tpm->is_connected,
		.is_on = sec_tpm_engine_is_on(),
		.boots = rt_counter_read(&guest->boots),
		.commands = rt_counter_read(&guest->commands),
		.failures = rt_counter_read(&guest->failures),
		.messages = rt_counter_read(&tpm->channel.messages),
		.refused = rt_counter_read(&tpm->channel.refused),
		.stores = rt_counter_read(&tpm->writes.all),
		.failed_stores = rt_counter_read(&tpm->writes.failed),
	};
	/* A state that a VMM has put back may be started already. */
	status = sec_tpm_pcrs_read(out->pcrs);
	out->is_started = status != -EAGAIN;
	out->has_pcrs = !status;
}

const struct sec_tpm_ek *sec_tpm_read_ek(struct sec_tpm *tpm,
					 enum sec_tpm_ek_kind kind)
{
	static const struct sec_tpm_ek none;

	return tpm->guest.has_new_eks ? &none : &tpm->guest.eks[kind];
}
