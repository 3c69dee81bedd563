/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of NVM commands and of how their data lies in memory: NVM Express Base
 * Specification 1.4, 4.3 and 6.
 *
 * What changes data works on a few blocks at the end of the namespace and puts
 * back what was there.
 */
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/probe.h"

#define NVM_WRITE_UNCORRECTABLE 0x04
#define NVM_COMPARE             0x05
#define NVM_WRITE_ZEROES        0x08
#define NVM_VERIFY              0x0c
#define NVM_RESERVATION_REPORT  0x0e
#define ONCS_COMPARE            BITS(0, 0)
#define ONCS_UNCORRECTABLE      BITS(1, 1)
#define ONCS_ZEROES             BITS(3, 3)
#define ONCS_RESERVATIONS       BITS(5, 5)
#define ONCS_VERIFY             BITS(7, 7)
#define FUSED_FIRST             0x01u
#define PSDT_SGL                0x40u
#define RW_FUA                  (1u << 30)
#define RW_LR                   (1u << 31)
#define FAR_IOVA                UINT64_C(0x100000000000)
#define COMPARE_FAILURE         PROBE_STATUS(2, 0x85)
#define WRITE_PROTECTED         PROBE_STATUS(0, 0x20)
#define WRITE_READ_ONLY         PROBE_STATUS(1, 0x82)
#define SHAPE(...)              ((struct host_nvme_shape){ __VA_ARGS__ })

static uint64_t namespace_blocks(const struct probe *p)
{
	return le64_get(p->ns.nsze);
}

static uint32_t blocks_of(const struct probe *p, uint32_t bytes)
{
	return bytes / p->block_bytes;
}

/* One block's data. */
static int one_block(struct probe *p, struct host_nvme_data *data)
{
	return probe_data(p, p->block_bytes, SHAPE(0), data);
}

/* --- Fields --------------------------------------------------------------- */

enum probe_verdict probe_io_unknown_opcode(struct probe *p)
{
	static const uint8_t opcodes[] = { 0x03, 0x06, 0x07, 0x0a, 0x7e };
	int rc;

	for (size_t i = 0; i < RT_COUNT(opcodes); i++) {
		rc = probe_nvm(p, (struct probe_cmd){ .opcode = opcodes[i],
						      .nsid = p->nsid });
		if (probe_want_unknown(p, rc, opcodes[i]) != PROBE_HOLDS)
			return PROBE_BROKEN;
	}
	return PROBE_HOLDS;
}

/* Outside the namespace, so that nothing happens even if they are obeyed. */
enum probe_verdict probe_io_not_offered(struct probe *p)
{
	static const struct {
		uint8_t opcode;
		uint32_t oncs;
	} commands[] = {
		{ NVM_WRITE_UNCORRECTABLE, ONCS_UNCORRECTABLE },
		{ NVM_COMPARE, ONCS_COMPARE },
		{ NVM_WRITE_ZEROES, ONCS_ZEROES },
		{ NVM_VERIFY, ONCS_VERIFY },
		{ NVM_RESERVATION_REPORT, ONCS_RESERVATIONS },
	};
	struct host_nvme_data data;
	struct probe_cmd cmd;
	int rc = one_block(p, &data);

	for (size_t i = 0; i < RT_COUNT(commands) && rc >= 0; i++) {
		if (le16_get(p->id.oncs) & commands[i].oncs)
			continue;
		cmd = probe_read(p, namespace_blocks(p), 1, &data);
		cmd.opcode = commands[i].opcode;
		rc = probe_nvm(p, cmd);
		if (probe_want_unknown(p, rc, cmd.opcode) != PROBE_HOLDS)
			return PROBE_BROKEN;
	}
	return rc < 0 ? probe_failed(p, rc, "a command") : PROBE_HOLDS;
}

static enum probe_verdict read_of_namespace(struct probe *p, uint32_t nsid)
{
	struct host_nvme_data data;
	struct probe_cmd cmd;
	int rc = one_block(p, &data);

	if (rc < 0)
		return probe_failed(p, rc, "memory");
	cmd = probe_read(p, 0, 1, &data);
	cmd.nsid = nsid;
	rc = probe_nvm(p, cmd);
	if (rc == PROBE_INVALID_NAMESPACE && !probe_is_untouched(p, &data))
		return probe_broken(p, "it was refused and data arrived");
	return probe_want(p, rc, PROBE_INVALID_NAMESPACE);
}

enum probe_verdict probe_io_namespace_zero(struct probe *p)
{
	return read_of_namespace(p, 0);
}

enum probe_verdict probe_io_namespace_range(struct probe *p)
{
	return read_of_namespace(p, le32_get(p->id.nn) + 1);
}

enum probe_verdict probe_io_namespace_all(struct probe *p)
{
	return read_of_namespace(p, NVME_NSID_ALL);
}

static enum probe_verdict read_with_flags(struct probe *p, uint8_t flags)
{
	struct host_nvme_data data;
	struct probe_cmd cmd;
	int rc = one_block(p, &data);

	if (rc < 0)
		return probe_failed(p, rc, "memory");
	cmd = probe_read(p, 0, 1, &data);
	cmd.flags = flags;
	return probe_want(p, probe_nvm(p, cmd), PROBE_INVALID_FIELD);
}

enum probe_verdict probe_io_fused(struct probe *p)
{
	if (le16_get(p->id.fuses))
		return probe_skip(p, "fused commands are offered");
	return read_with_flags(p, FUSED_FIRST);
}

enum probe_verdict probe_io_sgl(struct probe *p)
{
	if (le32_get(p->id.sgls) & 3)
		return probe_skip(p, "SGLs are offered");
	return read_with_flags(p, PSDT_SGL);
}

static enum probe_verdict read_outside(struct probe *p, uint64_t lba,
				       uint32_t blocks)
{
	struct host_nvme_data data;
	int rc = probe_data(p, blocks * p->block_bytes, SHAPE(0), &data);

	if (rc < 0)
		return probe_failed(p, rc, "memory");
	rc = probe_nvm(p, probe_read(p, lba, blocks, &data));
	if (rc == PROBE_LBA_OUT_OF_RANGE && !probe_is_untouched(p, &data))
		return probe_broken(p, "it was refused and data arrived");
	return probe_want(p, rc, PROBE_LBA_OUT_OF_RANGE);
}

enum probe_verdict probe_io_lba_end(struct probe *p)
{
	return read_outside(p, namespace_blocks(p), 1);
}

enum probe_verdict probe_io_lba_across_end(struct probe *p)
{
	return read_outside(p, namespace_blocks(p) - 1, 2);
}

enum probe_verdict probe_io_lba_wrap(struct probe *p)
{
	return read_outside(p, UINT64_MAX, 2);
}

enum probe_verdict probe_io_last_block(struct probe *p)
{
	struct host_nvme_data data;
	int rc = one_block(p, &data);

	if (rc == 0)
		rc = probe_nvm(
			p, probe_read(p, namespace_blocks(p) - 1, 1, &data));
	return rc ? probe_failed(p, rc, "the read") : PROBE_HOLDS;
}

enum probe_verdict probe_io_flush(struct probe *p)
{
	int rc = probe_nvm(p, (struct probe_cmd){ .opcode = NVME_NVM_FLUSH,
						  .nsid = p->nsid });

	return rc ? probe_failed(p, rc, "Flush") : PROBE_HOLDS;
}

enum probe_verdict probe_io_access_hints(struct probe *p)
{
	struct host_nvme_data data;
	struct probe_cmd cmd;
	int rc = one_block(p, &data);

	if (rc < 0)
		return probe_failed(p, rc, "memory");
	cmd = probe_read(p, 0, 1, &data);
	cmd.cdw12 |= RW_FUA | RW_LR;
	rc = probe_nvm(p, cmd);
	return rc ? probe_failed(p, rc, "the read") : PROBE_HOLDS;
}

/* A read as large as MDTS, and one block more. */
static enum probe_verdict read_of_size(struct probe *p, uint32_t more)
{
	uint32_t bytes = probe_max_transfer(p) + more * p->block_bytes;
	struct host_nvme_data data;
	int rc;

	if (probe_max_transfer(p) == 0)
		return probe_skip(p, "MDTS: no limit");
	if (bytes > (HOST_NVME_MAX_PAGES - 1) * HOST_NVME_PAGE ||
	    blocks_of(p, bytes) > 65536)
		return probe_skip(p, "MDTS is more than fits a command here");
	if (blocks_of(p, bytes) > namespace_blocks(p))
		return probe_skip(p, "the namespace is smaller than MDTS");
	rc = probe_data(p, bytes, SHAPE(0), &data);
	if (rc == 0)
		rc = probe_nvm(p, probe_read(p, 0, blocks_of(p, bytes), &data));
	return more ? probe_want(p, rc, PROBE_INVALID_FIELD)
		    : probe_want(p, rc, 0);
}

enum probe_verdict probe_io_mdts(struct probe *p)
{
	return read_of_size(p, 0);
}

enum probe_verdict probe_io_mdts_exceeded(struct probe *p)
{
	return read_of_size(p, 1);
}

/* May a command move so much, and are there so many blocks? */
static bool fits(const struct probe *p, uint32_t bytes)
{
	uint32_t limit = probe_max_transfer(p);

	return (!limit || bytes <= limit) &&
	       blocks_of(p, bytes) <= namespace_blocks(p);
}

/* Is it what a read without anything odd brings? */
static bool is_like_plain(struct probe *p, const struct host_nvme_data *data)
{
	RT_FREE uint8_t *first = malloc(data->size), *second = NULL;
	struct host_nvme_data plain;

	second = malloc(data->size);
	if (!first || !second || probe_data(p, data->size, SHAPE(0), &plain) ||
	    probe_nvm(p, probe_read(p, 0, blocks_of(p, data->size), &plain)))
		return false;
	host_nvme_data_get(p->nvme, &plain, first);
	host_nvme_data_get(p->nvme, data, second);
	return memcmp(first, second, data->size) == 0 &&
	       probe_guards_hold(p, &plain);
}

/* --- Where data lies ------------------------------------------------------ */

/* The same blocks read in an odd shape and in the plainest one. */
static enum probe_verdict read_shaped(struct probe *p, uint32_t bytes,
				      struct host_nvme_shape shape)
{
	struct host_nvme_data data;
	int rc;

	if (!fits(p, bytes))
		return probe_skip(p, "more than a command may move");
	rc = probe_data(p, bytes, shape, &data);
	if (rc == 0)
		rc = probe_nvm(p, probe_read(p, 0, blocks_of(p, bytes), &data));
	if (rc)
		return probe_failed(p, rc, "the read");
	if (!is_like_plain(p, &data))
		return probe_broken(p, "the data is not the same");
	return probe_guards_hold(p, &data)
		       ? PROBE_HOLDS
		       : probe_broken(p, "memory around the data was written");
}

enum probe_verdict probe_transfer_one_page(struct probe *p)
{
	return read_shaped(p, p->block_bytes, SHAPE(.offset = 4));
}

enum probe_verdict probe_transfer_two_pages(struct probe *p)
{
	return read_shaped(p, HOST_NVME_PAGE,
			   SHAPE(.offset = 0x804, .is_scattered = true));
}

enum probe_verdict probe_transfer_list(struct probe *p)
{
	return read_shaped(p, 8 * HOST_NVME_PAGE, SHAPE(.is_scattered = true));
}

enum probe_verdict probe_transfer_list_with_offset(struct probe *p)
{
	return read_shaped(p, 8 * HOST_NVME_PAGE,
			   SHAPE(.offset = 0xffc, .is_scattered = true));
}

enum probe_verdict probe_transfer_list_in_page(struct probe *p)
{
	return read_shaped(p, 8 * HOST_NVME_PAGE,
			   SHAPE(.is_scattered = true, .list_offset = 0x7f8));
}

/* Seven entries exactly where seven fit: the last one is data, no link. */
enum probe_verdict probe_transfer_list_to_end(struct probe *p)
{
	return read_shaped(p, 8 * HOST_NVME_PAGE,
			   SHAPE(.is_scattered = true,
				 .list_offset = HOST_NVME_PAGE - 7 * 8));
}

enum probe_verdict probe_transfer_list_chained(struct probe *p)
{
	return read_shaped(p, 8 * HOST_NVME_PAGE,
			   SHAPE(.is_scattered = true,
				 .list_offset = HOST_NVME_PAGE - 3 * 8));
}

/* Refused, or taken as if the bits were zero. */
enum probe_verdict probe_transfer_prp1_unaligned(struct probe *p)
{
	struct host_nvme_data data;
	struct probe_cmd cmd;
	int rc = one_block(p, &data);

	if (rc < 0)
		return probe_failed(p, rc, "memory");
	cmd = probe_read(p, 0, 1, &data);
	cmd.prp1 += 2;
	rc = probe_nvm(p, cmd);
	if (rc == 0)
		return probe_guards_hold(p, &data)
			       ? PROBE_HOLDS
			       : probe_broken(p, "data arrived at byte 2");
	return probe_want(p, rc, PROBE_INVALID_PRP, PROBE_INVALID_FIELD);
}

enum probe_verdict probe_transfer_prp2_offset(struct probe *p)
{
	uint32_t bytes = 2 * HOST_NVME_PAGE;
	struct host_nvme_data data;
	struct probe_cmd cmd;
	int rc = probe_data(p, bytes, SHAPE(.is_scattered = true), &data);

	if (!fits(p, bytes))
		return probe_skip(p, "more than a command may move");
	cmd = probe_read(p, 0, blocks_of(p, bytes), &data);
	cmd.prp2 += 0x200;
	if (rc == 0)
		rc = probe_nvm(p, cmd);
	return probe_want(p, rc, PROBE_INVALID_PRP, PROBE_INVALID_FIELD);
}

/* Refused, or taken as if the bits were zero. */
enum probe_verdict probe_transfer_list_unaligned(struct probe *p)
{
	uint32_t bytes = 4 * HOST_NVME_PAGE, blocks = blocks_of(p, bytes);
	struct host_nvme_data data;
	struct probe_cmd cmd;
	int rc = probe_data(p, bytes, SHAPE(.is_scattered = true), &data);

	if (!fits(p, bytes))
		return probe_skip(p, "more than a command may move");
	cmd = probe_read(p, 0, blocks, &data);
	cmd.prp2 += 4;
	if (rc == 0)
		rc = probe_nvm(p, cmd);
	if (rc == 0)
		return is_like_plain(p, &data)
			       ? PROBE_HOLDS
			       : probe_broken(p, "the data is not the same");
	return probe_want(p, rc, PROBE_INVALID_PRP, PROBE_INVALID_FIELD);
}

enum probe_verdict probe_transfer_entry_offset(struct probe *p)
{
	struct host_nvme_data data;
	uint32_t bytes = 4 * HOST_NVME_PAGE;
	le64 *list;
	int rc = probe_data(p, bytes, SHAPE(.is_scattered = true), &data);

	if (rc < 0)
		return probe_failed(p, rc, "memory");
	if (!fits(p, bytes))
		return probe_skip(p, "more than a command may move");
	list = probe_at(p, data.prp2);
	list[1] = le64_put(le64_get(list[1]) + 0x10);
	return probe_want(
		p, probe_nvm(p, probe_read(p, 0, blocks_of(p, bytes), &data)),
		PROBE_INVALID_PRP, PROBE_INVALID_FIELD);
}

enum probe_verdict probe_transfer_nowhere(struct probe *p)
{
	struct host_nvme_data data;
	struct probe_cmd cmd;
	int rc = one_block(p, &data);

	if (rc < 0)
		return probe_failed(p, rc, "memory");
	cmd = probe_read(p, 0, 1, &data);
	cmd.prp1 = FAR_IOVA;
	rc = probe_nvm(p, cmd);
	if (rc <= 0)
		return probe_want_error(p, rc);
	rc = probe_nvm(p, probe_read(p, 0, 1, &data));
	return rc ? probe_failed(p, rc, "the next command") : PROBE_HOLDS;
}

enum probe_verdict probe_transfer_identify_offset(struct probe *p)
{
	struct host_nvme_data data;
	uint8_t bytes[NVME_IDENTIFY_BYTES];
	int rc =
		probe_data(p, sizeof bytes,
			   SHAPE(.offset = 0x404, .is_scattered = true), &data);
	const void *plain;

	if (rc == 0)
		rc = probe_identify(p, NVME_CNS_CONTROLLER, 0, &plain);
	if (rc == 0)
		rc = probe_admin(
			p, (struct probe_cmd){ .opcode = NVME_ADMIN_IDENTIFY,
					       .prp1 = data.prp1,
					       .prp2 = data.prp2,
					       .cdw10 = NVME_CNS_CONTROLLER });
	if (rc)
		return probe_failed(p, rc, "Identify");
	host_nvme_data_get(p->nvme, &data, bytes);
	if (memcmp(bytes, plain, sizeof bytes))
		return probe_broken(p, "the data is not the same");
	return probe_guards_hold(p, &data)
		       ? PROBE_HOLDS
		       : probe_broken(p, "memory around the data was written");
}

/* --- Writing -------------------------------------------------------------- */

#define WRITE_BYTES (8u * HOST_NVME_PAGE)

/* The blocks at the end that are written, and what they held. */
struct place {
	uint64_t lba;
	uint32_t blocks, bytes;
	uint8_t *before;
};

static void place_free(struct place *place)
{
	free(place->before);
}
#define PLACE __attribute__((cleanup(place_free)))

static int move(struct probe *p, const struct place *place, uint8_t opcode,
		uint32_t flags, const struct host_nvme_data *data)
{
	struct probe_cmd cmd = probe_read(p, place->lba, place->blocks, data);

	cmd.opcode = opcode;
	cmd.cdw12 |= flags;
	return probe_nvm(p, cmd);
}

static int place_find(struct probe *p, struct place *out)
{
	uint32_t limit = probe_max_transfer(p);
	struct host_nvme_data data;
	int rc;

	out->bytes = limit && limit < WRITE_BYTES ? limit : WRITE_BYTES;
	out->blocks = blocks_of(p, out->bytes);
	if (out->blocks > namespace_blocks(p)) {
		out->blocks = (uint32_t)namespace_blocks(p);
		out->bytes = out->blocks * p->block_bytes;
	}
	out->lba = namespace_blocks(p) - out->blocks;
	out->before = malloc(out->bytes);
	rc = out->before ? probe_data(p, out->bytes, SHAPE(0), &data) : -1;
	if (rc == 0)
		rc = move(p, out, NVME_NVM_READ, 0, &data);
	if (rc == 0)
		host_nvme_data_get(p->nvme, &data, out->before);
	return rc;
}

static int place_restore(struct probe *p, const struct place *place)
{
	struct host_nvme_data data;
	int rc = probe_data(p, place->bytes, SHAPE(0), &data);

	if (rc == 0)
		host_nvme_data_put(p->nvme, &data, place->before);
	return rc ? rc : move(p, place, NVME_NVM_WRITE, 0, &data);
}

/* Bytes that differ from page to page and from what was there. */
static void make_pattern(const struct place *place, uint8_t *bytes)
{
	for (uint32_t i = 0; i < place->bytes; i++)
		bytes[i] = (uint8_t)(~place->before[i] ^ (i >> 12) ^ i);
}

static int read_back(struct probe *p, const struct place *place,
		     struct host_nvme_shape shape, uint8_t *bytes)
{
	struct host_nvme_data data;
	int rc = probe_data(p, place->bytes, shape, &data);

	if (rc == 0)
		rc = move(p, place, NVME_NVM_READ, 0, &data);
	if (rc == 0)
		host_nvme_data_get(p->nvme, &data, bytes);
	return rc;
}

static bool is_read_only(const struct probe *p)
{
	return p->ns.nsattr & NVME_NSATTR_WRITE_PROTECTED;
}

static enum probe_verdict write_and_read(struct probe *p,
					 struct host_nvme_shape shape,
					 uint32_t flags, bool resets)
{
	PLACE struct place place = { 0 };
	struct host_nvme_data data;
	uint8_t pattern[WRITE_BYTES], found[WRITE_BYTES];
	int rc, restored;

	if (is_read_only(p))
		return probe_skip(p, "the namespace is write-protected");
	rc = place_find(p, &place);
	if (rc == 0)
		rc = probe_data(p, place.bytes, shape, &data);
	if (rc)
		return probe_failed(p, rc, "reading what is there");
	make_pattern(&place, pattern);
	host_nvme_data_put(p->nvme, &data, pattern);
	rc = move(p, &place, NVME_NVM_WRITE, flags, &data);
	if (rc == 0 && resets)
		rc = host_nvme_disable(p->nvme);
	if (rc == 0 && resets)
		rc = host_nvme_enable(p->nvme);
	if (rc == 0 && resets)
		rc = probe_make_pair(p, 1, 4);
	if (rc == 0)
		rc = read_back(p, &place, SHAPE(.is_scattered = true), found);
	restored = place_restore(p, &place);
	if (rc || restored)
		return probe_failed(p, rc ? rc : restored, "a command");
	return memcmp(pattern, found, place.bytes) == 0
		       ? PROBE_HOLDS
		       : probe_broken(p, "what is read is not what was "
					 "written");
}

enum probe_verdict probe_write_plain(struct probe *p)
{
	return write_and_read(p, SHAPE(0), 0, false);
}

enum probe_verdict probe_write_scattered(struct probe *p)
{
	return write_and_read(p,
			      SHAPE(.offset = 0x104, .is_scattered = true,
				    .list_offset = HOST_NVME_PAGE - 3 * 8),
			      0, false);
}

enum probe_verdict probe_write_fua(struct probe *p)
{
	return write_and_read(p, SHAPE(0), RW_FUA, false);
}

enum probe_verdict probe_write_survives_reset(struct probe *p)
{
	return write_and_read(p, SHAPE(0), 0, true);
}

enum probe_verdict probe_write_outside(struct probe *p)
{
	struct host_nvme_data data;
	struct probe_cmd cmd;
	int rc = probe_data(p, 2 * p->block_bytes, SHAPE(0), &data);

	if (rc < 0)
		return probe_failed(p, rc, "memory");
	if (is_read_only(p))
		return probe_skip(p, "the namespace is write-protected");
	cmd = probe_read(p, namespace_blocks(p), 2, &data);
	cmd.opcode = NVME_NVM_WRITE;
	return probe_want(p, probe_nvm(p, cmd), PROBE_LBA_OUT_OF_RANGE);
}

enum probe_verdict probe_write_protected(struct probe *p)
{
	struct host_nvme_data data;
	struct probe_cmd cmd;
	int rc = one_block(p, &data);

	if (!is_read_only(p))
		return probe_skip(p, "the namespace is not write-protected");
	if (rc < 0)
		return probe_failed(p, rc, "memory");
	cmd = probe_read(p, 0, 1, &data);
	cmd.opcode = NVME_NVM_WRITE;
	return probe_want(p, probe_nvm(p, cmd), WRITE_PROTECTED,
			  WRITE_READ_ONLY);
}

enum probe_verdict probe_write_zeroes(struct probe *p)
{
	PLACE struct place place = { 0 };
	struct host_nvme_data nothing = { 0 };
	uint8_t found[WRITE_BYTES];
	int rc, restored;

	if (!(le16_get(p->id.oncs) & ONCS_ZEROES))
		return probe_skip(p, "ONCS: no Write Zeroes");
	rc = place_find(p, &place);
	if (rc)
		return probe_failed(p, rc, "reading what is there");
	rc = move(p, &place, NVM_WRITE_ZEROES, 0, &nothing);
	if (rc == 0)
		rc = read_back(p, &place, SHAPE(0), found);
	restored = place_restore(p, &place);
	if (rc || restored)
		return probe_failed(p, rc ? rc : restored, "a command");
	for (uint32_t i = 0; i < place.bytes; i++)
		if (found[i])
			return probe_broken(p, "byte %u is not zero", i);
	return PROBE_HOLDS;
}

/* Deallocated, it may read as anything, but it reads; and others stay. */
enum probe_verdict probe_write_deallocate(struct probe *p)
{
	PLACE struct place place = { 0 };
	struct nvme_dsm_range *range;
	uint64_t page = probe_page(p);
	uint8_t found[WRITE_BYTES];
	int rc, restored;

	if (!(le16_get(p->id.oncs) & NVME_ONCS_DSM))
		return probe_skip(p, "ONCS: no Dataset Management");
	rc = place_find(p, &place);
	if (rc)
		return probe_failed(p, rc, "reading what is there");
	range = probe_at(p, page);
	range->start = le64_put(place.lba);
	range->blocks = le32_put(place.blocks);
	rc = probe_nvm(p, (struct probe_cmd){ .opcode = NVME_NVM_DSM,
					      .nsid = p->nsid,
					      .prp1 = page,
					      .cdw11 = NVME_DSM_AD });
	if (rc == 0)
		rc = read_back(p, &place, SHAPE(0), found);
	restored = place_restore(p, &place);
	if (rc == 0)
		rc = restored;
	return rc ? probe_failed(p, rc, "a command") : PROBE_HOLDS;
}

enum probe_verdict probe_io_deallocate_range(struct probe *p)
{
	struct nvme_dsm_range *range;
	uint64_t page = probe_page(p);

	if (!(le16_get(p->id.oncs) & NVME_ONCS_DSM))
		return probe_skip(p, "ONCS: no Dataset Management");
	if (is_read_only(p))
		return probe_skip(p, "the namespace is write-protected");
	range = probe_at(p, page);
	range->start = le64_put(namespace_blocks(p));
	range->blocks = le32_put(1);
	return probe_want(
		p,
		probe_nvm(p, (struct probe_cmd){ .opcode = NVME_NVM_DSM,
						 .nsid = p->nsid,
						 .prp1 = page,
						 .cdw11 = NVME_DSM_AD }),
		PROBE_LBA_OUT_OF_RANGE);
}

enum probe_verdict probe_io_compare(struct probe *p)
{
	struct host_nvme_data data;
	struct probe_cmd cmd;
	uint8_t *bytes;
	int rc = one_block(p, &data);

	if (!(le16_get(p->id.oncs) & ONCS_COMPARE))
		return probe_skip(p, "ONCS: no Compare");
	if (rc == 0)
		rc = probe_nvm(p, probe_read(p, 0, 1, &data));
	cmd = probe_read(p, 0, 1, &data);
	cmd.opcode = NVM_COMPARE;
	if (rc == 0)
		rc = probe_nvm(p, cmd);
	if (rc)
		return probe_failed(p, rc, "comparing a block with itself");
	bytes = probe_at(p, data.prp1);
	bytes[0] ^= 1;
	return probe_want(p, probe_nvm(p, cmd), COMPARE_FAILURE);
}
