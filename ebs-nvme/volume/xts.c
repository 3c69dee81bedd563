/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * XTS-AES-256: which code does it on this processor, and OpenSSL where none of
 * ours can.  The library keeps its schedules on the heap and a position with
 * them, so only one thread at a time uses them.
 */
#include "ebs-nvme/volume/xts.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "firmware/rt/scope.h"
#include "firmware/rt/secret.h"

struct library {
	pthread_mutex_t lock;
	EVP_CIPHER_CTX *encrypt, *decrypt;
};

static void library_end(struct ebs_xts_schedule *s)
{
	struct library *l = s->library;

	if (l) {
		EVP_CIPHER_CTX_free(l->encrypt);
		EVP_CIPHER_CTX_free(l->decrypt);
		pthread_mutex_destroy(&l->lock);
		free(l);
	}
	rt_erase(s, sizeof *s);
}

static EVP_CIPHER_CTX *make(const uint8_t *key, int is_encrypt)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

	if (context && EVP_CipherInit_ex(context, EVP_aes_256_xts(), NULL, key,
					 NULL, is_encrypt) == 1)
		return context;
	EVP_CIPHER_CTX_free(context);
	return NULL;
}

static int library_begin(struct ebs_xts_schedule *s,
			 const uint8_t key[EBS_XTS_KEY_BYTES])
{
	struct library *l = calloc(1, sizeof *l);

	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	s->library = l;
	l->encrypt = make(key, 1);
	l->decrypt = make(key, 0);
	if (l->encrypt && l->decrypt)
		return 0;
	library_end(s);
	return -ENOMEM;
}

static void run(EVP_CIPHER_CTX *context, uint8_t *to, const uint8_t *from,
		uint64_t number)
{
	uint8_t tweak[16] = { 0 };
	int size;

	for (unsigned int i = 0; i < 8; i++)
		tweak[i] = (uint8_t)(number >> 8 * i);
	EVP_CipherInit_ex(context, NULL, NULL, NULL, tweak, -1);
	EVP_CipherUpdate(context, to, &size, from, EBS_XTS_UNIT);
}

static void library_encrypt(const struct ebs_xts_schedule *s, void *to,
			    const void *from, size_t units, uint64_t number)
{
	struct library *l = s->library;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < units; i++)
		run(l->encrypt, (uint8_t *)to + i * EBS_XTS_UNIT,
		    (const uint8_t *)from + i * EBS_XTS_UNIT, number + i);
	pthread_mutex_unlock(&l->lock);
}

static void library_decrypt(const struct ebs_xts_schedule *s, void *to,
			    const void *from, size_t units, uint64_t number)
{
	struct library *l = s->library;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < units; i++) {
		const uint8_t *unit = (const uint8_t *)from + i * EBS_XTS_UNIT;
		uint8_t *plain = (uint8_t *)to + i * EBS_XTS_UNIT;

		if (ebs_xts_is_blank(unit))
			memset(plain, 0, EBS_XTS_UNIT);
		else
			run(l->decrypt, plain, unit, number + i);
	}
	pthread_mutex_unlock(&l->lock);
}

/* The library's own. */
static void library_wipe(void)
{
}

static bool is_always(void)
{
	return true;
}

const struct ebs_xts_method ebs_xts_methods[] = {
#ifdef __x86_64__
	{ "vaes", ebs_xts_has_vaes, ebs_xts_aesni_begin, ebs_xts_aesni_end,
	  ebs_xts_vaes_encrypt, ebs_xts_vaes_encrypt_to_store,
	  ebs_xts_vaes_decrypt, ebs_xts_vaes_wipe },
	{ "aesni", ebs_xts_has_aesni, ebs_xts_aesni_begin, ebs_xts_aesni_end,
	  ebs_xts_aesni_encrypt, ebs_xts_aesni_encrypt, ebs_xts_aesni_decrypt,
	  ebs_xts_aesni_wipe },
#endif
	{ "openssl", is_always, library_begin, library_end, library_encrypt,
	  library_encrypt, library_decrypt, library_wipe },
};
const size_t ebs_xts_method_count = RT_COUNT(ebs_xts_methods);

const struct ebs_xts_method *ebs_xts_choose(void)
{
	const struct ebs_xts_method *method = ebs_xts_methods;

	while (!method->is_there())
		method++;
	return method;
}
