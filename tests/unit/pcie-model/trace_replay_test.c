/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What QEMU 11.1 was recorded to say to another server of a similar device, in
 * order, to ours: every answer must be one that QEMU takes, and what does not
 * depend on the device must be the same.  Lines of tests/data/qemu-11.1-*.txt:
 *
 *   version JSON                       map FLAGS OFFSET ADDRESS SIZE
 * shared|alone info                               unmap ADDRESS SIZE region
 * INDEX ARGSZ = ARGSZ FLAGS SIZE irq INDEX = FLAGS COUNT            set FLAGS
 * INDEX START COUNT DESCRIPTORS read REGION OFFSET COUNT [= HEX]   write REGION
 * OFFSET COUNT HEX [posted] reset dma-read|dma-write ADDRESS COUNT ERROR
 * REPLY-SIZE   (the device asks)
 *
 * The recorded device had its capabilities at other places than ours.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/error.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "tests/unit/pcie-model/rig.h"

/* Where the recorded device had what. */
#define THEIR_PM      0x40u
#define THEIR_EXPRESS 0x60u
#define THEIR_MSIX    0xb0u
#define THEIR_END     0xc0u

static int ram = -1;
static unsigned int lines, compared;

static struct pcie_identity recorded_identity(void)
{
	return (struct pcie_identity){
		.vendor = 0x1d0f,
		.device = 0x8061,
		.subsystem_vendor = 0x1d0f,
		.subsystem = 0x8061,
		.class_code = 0x010802,
		.revision = 1,
		.has_intx = true,
		.has_pm = true,
		.has_aer = true,
		.msix_vectors = 33,
		.msix_bar = 0,
		.msix_table_offset = 0x4000,
		.msix_pba_offset = 0x8000,
		.link_speed = 3,
		.link_width = 4,
		.bars = { [0] = { .size = 0x10000, .is_64bit = true },
			  [2] = { .size = 0x100000,
				  .is_64bit = true,
				  .is_prefetchable = true } },
	};
}

static uint64_t our_offset(uint64_t offset)
{
	const struct pcie_config_layout *ours = &rig.fn->config_layout;

	if (offset < THEIR_PM || offset >= THEIR_END)
		return offset;
	if (offset >= THEIR_MSIX)
		return ours->msix ? offset - THEIR_MSIX + ours->msix : 0xfc;
	if (offset >= THEIR_EXPRESS)
		return offset - THEIR_EXPRESS + ours->express;
	return offset - THEIR_PM + ours->pm;
}

/* Which bits of a register must be as recorded; 0: the device's matter. */
static uint64_t mask_of(uint64_t offset, unsigned int count)
{
	static const struct {
		uint64_t first, last, mask;
	} rows[] = {
		{ PCI_VENDOR_ID, PCI_VENDOR_ID + 3, UINT64_MAX },
		{ PCI_COMMAND, PCI_COMMAND + 1,
		  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			  PCI_COMMAND_INTX_DISABLE },
		{ PCI_STATUS, PCI_STATUS + 1, PCI_STATUS_CAP_LIST },
		{ PCI_CLASS_REVISION, PCI_HEADER_TYPE + 1, UINT64_MAX },
		{ PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_0 + 3, 0xf },
		{ PCI_BASE_ADDRESS_2, PCI_BASE_ADDRESS_2 + 3, 0xf },
		{ PCI_SUBSYSTEM_VENDOR_ID, PCI_ROM_ADDRESS + 3, UINT64_MAX },
		{ PCI_INTERRUPT_LINE, 0x3f, 0xff00 },
		{ PCI_INTERRUPT_PIN, PCI_INTERRUPT_PIN, 0xff },
		{ THEIR_PM + PCI_PM_CTRL, THEIR_PM + PCI_PM_CTRL + 1,
		  PCI_PM_CTRL_STATE_MASK },
		{ THEIR_MSIX + PCI_MSIX_FLAGS, THEIR_MSIX + PCI_MSIX_FLAGS + 1,
		  UINT64_MAX },
		{ THEIR_MSIX + PCI_MSIX_TABLE, THEIR_MSIX + PCI_MSIX_PBA + 3,
		  UINT64_MAX },
	};

	for (size_t i = 0; i < RT_COUNT(rows); i++)
		if (offset >= rows[i].first &&
		    offset + count - 1 <= rows[i].last)
			return rows[i].mask;
	return 0;
}

static size_t from_hex(const char *hex, uint8_t *bytes, size_t room)
{
	size_t size = strlen(hex) / 2;

	cr_assert_leq(size, room);
	for (size_t i = 0; i < size; i++)
		cr_assert_eq(sscanf(hex + 2 * i, "%2hhx", &bytes[i]), 1);
	return size;
}

/* ---- one function per word ---- */

static void say_version(const char *rest)
{
	uint8_t payload[512] = { 0 };
	struct vfio_user_version version;
	struct rig_message reply;
	size_t size = 4 + strlen(rest) + 1;

	memcpy(payload + 4, rest, strlen(rest) + 1);
	cr_assert_eq(rig_ask(VFIO_USER_VERSION, payload, size, &reply), 0);
	/* QEMU takes the reply into the buffer of its request. */
	cr_expect_leq(reply.size, size);
	memcpy(&version, reply.payload, sizeof version);
	cr_expect_eq(version.major, 0);
	cr_expect_eq(version.minor, 0);
	cr_expect_eq(reply.payload[reply.size - 1], '\0');
}

static void say_map(const char *rest)
{
	uint64_t flags, offset, address, size;
	char kind[16];

	cr_assert_eq(sscanf(rest,
			    "%" SCNi64 " %" SCNi64 " %" SCNi64 " %" SCNi64
			    " %15s",
			    &flags, &offset, &address, &size, kind),
		     5);
	cr_expect_eq(rig_map(address, size, (uint32_t)flags,
			     strcmp(kind, "shared") ? -1 : ram, offset),
		     0, "map %s", rest);
}

static void say_unmap(const char *rest)
{
	struct vfio_user_dma_unmap u = { .argsz = sizeof u };
	struct rig_message reply;
	uint64_t address, size;

	cr_assert_eq(sscanf(rest, "%" SCNi64 " %" SCNi64, &address, &size), 2);
	u.address = address;
	u.size = size;
	cr_expect_eq(rig_ask(VFIO_USER_DMA_UNMAP, &u, sizeof u, &reply), 0,
		     "unmap %s", rest);
	cr_assert_eq(reply.size, sizeof u);
	cr_expect_arr_eq(reply.payload, &u, sizeof u);
}

static void say_info(const char *rest)
{
	struct vfio_user_device_info info = { .argsz = sizeof info };
	struct rig_message reply;

	(void)rest;
	cr_assert_eq(
		rig_ask(VFIO_USER_DEVICE_GET_INFO, &info, sizeof info, &reply),
		0);
	memcpy(&info, reply.payload, sizeof info);
	cr_expect(info.num_regions >= 8 && info.num_regions <= 100);
	cr_expect(info.num_irqs >= 3 && info.num_irqs <= 50);
	cr_expect_eq(info.flags, 3);
}

static void say_region(const char *rest)
{
	struct vfio_region_info info = { 0 };
	struct rig_message reply;
	uint32_t argsz, flags;
	uint64_t size;

	cr_assert_eq(sscanf(rest, "%u %u = %u %u %" SCNi64, &info.index,
			    &info.argsz, &argsz, &flags, &size),
		     5);
	cr_assert_eq(rig_ask(VFIO_USER_DEVICE_GET_REGION_INFO, &info,
			     sizeof info, &reply),
		     0);
	cr_expect_leq(reply.size, info.argsz, "QEMU has no more room");
	memcpy(&info, reply.payload, sizeof info);
	cr_expect_eq(info.argsz, argsz, "region %s", rest);
	cr_expect_eq(info.flags, flags, "region %s: %u", rest, info.flags);
	cr_expect_eq(info.size, size, "region %s", rest);
	if (info.flags & VFIO_REGION_INFO_FLAG_CAPS)
		cr_expect(info.cap_offset >= sizeof info &&
			  info.cap_offset < info.argsz);
	else
		cr_expect_eq(info.cap_offset, 0);
}

static void say_irq(const char *rest)
{
	struct vfio_irq_info info = { .argsz = sizeof info };
	struct rig_message reply;
	uint32_t flags, count;

	cr_assert_eq(sscanf(rest, "%u = %u %u", &info.index, &flags, &count),
		     3);
	cr_assert_eq(rig_ask(VFIO_USER_DEVICE_GET_IRQ_INFO, &info, sizeof info,
			     &reply),
		     0);
	cr_assert_eq(reply.size, sizeof info);
	memcpy(&info, reply.payload, sizeof info);
	/* NORESIZE of a single interrupt: vfio-pci says so, they did not. */
	if (info.index >= PCIE_ERR)
		flags |= VFIO_IRQ_INFO_NORESIZE;
	cr_expect_eq(info.flags, flags, "irq %s", rest);
	cr_expect_eq(info.count, count, "irq %s", rest);
}

static void say_set(const char *rest)
{
	struct vfio_irq_set set = { .argsz = sizeof set };
	unsigned int n;
	int fds[16];

	cr_assert_eq(sscanf(rest, "%i %u %u %u %u", (int *)&set.flags,
			    &set.index, &set.start, &set.count, &n),
		     5);
	cr_assert_leq(n, RT_COUNT(fds));
	for (unsigned int i = 0; i < n; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	cr_expect_eq(rig_ask_fds(VFIO_USER_DEVICE_SET_IRQS, &set, sizeof set,
				 fds, n, NULL),
		     0, "set %s", rest);
	for (unsigned int i = 0; i < n; i++)
		close(fds[i]);
}

static void say_read(const char *rest)
{
	uint8_t want[8], got[4096];
	uint32_t region, count;
	char hex[32] = "";
	uint64_t offset;
	uint64_t mask;

	cr_assert_geq(sscanf(rest, "%u %" SCNi64 " %u = %31s", &region, &offset,
			     &count, hex),
		      3);
	cr_assert_leq(count, sizeof got);
	cr_expect_eq(rig_region_read(region,
				     region == PCIE_CONFIG_REGION
					     ? our_offset(offset)
					     : offset,
				     got, count),
		     0, "read %s", rest);
	mask = region == PCIE_CONFIG_REGION && *hex ? mask_of(offset, count)
						    : 0;
	if (!mask)
		return;
	from_hex(hex, want, sizeof want);
	compared++;
	cr_expect_eq(le_load(got, count) & mask, le_load(want, count) & mask,
		     "line %u: read %s: %" PRIx64, lines, rest,
		     le_load(got, count));
}

static void say_write(const char *rest)
{
	char hex[32], posted[16] = "";
	uint32_t region, count;
	uint8_t payload[32];
	uint64_t offset;
	struct vfio_user_region_access access;

	cr_assert_geq(sscanf(rest, "%u %" SCNi64 " %u %31s %15s", &region,
			     &offset, &count, hex, posted),
		      4);
	access = (struct vfio_user_region_access){ offset, region, count };
	if (region == PCIE_CONFIG_REGION)
		access.offset = our_offset(offset);
	memcpy(payload, &access, sizeof access);
	cr_assert_eq(from_hex(hex, payload + sizeof access, 8), count);
	if (*posted)
		rig_post(VFIO_USER_REGION_WRITE, payload,
			 sizeof access + count);
	else
		cr_expect_eq(rig_ask(VFIO_USER_REGION_WRITE, payload,
				     sizeof access + count, NULL),
			     0, "write %s", rest);
}

static void say_reset(const char *rest)
{
	(void)rest;
	cr_expect_eq(rig_ask(VFIO_USER_DEVICE_RESET, NULL, 0, NULL), 0);
	cr_expect_eq(fake_of(rig.fn)->last_reason, PCIE_RESET_BUS);
}

static int done_status = 1;

static void op_done(struct pcie_dma_op *op, int status)
{
	(void)op;
	done_status = status;
}

/* The device asks for memory, and QEMU's recorded answer comes. */
static void ask_memory(const char *rest, bool is_write)
{
	static struct pcie_dma_op op = { .done = op_done };
	static uint8_t data[4096];
	struct vfio_user_dma_access access;
	struct rig_message message;
	uint8_t reply[16 + 4096] = { 0 };
	uint32_t error, size;
	uint64_t address, count;
	int result;

	cr_assert_eq(sscanf(rest, "%" SCNi64 " %" SCNi64 " %u %u", &address,
			    &count, &error, &size),
		     4);
	result = is_write ? pcie_dma_write(rig.fn, &op, address, data, count)
			  : pcie_dma_read(rig.fn, &op, address, data, count);
	if (result != -EINPROGRESS) {
		cr_expect_neq(error, 0, "%s: %d", rest, result);
		return;
	}
	cr_assert(rig_receive(&message), "dma %s", rest);
	access = (struct vfio_user_dma_access){ address, count };
	cr_expect_arr_eq(message.payload, &access, sizeof access);
	memcpy(reply, &access, sizeof access);
	rig_send_reply(&message.header, error ? VFIO_USER_ERROR : 0, error,
		       reply, size - sizeof(struct vfio_user_header));
	rig_turn();
	cr_expect_eq(done_status, -(int)error, "dma %s", rest);
	compared++;
}

static void hear_dma_read(const char *rest)
{
	ask_memory(rest, false);
}

static void hear_dma_write(const char *rest)
{
	ask_memory(rest, true);
}

static const struct {
	const char *word;
	void (*run)(const char *rest);
} words[] = {
	{ "version", say_version },
	{ "map", say_map },
	{ "unmap", say_unmap },
	{ "info", say_info },
	{ "region", say_region },
	{ "irq", say_irq },
	{ "set", say_set },
	{ "read", say_read },
	{ "write", say_write },
	{ "reset", say_reset },
	{ "dma-read", hear_dma_read },
	{ "dma-write", hear_dma_write },
};

static void run_line(char *line)
{
	char *rest = line + strcspn(line, " \n");

	lines++;
	line[strcspn(line, "\n")] = '\0';
	if (*line == '#' || !*line)
		return;
	if (*rest)
		*rest++ = '\0';
	for (size_t i = 0; i < RT_COUNT(words); i++)
		if (!strcmp(words[i].word, line)) {
			words[i].run(rest);
			return;
		}
	cr_assert(false, "line %u: %s", lines, line);
}

static void replay(const char *scenario, const struct pcie_identity *identity,
		   unsigned int at_least)
{
	char path[128], line[512];
	struct rt_error error;
	FILE *file;

	snprintf(path, sizeof path, "tests/data/qemu-11.1-%s.txt", scenario);
	file = fopen(path, "r");
	cr_assert(file, "%s", path);
	ram = memfd_create("ram", MFD_CLOEXEC);
	cr_assert(!ftruncate(ram, 256 << 20));
	rt_clock_make_virtual(&rig.clock, 1000);
	cr_assert_eq(rt_loop_create(&rig.clock, &rig.loop), 0);
	rig.fn = fake_create_on(identity, rig.loop);
	cr_assert_eq(pcie_server_create(rig.fn, NULL, &rig.server, &error), 0);
	rig_connect();
	while (fgets(line, sizeof line, file))
		run_line(line);
	cr_expect_gt(compared, at_least, "%u compared", compared);
	cr_expect(pcie_server_has_client(rig.server));
	cr_expect_eq(rt_counter_read(
			     &pcie_server_stats(rig.server)->protocol_errors),
		     0);
	fclose(file);
	close(ram);
	rig_stop();
}

Test(vfio_user_trace_replay, a_boot_with_shared_memory)
{
	struct pcie_identity identity = recorded_identity();

	replay("boot", &identity, 150);
}

Test(vfio_user_trace_replay, a_boot_with_intx_alone)
{
	struct pcie_identity identity = recorded_identity();

	identity.msix_vectors = 0;
	replay("intx", &identity, 50);
}

Test(vfio_user_trace_replay, a_boot_without_shared_memory)
{
	struct pcie_identity identity = recorded_identity();

	replay("dma-plain", &identity, 80);
}

Test(vfio_user_trace_replay, a_boot_with_mapped_bars)
{
	struct pcie_identity identity = recorded_identity();

	identity.bars[0].mapped_offset = 0x1000;
	identity.bars[0].mapped_size = 0x1000;
	identity.bars[2].mapped_size = identity.bars[2].size;
	replay("sparse", &identity, 50);
}

Test(vfio_user_trace_replay, a_boot_with_many_vectors)
{
	struct pcie_identity identity = recorded_identity();

	replay("manyvec", &identity, 50);
}
