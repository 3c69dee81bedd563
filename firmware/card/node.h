/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a user or client wrote, as a tree that remembers its places: the same
 * for a configuration in YAML and for the parameters of a JSON-RPC call.
 */
#ifndef FIRMWARE_CARD_NODE_H
#define FIRMWARE_CARD_NODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CARD_NODE_DEPTH 32 /* levels of nesting that are read, at most */

enum card_node_kind {
	CARD_NODE_SCALAR,
	CARD_NODE_LIST,
	CARD_NODE_MAPPING,
};

/* Where something stands: bytes of the source, end excluded. */
struct card_span {
	size_t start, end;
};

struct card_node {
	enum card_node_kind kind;
	bool is_quoted; /* a scalar that can only be a string */
	char *text;     /* a scalar's */
	char *key;      /* in a mapping: its own key; otherwise NULL */
	struct card_span key_span, span;
	size_t index; /* among its siblings */
	struct card_node *parent, *first, *last, *next;
};

/* NULL: no memory.  text (may be NULL) is copied. */
struct card_node *card_node_create(enum card_node_kind kind, const char *text,
				   size_t size);
/* Frees what is below it too; NULL: nothing to do. */
void card_node_destroy(struct card_node *node);
/* child belongs to parent then. */
void card_node_append(struct card_node *parent, struct card_node *child);

/* The first of that key, or NULL. */
const struct card_node *card_node_find(const struct card_node *mapping,
				       const char *key);
/* "volume.file" from mapping down, as far as it goes; never NULL. */
const struct card_node *card_node_walk(const struct card_node *mapping,
				       const char *path);
/* "functions[1].ebs.volume"; always terminated. */
void card_node_path(const struct card_node *node, char *path, size_t size);

/* NULL: no memory, or nested more deeply than CARD_NODE_DEPTH. */
struct card_node *card_node_from_json(const json_t *json);

#endif
