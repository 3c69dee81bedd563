/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * YAML 1.2 (and so JSON) into a tree, by libfyaml's events.  Only data is
 * taken: anchors, aliases and tags are refused, so that a small file cannot
 * become a large tree, and nesting ends at CARD_NODE_DEPTH.
 */
#include "firmware/card/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libfyaml.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/rt/scope.h"

static int read_all(int fd, char *text, size_t room, size_t *out_size)
{
	ssize_t got;

	*out_size = 0;
	while (*out_size < room) {
		got = read(fd, text + *out_size, room - *out_size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			return 0;
		*out_size += (size_t)got;
	}
	return -EFBIG;
}

int card_source_copy(const char *name, const char *text, size_t size,
		     struct card_source *source)
{
	source->name = strdup(name);
	source->text = malloc(size + 1);
	source->size = size;
	if (!source->name || !source->text) {
		card_source_free(source);
		return -ENOMEM;
	}
	memcpy(source->text, text, size);
	source->text[size] = '\0';
	return 0;
}

void card_source_free(struct card_source *source)
{
	free(source->name);
	free(source->text);
	*source = (struct card_source){ 0 };
}

int card_source_read(const char *path, struct card_source *source,
		     struct rt_error *error)
{
	bool is_stdin = !strcmp(path, "-");
	RT_FD int fd = is_stdin ? dup(STDIN_FILENO)
				: open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	RT_FREE char *text = malloc(CARD_CONFIG_BYTES + 1);
	size_t size = 0;
	int status = fd < 0 ? -errno : text ? 0 : -ENOMEM;

	if (!status)
		status = read_all(fd, text, CARD_CONFIG_BYTES + 1, &size);
	if (!status)
		status = card_source_copy(is_stdin ? "<stdin>" : path, text,
					  size, source);
	if (status)
		return rt_error_set(error, status,
				    "cannot read the configuration %s: %s",
				    path, strerror(-status));
	return 0;
}

struct reader {
	struct card_report *report;
	struct fy_parser *parser;
	struct card_node *root;
	struct card_node *open[CARD_NODE_DEPTH]; /* from the root down */
	size_t depth;
	unsigned int documents;
	/* In a mapping: the key that was read and waits for its value. */
	char *key;
	struct card_span key_span;
};

static struct card_span span_of(struct fy_event *event)
{
	const struct fy_mark *start = fy_event_start_mark(event);
	const struct fy_mark *end = fy_event_end_mark(event);
	struct card_span span = { 0 };

	if (start)
		span.start = start->input_pos;
	span.end = end ? end->input_pos : span.start;
	return span;
}

static bool refuse(struct reader *reader, struct fy_event *event,
		   const char *why)
{
	card_complain_at(reader->report, span_of(event), "%s", why);
	return false;
}

static bool wants_key(const struct reader *reader)
{
	return reader->depth && !reader->key &&
	       reader->open[reader->depth - 1]->kind == CARD_NODE_MAPPING;
}

static bool add_node(struct reader *reader, struct card_node *node,
		     struct card_span span)
{
	if (!node)
		return false;
	/* An empty value has no place of its own. */
	node->span = reader->key && span.start < reader->key_span.end
			     ? reader->key_span
			     : span;
	node->key = reader->key;
	node->key_span = reader->key ? reader->key_span : span;
	reader->key = NULL;
	if (reader->depth)
		card_node_append(reader->open[reader->depth - 1], node);
	else
		reader->root = node;
	return true;
}

static bool open_node(struct reader *reader, struct fy_event *event,
		      enum card_node_kind kind)
{
	struct card_node *node;

	if (wants_key(reader))
		return refuse(reader, event, "a key must be a plain word");
	if (reader->depth == CARD_NODE_DEPTH)
		return refuse(reader, event, "this is nested too deeply");
	node = card_node_create(kind, NULL, 0);
	if (!add_node(reader, node, span_of(event)))
		return false;
	reader->open[reader->depth++] = node;
	return true;
}

static bool read_scalar(struct reader *reader, struct fy_event *event)
{
	size_t size = 0;
	const char *text = fy_token_get_text(event->scalar.value, &size);
	struct card_node *node;

	if (memchr(text ? text : "", '\0', text ? size : 0))
		return refuse(reader, event, "a NUL character is not allowed");
	if (wants_key(reader)) {
		reader->key = strndup(text ? text : "", size);
		reader->key_span = span_of(event);
		return reader->key;
	}
	node = card_node_create(CARD_NODE_SCALAR, text ? text : "", size);
	if (!add_node(reader, node, span_of(event)))
		return false;
	node->is_quoted =
		fy_token_scalar_style(event->scalar.value) != FYSS_PLAIN;
	return true;
}

static bool is_decorated(const struct fy_event *event)
{
	switch (event->type) {
	case FYET_SCALAR:
		return event->scalar.anchor || event->scalar.tag;
	case FYET_MAPPING_START:
		return event->mapping_start.anchor || event->mapping_start.tag;
	case FYET_SEQUENCE_START:
		return event->sequence_start.anchor ||
		       event->sequence_start.tag;
	default:
		return event->type == FYET_ALIAS;
	}
}

static bool take_event(struct reader *reader, struct fy_event *event)
{
	if (is_decorated(event))
		return refuse(reader, event,
			      "anchors, aliases and tags are not supported");
	switch (event->type) {
	case FYET_DOCUMENT_START:
		return !reader->documents++ ||
		       refuse(reader, event, "only one document is allowed");
	case FYET_MAPPING_START:
		return open_node(reader, event, CARD_NODE_MAPPING);
	case FYET_SEQUENCE_START:
		return open_node(reader, event, CARD_NODE_LIST);
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		reader->open[--reader->depth]->span.end = span_of(event).end;
		return true;
	case FYET_SCALAR:
		return read_scalar(reader, event);
	default:
		return true;
	}
}

/* libfyaml counts lines and columns from one here. */
static struct card_span span_of_error(const struct card_source *source,
				      const struct fy_diag_error *error)
{
	size_t at = 0;

	for (int line = 1; line < error->line && at < source->size; at++)
		line += source->text[at] == '\n';
	for (int column = 1; column < error->column && at < source->size &&
			     source->text[at] != '\n';
	     column++)
		at++;
	return (struct card_span){ at, at };
}

static void report_syntax(struct reader *reader, struct fy_diag *diag)
{
	const struct fy_diag_error *error;
	void *previous = NULL;

	while ((error = fy_diag_errors_iterate(diag, &previous)))
		if (error->type == FYET_ERROR)
			card_complain_at(
				reader->report,
				span_of_error(reader->report->source, error),
				"%s", error->msg);
	if (!reader->report->count)
		card_complain_at(reader->report, (struct card_span){ 0 },
				 "this is not YAML");
}

static bool read_events(struct reader *reader)
{
	struct fy_event *event;
	bool is_good = true;

	while (is_good && (event = fy_parser_parse(reader->parser))) {
		is_good = take_event(reader, event);
		fy_parser_event_free(reader->parser, event);
	}
	return is_good;
}

/* How many bytes follow the first one of a character; 4: it is none. */
static size_t bytes_after(unsigned char first)
{
	if (first < 0x80)
		return 0;
	if (first < 0xc2 || first > 0xf4)
		return 4;
	return first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

/* RFC 3629: neither longer than needed, nor a surrogate, nor too large. */
static bool is_second_byte(unsigned char first, unsigned char second)
{
	static const unsigned char firsts[] = { 0xe0, 0xed, 0xf0, 0xf4 };
	static const unsigned char least[] = { 0xa0, 0x80, 0x90, 0x80 };
	static const unsigned char most[] = { 0xbf, 0x9f, 0xbf, 0x8f };
	const unsigned char *found = memchr(firsts, first, sizeof firsts);
	size_t i = found ? (size_t)(found - firsts) : 0;

	return second >= (found ? least[i] : 0x80) &&
	       second <= (found ? most[i] : 0xbf);
}

/* libfyaml looks at bytes past what it was told when a character is cut. */
static bool is_utf8(const struct card_source *source, size_t *out_bad)
{
	const unsigned char *text = (const unsigned char *)source->text;
	size_t more;

	for (size_t i = 0; i < source->size; i += more + 1) {
		*out_bad = i;
		more = bytes_after(text[i]);
		if (more == 4 || !text[i] || source->size - i <= more ||
		    (more && !is_second_byte(text[i], text[i + 1])))
			return false;
		for (size_t j = 2; j <= more; j++)
			if ((text[i + j] & 0xc0) != 0x80)
				return false;
	}
	return true;
}

static struct card_node *parse(struct reader *reader, struct fy_diag *diag)
{
	const struct card_source *source = reader->report->source;
	bool is_good;

	is_good = !fy_parser_set_string(reader->parser, source->text,
					source->size) &&
		  read_events(reader);
	if (fy_parser_get_stream_error(reader->parser))
		report_syntax(reader, diag);
	free(reader->key);
	if (is_good && !reader->report->count && reader->root)
		return reader->root;
	if (!reader->report->count)
		card_complain_at(reader->report, (struct card_span){ 0 },
				 "there is nothing in this configuration");
	card_node_destroy(reader->root);
	return NULL;
}

struct card_node *card_source_parse(struct card_report *report)
{
	struct reader reader = { .report = report };
	struct fy_parse_cfg config = { .flags = FYPCF_QUIET |
						FYPCF_ALLOW_DUPLICATE_KEYS |
						FYPCF_JSON_NONE };
	struct fy_diag *diag;
	struct card_node *root = NULL;
	size_t bad = 0;

	if (!is_utf8(report->source, &bad)) {
		card_complain_at(report, (struct card_span){ bad, bad },
				 "this byte is not UTF-8 text");
		return NULL;
	}
	diag = fy_diag_create(NULL);
	if (!diag)
		return NULL;
	fy_diag_set_collect_errors(diag, true);
	config.diag = diag;
	reader.parser = fy_parser_create(&config);
	if (reader.parser)
		root = parse(&reader, diag);
	fy_parser_destroy(reader.parser);
	fy_diag_destroy(diag);
	return root;
}
