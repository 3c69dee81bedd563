/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server's half of the negotiation (vfio-user specification, "Version").
 * Servers differ: some send no text at all, some keys of older drafts.  What we
 * do not know is not looked at, a number that makes no sense is an error.  Any
 * thread; owns nothing.
 */
#include "host-driver/version.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "firmware/rt/error.h"
#include "pcie-model/vfio-user/abi.h"

/* The protocol's defaults. */
static const struct host_version defaults = {
	.max_fds = 1,
	.max_transfer = 1u << 20,
};

static int take_size(const json_t *object, const char *key, size_t *out,
		     struct rt_error *error)
{
	const json_t *value = json_object_get(object, key);

	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return rt_error_set(error, -EPROTO,
				    "the server's %s is not a size", key);
	*out = (size_t)json_integer_value(value);
	return 0;
}

static int take_capabilities(const json_t *root, struct host_version *out,
			     struct rt_error *error)
{
	const json_t *object = json_object_get(root, "capabilities");
	size_t fds = out->max_fds;
	int rc = take_size(object, "max_msg_fds", &fds, error);

	if (rc == 0)
		rc = take_size(object, "max_data_xfer_size", &out->max_transfer,
			       error);
	if (rc < 0)
		return rc;
	if (out->max_transfer < 8)
		return rt_error_set(error, -EPROTO,
				    "the server cannot transfer a register");
	out->max_fds = fds < 1 ? 1 : fds > 1024 ? 1024 : (unsigned int)fds;
	out->has_write_many =
		json_is_true(json_object_get(object, "write_multiple"));
	return 0;
}

int host_version_parse(const void *payload, size_t size,
		       struct host_version *out, struct rt_error *error)
{
	struct vfio_user_version version;
	const char *text = (const char *)payload + sizeof version;
	json_error_t problem;
	json_t *root;
	int rc;

	*out = defaults;
	if (size < sizeof version)
		return rt_error_set(error, -EPROTO, "VERSION's reply is short");
	memcpy(&version, payload, sizeof version);
	if (version.major != 0 || version.minor > 0)
		return rt_error_set(error, -EPROTO,
				    "the server wants version %u.%u",
				    version.major, version.minor);
	size -= sizeof version;
	if (size == 0)
		return 0;
	if (text[size - 1] != '\0')
		return rt_error_set(error, -EPROTO,
				    "VERSION's text has no end");
	if (text[0] == '\0')
		return 0;
	root = json_loadb(text, strlen(text), 0, &problem);
	if (!root)
		return rt_error_set(error, -EPROTO, "VERSION's text: %s",
				    problem.text);
	rc = take_capabilities(root, out, error);
	json_decref(root);
	return rc;
}
