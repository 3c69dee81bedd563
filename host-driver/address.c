/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses: "vfio-user:PATH", "vfio:PCI".  Any thread; owns nothing. */
#include "host-driver/address.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"

static const struct prefix {
	const char *text;
	enum host_address_kind kind;
} prefixes[] = {
	{ "vfio-user:", HOST_ADDRESS_SOCKET },
	{ "vfio:", HOST_ADDRESS_VFIO },
	{ "vfio-group:", HOST_ADDRESS_VFIO_GROUP },
	{ "vfio-cdev:", HOST_ADDRESS_VFIO_CDEV },
};

static const char expected[] =
	"give the path of a UNIX socket (vfio-user:PATH) or a PCI address "
	"(vfio:0000:00:04.0)";

/* [DOMAIN:]BUS:SLOT.FUNCTION in hexadecimal, and nothing after it. */
static bool parse_pci(const char *text, char *out, size_t room)
{
	unsigned int domain = 0, bus, slot, function;
	int end = 0;

	if (strspn(text, "0123456789abcdefABCDEF:.") != strlen(text))
		return false;
	if (sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function,
		   &end) != 4 ||
	    text[end] != '\0') {
		domain = 0;
		end = 0;
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &function,
			   &end) != 3 ||
		    text[end] != '\0')
			return false;
	}
	(void)snprintf(out, room, "%04x:%02x:%02x.%x", domain, bus, slot,
		       function);
	return slot < 32 && function < 8;
}

static int take_path(const char *path, struct host_address *out,
		     struct rt_error *error)
{
	out->kind = HOST_ADDRESS_SOCKET;
	if (path[0] == '\0') {
		(void)rt_error_set(error, -EINVAL, "the path is empty");
		rt_error_hint(error, "%s", expected);
		return -EINVAL;
	}
	if (strlen(path) >= sizeof out->text)
		return rt_error_set(error, -ENAMETOOLONG,
				    "the path is too long");
	strcpy(out->text, path);
	return 0;
}

static int take_pci(const char *text, enum host_address_kind kind,
		    struct host_address *out, struct rt_error *error)
{
	out->kind = kind;
	if (parse_pci(text, out->text, sizeof out->text))
		return 0;
	(void)rt_error_set(error, -EINVAL, "%.64s is not a PCI address", text);
	rt_error_hint(error, "a PCI address looks like 0000:00:04.0");
	return -EINVAL;
}

int host_address_parse(const char *address, struct host_address *out,
		       struct rt_error *error)
{
	for (size_t i = 0; i < RT_COUNT(prefixes); i++) {
		const struct prefix *p = &prefixes[i];
		size_t length = strlen(p->text);

		if (strncmp(address, p->text, length) != 0)
			continue;
		return p->kind == HOST_ADDRESS_SOCKET
			       ? take_path(address + length, out, error)
			       : take_pci(address + length, p->kind, out,
					  error);
	}
	if (strchr(address, '/'))
		return take_path(address, out, error);
	out->kind = HOST_ADDRESS_VFIO;
	if (parse_pci(address, out->text, sizeof out->text))
		return 0;
	(void)rt_error_set(error, -EINVAL,
			   "%.64s is neither a socket nor a PCI function",
			   address);
	rt_error_hint(error, "%s", expected);
	return -EINVAL;
}
