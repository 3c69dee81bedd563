/* SPDX-License-Identifier: BSD-3-Clause */
/* Functions in made-up trees of sysfs. */
#include <criterion/criterion.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/vfio_find.h"

#define PCI    "0000:00:04.0"
#define DEVICE "/sys/bus/pci/devices/" PCI

static char root[64];

static void make_root(void)
{
	strcpy(root, "/tmp/nitro-sysfs-XXXXXX");
	cr_assert_not_null(mkdtemp(root));
}

static void remove_root(void)
{
	char command[128];

	(void)snprintf(command, sizeof command, "rm -r %s", root);
	cr_expect_eq(system(command), 0);
}

TestSuite(host_vfio_find, .init = make_root, .fini = remove_root);

static void make_parents(const char *path)
{
	char parents[256];

	(void)snprintf(parents, sizeof parents, "%s", path);
	for (char *p = parents + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		(void)mkdir(parents, 0755);
		*p = '/';
	}
}

/* A line of text in a file; "name -> target" makes a link, "name/" a folder. */
static void add(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	(void)snprintf(path, sizeof path, "%s%s", root, name);
	make_parents(path);
	if (path[strlen(path) - 1] == '/')
		return;
	file = fopen(path, "w");
	cr_assert_not_null(file);
	(void)fprintf(file, "%s\n", text);
	(void)fclose(file);
}

static void add_link(const char *name, const char *target)
{
	char path[256];

	(void)snprintf(path, sizeof path, "%s%s", root, name);
	make_parents(path);
	cr_assert_eq(symlink(target, path), 0);
}

static void bind_to(const char *driver)
{
	char target[64];

	(void)snprintf(target, sizeof target, "../../bus/pci/drivers/%s",
		       driver);
	add_link(DEVICE "/driver", target);
}

static void join_group(const char *name)
{
	add_link(DEVICE "/iommu_group", "../../kernel/iommu_groups/12");
	add("/sys/kernel/iommu_groups/12/name", name);
}

static void add_cdev(void)
{
	add(DEVICE "/vfio-dev/vfio3/dev", "511:0");
	add("/dev/vfio/devices/vfio3", "");
	add("/dev/iommu", "");
}

static void set_unsafe_mode(const char *value)
{
	add("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", value);
}

static struct rt_error error;

static int find(enum host_address_kind kind, struct host_vfio_place *place)
{
	memset(&error, 0, sizeof error);
	return host_vfio_find(root, PCI, kind, place, &error);
}

static void expect_refusal(const char *text, const char *hint)
{
	struct host_vfio_place place;

	cr_expect_eq(find(HOST_ADDRESS_VFIO, &place), -ENODEV);
	cr_expect(strstr(error.text, text), "%s", error.text);
	cr_expect(strstr(error.hint, hint), "%s", error.hint);
	cr_expect_lt(strlen(error.hint), sizeof error.hint - 1, "cut short");
}

Test(host_vfio_find, says_that_there_is_no_such_function)
{
	expect_refusal("no PCI function " PCI, "lspci");
}

Test(host_vfio_find, says_how_to_bind_a_function_without_a_driver)
{
	add(DEVICE "/vendor", "0x1d0f");
	join_group("");
	expect_refusal("bound to no driver", "drivers_probe");
	cr_expect_not(strstr(error.hint, "unbind"), "%s", error.hint);
}

Test(host_vfio_find, says_how_to_bind_a_function_of_another_driver)
{
	join_group("");
	bind_to("nvme");
	expect_refusal("bound to nvme", "unbind");
}

Test(host_vfio_find, names_the_parameter_where_there_is_no_iommu)
{
	bind_to("nvme");
	expect_refusal("no IOMMU", "enable_unsafe_noiommu_mode");
	set_unsafe_mode("N");
	expect_refusal("no IOMMU", "enable_unsafe_noiommu_mode");
}

Test(host_vfio_find, says_only_to_bind_in_no_iommu_mode)
{
	bind_to("nvme");
	set_unsafe_mode("Y");
	expect_refusal("bound to nvme", "driver_override");
}

Test(host_vfio_find, finds_a_group)
{
	struct host_vfio_place place;

	bind_to("vfio-pci");
	join_group("");
	add("/dev/vfio/12", "");
	cr_assert_eq(find(HOST_ADDRESS_VFIO, &place), 0, "%s", error.text);
	cr_expect_eq(place.way, HOST_VFIO_GROUP);
	cr_expect_str_eq(place.group, "12");
	cr_expect_str_eq(place.pci, PCI);
	cr_expect_eq(find(HOST_ADDRESS_VFIO_CDEV, &place), -ENODEV);
	cr_expect(strstr(error.text, "character device"), "%s", error.text);
}

Test(host_vfio_find, finds_a_group_without_an_iommu)
{
	struct host_vfio_place place;

	bind_to("vfio-pci");
	join_group("vfio-noiommu");
	add("/dev/vfio/noiommu-12", "");
	cr_assert_eq(find(HOST_ADDRESS_VFIO, &place), 0, "%s", error.text);
	cr_expect_eq(place.way, HOST_VFIO_NOIOMMU);
	cr_expect_str_eq(place.group, "noiommu-12");
}

Test(host_vfio_find, prefers_the_character_device)
{
	struct host_vfio_place place;

	bind_to("mlx5_vfio_pci");
	join_group("");
	add("/dev/vfio/12", "");
	add_cdev();
	cr_assert_eq(find(HOST_ADDRESS_VFIO, &place), 0, "%s", error.text);
	cr_expect_eq(place.way, HOST_VFIO_CDEV);
	cr_expect_str_eq(place.device, "vfio3");
	cr_assert_eq(find(HOST_ADDRESS_VFIO_GROUP, &place), 0);
	cr_expect_eq(place.way, HOST_VFIO_GROUP);
}

Test(host_vfio_find, needs_iommufd_for_the_character_device)
{
	struct host_vfio_place place;
	char path[128];

	bind_to("vfio-pci");
	join_group("");
	add("/dev/vfio/12", "");
	add_cdev();
	(void)snprintf(path, sizeof path, "%s/dev/iommu", root);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(find(HOST_ADDRESS_VFIO, &place), 0, "%s", error.text);
	cr_expect_eq(place.way, HOST_VFIO_GROUP);
}

Test(host_vfio_find, says_that_dev_has_neither)
{
	bind_to("vfio-pci");
	join_group("");
	expect_refusal("no group in /dev/vfio", "vfio:" PCI);
}
