/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A card in reset: no function listens; on the control socket it says why.  One
 * client after the other is served, a line at a time; none makes the others
 * wait for its requests longer than a second in all.
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/listen.h"
#include "firmware/rt/log.h"
#include "firmware/rt/run_dir.h"
#include "firmware/rt/scope.h"
#include "security-chip/audit.h"
#include "security-chip/boot/rom.h"

#define WHO        "rom"
#define LINE_BYTES 4096
#define PATIENCE   1000 /* ms; for all requests of one client */
#define CALLS      64   /* of one client */

/* Codes of JSON-RPC 2.0, and the card's own for "not now". */
#define NOT_JSON  (-32700)
#define NO_METHOD (-32601)
#define FAILED    (-32000)

static json_t *refusal(json_t *id, int code, const char *text)
{
	return json_pack("{s:s, s:O?, s:{s:i, s:s, s:{s:s}}}", "jsonrpc", "2.0",
			 "id", id ? id : json_null(), "error", "code", code,
			 "message", text, "data", "hint",
			 "nitroctl boot-status tells more");
}

static json_t *answer(struct rom *rom, const char *line, size_t size)
{
	json_t *request = json_loadb(line, size, 0, NULL), *reply;
	json_t *id = json_object_get(request, "id");
	const char *method =
		json_string_value(json_object_get(request, "method"));
	char text[200];

	snprintf(text, sizeof text, "the card is held in reset: %s",
		 sec_reason_sentence(rom->report.reason));
	if (!method)
		reply = refusal(id, NOT_JSON, "this is no request");
	else if (!strcmp(method, "boot.status"))
		reply = json_pack("{s:s, s:O?, s:o}", "jsonrpc", "2.0", "id",
				  id ? id : json_null(), "result",
				  sec_report_json(&rom->report, rom->events,
						  rom->event_count));
	else if (!strcmp(method, "card.stop"))
		reply = json_pack("{s:s, s:O?, s:n}", "jsonrpc", "2.0", "id",
				  id ? id : json_null(), "result");
	else
		reply = refusal(id, FAILED, text);
	if (method && !strcmp(method, "card.stop"))
		rom->must_end = true;
	json_decref(request);
	return reply;
}

/* Takes json.  False: the client does not take it. */
static bool send_line(int client, json_t *json)
{
	RT_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	size_t size = text ? strlen(text) : 0;
	bool is_sent = text;

	json_decref(json);
	if (!text)
		return false;
	text[size++] = '\n';
	for (size_t done = 0; done < size && is_sent;) {
		ssize_t n =
			send(client, text + done, size - done, MSG_NOSIGNAL);

		is_sent = n > 0;
		done += is_sent ? (size_t)n : 0;
	}
	return is_sent;
}

/* False: its time is up, or ours. */
static bool has_input(struct rom *rom, int client, uint64_t end_ms)
{
	struct pollfd fds[] = { { .fd = client, .events = POLLIN },
				{ .fd = rom->signals, .events = POLLIN } };
	uint64_t now;

	while ((now = rom_now_ms()) < end_ms && !rom->must_end) {
		if (poll(fds, 2, (int)(end_ms - now)) <= 0)
			continue;
		if (fds[1].revents)
			rom_take_signal(rom);
		if (fds[0].revents)
			return true;
	}
	return false;
}

/* A line with its newline; 0: there is none, or it is too long. */
static size_t read_line(struct rom *rom, int client, uint64_t end_ms,
			char line[LINE_BYTES])
{
	size_t size = 0;
	ssize_t n;

	while (size < LINE_BYTES && has_input(rom, client, end_ms)) {
		n = recv(client, line + size, 1, 0);
		if (n != 1)
			return 0;
		if (line[size++] == '\n')
			return size;
	}
	return 0;
}

static void serve(struct rom *rom, int client)
{
	struct timeval patience = { .tv_sec = PATIENCE / 1000 };
	uint64_t end_ms = rom_now_ms() + PATIENCE;
	char line[LINE_BYTES];
	bool is_there;
	size_t size;

	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	is_there = send_line(
		client, json_pack("{s:s, s:s, s:{s:s, s:s}}", "jsonrpc", "2.0",
				  "method", "event", "params", "event", "hello",
				  "version", NITRO_VERSION));
	for (int i = 0; i < CALLS && is_there && !rom->must_end; i++) {
		size = read_line(rom, client, end_ms, line);
		is_there = size && send_line(client, answer(rom, line, size));
	}
}

static int listen_there(const struct rom *rom, char *path, size_t room)
{
	const char *dir = rom->options->socket_dir;
	struct rt_error error = { 0 };
	int fd = -1, status = rt_make_dirs(dir);

	snprintf(path, room, "%s/control.sock", dir);
	if (!status && mkdir(dir, 0700) && errno != EEXIST)
		status = -errno;
	if (status)
		rt_error_set(&error, status, "%s: %s", dir, strerror(-status));
	else
		status = rt_listen_unix(path, &fd, &error);
	if (!status)
		return fd;
	fprintf(stderr, "nitro-rom: %s\n", error.text);
	return -1;
}

static void serve_all(struct rom *rom, int fd)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
				{ .fd = rom->signals, .events = POLLIN } };

	while (!rom->must_end) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		/* Such as the end of a program that was taken back. */
		if (fds[1].revents)
			rom_take_signal(rom);
		if (fds[0].revents && !rom->must_end) {
			RT_FD int client =
				accept4(fd, NULL, NULL, SOCK_CLOEXEC);

			if (client >= 0)
				serve(rom, client);
		}
	}
}

int rom_held(struct rom *rom)
{
	char path[128];
	RT_FD int fd = listen_there(rom, path, sizeof path);

	rt_log_error(WHO, "the card is held in reset: %s: %s",
		     sec_reason_name(rom->report.reason),
		     sec_reason_sentence(rom->report.reason));
	sec_audit("boot.held", "%s", sec_reason_name(rom->report.reason));
	if (fd < 0)
		return EXIT_FAILURE;
	rt_log_info(WHO, "control on %s", path);
	serve_all(rom, fd);
	unlink(path);
	return EXIT_FAILURE;
}
