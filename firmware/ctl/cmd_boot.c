/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nitroctl boot: the thinnest hypervisor around a card.  QEMU gets processors,
 * memory, a serial port and EC2's identity; disk and network are the card's.
 *
 * With an image, a card of our own serves it and ends with the guest.  Whatever
 * happens to us, QEMU or that card, the others are stopped and the terminal is
 * put back.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "firmware/ctl/child.h"
#include "firmware/ctl/ctl.h"
#include "firmware/ctl/folder.h"
#include "firmware/ctl/private_card.h"
#include "firmware/ctl/qemu.h"
#include "firmware/ctl/size.h"
#include "firmware/rt/scope.h"

#define STOP_CARD_MS 3000
#define STOP_QEMU_MS 5000

struct boot {
	/* What was asked for. */
	const char *image; /* NULL: the running card */
	const char *firmware, *qemu_path, *console, *qmp, *accel, *nic, *tpm;
	uint64_t memory;
	unsigned int cpus;
	char **extra; /* NULL-terminated */
	json_t *only; /* names of functions; NULL: all */
	/* What came of it. */
	char folder[PATH_MAX], identity[PATH_MAX];
	struct ctl_qemu found;
	struct ctl_argv argv;
	struct ctl_child card, qemu;
	bool is_kvm;
};

enum key {
	KEY_FIRMWARE = 'f',
	KEY_MEMORY = 'm',
	KEY_CPUS = 'c',
	KEY_QEMU = 0x100,
	KEY_CONSOLE,
	KEY_QMP,
	KEY_ACCEL,
	KEY_NIC,
	KEY_TPM,
	KEY_FUNCTION,
};

static const struct argp_option options[] = {
	{ "firmware", KEY_FIRMWARE, "NAME", 0,
	  "seabios, ovmf or the path of a file (default: seabios)", 0 },
	{ "memory", KEY_MEMORY, "SIZE", 0, "Of the guest (default: 1GiB)", 0 },
	{ "cpus", KEY_CPUS, "N", 0, "Of the guest (default: 2)", 0 },
	{ "accel", KEY_ACCEL, "NAME", 0,
	  "kvm, tcg, or auto: KVM where it works (default: auto)", 0 },
	{ "nic", KEY_NIC, "WHERE", 0,
	  "Where IMAGE's guest has a network: user (without privileges), "
	  "tap:NAME or none (default: user)",
	  0 },
	{ "tpm", KEY_TPM, "WHEN", 0,
	  "Whether the guest has the card's TPM: on, off, or auto, with UEFI "
	  "firmware as on EC2 (default: auto)",
	  0 },
	{ "function", KEY_FUNCTION, "NAME", 0,
	  "Of the running card: attach this one, and what else is named so "
	  "(default: all)",
	  0 },
	{ "console", KEY_CONSOLE, "WHERE", 0,
	  "The serial console: stdio, unix:PATH, file:PATH or none (default: "
	  "stdio)",
	  0 },
	{ "qmp", KEY_QMP, "PATH", 0, "A socket for QEMU's machine protocol",
	  0 },
	{ "qemu", KEY_QEMU, "PATH", 0,
	  "QEMU 10.1 or newer (default: $NITRO_QEMU, $PATH, what ./run has "
	  "fetched)",
	  0 },
	{ 0 },
};

static void set_cpus(struct boot *boot, const char *text,
		     const struct argp_state *state)
{
	char *end;
	unsigned long cpus = strtoul(text, &end, 10);

	if (*end || cpus < 1 || cpus > 255)
		argp_error(state, "--cpus is from 1 to 255, not '%s'", text);
	boot->cpus = (unsigned int)cpus;
}

static void set_console(struct boot *boot, const char *text,
			const struct argp_state *state)
{
	bool is_known = !strcmp(text, "stdio") || !strcmp(text, "none") ||
			(!strncmp(text, "unix:", 5) && text[5]) ||
			(!strncmp(text, "file:", 5) && text[5]);

	if (!is_known)
		argp_error(state,
			   "--console is stdio, unix:PATH, file:PATH or none, "
			   "not '%s'",
			   text);
	boot->console = text;
}

static void set_accel(struct boot *boot, const char *text,
		      const struct argp_state *state)
{
	if (strcmp(text, "auto") != 0 && strcmp(text, "kvm") != 0 &&
	    strcmp(text, "tcg") != 0)
		argp_error(state, "--accel is auto, kvm or tcg, not '%s'",
			   text);
	boot->accel = text;
}

static void set_nic(struct boot *boot, const char *text,
		    const struct argp_state *state)
{
	if (!ctl_card_knows_nic(text))
		argp_error(state, "--nic is user, tap:NAME or none, not '%s'",
			   text);
	boot->nic = text;
}

static void set_tpm(struct boot *boot, const char *text,
		    const struct argp_state *state)
{
	if (strcmp(text, "auto") != 0 && strcmp(text, "on") != 0 &&
	    strcmp(text, "off") != 0)
		argp_error(state, "--tpm is auto, on or off, not '%s'", text);
	boot->tpm = text;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct boot *boot = state->input;

	switch (key) {
	case KEY_FIRMWARE:
		boot->firmware = arg;
		return 0;
	case KEY_MEMORY:
		if (!ctl_parse_memory(arg, &boot->memory))
			argp_error(state, CTL_MEMORY_RULE, arg);
		return 0;
	case KEY_CPUS:
		set_cpus(boot, arg, state);
		return 0;
	case KEY_ACCEL:
		set_accel(boot, arg, state);
		return 0;
	case KEY_CONSOLE:
		set_console(boot, arg, state);
		return 0;
	case KEY_QMP:
		boot->qmp = arg;
		return 0;
	case KEY_NIC:
		set_nic(boot, arg, state);
		return 0;
	case KEY_TPM:
		set_tpm(boot, arg, state);
		return 0;
	case KEY_FUNCTION:
		if (!boot->only)
			boot->only = json_array();
		json_array_append_new(boot->only, json_string(arg));
		return 0;
	case KEY_QEMU:
		boot->qemu_path = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (boot->image)
			argp_error(state, "one IMAGE is enough; QEMU's own "
					  "arguments come after --");
		boot->image = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[IMAGE] [-- QEMU-ARG...]",
	.doc = "Boot a guest with the card's functions as its devices."
	       "\vWith IMAGE, a raw disk image or a block device, a nitro-card "
	       "is started that serves it as the root volume, and stopped when "
	       "the guest ends.  Without, the functions of the running card "
	       "are "
	       "attached.\n"
	       "On the console, Ctrl-A X ends QEMU.",
};

static void add_console(struct boot *boot)
{
	struct ctl_argv *argv = &boot->argv;

	ctl_argv_add(argv, "-serial");
	if (!strcmp(boot->console, "none")) {
		ctl_argv_add(argv, "none");
		return;
	}
	ctl_argv_add(argv, "chardev:console");
	ctl_argv_add(argv, "-chardev");
	/* mux gives Ctrl-A X; signal=off leaves Ctrl-C to the guest. */
	if (!strcmp(boot->console, "stdio"))
		ctl_argv_add(argv, "stdio,id=console,mux=on,signal=off");
	else if (!strncmp(boot->console, "unix:", 5))
		ctl_argv_add_path(argv,
				  "socket,id=console,server=on,wait=off,path=",
				  boot->console + 5, "");
	else
		ctl_argv_add_path(
			argv, "file,id=console,path=", boot->console + 5, "");
}

static void add_machine(struct boot *boot)
{
	struct ctl_argv *argv = &boot->argv;

	ctl_argv_add(argv, "%s", boot->found.path);
	ctl_argv_add(argv, "-nodefaults");
	ctl_argv_add(argv, "-no-user-config");
	ctl_argv_add(argv, "-machine");
	ctl_argv_add(argv,
		     "q35,accel=%s,sata=off,smbus=off,usb=off,vmport=off,"
		     "hpet=off",
		     boot->is_kvm ? "kvm" : "tcg");
	ctl_argv_add(argv, "-cpu");
	/* As on EC2, no guest finds virtualisation of its own. */
	ctl_argv_add(argv, "%s,svm=off,vmx=off", boot->is_kvm ? "host" : "max");
	ctl_argv_add(argv, "-smp");
	ctl_argv_add(argv, "%u", boot->cpus);
	ctl_argv_add(argv, "-display");
	ctl_argv_add(argv, "none");
	ctl_argv_add(argv, "-vga");
	ctl_argv_add(argv, "none");
	ctl_qemu_add_memory(argv, boot->memory);
	ctl_qemu_add_identity(argv, boot->identity);
	add_console(boot);
	if (boot->qmp) {
		ctl_argv_add(argv, "-qmp");
		ctl_argv_add_path(argv, "unix:", boot->qmp,
				  ",server=on,wait=off");
	}
}

/* A copy, which the guest may write its variables into. */
static bool add_flash(struct boot *boot, unsigned int unit, const char *file)
{
	char copy[PATH_MAX + 16];

	snprintf(copy, sizeof copy, "%s/flash%u.fd", boot->folder, unit);
	if (!ctl_copy_file(file, copy))
		return false;
	ctl_argv_add(&boot->argv, "-drive");
	ctl_argv_add(&boot->argv,
		     "if=pflash,format=raw,unit=%u,readonly=off,file=%s", unit,
		     copy);
	return true;
}

/* OVMF_CODE.fd has its variables in OVMF_VARS.fd beside it. */
static bool add_variables(struct boot *boot, const char *code)
{
	RT_FREE char *file = strdup(code);
	char *word = file ? strstr(file, "_CODE") : NULL;

	if (!word)
		return true;
	memcpy(word, "_VARS", 5);
	return access(file, R_OK) || add_flash(boot, 1, file);
}

static bool add_ovmf(struct boot *boot)
{
	char path[PATH_MAX];

	return ctl_ovmf_find(path, sizeof path) && add_flash(boot, 0, path) &&
	       add_variables(boot, path);
}

static bool add_firmware(struct boot *boot)
{
	if (!strcmp(boot->firmware, "seabios"))
		return true; /* QEMU brings it */
	if (!strcmp(boot->firmware, "ovmf"))
		return add_ovmf(boot);
	if (access(boot->firmware, R_OK)) {
		ctl_complain("--firmware is seabios, ovmf or a file; %s: %s",
			     boot->firmware, strerror(errno));
		return false;
	}
	ctl_argv_add(&boot->argv, "-bios");
	ctl_argv_add(&boot->argv, "%s", boot->firmware);
	return true;
}

static bool choose_accel(struct boot *boot)
{
	boot->is_kvm = strcmp(boot->accel, "tcg") != 0 && ctl_kvm_works();
	if (boot->is_kvm || strcmp(boot->accel, "kvm") != 0)
		return true;
	ctl_complain("KVM cannot run an ordinary guest here; leave out --accel "
		     "to emulate its processor");
	return false;
}

static void say_what(const struct boot *boot)
{
	ctl_complain("%s: QEMU %s, %s, %u CPUs, %" PRIu64 " MiB, %s%s",
		     boot->image ? boot->image : "the running card",
		     boot->found.version,
		     boot->is_kvm ? "KVM" : "TCG (emulated, slow)", boot->cpus,
		     boot->memory >> 20, boot->firmware,
		     strcmp(boot->console, "stdio") ? ""
						    : "; Ctrl-A X ends it");
}

/* Until QEMU has ended, or somebody wants an end. */
static bool wait_for_end(struct boot *boot)
{
	int number;

	while (boot->qemu.pid) {
		number = ctl_wait_signal(60000);
		ctl_child_look(&boot->qemu);
		ctl_child_look(&boot->card);
		if (boot->qemu.pid && boot->image && !boot->card.pid) {
			ctl_complain("nitro-card has ended before the guest");
			return false;
		}
		if (number && number != SIGCHLD)
			return true;
	}
	return true;
}

static enum ctl_exit run_qemu(struct boot *boot)
{
	struct termios terminal;
	bool has_terminal = !tcgetattr(STDIN_FILENO, &terminal);
	bool is_good;

	say_what(boot);
	boot->qemu = (struct ctl_child){ .name = "QEMU" };
	if (!ctl_child_start(&boot->qemu, boot->argv.words, -1, false))
		return CTL_REFUSED;
	is_good = wait_for_end(boot);
	ctl_child_stop(&boot->qemu, STOP_QEMU_MS);
	if (has_terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
	return ctl_child_succeeded(&boot->qemu) && is_good ? CTL_DONE
							   : CTL_REFUSED;
}

/* A TPM measures what UEFI starts; NitroTPM is for such instances only. */
static bool wants_tpm(const struct boot *boot)
{
	return !strcmp(boot->tpm, "on") ||
	       (!strcmp(boot->tpm, "auto") &&
		strcmp(boot->firmware, "seabios") != 0);
}

/* A card of our own, if there is an image to serve. */
static enum ctl_exit start_card(struct ctl *ctl, struct boot *boot)
{
	struct ctl_card wanted = { .image = boot->image,
				   .nic = boot->nic,
				   .cpus = boot->cpus };
	char instance[CTL_INSTANCE_BYTES];

	if (!boot->image)
		return CTL_DONE;
	ctl_qemu_name_instance(boot->identity, instance);
	if (wants_tpm(boot))
		wanted.instance = instance;
	ctl->socket_dir = boot->folder;
	return ctl_card_start(&boot->card, boot->folder, &wanted) ? CTL_DONE
								  : CTL_REFUSED;
}

static const json_t *find_function(const json_t *functions, const char *name)
{
	const json_t *function;
	size_t i;

	json_array_foreach(functions, i, function)
	{
		if (!strcmp(ctl_text(function, "name"), name))
			return function;
	}
	return NULL;
}

/* Those that were named, in that order. */
static bool attach_named(struct boot *boot, const json_t *functions)
{
	json_t *chosen = json_array();
	const json_t *name;
	size_t i;

	json_array_foreach(boot->only, i, name)
	{
		const json_t *found =
			find_function(functions, json_string_value(name));

		if (!found) {
			ctl_complain("the card has no function %s",
				     json_string_value(name));
			json_decref(chosen);
			return false;
		}
		json_array_append_new(chosen, json_deep_copy(found));
	}
	ctl_qemu_add_devices(&boot->argv, chosen, true);
	json_decref(chosen);
	return true;
}

static enum ctl_exit attach_tpm(struct ctl *ctl, struct boot *boot)
{
	enum ctl_exit status;
	bool has_tpm;
	json_t *card;

	if (!wants_tpm(boot))
		return CTL_DONE;
	status = ctl_call(ctl, "card.status", NULL, &card);
	if (status != CTL_DONE)
		return status;
	has_tpm = ctl_qemu_add_tpm(&boot->argv, card);
	json_decref(card);
	if (has_tpm || strcmp(boot->tpm, "on") != 0)
		return CTL_DONE;
	ctl_complain("the card has no TPM; give it one: \"tpm: {}\" in its "
		     "configuration");
	return CTL_REFUSED;
}

static enum ctl_exit attach(struct ctl *ctl, struct boot *boot)
{
	json_t *result = NULL;
	enum ctl_exit status = attach_tpm(ctl, boot);

	if (status == CTL_DONE)
		status = ctl_call(ctl, "function.list", NULL, &result);

	/* QEMU is not to wait for us. */
	ctl_disconnect(ctl);
	if (status == CTL_DONE && !boot->only)
		ctl_qemu_add_devices(&boot->argv,
				     json_object_get(result, "functions"),
				     true);
	else if (status == CTL_DONE &&
		 !attach_named(boot, json_object_get(result, "functions")))
		status = CTL_REFUSED;
	json_decref(result);
	for (char **word = boot->extra; *word; word++)
		ctl_argv_add(&boot->argv, "%s", *word);
	return status;
}

static enum ctl_exit run(struct ctl *ctl, struct boot *boot)
{
	enum ctl_exit status;

	add_machine(boot);
	if (!add_firmware(boot))
		return CTL_REFUSED;
	status = start_card(ctl, boot);
	if (status == CTL_DONE)
		status = attach(ctl, boot);
	if (status != CTL_DONE) {
		ctl_child_stop(&boot->card, STOP_CARD_MS);
		ctl_card_show_log(boot->folder, true);
		return status;
	}
	status = run_qemu(boot);
	ctl_child_stop(&boot->card, STOP_CARD_MS);
	ctl_card_show_log(boot->folder, false);
	return status;
}

/* The same instance wherever its image is named from. */
static void find_identity(struct boot *boot)
{
	if (!boot->image)
		strcpy(boot->identity, "nitro-card");
	else if (!realpath(boot->image, boot->identity))
		snprintf(boot->identity, sizeof boot->identity, "%s",
			 boot->image);
}

/* What stands after "--" is QEMU's; argp is not to see it. */
static int split_words(int argc, char **argv, struct boot *boot)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") != 0)
			continue;
		boot->extra = argv + i + 1;
		argv[i] = NULL;
		return i;
	}
	boot->extra = argv + argc;
	return argc;
}

enum ctl_exit ctl_boot(struct ctl *ctl, int argc, char **argv)
{
	struct boot boot = { .firmware = "seabios",
			     .console = "stdio",
			     .accel = "auto",
			     .nic = "user",
			     .tpm = "auto",
			     .memory = UINT64_C(1) << 30,
			     .cpus = 2 };
	enum ctl_exit status;

	ctl_parse(ctl, &argp, split_words(argc, argv, &boot), argv, &boot);
	if (!ctl_qemu_find(boot.qemu_path, &boot.found) || !choose_accel(&boot))
		return CTL_REFUSED;
	find_identity(&boot);
	/* From here on there is something to clean up. */
	ctl_take_signals();
	if (!ctl_folder_create(boot.folder, sizeof boot.folder))
		return CTL_REFUSED;
	status = run(ctl, &boot);
	ctl_folder_remove(boot.folder);
	ctl_argv_free(&boot.argv);
	json_decref(boot.only);
	return status;
}
