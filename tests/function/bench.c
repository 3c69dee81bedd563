/* SPDX-License-Identifier: BSD-3-Clause */
/* The bench: see bench.h.  One thread.  Owns both ends of everything. */
#include "tests/function/bench.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ebs-nvme/function.h"
#include "ebs-nvme/profile.h"
#include "firmware/rt/error.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/log.h"
#include "firmware/rt/loop.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server.h"

/* --- The card's side ------------------------------------------------------ */

static unsigned int profile_number(const char *name)
{
	for (unsigned int i = 0; i < EBS_PROFILES; i++) {
		if (strcmp(ebs_profile_names[i], name) == 0)
			return i;
	}
	cr_assert_fail("there is no profile %s", name);
	return 0;
}

/* The option's choices are 0 for the profile's own, then 32, 64, … */
static unsigned int entries_choice(uint32_t entries)
{
	unsigned int choice = 1;

	if (entries == 0)
		return 0;
	while (32u << (choice - 1) < entries)
		choice++;
	return choice;
}

static void fill_config(const struct bench_options *options,
			struct ebs_config *config)
{
	const char *profile = options->profile ? options->profile : "ebs-2";

	*config = (struct ebs_config){
		.profile = profile_number(profile),
		.volume_id = (char *)(uintptr_t)options->volume_id,
		.vcpus = 1024,
		.queue_entries = entries_choice(options->queue_entries),
		.doorbells = options->has_mapped_doorbells
				     ? EBS_DOORBELLS_MAPPED
				     : EBS_DOORBELLS_TRAPPED,
		.polling = options->polling,
		.volume = { .file = (char *)(uintptr_t)options->file,
			    .memory_size = options->memory_size,
			    .null_size = options->null_size,
			    .is_read_only = options->is_read_only,
			    .encrypted = options->is_encrypted
						 ? EBS_VOLUME_ENCRYPTED
						 : EBS_VOLUME_ENCRYPTED_AUTO },
	};
	if (!options->file && !options->memory_size && !options->null_size)
		config->volume.memory_size = BENCH_BYTES;
}

void bench_make_card(struct bench *b, const struct bench_options *options)
{
	struct rt_error error = { 0 };
	struct ebs_config config;
	int rc;

	memset(b, 0, sizeof *b);
	if (options)
		b->options = *options;
	rt_log_set_level(RT_LOG_ERROR);
	cr_assert_eq(rt_guard_install(), 0);
	cr_assert_eq(rt_loop_create(&b->clock, &b->loop), 0);
	fill_config(&b->options, &config);
	rc = pcie_function_create(&ebs_function, "ebs0", b->loop, &config,
				  &b->fn, &error);
	cr_assert_eq(rc, 0, "%s", error.text);
	rc = pcie_server_create(b->fn, NULL, &b->server, &error);
	cr_assert_eq(rc, 0, "%s", error.text);
}

static void mark_gone(void *opaque)
{
	*(bool *)opaque = true;
}

void bench_remove_card(struct bench *b)
{
	bool is_gone = false;

	if (!b->loop)
		return;
	pcie_server_destroy(&b->server, mark_gone, &is_gone);
	for (int i = 0; i < 10000 && !is_gone; i++)
		(void)rt_loop_step(b->loop, RT_NS_PER_MS);
	cr_assert(is_gone, "the function does not become quiet");
	pcie_function_destroy(&b->fn);
	rt_loop_destroy(&b->loop);
}

static void run_device(void *opaque)
{
	struct bench *b = opaque;

	(void)rt_loop_step(b->loop, 0);
}

void bench_settle(struct bench *b)
{
	/* Storage answers a little later than the loop is idle. */
	for (int quiet = 0; quiet < 3;) {
		if (rt_loop_step(b->loop, RT_NS_PER_MS) > 0)
			quiet = 0;
		else
			quiet++;
		if (b->host && !(b->options.quirks & HOST_MUTE_DMA) &&
		    b->options.is_by_message && host_poll(b->host, 0) > 0)
			quiet = 0;
	}
}

void bench_pass_time(struct bench *b, uint64_t ns)
{
	if (!b->clock.is_virtual)
		rt_clock_make_virtual(&b->clock, rt_clock_now_ns(&b->clock));
	rt_clock_advance(&b->clock, ns);
	bench_settle(b);
}

void bench_stall_io(struct bench *b, bool is_on)
{
	const struct rt_fault_rule rule = { .is_set = true,
					    .probability_ppm = 1000000 };

	if (is_on)
		cr_assert_eq(
			rt_fault_set_rule(&b->fn->faults, "io_stall", &rule),
			0);
	else
		(void)rt_fault_clear(&b->fn->faults, "io_stall");
}

/* --- The host's side ------------------------------------------------------ */

void bench_connect(struct bench *b)
{
	struct host_options options = { .idle = run_device,
					.opaque = b,
					.timeout_ms = 20000,
					.quirks = b->options.quirks |
						  HOST_SMALL_PAGES };
	struct rt_error error = { 0 };
	int ends[2], rc;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
		     0);
	cr_assert_eq(pcie_server_attach(b->server, ends[0]), 0);
	rc = host_open_fd(ends[1], &options, &b->host, &error);
	cr_assert_eq(rc, 0, "%s", error.text);
}

void bench_open_driver(struct bench *b)
{
	const struct host_nvme_options options = {
		.is_by_message = b->options.is_by_message,
		.admin_entries = b->options.admin_entries,
	};

	cr_assert_eq(host_nvme_open(b->host, &options, &b->nvme), 0);
}

void bench_enable(struct bench *b, const struct bench_options *options)
{
	bench_make_card(b, options);
	bench_connect(b);
	bench_open_driver(b);
	cr_assert_eq(host_nvme_enable(b->nvme), 0);
}

void bench_start(struct bench *b, const struct bench_options *options)
{
	bench_enable(b, options);
	cr_assert_eq(host_nvme_create_pair(b->nvme, 1, 32, -1), 0);
}

void bench_hang_up(struct bench *b)
{
	if (b->nvme)
		b->nvme->fn = NULL; /* no farewell */
	host_nvme_close(&b->nvme);
	host_close(&b->host);
	for (int i = 0; i < 10000 && pcie_server_has_client(b->server); i++)
		(void)rt_loop_step(b->loop, RT_NS_PER_MS);
	cr_assert_not(pcie_server_has_client(b->server));
}

void bench_stop(struct bench *b)
{
	bench_hang_up(b);
	bench_remove_card(b);
}

void bench_enable_msix(struct bench *b)
{
	unsigned int at = host_capability(b->host, 0x11);
	uint16_t control = 0x8000;

	cr_assert_neq(at, 0);
	cr_assert_eq(host_write(b->host, HOST_CONFIG, at + 2, &control, 2), 0);
}

/* --- Data ----------------------------------------------------------------- */

void bench_pattern(uint8_t *bytes, size_t size, uint64_t seed)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < size; i++) {
		state = state * UINT64_C(6364136223846793005) +
			UINT64_C(1442695040888963407);
		bytes[i] = (uint8_t)(state >> 56);
	}
}

static int transfer(struct bench *b, uint8_t opcode, uint64_t lba,
		    const void *bytes, void *back, uint32_t size)
{
	uint64_t used = b->nvme->memory_used;
	struct host_nvme_data data;
	int rc = host_nvme_data_make(b->nvme, size,
				     (struct host_nvme_shape){ 0 }, &data);

	cr_assert_eq(rc, 0);
	if (bytes)
		host_nvme_data_put(b->nvme, &data, bytes);
	rc = host_nvme_rw(b->nvme, 1, opcode, lba, size / BENCH_BLOCK, &data);
	if (back)
		host_nvme_data_get(b->nvme, &data, back);
	b->nvme->memory_used = used;
	return rc;
}

int bench_write(struct bench *b, uint64_t lba, const void *bytes, uint32_t size)
{
	return transfer(b, NVME_NVM_WRITE, lba, bytes, NULL, size);
}

int bench_read(struct bench *b, uint64_t lba, void *bytes, uint32_t size)
{
	return transfer(b, NVME_NVM_READ, lba, NULL, bytes, size);
}

char *bench_make_file(uint64_t size)
{
	char *name = strdup("/tmp/nitro-bench-XXXXXX");
	int fd = name ? mkstemp(name) : -1;

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
	return name;
}

const char *bench_status_text(int status)
{
	static char texts[4][32];
	static unsigned int next;
	char *text = texts[next++ % 4];

	if (status < 0)
		(void)snprintf(text, sizeof texts[0], "%s",
			       rt_errno_name(status));
	else
		(void)snprintf(text, sizeof texts[0], "%x/%02x", status >> 8,
			       status & 0xff);
	return text;
}
