/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses of functions. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/address.h"

static const struct good {
	const char *address;
	enum host_address_kind kind;
	const char *text;
} good[] = {
	{ "/run/x.sock", HOST_ADDRESS_SOCKET, "/run/x.sock" },
	{ "./x", HOST_ADDRESS_SOCKET, "./x" },
	{ "0000:00:04.0/x", HOST_ADDRESS_SOCKET, "0000:00:04.0/x" },
	{ "vfio-user:x", HOST_ADDRESS_SOCKET, "x" },
	{ "vfio-user:vfio:x", HOST_ADDRESS_SOCKET, "vfio:x" },
	{ "0000:00:04.0", HOST_ADDRESS_VFIO, "0000:00:04.0" },
	{ "00:1f.7", HOST_ADDRESS_VFIO, "0000:00:1f.7" },
	{ "vfio:AB:04.0", HOST_ADDRESS_VFIO, "0000:ab:04.0" },
	{ "vfio:10000:01:00.0", HOST_ADDRESS_VFIO, "10000:01:00.0" },
	{ "vfio-group:0000:00:04.0", HOST_ADDRESS_VFIO_GROUP, "0000:00:04.0" },
	{ "vfio-cdev:0000:00:04.0", HOST_ADDRESS_VFIO_CDEV, "0000:00:04.0" },
};

Test(host_address, says_how_a_function_is_reached)
{
	for (size_t i = 0; i < RT_COUNT(good); i++) {
		const struct good *row = &good[i];
		struct host_address a;
		struct rt_error error = { 0 };
		int rc = host_address_parse(row->address, &a, &error);

		cr_expect_eq(rc, 0, "%s: %s", row->address, error.text);
		if (rc < 0)
			continue;
		cr_expect_eq(a.kind, row->kind, "%s", row->address);
		cr_expect_str_eq(a.text, row->text, "%s: %s", row->address,
				 a.text);
	}
}

static const char *const bad[] = {
	"",
	"ebs0",
	"vfio-user:",
	"vfio:",
	"vfio:/dev",
	"0000:00:04",
	"00:04.8",
	"00:20.0",
	"0000:00:04.0 ",
	"0000:00:04.0.0",
	"000:00:04.00",
	"0x0:00:04.0",
	"123456789:00:04.0",
	"00:04.0:",
	"vfio-grp:00:04.0",
};

Test(host_address, is_refused_with_a_word_on_what_is_expected)
{
	for (size_t i = 0; i < RT_COUNT(bad); i++) {
		struct host_address a;
		struct rt_error error = { 0 };

		cr_expect_eq(host_address_parse(bad[i], &a, &error), -EINVAL,
			     "'%s'", bad[i]);
		cr_expect_neq(error.text[0], '\0', "'%s'", bad[i]);
		cr_expect(strstr(error.hint, "00:04.0"), "'%s': %s", bad[i],
			  error.hint);
	}
}

Test(host_address, has_an_end)
{
	size_t size = HOST_ADDRESS_BYTES + 1;
	RT_FREE char *path = malloc(size);
	struct host_address a;

	memset(path, '/', size);
	path[size - 1] = '\0';
	cr_expect_eq(host_address_parse(path, &a, NULL), -ENAMETOOLONG);
	path[size - 2] = '\0';
	cr_expect_eq(host_address_parse(path, &a, NULL), 0);
}
