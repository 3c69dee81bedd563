/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The functions of made-up machines.  (Links libpci, which is GPL: so is this
 * program as a whole.)
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/scan.h"

static char root[64];

static void make_root(void)
{
	char path[128];

	strcpy(root, "/tmp/nitro-scan-XXXXXX");
	cr_assert_not_null(mkdtemp(root));
	(void)snprintf(path, sizeof path, "%s/devices", root);
	cr_assert_eq(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof path, "%s/drivers", root);
	cr_assert_eq(mkdir(path, 0755), 0);
}

static void remove_root(void)
{
	char command[128];

	(void)snprintf(command, sizeof command, "rm -r %s", root);
	cr_expect_eq(system(command), 0);
}

TestSuite(host_scan_list, .init = make_root, .fini = remove_root);

static void add(const char *address, const char *name, const char *value)
{
	char path[256];
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/devices/%s/%s", root, address,
		       name);
	file = fopen(path, "w");
	cr_assert_not_null(file);
	(void)fprintf(file, "%s\n", value);
	(void)fclose(file);
}

static void add_function(const char *address, const char *vendor,
			 const char *device, const char *driver)
{
	char path[256], target[128];

	(void)snprintf(path, sizeof path, "%s/devices/%s", root, address);
	cr_assert_eq(mkdir(path, 0755), 0);
	add(address, "vendor", vendor);
	add(address, "device", device);
	add(address, "class", "0x010802");
	add(address, "revision", "0x07");
	add(address, "subsystem_vendor", "0x1d0f");
	add(address, "subsystem_device", "0x0000");
	if (!driver)
		return;
	(void)snprintf(path, sizeof path, "%s/drivers/%s", root, driver);
	cr_assert_eq(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof path, "%s/devices/%s/driver", root,
		       address);
	(void)snprintf(target, sizeof target, "../../drivers/%s", driver);
	cr_assert_eq(symlink(target, path), 0);
}

Test(host_scan_list, tells_what_each_function_is_and_who_drives_it)
{
	RT_FREE struct host_listed *list = NULL;
	struct rt_error error = { 0 };
	size_t count;
	int rc;

	add_function("10000:01:00.0", "0x1d0f", "0xcd01", NULL);
	add_function("0000:00:1f.7", "0x1d0f", "0x8061", "nvme");
	add_function("0000:00:04.0", "0x1d0f", "0x8061", "vfio-pci");
	rc = host_scan_list(root, &list, &count, &error);
	cr_assert_eq(rc, 0, "%s", error.text);
	cr_assert_eq(count, 3);
	cr_expect_str_eq(list[0].address, "0000:00:04.0");
	cr_expect_str_eq(list[0].driver, "vfio-pci");
	cr_expect_eq(list[0].scan.vendor, 0x1d0f);
	cr_expect_eq(list[0].scan.device, 0x8061);
	cr_expect_eq(list[0].scan.class_code, 0x0108);
	cr_expect_eq(list[0].scan.programming_interface, 2);
	cr_expect_eq(list[0].scan.revision, 7);
	cr_expect(strstr(list[0].scan.vendor_name, "Amazon"), "%s",
		  list[0].scan.vendor_name);
	cr_expect(strstr(list[0].scan.device_name, "EBS"), "%s",
		  list[0].scan.device_name);
	cr_expect_str_eq(list[1].address, "0000:00:1f.7");
	cr_expect_str_eq(list[1].driver, "nvme");
	cr_expect_str_eq(list[2].address, "10000:01:00.0");
	cr_expect_str_eq(list[2].driver, "");
}

Test(host_scan_list, is_empty_on_a_machine_without_functions)
{
	RT_FREE struct host_listed *list = NULL;
	size_t count = 1;

	cr_expect_eq(host_scan_list(root, &list, &count, NULL), 0);
	cr_expect_eq(count, 0);
}

Test(host_scan_list, says_what_libpci_cannot_read)
{
	struct host_listed *list = NULL;
	struct rt_error error = { 0 };
	size_t count = 1;

	cr_expect_eq(host_scan_list("/nonexistent", &list, &count, &error),
		     -EINVAL);
	cr_expect(strstr(error.text, "libpci"), "%s", error.text);
	cr_expect_null(list);
	cr_expect_eq(count, 0);
}
