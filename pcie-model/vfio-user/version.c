/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Negotiation of capabilities.  Any thread; owns nothing.
 *
 * The text comes from the client and is hostile: duplicate keys, floats,
 * negative and huge numbers are refused; keys that we do not know are not
 * looked at.
 */
#include "pcie-model/vfio-user/version.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "pcie-model/dma.h"

#define PAGE_SIZES 4096u

/* What we can take: the reply's limits. */
static const struct vfio_user_capabilities ours = {
	.max_msg_fds = 16, /* more is refused by QEMU */
	.max_data_xfer_size = 1u << 20,
	.max_dma_maps = PCIE_DMA_MAX_WINDOWS,
	.pgsizes = PAGE_SIZES,
	.write_multiple = true,
};

/* The protocol's defaults. */
static const struct vfio_user_capabilities defaults = {
	.max_msg_fds = 1,
	.max_data_xfer_size = 1u << 20,
	.max_dma_maps = PCIE_DMA_MAX_WINDOWS,
	.pgsizes = PAGE_SIZES,
};

static int take_number(const json_t *object, const char *key, uint64_t min,
		       uint64_t max, uint64_t *out)
{
	const json_t *value = json_object_get(object, key);

	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) < min)
		return -EINVAL;
	*out = (uint64_t)json_integer_value(value);
	if (*out > max)
		*out = max;
	return 0;
}

static int take_u32(const json_t *object, const char *key, uint32_t min,
		    uint32_t *out)
{
	uint64_t value = *out;
	int error = take_number(object, key, min, UINT32_MAX, &value);

	*out = (uint32_t)value;
	return error;
}

static int take_bool(const json_t *object, const char *key, bool *out)
{
	const json_t *value = json_object_get(object, key);

	if (value && !json_is_boolean(value))
		return -EINVAL;
	if (value)
		*out = json_is_true(value);
	return 0;
}

static int take_capabilities(const json_t *object,
			     struct vfio_user_capabilities *out)
{
	int error = take_u32(object, "max_msg_fds", 0, &out->max_msg_fds);

	if (!error)
		error = take_u32(object, "max_data_xfer_size", 1,
				 &out->max_data_xfer_size);
	if (!error)
		error = take_u32(object, "max_dma_maps", 1, &out->max_dma_maps);
	if (!error)
		error = take_number(object, "pgsizes", 1, INT64_MAX,
				    &out->pgsizes);
	if (!error)
		error = take_bool(object, "write_multiple",
				  &out->write_multiple);
	out->names_dma_maps = json_object_get(object, "max_dma_maps");
	return error;
}

static int take_root(const json_t *root, struct vfio_user_capabilities *out)
{
	const json_t *object = json_object_get(root, "capabilities");

	if (!json_is_object(root) || (object && !json_is_object(object)))
		return -EINVAL;
	return object ? take_capabilities(object, out) : 0;
}

int vfio_user_capabilities_parse(const char *text, size_t size,
				 struct vfio_user_capabilities *out)
{
	json_t *root;
	int error;

	*out = defaults;
	if (!size)
		return 0;
	if (size > VFIO_USER_TEXT_MAX || strnlen(text, size) != size - 1)
		return -EINVAL;
	root = json_loadb(text, size - 1, JSON_REJECT_DUPLICATES, NULL);
	if (!root)
		return -EINVAL;
	error = take_root(root, out);
	json_decref(root);
	return error;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void vfio_user_capabilities_meet(const struct vfio_user_capabilities *client,
				 struct vfio_user_capabilities *out)
{
	*out = ours;
	/* max_msg_fds is what each side can receive, so it is not shared. */
	out->max_data_xfer_size =
		min_u32(ours.max_data_xfer_size, client->max_data_xfer_size);
	out->max_dma_maps = min_u32(ours.max_dma_maps, client->max_dma_maps);
	out->write_multiple = ours.write_multiple && client->write_multiple;
}

size_t
vfio_user_capabilities_print(const struct vfio_user_capabilities *capabilities,
			     char text[VFIO_USER_REPLY_TEXT_MAX])
{
	int length = snprintf(
		text, VFIO_USER_REPLY_TEXT_MAX,
		"{\"capabilities\":{\"max_msg_fds\":%" PRIu32
		",\"max_data_xfer_size\":%" PRIu32 ",\"max_dma_maps\":%" PRIu32
		",\"pgsizes\":%" PRIu64 ",\"write_multiple\":%s}}",
		capabilities->max_msg_fds, capabilities->max_data_xfer_size,
		capabilities->max_dma_maps, capabilities->pgsizes,
		capabilities->write_multiple ? "true" : "false");

	assert(length > 0 && (size_t)length < VFIO_USER_REPLY_TEXT_MAX);
	return (size_t)length + 1;
}
