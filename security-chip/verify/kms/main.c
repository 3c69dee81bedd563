/* SPDX-License-Identifier: BSD-3-Clause */
/* nitro-kms: its command line. */
#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/rt/scope.h"
#include "security-chip/verify/kms/kms.h"

#define KEY_ID                                                                 \
	"arn:aws:kms:us-east-1:000000000000:key/"                              \
	"00000000-0000-0000-0000-000000000000"

struct words {
	const char *root, *policy, *key, *socket, *key_id;
	long port; /* -1: none */
	int64_t clock_offset_s;
};

enum {
	KEY_ROOT = 'r',
	KEY_POLICY = 'p',
	KEY_KEY = 'k',
	KEY_SOCKET = 's',
	KEY_PORT = 0x100,
	KEY_KEY_ID,
	KEY_OFFSET
};

static const struct argp_option options[] = {
	{ "root", KEY_ROOT, "FILE", 0,
	  "The root that documents are under, as `nitroctl attest root` prints "
	  "it",
	  0 },
	{ "policy", KEY_POLICY, "FILE", 0, "The key policy, as JSON", 0 },
	{ "key", KEY_KEY, "FILE", 0,
	  "The key, 32 bytes; it is made if there is none", 0 },
	{ "key-id", KEY_KEY_ID, "ARN", 0, "What it is called", 0 },
	{ "socket", KEY_SOCKET, "PATH", 0, "Serve on this UNIX socket", 0 },
	{ "port", KEY_PORT, "N", 0,
	  "Serve on this port of 127.0.0.1; 0: any, it is printed", 0 },
	{ "clock-offset", KEY_OFFSET, "SECONDS", 0,
	  "Added to the clock, as the card's tester has set it", 0 },
	{ 0 },
};

static int64_t parse_number(const char *text, int64_t low, int64_t high,
			    const struct argp_state *state)
{
	char *end;
	long long value = strtoll(text, &end, 10);

	if (end == text || *end || value < low || value > high)
		argp_error(state, "'%s' is no number from %jd to %jd", text,
			   (intmax_t)low, (intmax_t)high);
	return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct words *words = state->input;

	switch (key) {
	case KEY_ROOT:
		words->root = arg;
		return 0;
	case KEY_POLICY:
		words->policy = arg;
		return 0;
	case KEY_KEY:
		words->key = arg;
		return 0;
	case KEY_KEY_ID:
		if (!strchr(arg, '/'))
			argp_error(state, "--key-id is an ARN: …:key/ID");
		words->key_id = arg;
		return 0;
	case KEY_SOCKET:
		words->socket = arg;
		return 0;
	case KEY_PORT:
		words->port = (long)parse_number(arg, 0, 65535, state);
		return 0;
	case KEY_OFFSET:
		words->clock_offset_s =
			parse_number(arg, -INT32_MAX, INT32_MAX, state);
		return 0;
	case ARGP_KEY_END:
		if (!words->root || !words->policy || !words->key)
			argp_error(state, "--root, --policy and --key are "
					  "needed");
		if (!words->socket == (words->port < 0))
			argp_error(state, "give either --socket or --port");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "A key management service for tests: it speaks as Amazon's KMS "
	       "does, and releases keys by policy to whom an attestation "
	       "document speaks for."
	       "\vIt knows no users: whoever reaches it may ask. Only the "
	       "policy and the documents decide.",
};

static bool complain(const char *what, const char *why)
{
	fprintf(stderr, "nitro-kms: %s: %s\n", what, why);
	return false;
}

static bool load_root(struct kms *kms, const char *path)
{
	static uint8_t room[65536];
	FILE *file = fopen(path, "rbe");

	if (!file)
		return complain(path, strerror(errno));
	kms->root.data = room;
	kms->root.size = fread(room, 1, sizeof room, file);
	(void)fclose(file);
	return kms->root.size || complain(path, "it is empty");
}

static int listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof address.sun_path) {
		complain(path, "no path of a socket");
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path));
	if (!bind(fd, (struct sockaddr *)&address, sizeof address) &&
	    !listen(fd, KMS_CLIENTS))
		return fd;
	complain(path, strerror(errno));
	close(fd);
	return -1;
}

static int listen_port(long port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr =
					       htonl(INADDR_LOOPBACK),
				       .sin_port = htons((uint16_t)port) };
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd >= 0 &&
	    !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) &&
	    !bind(fd, (struct sockaddr *)&address, size) &&
	    !listen(fd, KMS_CLIENTS) &&
	    !getsockname(fd, (struct sockaddr *)&address, &size)) {
		printf("http://127.0.0.1:%u/\n", ntohs(address.sin_port));
		return fd;
	}
	complain("--port", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* What can be read when somebody wants an end, or -1. */
static int await_end(void)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &ends, SFD_CLOEXEC);
}

static int serve(const struct kms *kms, const struct words *words)
{
	int listener = words->socket ? listen_unix(words->socket)
				     : listen_port(words->port);
	RT_FD int end = -1;
	bool is_served;

	if (listener < 0)
		return EXIT_FAILURE;
	end = await_end();
	if (words->socket)
		puts(words->socket);
	fflush(stdout);
	is_served = end >= 0 && kms_serve(kms, listener, end);
	if (!is_served)
		complain("HTTP", "the server cannot be started");
	if (words->socket)
		unlink(words->socket);
	return is_served ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct words words = { .port = -1, .key_id = KEY_ID };
	struct kms kms = { 0 };
	int status = EXIT_FAILURE;

	/* Requests and answers in JSON have secrets, too. */
	json_set_alloc_funcs(malloc, kms_free);
	argp_err_exit_status = 2;
	argp_program_version = "nitro-kms " NITRO_VERSION;
	argp_parse(&argp, argc, argv, 0, NULL, &words);
	kms.key_id = (char *)(uintptr_t)words.key_id;
	kms.clock_offset_s = words.clock_offset_s;
	if (load_root(&kms, words.root) &&
	    kms_policy_load(&kms, words.policy) &&
	    kms_key_load(&kms, words.key))
		status = serve(&kms, &words);
	json_decref(kms.policy);
	OPENSSL_cleanse(kms.key, sizeof kms.key);
	return status;
}
