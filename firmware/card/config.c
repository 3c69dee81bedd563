/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a tree to a checked configuration.  Everything that can be said without
 * opening anything is said here, all of it at once; the tree is kept, so that
 * what fails later (a volume that is not there) is told with its place too.
 * Before the card runs; owns the source, the tree and all strings.
 */
#include "firmware/card/config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/card/keys.h"
#include "firmware/card/sandbox.h"
#include "firmware/card/worker.h"
#include "firmware/rt/log.h"
#include "firmware/rt/run_dir.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

#include "firmware/card/config_file.h"

static const char *const log_levels[] = { "error", "warn",  "notice",
					  "info",  "debug", NULL };

const struct rt_option card_settings_keys[] = {
	{ .name = "name",
	  .kind = RT_OPTION_STRING,
	  .offset = offsetof(struct card_settings, name),
	  .sentence = "The card's name in logs and in nitroctl.",
	  .fallback = "nitro-card" },
	{ .name = "socket-dir",
	  .kind = RT_OPTION_PATH,
	  .use = RT_SANDBOX_SOCKETS,
	  .offset = offsetof(struct card_settings, socket_dir),
	  .sentence = "Directory of the sockets, made with mode 0700 when it "
		      "is missing; by default /run/nitro-card for root and "
		      "$XDG_RUNTIME_DIR/nitro-card for others." },
	{ .name = "state-dir",
	  .kind = RT_OPTION_PATH,
	  .use = RT_SANDBOX_FOLDER,
	  .offset = offsetof(struct card_settings, state_dir),
	  .sentence = "Directory of what outlives the card: the keys of this "
		      "installation, the audit log.  It is made when it is "
		      "missing; by default $STATE_DIRECTORY, or "
		      "/var/lib/nitro-card for root and "
		      "$XDG_STATE_HOME/nitro-card for others." },
	{ .name = "log-level",
	  .kind = RT_OPTION_CHOICE,
	  .offset = offsetof(struct card_settings, log_level),
	  .sentence = "Log lines up to this level are written to stderr.",
	  .fallback = "info",
	  .choices = log_levels },
	{ .name = "workers",
	  .kind = RT_OPTION_NUMBER,
	  .offset = offsetof(struct card_settings, workers),
	  .sentence = "Threads that do the functions' work; 0: as many as "
		      "half of the processors, and no more than "
		      "functions or eight.",
	  .fallback = "0",
	  .max = CARD_WORKERS },
	{ .name = "sandbox",
	  .kind = RT_OPTION_CHOICE,
	  .offset = offsetof(struct card_settings, sandbox),
	  .sentence = "What becomes of system calls and files that the card "
		      "does not need: refused and reported (enforce), system "
		      "calls only reported (audit), or nothing (off).",
	  .fallback = "enforce",
	  .choices = card_sandbox_words },
	{ .name = "capture-dir",
	  .kind = RT_OPTION_PATH,
	  .use = RT_SANDBOX_DROPBOX,
	  .offset = offsetof(struct card_settings, capture_dir),
	  .sentence = "Folder of captures that are begun while the card runs; "
		      "the sandbox keeps it from others." },
	{ .name = NULL },
};

const struct rt_option card_name_keys[] = {
	{ .name = "name",
	  .kind = RT_OPTION_STRING,
	  .offset = offsetof(struct card_function_config, name),
	  .sentence = "The function's name, and of its socket NAME.sock; by "
		      "default its kind and a number." },
	{ .name = NULL },
};

const struct rt_option card_fault_keys[] = {
	{ .name = "target",
	  .kind = RT_OPTION_STRING,
	  .offset = offsetof(struct card_fault_config, target),
	  .sentence = "Name of the function in which something goes wrong.",
	  .is_required = true },
	{ .name = "point",
	  .kind = RT_OPTION_STRING,
	  .offset = offsetof(struct card_fault_config, point),
	  .sentence = "The fault point, as `nitroctl faults` lists them.",
	  .is_required = true },
	{ .name = "value",
	  .kind = RT_OPTION_NUMBER,
	  .offset = offsetof(struct card_fault_config, value),
	  .sentence = "What the point makes of it: microseconds, a status." },
	{ .name = "probability",
	  .kind = RT_OPTION_CHANCE,
	  .offset = offsetof(struct card_fault_config, probability_ppm),
	  .sentence = "Chance of going wrong, each time.",
	  .fallback = "1.0" },
	{ .name = "skip",
	  .kind = RT_OPTION_NUMBER,
	  .offset = offsetof(struct card_fault_config, skip),
	  .sentence = "How many times all goes well first.",
	  .fallback = "0" },
	{ .name = "limit",
	  .kind = RT_OPTION_NUMBER,
	  .offset = offsetof(struct card_fault_config, limit),
	  .sentence = "How many faults at most; 0: no limit.",
	  .fallback = "0" },
	{ .name = "seed",
	  .kind = RT_OPTION_NUMBER,
	  .offset = offsetof(struct card_fault_config, seed),
	  .sentence = "Of the random choice: the same seed, the same faults.",
	  .fallback = "0" },
	{ .name = NULL },
};

const struct rt_option card_tpm_keys[] = {
	{ .name = "name",
	  .kind = RT_OPTION_STRING,
	  .offset = offsetof(struct card_tpm_config, name),
	  .sentence = "The TPM's name, and of its socket NAME.tpm.",
	  .fallback = "tpm0" },
	{ .name = "instance",
	  .kind = RT_OPTION_STRING,
	  .offset = offsetof(struct card_tpm_config, instance),
	  .sentence = "Whose TPM it is: its state is kept under this name, and "
		      "is of use to no other; by default the card's name." },
	{ .name = NULL },
};

/* Only the names count here: two of them are lists. */
static const struct rt_option root_keys[] = {
	{ .name = "card" },   { .name = "tpm" }, { .name = "functions" },
	{ .name = "faults" }, { .name = NULL },
};

const char card_config_default[] =
	"functions: [ { ebs: { volume: { memory: 1GiB } } } ]\n";

const char card_config_example[] =
	"# A card with a volume and a network adapter.  Each key and its "
	"default: man nitro-card.yaml\n"
	"card:\n"
	"  name: demo\n"
	"  # socket-dir: /run/nitro-card/demo\n"
	"  log-level: info\n"
	"\n"
	"# A TPM 2.0 for the guest, the one that `nitroctl boot --firmware "
	"ovmf` attaches.\n"
	"# tpm: { instance: i-0123456789abcdef0 }\n"
	"\n"
	"# Each function is a PCIe device with a socket of its own, "
	"NAME.sock.\n"
	"functions:\n"
	"  - ebs:\n"
	"      name: ebs0\n"
	"      # What it says it is; see `nitro-card --print-schema`.\n"
	"      profile: ebs-2\n"
	"      # A file or block device keeps its bytes, memory does not:\n"
	"      # volume: { file: root.img }\n"
	"      volume: { memory: 1GiB }\n"
	"  - ena:\n"
	"      name: eth0\n"
	"      # What is beyond it: DHCP, DNS and NAT without privileges, or\n"
	"      # uplink: { tap: tap0 }\n"
	"      uplink: { user: true }\n"
	"\n"
	"# What shall go wrong, and when; also at run time: nitroctl faults.\n"
	"faults: []\n"
	"#  - { target: ebs0, point: io_delay, value: 25000, "
	"probability: 0.01 }\n";

/* The folder of the configuration's file; "" for other sources. */
static void find_folder(const struct card_source *source, char *folder,
			size_t size)
{
	const char *slash = strrchr(source->name, '/');
	size_t length = slash ? (size_t)(slash - source->name) : 0;

	folder[0] = '\0';
	if (!slash)
		return;
	if (length == 0)
		length = 1;
	if (length >= size)
		return;
	memcpy(folder, source->name, length);
	folder[length] = '\0';
}

static const struct card_node *
child_of(struct card_config *config, const char *key, enum card_node_kind kind)
{
	const struct card_node *node = card_node_find(config->root, key);

	if (!node || node->kind == kind)
		return node;
	card_complain(&config->report, node, CARD_AT_VALUE, "'%s' must be %s",
		      key,
		      kind == CARD_NODE_LIST ? "a list"
					     : "a mapping of keys to values");
	return NULL;
}

static void read_settings(struct card_config *config, const char *folder)
{
	struct card_section section = { card_settings_keys, &config->card };
	const struct card_node *node =
		child_of(config, "card", CARD_NODE_MAPPING);
	char path[PATH_MAX];

	if (node)
		card_keys_read(node, &section, 1, folder, &config->report);
	else
		card_keys_fallbacks(card_settings_keys, &config->card);
	if (!config->card.socket_dir && !rt_run_dir(path, 108))
		config->card.socket_dir = strdup(path);
	if (!config->card.state_dir && !rt_state_dir(path, sizeof path))
		config->card.state_dir = strdup(path);
}

static bool is_good_name(const char *name)
{
	size_t length = strlen(name);

	return length && length < sizeof((struct pcie_function *)0)->name &&
	       name[0] != '.' && name[0] != '-' &&
	       strspn(name,
		      "abcdefghijklmnopqrstuvwxyz"
		      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
}

static void read_tpm(struct card_config *config, const char *folder)
{
	const struct card_node *node = card_node_find(config->root, "tpm");
	struct card_section section = { card_tpm_keys, &config->tpm };

	if (!node)
		return;
	if (node->kind != CARD_NODE_MAPPING) {
		card_complain(
			&config->report, node, CARD_AT_VALUE,
			"'tpm' must be a mapping of keys to values, as in "
			"\"tpm: {}\": a card has one TPM");
		return;
	}
	config->tpm.node = node;
	card_keys_read(node, &section, 1, folder, &config->report);
	if (!config->tpm.instance)
		config->tpm.instance = strdup(config->card.name);
	if (config->tpm.name && !is_good_name(config->tpm.name))
		card_complain(&config->report, card_node_walk(node, "name"),
			      CARD_AT_VALUE,
			      "a name is up to 31 letters, digits, '.', '_' "
			      "and '-'");
}

static size_t count_children(const struct card_node *node)
{
	return node && node->last ? node->last->index + 1 : 0;
}

static const struct pcie_function_type *
find_type(const struct card_config *config, const char *name)
{
	for (size_t i = 0; config->types[i]; i++)
		if (!strcmp(config->types[i]->name, name))
			return config->types[i];
	return NULL;
}

static void complain_type(struct card_config *config,
			  const struct card_node *node)
{
	const char *names[16];
	const char *meant;
	size_t count = 0;

	while (config->types[count] && count < RT_COUNT(names)) {
		names[count] = config->types[count]->name;
		count++;
	}
	meant = card_suggest(node->key, names, count);
	card_complain(&config->report, node, CARD_AT_KEY,
		      "unknown kind of function '%s'%s%s%s", node->key,
		      meant ? ", did you mean '" : "", meant ? meant : "",
		      meant ? "'?" : "");
}

/* The one key of a list's item, or NULL after a complaint. */
static const struct card_node *only_key(struct card_config *config,
					const struct card_node *item)
{
	if (item->kind == CARD_NODE_MAPPING && item->first &&
	    !item->first->next)
		return item->first;
	card_complain(&config->report, item, CARD_AT_VALUE,
		      "a function is its kind, a colon and its keys");
	return NULL;
}

static struct card_function_config *find_function(struct card_config *config,
						  const char *name)
{
	for (size_t i = 0; i < config->function_count; i++)
		if (config->functions[i].name &&
		    !strcmp(config->functions[i].name, name))
			return &config->functions[i];
	return NULL;
}

/* The lowest number that nobody has taken. */
static void invent_name(struct card_config *config,
			struct card_function_config *function)
{
	char *name;

	for (unsigned int i = 0;; i++) {
		if (asprintf(&name, "%s%u", function->type->name, i) < 0)
			return;
		if (!find_function(config, name)) {
			function->name = name;
			return;
		}
		free(name);
	}
}

/* node: where the name stands. */
static void check_name(struct card_config *config,
		       const struct card_function_config *function)
{
	const struct card_node *node = card_node_walk(function->node, "name");

	if (!is_good_name(function->name))
		card_complain(&config->report, node, CARD_AT_VALUE,
			      "a name is up to 31 letters, digits, '.', '_' "
			      "and '-'");
	else if (!strcmp(function->name, "control"))
		card_complain(&config->report, node, CARD_AT_VALUE,
			      "'control' is the name of the card's own socket");
	else if (find_function(config, function->name) != function)
		card_complain(&config->report, node, CARD_AT_VALUE,
			      "there is another function named '%s'",
			      function->name);
}

static void read_function(struct card_config *config,
			  const struct card_node *item, const char *folder)
{
	struct card_function_config *function =
		&config->functions[config->function_count];
	const struct card_node *node = only_key(config, item);
	struct card_section sections[2];

	if (!node)
		return;
	function->type = find_type(config, node->key);
	if (!function->type) {
		complain_type(config, node);
		return;
	}
	if (node->kind != CARD_NODE_MAPPING) {
		card_complain(&config->report, node, CARD_AT_VALUE,
			      "'%s' must be a mapping of keys to values",
			      node->key);
		return;
	}
	function->node = node;
	function->values = calloc(1, function->type->config_size + 1);
	if (!function->values)
		return;
	config->function_count++;
	sections[0] = (struct card_section){ card_name_keys, function };
	sections[1] = (struct card_section){ function->type->options,
					     function->values };
	card_keys_read(node, sections, 2, folder, &config->report);
	if (function->name)
		check_name(config, function);
}

static void read_functions(struct card_config *config, const char *folder)
{
	const struct card_node *list =
		child_of(config, "functions", CARD_NODE_LIST);
	const struct card_node *item;

	if (!list || !list->first) {
		if (!config->report.count)
			card_complain(&config->report,
				      list ? list : config->root, CARD_AT_KEY,
				      "a card needs at least one function");
		return;
	}
	config->functions =
		calloc(count_children(list), sizeof *config->functions);
	for (item = list->first; config->functions && item; item = item->next)
		read_function(config, item, folder);
	/* Given names first, so that an invented one cannot take theirs. */
	for (size_t i = 0; i < config->function_count; i++)
		if (!config->functions[i].name)
			invent_name(config, &config->functions[i]);
}

static void check_target(struct card_config *config,
			 const struct card_fault_config *fault)
{
	const char *names[16];
	const char *meant;
	size_t count = 0;

	if (!fault->target || find_function(config, fault->target))
		return;
	for (; count < config->function_count && count < 16; count++)
		names[count] = config->functions[count].name;
	meant = card_suggest(fault->target, names, count);
	card_complain(&config->report, card_node_walk(fault->node, "target"),
		      CARD_AT_VALUE, "there is no function '%s'%s%s%s",
		      fault->target, meant ? ", did you mean '" : "",
		      meant ? meant : "", meant ? "'?" : "");
}

static void read_fault(struct card_config *config, const struct card_node *item,
		       const char *folder)
{
	struct card_fault_config *fault = &config->faults[config->fault_count];
	struct card_section section = { card_fault_keys, fault };

	if (item->kind != CARD_NODE_MAPPING) {
		card_complain(&config->report, item, CARD_AT_VALUE,
			      "a fault is a mapping of keys to values");
		return;
	}
	config->fault_count++;
	fault->node = item;
	card_keys_read(item, &section, 1, folder, &config->report);
	check_target(config, fault);
}

static void read_faults(struct card_config *config, const char *folder)
{
	const struct card_node *list =
		child_of(config, "faults", CARD_NODE_LIST);
	const struct card_node *item;

	if (!list || !list->first)
		return;
	config->faults = calloc(count_children(list), sizeof *config->faults);
	for (item = list->first; config->faults && item; item = item->next)
		read_fault(config, item, folder);
}

static void read_root(struct card_config *config)
{
	const struct card_section section = { root_keys, NULL };
	char folder[4096];

	find_folder(&config->source, folder, sizeof folder);
	card_keys_check(config->root, &section, 1, &config->report);
	read_settings(config, folder);
	read_tpm(config, folder);
	read_functions(config, folder);
	read_faults(config, folder);
}

int card_config_create(const struct pcie_function_type *const *types,
		       struct card_source *source, FILE *out,
		       struct card_config **out_config)
{
	struct card_config *config = calloc(1, sizeof *config);

	if (!config) {
		card_source_free(source);
		return -ENOMEM;
	}
	config->types = types;
	config->source = *source;
	*source = (struct card_source){ 0 };
	config->report.source = &config->source;
	config->report.out = out;
	config->root = card_source_parse(&config->report);
	if (config->root && config->root->kind == CARD_NODE_MAPPING)
		read_root(config);
	else if (config->root)
		card_complain(&config->report, config->root, CARD_AT_VALUE,
			      "a configuration is a mapping with the keys "
			      "card, tpm, functions and faults");
	if (config->report.count || !config->root) {
		card_config_destroy(&config);
		return -EINVAL;
	}
	*out_config = config;
	return 0;
}

static void free_function(struct card_function_config *function)
{
	if (function->values)
		card_keys_free(function->type->options, function->values);
	free(function->values);
	free(function->name);
}

void card_config_destroy(struct card_config **config)
{
	struct card_config *c = *config;

	if (!c)
		return;
	for (size_t i = 0; i < c->function_count; i++)
		free_function(&c->functions[i]);
	for (size_t i = 0; i < c->fault_count; i++)
		card_keys_free(card_fault_keys, &c->faults[i]);
	card_keys_free(card_settings_keys, &c->card);
	card_keys_free(card_tpm_keys, &c->tpm);
	free(c->functions);
	free(c->faults);
	card_node_destroy(c->root);
	card_source_free(&c->source);
	free(c);
	*config = NULL;
}

void card_config_complain(struct card_config *config,
			  const struct card_node *node,
			  const struct rt_error *error)
{
	const struct card_node *at = card_node_walk(node, error->place);

	card_complain(&config->report, at,
		      at == node ? CARD_AT_KEY : CARD_AT_VALUE, "%s",
		      error->text);
	card_note(&config->report, error->hint);
}
