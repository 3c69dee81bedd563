/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP before the operations: POST / with X-Amz-Target: TrentService.Decrypt,
 * JSON both ways, as clients of KMS speak.  One thread, and libmicrohttpd in
 * it.
 *
 * Theory.  A client has KMS_REQUEST_S for a request, however fast it sends: the
 * library's own timeouts begin anew with each byte.  A client whose time is up
 * has its socket shut down, which the library then finds.
 */
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "security-chip/verify/kms/kms.h"

#define TARGET "TrentService."

struct client {
	struct MHD_Connection *connection; /* NULL: there is none */
	int64_t since_ms;                  /* when its request began */
};

struct server {
	const struct kms *kms;
	struct MHD_Daemon *daemon;
	struct client clients[KMS_CLIENTS];
};

/* What has come of a request's body. */
struct body {
	size_t size;
	bool is_too_long;
	char text[KMS_BODY_BYTES];
};

static enum MHD_Result send_json(struct MHD_Connection *connection,
				 unsigned int status, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	struct MHD_Response *response;
	enum MHD_Result result;

	json_decref(json);
	if (!text)
		return MHD_NO;
	response = MHD_create_response_from_buffer_with_free_callback(
		strlen(text), text, kms_free);
	if (!response) {
		kms_free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, "Content-Type",
				"application/x-amz-json-1.1");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result send_refusal(struct MHD_Connection *connection,
				    const char *operation,
				    const struct kms_refusal *why)
{
	fprintf(stderr, "nitro-kms: %.40s: refused: %s: %s\n", operation,
		why->type, why->message);
	return send_json(connection, MHD_HTTP_BAD_REQUEST,
			 json_pack("{s:s, s:s}", "__type", why->type, "message",
				   why->message));
}

static const char *operation_of(struct MHD_Connection *connection)
{
	const char *target = MHD_lookup_connection_value(
		connection, MHD_HEADER_KIND, "X-Amz-Target");

	return target && !strncmp(target, TARGET, strlen(TARGET))
		       ? target + strlen(TARGET)
		       : "";
}

/* Foreign letters are not for a terminal. */
static bool is_word(const char *text)
{
	size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz");

	return length && !text[length];
}

static enum MHD_Result answer(const struct kms *kms,
			      struct MHD_Connection *connection,
			      struct body *body)
{
	const char *operation = operation_of(connection);
	struct kms_refusal why = { 0 };
	json_t *result = NULL;

	if (!is_word(operation)) {
		operation = "?";
		kms_refuse(&why, "UnknownOperationException",
			   "X-Amz-Target is " TARGET "Decrypt or another "
			   "operation");
	} else if (body->is_too_long) {
		kms_refuse(&why, "SerializationException",
			   "a request has up to %u bytes", KMS_BODY_BYTES);
	} else {
		result = kms_answer(kms, operation, body->text, body->size,
				    &why);
	}
	if (!result)
		return send_refusal(connection, operation, &why);
	fprintf(stderr, "nitro-kms: %s: done\n", operation);
	return send_json(connection, MHD_HTTP_OK, result);
}

static void take(struct body *body, const char *data, size_t size)
{
	if (size > sizeof body->text - body->size) {
		body->is_too_long = true;
		return;
	}
	memcpy(body->text + body->size, data, size);
	body->size += size;
}

static enum MHD_Result on_request(void *opaque,
				  struct MHD_Connection *connection,
				  const char *url, const char *method,
				  const char *version, const char *data,
				  size_t *size, void **state)
{
	const struct server *server = opaque;
	struct body *body = *state;

	(void)version;
	if (!body) {
		*state = body = malloc(sizeof *body);
		if (!body)
			return MHD_NO;
		body->size = 0;
		body->is_too_long = false;
		return MHD_YES;
	}
	if (*size) {
		take(body, data, *size);
		*size = 0;
		return MHD_YES;
	}
	if (strcmp(method, "POST") != 0 || strcmp(url, "/") != 0)
		return send_json(connection, MHD_HTTP_NOT_FOUND,
				 json_pack("{s:s, s:s}", "__type",
					   "UnknownOperationException",
					   "message",
					   "POST / is all there is"));
	return answer(server->kms, connection, body);
}

/* ---- clients and their time ---- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A request has been answered, or will never be: the next one may come. */
static void on_end(void *opaque, struct MHD_Connection *connection,
		   void **state, enum MHD_RequestTerminationCode why)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct client *client = info ? info->socket_context : NULL;
	struct body *body = *state;

	(void)opaque;
	(void)why;
	if (client)
		client->since_ms = now_ms();
	if (body)
		OPENSSL_cleanse(body->text, body->size);
	free(body);
	*state = NULL;
}

static void on_client(void *opaque, struct MHD_Connection *connection,
		      void **context, enum MHD_ConnectionNotificationCode code)
{
	struct server *server = opaque;
	struct client *client = *context;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (client)
			client->connection = NULL;
		return;
	}
	for (size_t i = 0; i < KMS_CLIENTS && !client; i++)
		if (!server->clients[i].connection)
			client = &server->clients[i];
	if (client)
		*client = (struct client){ connection, now_ms() };
	*context = client;
}

static void end_slow_clients(const struct server *server)
{
	int64_t oldest_ms = now_ms() - INT64_C(1000) * KMS_REQUEST_S;
	const union MHD_ConnectionInfo *info;

	for (size_t i = 0; i < KMS_CLIENTS; i++) {
		if (!server->clients[i].connection ||
		    server->clients[i].since_ms > oldest_ms)
			continue;
		info = MHD_get_connection_info(
			server->clients[i].connection,
			MHD_CONNECTION_INFO_CONNECTION_FD);
		if (info)
			shutdown(info->connect_fd, SHUT_RDWR);
	}
}

static bool start(struct server *server, int listener)
{
	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, on_request, server,
		MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
		KMS_CLIENTS, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
		MHD_OPTION_NOTIFY_CONNECTION, on_client, server,
		MHD_OPTION_END);
	if (!server->daemon)
		close(listener);
	return server->daemon;
}

/* Until something is to be done; at most a second, to look for slow clients. */
static int wait_ms(const struct server *server)
{
	MHD_UNSIGNED_LONG_LONG left;

	return MHD_get_timeout(server->daemon, &left) == MHD_YES && left < 1000
		       ? (int)left
		       : 1000;
}

bool kms_serve(const struct kms *kms, int listener, int end)
{
	struct server server = { .kms = kms };
	struct pollfd fds[] = { { .fd = end, .events = POLLIN },
				{ .events = POLLIN } };

	if (!start(&server, listener))
		return false;
	fds[1].fd = MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_EPOLL_FD)
			    ->epoll_fd;
	while (!fds[0].revents) {
		(void)poll(fds, 2, wait_ms(&server));
		MHD_run(server.daemon);
		end_slow_clients(&server);
	}
	MHD_stop_daemon(server.daemon);
	return true;
}
