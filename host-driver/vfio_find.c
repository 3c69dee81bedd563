/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What sysfs says of a PCI function: its driver, its IOMMU group, its character
 * device (Documentation/driver-api/vfio.rst of Linux).  Most of what goes wrong
 * with VFIO goes wrong before it, so most of this file is what to tell the
 * user.  Any thread; owns nothing.
 */
#include "host-driver/vfio_find.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/error.h"

#define SYS_DEVICES "/sys/bus/pci/devices/"
#define UNSAFE_MODE "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"

struct search {
	const char *root, *pci;
	struct host_vfio_place *out;
	struct rt_error *error;
};

static void join(char *path, size_t room, const struct search *s,
		 const char *below)
{
	(void)snprintf(path, room, "%s" SYS_DEVICES "%s%s", s->root, s->pci,
		       below);
}

/* The last part of where a link in the function's folder points to. */
static bool follow(const struct search *s, const char *link, char *name,
		   size_t room)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	join(path, sizeof path, s, link);
	n = readlink(path, target, sizeof target - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return snprintf(name, room, "%s", basename(target)) < (int)room;
}

/* The first line of a file below root. */
static bool read_line(const char *root, const char *name, char *line, int room)
{
	char path[PATH_MAX];
	FILE *file;
	bool is_read;

	(void)snprintf(path, sizeof path, "%s%s", root, name);
	file = fopen(path, "re");
	if (!file)
		return false;
	is_read = fgets(line, room, file) != NULL;
	(void)fclose(file);
	if (is_read)
		line[strcspn(line, "\n")] = '\0';
	return is_read;
}

static bool exists(const struct search *s, const char *directory,
		   const char *name)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof path, "%s%s%s", s->root, directory, name);
	return access(path, F_OK) == 0;
}

/* --- The driver ----------------------------------------------------------- */

static bool is_noiommu_on(const struct search *s)
{
	char line[8];

	return read_line(s->root, UNSAFE_MODE, line, sizeof line) &&
	       (line[0] == 'Y' || line[0] == '1');
}

static int explain_no_iommu(const struct search *s)
{
	(void)rt_error_set(s->error, -ENODEV,
			   "%s is behind no IOMMU, and VFIO does without one "
			   "only in its no-IOMMU mode",
			   s->pci);
	rt_error_hint(s->error,
		      "start the kernel with intel_iommu=on, or: modprobe "
		      "vfio; echo 1 >" UNSAFE_MODE "; then bind it");
	return -ENODEV;
}

static int explain_driver(const struct search *s, const char *driver)
{
	(void)rt_error_set(s->error, -ENODEV,
			   "%s is bound to %s, and not to vfio-pci", s->pci,
			   driver[0] ? driver : "no driver");
	rt_error_hint(s->error,
		      "cd " SYS_DEVICES "%s; echo vfio-pci >driver_override; %s"
		      "echo %s >/sys/bus/pci/drivers_probe",
		      s->pci,
		      driver[0] ? "echo $(basename $PWD) >driver/unbind; " : "",
		      s->pci);
	return -ENODEV;
}

/* Drivers for one kind of device may have other names, such as mlx5_vfio_pci.
 */
static int check_driver(const struct search *s)
{
	char path[PATH_MAX], driver[64] = "", group[64];

	join(path, sizeof path, s, "");
	if (access(path, F_OK) < 0) {
		(void)rt_error_set(s->error, -ENODEV,
				   "this machine has no PCI function %s",
				   s->pci);
		rt_error_hint(s->error, "lspci -D shows which there are");
		return -ENODEV;
	}
	(void)follow(s, "/driver", driver, sizeof driver);
	if (strstr(driver, "vfio"))
		return 0;
	if (!follow(s, "/iommu_group", group, sizeof group) &&
	    !is_noiommu_on(s))
		return explain_no_iommu(s);
	return explain_driver(s, driver);
}

/* --- The places ----------------------------------------------------------- */

/* VFIO makes up a group for a function without an IOMMU, and names it. */
static void find_group(const struct search *s)
{
	struct host_vfio_place *out = s->out;
	char number[32], name[128], line[64];

	out->way = HOST_VFIO_GROUP;
	if (!follow(s, "/iommu_group", number, sizeof number))
		return;
	(void)snprintf(name, sizeof name, "/sys/kernel/iommu_groups/%s/name",
		       number);
	if (read_line(s->root, name, line, sizeof line) &&
	    strcmp(line, "vfio-noiommu") == 0)
		out->way = HOST_VFIO_NOIOMMU;
	(void)snprintf(out->group, sizeof out->group, "%s%s",
		       out->way == HOST_VFIO_NOIOMMU ? "noiommu-" : "", number);
	if (!exists(s, "/dev/vfio/", out->group))
		out->group[0] = '\0';
}

static void find_device(const struct search *s)
{
	struct host_vfio_place *out = s->out;
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *folder;

	join(path, sizeof path, s, "/vfio-dev");
	folder = opendir(path);
	if (!folder)
		return;
	while ((entry = readdir(folder)) && !out->device[0]) {
		if (strncmp(entry->d_name, "vfio", 4) == 0 &&
		    strlen(entry->d_name) < sizeof out->device &&
		    exists(s, "/dev/vfio/devices/", entry->d_name))
			strcpy(out->device, entry->d_name);
	}
	(void)closedir(folder);
	if (!exists(s, "/dev/", "iommu"))
		out->device[0] = '\0';
}

static int choose(const struct search *s, enum host_address_kind kind)
{
	struct host_vfio_place *out = s->out;

	if (kind != HOST_ADDRESS_VFIO_GROUP && out->device[0]) {
		out->way = HOST_VFIO_CDEV;
		return 0;
	}
	if (kind != HOST_ADDRESS_VFIO_CDEV && out->group[0])
		return 0;
	(void)rt_error_set(s->error, -ENODEV, "the kernel offers %s for %s",
			   kind == HOST_ADDRESS_VFIO_CDEV
				   ? "no character device with /dev/iommu"
				   : "no group in /dev/vfio",
			   s->pci);
	rt_error_hint(s->error,
		      kind == HOST_ADDRESS_VFIO_CDEV
			      ? "it takes Linux 6.6 or later, an IOMMU and "
				"CONFIG_VFIO_DEVICE_CDEV; try vfio:%s"
			      : "is /dev complete? try vfio:%s",
		      s->pci);
	return -ENODEV;
}

int host_vfio_find(const char *root, const char *pci,
		   enum host_address_kind kind, struct host_vfio_place *out,
		   struct rt_error *error)
{
	const struct search s = { root, pci, out, error };
	int rc;

	*out = (struct host_vfio_place){ 0 };
	(void)snprintf(out->pci, sizeof out->pci, "%s", pci);
	rc = check_driver(&s);
	if (rc < 0)
		return rc;
	find_group(&s);
	find_device(&s);
	return choose(&s, kind);
}
