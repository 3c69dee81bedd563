/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hooks between the parts of libtpms 0.9, which is linked statically: the
 * linker gives us calls from one of its object files to another (--wrap=NAME:
 * they come to __wrap_NAME, and __real_NAME is its own; see CMakeLists.txt).
 *
 * Theory.  The vendor command has the shape of TPM2_NV_ReadLock: so it is that
 * command to all that parses and authorises, while the hashes that sessions
 * authenticate are over its own code.  When it comes to its action, that is
 * ours: it reads and writes the index by the actions of TPM2_NV_Read and
 * TPM2_NV_Write, which check what they always check.  They leave the rights of
 * the index's own password or policy to whoever parses; to that our command
 * only reads, so that it may write, too, is checked here.
 *
 * A wide index is defined as one of libtpms's largest size, and becomes wide
 * after all checks, just before its space is taken.
 *
 * The structures are those of the library specification, part 2, and the
 * parameters of part 3, as its reference code lays them out in memory.
 */
#include "security-chip/tpm/hooks.h"

#include <stdbool.h>
#include <string.h>

#include "security-chip/tpm/command.h"

#define STOCK_NV_BYTES 2048u /* of an index, at most; MAX_NV_INDEX_SIZE */
#define CHUNK_BYTES    1024u /* at once; MAX_NV_BUFFER_SIZE */
#define REQUEST_BYTES  4096u /* NSM API: a request has no more */
/* Part 2, 8.9: command 1, writes NV, two handles, of a vendor. */
#define ATTRIBUTES     0x24400001u

/* TPM2B_MAX_NV_BUFFER */
struct chunk {
	uint16_t size;
	uint8_t bytes[CHUNK_BYTES];
};

/* TPMS_NV_PUBLIC */
struct nv_public {
	uint32_t index;
	uint16_t name_algorithm;
	uint32_t attributes;
	uint16_t policy_size;
	uint8_t policy[64];
	uint16_t data_size;
};

/* TPM2B_NV_PUBLIC */
struct sized_public {
	uint16_t size;
	struct nv_public body;
};

struct handles {
	uint32_t auth, index;
};

struct nv_read_in {
	struct handles handles;
	uint16_t size, offset;
};

struct nv_write_in {
	struct handles handles;
	struct chunk data;
	uint16_t offset;
};

struct nv_read_public_out {
	struct sized_public public;
	uint8_t name[128]; /* a TPM2B_NAME is shorter */
};

/* TPML_TAGGED_TPM_PROPERTY and TPML_CCA, as far as they are filled. */
struct property_list {
	uint32_t count;
	struct {
		uint32_t property, value;
	} items[];
};
struct command_list {
	uint32_t count, attributes[];
};

static struct {
	sec_tpm_nsm_fn *answer;
	void *opaque;
	bool is_ours;   /* the command that runs */
	bool is_policy; /* and a policy authorises it, not a password */
	uint16_t
		wanted; /* of the index that is being defined; 0: no wide one */
	uint8_t request[REQUEST_BYTES], response[SEC_TPM_NV_BYTES];
} hooks;

void sec_tpm_hooks_set(sec_tpm_nsm_fn *answer, void *opaque)
{
	hooks.answer = answer;
	hooks.opaque = opaque;
}

void sec_tpm_hooks_begin(const uint8_t *command, size_t size)
{
	struct sec_tpm_reader r = { command, size, false };

	hooks.is_ours = hooks.answer &&
			sec_tpm_code_of(command, size) == TPM_CC_NSM_REQUEST;
	hooks.wanted = 0;
	/* Two handles, the authorisations' size, the first one's session. */
	sec_tpm_get(&r, TPM_HEADER_BYTES + 4 + 4 + 4);
	hooks.is_policy = sec_tpm_get_number(&r, 1) == TPM_HT_POLICY_SESSION;
}

/* ---- libtpms's, and what stands between them ---- */

#define HOOK(type, name, ...)                                                  \
	type __real_##name(__VA_ARGS__);                                       \
	type __wrap_##name(__VA_ARGS__)

uint32_t TPM2_NV_Read(struct nv_read_in *in, struct chunk *out);
uint32_t TPM2_NV_Write(struct nv_write_in *in);
uint32_t TPM2_NV_ReadPublic(uint32_t *index, struct nv_read_public_out *out);

HOOK(uint16_t, CommandCodeToCommandIndex, uint32_t code);
HOOK(uint32_t, TPM2_NV_ReadLock, struct handles *in);
HOOK(uint32_t, TPM2B_NV_PUBLIC_Unmarshal, struct sized_public *out,
     uint8_t **bytes, int32_t *left);
HOOK(uint32_t, TPMS_NV_PUBLIC_Unmarshal, struct nv_public *out, uint8_t **bytes,
     int32_t *left);
HOOK(uint32_t, NvDefineIndex, struct nv_public *public, void *auth);
HOOK(uint8_t, TPMCapGetProperties, uint32_t first, uint32_t count,
     struct property_list *list);
HOOK(uint8_t, CommandCapGetCCList, uint32_t first, uint32_t count,
     struct command_list *list);

/* ---- the command ---- */

uint16_t __wrap_CommandCodeToCommandIndex(uint32_t code)
{
	if (hooks.is_ours && code == TPM_CC_NSM_REQUEST)
		code = TPM_CC_NV_READ_LOCK;
	return __real_CommandCodeToCommandIndex(code);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static uint32_t read_index(const struct handles *handles, size_t size)
{
	struct nv_read_in in = { .handles = *handles };
	struct chunk out;
	uint32_t code = TPM_RC_SUCCESS;

	for (size_t at = 0; at < size && !code; at += CHUNK_BYTES) {
		in.offset = (uint16_t)at;
		in.size = (uint16_t)least(CHUNK_BYTES, size - at);
		code = TPM2_NV_Read(&in, &out);
		if (!code)
			memcpy(hooks.request + at, out.bytes, in.size);
	}
	return code;
}

static uint32_t write_index(const struct handles *handles, size_t size)
{
	struct nv_write_in in = { .handles = *handles };
	uint32_t code = TPM_RC_SUCCESS;

	for (size_t at = 0; at < size && !code; at += CHUNK_BYTES) {
		in.offset = (uint16_t)at;
		in.data.size = (uint16_t)least(CHUNK_BYTES, size - at);
		memcpy(in.data.bytes, hooks.response + at, in.data.size);
		code = TPM2_NV_Write(&in);
	}
	return code;
}

/* Others than the index's own are checked by the actions. */
static bool has_rights(const struct handles *handles,
		       const struct nv_public *public)
{
	uint32_t needed = hooks.is_policy
				  ? TPMA_NV_POLICYREAD | TPMA_NV_POLICYWRITE
				  : TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE;

	return handles->auth != handles->index ||
	       (public->attributes & needed) == needed;
}

static uint32_t exchange(const struct handles *handles, size_t size)
{
	size_t asked = least(size, REQUEST_BYTES), used;
	uint32_t code = read_index(handles, asked);

	if (code)
		return code;
	used = hooks.answer(hooks.opaque, hooks.request, asked, hooks.response,
			    size);
	memset(hooks.response + used, 0, size - used);
	return used ? write_index(handles, size) : TPM_RC_NV_RANGE;
}

static uint32_t run(struct handles *handles)
{
	struct nv_read_public_out out;
	uint32_t code = TPM2_NV_ReadPublic(&handles->index, &out);

	if (code)
		return code;
	if (out.public.body.data_size > SEC_TPM_NV_BYTES)
		return TPM_RC_NV_RANGE;
	if (!has_rights(handles, &out.public.body))
		return TPM_RC_NV_AUTHORIZATION;
	return exchange(handles, out.public.body.data_size);
}

uint32_t __wrap_TPM2_NV_ReadLock(struct handles *in)
{
	return hooks.is_ours ? run(in) : __real_TPM2_NV_ReadLock(in);
}

/* ---- wide indices ---- */

/*
 * Where the data's size stands in a TPMS_NV_PUBLIC that is wide; NULL: it is
 * not, or not one at all.
 */
static uint8_t *find_wide(uint8_t *bytes, size_t left, uint16_t *wanted)
{
	struct sec_tpm_reader r = { bytes, left, false };
	const uint8_t *found;
	size_t policy;

	sec_tpm_get(&r, 4 + 2 + 4);
	sec_tpm_get_sized(&r, &policy);
	found = sec_tpm_get(&r, 2);
	if (!found)
		return NULL;
	*wanted = (uint16_t)(found[0] << 8 | found[1]);
	return *wanted > STOCK_NV_BYTES && *wanted <= SEC_TPM_NV_BYTES
		       ? bytes + (found - bytes)
		       : NULL;
}

static void put_size(uint8_t *at, uint16_t size)
{
	at[0] = (uint8_t)(size >> 8);
	at[1] = (uint8_t)size;
}

/* The parameter of TPM2_NV_DefineSpace: what is wide is told at its end. */
uint32_t __wrap_TPM2B_NV_PUBLIC_Unmarshal(struct sized_public *out,
					  uint8_t **bytes, int32_t *left)
{
	uint16_t wanted = 0;
	uint8_t *at =
		*left > 2 ? find_wide(*bytes + 2, (size_t)*left - 2, &wanted)
			  : NULL;
	uint32_t code;

	hooks.wanted = at ? wanted : 0;
	if (at)
		put_size(at, STOCK_NV_BYTES);
	code = __real_TPM2B_NV_PUBLIC_Unmarshal(out, bytes, left);
	if (at)
		put_size(at, wanted);
	return code;
}

uint32_t __wrap_NvDefineIndex(struct nv_public *public, void *auth)
{
	if (hooks.wanted && public->data_size == STOCK_NV_BYTES)
	public->data_size = hooks.wanted;
	return __real_NvDefineIndex(public, auth);
}

/* Of a state that is loaded. */
uint32_t __wrap_TPMS_NV_PUBLIC_Unmarshal(struct nv_public *out, uint8_t **bytes,
					 int32_t *left)
{
	uint16_t wanted = 0;
	uint8_t *at =
		*left > 0 ? find_wide(*bytes, (size_t)*left, &wanted) : NULL;
	uint32_t code;

	if (at)
		put_size(at, STOCK_NV_BYTES);
	code = __real_TPMS_NV_PUBLIC_Unmarshal(out, bytes, left);
	if (!at)
		return code;
	put_size(at, wanted);
	if (!code)
		out->data_size = wanted;
	return code;
}

/* ---- what the TPM says it can do ---- */

uint8_t __wrap_TPMCapGetProperties(uint32_t first, uint32_t count,
				   struct property_list *list)
{
	uint8_t has_more = __real_TPMCapGetProperties(first, count, list);

	for (uint32_t i = 0; i < list->count; i++) {
		if (list->items[i].property == TPM_PT_NV_INDEX_MAX)
			list->items[i].value = SEC_TPM_NV_BYTES;
		if (hooks.answer &&
		    (list->items[i].property == TPM_PT_TOTAL_COMMANDS ||
		     list->items[i].property == TPM_PT_VENDOR_COMMANDS))
			list->items[i].value++;
	}
	return has_more;
}

/* The vendor's commands come last. */
uint8_t __wrap_CommandCapGetCCList(uint32_t first, uint32_t count,
				   struct command_list *list)
{
	uint8_t has_more = __real_CommandCapGetCCList(first, count, list);

	if (!hooks.answer || has_more || first > TPM_CC_NSM_REQUEST)
		return has_more;
	if (list->count >= count)
		return 1;
	list->attributes[list->count++] = ATTRIBUTES;
	return 0;
}
