/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/scope.h"
#include "pcie-model/vfio-user/version.h"

/* The reply buffer of QEMU is its own request: 214 bytes with 20 before. */
static_assert(VFIO_USER_REPLY_TEXT_MAX == 194, "QEMU's room");

static int parse(const char *text, struct vfio_user_capabilities *out)
{
	return vfio_user_capabilities_parse(text, strlen(text) + 1, out);
}

Test(vfio_user_version, reads_what_clients_send)
{
	static const struct {
		const char *who, *text;
		struct vfio_user_capabilities want;
	} rows[] = {
		{ "QEMU 11.1",
		  "{\"capabilities\": {\"pgsizes\": 4096, \"max_msg_fds\": 16, "
		  "\"max_dma_maps\": 65535, \"max_data_xfer_size\": 1048576, "
		  "\"migration\": {\"max_bitmap_size\": 268435456, \"pgsize\": "
		  "4096}, \"write_multiple\": true}}",
		  { 16, 1048576, 65535, 4096, true, true } },
		{ "cloud-hypervisor",
		  "{\"capabilities\":{\"max_msg_fds\":1,"
		  "\"max_data_xfer_size\":1048576,"
		  "\"migration\":{\"pgsize\":4096}}}",
		  { 1, 1048576, 65535, 4096, false, false } },
		{ "nothing to say",
		  "{}",
		  { 1, 1048576, 65535, 4096, false, false } },
		{ "unknown keys",
		  "{\"capabilities\":{\"x\":[1,{}]},\"y\":null}",
		  { 1, 1048576, 65535, 4096, false, false } },
		{ "huge numbers",
		  "{\"capabilities\":{\"max_msg_fds\":9223372036854775807}}",
		  { UINT32_MAX, 1048576, 65535, 4096, false, false } },
	};
	struct vfio_user_capabilities got;

	for (size_t i = 0; i < RT_COUNT(rows); i++) {
		const struct vfio_user_capabilities *want = &rows[i].want;

		cr_expect_eq(parse(rows[i].text, &got), 0, "%s", rows[i].who);
		cr_expect(got.max_msg_fds == want->max_msg_fds &&
				  got.max_data_xfer_size ==
					  want->max_data_xfer_size &&
				  got.max_dma_maps == want->max_dma_maps &&
				  got.pgsizes == want->pgsizes &&
				  got.write_multiple == want->write_multiple &&
				  got.names_dma_maps == want->names_dma_maps,
			  "%s", rows[i].who);
	}
	cr_expect_eq(vfio_user_capabilities_parse(NULL, 0, &got), 0);
	cr_expect_eq(got.max_data_xfer_size, 1048576, "SPDK sends no text");
}

Test(vfio_user_version, refuses_nonsense)
{
	static const char *const rows[] = {
		"",
		"x",
		"[]",
		"3",
		"{",
		"{\"capabilities\":3}",
		"{\"capabilities\":[]}",
		"{\"capabilities\":{\"max_msg_fds\":\"8\"}}",
		"{\"capabilities\":{\"max_msg_fds\":8.0}}",
		"{\"capabilities\":{\"max_msg_fds\":-1}}",
		"{\"capabilities\":{\"max_msg_fds\":1,\"max_msg_fds\":2}}",
		"{\"capabilities\":{\"max_data_xfer_size\":0}}",
		"{\"capabilities\":{\"max_data_xfer_size\":null}}",
		"{\"capabilities\":{\"max_dma_maps\":0}}",
		"{\"capabilities\":{\"pgsizes\":true}}",
		"{\"capabilities\":{\"write_multiple\":1}}",
		"{\"capabilities\":{\"max_msg_fds\":99999999999999999999}}",
		"{} {}",
	};
	struct vfio_user_capabilities got;

	for (size_t i = 0; i < RT_COUNT(rows); i++)
		cr_expect_eq(parse(rows[i], &got), -EINVAL, "%s", rows[i]);
	cr_expect_eq(vfio_user_capabilities_parse("{}", 2, &got), -EINVAL,
		     "no NUL");
	cr_expect_eq(vfio_user_capabilities_parse("{}\0\0", 4, &got), -EINVAL,
		     "a NUL inside");
}

Test(vfio_user_version, is_not_harmed_by_depth_or_length)
{
	RT_FREE char *deep = malloc(VFIO_USER_TEXT_MAX + 1);
	struct vfio_user_capabilities got;

	memset(deep, '[', VFIO_USER_TEXT_MAX);
	deep[VFIO_USER_TEXT_MAX - 1] = '\0';
	cr_expect_eq(parse(deep, &got), -EINVAL);
	memset(deep, ' ', VFIO_USER_TEXT_MAX);
	memcpy(deep, "{}", 2);
	deep[VFIO_USER_TEXT_MAX] = '\0';
	cr_expect_eq(vfio_user_capabilities_parse(deep, VFIO_USER_TEXT_MAX + 1,
						  &got),
		     -EINVAL);
}

Test(vfio_user_version, offers_no_more_than_both_can)
{
	struct vfio_user_capabilities client, both;
	char text[VFIO_USER_REPLY_TEXT_MAX];

	cr_assert_eq(parse("{\"capabilities\":{\"max_data_xfer_size\":65536,"
			   "\"max_dma_maps\":7}}",
			   &client),
		     0);
	vfio_user_capabilities_meet(&client, &both);
	cr_expect_eq(both.max_data_xfer_size, 65536);
	cr_expect_eq(both.max_dma_maps, 7);
	cr_expect(!both.write_multiple, "it did not offer it");
	cr_expect_eq(vfio_user_capabilities_print(&both, text),
		     strlen(text) + 1);
	cr_expect_str_eq(text,
			 "{\"capabilities\":{\"max_msg_fds\":16,"
			 "\"max_data_xfer_size\":65536,\"max_dma_maps\":7,"
			 "\"pgsizes\":4096,\"write_multiple\":false}}");
}
