/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * QEMU from outside: where it is, how old it is, and the arguments that attach
 * a card's functions to it.  Property names are those of QEMU 10.1 and later.
 */
#include "firmware/ctl/qemu.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/ctl/ctl.h"
#include "firmware/rt/scope.h"

#define PROGRAM "qemu-system-x86_64"

void ctl_qemu_add_memory(struct ctl_argv *argv, uint64_t bytes)
{
	ctl_argv_add(argv, "-m");
	ctl_argv_add(argv, "%" PRIu64 "M", bytes >> 20);
	ctl_argv_add(argv, "-object");
	ctl_argv_add(argv,
		     "memory-backend-memfd,id=nitro-memory,size=%" PRIu64
		     "M,share=on",
		     bytes >> 20);
	ctl_argv_add(argv, "-machine");
	/* The guest's memory is in no core file, ours or QEMU's. */
	ctl_argv_add(argv, "memory-backend=nitro-memory,dump-guest-core=off");
}

/*
 * Where EC2 has things: the root volume is at 00:04.0 and the others from the
 * top down, NICs are at 00:05.0 and upwards.  q35 keeps 00:1f.0 for itself.
 */
#define ROOT_SLOT 0x04
#define NIC_SLOT  0x05
#define TOP_SLOT  0x1e

struct slots {
	uint32_t taken; /* a bit each */
	bool has_root;
};

static bool is_a(const json_t *function, const char *type)
{
	return !strcmp(ctl_text(function, "type"), type);
}

/* 0: none is left. */
static unsigned int choose_slot(struct slots *slots, const json_t *function)
{
	bool nic = is_a(function, "ena");
	unsigned int slot = nic ? NIC_SLOT : TOP_SLOT;

	if (is_a(function, "ebs") && !slots->has_root) {
		slots->has_root = true;
		return ROOT_SLOT;
	}
	while (slot && slots->taken >> slot & 1)
		slot = nic ? slot + 1 : slot - 1;
	return slot <= TOP_SLOT ? slot : 0;
}

static void put_slot(json_t *device, struct slots *slots,
		     const json_t *function)
{
	unsigned int slot = choose_slot(slots, function);

	if (!slot)
		return;
	slots->taken |= 1u << slot;
	json_object_set_new(device, "addr", json_sprintf("%x.0", slot));
}

static json_t *device_of(const json_t *function)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s}}", "driver", "vfio-user-pci",
			 "id", ctl_text(function, "name"), "socket", "type",
			 "unix", "path", ctl_text(function, "socket"));
}

void ctl_qemu_add_devices(struct ctl_argv *argv, const json_t *functions,
			  bool as_ec2)
{
	/* The root volume has its place also when it is named late. */
	struct slots slots = { .taken = 1u << ROOT_SLOT };
	const json_t *function;
	bool has_boot = false;
	json_t *device;
	size_t i;

	json_array_foreach(functions, i, function)
	{
		RT_FREE char *text = NULL;

		device = device_of(function);
		if (as_ec2)
			put_slot(device, &slots, function);
		if (!has_boot && is_a(function, "ebs")) {
			has_boot = true;
			json_object_set_new(device, "bootindex",
					    json_integer(1));
		}
		text = json_dumps(device, JSON_COMPACT);
		json_decref(device);
		ctl_argv_add(argv, "-device");
		ctl_argv_add(argv, "%s", text ? text : "");
	}
}

bool ctl_qemu_add_tpm(struct ctl_argv *argv, const json_t *card)
{
	const char *path = ctl_text(json_object_get(card, "tpm"), "socket");

	if (!path[0])
		return false;
	ctl_argv_add(argv, "-chardev");
	ctl_argv_add_path(argv, "socket,id=nitro-tpm,path=", path, "");
	ctl_argv_add(argv, "-tpmdev");
	ctl_argv_add(argv, "emulator,id=tpm0,chardev=nitro-tpm");
	ctl_argv_add(argv, "-device");
	ctl_argv_add(argv, "tpm-crb,tpmdev=tpm0");
	return true;
}

/* FNV-1a: an id of its own for each name, and always the same one. */
static uint64_t hash(const char *name)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		sum = (sum ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return sum;
}

void ctl_qemu_name_instance(const char *name, char id[CTL_INSTANCE_BYTES])
{
	snprintf(id, CTL_INSTANCE_BYTES, "i-0%016" PRIx64, hash(name));
}

void ctl_qemu_add_identity(struct ctl_argv *argv, const char *name)
{
	uint64_t id = hash(name);
	char uuid[40], instance[CTL_INSTANCE_BYTES];

	/* Software on EC2 looks for a UUID that starts with ec2. */
	snprintf(uuid, sizeof uuid,
		 "ec2%05" PRIx64 "-%04" PRIx64 "-4%03" PRIx64 "-8%03" PRIx64
		 "-%012" PRIx64,
		 id & 0xfffff, id >> 20 & 0xffff, id >> 36 & 0xfff,
		 id >> 48 & 0xfff, id & UINT64_C(0xffffffffffff));
	ctl_argv_add(argv, "-smbios");
	ctl_argv_add(argv, "type=0,vendor=Amazon EC2,version=1.0,"
			   "date=10/16/2017,release=1.0");
	ctl_argv_add(argv, "-smbios");
	ctl_argv_add(argv,
		     "type=1,manufacturer=Amazon EC2,product=m6i.large,"
		     "serial=%s,uuid=%s",
		     uuid, uuid);
	ctl_argv_add(argv, "-smbios");
	ctl_qemu_name_instance(name, instance);
	ctl_argv_add(argv, "type=2,manufacturer=Amazon EC2,asset=%s", instance);
	ctl_argv_add(argv, "-smbios");
	ctl_argv_add(argv, "type=3,manufacturer=Amazon EC2,asset=Amazon EC2");
}

struct version {
	unsigned int major, minor;
};

/* "QEMU emulator version 11.1.2 (…)" */
static bool ask_version(const char *path, struct ctl_qemu *out,
			struct version *version)
{
	RT_FREE char *command = NULL;
	char line[256] = "";
	size_t size;
	FILE *quoted, *answer;

	quoted = open_memstream(&command, &size);
	if (!quoted)
		return false;
	ctl_quote(quoted, path);
	fputs(" --version 2>/dev/null", quoted);
	fclose(quoted);
	answer = popen(command, "re");
	if (!answer)
		return false;
	if (!fgets(line, sizeof line, answer))
		line[0] = '\0';
	pclose(answer);
	snprintf(out->path, sizeof out->path, "%s", path);
	return sscanf(line, "QEMU emulator version %31[0-9.]", out->version) ==
		       1 &&
	       sscanf(out->version, "%u.%u", &version->major,
		      &version->minor) == 2;
}

static bool is_new_enough(const struct version *version)
{
	return version->major > CTL_QEMU_MAJOR ||
	       (version->major == CTL_QEMU_MAJOR &&
		version->minor >= CTL_QEMU_MINOR);
}

/* In $PATH, as execvp() would; "" when there is none. */
static void search_path(char *path, size_t size)
{
	const char *dirs = getenv("PATH");
	size_t length;

	for (; dirs && *dirs; dirs += length + (dirs[length] == ':')) {
		length = strcspn(dirs, ":");
		snprintf(path, size, "%.*s/%s", (int)length, dirs, PROGRAM);
		if (!access(path, X_OK))
			return;
	}
	path[0] = '\0';
}

static void cache_path(char *path, size_t size, const char *name)
{
	const char *cache = getenv("NITRO_CACHE");
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (cache && cache[0])
		snprintf(path, size, "%s/qemu/%s", cache, name);
	else if (xdg && xdg[0])
		snprintf(path, size, "%s/nitro-card/qemu/%s", xdg, name);
	else
		snprintf(path, size, "%s/.cache/nitro-card/qemu/%s",
			 home ? home : "", name);
}

/* One that somebody named must do. */
static bool take_named(const char *path, struct ctl_qemu *out)
{
	struct version version;

	if (!ask_version(path, out, &version)) {
		ctl_complain("%s is not a QEMU that runs here", path);
		return false;
	}
	if (is_new_enough(&version))
		return true;
	ctl_complain("%s is QEMU %s; vfio-user devices need %d.%d or newer",
		     path, out->version, CTL_QEMU_MAJOR, CTL_QEMU_MINOR);
	return false;
}

static void complain_missing(const struct ctl_qemu *old)
{
	if (old->version[0])
		ctl_complain("%s is QEMU %s; vfio-user devices need %d.%d or "
			     "newer",
			     old->path, old->version, CTL_QEMU_MAJOR,
			     CTL_QEMU_MINOR);
	else
		ctl_complain("there is no " PROGRAM " in $PATH");
	ctl_complain("./run fetches one, or name one: --qemu PATH or "
		     "$NITRO_QEMU");
}

bool ctl_qemu_find(const char *given, struct ctl_qemu *out)
{
	const char *named = given ? given : getenv("NITRO_QEMU");
	struct ctl_qemu old = { 0 };
	struct version version;
	char path[2048];

	if (named && named[0])
		return take_named(named, out);
	search_path(path, sizeof path);
	if (path[0] && ask_version(path, &old, &version) &&
	    is_new_enough(&version)) {
		*out = old;
		return true;
	}
	cache_path(path, sizeof path, "bin/" PROGRAM);
	if (!access(path, X_OK) && ask_version(path, out, &version) &&
	    is_new_enough(&version))
		return true;
	complain_missing(&old);
	return false;
}

static const char *const ovmf_places[] = {
	"/usr/share/ovmf/OVMF.fd",
	"/usr/share/OVMF/OVMF_CODE_4M.fd",
	"/usr/share/OVMF/OVMF_CODE.fd",
	"/usr/share/edk2/x64/OVMF_CODE.4m.fd",
	"/usr/share/edk2/ovmf/OVMF_CODE.fd",
};

bool ctl_ovmf_find(char *path, size_t size)
{
	const char *named = getenv("NITRO_OVMF");

	if (named && named[0]) {
		snprintf(path, size, "%s", named);
		if (!access(path, R_OK))
			return true;
		ctl_complain("$NITRO_OVMF: %s: %s", named, strerror(errno));
		return false;
	}
	for (size_t i = 0; i < RT_COUNT(ovmf_places); i++) {
		snprintf(path, size, "%s", ovmf_places[i]);
		if (!access(path, R_OK))
			return true;
	}
	cache_path(path, size, "firmware/OVMF.fd");
	if (!access(path, R_OK))
		return true;
	ctl_complain("there is no OVMF here: install the package ovmf, or "
		     "name a file by --firmware PATH or $NITRO_OVMF");
	return false;
}
