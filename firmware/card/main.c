/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nitro-card: reads what it shall be, becomes it, and ends when told to.  This
 * thread runs the control socket; functions live on the card's workers.
 * Exit status: 0 done, 1 it could not run, 2 usage or configuration.
 *
 * syscalls: read sendto[4=0]
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ena/vpc/port_user.h"
#include "firmware/card/card.h"
#include "firmware/card/config.h"
#include "firmware/card/config_file.h"
#include "firmware/card/control.h"
#include "firmware/card/custody.h"
#include "firmware/card/functions.h"
#include "firmware/card/options.h"
#include "firmware/card/sandbox.h"
#include "firmware/rt/guard.h"
#include "firmware/rt/log.h"
#include "firmware/rt/scope.h"
#include "firmware/rt/trace.h"
#include "pcie-model/function.h"
#include "security-chip/audit.h"
#include "security-chip/boot/boot.h"

#define EXIT_CONFIG 2

/* Made by syscalls.py from what the files of this program declare. */
size_t card_sandbox_calls(struct rt_sandbox_call *out, size_t room);

static void audit(const char *event, const char *text)
{
	sec_audit(event, "%s", text);
}

struct program {
	struct card_sandbox sandbox;
	struct rt_loop *loop;
	struct card *card;
	struct card_control *control;
	struct rt_watch signals;
	int signal_fd;
};

static int print_json(json_t *json)
{
	int status = json_dumpf(json, stdout,
				JSON_INDENT(2) | JSON_REAL_PRECISION(9));

	json_decref(json);
	putchar('\n');
	return status || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print_capabilities(void)
{
	json_t *functions = json_array();
	json_t *features =
		json_pack("[s, s, s, s, s]", "cmdarg-config", "cmdarg-check",
			  "cmdarg-socket-dir", "cmdarg-print-schema", "rpc-1");

	for (size_t i = 0; card_functions[i]; i++) {
		json_array_append_new(functions,
				      json_string(card_functions[i]->name));
		json_array_append_new(
			features,
			json_sprintf("fn-%s", card_functions[i]->name));
	}
	return print_json(json_pack("{s:s, s:s, s:o, s:o}", "type", "vfio-user",
				    "version", NITRO_VERSION, "functions",
				    functions, "features", features));
}

static void print_error(const struct rt_error *error)
{
	fprintf(stderr, "nitro-card: %s\n", error->text);
	if (error->hint[0])
		fprintf(stderr, "nitro-card: %s\n", error->hint);
}

/* The configuration is what the first stage has measured, not a file. */
static int take_handover(int fd, struct card_source *source,
			 struct rt_error *error)
{
	struct sec_boot_config config;
	int status = sec_boot_adopt(fd, &config, error);

	if (status)
		return status;
	if (sec_boot_network() >= 0)
		ena_user_program(sec_boot_network());
	status =
		card_source_copy(config.name, config.text, config.size, source);
	free(config.name);
	free(config.text);
	return status;
}

static int load_config(const struct card_options *options,
		       struct card_config **out)
{
	struct card_source source = { 0 };
	struct rt_error error = { 0 };
	int status;

	if (options->handover >= 0)
		status = take_handover(options->handover, &source, &error);
	else if (options->config)
		status = card_source_read(options->config, &source, &error);
	else
		status = card_source_copy("(default)", card_config_default,
					  strlen(card_config_default), &source);
	if (!status && options->handover < 0 &&
	    options->action == CARD_ACTION_SERVE)
		status = sec_boot_direct(source.text, source.size);
	if (status && !error.text[0])
		rt_error_set(&error, status, "cannot start: %s",
			     strerror(-status));
	if (status) {
		print_error(&error);
		card_source_free(&source);
		return status;
	}
	status = card_config_create(card_functions, &source, stderr, out);
	if (status)
		return status;
	/* The command line has the last word. */
	if (options->socket_dir) {
		free((*out)->card.socket_dir);
		(*out)->card.socket_dir = strdup(options->socket_dir);
	}
	return 0;
}

/* Of a function: its own three, its client's, of its memory and interrupts. */
#define FILES_EACH 16u
#define FILES_ELSE 64u

static void raise_limits(const struct card_config *config)
{
	rlim_t wanted = FILES_ELSE + FILES_EACH * config->function_count;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < wanted)
		rt_log_warn(config->card.name,
			    "may open %llu files, but %zu functions can need "
			    "%llu: raise the limit, see ulimit -n",
			    (unsigned long long)limit.rlim_max,
			    config->function_count, (unsigned long long)wanted);
}

static int check(struct card_config *config)
{
	struct card *card;
	int status;

	raise_limits(config);
	card_custody_begin();
	status = card_start(config, CARD_CHECK, &card);

	if (status)
		return EXIT_CONFIG;
	for (size_t i = 0; i < card->count; i++)
		if (card->functions[i].error.code)
			fprintf(stderr, "%s: note: %s\n", config->source.name,
				card->functions[i].error.text);
	printf("%s: good:", config->source.name);
	for (size_t i = 0; i < config->function_count; i++)
		printf(" %s", config->functions[i].name);
	putchar('\n');
	return card_stop(&card) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Before the first thread, so that all have the signals blocked. */
static int take_signals(int *out_fd)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	/* A write past RLIMIT_FSIZE is the guest's write error, not our end. */
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	if (sigprocmask(SIG_BLOCK, &signals, NULL))
		return -errno;
	*out_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return *out_fd < 0 ? -errno : 0;
}

static void signalled(struct rt_watch *watch, uint32_t events)
{
	struct program *program =
		rt_container_of(watch, struct program, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(program->signal_fd, &info, sizeof info) == sizeof info)
		rt_loop_stop(program->loop);
}

static void stop(void *opaque)
{
	struct program *program = opaque;

	rt_loop_stop(program->loop);
}

/*
 * systemd's Type=notify: a datagram each time.  Connected before the card may
 * not do so any more; -1: nobody wants to know.
 */
static int notify_fd = -1;

static void connect_notify(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;
	RT_FD int fd = -1;

	if (length < 2 || length >= sizeof address.sun_path)
		return;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    connect(fd, (const struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				length)))
		return;
	notify_fd = rt_take_fd(&fd);
}

static void notify(const char *state)
{
	if (notify_fd >= 0)
		send(notify_fd, state, strlen(state), MSG_NOSIGNAL);
}

static int listen_for_control(struct program *program,
			      const struct card_config *config)
{
	char path[CARD_SOCKET_PATH + 16];
	struct rt_error error = { 0 };
	int status = card_make_socket_dir(config->card.socket_dir, &error);

	snprintf(path, sizeof path, "%s/control.sock", config->card.socket_dir);
	if (!status)
		status = card_control_create(NULL, program->loop, path,
					     &program->control, &error);
	if (status)
		print_error(&error);
	return status;
}

static void say_ready(const struct program *program,
		      const struct card_options *options)
{
	const struct card *card = program->card;

	if (!options->config && options->handover < 0)
		rt_log_info(card->config->card.name,
			    "no configuration was given: "
			    "one volume of 1 GiB in memory, see --example");
	for (size_t i = 0; i < card->count; i++)
		rt_log_info(card->functions[i].config->name, "ready on %s",
			    card->functions[i].socket);
	if (card->tpm)
		rt_log_info(card->config->tpm.name, "ready on %s",
			    card->tpm_socket);
	rt_log_info(card->config->card.name, "control on %s",
		    program->control->path);
	notify("READY=1");
	sec_boot_ready();
}

static int prepare(struct program *program, const struct card_config *config)
{
	int status = take_signals(&program->signal_fd);

	raise_limits(config);
	card_custody_begin();
	connect_notify();
	program->sandbox.config = config;
	program->sandbox.calls = card_sandbox_calls;
	program->sandbox.find_program = ena_user_find;
	program->sandbox.audit = audit;
	if (!status)
		status = card_sandbox_prepare(&program->sandbox);
	if (!status)
		status = rt_guard_install();
	if (!status)
		status = rt_trace_init(card_traces);
	if (!status)
		status = rt_loop_create(NULL, &program->loop);
	if (!status)
		status = rt_watch_start(program->loop, &program->signals,
					program->signal_fd, POLLIN);
	if (status)
		fprintf(stderr, "nitro-card: cannot start: %s\n",
			strerror(-status));
	return status;
}

/* In the order in which things depend on each other. */
static int finish(struct program *program)
{
	bool has_ended = true;

	notify("STOPPING=1");
	if (program->control)
		card_control_close(program->control);
	if (program->card)
		has_ended = card_stop(&program->card);
	/* A function that still runs may still answer. */
	if (!has_ended)
		_exit(EXIT_FAILURE);
	/* What was answered last is taken back before its memory goes. */
	while (rt_loop_step(program->loop, 0) > 0)
		;
	if (program->control)
		card_control_destroy(&program->control);
	card_sandbox_end(&program->sandbox);
	rt_loop_destroy(&program->loop);
	return EXIT_SUCCESS;
}

static int serve(const struct card_options *options, struct card_config *config)
{
	struct program program = { .signals.ready = signalled };
	int status = prepare(&program, config);

	if (status)
		return EXIT_FAILURE;
	status = listen_for_control(&program, config);
	if (!status) {
		card_sandbox_begin(&program.sandbox);
		status = card_start(config, CARD_SERVE, &program.card);
		if (status)
			program.card = NULL;
	}
	if (!status) {
		program.card->sandbox = &program.sandbox;
		card_sandbox_finish(&program.sandbox, program.loop);
		program.control->card = program.card;
		program.control->stop = stop;
		program.control->opaque = &program;
		say_ready(&program, options);
		status = rt_loop_run(program.loop);
		rt_log_info(config->card.name, "stopping");
	}
	if (finish(&program))
		return EXIT_FAILURE;
	/* What was wrong with the configuration has been said. */
	return status == -EINVAL ? EXIT_CONFIG
	       : status          ? EXIT_FAILURE
				 : EXIT_SUCCESS;
}

static int act(const struct card_options *options, struct card_config *config)
{
	switch (options->action) {
	case CARD_ACTION_PRINT_CONFIG:
		return print_json(card_config_to_json(config));
	case CARD_ACTION_CHECK:
		return check(config);
	default:
		return serve(options, config);
	}
}

static void set_log_level(const struct card_options *options,
			  const struct card_config *config)
{
	enum rt_log_level level = (enum rt_log_level)config->card.log_level;

	/* A check says what is wrong, not what it opens meanwhile. */
	if (options->action == CARD_ACTION_CHECK && level > RT_LOG_WARN)
		level = RT_LOG_WARN;
	if (options->log_level)
		rt_log_level_parse(options->log_level, &level);
	rt_log_set_level(level);
}

int main(int argc, char **argv)
{
	struct card_config *config;
	struct card_options options;
	int status;

	card_options_parse(argc, argv, &options);
	if (options.action == CARD_ACTION_EXAMPLE)
		return fputs(card_config_example, stdout) < 0 ? EXIT_FAILURE
							      : EXIT_SUCCESS;
	if (options.action == CARD_ACTION_PRINT_SCHEMA)
		return print_json(card_config_schema(card_functions));
	if (options.action == CARD_ACTION_PRINT_CAPABILITIES)
		return print_capabilities();
	if (load_config(&options, &config))
		return EXIT_CONFIG;
	set_log_level(&options, config);
	status = act(&options, config);
	card_config_destroy(&config);
	sec_boot_end();
	return status;
}
