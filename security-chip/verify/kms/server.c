/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP before the operations: POST / with X-Amz-Target: TrentService.Decrypt,
 * JSON both ways, as clients of KMS speak.  One thread of libmicrohttpd's.
 */
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "security-chip/verify/kms/kms.h"

#define TARGET "TrentService."

struct kms_server {
	const struct kms *kms;
	struct MHD_Daemon *daemon;
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
	response = MHD_create_response_from_buffer(strlen(text), text,
						   MHD_RESPMEM_MUST_COPY);
	OPENSSL_cleanse(text, strlen(text));
	free(text);
	if (!response)
		return MHD_NO;
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
	json_t *request = NULL, *result = NULL;

	if (!is_word(operation)) {
		operation = "?";
		kms_refuse(&why, "UnknownOperationException",
			   "X-Amz-Target is " TARGET "Decrypt or another "
			   "operation");
	} else if (body->is_too_long) {
		kms_refuse(&why, "SerializationException",
			   "a request has up to %u bytes", KMS_BODY_BYTES);
	} else {
		request = json_loadb(body->text, body->size,
				     JSON_REJECT_DUPLICATES, NULL);
		if (json_is_object(request))
			result = kms_answer(kms, operation, request, &why);
		else
			kms_refuse(&why, "SerializationException",
				   "a request is a JSON object");
	}
	json_decref(request);
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
	const struct kms_server *server = opaque;
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

static void on_end(void *opaque, struct MHD_Connection *connection,
		   void **state, enum MHD_RequestTerminationCode why)
{
	struct body *body = *state;

	(void)opaque;
	(void)connection;
	(void)why;
	if (body)
		OPENSSL_cleanse(body->text, body->size);
	free(body);
	*state = NULL;
}

struct kms_server *kms_serve(const struct kms *kms, int listener)
{
	struct kms_server *server = calloc(1, sizeof *server);

	if (!server)
		return NULL;
	server->kms = kms;
	server->daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request,
		server, MHD_OPTION_LISTEN_SOCKET, listener,
		MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_CONNECTION_LIMIT,
		64u, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_END);
	if (!server->daemon) {
		free(server);
		return NULL;
	}
	return server;
}

void kms_serve_end(struct kms_server *server)
{
	MHD_stop_daemon(server->daemon);
	free(server);
}
