/* SPDX-License-Identifier: BSD-3-Clause */
/* What every client may expect, and what no client can do. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/error.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "pcie-model/vfio-user/server_private.h"
#include "tests/unit/pcie-model/rig.h"

#define PAGE   UINT64_C(4096)
#define RW     3u
#define REMOTE UINT64_C(0x100000000)
#define LINE   PCI_INTERRUPT_LINE /* a byte that keeps what is written */

TestSuite(vfio_user_server, .init = rig_start_versioned, .fini = rig_stop);
TestSuite(vfio_user_greeting, .init = rig_start, .fini = rig_stop);

static int memory(size_t size)
{
	int fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert(fd >= 0 && !ftruncate(fd, (off_t)size));
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	return fd;
}

/* ---- VERSION ---- */

static int greet(uint16_t major, uint16_t minor, const char *text, size_t size,
		 struct rig_message *reply)
{
	uint8_t payload[8192];
	struct vfio_user_version version = { major, minor };

	memcpy(payload, &version, sizeof version);
	memcpy(payload + sizeof version, text, size);
	return rig_ask(VFIO_USER_VERSION, payload, sizeof version + size,
		       reply);
}

Test(vfio_user_greeting, answers_with_the_smaller_minor)
{
	static const struct {
		uint16_t asked, answered;
	} rows[] = { { 0, 0 }, { 1, 1 }, { 2, 2 }, { 7, 2 } };
	struct vfio_user_version version;
	struct rig_message reply;

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		if (i)
			rig_connect();
		cr_expect_eq(greet(0, rows[i].asked, "{}", 3, &reply), 0);
		memcpy(&version, reply.payload, sizeof version);
		cr_expect_eq(version.major, 0);
		cr_expect_eq(version.minor, rows[i].answered);
		cr_expect_leq(reply.size, 4 + 194, "QEMU has no more room");
		cr_expect_eq(reply.payload[reply.size - 1], '\0');
		close(rig.fd);
		rig.fd = -1;
		rig_turn();
	}
}

Test(vfio_user_greeting, needs_no_text)
{
	struct rig_message reply;

	cr_expect_eq(greet(0, 1, "", 0, &reply), 0);
}

Test(vfio_user_greeting, refuses_and_hangs_up)
{
	static const struct {
		const char *what, *text;
		uint16_t major;
		size_t size;
	} rows[] = {
		{ "another major", "{}", 1, 3 },
		{ "no NUL", "{}", 0, 2 },
		{ "not JSON", "{", 0, 2 },
		{ "no transfers",
		  "{\"capabilities\":{\"max_data_xfer_size\":0}}", 0, 42 },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		if (i)
			rig_connect();
		cr_expect_eq(greet(rows[i].major, 0, rows[i].text, rows[i].size,
				   NULL),
			     EINVAL, "%s", rows[i].what);
		cr_expect(rig_is_hung_up(), "%s", rows[i].what);
	}
}

Test(vfio_user_greeting, comes_first_and_only_once)
{
	struct vfio_user_device_info info = { .argsz = sizeof info };

	cr_expect_eq(
		rig_ask(VFIO_USER_DEVICE_GET_INFO, &info, sizeof info, NULL),
		EINVAL);
	cr_expect_eq(rig_ask(VFIO_USER_DEVICE_RESET, NULL, 0, NULL), EINVAL);
	rig_negotiate();
	cr_expect_eq(greet(0, 0, "{}", 3, NULL), EINVAL);
	cr_expect_eq(
		rig_ask(VFIO_USER_DEVICE_GET_INFO, &info, sizeof info, NULL),
		0);
}

Test(vfio_user_greeting, takes_no_large_message_before)
{
	struct vfio_user_header header = { .command = VFIO_USER_REGION_WRITE,
					   .size = 65536 };

	rig_send(&header, sizeof header, NULL, 0);
	cr_expect(rig_is_hung_up());
}

/* ---- what the function is ---- */

Test(vfio_user_server, describes_a_pci_device)
{
	/* cloud-hypervisor counts the header in argsz. */
	struct vfio_user_device_info info = { .argsz = 32 };
	struct rig_message reply;

	cr_assert_eq(
		rig_ask(VFIO_USER_DEVICE_GET_INFO, &info, sizeof info, &reply),
		0);
	cr_assert_eq(reply.size, sizeof info);
	memcpy(&info, reply.payload, sizeof info);
	cr_expect_eq(info.argsz, 16);
	cr_expect_eq(info.flags, 3);
	cr_expect_eq(info.num_regions, 9);
	cr_expect_eq(info.num_irqs, 5);
}

Test(vfio_user_server, describes_its_regions)
{
	static const uint64_t sizes[] = { 0x4000, 0, 0x100000, 0, 0,
					  0,      0, 4096,     0 };
	struct vfio_region_info info;
	struct rig_message reply;

	for (uint32_t i = 0; i < RT_COUNT(sizes); i++) {
		info = (struct vfio_region_info){ .argsz = 32, .index = i };
		cr_assert_eq(rig_ask(VFIO_USER_DEVICE_GET_REGION_INFO, &info,
				     sizeof info, &reply),
			     0);
		cr_assert_eq(reply.size, 32);
		memcpy(&info, reply.payload, sizeof info);
		cr_expect_eq(info.size, sizes[i]);
		cr_expect_eq(info.index, i);
		cr_expect_eq(info.flags & 3, sizes[i] ? 3 : 0);
		cr_expect_eq(info.argsz, i ? 32 : 64);
	}
}

static void ask_bar0(uint32_t argsz, size_t size, struct rig_message *reply)
{
	uint8_t payload[4096] = { 0 };
	struct vfio_region_info info = { .argsz = argsz };

	memcpy(payload, &info, sizeof info);
	cr_assert_eq(
		rig_ask(VFIO_USER_DEVICE_GET_REGION_INFO, payload, size, reply),
		0);
}

Test(vfio_user_server, tells_how_much_room_a_mapping_needs)
{
	struct vfio_region_info info;
	struct rig_message reply;

	ask_bar0(32, 32, &reply);
	memcpy(&info, reply.payload, sizeof info);
	cr_expect_eq(reply.size, 32);
	cr_expect_eq(info.argsz, 64);
	cr_expect_eq(info.flags, 7, "QEMU refuses CAPS without any");
	cr_expect_eq(info.cap_offset, 0);
	cr_expect_eq(reply.fd, -1);
}

Test(vfio_user_server, gives_one_area_and_one_descriptor)
{
	/* QEMU's second question, and SPDK's padded one. */
	static const struct {
		uint32_t argsz;
		size_t size;
	} rows[] = { { 64, 32 }, { 4064, 4064 } };
	struct {
		struct vfio_region_info info;
		struct vfio_info_cap_header header;
		uint32_t count, reserved;
		struct vfio_region_sparse_mmap_area area;
	} got;
	struct rig_message reply;
	struct stat st;

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		ask_bar0(rows[i].argsz, rows[i].size, &reply);
		cr_assert_eq(reply.size, sizeof got);
		memcpy(&got, reply.payload, sizeof got);
		cr_expect_eq(got.info.argsz, 64);
		cr_expect_eq(got.info.flags, 15);
		cr_expect_eq(got.info.cap_offset, 32);
		cr_expect_eq(got.header.id, 1);
		cr_expect_eq(got.header.next, 0);
		cr_expect_eq(got.count, 1);
		cr_expect_eq(got.area.offset, 0x1000);
		cr_expect_eq(got.area.size, 0x1000);
		cr_assert(reply.fd >= 0 && !fstat(reply.fd, &st));
		cr_expect_eq(st.st_size, 0x4000);
		cr_expect_eq(ftruncate(reply.fd, 0), -1, "it is sealed");
	}
}

Test(vfio_user_server, describes_its_interrupts)
{
	static const uint32_t counts[] = { 1, 8, 70, 1, 1 };
	struct rig_message reply;
	struct vfio_irq_info info;

	for (uint32_t i = 0; i < RT_COUNT(counts); i++) {
		info = (struct vfio_irq_info){ .argsz = 16, .index = i };
		cr_assert_eq(rig_ask(VFIO_USER_DEVICE_GET_IRQ_INFO, &info,
				     sizeof info, &reply),
			     0);
		memcpy(&info, reply.payload, sizeof info);
		cr_expect_eq(reply.size, 16);
		cr_expect_eq(info.count, counts[i], "index %u: %u", i,
			     info.count);
		cr_expect(info.flags & VFIO_IRQ_INFO_EVENTFD);
	}
}

Test(vfio_user_server, has_no_io_fds)
{
	struct vfio_user_region_io_fds info = { .argsz = 16, .index = 0 };
	struct rig_message reply;

	cr_assert_eq(rig_ask(VFIO_USER_DEVICE_GET_REGION_IO_FDS, &info,
			     sizeof info, &reply),
		     0);
	cr_expect_eq(reply.size, 16);
	memcpy(&info, reply.payload, sizeof info);
	cr_expect_eq(info.count, 0);
	cr_expect_eq(info.argsz, 16);
}

/* ---- malformed commands ---- */

struct malformed {
	const char *what;
	uint16_t command;
	size_t size;
	uint32_t words[10];
	int error;
};

static const struct malformed malformed[] = {
	/* A command that is not one. */
	{ "command 0", 0, 0, { 0 }, ENOSYS },
	{ "dirty pages", 14, 8, { 0 }, ENOSYS },
	{ "command 19", 19, 0, { 0 }, ENOSYS },
	{ "command 65535", 65535, 0, { 0 }, ENOSYS },
	{ "DMA_READ is ours", VFIO_USER_DMA_READ, 16, { 0 }, ENOSYS },
	{ "migration read", VFIO_USER_MIG_DATA_READ, 8, { 0 }, ENOTSUP },
	{ "migration write", VFIO_USER_MIG_DATA_WRITE, 8, { 0 }, ENOTSUP },
	/* DEVICE_FEATURE: argsz, flags. */
	{ "probe of migration",
	  VFIO_USER_DEVICE_FEATURE,
	  8,
	  { 8, 0x50001 },
	  ENOTTY },
	{ "feature argsz", VFIO_USER_DEVICE_FEATURE, 8, { 7, 1 }, EINVAL },
	{ "feature flags",
	  VFIO_USER_DEVICE_FEATURE,
	  8,
	  { 8, 1u << 20 },
	  EINVAL },
	{ "feature size", VFIO_USER_DEVICE_FEATURE, 4, { 8 }, EINVAL },
	/* DMA_MAP: argsz, flags, offset, address, size (64 bits each). */
	{ "map: short", VFIO_USER_DMA_MAP, 28, { 32, 3 }, EINVAL },
	{ "map: long",
	  VFIO_USER_DMA_MAP,
	  36,
	  { 32, 3, 0, 0, 0, 0, 4096 },
	  EINVAL },
	{ "map: argsz",
	  VFIO_USER_DMA_MAP,
	  32,
	  { 31, 3, 0, 0, 0, 0, 4096 },
	  EINVAL },
	{ "map: flags",
	  VFIO_USER_DMA_MAP,
	  32,
	  { 32, 16, 0, 0, 0, 0, 4096 },
	  EINVAL },
	{ "map: size 0", VFIO_USER_DMA_MAP, 32, { 32, 3 }, EINVAL },
	{ "map: unaligned",
	  VFIO_USER_DMA_MAP,
	  32,
	  { 32, 3, 0, 0, 512, 0, 4096 },
	  EINVAL },
	{ "map: wraps",
	  VFIO_USER_DMA_MAP,
	  32,
	  { 32, 3, 0, 0, 0xfffff000, 0xffffffff, 8192 },
	  EINVAL },
	/* DMA_UNMAP: argsz, flags, address, size. */
	{ "unmap: short", VFIO_USER_DMA_UNMAP, 20, { 24 }, EINVAL },
	{ "unmap: argsz", VFIO_USER_DMA_UNMAP, 24, { 23 }, EINVAL },
	{ "unmap: dirty bitmap",
	  VFIO_USER_DMA_UNMAP,
	  24,
	  { 24, 1, 0, 0, 4096 },
	  EINVAL },
	{ "unmap: all, with a size",
	  VFIO_USER_DMA_UNMAP,
	  24,
	  { 24, 2, 0, 0, 4096 },
	  EINVAL },
	{ "unmap: nothing there",
	  VFIO_USER_DMA_UNMAP,
	  24,
	  { 24, 0, 0, 0, 4096 },
	  ENOENT },
	/* The questions: argsz, flags, index. */
	{ "info: short", VFIO_USER_DEVICE_GET_INFO, 12, { 16 }, EINVAL },
	{ "info: argsz", VFIO_USER_DEVICE_GET_INFO, 16, { 15 }, EINVAL },
	{ "region: short",
	  VFIO_USER_DEVICE_GET_REGION_INFO,
	  31,
	  { 32 },
	  EINVAL },
	{ "region: argsz",
	  VFIO_USER_DEVICE_GET_REGION_INFO,
	  32,
	  { 31 },
	  EINVAL },
	{ "region: index",
	  VFIO_USER_DEVICE_GET_REGION_INFO,
	  32,
	  { 32, 0, 9 },
	  EINVAL },
	{ "region: index",
	  VFIO_USER_DEVICE_GET_REGION_INFO,
	  32,
	  { 32, 0, UINT32_MAX },
	  EINVAL },
	{ "io fds: argsz",
	  VFIO_USER_DEVICE_GET_REGION_IO_FDS,
	  16,
	  { 15 },
	  EINVAL },
	{ "io fds: flags",
	  VFIO_USER_DEVICE_GET_REGION_IO_FDS,
	  16,
	  { 16, 1 },
	  EINVAL },
	{ "io fds: index",
	  VFIO_USER_DEVICE_GET_REGION_IO_FDS,
	  16,
	  { 16, 0, 9 },
	  EINVAL },
	{ "io fds: count",
	  VFIO_USER_DEVICE_GET_REGION_IO_FDS,
	  16,
	  { 16, 0, 0, 1 },
	  EINVAL },
	{ "irq: argsz", VFIO_USER_DEVICE_GET_IRQ_INFO, 16, { 15 }, EINVAL },
	{ "irq: index",
	  VFIO_USER_DEVICE_GET_IRQ_INFO,
	  16,
	  { 16, 0, 5 },
	  EINVAL },
	/* SET_IRQS: argsz, flags, index, start, count. */
	{ "set: short", VFIO_USER_DEVICE_SET_IRQS, 16, { 20 }, EINVAL },
	{ "set: argsz", VFIO_USER_DEVICE_SET_IRQS, 20, { 19, 0x21 }, EINVAL },
	{ "set: index",
	  VFIO_USER_DEVICE_SET_IRQS,
	  20,
	  { 20, 0x21, 5 },
	  EINVAL },
	{ "set: no flags", VFIO_USER_DEVICE_SET_IRQS, 20, { 20, 0 }, EINVAL },
	{ "set: two kinds",
	  VFIO_USER_DEVICE_SET_IRQS,
	  20,
	  { 20, 0x23, 0, 0, 1 },
	  EINVAL },
	{ "set: two actions",
	  VFIO_USER_DEVICE_SET_IRQS,
	  20,
	  { 20, 0x31, 0, 0, 1 },
	  EINVAL },
	{ "set: vector",
	  VFIO_USER_DEVICE_SET_IRQS,
	  20,
	  { 20, 0x24, 2, 70, 1 },
	  EINVAL },
	{ "set: wraps",
	  VFIO_USER_DEVICE_SET_IRQS,
	  20,
	  { 20, 0x24, 2, 1, UINT32_MAX },
	  EINVAL },
	{ "set: too few booleans",
	  VFIO_USER_DEVICE_SET_IRQS,
	  24,
	  { 20, 0x22, 2, 0, 5 },
	  EINVAL },
	{ "set: too many booleans",
	  VFIO_USER_DEVICE_SET_IRQS,
	  24,
	  { 20, 0x22, 2, 0, 3 },
	  EINVAL },
	{ "set: no booleans",
	  VFIO_USER_DEVICE_SET_IRQS,
	  20,
	  { 20, 0x22, 2, 0, 0x80000000 },
	  EINVAL },
	/* REGION_*: offset, region, count. */
	{ "read: short", VFIO_USER_REGION_READ, 12, { 0, 0, 0 }, EINVAL },
	{ "read: with data",
	  VFIO_USER_REGION_READ,
	  20,
	  { 0, 0, 0, 4 },
	  EINVAL },
	{ "read: region", VFIO_USER_REGION_READ, 16, { 0, 0, 9, 4 }, EINVAL },
	{ "read: too much",
	  VFIO_USER_REGION_READ,
	  16,
	  { 0, 0, 0, (1 << 20) + 1 },
	  EINVAL },
	{ "read: far too much",
	  VFIO_USER_REGION_READ,
	  16,
	  { 0, 0, 0, UINT32_MAX },
	  EINVAL },
	{ "write: region",
	  VFIO_USER_REGION_WRITE,
	  20,
	  { 0, 0, 9, 4, 1 },
	  EINVAL },
	{ "write: too few bytes",
	  VFIO_USER_REGION_WRITE,
	  20,
	  { 0, 0, 0, 8, 1 },
	  EINVAL },
	{ "write: too many bytes",
	  VFIO_USER_REGION_WRITE,
	  24,
	  { 0, 0, 0, 4, 1 },
	  EINVAL },
	{ "write: count wraps",
	  VFIO_USER_REGION_WRITE,
	  20,
	  { 0, 0, 0, 0xfffffff4, 1 },
	  EINVAL },
	/* REGION_WRITE_MULTI: count, then offset, region, count, data. */
	{ "multi: short", VFIO_USER_REGION_WRITE_MULTI, 4, { 0 }, EINVAL },
	{ "multi: too few",
	  VFIO_USER_REGION_WRITE_MULTI,
	  32,
	  { 2, 0 },
	  EINVAL },
	{ "multi: too many",
	  VFIO_USER_REGION_WRITE_MULTI,
	  32,
	  { 0, 0 },
	  EINVAL },
	{ "multi: wraps",
	  VFIO_USER_REGION_WRITE_MULTI,
	  8,
	  { 0, 0x20000000 },
	  EINVAL },
	{ "multi: wraps to fit",
	  VFIO_USER_REGION_WRITE_MULTI,
	  32,
	  { 0xaaaaaaac, 0xaaaaaaaa },
	  EINVAL },
	{ "multi: 9 bytes",
	  VFIO_USER_REGION_WRITE_MULTI,
	  32,
	  { 1, 0, 0, 0, 0, 9 },
	  EINVAL },
	{ "multi: no bytes",
	  VFIO_USER_REGION_WRITE_MULTI,
	  32,
	  { 1, 0, 0, 0, 0, 0 },
	  EINVAL },
	{ "multi: region",
	  VFIO_USER_REGION_WRITE_MULTI,
	  32,
	  { 1, 0, 0, 0, 9, 4 },
	  EINVAL },
	{ "reset: with a payload", VFIO_USER_DEVICE_RESET, 4, { 0 }, EINVAL },
};

Test(vfio_user_server, refuses_malformed_commands_and_goes_on)
{
	struct vfio_user_device_info info = { .argsz = sizeof info };

	for (size_t i = 0; i < RT_COUNT(malformed); i++) {
		const struct malformed *row = &malformed[i];

		cr_expect_eq(rig_ask(row->command, row->words, row->size, NULL),
			     row->error, "%s", row->what);
	}
	cr_expect_eq(
		rig_ask(VFIO_USER_DEVICE_GET_INFO, &info, sizeof info, NULL),
		0);
	cr_expect_eq(fake_of(rig.fn)->write_count, 0);
	cr_expect_eq(fake_of(rig.fn)->read_count, 0);
	cr_expect_eq(rt_counter_read(
			     &pcie_server_stats(rig.server)->protocol_errors),
		     RT_COUNT(malformed));
}

Test(vfio_user_server, hangs_up_when_it_cannot_frame)
{
	static const struct {
		const char *what;
		struct vfio_user_header header;
	} rows[] = {
		{ "size 0", { .command = 4, .size = 0 } },
		{ "size 15", { .command = 4, .size = 15 } },
		{ "too long", { .command = 10, .size = (1 << 20) + 33 } },
		{ "far too long", { .command = 10, .size = UINT32_MAX } },
		{ "type 2", { .command = 4, .size = 16, .flags = 2 } },
		{ "type 15", { .command = 4, .size = 16, .flags = 15 } },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		if (i) {
			rig_connect();
			rig_negotiate();
		}
		rig_send(&rows[i].header, sizeof rows[i].header, NULL, 0);
		cr_expect(rig_is_hung_up(), "%s", rows[i].what);
		cr_expect(!pcie_server_has_client(rig.server));
		cr_expect_eq(fake_of(rig.fn)->last_reason, PCIE_RESET_DETACH);
	}
}

Test(vfio_user_server, survives_bytes_that_mean_nothing)
{
	uint8_t noise[3000];

	srand(1);
	for (unsigned int round = 0; round < 200; round++) {
		struct vfio_user_header header;
		size_t size = 16 + (size_t)rand() % (sizeof noise - 16);

		for (size_t i = 0; i < size; i++)
			noise[i] = (uint8_t)rand();
		memcpy(&header, noise, sizeof header);
		header.command = (uint16_t)(rand() % 20);
		header.size = (uint32_t)size;
		header.flags = (uint32_t)(rand() % 2 ? 0 : 1);
		memcpy(noise, &header, sizeof header);
		rig_send(noise, size, NULL, 0);
		if (!rig_is_hung_up())
			continue;
		rig_connect();
		rig_negotiate();
	}
}

/* ---- framing ---- */

Test(vfio_user_server, takes_a_message_byte_by_byte)
{
	struct {
		struct vfio_user_header header;
		struct vfio_user_region_access access;
		uint8_t value;
	} __attribute__((packed)) write = {
		{ .id = 77,
		  .command = VFIO_USER_REGION_WRITE,
		  .size = sizeof write },
		{ LINE, PCIE_CONFIG_REGION, 1 },
		0x5c,
	};
	struct rig_message reply;

	for (unsigned int round = 0; round < 3; round++) {
		write.value++;
		for (size_t i = 0; i < sizeof write; i++) {
			rig_send((uint8_t *)&write + i, 1, NULL, 0);
			rt_loop_step(rig.loop, RT_NS_PER_MS);
		}
		cr_assert(rig_receive(&reply));
		cr_expect_eq(reply.header.id, 77);
		cr_expect_eq(reply.header.size, 32);
		cr_expect_eq(config_read(rig.fn, LINE, 1), write.value);
	}
}

static size_t put_line_write(uint8_t *at, uint16_t id, uint32_t flags,
			     uint8_t value)
{
	struct vfio_user_header header = { .id = id,
					   .command = VFIO_USER_REGION_WRITE,
					   .size = 33,
					   .flags = flags };
	struct vfio_user_region_access access = { LINE, PCIE_CONFIG_REGION, 1 };

	memcpy(at, &header, sizeof header);
	memcpy(at + 16, &access, sizeof access);
	at[32] = value;
	return 33;
}

Test(vfio_user_server, takes_many_messages_at_once_and_cut_anywhere)
{
	uint8_t bytes[33 * 7];
	struct rig_message reply;

	for (size_t cut = 1; cut < sizeof bytes; cut += 5) {
		for (uint16_t i = 0; i < 7; i++)
			put_line_write(bytes + 33 * i, i, 0, (uint8_t)i);
		rig_send(bytes, cut, NULL, 0);
		rig_turn();
		rig_send(bytes + cut, sizeof bytes - cut, NULL, 0);
		for (uint16_t i = 0; i < 7; i++) {
			cr_assert(rig_receive(&reply), "cut %zu", cut);
			cr_expect_eq(reply.header.id, i);
			cr_expect_eq(reply.header.error, 0);
		}
	}
}

Test(vfio_user_server, answers_nothing_that_wants_no_reply)
{
	uint8_t bytes[33];
	struct rig_message reply;
	struct vfio_user_region_access bad = { 0, 99, 4 };
	uint8_t value = 0;

	put_line_write(bytes, 5, VFIO_USER_NO_REPLY, 0x42);
	rig_send(bytes, sizeof bytes, NULL, 0);
	rig_post(VFIO_USER_REGION_READ, &bad, sizeof bad);
	rig_post(VFIO_USER_DEVICE_RESET, NULL, 0);
	rig_post(VFIO_USER_DMA_UNMAP, NULL, 0);
	cr_expect(!rig_receive(&reply));
	cr_expect_eq(fake_of(rig.fn)->last_reason, PCIE_RESET_BUS);
	cr_expect_eq(rig_region_read(PCIE_CONFIG_REGION, LINE, &value, 1), 0);
}

/* ---- descriptors ---- */

Test(vfio_user_server, keeps_no_descriptor_it_does_not_need)
{
	unsigned int before = count_fds();
	struct vfio_user_dma_unmap unmap = { 24, 0, 0, 2 * PAGE };
	struct vfio_user_dma_map map = { 32, RW, 0, 0, 2 * PAGE };
	struct vfio_user_device_info info = { .argsz = sizeof info };
	struct vfio_irq_set set = { .argsz = 20, .flags = 0x24, .count = 2 };
	int fd = memory(2 * PAGE);
	int many[VFIO_USER_KERNEL_FDS];

	for (size_t i = 0; i < RT_COUNT(many); i++)
		many[i] = fd;
	cr_expect_eq(rig_map(0, 2 * PAGE, RW, fd, 0), 0);
	cr_expect_eq(rig_map(0, PAGE, RW, fd, 0), EEXIST);
	cr_expect_eq(rig_map(8 * PAGE, PAGE, RW, fd, 2 * PAGE), EINVAL);
	/* SPDK sends one with DMA_UNMAP. */
	cr_expect_eq(rig_ask_fds(VFIO_USER_DMA_UNMAP, &unmap, sizeof unmap, &fd,
				 1, NULL),
		     0);
	cr_expect_eq(
		rig_ask_fds(VFIO_USER_DMA_MAP, &map, sizeof map, many, 2, NULL),
		EINVAL);
	cr_expect_eq(rig_ask_fds(VFIO_USER_DMA_MAP, &map, sizeof map, many,
				 VFIO_USER_KERNEL_FDS, NULL),
		     EINVAL);
	cr_expect_eq(rig_ask_fds(VFIO_USER_DEVICE_GET_INFO, &info, sizeof info,
				 many, VFIO_USER_KERNEL_FDS, NULL),
		     0);
	cr_expect_eq(rig_ask_fds(VFIO_USER_DEVICE_SET_IRQS, &set, sizeof set,
				 many, 2, NULL),
		     EINVAL, "not eventfds");
	cr_expect_eq(rig_ask_fds(VFIO_USER_DEVICE_SET_IRQS, &set, sizeof set,
				 many, 3, NULL),
		     EINVAL, "more than count");
	cr_expect_eq(rig_ask_fds(VFIO_USER_DEVICE_SET_IRQS, &set, sizeof set,
				 many, 17, NULL),
		     EINVAL, "more than 16");
	/* Unknown commands, and half a message that never ends. */
	cr_expect_eq(rig_ask_fds(99, NULL, 0, many, 5, NULL), ENOSYS);
	rig_send(&map, 12, many, 5);
	rig_turn();
	close(fd);
	close(rig.fd);
	rig.fd = -1;
	rig_turn();
	cr_expect_eq(count_fds(), before - 2, "the pair's ends are gone too");
}

Test(vfio_user_server, gives_descriptors_to_the_message_they_came_with)
{
	struct {
		struct vfio_user_header header;
		struct vfio_user_dma_map map;
	} one = { { .command = VFIO_USER_DMA_MAP, .size = sizeof one },
		  { 32, RW, 0, 0, PAGE } };
	uint8_t bytes[33 + sizeof one];
	int fd = memory(4 * PAGE);
	struct rig_message reply;

	/* Other messages before it in one read. */
	put_line_write(bytes, 1, 0, 9);
	memcpy(bytes + 33, &one, sizeof one);
	rig_send(bytes, 33, NULL, 0);
	rig_send(&one, sizeof one, &fd, 1);
	one.map.address = PAGE;
	rig_send(&one, sizeof one, NULL, 0);
	one.map.address = 2 * PAGE;
	rig_send(&one, sizeof one, &fd, 1);
	for (unsigned int i = 0; i < 4; i++) {
		cr_assert(rig_receive(&reply));
		cr_expect_eq(reply.header.error, 0);
	}
	cr_assert_eq(rig.fn->dma.window_count, 3);
	/* Cut in the header: the descriptor comes with the first bytes. */
	one.map.address = 3 * PAGE;
	rig_send(&one, 7, &fd, 1);
	rig_turn();
	rig_send((uint8_t *)&one + 7, sizeof one - 7, NULL, 0);
	cr_assert(rig_receive(&reply));
	cr_expect_eq(reply.header.error, 0);
	rig_set_command(PCI_COMMAND_MASTER);
	{
		struct pcie_dma_op op = { 0 };
		uint8_t byte;

		cr_expect_eq(pcie_dma_read(rig.fn, &op, 0, &byte, 1), 0);
		cr_expect_eq(pcie_dma_read(rig.fn, &op, 2 * PAGE, &byte, 1), 0);
		cr_expect_eq(pcie_dma_read(rig.fn, &op, 3 * PAGE, &byte, 1), 0);
	}
	close(fd);
}

/* ---- regions ---- */

Test(vfio_user_server, odd_accesses_are_not_errors)
{
	static uint8_t data[1 << 20], ones[1 << 20];
	static const struct {
		const char *what;
		uint32_t region, count;
		uint64_t offset;
	} rows[] = {
		{ "nothing", 0, 0, 0 },
		{ "past BAR 0", 0, 4, 0x4000 },
		{ "far past", 0, 8, UINT64_MAX - 3 },
		{ "a BAR that is not", 1, 4, 0 },
		{ "the upper half", 3, 4, 0 },
		{ "ROM", 6, 4, 0 },
		{ "VGA", 8, 1000, 0 },
		{ "past configuration space", 7, 8, 4096 },
		{ "as much as it may be", 5, 1 << 20, 0 },
	};

	memset(ones, 0xff, sizeof ones);
	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		memset(data, 0, sizeof data);
		cr_expect_eq(rig_region_read(rows[i].region, rows[i].offset,
					     data, rows[i].count),
			     0, "%s", rows[i].what);
		cr_expect_arr_eq(data, ones, rows[i].count, "%s", rows[i].what);
		cr_expect_eq(rig_region_write(rows[i].region, rows[i].offset,
					      data, rows[i].count),
			     0, "%s", rows[i].what);
	}
	cr_expect_eq(fake_of(rig.fn)->write_count, 0);
}

Test(vfio_user_server, reads_configuration_space_whole)
{
	uint8_t bytes[4096];

	cr_assert_eq(rig_region_read(PCIE_CONFIG_REGION, 0, bytes, 4096), 0);
	cr_expect_eq(le_load(bytes, 4), 0x80611d0f);
}

Test(vfio_user_server, passes_accesses_to_the_device)
{
	uint32_t value = 0x12345678;
	uint64_t wide = 0x1122334455667788;

	cr_expect_eq(rig_region_write(0, 0x14, &value, 4), 0);
	cr_expect_eq(rig_region_write(2, 0x18, &wide, 8), 0);
	cr_expect_eq(fake_of(rig.fn)->write_count, 2);
	cr_expect_eq(fake_of(rig.fn)->writes[0].value, value);
	cr_expect_eq(fake_of(rig.fn)->writes[1].value, wide);
	cr_expect_eq(fake_of(rig.fn)->writes[1].bar, 2);
}

static size_t put_writes(uint8_t *payload, uint64_t count)
{
	memcpy(payload, &count, sizeof count);
	for (uint64_t i = 0; i < count; i++) {
		struct vfio_user_multi_write write = {
			LINE, PCIE_CONFIG_REGION, 1, { (uint8_t)(i * 3) }
		};

		memcpy(payload + 8 + i * sizeof write, &write, sizeof write);
	}
	return 8 + count * sizeof(struct vfio_user_multi_write);
}

Test(vfio_user_server, does_many_writes_of_one_message_in_order)
{
	static uint8_t payload[1 << 20];
	static const uint64_t counts[] = { 0, 1, 200, 1024, 1025, 5000, 43000 };
	struct rig_message reply;

	for (size_t i = 0; i < RT_COUNT(counts); i++) {
		uint64_t count = counts[i];

		cr_assert_eq(rig_ask(VFIO_USER_REGION_WRITE_MULTI, payload,
				     put_writes(payload, count), &reply),
			     0);
		cr_expect_eq(reply.size, 8);
		cr_expect_arr_eq(reply.payload, &count, 8);
		if (count)
			cr_expect_eq(config_read(rig.fn, LINE, 1),
				     (uint8_t)((count - 1) * 3));
	}
}

Test(vfio_user_server, lets_others_run_between_a_flood_of_writes)
{
	static uint8_t payload[1 << 20];
	struct rig_message reply;

	/* Nothing after the first turn can have been answered yet. */
	rig_send_command(VFIO_USER_REGION_WRITE_MULTI, 0, payload,
			 put_writes(payload, 8000), NULL, 0);
	for (unsigned int i = 0; i < 4; i++)
		rt_loop_step(rig.loop, 0);
	cr_expect_neq(config_read(rig.fn, LINE, 1), (uint8_t)(7999 * 3));
	cr_assert(rig_receive(&reply));
	cr_expect_eq(config_read(rig.fn, LINE, 1), (uint8_t)(7999 * 3));
}

Test(vfio_user_server, a_client_that_does_not_read_is_not_read_from)
{
	struct vfio_user_region_access access = { 0, 5, 1 << 20 };
	struct rig_message reply;
	uint16_t first = rig.next_id;

	for (unsigned int i = 0; i < 20; i++)
		rig_send_command(VFIO_USER_REGION_READ, 0, &access,
				 sizeof access, NULL, 0);
	rig_turn();
	cr_expect_lt(rt_counter_read(&pcie_server_stats(rig.server)->messages),
		     8);
	for (unsigned int i = 0; i < 20; i++) {
		cr_assert(rig_receive(&reply));
		cr_expect_eq(reply.header.id, first + i);
		cr_expect_eq(reply.size, 16 + (1 << 20));
	}
}

/* ---- interrupts ---- */

Test(vfio_user_server, delivers_interrupts_by_eventfd)
{
	struct vfio_irq_set set = { .argsz = 20,
				    .flags = VFIO_IRQ_SET_DATA_EVENTFD |
					     VFIO_IRQ_SET_ACTION_TRIGGER,
				    .index = PCIE_INTX,
				    .count = 1 };
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t count = 0;

	cr_assert_eq(rig_ask_fds(VFIO_USER_DEVICE_SET_IRQS, &set, sizeof set,
				 &fd, 1, NULL),
		     0);
	pcie_intx_set(rig.fn, true);
	cr_expect_eq(read(fd, &count, sizeof count), sizeof count);
	/* Unmasked while the level is still there: once more. */
	set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
	cr_assert_eq(rig_ask(VFIO_USER_DEVICE_SET_IRQS, &set, sizeof set, NULL),
		     0);
	cr_expect_eq(read(fd, &count, sizeof count), sizeof count);
	close(rig.fd);
	rig.fd = -1;
	rig_turn();
	cr_expect_eq(rig.fn->interrupts.intx_fd, -1);
	close(fd);
}

/* ---- answers that wait ---- */

static void hold(struct pcie_dma_span *span, struct pcie_dma_range *range)
{
	struct iovec iov;
	unsigned int count = 1;

	cr_assert_eq(pcie_dma_hold(rig.fn, span, range, 1, true, &iov, &count),
		     0);
}

/* Perhaps only its reset makes the device let go. */
Test(vfio_user_server, sees_a_client_leave_while_its_unmap_waits)
{
	struct vfio_user_dma_unmap unmap = { 24, 0, 0, PAGE };
	struct vfio_user_device_info info = { .argsz = sizeof info };
	struct pcie_dma_range range = { 16, 16 };
	struct pcie_dma_span span = { 0 };
	int fd = memory(PAGE);

	cr_assert_eq(rig_map(0, PAGE, RW, fd, 0), 0);
	rig_set_command(PCI_COMMAND_MASTER);
	hold(&span, &range);
	fake_of(rig.fn)->holds_quiesce = true;
	rig_send_command(VFIO_USER_DMA_UNMAP, 0, &unmap, sizeof unmap, NULL, 0);
	rig_send_command(VFIO_USER_DEVICE_GET_INFO, 0, &info, sizeof info, NULL,
			 0);
	rig_turn();
	cr_expect(pcie_server_has_client(rig.server));
	close(rig.fd);
	rig.fd = -1;
	rig_turn();
	cr_expect(!pcie_server_has_client(rig.server));
	cr_expect_gt(fake_of(rig.fn)->quiesces, 0);
	cr_expect_eq(pcie_dma_release(rig.fn, &span), 0);
	fake_of(rig.fn)->holds_quiesce = false;
	pcie_function_quiesced(rig.fn);
	close(fd);
}

Test(vfio_user_server, answers_an_unmap_when_the_memory_is_free)
{
	struct vfio_user_dma_unmap unmap = { 24, 0, 0, PAGE };
	struct vfio_user_device_info info = { .argsz = sizeof info };
	struct pcie_dma_range range = { 16, 16 };
	struct pcie_dma_span span = { 0 };
	struct rig_message reply;
	int fd = memory(PAGE);

	cr_assert_eq(rig_map(0, PAGE, RW, fd, 0), 0);
	rig_set_command(PCI_COMMAND_MASTER);
	hold(&span, &range);
	rig_send_command(VFIO_USER_DMA_UNMAP, 0, &unmap, sizeof unmap, NULL, 0);
	rig_send_command(VFIO_USER_DEVICE_GET_INFO, 0, &info, sizeof info, NULL,
			 0);
	cr_expect(!rig_receive(&reply), "commands are answered in order");
	cr_expect_eq(pcie_dma_release(rig.fn, &span), 0);
	cr_assert(rig_receive(&reply));
	cr_expect_eq(reply.header.command, VFIO_USER_DMA_UNMAP);
	cr_expect_eq(reply.size, sizeof unmap);
	cr_expect_arr_eq(reply.payload, &unmap, sizeof unmap);
	cr_assert(rig_receive(&reply));
	cr_expect_eq(reply.header.command, VFIO_USER_DEVICE_GET_INFO);
	close(fd);
}

Test(vfio_user_server, does_not_make_the_client_wait_for_ever)
{
	struct vfio_user_dma_unmap unmap = { 24, VFIO_DMA_UNMAP_FLAG_ALL, 0,
					     0 };
	struct pcie_dma_range range = { 16, 16 };
	struct pcie_dma_span span = { 0 };
	struct rig_message reply;
	int fd = memory(PAGE);

	cr_assert_eq(rig_map(0, PAGE, RW, fd, 0), 0);
	cr_assert_eq(rig_map(4 * PAGE, PAGE, RW, fd, 0), 0);
	rig_set_command(PCI_COMMAND_MASTER);
	hold(&span, &range);
	rig_send_command(VFIO_USER_DMA_UNMAP, 0, &unmap, sizeof unmap, NULL, 0);
	rig_turn();
	rig_wait(3900);
	cr_expect(!rig_receive(&reply));
	rig_wait(200);
	cr_assert(rig_receive(&reply));
	memcpy(&unmap, reply.payload, sizeof unmap);
	cr_expect_eq(unmap.size, 2 * PAGE);
	cr_expect_eq(pcie_dma_release(rig.fn, &span), 0);
	cr_expect(!rig_receive(&reply));
	close(fd);
}

Test(vfio_user_server, answers_a_reset_when_it_is_done)
{
	struct rig_message reply;

	cr_expect_eq(rig_ask(VFIO_USER_DEVICE_RESET, NULL, 0, NULL), 0);
	cr_expect_eq(fake_of(rig.fn)->last_reason, PCIE_RESET_BUS);
	fake_of(rig.fn)->holds_quiesce = true;
	rig_send_command(VFIO_USER_DEVICE_RESET, 0, NULL, 0, NULL, 0);
	cr_expect(!rig_receive(&reply));
	pcie_function_quiesced(rig.fn);
	cr_assert(rig_receive(&reply));
	cr_expect_eq(reply.header.command, VFIO_USER_DEVICE_RESET);
	cr_expect_eq(reply.header.error, 0);
	/* And at the latest before the client gives up. */
	rig_send_command(VFIO_USER_DEVICE_RESET, 0, NULL, 0, NULL, 0);
	rig_turn();
	rig_wait(4100);
	cr_assert(rig_receive(&reply));
	pcie_function_quiesced(rig.fn);
	cr_expect(!rig_receive(&reply), "only one answer");
}

/* ---- our own messages ---- */

static unsigned int done_count;
static int done_status;

static void op_done(struct pcie_dma_op *op, int status)
{
	(void)op;
	done_count++;
	done_status = status;
}

static struct pcie_dma_op op = { .done = op_done };
static uint8_t buffer[4096];

static void map_remote(void)
{
	cr_assert_eq(rig_map(REMOTE, 1 << 20, RW, -1, 0), 0);
	rig_set_command(PCI_COMMAND_MASTER);
}

/* The server's message, with its access taken out. */
static void get_message(struct rig_message *out,
			struct vfio_user_dma_access *access)
{
	cr_assert(rig_receive(out));
	cr_assert_eq(out->header.flags, 0);
	cr_assert_geq(out->size, sizeof *access);
	memcpy(access, out->payload, sizeof *access);
}

static void answer_read(const struct vfio_user_header *header,
			const struct vfio_user_dma_access *access,
			uint64_t count, uint8_t fill)
{
	uint8_t payload[sizeof *access + 8192];

	memcpy(payload, access, sizeof *access);
	memset(payload + sizeof *access, fill, count);
	rig_send_reply(header, 0, 0, payload, sizeof *access + count);
	rig_turn();
}

Test(vfio_user_server, reads_and_writes_memory_by_message)
{
	struct vfio_user_dma_access access;
	struct rig_message message;

	map_remote();
	cr_assert_eq(pcie_dma_read(rig.fn, &op, REMOTE + 8, buffer, 100),
		     -EINPROGRESS);
	get_message(&message, &access);
	cr_expect_eq(message.header.command, VFIO_USER_DMA_READ);
	cr_expect_eq(message.size, sizeof access);
	cr_expect_eq(access.address, REMOTE + 8);
	cr_expect_eq(access.count, 100);
	answer_read(&message.header, &access, 100, 0x77);
	cr_expect_eq(done_count, 1);
	cr_expect_eq(done_status, 0);
	cr_expect_eq(buffer[99], 0x77);
	cr_expect_eq(buffer[100], 0);

	cr_assert_eq(pcie_dma_write(rig.fn, &op, REMOTE, buffer, 100),
		     -EINPROGRESS);
	get_message(&message, &access);
	cr_expect_eq(message.header.command, VFIO_USER_DMA_WRITE);
	cr_expect_eq(message.size, sizeof access + 100);
	cr_expect_arr_eq(message.payload + sizeof access, buffer, 100);
	rig_send_reply(&message.header, 0, 0, &access, sizeof access);
	rig_turn();
	cr_expect_eq(done_count, 2);
	cr_expect_eq(done_status, 0);
}

Test(vfio_user_server, judges_the_clients_answers)
{
	static const struct {
		const char *what;
		bool is_write;
		uint32_t flags, error;
		size_t size;    /* of the reply's payload */
		uint64_t count; /* that it says */
		int status;
	} rows[] = {
		{ "read", false, 0, 0, 16 + 64, 64, 0 },
		{ "read: short", false, 0, 0, 16 + 63, 63, -EPROTO },
		{ "read: long", false, 0, 0, 16 + 65, 65, -EPROTO },
		{ "read: says more", false, 0, 0, 16 + 64, 65, -EPROTO },
		{ "read: nothing", false, 0, 0, 0, 0, -EPROTO },
		{ "read: refused", false, 0x20, 19, 0, 0, -ENODEV },
		{ "read: refused with data", false, 0x20, 14, 80, 64, -EFAULT },
		{ "refused without a reason", false, 0x20, 0, 0, 0, -EIO },
		{ "a strange reason", false, 0x20, UINT32_MAX, 0, 0, -EIO },
		{ "write", true, 0, 0, 16, 64, 0 },
		{ "write: header only", true, 0, 0, 0, 0, 0 },
		{ "write: long", true, 0, 0, 32, 64, -EPROTO },
		{ "write: refused", true, 0x20, 13, 0, 0, -EACCES },
	};
	struct vfio_user_dma_access access;
	struct rig_message message;
	uint8_t payload[128] = { 0 };
	int error;

	map_remote();
	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		error = rows[i].is_write ? pcie_dma_write(rig.fn, &op, REMOTE,
							  buffer, 64)
					 : pcie_dma_read(rig.fn, &op, REMOTE,
							 buffer, 64);
		cr_assert_eq(error, -EINPROGRESS);
		get_message(&message, &access);
		access.count = rows[i].count;
		memcpy(payload, &access, sizeof access);
		rig_send_reply(&message.header, rows[i].flags, rows[i].error,
			       payload, rows[i].size);
		rig_turn();
		cr_expect_eq(done_count, i + 1, "%s", rows[i].what);
		cr_expect_eq(done_status, rows[i].status, "%s", rows[i].what);
	}
}

Test(vfio_user_server, ignores_answers_to_nothing)
{
	struct vfio_user_dma_access access;
	struct rig_message message;
	struct vfio_user_header other;

	map_remote();
	cr_assert_eq(pcie_dma_read(rig.fn, &op, REMOTE, buffer, 4),
		     -EINPROGRESS);
	get_message(&message, &access);
	other = message.header;
	other.id ^= 0x1f;
	answer_read(&other, &access, 4, 1);
	other = message.header;
	other.id ^= 0x100;
	answer_read(&other, &access, 4, 1);
	other = message.header;
	other.command = VFIO_USER_DMA_WRITE;
	answer_read(&other, &access, 4, 1);
	other.command = VFIO_USER_REGION_READ;
	answer_read(&other, &access, 4, 1);
	cr_expect_eq(done_count, 0);
	answer_read(&message.header, &access, 4, 2);
	cr_expect_eq(done_count, 1);
	cr_expect_eq(buffer[0], 2);
	answer_read(&message.header, &access, 4, 3);
	cr_expect_eq(done_count, 1, "twice is once");
	cr_expect(pcie_server_has_client(rig.server));
}

Test(vfio_user_server, gives_up_on_a_client_that_does_not_answer)
{
	struct vfio_user_dma_access access;
	struct rig_message message;

	map_remote();
	cr_assert_eq(pcie_dma_read(rig.fn, &op, REMOTE, buffer, 4),
		     -EINPROGRESS);
	get_message(&message, &access);
	rig_wait(9900);
	cr_expect_eq(done_count, 0);
	rig_wait(200);
	cr_expect_eq(done_count, 1);
	cr_expect_eq(done_status, -ETIMEDOUT);
	answer_read(&message.header, &access, 4, 3);
	cr_expect_eq(buffer[0], 0, "a late answer is dropped");
	/* The next message in the same slot is another one. */
	cr_assert_eq(pcie_dma_read(rig.fn, &op, REMOTE, buffer, 4),
		     -EINPROGRESS);
	answer_read(&message.header, &access, 4, 3);
	cr_expect_eq(done_count, 1);
	get_message(&message, &access);
	answer_read(&message.header, &access, 4, 5);
	cr_expect_eq(done_count, 2);
	cr_expect_eq(buffer[0], 5);
}

Test(vfio_user_server, serves_commands_while_its_own_messages_wait)
{
	struct vfio_user_dma_access access;
	struct rig_message message;
	uint8_t value = 3;

	map_remote();
	cr_assert_eq(pcie_dma_read(rig.fn, &op, REMOTE, buffer, 4),
		     -EINPROGRESS);
	get_message(&message, &access);
	cr_expect_eq(rig_region_write(PCIE_CONFIG_REGION, LINE, &value, 1), 0);
	cr_expect_eq(rig_ask(VFIO_USER_DEVICE_RESET, NULL, 0, NULL), 0);
	cr_expect_eq(done_status, -ECANCELED, "a reset ends them");
	answer_read(&message.header, &access, 4, 3);
	cr_expect_eq(done_count, 1);
}

/* A device that reads memory as soon as it is written to. */
static void eager_write(struct pcie_function *fn, unsigned int bar,
			uint64_t offset, unsigned int size, uint64_t value)
{
	(void)bar;
	(void)offset;
	(void)size;
	(void)value;
	cr_expect_eq(pcie_dma_read(fn, &op, REMOTE, buffer, 4), -EINPROGRESS);
}

Test(vfio_user_server, replies_before_it_asks)
{
	struct pcie_function_type eager = fake_type;
	struct vfio_user_dma_access access;
	struct rig_message message;
	uint32_t value = 0;

	map_remote();
	eager.bar_write = eager_write;
	rig.fn->type = &eager;
	cr_expect_eq(rig_region_write(0, 0, &value, 4), 0);
	get_message(&message, &access);
	answer_read(&message.header, &access, 4, 3);
	cr_expect_eq(done_count, 1);
	rig.fn->type = &fake_type;
}

Test(vfio_user_server, sends_only_so_many_at_a_time)
{
	enum { OPS = 100 };
	static struct pcie_dma_op ops[OPS];
	static uint8_t data[OPS][16];
	struct vfio_user_dma_access access;
	struct rig_message messages[OPS];
	unsigned int got = 0;

	map_remote();
	for (unsigned int i = 0; i < OPS; i++) {
		ops[i].done = op_done;
		cr_assert_eq(pcie_dma_read(rig.fn, &ops[i], REMOTE + 16 * i,
					   data[i], 16),
			     -EINPROGRESS);
	}
	while (rig_receive(&messages[got]))
		got++;
	cr_expect_eq(got, PCIE_SERVER_DMA_SLOTS);
	for (unsigned int i = 0; i < OPS; i++) {
		if (i == got)
			cr_assert(rig_receive(&messages[got++]));
		access = (struct vfio_user_dma_access){ REMOTE + 16 * i, 16 };
		answer_read(&messages[i].header, &access, 16, (uint8_t)i);
	}
	cr_expect_eq(done_count, OPS);
	cr_expect_eq(data[OPS - 1][15], OPS - 1);
}

Test(vfio_user_server, large_writes_do_not_choke_it)
{
	static uint8_t data[1 << 20];
	struct vfio_user_dma_access access;
	struct rig_message message;
	static struct pcie_dma_op ops[8];
	uint64_t total = 0;

	map_remote();
	memset(data, 0xab, sizeof data);
	for (unsigned int i = 0; i < 8; i++) {
		ops[i].done = op_done;
		cr_assert_eq(pcie_dma_write(rig.fn, &ops[i], REMOTE, data,
					    sizeof data),
			     -EINPROGRESS);
	}
	while (done_count < 8) {
		get_message(&message, &access);
		cr_assert_leq(access.count, PCIE_DMA_MESSAGE_BYTES);
		cr_expect_eq(message.payload[16 + access.count - 1], 0xab);
		total += access.count;
		rig_send_reply(&message.header, 0, 0, NULL, 0);
		rig_turn();
	}
	cr_expect_eq(total, 8 << 20);
	cr_expect_eq(done_status, 0);
}

/* ---- coming and going ---- */

Test(vfio_user_server, forgets_a_client_that_leaves)
{
	unsigned int before = count_fds();
	struct vfio_irq_set set = { .argsz = 20, .flags = 0x24, .count = 1 };
	struct vfio_user_dma_access access;
	struct rig_message message;
	int fd = memory(PAGE), event = eventfd(0, EFD_CLOEXEC);
	uint8_t value = 0;

	cr_assert_eq(rig_map(0, PAGE, RW, fd, 0), 0);
	cr_assert_eq(rig_ask_fds(VFIO_USER_DEVICE_SET_IRQS, &set, sizeof set,
				 &event, 1, NULL),
		     0);
	map_remote();
	close(fd);
	close(event);
	cr_assert_eq(pcie_dma_read(rig.fn, &op, REMOTE, buffer, 4),
		     -EINPROGRESS);
	get_message(&message, &access);
	close(rig.fd);
	rig.fd = -1;
	rig_turn();
	cr_expect_eq(done_status, -ECANCELED);
	cr_expect_eq(fake_of(rig.fn)->last_reason, PCIE_RESET_DETACH);
	cr_expect_eq(rig.fn->dma.window_count, 0);
	cr_expect_null(rig.fn->transport.dma_start);
	cr_expect_eq(count_fds(), before - 2);
	rig_connect();
	rig_negotiate();
	cr_expect_eq(
		rig_region_read(PCIE_CONFIG_REGION, PCI_COMMAND, &value, 1), 0);
	cr_expect_eq(value, 0);
	cr_expect_eq(rt_counter_read(&pcie_server_stats(rig.server)->clients),
		     2);
}

Test(vfio_user_server, has_one_client_and_waits_until_it_is_quiet)
{
	int ends[2];

	cr_assert(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	cr_expect_eq(pcie_server_attach(rig.server, ends[1]), -EBUSY);
	fake_of(rig.fn)->holds_quiesce = true;
	close(rig.fd);
	rig.fd = -1;
	rig_turn();
	cr_expect(!pcie_server_has_client(rig.server));
	close(ends[0]);
	cr_assert(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	cr_expect_eq(pcie_server_attach(rig.server, ends[1]), -EBUSY);
	pcie_function_quiesced(rig.fn);
	fake_of(rig.fn)->holds_quiesce = false;
	rig_connect();
	rig_negotiate();
	close(ends[0]);
}

static void count_end(void *opaque)
{
	++*(unsigned int *)opaque;
}

Test(vfio_user_server, ends_when_the_function_is_quiet)
{
	unsigned int ends = 0;

	fake_of(rig.fn)->holds_quiesce = true;
	pcie_server_destroy(&rig.server, count_end, &ends);
	rig_turn();
	cr_expect_eq(ends, 0);
	cr_expect(rig_is_hung_up());
	pcie_function_quiesced(rig.fn);
	rig_turn();
	cr_expect_eq(ends, 1);
}

/* ---- listening ---- */

static char folder[] = "/tmp/vfio_user_server_XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static void start_listening(void)
{
	struct rt_error error;

	cr_assert(mkdtemp(folder));
	snprintf(address.sun_path, sizeof address.sun_path, "%s/fn", folder);
	rig_start();
	rig_stop();
	rt_clock_make_virtual(&rig.clock, 1000);
	cr_assert_eq(rt_loop_create(&rig.clock, &rig.loop), 0);
	rig.fn = fake_create_on(NULL, rig.loop);
	cr_assert_eq(pcie_server_create(rig.fn, address.sun_path, &rig.server,
					&error),
		     0, "%s", error.text);
}

static void stop_listening(void)
{
	rig_stop();
	cr_expect_eq(rmdir(folder), 0, "the socket file is gone");
}

Test(vfio_user_limits, want_of_descriptors_is_told_as_that)
{
	struct rlimit none = { 0, 0 };
	struct rt_error error = { 0 };
	struct pcie_server *server = NULL;
	struct rlimit before;

	rig_start();
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	cr_expect_eq(pcie_server_create(rig.fn, NULL, &server, &error),
		     -EMFILE);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_expect(strstr(error.text, "EMFILE"), "%s", error.text);
	cr_expect_not(server);
	rig_stop();
}

TestSuite(vfio_user_listener, .init = start_listening, .fini = stop_listening);

static int call(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(!connect(fd, (struct sockaddr *)&address, sizeof address));
	return fd;
}

Test(vfio_user_listener, serves_one_and_refuses_a_second)
{
	int second;
	char byte;

	rig.fd = call();
	rig_negotiate();
	second = call();
	rig_turn();
	cr_expect_eq(recv(second, &byte, 1, MSG_DONTWAIT), 0);
	close(second);
	cr_expect(pcie_server_has_client(rig.server));
}

Test(vfio_user_listener, takes_the_next_when_the_first_is_gone)
{
	for (unsigned int i = 0; i < 5; i++) {
		int next;

		if (!i)
			rig.fd = call();
		rig_negotiate();
		/* The end of one and the call of the next at the same time. */
		close(rig.fd);
		next = call();
		rig.fd = next;
	}
	rig_negotiate();
	cr_expect_eq(rt_counter_read(&pcie_server_stats(rig.server)->clients),
		     6);
}

Test(vfio_user_listener, lets_the_next_wait_until_the_function_is_quiet)
{
	rig.fd = call();
	rig_negotiate();
	fake_of(rig.fn)->holds_quiesce = true;
	close(rig.fd);
	rig_turn();
	rig.fd = call();
	rig_turn();
	cr_expect(!rig_is_hung_up());
	cr_expect(!pcie_server_has_client(rig.server));
	pcie_function_quiesced(rig.fn);
	rig_turn();
	rig_negotiate();
	fake_of(rig.fn)->holds_quiesce = false;
}
