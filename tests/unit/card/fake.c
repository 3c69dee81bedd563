/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/card/fake.h"

#include <errno.h>
#include <ftw.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/option.h"
#include "pcie-model/regs.h"

_Atomic bool fake_is_stuck;

/* Cards made here leave the user's own state alone. */
static char state_dir[] = "/tmp/card-state-XXXXXX";
static pid_t state_owner;

__attribute__((constructor)) static void make_state(void)
{
	if (!mkdtemp(state_dir))
		abort();
	setenv("STATE_DIRECTORY", state_dir, true);
	state_owner = getpid();
}

static int remove_one(const char *path, const struct stat *status, int kind,
		      struct FTW *place)
{
	(void)status, (void)kind, (void)place;
	return remove(path);
}

__attribute__((destructor)) static void remove_state(void)
{
	if (getpid() == state_owner)
		nftw(state_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

struct fake_device {
	struct rt_counter reads;
	struct rt_fault_slot slots[2];
	struct rt_rule_record records[2];
};

static const char *const profiles[] = { "plain", "fancy", "frugal", NULL };

static const struct rt_option volume_keys[] = {
	{ .name = "file",
	  .kind = RT_OPTION_PATH,
	  .offset = offsetof(struct fake_volume, file),
	  .sentence = "A file." },
	{ .name = "memory",
	  .kind = RT_OPTION_SIZE,
	  .offset = offsetof(struct fake_volume, memory),
	  .sentence = "Memory.",
	  .min = 512,
	  .max = UINT64_C(1) << 40 },
	{ .name = NULL },
};

static const struct rt_option fake_keys[] = {
	{ .name = "queue-entries",
	  .kind = RT_OPTION_NUMBER,
	  .offset = offsetof(struct fake_config, queue_entries),
	  .sentence = "Entries of a queue.",
	  .fallback = "64",
	  .min = 2,
	  .max = 65536 },
	{ .name = "profile",
	  .kind = RT_OPTION_CHOICE,
	  .offset = offsetof(struct fake_config, profile),
	  .sentence = "What it looks like.",
	  .fallback = "fancy",
	  .choices = profiles },
	{ .name = "read-only",
	  .kind = RT_OPTION_BOOL,
	  .offset = offsetof(struct fake_config, read_only),
	  .sentence = "Refuse writes.",
	  .fallback = "false" },
	{ .name = "volume",
	  .kind = RT_OPTION_OBJECT,
	  .offset = offsetof(struct fake_config, volume),
	  .sentence = "The storage.",
	  .is_required = true,
	  .fields = volume_keys },
	{ .name = "device-name",
	  .kind = RT_OPTION_STRING,
	  .offset = offsetof(struct fake_config, device_name),
	  .sentence = "A name." },
	{ .name = "chance",
	  .kind = RT_OPTION_CHANCE,
	  .offset = offsetof(struct fake_config, chance_ppm),
	  .sentence = "A chance.",
	  .fallback = "0.25" },
	{ .name = NULL },
};

static const struct rt_counter_name counters[] = {
	{ "reads", "Registers read.", offsetof(struct fake_device, reads) },
};

static const struct pcie_reg regs[] = {
	{ .name = "ID", .offset = 0, .size = 8 },
	{ .name = "CTRL", .offset = 8, .size = 4 },
};

static const struct rt_fault_point points[] = {
	{ "io_delay", "Begin a command later.", "microseconds" },
	{ "io_stall", "Hold a command.", NULL },
};

static const struct rt_rule rules[] = {
	{ "fake.first", "Fake 1.2", "The first rule." },
	{ "fake.second", "Fake 3.4", "The second rule." },
};

static int create(struct pcie_function *fn, const void *values,
		  struct rt_error *error)
{
	const struct fake_config *config = values;
	struct fake_device *device;

	if (config->volume.file && strstr(config->volume.file, "missing")) {
		rt_error_set(error, -ENOENT, "cannot open %s",
			     config->volume.file);
		rt_error_place(error, "volume.file");
		rt_error_hint(error, "make it with truncate(1)");
		return -ENOENT;
	}
	device = calloc(1, sizeof *device);
	if (!device)
		return -ENOMEM;
	fn->device = device;
	fn->identity = (struct pcie_identity){
		.vendor = 0x1d0f,
		.device = 0xfa4e,
		.class_code = 0x010802,
		.bars = { { .size = 0x4000 } },
	};
	fn->faults = (struct rt_fault_set){ .points = points,
					    .slots = device->slots,
					    .count = 2 };
	fn->rules =
		(struct rt_rule_book){ fn->name, rules, device->records, 2 };
	rt_rule_broken(&fn->rules, 1, 0x42);
	return 0;
}

/* Those with the same device name. */
static const char *neighbours(const void *values)
{
	return ((const struct fake_config *)values)->device_name;
}

static int echo(struct pcie_function *fn, const char *argument,
		struct pcie_answer *answer, struct rt_error *error)
{
	if (argument && !strcmp(argument, "fail"))
		return rt_error_set(error, -EINVAL, "it was asked to fail");
	answer->length =
		(size_t)snprintf(answer->text, answer->size, "\"%s\": \"%s\"",
				 fn->name, argument ? argument : "nothing");
	if (argument && !strcmp(argument, "flood"))
		answer->length = answer->size;
	return 0;
}

static const struct pcie_verb verbs[] = {
	{ "echo", "a word", "Say it back.", echo },
};

static void destroy(struct pcie_function *fn)
{
	free(fn->device);
	fn->device = NULL;
}

static uint64_t bar_read(struct pcie_function *fn, unsigned int bar,
			 uint64_t offset, unsigned int size)
{
	struct fake_device *device = fn->device;

	(void)bar;
	(void)size;
	while (fake_is_stuck)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	rt_counter_add(&device->reads, 1);
	return offset ? 0x46 : UINT64_C(0x1122334455667788);
}

static void bar_write(struct pcie_function *fn, unsigned int bar,
		      uint64_t offset, unsigned int size, uint64_t value)
{
	(void)fn;
	(void)bar;
	(void)offset;
	(void)size;
	(void)value;
}

static void quiesce(struct pcie_function *fn)
{
	pcie_function_quiesced(fn);
}

static void reset(struct pcie_function *fn, enum pcie_reset_reason why)
{
	(void)fn;
	(void)why;
}

static int resume(struct pcie_function *fn)
{
	(void)fn;
	return 0;
}

static size_t describe(struct pcie_function *fn, char *text, size_t size)
{
	static const char members[] = "\"mood\":\"calm\"";

	(void)fn;
	if (size >= sizeof members)
		memcpy(text, members, sizeof members);
	return sizeof members - 1;
}

const struct pcie_function_type fake_function = {
	.name = "fake",
	.summary = "a function that does nothing",
	.options = fake_keys,
	.config_size = sizeof(struct fake_config),
	.state_size = 16,
	.counters = counters,
	.counter_count = 1,
	.regs = regs,
	.reg_count = 2,
	.create = create,
	.destroy = destroy,
	.bar_read = bar_read,
	.bar_write = bar_write,
	.quiesce = quiesce,
	.reset = reset,
	.resume = resume,
	.describe = describe,
	.neighbours = neighbours,
	.verbs = verbs,
	.verb_count = 1,
};

const struct pcie_function_type *const fake_types[] = { &fake_function, NULL };
