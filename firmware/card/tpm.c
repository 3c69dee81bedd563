/* SPDX-License-Identifier: BSD-3-Clause */
/* Gives the TPM its name, its instance, its key and its socket. */
#include "firmware/card/tpm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "firmware/card/config.h"
#include "firmware/rt/log.h"
#include "firmware/rt/secret.h"
#include "security-chip/chip.h"
#include "security-chip/tpm/tpm.h"

static int find_socket(struct card *card, struct rt_error *error)
{
	const char *dir = card->config->card.socket_dir;
	int length =
		snprintf(card->tpm_socket, sizeof card->tpm_socket, "%s/%s.tpm",
			 dir ? dir : "", card->config->tpm.name);

	if (dir && length > 0 && (size_t)length < sizeof card->tpm_socket)
		return 0;
	rt_error_set(error, -ENAMETOOLONG,
		     "the path of the TPM's socket is longer than %zu bytes",
		     sizeof card->tpm_socket - 1);
	rt_error_hint(error, "choose a shorter socket-dir");
	return -ENAMETOOLONG;
}

/* A key for each instance, so that one cannot read another's state. */
static int make_key(const char *instance, uint8_t key[SEC_TPM_KEY_BYTES],
		    struct rt_error *error)
{
	char label[128];
	int status;

	snprintf(label, sizeof label, "tpm state of %.64s", instance);
	status = sec_chip_secret(label, key, SEC_TPM_KEY_BYTES);
	if (status)
		rt_error_set(error, status, "cannot make the TPM's key: %s",
			     strerror(-status));
	return status;
}

static int create(struct card *card, enum card_mode mode,
		  struct rt_error *error)
{
	const struct card_tpm_config *wanted = &card->config->tpm;
	struct sec_tpm_config config = { .name = wanted->name,
					 .instance = wanted->instance,
					 .dir = sec_chip_dir() };
	int status = mode == CARD_SERVE ? find_socket(card, error) : 0;

	if (mode == CARD_SERVE)
		config.socket = card->tpm_socket;
	if (!status)
		status = make_key(wanted->instance, config.key, error);
	if (!status)
		status = sec_tpm_create(&config, &card->tpm, error);
	rt_erase(config.key, sizeof config.key);
	return status;
}

bool card_tpm_start(struct card *card, enum card_mode mode)
{
	const struct card_tpm_config *wanted = &card->config->tpm;
	struct rt_error error = { 0 };
	int status;

	if (!wanted->node)
		return true;
	status = create(card, mode, &error);
	if (!status || (status == -EBUSY && mode == CARD_CHECK))
		return true;
	if (status == -EINVAL)
		rt_error_place(&error, "instance");
	card_config_complain(card->config, wanted->node, &error);
	return false;
}

bool card_tpm_stop(struct card *card, unsigned int ms)
{
	if (sec_tpm_destroy(&card->tpm, ms))
		return true;
	rt_log_error(card->config->tpm.name, "did not stop within %u ms", ms);
	return false;
}
