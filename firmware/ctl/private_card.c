/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starts the nitro-card that stands beside this program.  Its log goes to a
 * file, because the terminal belongs to the guest.
 */
#include "firmware/ctl/private_card.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/ctl/argv.h"
#include "firmware/ctl/ctl.h"
#include "firmware/rt/scope.h"

#define READY_MS 20000
#define LOOK_MS  20

bool ctl_card_knows_nic(const char *nic)
{
	return !strcmp(nic, "user") || !strcmp(nic, "none") ||
	       (!strncmp(nic, "tap:", 4) && nic[4]);
}

static json_t *describe_volume(const struct ctl_card *card, const char *path)
{
	return json_pack("{s:{s:s, s:i, s:{s:s}}}", "ebs", "name", "ebs0",
			 "vcpus", (int)card->cpus, "volume", "file", path);
}

static json_t *describe_nic(const char *nic)
{
	json_t *uplink = strcmp(nic, "user")
				 ? json_pack("{s:s}", "tap", nic + 4)
				 : json_pack("{s:b}", "user", 1);

	return json_pack("{s:{s:s, s:o}}", "ena", "name", "eth0", "uplink",
			 uplink);
}

/* Which each guest has: no key of it needs to be said. */
static json_t *describe_nsm(void)
{
	return json_pack("{s:{s:s}}", "nsm", "name", "nsm0");
}

/* NULL: the path is not UTF-8. */
static json_t *describe(const struct ctl_card *card, const char *folder,
			const char *path)
{
	json_t *volume = describe_volume(card, path), *functions, *config;

	if (!volume)
		return NULL;
	functions = json_pack("[o]", volume);
	if (strcmp(card->nic, "none") != 0)
		json_array_append_new(functions, describe_nic(card->nic));
	json_array_append_new(functions, describe_nsm());
	config = json_pack("{s:{s:s, s:s}, s:o}", "card", "name", "boot",
			   "socket-dir", folder, "functions", functions);
	/* A TPM outlives its guest's runs, and so does what protects it. */
	if (card->instance)
		json_object_set_new(
			config, "tpm",
			json_pack("{s:s}", "instance", card->instance));
	else
		json_object_set_new(json_object_get(config, "card"),
				    "state-dir", json_string(folder));
	return config;
}

static bool write_config(const char *path, const char *folder,
			 const struct ctl_card *card)
{
	RT_FREE char *whole = realpath(card->image, NULL);
	json_t *config;
	int status;

	if (!whole) {
		ctl_complain("%s: %s", card->image, strerror(errno));
		return false;
	}
	config = describe(card, folder, whole);
	if (!config) {
		ctl_complain("%s: its path is not UTF-8", card->image);
		return false;
	}
	status = json_dump_file(config, path, JSON_INDENT(2));
	json_decref(config);
	if (status)
		ctl_complain("cannot write %s: %s", path, strerror(errno));
	return !status;
}

/*
 * The card says when it is ready as it would say it to systemd; that its
 * control socket is there does not mean that its volumes are.
 */
static int open_notify(const char *folder)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	RT_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int length = snprintf(address.sun_path, sizeof address.sun_path,
			      "%s/notify", folder);

	if (fd < 0 || (size_t)length >= sizeof address.sun_path ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) ||
	    setenv("NOTIFY_SOCKET", address.sun_path, true)) {
		ctl_complain("cannot make a socket in %s: %s", folder,
			     strerror(errno));
		return -1;
	}
	return rt_take_fd(&fd);
}

static bool is_ready(int notify)
{
	static const char ready[] = "READY=1";
	char text[sizeof ready - 1];

	return recv(notify, text, sizeof text, MSG_DONTWAIT) ==
		       (ssize_t)sizeof text &&
	       !memcmp(text, ready, sizeof text);
}

static bool wait_until_ready(struct ctl_child *card, int notify)
{
	int number;

	for (unsigned int ms = 0; ms < READY_MS; ms += LOOK_MS) {
		if (is_ready(notify))
			return true;
		number = ctl_wait_signal(LOOK_MS);
		ctl_child_look(card);
		if (!card->pid || (number && number != SIGCHLD))
			return false;
	}
	ctl_complain("nitro-card does not get ready");
	return false;
}

static bool start_and_wait(struct ctl_child *card, char *const *words,
			   const char *folder, int log)
{
	RT_FD int notify = open_notify(folder);
	bool has_started;

	if (notify < 0)
		return false;
	has_started = ctl_child_start(card, words, log, true);
	unsetenv("NOTIFY_SOCKET");
	return has_started && wait_until_ready(card, notify);
}

/* Formats that other VMMs unpack: a guest would find no boot sector in them. */
static bool is_raw(const char *image)
{
	static const struct {
		const char *name, *magic;
	} formats[] = { { "qcow2", "QFI\xfb" }, { "vmdk", "KDMV" } };
	char start[4] = { 0 };
	RT_FD int fd = open(image, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	/* What cannot be read the card will tell. */
	if (fd < 0 || read(fd, start, sizeof start) != sizeof start)
		return true;
	for (size_t i = 0; i < RT_COUNT(formats); i++) {
		if (memcmp(start, formats[i].magic, sizeof start) != 0)
			continue;
		ctl_complain("%s is a %s image, a volume is raw; "
			     "make one: qemu-img convert -O raw %s volume.raw",
			     image, formats[i].name, image);
		return false;
	}
	return true;
}

bool ctl_card_start(struct ctl_child *child, const char *folder,
		    const struct ctl_card *card)
{
	char program[PATH_MAX + 16], path[PATH_MAX];
	struct ctl_argv argv = { 0 };
	RT_FD int log = -1;
	bool has_started;

	snprintf(path, sizeof path, "%s/card.log", folder);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	snprintf(path, sizeof path, "%s/card.yaml", folder);
	if (log < 0 || !is_raw(card->image) ||
	    !write_config(path, folder, card))
		return false;
	ctl_find_program("nitro-card", program, sizeof program);
	ctl_argv_add(&argv, "%s", program);
	ctl_argv_add(&argv, "--config");
	ctl_argv_add(&argv, "%s", path);
	*child = (struct ctl_child){ .name = "nitro-card" };
	has_started = start_and_wait(child, argv.words, folder, log);
	ctl_argv_free(&argv);
	return has_started;
}

static bool is_complaint(const char *line)
{
	return strstr(line, " error ") || strstr(line, " warn ");
}

void ctl_card_show_log(const char *folder, bool all)
{
	RT_FREE char *line = NULL;
	char path[PATH_MAX];
	size_t room = 0;
	FILE *log;

	snprintf(path, sizeof path, "%s/card.log", folder);
	log = fopen(path, "re");
	while (log && getline(&line, &room, log) > 0)
		if (all || is_complaint(line))
			fputs(line, stderr);
	if (log)
		fclose(log);
}
