/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The identity of a volume: serial number, qualified name and namespace ids, as
 * hosts of EC2 see them.
 *
 * EBS's UUIDs are of RFC 4122 version 5; from which name space and name Amazon
 * makes them is not known.  Ours come from the serial number, so that a volume
 * keeps its UUID wherever it is attached.
 */
#include "ebs-nvme/ebs.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

#include "ebs-nvme/profile.h"
#include "firmware/rt/error.h"

#define ID_DIGITS 17

/* Made for this purpose; version 4. */
static const uuid_t volume_name_space = { 0x6f, 0x0d, 0x2b, 0x9c, 0x51, 0x7e,
					  0x4a, 0x43, 0x9d, 0x1e, 0x80, 0x3c,
					  0x2f, 0x66, 0xb7, 0x54 };

static uint64_t hash_of(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
	return hash;
}

static bool is_hex_digits(const char *text, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strchr("0123456789abcdef", text[i]) || !text[i])
			return false;
	return !text[count];
}

static int make_serial(const struct ebs_profile *profile, const char *name,
		       const char *volume_id, char *serial,
		       struct rt_error *error)
{
	size_t prefix = strlen(profile->serial_prefix);

	if (!volume_id) {
		snprintf(serial, 21, "%s0%016llx", profile->serial_prefix,
			 (unsigned long long)hash_of(name));
		return 0;
	}
	if ((strncmp(volume_id, profile->serial_prefix, prefix) &&
	     strncmp(volume_id, "vol", 3)) ||
	    volume_id[3] != '-' || !is_hex_digits(volume_id + 4, ID_DIGITS)) {
		rt_error_set(error, -EINVAL, "\"%.64s\" is not a volume id",
			     volume_id);
		rt_error_place(error, "volume-id");
		rt_error_hint(error,
			      "a volume id is \"vol-\" and 17 hexadecimal "
			      "digits, for example vol-0123456789abcdef0");
		return -EINVAL;
	}
	snprintf(serial, 21, "%s%s", profile->serial_prefix, volume_id + 4);
	return 0;
}

static int copy_device_name(const struct ebs_profile *profile,
			    const char *device_name, char *out,
			    struct rt_error *error)
{
	if (!device_name)
		device_name = profile->has_vendor_area ? "sda1" : "";
	if (strlen(device_name) > 32) {
		rt_error_set(error, -EINVAL,
			     "device name \"%.64s\" is longer than 32 bytes",
			     device_name);
		rt_error_place(error, "device-name");
		rt_error_hint(error, "EC2 uses names like /dev/sdf or sda1");
		return -EINVAL;
	}
	for (const char *p = device_name; *p; p++)
		if (!isprint((unsigned char)*p))
			return rt_error_set(error, -EINVAL,
					    "device-name has characters that "
					    "cannot be printed");
	snprintf(out, 33, "%s", device_name);
	return 0;
}

static unsigned int digit_value(char digit)
{
	return (unsigned int)(strchr("0123456789abcdef", digit) -
			      "0123456789abcdef");
}

/* The serial's last 16 digits, the OUI 40:B4:CD, and a one. */
static void make_nguid(const char *serial, uint8_t nguid[16])
{
	static const uint8_t tail[8] = { 0x40, 0xb4, 0xcd, 0, 0, 0, 0, 1 };

	for (size_t i = 0; i < 8; i++)
		nguid[i] = (uint8_t)(digit_value(serial[4 + 2 * i]) << 4 |
				     digit_value(serial[5 + 2 * i]));
	memcpy(nguid + 8, tail, sizeof tail);
}

int ebs_identity_make(const struct ebs_profile *profile, const char *name,
		      const char *volume_id, const char *device_name,
		      struct ebs_identity *out, struct rt_error *error)
{
	int status;

	memset(out, 0, sizeof *out);
	status = make_serial(profile, name, volume_id, out->serial, error);
	if (!status)
		status = copy_device_name(profile, device_name,
					  out->device_name, error);
	if (status)
		return status;
	if (profile->subnqn)
		snprintf(out->subnqn, sizeof out->subnqn, "%s%s",
			 profile->subnqn, out->serial);
	if (profile->namespace_id == EBS_ID_UUID)
		uuid_generate_sha1(out->uuid, volume_name_space, out->serial,
				   strlen(out->serial));
	if (profile->namespace_id == EBS_ID_NGUID)
		make_nguid(out->serial, out->nguid);
	return 0;
}
