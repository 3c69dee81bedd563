/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tree of scalars, lists and mappings.  Duplicate keys stay in it, so that
 * whoever reads it can complain about all of them.  Any thread; a tree belongs
 * to one.
 */
#include "firmware/card/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/scope.h"

struct card_node *card_node_create(enum card_node_kind kind, const char *text,
				   size_t size)
{
	struct card_node *node = calloc(1, sizeof *node);

	if (!node)
		return NULL;
	node->kind = kind;
	if (!text)
		return node;
	node->text = strndup(text, size);
	if (!node->text) {
		free(node);
		return NULL;
	}
	return node;
}

/* The depth is bounded by whoever built the tree. */
void card_node_destroy(struct card_node *node)
{
	struct card_node *child, *next;

	if (!node)
		return;
	for (child = node->first; child; child = next) {
		next = child->next;
		card_node_destroy(child);
	}
	free(node->text);
	free(node->key);
	free(node);
}

void card_node_append(struct card_node *parent, struct card_node *child)
{
	child->parent = parent;
	child->index = parent->last ? parent->last->index + 1 : 0;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

static const struct card_node *find(const struct card_node *mapping,
				    const char *key, size_t length)
{
	const struct card_node *child;

	for (child = mapping->first; child; child = child->next)
		if (child->key && strlen(child->key) == length &&
		    !memcmp(child->key, key, length))
			return child;
	return NULL;
}

const struct card_node *card_node_find(const struct card_node *mapping,
				       const char *key)
{
	return find(mapping, key, strlen(key));
}

const struct card_node *card_node_walk(const struct card_node *mapping,
				       const char *path)
{
	const struct card_node *child;
	size_t length;

	for (; *path; path += length + (path[length] == '.')) {
		length = strcspn(path, ".");
		child = find(mapping, path, length);
		if (!child)
			break;
		mapping = child;
	}
	return mapping;
}

void card_node_path(const struct card_node *node, char *path, size_t size)
{
	size_t used;

	path[0] = '\0';
	if (!node->parent)
		return;
	card_node_path(node->parent, path, size);
	used = strlen(path);
	if (node->key)
		snprintf(path + used, size - used, "%s%s", used ? "." : "",
			 node->key);
	else
		snprintf(path + used, size - used, "[%zu]", node->index);
}

static struct card_node *from_json(const json_t *json, unsigned int depth);

static bool append_json(struct card_node *parent, const char *key,
			const json_t *json, unsigned int depth)
{
	struct card_node *child = from_json(json, depth + 1);

	if (!child)
		return false;
	card_node_append(parent, child);
	if (key)
		child->key = strdup(key);
	return !key || child->key;
}

static bool append_all(struct card_node *parent, const json_t *json,
		       unsigned int depth)
{
	const char *key;
	json_t *value;
	size_t i;

	/* jansson's iterators take a const object only by this cast. */
	json_object_foreach((json_t *)(uintptr_t)json, key,
			    value) if (!append_json(parent, key, value,
						    depth)) return false;
	json_array_foreach(json, i,
			   value) if (!append_json(parent, NULL, value,
						   depth)) return false;
	return true;
}

static struct card_node *scalar_from_json(const json_t *json)
{
	struct card_node *node;
	RT_FREE char *text = NULL;

	if (json_is_string(json)) {
		node = card_node_create(CARD_NODE_SCALAR,
					json_string_value(json),
					json_string_length(json));
		if (node)
			node->is_quoted = true;
		return node;
	}
	/* Not jansson's digits: 0.1 would come as 0.10000000000000001. */
	if (!json_is_real(json))
		text = json_dumps(json, JSON_ENCODE_ANY);
	else if (asprintf(&text, "%.9g", json_real_value(json)) < 0)
		text = NULL;
	if (!text)
		return NULL;
	return card_node_create(CARD_NODE_SCALAR, text, strlen(text));
}

static struct card_node *from_json(const json_t *json, unsigned int depth)
{
	struct card_node *node;

	if (depth > CARD_NODE_DEPTH)
		return NULL;
	if (!json_is_object(json) && !json_is_array(json))
		return scalar_from_json(json);
	node = card_node_create(json_is_object(json) ? CARD_NODE_MAPPING
						     : CARD_NODE_LIST,
				NULL, 0);
	if (node && !append_all(node, json, depth)) {
		card_node_destroy(node);
		return NULL;
	}
	return node;
}

struct card_node *card_node_from_json(const json_t *json)
{
	return from_json(json, 0);
}
