/* SPDX-License-Identifier: BSD-3-Clause */
/* What servers answer to VERSION. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/version.h"
#include "pcie-model/vfio-user/abi.h"

static int parse(uint16_t minor, const char *text, size_t size,
		 struct host_version *out)
{
	struct vfio_user_version head = { .major = 0, .minor = minor };
	RT_FREE uint8_t *reply = malloc(sizeof head + size);
	struct rt_error error = { 0 };
	int rc;

	memcpy(reply, &head, sizeof head);
	if (size > 0)
		memcpy(reply + sizeof head, text, size);
	rc = host_version_parse(reply, sizeof head + size, out, &error);
	cr_expect_eq(rc < 0, error.text[0] != '\0', "%s", text);
	return rc;
}

static const struct row {
	const char *text;
	unsigned int max_fds;
	size_t max_transfer;
	bool has_write_many;
} rows[] = {
	{ "", 1, 1 << 20, false },
	{ "{}", 1, 1 << 20, false },
	{ "{\"capabilities\":{}}", 1, 1 << 20, false },
	/* As libvfio-user answers. */
	{ "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":"
	  "1048576,\"migration\":{\"pgsize\":4096},\"twin_socket\":"
	  "{\"supported\":false}}}",
	  8, 1 << 20, false },
	{ "{\"capabilities\": {\"max_msg_fds\" : 16, \"write_multiple\" : true,"
	  " \"max_data_xfer_size\": 4096}}",
	  16, 4096, true },
	/* Descriptors cannot be sent without any; a thousand are plenty. */
	{ "{\"capabilities\":{\"max_msg_fds\":0}}", 1, 1 << 20, false },
	{ "{\"capabilities\":{\"max_msg_fds\":4000000000}}", 1024, 1 << 20,
	  false },
	/* A key that only contains ours is another one. */
	{ "{\"capabilities\":{\"x_max_msg_fds\":9}}", 1, 1 << 20, false },
};

Test(host_version, takes_what_servers_offer)
{
	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		const struct row *row = &rows[i];
		struct host_version v;
		int rc = parse(0, row->text, strlen(row->text) + 1, &v);

		cr_assert_eq(rc, 0, "%s: %d", row->text, rc);
		cr_expect_eq(v.max_fds, row->max_fds, "%s", row->text);
		cr_expect_eq(v.max_transfer, row->max_transfer, "%s",
			     row->text);
		cr_expect_eq(v.has_write_many, row->has_write_many, "%s",
			     row->text);
	}
}

static const char *const bad[] = {
	"{",
	"[1]x",
	"{\"capabilities\":{\"max_msg_fds\":-1}}",
	"{\"capabilities\":{\"max_msg_fds\":\"8\"}}",
	"{\"capabilities\":{\"max_data_xfer_size\":1.5}}",
	"{\"capabilities\":{\"max_data_xfer_size\":0}}",
};

Test(host_version, refuses_what_makes_no_sense)
{
	struct host_version v;

	for (size_t i = 0; i < RT_COUNT(bad); i++)
		cr_expect_eq(parse(0, bad[i], strlen(bad[i]) + 1, &v), -EPROTO,
			     "%s", bad[i]);
	cr_expect_eq(parse(0, "{}", 2, &v), -EPROTO, "no NUL");
	cr_expect_eq(parse(1, "", 1, &v), -EPROTO, "a newer minor");
	cr_expect_eq(host_version_parse("ab", 2, &v, NULL), -EPROTO, "short");
	cr_expect_eq(parse(0, "", 0, &v), 0, "no text");
}
