/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The card's sandbox.  Which paths it needs is in the tables of the keys: each
 * key of a path says what is done with it.  Which system calls it needs is
 * declared in the files that make them.
 */
#include "firmware/card/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/card/config.h"
#include "firmware/rt/log.h"
#include "firmware/rt/option.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

#define MOST_CALLS 512

const char *const card_sandbox_words[] = { [RT_SANDBOX_ENFORCE] = "enforce",
					   [RT_SANDBOX_AUDIT] = "audit",
					   [RT_SANDBOX_OFF] = "off",
					   NULL };

/* ---- Refusals ---- */

void card_sandbox_refuse(struct card_sandbox *sandbox, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	rt_counter_add(&sandbox->refusals, 1);
	rt_log_warn("sandbox", "%s", text);
	if (sandbox->audit)
		sandbox->audit("sandbox", text);
}

static void say_refusal(struct card_sandbox *sandbox,
			const struct rt_sandbox_refusal *refusal)
{
	char name[32];

	if (refusal->path[0]) {
		card_sandbox_refuse(sandbox, "refused to open %.*s",
				    (int)sizeof refusal->path, refusal->path);
		return;
	}
	card_sandbox_refuse(
		sandbox,
		"%s %s(%#llx, %#llx, %#llx), number %d, of thread %d "
		"'%.16s' at %#llx",
		sandbox->mode == RT_SANDBOX_AUDIT ? "would refuse" : "refused",
		rt_sandbox_call_name(refusal->number, name, sizeof name),
		(unsigned long long)refusal->arguments[0],
		(unsigned long long)refusal->arguments[1],
		(unsigned long long)refusal->arguments[2], refusal->number,
		refusal->thread, refusal->name,
		(unsigned long long)refusal->address);
}

static void refusals_came(struct rt_watch *watch, uint32_t events)
{
	struct card_sandbox *sandbox =
		rt_container_of(watch, struct card_sandbox, watch);
	struct rt_sandbox_refusal refusal;

	(void)events;
	if (read(sandbox->fd, &refusal, sizeof refusal) == sizeof refusal)
		say_refusal(sandbox, &refusal);
}

/* ---- Paths ---- */

static const void *value_of(const struct rt_option *option, const void *values)
{
	return (const char *)values + option->offset;
}

static bool is_true(const struct rt_option *options, const void *values,
		    const char *key)
{
	for (; options->name; options++)
		if (options->kind == RT_OPTION_BOOL &&
		    !strcmp(options->name, key))
			return *(const bool *)value_of(options, values);
	return false;
}

/* Those of the card, or those of a program that it starts. */
static void allow_paths(const struct rt_sandbox_files *files,
			const struct rt_option *options, const void *values,
			bool of_program)
{
	const struct rt_option *option;

	for (option = options; option && option->name; option++) {
		const void *value = value_of(option, values);
		enum rt_sandbox_use use = option->use;

		if (option->kind == RT_OPTION_OBJECT)
			allow_paths(files, option->fields, value, of_program);
		if (option->kind != RT_OPTION_PATH ||
		    option->of_program != of_program)
			continue;
		if (option->read_if &&
		    is_true(options, values, option->read_if))
			use = RT_SANDBOX_READ;
		rt_sandbox_files_allow(files, *(char *const *)value, use);
	}
}

static void allow_functions(const struct rt_sandbox_files *files,
			    const struct card_config *config, bool of_program)
{
	for (size_t i = 0; i < config->function_count; i++)
		allow_paths(files, config->functions[i].type->options,
			    config->functions[i].values, of_program);
}

/* What the machine has for all, and libraries read at times of their own. */
static void allow_common(const struct rt_sandbox_files *files)
{
	rt_sandbox_files_allow(files, "/dev/null", RT_SANDBOX_UPDATE);
	rt_sandbox_files_allow(files, "/dev/urandom", RT_SANDBOX_READ);
	rt_sandbox_files_allow(files, "/dev/net/tun", RT_SANDBOX_UPDATE);
	rt_sandbox_files_allow(files, "/sys/devices", RT_SANDBOX_READ);
	rt_sandbox_files_allow(files, "/etc/localtime", RT_SANDBOX_READ);
	rt_sandbox_files_allow(files, "/etc/ssl/openssl.cnf", RT_SANDBOX_READ);
	rt_sandbox_files_allow(files, "/proc/self", RT_SANDBOX_READ);
#ifdef RT_SANITIZED
	/* For the report, with symbols. */
	rt_sandbox_files_allow(files, "/proc", RT_SANDBOX_READ);
	rt_sandbox_files_allow(files, "/usr", RT_SANDBOX_EXECUTE);
#endif
}

/* ---- The spawner ---- */

static bool needs_program(const struct rt_option *options, const void *values)
{
	bool needs = false;

	for (; options && options->name; options++) {
		const void *value = value_of(options, values);

		if (options->kind == RT_OPTION_OBJECT)
			needs |= needs_program(options->fields, value);
		if (options->kind == RT_OPTION_BOOL && options->of_program)
			needs |= *(const bool *)value;
	}
	return needs;
}

/*
 * What the program may reach that the card starts; it gives away more by
 * itself.  None of it is the user's but what the configuration names.
 */
static void confine_spawner(void *opaque)
{
	static const char *const libraries[] = { "/lib", "/lib64", "/usr/lib",
						 "/usr/lib64" };
	const struct card_sandbox *sandbox = opaque;
	struct rt_sandbox_files files;

	rt_sandbox_keep_secrets();
	if (rt_sandbox_files_begin_networked(&files))
		return;
	for (size_t i = 0; i < RT_COUNT(libraries); i++)
		rt_sandbox_files_allow(&files, libraries[i],
				       RT_SANDBOX_EXECUTE);
	rt_sandbox_files_allow(&files, "/etc", RT_SANDBOX_READ);
	rt_sandbox_files_allow(&files, "/run/systemd/resolve", RT_SANDBOX_READ);
	rt_sandbox_files_allow(&files, sandbox->program.path,
			       RT_SANDBOX_EXECUTE);
	allow_common(&files);
	allow_functions(&files, sandbox->config, true);
	rt_sandbox_files_enforce(&files);
}

int card_sandbox_prepare(struct card_sandbox *sandbox)
{
	const struct card_config *config = sandbox->config;
	bool needs = false;

	sandbox->mode = (enum rt_sandbox_mode)config->card.sandbox;
	sandbox->fd = -1;
	if (sandbox->mode == RT_SANDBOX_OFF)
		return 0;
	for (size_t i = 0; i < config->function_count; i++)
		needs |= needs_program(config->functions[i].type->options,
				       config->functions[i].values);
	/* Where it is missing, its function will complain. */
	return needs && sandbox->find_program(&sandbox->program)
		       ? rt_spawner_start(&sandbox->program, confine_spawner,
					  sandbox)
		       : 0;
}

/* ---- What is given away ---- */

static void lacks(const char *what, int code)
{
	rt_log_warn("sandbox", "%s: %s", what, strerror(-code));
}

static void give_away_files(struct card_sandbox *sandbox)
{
	struct rt_sandbox_files files;
	int code = rt_sandbox_files_begin(&files);

	if (!code) {
		allow_common(&files);
		allow_paths(&files, card_settings_keys, &sandbox->config->card,
			    false);
		allow_functions(&files, sandbox->config, false);
		code = rt_sandbox_files_enforce(&files);
	}
	if (code)
		lacks("files are not restricted: this kernel has no Landlock",
		      code);
	else
		sandbox->files_version = files.version;
}

void card_sandbox_begin(struct card_sandbox *sandbox)
{
	int code;

	if (sandbox->mode == RT_SANDBOX_OFF)
		return;
	code = rt_sandbox_catch();
	if (!code)
		code = rt_sandbox_keep_secrets();
	if (code)
		lacks("core dumps and new privileges are not ruled out", code);
	else
		sandbox->has_no_dump = true;
	/* Landlock refuses or does not; it cannot only tell. */
	if (sandbox->mode == RT_SANDBOX_ENFORCE)
		give_away_files(sandbox);
}

static void give_away_calls(struct card_sandbox *sandbox)
{
	static struct rt_sandbox_call table[MOST_CALLS];
	struct rt_sandbox_calls calls = { table, 0 };
	int code;

	calls.count = sandbox->calls(table, MOST_CALLS);
	code = calls.count > MOST_CALLS
		       ? -E2BIG
		       : rt_sandbox_calls_enforce(&calls, sandbox->mode,
						  &sandbox->fd);
	if (code) {
		lacks("system calls are not restricted: no seccomp filter",
		      code);
		return;
	}
	sandbox->has_calls = true;
	sandbox->watch.ready = refusals_came;
	rt_watch_start(sandbox->loop, &sandbox->watch, sandbox->fd, POLLIN);
}

void card_sandbox_finish(struct card_sandbox *sandbox, struct rt_loop *loop)
{
	int code = 0;

	if (sandbox->mode == RT_SANDBOX_OFF)
		return;
	sandbox->loop = loop;
	if (sandbox->mode == RT_SANDBOX_ENFORCE) {
		code = rt_sandbox_drop_capabilities();
		sandbox->has_no_capabilities = !code;
	}
	if (code)
		lacks("capabilities are kept", code);
	if (sandbox->calls)
		give_away_calls(sandbox);
}

void card_sandbox_end(struct card_sandbox *sandbox)
{
	if (sandbox->has_calls)
		rt_watch_stop(sandbox->loop, &sandbox->watch);
}

/* ---- Telling ---- */

json_t *card_sandbox_status(const struct card_sandbox *sandbox)
{
	return json_pack("{s:s, s:b, s:i, s:b, s:b, s:I, s:I}", "mode",
			 card_sandbox_words[sandbox->mode], "system_calls",
			 sandbox->has_calls, "landlock", sandbox->files_version,
			 "no_capabilities", sandbox->has_no_capabilities,
			 "no_dump", sandbox->has_no_dump, "refusals",
			 (json_int_t)rt_counter_read(&sandbox->refusals),
			 "lost", (json_int_t)rt_sandbox_lost());
}
