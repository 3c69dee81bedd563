/* SPDX-License-Identifier: BSD-3-Clause */
/* The client, against servers that are not ours. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "tests/unit/host-driver/fake_server.h"

static struct rt_error error;

static int open_with(struct fake_server *s, unsigned int quirks,
		     struct host_function **fn)
{
	struct host_options options = { .idle = fake_server_run,
					.opaque = s,
					.timeout_ms = 20000,
					.quirks = quirks };

	return host_open_fd(fake_server_start(s), &options, fn, &error);
}

static struct host_function *must_open(struct fake_server *s,
				       unsigned int quirks)
{
	struct host_function *fn = NULL;

	cr_assert_eq(open_with(s, quirks, &fn), 0, "%s", error.text);
	return fn;
}

static unsigned int count_open_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

Test(host_vfio_user, needs_no_capabilities_of_the_server)
{
	struct fake_server s = { .bar_fd = -1 };
	struct host_function *fn = must_open(&s, 0);
	uint64_t size;

	cr_expect_str_eq(host_bus_name(fn), "vfio-user");
	cr_expect_eq(host_region_size(fn, 0, &size), 0);
	cr_expect_eq(size, 2 * FAKE_AREA);
	cr_expect_eq(host_write_many(fn, NULL, 0), -EOPNOTSUPP);
	host_close(&fn);
	fake_server_stop(&s);
}

Test(host_vfio_user, maps_the_part_of_a_region_that_is_offered)
{
	struct fake_server s = { .version_text = "{}" };
	struct host_function *fn = must_open(&s, 0);
	volatile void *at;
	uint32_t value = 0;

	cr_expect_eq(host_region_map(fn, 0, 0, 4, &at), -EOPNOTSUPP);
	cr_expect_eq(host_region_map(fn, 1, 0, 4, &at), -EOPNOTSUPP);
	cr_expect_eq(host_region_map(fn, 99, 0, 4, &at), -EINVAL);
	cr_assert_eq(host_region_map(fn, 0, FAKE_AREA, FAKE_AREA, &at), 0);
	*((volatile uint32_t *)at + 1) = 0xabcd;
	cr_expect_eq(pread(s.bar_fd, &value, 4, FAKE_AREA + 4), 4);
	cr_expect_eq(value, 0xabcd);
	host_set_quirks(fn, HOST_NO_REGION_MAPS);
	cr_expect_eq(host_region_map(fn, 0, FAKE_AREA, 4, &at), -EOPNOTSUPP);
	host_close(&fn);
	fake_server_stop(&s);
}

Test(host_vfio_user, keeps_no_descriptor_that_it_does_not_need)
{
	struct fake_server s = { .version_text = "{}" };
	unsigned int before = count_open_files();
	struct host_function *fn = must_open(&s, 0);

	/* Both ends, the server's BAR, and ours. */
	cr_expect_leq(count_open_files(), before + 4);
	host_close(&fn);
	fake_server_stop(&s);
	cr_expect_eq(count_open_files(), before);
}

Test(host_vfio_user, hands_over_memory_with_its_place)
{
	struct fake_server s = { .bar_fd = -1 };
	struct host_function *fn = must_open(&s, 0);
	struct host_memory m;

	for (unsigned int small = 0; small < 2; small++) {
		host_set_quirks(fn, small ? HOST_SMALL_PAGES : 0);
		cr_assert_eq(
			host_memory_map(fn, 0x40000000, 0x200000, true, &m), 0);
		cr_expect_eq(s.map.address, 0x40000000);
		cr_expect_eq(s.map.size, 0x200000);
		cr_expect(s.had_fd);
		cr_expect_eq(m.page_bytes, m.size);
		cr_expect_eq(host_memory_iova(&m, 0x1234), 0x40001234);
		memset(m.bytes, 1, m.size);
		cr_expect_eq(host_memory_unmap(fn, &m), 0);
	}
	cr_assert_eq(host_memory_map(fn, 0x1000, 0x1000, false, &m), 0);
	cr_expect_not(s.had_fd);
	cr_expect_eq(host_memory_unmap(fn, &m), 0);
	host_close(&fn);
	fake_server_stop(&s);
}

Test(host_vfio_user, sends_no_more_descriptors_than_the_server_takes)
{
	struct fake_server s = {
		.bar_fd = -1,
		.version_text = "{\"capabilities\":{\"max_msg_fds\":3}}",
	};
	struct host_function *fn = must_open(&s, 0);
	const int fds[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };

	cr_expect_eq(host_irq_set(fn, VFIO_PCI_MSIX_IRQ_INDEX, 0, fds, 8), 0);
	cr_expect_eq(s.commands[VFIO_USER_DEVICE_SET_IRQS], 3);
	cr_expect_eq(s.irq_start, 6);
	cr_expect_eq(s.irq_count, 8);
	cr_expect_eq(s.irq_fds, 8);
	host_close(&fn);
	fake_server_stop(&s);
}

Test(host_vfio_user, passes_on_the_servers_errors)
{
	struct fake_server s = { .bar_fd = -1 };
	struct host_function *fn = must_open(&s, 0);
	struct host_memory m;

	s.failing = VFIO_USER_DMA_MAP;
	s.errno_value = EEXIST;
	cr_expect_eq(host_memory_map(fn, 0, 0x1000, true, &m), -EEXIST);
	cr_expect_null(m.bytes);
	s.errno_value = 0;
	cr_expect_eq(host_memory_map(fn, 0, 0x1000, true, &m), -EPROTO);
	s.failing = VFIO_USER_DEVICE_RESET;
	s.errno_value = EBUSY;
	cr_expect_eq(host_reset(fn), -EBUSY);
	host_close(&fn);
	fake_server_stop(&s);
}

static const struct {
	uint16_t failing, mute;
	int result;
	const char *text;
} refusals[] = {
	{ VFIO_USER_VERSION, 0, -EINVAL, "VERSION" },
	{ 0, VFIO_USER_VERSION, -ECONNRESET, "VERSION" },
	{ VFIO_USER_DEVICE_GET_INFO, 0, -EINVAL, "GET_INFO" },
	{ VFIO_USER_DEVICE_GET_REGION_INFO, 0, -EINVAL, "region 0" },
	{ 0, VFIO_USER_DEVICE_GET_REGION_INFO, -ECONNRESET, "region 0" },
};

Test(host_vfio_user, says_at_what_a_server_fails)
{
	for (size_t i = 0; i < RT_COUNT(refusals); i++) {
		struct fake_server s = { .bar_fd = -1,
					 .failing = refusals[i].failing,
					 .mute = refusals[i].mute,
					 .errno_value = EINVAL };
		struct host_function *fn = NULL;

		cr_expect_eq(open_with(&s, 0, &fn), refusals[i].result, "%zu",
			     i);
		cr_expect(strstr(error.text, refusals[i].text), "%zu: %s", i,
			  error.text);
		fake_server_stop(&s);
	}
}

Test(host_vfio_user, hears_that_the_server_has_hung_up)
{
	struct fake_server s = { .bar_fd = -1, .mute = VFIO_USER_DEVICE_RESET };
	struct host_function *fn = must_open(&s, 0);

	cr_expect_eq(host_poll(fn, 0), 0);
	cr_expect_eq(host_reset(fn), -ECONNRESET);
	cr_expect_eq(host_poll(fn, 0), -ECONNRESET);
	host_close(&fn);
}

Test(host_vfio_user, knows_the_process_at_the_other_end)
{
	struct fake_server s = { .bar_fd = -1 };
	struct host_function *fn = must_open(&s, 0);

	cr_expect_eq(host_peer_pid(fn), getpid());
	host_close(&fn);
	fake_server_stop(&s);
}

Test(host_vfio_user, finds_the_socket_of_a_folder)
{
	char folder[] = "/tmp/nitro-cntrl-XXXXXX";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct host_function *fn;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	cr_assert_not_null(mkdtemp(folder));
	cr_expect_eq(host_open(folder, NULL, &fn, &error), -ENOENT);
	cr_expect(strstr(error.text, "/cntrl"), "%s", error.text);
	cr_expect(strstr(error.hint, "running"), "%s", error.hint);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/cntrl",
		       folder);
	/* Bound, but nobody listens. */
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	cr_expect_eq(host_open(folder, NULL, &fn, &error), -ECONNREFUSED);
	cr_expect(strstr(error.hint, "nobody listens"), "%s", error.hint);
	close(fd);
	unlink(address.sun_path);
	rmdir(folder);
}
