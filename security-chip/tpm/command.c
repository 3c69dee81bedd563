/* SPDX-License-Identifier: BSD-3-Clause */
/* TPM 2.0 commands as bytes (library specification, part 1, 18). */
#include "security-chip/tpm/command.h"

#include <string.h>

void sec_tpm_put(struct sec_tpm_writer *w, const void *bytes, size_t size)
{
	if (size > w->room - w->used) {
		w->is_full = true;
		return;
	}
	if (size)
		memcpy(w->bytes + w->used, bytes, size);
	w->used += size;
}

void sec_tpm_put_number(struct sec_tpm_writer *w, unsigned int size,
			uint64_t value)
{
	uint8_t bytes[8];

	for (unsigned int i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> 8 * (size - 1 - i));
	sec_tpm_put(w, bytes, size);
}

void sec_tpm_put_sized(struct sec_tpm_writer *w, const void *bytes, size_t size)
{
	sec_tpm_put_number(w, 2, size);
	sec_tpm_put(w, bytes, size);
}

const uint8_t *sec_tpm_get(struct sec_tpm_reader *r, size_t size)
{
	const uint8_t *bytes = r->bytes;

	if (r->is_short || size > r->left) {
		r->is_short = true;
		return NULL;
	}
	r->bytes += size;
	r->left -= size;
	return bytes;
}

uint64_t sec_tpm_get_number(struct sec_tpm_reader *r, unsigned int size)
{
	const uint8_t *bytes = sec_tpm_get(r, size);
	uint64_t value = 0;

	for (unsigned int i = 0; bytes && i < size; i++)
		value = value << 8 | bytes[i];
	return value;
}

const uint8_t *sec_tpm_get_sized(struct sec_tpm_reader *r, size_t *size)
{
	*size = sec_tpm_get_number(r, 2);
	return sec_tpm_get(r, *size);
}

void sec_tpm_begin(struct sec_tpm_writer *w, uint16_t tag, uint32_t code,
		   uint32_t handle)
{
	sec_tpm_put_number(w, 2, tag);
	sec_tpm_put_number(w, 4, 0);
	sec_tpm_put_number(w, 4, code);
	if (tag != TPM_ST_SESSIONS)
		return;
	sec_tpm_put_number(w, 4, handle);
	/* Part 2, 10.13.2: session, nonce, attributes, password. */
	sec_tpm_put_number(w, 4, 9);
	sec_tpm_put_number(w, 4, TPM_RS_PW);
	sec_tpm_put_number(w, 2, 0);
	sec_tpm_put_number(w, 1, 0);
	sec_tpm_put_number(w, 2, 0);
}

bool sec_tpm_end(struct sec_tpm_writer *w)
{
	struct sec_tpm_writer size = { w->bytes, 2, 6, false };

	sec_tpm_put_number(&size, 4, w->used);
	return !w->is_full;
}

static uint32_t number_at(const uint8_t *bytes, size_t size, size_t offset)
{
	struct sec_tpm_reader r = { bytes + offset, 4, false };

	return size < TPM_HEADER_BYTES ? 0
				       : (uint32_t)sec_tpm_get_number(&r, 4);
}

uint32_t sec_tpm_size_of(const uint8_t *bytes, size_t size)
{
	return number_at(bytes, size, 2);
}

uint32_t sec_tpm_code_of(const uint8_t *bytes, size_t size)
{
	return number_at(bytes, size, 6);
}
