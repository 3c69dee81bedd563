/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Resets of every kind, clients that come and go, and firmware that is replaced
 * under a driver: PCI Express 6.6, NVMe Base 1.4, 7.3.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/rt/loop.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server.h"
#include "tests/function/bench.h"

static uint32_t reg32(struct bench *b, uint64_t offset)
{
	uint32_t value = 0;

	cr_assert_eq(host_read32(b->host, 0, offset, &value), 0);
	return value;
}

static void turn_on(struct bench *b)
{
	uint16_t command = 6;

	cr_assert_eq(host_write(b->host, HOST_CONFIG, 4, &command, 2), 0);
}

static void forget_queues(struct bench *b)
{
	memset(b->nvme->sqs, 0, sizeof b->nvme->sqs);
	memset(b->nvme->cqs, 0, sizeof b->nvme->cqs);
	memset(b->nvme->parcels, 0, sizeof b->nvme->parcels);
}

/* --- Resets --------------------------------------------------------------- */

static void reset_function_level(struct bench *b)
{
	unsigned int at = host_capability(b->host, 0x10);
	uint32_t capabilities;
	uint16_t control;

	cr_assert_neq(at, 0);
	host_read(b->host, HOST_CONFIG, at + 4, &capabilities, 4);
	cr_expect_neq(capabilities & 1u << 28, 0, "FLR is offered");
	host_read(b->host, HOST_CONFIG, at + 8, &control, 2);
	control |= 0x8000;
	cr_assert_eq(host_write(b->host, HOST_CONFIG, at + 8, &control, 2), 0);
}

static void reset_bus(struct bench *b)
{
	cr_assert_eq(host_reset(b->host), 0);
}

static void reset_by_leaving(struct bench *b)
{
	host_close(&b->host);
	bench_settle(b);
	bench_connect(b);
	cr_assert_eq(host_nvme_move(b->nvme, b->host), 0);
}

struct reset_row {
	const char *name;
	void (*reset)(struct bench *b);
};

static const struct reset_row reset_rows[] = {
	{ "function-level reset", reset_function_level },
	{ "bus reset", reset_bus },
	{ "client leaves and comes back", reset_by_leaving },
};

#define RESETS (sizeof reset_rows / sizeof *reset_rows)

static void expect_defaults(struct bench *b, const char *name)
{
	uint64_t asq = 1, acq = 1;

	bench_settle(b);
	cr_expect_eq(reg32(b, NVME_REG_CC), 0, "%s", name);
	cr_expect_eq(reg32(b, NVME_REG_CSTS), 0, "%s", name);
	cr_expect_eq(reg32(b, NVME_REG_AQA), 0, "%s", name);
	host_read64(b->host, 0, NVME_REG_ASQ, &asq);
	host_read64(b->host, 0, NVME_REG_ACQ, &acq);
	cr_expect_eq(asq, 0, "%s", name);
	cr_expect_eq(acq, 0, "%s", name);
}

Test(function_resets, registers_go_back_and_the_data_stays)
{
	uint8_t bytes[4096], back[4096];

	bench_pattern(bytes, sizeof bytes, 5);
	for (size_t i = 0; i < RESETS; i++) {
		struct bench b;

		bench_start(&b, NULL);
		cr_assert_eq(bench_write(&b, 40, bytes, 4096), 0);
		reset_rows[i].reset(&b);
		expect_defaults(&b, reset_rows[i].name);
		forget_queues(&b);
		turn_on(&b);
		cr_assert_eq(host_nvme_enable(b.nvme), 0);
		cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 32, -1), 0);
		cr_assert_eq(bench_read(&b, 40, back, 4096), 0);
		cr_expect_arr_eq(back, bytes, 4096, "%s", reset_rows[i].name);
		bench_stop(&b);
	}
}

Test(function_resets, io_under_way_does_not_touch_memory_afterwards)
{
	for (size_t i = 0; i < 2 * RESETS; i++) {
		struct nvme_cmd read = { .opcode = NVME_NVM_READ,
					 .nsid = le32_put(1),
					 .cdw12 = le32_put(7) };
		char *file = bench_make_file(BENCH_BYTES);
		struct bench b;
		uint8_t *page;

		bench_start(&b, &(struct bench_options){ .file = file });
		bench_stall_io(&b, i >= RESETS);
		read.prp1 = le64_put(host_nvme_alloc(b.nvme, 4096, 4096));
		page = host_nvme_at(b.nvme, le64_get(read.prp1));
		for (int j = 0; j < 20; j++)
			cr_assert_eq(host_nvme_submit(b.nvme, 1, &read, NULL),
				     0);
		reset_rows[i % RESETS].reset(&b);
		bench_settle(&b);
		memset(page, 0xa5, 4096);
		bench_stall_io(&b, false);
		forget_queues(&b);
		turn_on(&b);
		cr_assert_eq(host_nvme_enable(b.nvme), 0);
		cr_assert_eq(host_nvme_idle(b.nvme, 10), 0);
		for (int j = 0; j < 4096; j++)
			cr_assert_eq(page[j], 0xa5, "%s",
				     reset_rows[i % RESETS].name);
		bench_stop(&b);
		unlink(file);
		free(file);
	}
}

Test(function_resets, a_reset_does_not_wait_for_a_mute_client)
{
	for (size_t i = 0; i < RESETS; i++) {
		struct bench b;
		struct nvme_cmd cmd = { .opcode = NVME_ADMIN_IDENTIFY,
					.cdw10 = le32_put(1) };

		bench_start(&b,
			    &(struct bench_options){ .is_by_message = true });
		cmd.prp1 = le64_put(b.nvme->scratch);
		host_set_quirks(b.host, HOST_MUTE_DMA);
		cr_assert_eq(host_nvme_submit(b.nvme, 0, &cmd, NULL), 0);
		bench_settle(&b);
		(void)host_poll(b.host, 0);
		reset_rows[i].reset(&b);
		host_set_quirks(b.host, 0);
		expect_defaults(&b, reset_rows[i].name);
		forget_queues(&b);
		turn_on(&b);
		cr_assert_eq(host_nvme_enable(b.nvme), 0, "%s",
			     reset_rows[i].name);
		cr_assert_eq(host_nvme_get_feature(b.nvme, 1, 0, NULL), 0);
		bench_stop(&b);
	}
}

Test(function_resets, disable_does_not_wait_for_a_mute_client)
{
	struct nvme_cmd cmd = { .opcode = NVME_ADMIN_IDENTIFY,
				.cdw10 = le32_put(1) };
	uint64_t started_ns;
	struct bench b;

	bench_start(&b, &(struct bench_options){ .is_by_message = true });
	cmd.prp1 = le64_put(b.nvme->scratch);
	host_set_quirks(b.host, HOST_MUTE_DMA);
	cr_assert_eq(host_nvme_submit(b.nvme, 0, &cmd, NULL), 0);
	bench_settle(&b);
	started_ns = rt_clock_now_ns(&b.clock);
	cr_expect_eq(host_nvme_disable(b.nvme), 0);
	cr_expect_lt(rt_clock_now_ns(&b.clock) - started_ns, 2 * RT_NS_PER_S,
		     "a guest waits for this with its processor");
	host_set_quirks(b.host, 0);
	cr_expect_eq(host_nvme_enable(b.nvme), 0);
	cr_expect_eq(host_nvme_get_feature(b.nvme, 1, 0, NULL), 0);
	bench_stop(&b);
}

Test(function_resets, a_storm_of_resets_is_survived)
{
	struct bench b;

	bench_start(&b, NULL);
	for (int i = 0; i < 200; i++) {
		struct nvme_cmd read = { .opcode = NVME_NVM_READ,
					 .nsid = le32_put(1) };

		read.prp1 = le64_put(b.nvme->scratch);
		if (b.nvme->sqs[1].iova)
			host_nvme_submit(b.nvme, 1, &read, NULL);
		reset_rows[i % 2].reset(&b);
		turn_on(&b);
		forget_queues(&b);
		b.nvme->memory_used = 0x10000;
		memset(host_nvme_at(b.nvme, b.nvme->memory.iova + 0x10000), 0,
		       0x40000);
		bench_settle(&b);
		cr_assert_eq(host_nvme_enable(b.nvme), 0, "round %d", i);
		cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 32, -1), 0);
	}
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
}

Test(function_resets, queues_without_bus_mastering_do_no_harm)
{
	uint16_t command = 2;
	struct bench b;

	bench_start(&b, NULL);
	cr_assert_eq(host_write(b.host, HOST_CONFIG, 4, &command, 2), 0);
	host_nvme_ring_sq(b.nvme, 1, 5);
	bench_settle(&b);
	turn_on(&b);
	cr_expect_eq(host_nvme_disable(b.nvme), 0);
	cr_expect_eq(host_nvme_enable(b.nvme), 0);
	cr_expect_eq(host_nvme_get_feature(b.nvme, 1, 0, NULL), 0);
	bench_stop(&b);
}

/* --- Clients -------------------------------------------------------------- */

Test(function_clients, a_second_one_is_refused)
{
	struct bench b;
	int ends[2];

	bench_start(&b, NULL);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	cr_expect_eq(pcie_server_attach(b.server, ends[0]), -EBUSY);
	close(ends[1]);
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
}

Test(function_clients, one_that_dies_in_the_middle_leaves_a_sound_card)
{
	uint8_t bytes[4096], back[4096];
	struct bench b;

	bench_pattern(bytes, sizeof bytes, 77);
	bench_make_card(&b, NULL);
	for (int round = 0; round < 30; round++) {
		struct nvme_cmd cmd = { .opcode = NVME_NVM_READ,
					.nsid = le32_put(1),
					.cdw12 = le32_put(7) };

		b.options.is_by_message = round & 1;
		bench_connect(&b);
		bench_open_driver(&b);
		cr_assert_eq(host_nvme_enable(b.nvme), 0, "round %d", round);
		cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 32, -1), 0);
		if (round == 0)
			cr_assert_eq(bench_write(&b, 8, bytes, 4096), 0);
		cr_assert_eq(bench_read(&b, 8, back, 4096), 0);
		cr_assert_arr_eq(back, bytes, 4096);
		cmd.prp1 = le64_put(host_nvme_alloc(b.nvme, 4096, 4096));
		for (int i = 0; i < 20; i++)
			cr_assert_eq(host_nvme_submit(b.nvme, 1, &cmd, NULL),
				     0);
		for (int i = 0; i < round; i++)
			(void)host_poll(b.host, 0);
		bench_hang_up(&b);
	}
	bench_remove_card(&b);
}

Test(function_clients, memory_that_goes_away_is_no_longer_reached)
{
	struct nvme_cmd read = { .opcode = NVME_NVM_READ,
				 .nsid = le32_put(1),
				 .cdw12 = le32_put(7) };
	struct host_memory extra;
	struct bench b;

	bench_start(&b, NULL);
	cr_assert_eq(host_memory_map(b.host, UINT64_C(0x900000000), 0x10000,
				     true, &extra),
		     0);
	read.prp1 = le64_put(extra.iova);
	cr_expect_eq(host_nvme_call(b.nvme, 1, &read, NULL), 0);
	cr_expect_eq(host_memory_unmap(b.host, &extra), 0);
	cr_expect_eq(host_nvme_call(b.nvme, 1, &read, NULL),
		     HOST_NVME_STATUS(0, 4));
	bench_stop(&b);
}

struct quirk_row {
	const char *name;
	unsigned int quirks;
	bool is_good; /* the data must be right all the same */
};

static const struct quirk_row quirk_rows[] = {
	{ "posted writes", HOST_POSTED_WRITES, true },
	{ "no capabilities", HOST_NO_CAPABILITIES, true },
	{ "bare replies to DMA_WRITE", HOST_BARE_DMA_REPLY, true },
	{ "refused DMA", HOST_REFUSE_DMA, false },
	{ "short replies to DMA_READ", HOST_SHORT_DMA_REPLY, false },
};

Test(function_clients, peculiar_ones_are_served)
{
	uint8_t bytes[8192], back[8192];

	bench_pattern(bytes, sizeof bytes, 3);
	for (size_t i = 0; i < sizeof quirk_rows / sizeof *quirk_rows; i++) {
		const struct quirk_row *row = &quirk_rows[i];
		struct bench_options options = {
			.is_by_message = true,
			.quirks = row->is_good ? row->quirks : 0,
		};
		struct bench b;

		bench_start(&b, &options);
		if (!row->is_good) {
			host_set_quirks(b.host, row->quirks);
			b.nvme->timeout_ms = 200;
		}
		if (row->is_good) {
			cr_expect_eq(bench_write(&b, 0, bytes, 8192), 0, "%s",
				     row->name);
			cr_expect_eq(bench_read(&b, 0, back, 8192), 0, "%s",
				     row->name);
			cr_expect_arr_eq(back, bytes, 8192, "%s", row->name);
		} else {
			/* It fails in some way, and is as new afterwards. */
			cr_expect_neq(bench_write(&b, 0, bytes, 8192), 0, "%s",
				      row->name);
			bench_hang_up(&b);
			b.options.quirks = 0;
			bench_connect(&b);
			bench_open_driver(&b);
			cr_expect_eq(host_nvme_enable(b.nvme), 0, "%s",
				     row->name);
		}
		bench_stop(&b);
	}
}

/* --- New firmware under a running driver ---------------------------------- */

static void mark(struct pcie_function *fn, void *opaque)
{
	(void)fn;
	*(bool *)opaque = true;
}

static void pause_function(struct bench *b)
{
	bool is_quiet = false;

	cr_assert_eq(pcie_function_pause(b->fn, mark, &is_quiet), 0);
	for (int i = 0; i < 10000 && !is_quiet; i++)
		(void)rt_loop_step(b->loop, RT_NS_PER_MS);
	cr_assert(is_quiet);
}

/* The state is taken out and put back; the client sees nothing of it. */
static void restore_in_place(struct bench *b)
{
	size_t size;
	uint8_t *state;

	pause_function(b);
	size = pcie_function_save(b->fn, NULL, 0);
	state = malloc(size);
	cr_assert(state && pcie_function_save(b->fn, state, size) == size);
	cr_assert_eq(pcie_function_restore(b->fn, state, size), 0);
	cr_assert_eq(pcie_function_unpause(b->fn), 0);
	free(state);
}

/* The state leaves one process image and enters another. */
static void replace_firmware(struct bench *b)
{
	const struct bench_options options = b->options;
	struct host_nvme *driver = b->nvme;
	size_t size;
	uint8_t *state;

	pause_function(b);
	size = pcie_function_save(b->fn, NULL, 0);
	state = malloc(size);
	cr_assert(state && pcie_function_save(b->fn, state, size) == size);
	b->nvme = NULL;
	bench_hang_up(b);
	bench_remove_card(b);

	bench_make_card(b, &options);
	bench_connect(b);
	cr_assert_eq(host_nvme_move(driver, b->host), 0);
	b->nvme = driver;
	pause_function(b);
	cr_assert_eq(pcie_function_restore(b->fn, state, size), 0);
	cr_assert_eq(pcie_function_unpause(b->fn), 0);
	free(state);
}

static void check_replacement(bool is_by_message, bool is_stalled)
{
	char *file = bench_make_file(BENCH_BYTES);
	struct nvme_cmd event = { .opcode = NVME_ADMIN_ASYNC_EVENT };
	struct nvme_cmd read = { .opcode = NVME_NVM_READ,
				 .nsid = le32_put(1),
				 .cdw10 = le32_put(64),
				 .cdw12 = le32_put(7) };
	uint8_t bytes[4096], back[4096];
	uint16_t event_cid, cids[20];
	struct nvme_cqe cqe;
	struct bench b;
	uint32_t value;

	bench_pattern(bytes, sizeof bytes, 99);
	bench_start(&b, &(struct bench_options){
				.file = file, .is_by_message = is_by_message });
	cr_assert_eq(bench_write(&b, 64, bytes, 4096), 0);
	cr_assert_eq(host_nvme_set_feature(b.nvme, 4, 340, NULL), 0);
	cr_assert_eq(host_nvme_submit(b.nvme, 0, &event, &event_cid), 0);
	bench_stall_io(&b, is_stalled);
	for (int i = 0; i < 20; i++) {
		uint64_t page = host_nvme_alloc(b.nvme, 4096, 4096);

		read.prp1 = le64_put(page);
		cr_assert_eq(host_nvme_submit(b.nvme, 1, &read, &cids[i]), 0);
	}
	replace_firmware(&b);

	for (int i = 0; i < 20; i++) {
		cr_assert_eq(host_nvme_wait(b.nvme, 1, cids[i], &cqe), 0,
			     "command %d", i);
		cr_expect_not(host_nvme_take(b.nvme, 1, cids[i], NULL));
	}
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(bench_read(&b, 64, back, 4096), 0);
		cr_assert_arr_eq(back, bytes, 4096);
	}
	cr_expect_eq(host_nvme_get_feature(b.nvme, 4, 0, &value), 0);
	cr_expect_eq(value & 0xffff, 340);
	host_nvme_ring_sq(b.nvme, 1, 60000);
	cr_expect_eq(host_nvme_wait(b.nvme, 0, event_cid, &cqe), 0,
		     "the event request waited through it");
	cr_expect_eq(host_nvme_delete_sq(b.nvme, 1), 0);
	cr_expect_eq(host_nvme_delete_cq(b.nvme, 1), 0);
	bench_stop(&b);
	unlink(file);
	free(file);
}

Test(function_replacement, the_driver_goes_on_without_noticing)
{
	check_replacement(false, false);
}

Test(function_replacement, the_driver_goes_on_by_message)
{
	check_replacement(true, false);
}

Test(function_replacement, commands_that_were_held_are_done_afterwards)
{
	check_replacement(false, true);
}

Test(function_replacement, queues_of_different_sizes_do_not_mix)
{
	struct nvme_cmd read = { .opcode = NVME_NVM_READ, .nsid = le32_put(1) };
	struct bench b;
	uint16_t cid;

	bench_enable(&b, &(struct bench_options){ .admin_entries = 64 });
	cr_assert_eq(host_nvme_create_pair(b.nvme, 1, 8, -1), 0);
	for (int i = 0; i < 300; i++)
		cr_assert_eq(host_nvme_get_feature(b.nvme, 1, 0, NULL), 0);
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(host_nvme_get_feature(b.nvme, 1, 0, NULL), 0);
		bench_stall_io(&b, true);
		read.prp1 = le64_put(b.nvme->scratch);
		cr_assert_eq(host_nvme_submit(b.nvme, 1, &read, &cid), 0);
		bench_settle(&b);
		bench_stall_io(&b, false);
		restore_in_place(&b);
		cr_assert_eq(host_nvme_wait(b.nvme, 1, cid, NULL), 0);
	}
	bench_stop(&b);
}

Test(function_replacement, a_queue_may_be_on_its_way_out)
{
	struct nvme_cmd read = { .opcode = NVME_NVM_READ, .nsid = le32_put(1) };
	struct nvme_cmd delete = { .opcode = NVME_ADMIN_DELETE_SQ,
				   .cdw10 = le32_put(1) };
	struct host_memory far;
	uint16_t cid, delete_cid;
	struct bench b;
	int status;

	bench_start(&b, NULL);
	cr_assert_eq(host_memory_map(b.host, UINT64_C(0x900000000), 4096, false,
				     &far),
		     0);
	read.prp1 = le64_put(far.iova);
	host_set_quirks(b.host, HOST_MUTE_DMA);
	cr_assert_eq(host_nvme_submit(b.nvme, 1, &read, &cid), 0);
	bench_settle(&b);
	cr_assert_eq(host_poll(b.host, 0), 1, "the data is on its way");
	cr_assert_eq(host_nvme_submit(b.nvme, 0, &delete, &delete_cid), 0);
	bench_settle(&b);
	host_set_quirks(b.host, 0);
	restore_in_place(&b);
	cr_assert_eq(host_nvme_wait(b.nvme, 0, delete_cid, NULL), 0);
	host_nvme_reap(b.nvme, 1);
	status = host_nvme_wait(b.nvme, 1, cid, NULL);
	cr_expect(status == 0 || status == HOST_NVME_STATUS(0, 8), "%s",
		  bench_status_text(status));
	cr_expect_eq(host_nvme_create_sq(b.nvme, 1, 32, 1), 0);
	cr_expect_eq(host_nvme_flush(b.nvme, 1), 0);
	bench_stop(&b);
	host_memory_free(&far);
}

Test(function_replacement, a_pause_alone_is_not_noticed)
{
	uint8_t bytes[4096];
	struct bench b;

	bench_start(&b, NULL);
	for (int i = 0; i < 20; i++) {
		struct nvme_cmd flush = { .opcode = NVME_NVM_FLUSH,
					  .nsid = le32_put(1) };
		uint16_t cid;

		cr_assert_eq(host_nvme_submit(b.nvme, 1, &flush, &cid), 0);
		pause_function(&b);
		cr_assert_eq(pcie_function_unpause(b.fn), 0);
		cr_assert_eq(host_nvme_wait(b.nvme, 1, cid, NULL), 0);
		cr_assert_eq(bench_read(&b, 0, bytes, 4096), 0);
	}
	bench_stop(&b);
}

Test(function_replacement, bytes_that_are_no_state_are_refused)
{
	struct bench b;
	uint8_t *state;
	size_t size;

	bench_start(&b, NULL);
	pause_function(&b);
	size = pcie_function_save(b.fn, NULL, 0);
	state = malloc(size);
	cr_assert_not_null(state);
	memset(state, 0x5a, size);
	cr_expect_eq(pcie_function_restore(b.fn, state, size), -EINVAL);
	cr_expect_eq(pcie_function_restore(b.fn, state, 10), -EINVAL);
	cr_assert_eq(pcie_function_unpause(b.fn), 0);
	free(state);
	/* As after power-on: a driver can begin anew. */
	forget_queues(&b);
	turn_on(&b);
	cr_expect_eq(host_nvme_enable(b.nvme), 0);
	bench_stop(&b);
}

/* --- A card that is killed ------------------------------------------------ */

static int serve_in_child(const char *file, int *fd)
{
	struct bench b;
	int ends[2], pid;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid > 0) {
		close(ends[0]);
		*fd = ends[1];
		return pid;
	}
	close(ends[1]);
	bench_make_card(&b, &(struct bench_options){ .file = file });
	if (pcie_server_attach(b.server, ends[0]) == 0)
		(void)rt_loop_run(b.loop);
	_exit(1);
}

static void write_until_killed(const char *file, unsigned int writes)
{
	struct host_function *host = NULL;
	struct host_nvme *nvme = NULL;
	struct host_nvme_data data;
	uint8_t bytes[4096];
	int fd, pid = serve_in_child(file, &fd);

	cr_assert_eq(host_open_fd(fd, NULL, &host, NULL), 0);
	cr_assert_eq(host_nvme_open(host, NULL, &nvme), 0);
	cr_assert_eq(host_nvme_enable(nvme), 0);
	cr_assert_eq(host_nvme_create_pair(nvme, 1, 32, -1), 0);
	cr_assert_eq(host_nvme_data_make(nvme, 4096,
					 (struct host_nvme_shape){ 0 }, &data),
		     0);
	for (unsigned int i = 0; i < writes; i++) {
		bench_pattern(bytes, sizeof bytes, writes * 1000 + i);
		host_nvme_data_put(nvme, &data, bytes);
		cr_assert_eq(
			host_nvme_rw(nvme, 1, NVME_NVM_WRITE, i * 8, 8, &data),
			0);
	}
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	nvme->fn = NULL;
	host_nvme_close(&nvme);
	host_close(&host);
}

Test(function_card, what_it_acknowledged_survives_its_death)
{
	char *file = bench_make_file(BENCH_BYTES);
	uint8_t bytes[4096], back[4096];
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	for (unsigned int writes = 1; writes < 200; writes += 66) {
		write_until_killed(file, writes);
		for (unsigned int i = 0; i < writes; i++) {
			bench_pattern(bytes, sizeof bytes, writes * 1000 + i);
			cr_assert_eq(pread(fd, back, 4096, (off_t)i * 4096),
				     4096);
			cr_assert_arr_eq(back, bytes, 4096, "write %u of %u", i,
					 writes);
		}
	}
	close(fd);
	unlink(file);
	free(file);
}
