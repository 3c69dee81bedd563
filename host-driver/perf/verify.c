/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks that say what they are: see verify.h. */
#include "host-driver/perf/verify.h"

#include <inttypes.h>
#include <isa-l/crc.h>
#include <stdio.h>
#include <string.h>

#include "firmware/rt/bits.h"

struct header {
	char magic[8];
	le64 seed, offset;
	le32 size, generation;
	le32 crc; /* of everything else */
	uint32_t zero;
};

static const char magic[8] = "nitropf1";

/* crc32_iscsi() does not change what it reads, whatever its type says. */
static uint32_t crc_of(const uint8_t *block, uint32_t size)
{
	struct header header;
	uint32_t crc;

	memcpy(&header, block, sizeof header);
	header.crc = le32_put(0);
	crc = crc32_iscsi((unsigned char *)&header, sizeof header, UINT32_MAX);
	return crc32_iscsi((unsigned char *)(uintptr_t)block + sizeof header,
			   (int)(size - sizeof header), crc);
}

static void fill_body(uint8_t *at, const uint8_t *end, uint64_t state)
{
	for (; at < end; at += sizeof state) {
		/* Knuth's multiplier: another word for each place. */
		state = state * UINT64_C(6364136223846793005) +
			UINT64_C(1442695040888963407);
		memcpy(at, &state, sizeof state);
	}
}

void perf_verify_fill(void *block, const struct perf_stamp *stamp)
{
	uint8_t *bytes = block;
	struct header header = {
		.seed = le64_put(stamp->seed),
		.offset = le64_put(stamp->offset),
		.size = le32_put(stamp->size),
		.generation = le32_put(stamp->generation),
	};

	memcpy(header.magic, magic, sizeof magic);
	fill_body(bytes + sizeof header, bytes + stamp->size,
		  stamp->seed ^ stamp->offset << 16 ^ stamp->generation);
	memcpy(bytes, &header, sizeof header);
	header.crc = le32_put(crc_of(bytes, stamp->size));
	memcpy(bytes, &header, sizeof header);
}

/* What a wrong block is instead, as far as one can tell. */
static void explain(const struct header *h, const struct perf_stamp *stamp,
		    bool is_crc_right, char *text, size_t room)
{
	if (memcmp(h->magic, magic, sizeof magic) != 0)
		snprintf(text, room,
			 "no data of this program: it starts with %016" PRIx64,
			 le_load(h, 8));
	else if (!is_crc_right)
		snprintf(text, room, "its CRC-32C is wrong");
	else if (le64_get(h->seed) != stamp->seed)
		snprintf(text, room, "data of seed %" PRIu64 ", not %" PRIu64,
			 le64_get(h->seed), stamp->seed);
	else if (le64_get(h->offset) != stamp->offset)
		snprintf(text, room, "data of offset %" PRIu64,
			 le64_get(h->offset));
	else if (le32_get(h->size) != stamp->size)
		snprintf(text, room, "data of blocks of %u bytes",
			 le32_get(h->size));
	else
		snprintf(text, room, "generation %u, not %u",
			 le32_get(h->generation), stamp->generation);
}

bool perf_verify_check(const void *block, const struct perf_stamp *stamp,
		       char *text, size_t room)
{
	struct header h;
	bool is_crc_right;

	memcpy(&h, block, sizeof h);
	is_crc_right = le32_get(h.crc) == crc_of(block, stamp->size);
	if (is_crc_right && memcmp(h.magic, magic, sizeof magic) == 0 &&
	    le64_get(h.seed) == stamp->seed &&
	    le64_get(h.offset) == stamp->offset &&
	    le32_get(h.size) == stamp->size &&
	    (stamp->generation == 0 ||
	     le32_get(h.generation) == stamp->generation))
		return true;
	explain(&h, stamp, is_crc_right, text, room);
	return false;
}
