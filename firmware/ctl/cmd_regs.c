/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nitroctl regs: registers by name, and the configuration space as PCI Local
 * Bus 3.0 (6.1, 6.7) and PCI Express Base 4.0 (7.5, 7.6) lay it out.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/ctl/ctl.h"
#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"

#define CONFIG_BYTES 4096

struct field {
	const char *name;
	unsigned int offset, size;
};

static const struct field header[] = {
	{ "Vendor ID", 0x00, 2 },      { "Device ID", 0x02, 2 },
	{ "Command", 0x04, 2 },        { "Status", 0x06, 2 },
	{ "Revision ID", 0x08, 1 },    { "Class Code", 0x09, 3 },
	{ "Header Type", 0x0e, 1 },    { "BAR 0", 0x10, 4 },
	{ "BAR 1", 0x14, 4 },          { "BAR 2", 0x18, 4 },
	{ "BAR 3", 0x1c, 4 },          { "BAR 4", 0x20, 4 },
	{ "BAR 5", 0x24, 4 },          { "Subsystem Vendor ID", 0x2c, 2 },
	{ "Subsystem ID", 0x2e, 2 },   { "Capabilities Pointer", 0x34, 1 },
	{ "Interrupt Line", 0x3c, 1 }, { "Interrupt Pin", 0x3d, 1 },
};

struct capability {
	unsigned int id;
	const char *name;
};

static const struct capability capabilities[] = {
	{ 0x01, "Power Management" },
	{ 0x05, "MSI" },
	{ 0x09, "Vendor-Specific" },
	{ 0x10, "PCI Express" },
	{ 0x11, "MSI-X" },
};

static const struct capability extended[] = {
	{ 0x0001, "Advanced Error Reporting" },
	{ 0x0003, "Device Serial Number" },
	{ 0x000b, "Vendor-Specific Extended" },
};

static const char *name_of(const struct capability *list, size_t count,
			   unsigned int id)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].id == id)
			return list[i].name;
	return "unknown";
}

static void print_field(const char *name, unsigned int offset,
			unsigned int size, const uint8_t *config)
{
	printf("  0x%03x  %-24s 0x%0*" PRIx64 "\n", offset, name, (int)size * 2,
	       le_load(config + offset, size));
}

static void print_words(const uint8_t *config, unsigned int offset,
			unsigned int words)
{
	printf("        ");
	for (unsigned int i = 0; i < words && offset + 4 * i < CONFIG_BYTES;
	     i++)
		printf(" %08" PRIx64, le_load(config + offset + 4 * i, 4));
	putchar('\n');
}

/* A list that turns back on itself ends after as many steps as fit. */
static void print_capabilities(const uint8_t *config)
{
	unsigned int offset = config[0x34] & 0xfc;

	for (int i = 0; offset >= 0x40 && i < 48; i++) {
		printf("  0x%03x  [%02x] %s\n", offset, config[offset],
		       name_of(capabilities, RT_COUNT(capabilities),
			       config[offset]));
		print_words(config, offset, 4);
		offset = config[offset + 1] & 0xfc;
	}
}

static void print_extended(const uint8_t *config)
{
	unsigned int offset = 0x100;
	uint32_t word;

	for (int i = 0; offset >= 0x100 && i < 960; i++) {
		word = (uint32_t)le_load(config + offset, 4);
		if (!word || word == UINT32_MAX)
			return;
		printf("  0x%03x  [%04x] %s\n", offset, word & 0xffff,
		       name_of(extended, RT_COUNT(extended), word & 0xffff));
		print_words(config, offset, 4);
		offset = (word >> 20) & 0xffc;
	}
}

static void print_config(const uint8_t *config)
{
	puts("configuration space:");
	for (size_t i = 0; i < RT_COUNT(header); i++)
		print_field(header[i].name, header[i].offset, header[i].size,
			    config);
	print_capabilities(config);
	print_extended(config);
}

static bool read_hex(const char *text, uint8_t *bytes, size_t size)
{
	char pair[3] = "";
	char *end;

	if (strlen(text) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		memcpy(pair, text + 2 * i, 2);
		bytes[i] = (uint8_t)strtoul(pair, &end, 16);
		if (*end)
			return false;
	}
	return true;
}

static void print_registers(const char *function, const json_t *registers)
{
	const json_t *reg;
	size_t i;

	printf("%s, BAR 0:\n", function);
	json_array_foreach(registers, i, reg)
		printf("  0x%03llx  %-24s %s\n",
		       (unsigned long long)ctl_number(reg, "offset"),
		       ctl_text(reg, "name"), ctl_text(reg, "value"));
}

struct regs_words {
	const char *function;
	bool wants_config;
};

static const struct argp_option options[] = {
	{ "config", 'c', NULL, 0, "The configuration space, too", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct regs_words *words = state->input;

	switch (key) {
	case 'c':
		words->wants_config = true;
		return 0;
	case ARGP_KEY_ARG:
		if (words->function)
			argp_usage(state);
		words->function = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "the name of a function is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "FUNCTION",
	.doc = "Show a function's registers by name, as they are now.",
};

enum ctl_exit ctl_regs(struct ctl *ctl, int argc, char **argv)
{
	struct regs_words words = { 0 };
	uint8_t config[CONFIG_BYTES];
	enum ctl_exit status;
	json_t *result;

	ctl_parse(ctl, &argp, argc, argv, &words);
	status = ctl_call(ctl, "registers.read",
			  json_pack("{s:s, s:b}", "function", words.function,
				    "config", (int)words.wants_config),
			  &result);
	if (status == CTL_DONE && ctl->is_json) {
		status = ctl_print_json(result);
	} else if (status == CTL_DONE) {
		print_registers(words.function,
				json_object_get(result, "registers"));
		if (read_hex(ctl_text(result, "config"), config, sizeof config))
			print_config(config);
	}
	json_decref(result);
	return status;
}
