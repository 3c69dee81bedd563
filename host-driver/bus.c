/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A function, whatever way it is reached: finds the bus for an address and
 * passes calls on to its table (host-driver/bus_private.h).  One thread.  Owns
 * the function's record of its regions.
 */
#include "host-driver/bus.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/error.h"
#include "host-driver/address.h"
#include "host-driver/bus_private.h"

#define DEFAULT_TIMEOUT_MS 5000
#define PCI_COMMAND_WORD   4
#define PCI_COMMAND_MEMORY 2u
#define PCI_COMMAND_MASTER 4u
#define CAPABILITY_MSIX    0x11
#define MSIX_CONTROL       2 /* in the capability */
#define MSIX_ENABLE        0x8000u
#define MSIX_MASK_ALL      0x4000u

/* --- Start and end -------------------------------------------------------- */

void host_function_start(struct host_function *fn, const struct host_bus *bus,
			 const struct host_options *options)
{
	fn->bus = bus;
	fn->name = bus->name;
	if (options)
		fn->options = *options;
	if (fn->options.timeout_ms == 0)
		fn->options.timeout_ms = DEFAULT_TIMEOUT_MS;
	for (unsigned int i = 0; i < HOST_REGIONS; i++)
		fn->regions[i].fd = -1;
}

int host_open(const char *address, const struct host_options *options,
	      struct host_function **out, struct rt_error *error)
{
	struct host_address a;
	int rc = host_address_parse(address, &a, error);

	if (rc < 0)
		return rc;
	if (a.kind == HOST_ADDRESS_SOCKET)
		return host_open_socket(a.text, options, out, error);
	return host_open_vfio(&a, options, out, error);
}

void host_close(struct host_function **fn)
{
	if (!*fn)
		return;
	for (unsigned int i = 0; i < HOST_REGIONS; i++)
		host_region_close(&(*fn)->regions[i]);
	(*fn)->bus->close(*fn);
	*fn = NULL;
}

const char *host_bus_name(const struct host_function *fn)
{
	return fn->name;
}

const struct rt_error *host_error(const struct host_function *fn)
{
	return &fn->error;
}

pid_t host_peer_pid(const struct host_function *fn)
{
	return fn->bus->peer_pid ? fn->bus->peer_pid(fn) : 0;
}

void host_set_idle(struct host_function *fn, void (*idle)(void *opaque),
		   void *opaque)
{
	fn->options.idle = idle;
	fn->options.opaque = opaque;
}

void host_set_quirks(struct host_function *fn, unsigned int quirks)
{
	fn->options.quirks = quirks;
}

void host_set_timeout(struct host_function *fn, unsigned int timeout_ms)
{
	fn->options.timeout_ms = timeout_ms;
}

const struct host_dma_stats *host_dma_stats(const struct host_function *fn)
{
	return &fn->dma_stats;
}

int host_poll(struct host_function *fn, int timeout_ms)
{
	return fn->bus->poll(fn, timeout_ms);
}

/* --- Regions -------------------------------------------------------------- */

int host_region_size(struct host_function *fn, unsigned int region,
		     uint64_t *out)
{
	if (region >= HOST_REGIONS)
		return -EINVAL;
	*out = fn->regions[region].size;
	return 0;
}

int host_region_map(struct host_function *fn, unsigned int region,
		    uint64_t offset, uint64_t size, volatile void **out)
{
	if (region >= HOST_REGIONS)
		return -EINVAL;
	if (fn->options.quirks & HOST_NO_REGION_MAPS)
		return -EOPNOTSUPP;
	return host_region_point(&fn->regions[region], offset, size, out);
}

int host_read(struct host_function *fn, unsigned int region, uint64_t offset,
	      void *data, size_t size)
{
	return fn->bus->read(fn, region, offset, data, size);
}

int host_write(struct host_function *fn, unsigned int region, uint64_t offset,
	       const void *data, size_t size)
{
	return fn->bus->write(fn, region, offset, data, size);
}

int host_read32(struct host_function *fn, unsigned int region, uint64_t offset,
		uint32_t *out)
{
	le32 value;
	int rc = host_read(fn, region, offset, &value, sizeof value);

	if (rc == 0)
		*out = le32_get(value);
	return rc;
}

int host_write32(struct host_function *fn, unsigned int region, uint64_t offset,
		 uint32_t value)
{
	le32 bytes = le32_put(value);

	return host_write(fn, region, offset, &bytes, sizeof bytes);
}

int host_read64(struct host_function *fn, unsigned int region, uint64_t offset,
		uint64_t *out)
{
	le64 value;
	int rc = host_read(fn, region, offset, &value, sizeof value);

	if (rc == 0)
		*out = le64_get(value);
	return rc;
}

int host_write64(struct host_function *fn, unsigned int region, uint64_t offset,
		 uint64_t value)
{
	le64 bytes = le64_put(value);

	return host_write(fn, region, offset, &bytes, sizeof bytes);
}

int host_reset(struct host_function *fn)
{
	return fn->bus->reset(fn);
}

static int change_command(struct host_function *fn, uint16_t off, uint16_t on)
{
	le16 word;
	int rc = host_read(fn, HOST_CONFIG, PCI_COMMAND_WORD, &word, 2);

	if (rc < 0)
		return rc;
	word = le16_put((uint16_t)((le16_get(word) & ~off) | on));
	return host_write(fn, HOST_CONFIG, PCI_COMMAND_WORD, &word, 2);
}

int host_turn_on(struct host_function *fn)
{
	return change_command(fn, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

int host_turn_off(struct host_function *fn)
{
	return change_command(fn, PCI_COMMAND_MASTER, 0);
}

unsigned int host_capability(struct host_function *fn, uint8_t id)
{
	uint8_t config[256];
	unsigned int at;

	if (host_read(fn, HOST_CONFIG, 0, config, sizeof config) < 0)
		return 0;
	at = config[0x34] & 0xfcu;
	for (int left = 48; at >= 0x40 && left > 0; left--) {
		if (config[at] == id)
			return at;
		at = config[at + 1] & 0xfcu;
	}
	return 0;
}

/* --- Interrupts ----------------------------------------------------------- */

int host_irq_set(struct host_function *fn, unsigned int index,
		 unsigned int start, const int *fds, unsigned int count)
{
	return fn->bus->irq_set(
		fn, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		index, start, count, fds);
}

int host_irq_disable(struct host_function *fn, unsigned int index)
{
	return fn->bus->irq_set(
		fn, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, index,
		0, 0, NULL);
}

int host_irq_unmask(struct host_function *fn, unsigned int index)
{
	return fn->bus->irq_set(
		fn, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, index,
		0, 1, NULL);
}

int host_irq_count(struct host_function *fn, unsigned int index,
		   unsigned int *out)
{
	return fn->bus->irq_count(fn, index, out);
}

static int switch_msix(struct host_function *fn, bool is_on)
{
	unsigned int at = host_capability(fn, CAPABILITY_MSIX);
	le16 control;
	int rc;

	if (at == 0)
		return -EOPNOTSUPP;
	at += MSIX_CONTROL;
	rc = host_read(fn, HOST_CONFIG, at, &control, sizeof control);
	if (rc < 0)
		return rc;
	control = le16_put(
		(uint16_t)(le16_get(control) & ~(MSIX_ENABLE | MSIX_MASK_ALL)));
	if (is_on)
		control = le16_put(le16_get(control) | MSIX_ENABLE);
	return host_write(fn, HOST_CONFIG, at, &control, sizeof control);
}

int host_msix_enable(struct host_function *fn, const int *fds,
		     unsigned int count)
{
	int rc = host_irq_set(fn, VFIO_PCI_MSIX_IRQ_INDEX, 0, fds, count);

	return rc < 0 ? rc : switch_msix(fn, true);
}

int host_msix_disable(struct host_function *fn)
{
	int rc = switch_msix(fn, false);
	int result = host_irq_disable(fn, VFIO_PCI_MSIX_IRQ_INDEX);

	return rc < 0 ? rc : result;
}
