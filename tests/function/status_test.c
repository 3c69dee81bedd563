/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a controller answers to the wrong thing (NVMe Base 1.4, 4.6.1.2): each
 * row sends it through the device's own door and names the status that the
 * specification names.  Where the text leaves the choice, there are two.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/function/bench.h"

#define STATUS(type, code) HOST_NVME_STATUS(type, code)
#define NOWHERE            UINT64_C(0x123400000000)
#define LAST_PAGE          UINT64_C(0xfffffffffffff000)

enum where {
	PLAIN,     /* a page for PRP1, nothing in PRP2 */
	AT_PRP1,   /* prp1 as the row has it */
	OFF_PRP1,  /* the page plus the row's prp1 */
	OFF_BOTH,  /* PRP2 is the next page plus the row's prp2 */
	OFF_LIST,  /* a good list, whose address has the row's prp2 added */
	OFF_ENTRY, /* a list whose second entry has the row's prp2 added */
	FAR_LIST,  /* prp2 as the row has it */
	FAR_ENTRY, /* a list whose second entry is the row's prp2 */
};

struct row {
	const char *name;
	int expected, or_else;
	uint8_t opcode, flags;
	uint32_t nsid;
	uint32_t cdw10, cdw11, cdw12, cdw13;
	enum where where;
	uint64_t prp1, prp2;
};

#define QUEUE(qid, entries) (((entries)-1u) << 16 | (qid))
#define BLOCKS(n)           ((n)-1u)
#define LBA(lba)            .cdw10 = (uint32_t)(lba), .cdw11 = (uint32_t)((lba) >> 32)

static uint64_t make_list(struct host_nvme *n, uint64_t page,
			  const struct row *row)
{
	uint64_t iova = host_nvme_alloc(n, 4096, 4096);
	le64 *list = host_nvme_at(n, iova);

	for (unsigned int i = 0; i < 512; i++)
		list[i] = le64_put(page + 4096 * (i % 4));
	if (row->where == OFF_ENTRY)
		list[1] = le64_put(page + row->prp2);
	if (row->where == FAR_ENTRY)
		list[1] = le64_put(row->prp2);
	return row->where == OFF_LIST ? iova + row->prp2 : iova;
}

static void aim(struct host_nvme *n, const struct row *row,
		struct nvme_cmd *cmd)
{
	uint64_t page = host_nvme_alloc(n, 5 * 4096, 4096);
	uint64_t prp1 = page, prp2 = 0;

	switch (row->where) {
	case PLAIN:
		break;
	case AT_PRP1:
		prp1 = row->prp1;
		break;
	case OFF_PRP1:
		prp1 = page + row->prp1;
		break;
	case OFF_BOTH:
		prp1 = page + row->prp1;
		prp2 = page + 4096 + row->prp2;
		break;
	case FAR_LIST:
		prp2 = row->prp2;
		break;
	default:
		prp2 = make_list(n, page, row);
	}
	cmd->prp1 = le64_put(prp1);
	cmd->prp2 = le64_put(prp2);
}

static int send_row(struct host_nvme *n, uint16_t sq, const struct row *row)
{
	struct nvme_cmd cmd = {
		.opcode = row->opcode,
		.flags = row->flags,
		.nsid = le32_put(row->nsid),
		.cdw10 = le32_put(row->cdw10),
		.cdw11 = le32_put(row->cdw11),
		.cdw12 = le32_put(row->cdw12),
		.cdw13 = le32_put(row->cdw13),
	};

	aim(n, row, &cmd);
	return host_nvme_call(n, sq, &cmd, NULL);
}

static void run_rows(struct bench *b, uint16_t sq, const struct row *rows,
		     size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct row *row = &rows[i];
		int got = send_row(b->nvme, sq, row);

		cr_expect(got == row->expected ||
				  (row->or_else && got == row->or_else),
			  "%s: got %s instead of %s", row->name,
			  bench_status_text(got),
			  bench_status_text(row->expected));
	}
}

#define RUN(b, sq, rows) run_rows(b, sq, rows, sizeof(rows) / sizeof *(rows))

/* --- Any admin command ---------------------------------------------------- */

static const struct row admin_rows[] = {
	/* Opcodes that this controller does not have. */
	{ "namespace management", STATUS(0, 1), .opcode = 0x0d },
	{ "firmware commit", STATUS(0, 1), .opcode = 0x10 },
	{ "firmware download", STATUS(0, 1), .opcode = 0x11 },
	{ "self-test", STATUS(0, 1), .opcode = 0x14 },
	{ "namespace attachment", STATUS(0, 1), .opcode = 0x15 },
	{ "keep alive", STATUS(0, 1), .opcode = 0x18 },
	{ "directive send", STATUS(0, 1), .opcode = 0x19 },
	{ "directive receive", STATUS(0, 1), .opcode = 0x1a },
	{ "virtualization management", STATUS(0, 1), .opcode = 0x1c },
	{ "doorbell buffer", STATUS(0, 1), .opcode = 0x7c },
	{ "fabrics", STATUS(0, 1), .opcode = 0x7f },
	{ "format", STATUS(0, 1), .opcode = 0x80, .nsid = 1 },
	{ "security send", STATUS(0, 1), .opcode = 0x81 },
	{ "security receive", STATUS(0, 1), .opcode = 0x82 },
	{ "sanitize", STATUS(0, 1), .opcode = 0x84 },
	{ "get LBA status", STATUS(0, 1), .opcode = 0x86, .nsid = 1 },
	{ "reserved opcode 03", STATUS(0, 1), .opcode = 0x03 },
	{ "vendor opcode C0", STATUS(0, 1), .opcode = 0xc0 },
	{ "vendor opcode FF", STATUS(0, 1), .opcode = 0xff },
	/* 4.2: fused admin commands and SGLs do not exist here. */
	{ "first of a fused pair", STATUS(0, 2), .opcode = 6, .flags = 1,
	  .cdw10 = 1 },
	{ "second of a fused pair", STATUS(0, 2), .opcode = 6, .flags = 2,
	  .cdw10 = 1 },
	{ "SGL in an admin command", STATUS(0, 2), .opcode = 6, .flags = 0x40,
	  .cdw10 = 1 },
	{ "SGL and metadata SGL", STATUS(0, 2), .opcode = 6, .flags = 0x80,
	  .cdw10 = 1 },
	{ "reserved PSDT", STATUS(0, 2), .opcode = 6, .flags = 0xc0,
	  .cdw10 = 1 },
};

Test(function_status, admin_commands_in_general)
{
	struct bench b;

	bench_start(&b, NULL);
	RUN(&b, 0, admin_rows);
	bench_stop(&b);
}

/* --- Identify and logs ---------------------------------------------------- */

static const struct row identify_rows[] = {
	{ "reserved CNS 09", STATUS(0, 2), .opcode = 6, .cdw10 = 0x09 },
	{ "reserved CNS 0F", STATUS(0, 2), .opcode = 6, .cdw10 = 0x0f },
	{ "namespace management's CNS 10", STATUS(0, 2), .opcode = 6,
	  .cdw10 = 0x10 },
	{ "reserved CNS FF", STATUS(0, 2), .opcode = 6, .cdw10 = 0xff },
	{ "namespace 0", STATUS(0, 0x0b), .opcode = 6, .nsid = 0 },
	{ "namespace 2 of 1", STATUS(0, 0x0b), .opcode = 6, .nsid = 2 },
	{ "all namespaces without namespace management", STATUS(0, 0x0b),
	  .opcode = 6, .nsid = 0xffffffff },
	{ "descriptors of namespace 0", STATUS(0, 0x0b), .opcode = 6,
	  .cdw10 = 3 },
	{ "descriptors of namespace 2", STATUS(0, 0x0b), .opcode = 6, .nsid = 2,
	  .cdw10 = 3 },
	{ "active list after FFFFFFFE", STATUS(0, 0x0b), .opcode = 6,
	  .nsid = 0xfffffffe, .cdw10 = 2 },
	{ "active list after FFFFFFFF", STATUS(0, 0x0b), .opcode = 6,
	  .nsid = 0xffffffff, .cdw10 = 2 },
	{ "PRP1 at an odd byte", STATUS(0, 0x13), .opcode = 6, .cdw10 = 1,
	  .where = OFF_PRP1, .prp1 = 1 },
	{ "PRP1 at a half dword", STATUS(0, 0x13), .opcode = 6, .cdw10 = 1,
	  .where = OFF_PRP1, .prp1 = 0x802 },
	{ "PRP2 with an offset", STATUS(0, 0x13), .opcode = 6, .cdw10 = 1,
	  .where = OFF_BOTH, .prp1 = 0x800, .prp2 = 0x800 },
	{ "no memory behind PRP1", STATUS(0, 4), .opcode = 6, .cdw10 = 1,
	  .where = AT_PRP1, .prp1 = NOWHERE },
	{ "PRP1 at the end of all addresses", STATUS(0, 4), .opcode = 6,
	  .cdw10 = 1, .where = AT_PRP1, .prp1 = LAST_PAGE },
};

static const struct row log_rows[] = {
	{ "reserved page 00", STATUS(1, 9), .opcode = 2 },
	{ "page 05 of an older controller", STATUS(1, 9), .opcode = 2,
	  .cdw10 = 0x7f0005 },
	{ "self-test page", STATUS(1, 9), .opcode = 2, .cdw10 = 0x7f0006 },
	{ "ANA page", STATUS(1, 9), .opcode = 2, .cdw10 = 0x7f000c },
	{ "reserved page 7F", STATUS(1, 9), .opcode = 2, .cdw10 = 0x7f007f },
	{ "reservation page", STATUS(1, 9), .opcode = 2, .cdw10 = 0x7f0080 },
	{ "vendor page C0", STATUS(1, 9), .opcode = 2, .cdw10 = 0x7f00c0 },
	{ "vendor page FF", STATUS(1, 9), .opcode = 2, .cdw10 = 0x7f00ff },
	{ "offset that is no dword", STATUS(0, 2), .opcode = 2,
	  .cdw10 = 0x7f0002, .cdw12 = 2 },
	{ "offset past the page", STATUS(0, 2), .opcode = 2, .cdw10 = 0x7f0002,
	  .cdw12 = 0x204 },
	{ "offset far past the page", STATUS(0, 2), .opcode = 2,
	  .cdw10 = 0x7f0002, .cdw13 = 0x80000000 },
	{ "more than MDTS", STATUS(0, 2), .opcode = 2, .cdw10 = 0x0002,
	  .cdw11 = 2 },
	{ "PRP1 at an odd byte", STATUS(0, 0x13), .opcode = 2,
	  .cdw10 = 0x7f0002, .where = OFF_PRP1, .prp1 = 1 },
	{ "no memory behind PRP1", STATUS(0, 4), .opcode = 2, .cdw10 = 0x7f0002,
	  .where = AT_PRP1, .prp1 = NOWHERE },
	{ "SMART of a namespace that is none", STATUS(0, 0x0b), STATUS(0, 2),
	  .opcode = 2, .nsid = 2, .cdw10 = 0x7f0002 },
};

Test(function_status, identify_and_logs)
{
	struct bench b;

	bench_start(&b, NULL);
	RUN(&b, 0, identify_rows);
	RUN(&b, 0, log_rows);
	bench_stop(&b);
}

/* --- Features ------------------------------------------------------------- */

#define SAVE 0x80000000u

static const struct row feature_rows[] = {
	{ "get feature 00", STATUS(0, 2), .opcode = 10 },
	{ "get feature 0C without APST", STATUS(0, 2), .opcode = 10,
	  .cdw10 = 0x0c },
	{ "get feature 0D without HMB", STATUS(0, 2), .opcode = 10,
	  .cdw10 = 0x0d },
	{ "get feature 7F", STATUS(0, 2), .opcode = 10, .cdw10 = 0x7f },
	{ "get feature C5", STATUS(0, 2), .opcode = 10, .cdw10 = 0xc5 },
	{ "get, reserved select 4", STATUS(0, 2), .opcode = 10,
	  .cdw10 = 0x401 },
	{ "get, reserved select 7", STATUS(0, 2), .opcode = 10,
	  .cdw10 = 0x701 },
	{ "get, reserved temperature sensor", STATUS(0, 2), .opcode = 10,
	  .cdw10 = 4, .cdw11 = 0x90000 },
	{ "get, reserved threshold", STATUS(0, 2), .opcode = 10, .cdw10 = 4,
	  .cdw11 = 0x300000 },
	{ "get, vector out of range", STATUS(0, 2), .opcode = 10, .cdw10 = 9,
	  .cdw11 = 0xffff },
	{ "set feature 00", STATUS(0, 2), .opcode = 9 },
	{ "set feature 7F", STATUS(0, 2), .opcode = 9, .cdw10 = 0x7f },
	{ "set feature C5", STATUS(0, 2), .opcode = 9, .cdw10 = 0xc5 },
	{ "save arbitration", STATUS(1, 0x0d), .opcode = 9, .cdw10 = SAVE | 1 },
	{ "save the power state", STATUS(1, 0x0d), .opcode = 9,
	  .cdw10 = SAVE | 2 },
	{ "save temperature thresholds", STATUS(1, 0x0d), .opcode = 9,
	  .cdw10 = SAVE | 4 },
	{ "save the write cache", STATUS(1, 0x0d), .opcode = 9,
	  .cdw10 = SAVE | 6, .cdw11 = 1 },
	{ "save coalescing", STATUS(1, 0x0d), .opcode = 9, .cdw10 = SAVE | 8 },
	{ "save event configuration", STATUS(1, 0x0d), .opcode = 9,
	  .cdw10 = SAVE | 0x0b },
	{ "arbitration of one namespace", STATUS(1, 0x0f), .opcode = 9,
	  .nsid = 1, .cdw10 = 1 },
	{ "power state of one namespace", STATUS(1, 0x0f), .opcode = 9,
	  .nsid = 1, .cdw10 = 2 },
	{ "power state beyond NPSS", STATUS(0, 2), .opcode = 9, .cdw10 = 2,
	  .cdw11 = 2 },
	{ "power state 31", STATUS(0, 2), .opcode = 9, .cdw10 = 2,
	  .cdw11 = 31 },
	{ "reserved temperature sensor", STATUS(0, 2), .opcode = 9, .cdw10 = 4,
	  .cdw11 = 0x90000 | 300 },
	{ "reserved threshold kind", STATUS(0, 2), .opcode = 9, .cdw10 = 4,
	  .cdw11 = 0x200000 | 300 },
	{ "65536 submission queues", STATUS(0, 2), STATUS(0, 0x0c), .opcode = 9,
	  .cdw10 = 7, .cdw11 = 0x0000ffff },
	{ "65536 completion queues", STATUS(0, 2), STATUS(0, 0x0c), .opcode = 9,
	  .cdw10 = 7, .cdw11 = 0xffff0000 },
	{ "number of queues after they were made", STATUS(0, 0x0c), .opcode = 9,
	  .cdw10 = 7, .cdw11 = 0x10001 },
	{ "vector out of range", STATUS(0, 2), .opcode = 9, .cdw10 = 9,
	  .cdw11 = 0xffff },
};

Test(function_status, features)
{
	struct bench b;

	bench_start(&b, NULL);
	RUN(&b, 0, feature_rows);
	bench_stop(&b);
}

Test(function_status, number_of_queues_before_they_are_made)
{
	static const struct row rows[] = {
		{ "65536 submission queues", STATUS(0, 2), .opcode = 9,
		  .cdw10 = 7, .cdw11 = 0x0000ffff },
		{ "65536 completion queues", STATUS(0, 2), .opcode = 9,
		  .cdw10 = 7, .cdw11 = 0xffff0000 },
		{ "as many as there may be", 0, .opcode = 9, .cdw10 = 7,
		  .cdw11 = 0xfffefffe },
		{ "and once more", 0, .opcode = 9, .cdw10 = 7,
		  .cdw11 = 0x10001 },
	};
	struct bench b;

	bench_enable(&b, NULL);
	RUN(&b, 0, rows);
	bench_stop(&b);
}

/* --- Queues --------------------------------------------------------------- */

/* Queue pair 1 exists, 2 is granted and free, 3 is not granted. */
static const struct row queue_rows[] = {
	{ "submission queue 0", STATUS(1, 1), .opcode = 1, .cdw10 = QUEUE(0, 8),
	  .cdw11 = 0x10001 },
	{ "submission queue that exists", STATUS(1, 1), .opcode = 1,
	  .cdw10 = QUEUE(1, 8), .cdw11 = 0x10001 },
	{ "submission queue that was not granted", STATUS(1, 1), .opcode = 1,
	  .cdw10 = QUEUE(3, 8), .cdw11 = 0x10001 },
	{ "submission queue 65535", STATUS(1, 1), .opcode = 1,
	  .cdw10 = QUEUE(65535, 8), .cdw11 = 0x10001 },
	{ "completion queue that does not exist", STATUS(1, 0), .opcode = 1,
	  .cdw10 = QUEUE(2, 8), .cdw11 = 0x20001 },
	{ "completion queue out of range", STATUS(1, 1), STATUS(1, 0),
	  .opcode = 1, .cdw10 = QUEUE(2, 8), .cdw11 = 0x1000001 },
	{ "admin completion queue for I/O", STATUS(1, 1), STATUS(1, 0),
	  .opcode = 1, .cdw10 = QUEUE(2, 8), .cdw11 = 0x00001 },
	{ "submission queue of one entry", STATUS(1, 2), .opcode = 1,
	  .cdw10 = QUEUE(2, 1), .cdw11 = 0x10001 },
	{ "submission queue above MQES", STATUS(1, 2), .opcode = 1,
	  .cdw10 = QUEUE(2, 0x10000), .cdw11 = 0x10001 },
	{ "scattered submission queue", STATUS(0, 2), .opcode = 1,
	  .cdw10 = QUEUE(2, 8), .cdw11 = 0x10000 },
	{ "submission queue inside a page", STATUS(0, 0x13), .opcode = 1,
	  .cdw10 = QUEUE(2, 8), .cdw11 = 0x10001, .where = OFF_PRP1,
	  .prp1 = 0x40 },
	{ "new completion queue 0", STATUS(1, 1), .opcode = 5,
	  .cdw10 = QUEUE(0, 8), .cdw11 = 1 },
	{ "new completion queue that exists", STATUS(1, 1), .opcode = 5,
	  .cdw10 = QUEUE(1, 8), .cdw11 = 1 },
	{ "new completion queue that was not granted", STATUS(1, 1),
	  .opcode = 5, .cdw10 = QUEUE(3, 8), .cdw11 = 1 },
	{ "completion queue of one entry", STATUS(1, 2), .opcode = 5,
	  .cdw10 = QUEUE(2, 1), .cdw11 = 1 },
	{ "completion queue above MQES", STATUS(1, 2), .opcode = 5,
	  .cdw10 = QUEUE(2, 0x10000), .cdw11 = 1 },
	{ "scattered completion queue", STATUS(0, 2), .opcode = 5,
	  .cdw10 = QUEUE(2, 8), .cdw11 = 0 },
	{ "completion queue inside a page", STATUS(0, 0x13), .opcode = 5,
	  .cdw10 = QUEUE(2, 8), .cdw11 = 1, .where = OFF_PRP1, .prp1 = 0x10 },
	{ "vector one past the last", STATUS(1, 8), .opcode = 5,
	  .cdw10 = QUEUE(2, 8), .cdw11 = 3u << 16 | 3 },
	{ "vector 65535", STATUS(1, 8), .opcode = 5, .cdw10 = QUEUE(2, 8),
	  .cdw11 = 0xffff0003 },
	{ "delete submission queue 0", STATUS(1, 1), .opcode = 0, .cdw10 = 0 },
	{ "delete submission queue 2", STATUS(1, 1), .opcode = 0, .cdw10 = 2 },
	{ "delete submission queue 65535", STATUS(1, 1), .opcode = 0,
	  .cdw10 = 65535 },
	{ "delete completion queue 0", STATUS(1, 1), .opcode = 4, .cdw10 = 0 },
	{ "delete completion queue 2", STATUS(1, 1), .opcode = 4, .cdw10 = 2 },
	{ "delete completion queue in use", STATUS(1, 0x0c), .opcode = 4,
	  .cdw10 = 1 },
	{ "delete its submission queue", 0, .opcode = 0, .cdw10 = 1 },
	{ "delete it twice", STATUS(1, 1), .opcode = 0, .cdw10 = 1 },
	{ "delete the completion queue now", 0, .opcode = 4, .cdw10 = 1 },
	{ "delete that one twice", STATUS(1, 1), .opcode = 4, .cdw10 = 1 },
};

Test(function_status, queues)
{
	struct bench b;

	bench_start(&b, NULL);
	RUN(&b, 0, queue_rows);
	bench_stop(&b);
}

Test(function_status, sizes_just_below_and_above_mqes)
{
	struct bench b;
	uint32_t most;

	bench_enable(&b, NULL);
	most = (uint32_t)bits_get(NVME_CAP_MQES, b.nvme->cap) + 1;
	cr_expect_eq(host_nvme_create_cq(b.nvme, 1, most + 1, -1),
		     STATUS(1, 2));
	cr_expect_eq(host_nvme_create_cq(b.nvme, 1, most, -1), 0);
	cr_expect_eq(host_nvme_create_sq(b.nvme, 1, most + 1, 1), STATUS(1, 2));
	cr_expect_eq(host_nvme_create_sq(b.nvme, 1, most, 1), 0);
	bench_stop(&b);
}

/* --- Reads and writes ----------------------------------------------------- */

#define READ_AND_WRITE(row_name, ...)                                          \
	{ "read: " row_name, .opcode = 2, __VA_ARGS__ },                       \
	{                                                                      \
		"write: " row_name, .opcode = 1, __VA_ARGS__                   \
	}

static const struct row io_rows[] = {
	{ "write uncorrectable", STATUS(0, 1), .opcode = 0x04, .nsid = 1 },
	{ "compare", STATUS(0, 1), .opcode = 0x05, .nsid = 1 },
	{ "write zeroes", STATUS(0, 1), .opcode = 0x08, .nsid = 1 },
	{ "dataset management", STATUS(0, 1), .opcode = 0x09, .nsid = 1 },
	{ "verify", STATUS(0, 1), .opcode = 0x0c, .nsid = 1 },
	{ "reservation register", STATUS(0, 1), .opcode = 0x0d, .nsid = 1 },
	{ "reservation report", STATUS(0, 1), .opcode = 0x0e, .nsid = 1 },
	{ "reservation acquire", STATUS(0, 1), .opcode = 0x11, .nsid = 1 },
	{ "reservation release", STATUS(0, 1), .opcode = 0x15, .nsid = 1 },
	{ "copy", STATUS(0, 1), .opcode = 0x19, .nsid = 1 },
	{ "reserved opcode 7F", STATUS(0, 1), .opcode = 0x7f, .nsid = 1 },
	{ "vendor opcode 80", STATUS(0, 1), .opcode = 0x80, .nsid = 1 },
	{ "flush of namespace 0", STATUS(0, 0x0b), .opcode = 0 },
	{ "flush of namespace 2", STATUS(0, 0x0b), .opcode = 0, .nsid = 2 },
	READ_AND_WRITE("namespace 0", .expected = STATUS(0, 0x0b), .nsid = 0),
	READ_AND_WRITE("namespace 2", .expected = STATUS(0, 0x0b), .nsid = 2),
	READ_AND_WRITE("all namespaces", .expected = STATUS(0, 0x0b),
		       .nsid = 0xffffffff),
	READ_AND_WRITE("first of a fused pair", .expected = STATUS(0, 2),
		       .nsid = 1, .flags = 1),
	READ_AND_WRITE("second of a fused pair", .expected = STATUS(0, 2),
		       .nsid = 1, .flags = 2),
	READ_AND_WRITE("SGL", .expected = STATUS(0, 2), .nsid = 1,
		       .flags = 0x40),
	READ_AND_WRITE("SGL with metadata", .expected = STATUS(0, 2), .nsid = 1,
		       .flags = 0x80),
	/* 6.1.5, and the arithmetic has to hold beyond 64 bits. */
	READ_AND_WRITE("first block past the end", .expected = STATUS(0, 0x80),
		       .nsid = 1, LBA(BENCH_BLOCKS)),
	READ_AND_WRITE("last block and one more", .expected = STATUS(0, 0x80),
		       .nsid = 1, LBA(BENCH_BLOCKS - 1), .cdw12 = BLOCKS(2)),
	READ_AND_WRITE("2^55: its byte offset wraps",
		       .expected = STATUS(0, 0x80), .nsid = 1,
		       LBA(UINT64_C(1) << 55)),
	READ_AND_WRITE("last of all addresses", .expected = STATUS(0, 0x80),
		       .nsid = 1, LBA(UINT64_MAX)),
	READ_AND_WRITE("a range that wraps around", .expected = STATUS(0, 0x80),
		       .nsid = 1, LBA(UINT64_MAX - 6), .cdw12 = BLOCKS(8)),
	/* MDTS 6: 256 KiB. */
	READ_AND_WRITE("one block more than MDTS", .expected = STATUS(0, 2),
		       .nsid = 1, .cdw12 = BLOCKS(513)),
	READ_AND_WRITE("65536 blocks", .expected = STATUS(0, 2),
		       .or_else = STATUS(0, 0x80), .nsid = 1,
		       .cdw12 = BLOCKS(65536)),
	/* 4.3. */
	READ_AND_WRITE("PRP1 at an odd byte", .expected = STATUS(0, 0x13),
		       .nsid = 1, .where = OFF_PRP1, .prp1 = 1),
	READ_AND_WRITE("PRP1 at a half dword", .expected = STATUS(0, 0x13),
		       .nsid = 1, .where = OFF_PRP1, .prp1 = 0x12),
	READ_AND_WRITE("PRP2 with an offset", .expected = STATUS(0, 0x13),
		       .nsid = 1, .cdw12 = BLOCKS(8), .where = OFF_BOTH,
		       .prp1 = 0x200, .prp2 = 0x200),
	READ_AND_WRITE("PRP list at a dword", .expected = STATUS(0, 0x13),
		       .nsid = 1, .cdw12 = BLOCKS(24), .where = OFF_LIST,
		       .prp2 = 4),
	READ_AND_WRITE("PRP list at an odd byte", .expected = STATUS(0, 0x13),
		       .nsid = 1, .cdw12 = BLOCKS(24), .where = OFF_LIST,
		       .prp2 = 1),
	READ_AND_WRITE("list entry with an offset", .expected = STATUS(0, 0x13),
		       .nsid = 1, .cdw12 = BLOCKS(24), .where = OFF_ENTRY,
		       .prp2 = 0x200),
	READ_AND_WRITE("list entry at an odd byte", .expected = STATUS(0, 0x13),
		       .nsid = 1, .cdw12 = BLOCKS(24), .where = OFF_ENTRY,
		       .prp2 = 3),
	READ_AND_WRITE("no memory behind PRP1", .expected = STATUS(0, 4),
		       .nsid = 1, .where = AT_PRP1, .prp1 = NOWHERE),
	READ_AND_WRITE("PRP1 at the end of all addresses",
		       .expected = STATUS(0, 4), .nsid = 1, .where = AT_PRP1,
		       .prp1 = LAST_PAGE),
	READ_AND_WRITE("no memory behind PRP2", .expected = STATUS(0, 4),
		       .nsid = 1, .cdw12 = BLOCKS(16), .where = FAR_LIST,
		       .prp2 = NOWHERE),
	READ_AND_WRITE("no memory behind the list", .expected = STATUS(0, 4),
		       .nsid = 1, .cdw12 = BLOCKS(24), .where = FAR_LIST,
		       .prp2 = NOWHERE),
	READ_AND_WRITE("no memory behind a list entry",
		       .expected = STATUS(0, 4), .nsid = 1, .cdw12 = BLOCKS(24),
		       .where = FAR_ENTRY, .prp2 = NOWHERE),
	READ_AND_WRITE("list entry at the end of all addresses",
		       .expected = STATUS(0, 4), .nsid = 1, .cdw12 = BLOCKS(24),
		       .where = FAR_ENTRY, .prp2 = LAST_PAGE),
};

Test(function_status, reads_and_writes)
{
	uint8_t block[BENCH_BLOCK];
	struct bench b;

	bench_pattern(block, sizeof block, 1);
	bench_start(&b, NULL);
	RUN(&b, 1, io_rows);
	/* After all that it still does what is right. */
	cr_expect_eq(bench_write(&b, 0, block, sizeof block), 0);
	bench_stop(&b);
}

Test(function_status, reads_and_writes_by_message)
{
	struct bench b;

	bench_start(&b, &(struct bench_options){ .is_by_message = true });
	RUN(&b, 1, io_rows);
	bench_stop(&b);
}

Test(function_status, a_chained_list_must_start_at_a_page)
{
	struct host_nvme_data data;
	struct nvme_cmd cmd = { .opcode = NVME_NVM_READ,
				.nsid = le32_put(1),
				.cdw12 = le32_put(BLOCKS(64)) };
	struct bench b;
	le64 *list;

	bench_start(&b, NULL);
	/* Eight pages; the list has two entries left in its first page. */
	cr_assert_eq(host_nvme_data_make(
			     b.nvme, 32768,
			     (struct host_nvme_shape){ .list_offset = 4080 },
			     &data),
		     0);
	cmd.prp1 = le64_put(data.prp1);
	cmd.prp2 = le64_put(data.prp2);
	cr_expect_eq(host_nvme_call(b.nvme, 1, &cmd, NULL), 0);
	list = host_nvme_at(b.nvme, data.prp2);
	list[1] = le64_put(le64_get(list[1]) + 8);
	cr_expect_eq(host_nvme_call(b.nvme, 1, &cmd, NULL), STATUS(0, 0x13));
	list[1] = le64_put(NOWHERE);
	cr_expect_eq(host_nvme_call(b.nvme, 1, &cmd, NULL), STATUS(0, 4));
	bench_stop(&b);
}

Test(function_status, a_list_that_is_its_own_next_page_ends)
{
	struct host_nvme_data data;
	struct nvme_cmd cmd = { .opcode = NVME_NVM_WRITE,
				.nsid = le32_put(1),
				.cdw12 = le32_put(BLOCKS(512)) };
	struct bench b;
	uint64_t iova;
	le64 *list;
	int status;

	bench_start(&b, NULL);
	cr_assert_eq(host_nvme_data_make(b.nvme, 8192,
					 (struct host_nvme_shape){ 0 }, &data),
		     0);
	/* One entry in the page, then the page that ends in itself. */
	iova = host_nvme_alloc(b.nvme, 4096, 4096);
	list = host_nvme_at(b.nvme, iova);
	for (unsigned int i = 0; i < 512; i++)
		list[i] = le64_put(i < 511 ? data.pages[1] : iova);
	cmd.prp1 = le64_put(data.prp1);
	cmd.prp2 = le64_put(iova + 4088);
	status = host_nvme_call(b.nvme, 1, &cmd, NULL);
	cr_expect_geq(status, 0, "%s", bench_status_text(status));
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
}

Test(function_status, writes_to_a_read_only_volume)
{
	static const struct row rows[] = {
		{ "write", STATUS(1, 0x82), .opcode = 1, .nsid = 1 },
		{ "durable write", STATUS(1, 0x82), .opcode = 1, .nsid = 1,
		  .cdw12 = 1u << 30 },
		{ "read", 0, .opcode = 2, .nsid = 1 },
		{ "flush", 0, .opcode = 0, .nsid = 1 },
	};
	char *file = bench_make_file(BENCH_BYTES);
	struct bench b;

	bench_start(&b, &(struct bench_options){ .file = file,
						 .is_read_only = true });
	RUN(&b, 1, rows);
	bench_stop(&b);
	unlink(file);
	free(file);
}

/* --- Dataset management of a local disk ----------------------------------- */

static int deallocate(struct bench *b, uint64_t start, uint32_t blocks,
		      uint32_t attributes, uint32_t count_0s)
{
	uint64_t page = host_nvme_alloc(b->nvme, 4096, 4096);
	struct nvme_dsm_range *range = host_nvme_at(b->nvme, page);
	struct nvme_cmd cmd = { .opcode = NVME_NVM_DSM,
				.nsid = le32_put(1),
				.prp1 = le64_put(page),
				.cdw10 = le32_put(count_0s),
				.cdw11 = le32_put(attributes) };

	for (uint32_t i = 0; i <= count_0s && i < 256; i++) {
		range[i].start = le64_put(start);
		range[i].blocks = le32_put(blocks);
	}
	return host_nvme_call(b->nvme, 1, &cmd, NULL);
}

Test(function_status, dataset_management)
{
	struct bench b;

	bench_start(&b, &(struct bench_options){ .profile = "is-3" });
	cr_expect_eq(deallocate(&b, 0, 8, 4, 0), 0);
	cr_expect_eq(deallocate(&b, 8, 8, 4, 255), 0, "256 ranges");
	cr_expect_eq(deallocate(&b, 8, 8, 3, 0), 0, "hints only");
	cr_expect_eq(deallocate(&b, BENCH_BLOCKS, 1, 4, 0), STATUS(0, 0x80));
	cr_expect_eq(deallocate(&b, BENCH_BLOCKS - 1, 2, 4, 0),
		     STATUS(0, 0x80));
	cr_expect_eq(deallocate(&b, UINT64_MAX, 2, 4, 0), STATUS(0, 0x80));
	cr_expect_eq(deallocate(&b, 0, UINT32_MAX, 4, 0), STATUS(0, 0x80));
	bench_stop(&b);
}

/* --- Abort and asynchronous events ---------------------------------------- */

Test(function_status, more_event_requests_than_allowed)
{
	struct nvme_cmd cmd = { .opcode = NVME_ADMIN_ASYNC_EVENT };
	const struct nvme_id_ctrl *id;
	const void *page;
	uint16_t cid;
	struct bench b;
	unsigned int limit;

	bench_enable(&b, &(struct bench_options){ .profile = "is-2" });
	cr_assert_eq(host_nvme_identify(b.nvme, 1, 0, &page), 0);
	id = page;
	limit = id->aerl + 1u;
	for (unsigned int i = 0; i < limit; i++)
		cr_assert_eq(host_nvme_submit(b.nvme, 0, &cmd, &cid), 0);
	cr_expect_eq(host_nvme_call(b.nvme, 0, &cmd, NULL), STATUS(1, 5));
	bench_settle(&b);
	host_nvme_reap(b.nvme, 0);
	cr_expect_not(host_nvme_take(b.nvme, 0, cid, NULL),
		      "those before wait on");
	bench_stop(&b);
}
