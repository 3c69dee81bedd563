/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio-user client (the "vfio-user protocol specification" of QEMU 10.2),
 * with QEMU's habits by default: version 0.0, one message at a time, DMA
 * messages answered whenever it looks at the socket.
 *
 * One thread.  Owns the connection and its own record of the memory it mapped;
 * the memory belongs to whoever asked for it.
 */
#include "host-driver/bus.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/wire.h"

#define MAX_WINDOWS        64
#define DEFAULT_TIMEOUT_MS 5000
#define MAX_TRANSFER       (1024u * 1024)
#define PAYLOAD_ROOM       (MAX_TRANSFER + 4096)

/* Word for word the capabilities that QEMU 11.1 sends. */
static const char capabilities[] =
	"{\"capabilities\": {\"pgsizes\": 4096, \"max_msg_fds\": 16, "
	"\"max_dma_maps\": 65535, \"max_data_xfer_size\": 1048576, "
	"\"migration\": {\"max_bitmap_size\": 268435456, \"pgsize\": 4096}, "
	"\"write_multiple\": true}}";

struct host_function {
	struct host_wire wire;
	struct host_options options;
	uint16_t next_id;
	bool has_write_many;
	unsigned int max_fds;
	uint64_t region_sizes[VFIO_USER_REGIONS];
	struct host_memory windows[MAX_WINDOWS];
	unsigned int window_count;
	struct host_dma_stats dma_stats;
};

static uint64_t deadline_of(const struct host_function *fn)
{
	const struct rt_clock host = { 0 };

	return rt_clock_now_ns(&host) + fn->options.timeout_ms * RT_NS_PER_MS;
}

/* Let the device run, or sleep until the socket is ready. */
static int wait_for(struct host_function *fn, short events, uint64_t deadline)
{
	const struct rt_clock host = { 0 };
	struct pollfd ready = { .fd = fn->wire.fd, .events = events };

	if (rt_clock_now_ns(&host) > deadline)
		return -ETIMEDOUT;
	if (fn->options.idle)
		fn->options.idle(fn->options.opaque);
	(void)poll(&ready, 1, fn->options.idle ? 0 : 10);
	return 0;
}

static int send_all(struct host_function *fn, struct host_wire_out *out)
{
	uint64_t deadline = deadline_of(fn);
	int rc;

	out->header.size = (uint32_t)(sizeof out->header + out->head_size +
				      out->data_size);
	while ((rc = host_wire_send(&fn->wire, out)) == 0) {
		rc = wait_for(fn, POLLOUT, deadline);
		if (rc < 0)
			return rc;
	}
	return rc < 0 ? rc : 0;
}

/* --- What the device asks of us ------------------------------------------ */

static uint8_t *find_bytes(const struct host_function *fn, uint64_t iova,
			   uint64_t size)
{
	for (unsigned int i = 0; i < fn->window_count; i++) {
		const struct host_memory *m = &fn->windows[i];

		if (iova >= m->iova && iova - m->iova < m->size &&
		    size <= m->size - (iova - m->iova))
			return (uint8_t *)m->bytes + (iova - m->iova);
	}
	return NULL;
}

static int reply_error(struct host_function *fn, int error)
{
	struct host_wire_out out = { .header = fn->wire.header };

	out.header.flags = VFIO_USER_TYPE_REPLY | VFIO_USER_ERROR;
	out.header.error = (uint32_t)error;
	fn->dma_stats.refused++;
	return send_all(fn, &out);
}

static void count_dma(struct host_function *fn, bool is_write, uint64_t bytes)
{
	if (is_write)
		fn->dma_stats.writes++;
	else
		fn->dma_stats.reads++;
	fn->dma_stats.bytes += bytes;
	if (bytes > fn->dma_stats.largest)
		fn->dma_stats.largest = bytes;
}

static int answer_read(struct host_function *fn, struct vfio_user_dma_access rw,
		       const uint8_t *bytes)
{
	struct host_wire_out out = { .header = fn->wire.header,
				     .head = &rw,
				     .head_size = sizeof rw,
				     .data = bytes };

	if (fn->options.quirks & HOST_SHORT_DMA_REPLY)
		rw.count--;
	out.data_size = rw.count;
	out.header.flags = VFIO_USER_TYPE_REPLY;
	return send_all(fn, &out);
}

static int answer_write(struct host_function *fn,
			struct vfio_user_dma_access rw, uint8_t *bytes)
{
	struct host_wire_out out = { .header = fn->wire.header };

	memcpy(bytes, fn->wire.payload + sizeof rw, rw.count);
	if (fn->wire.header.flags & VFIO_USER_NO_REPLY)
		return 0;
	if (!(fn->options.quirks & HOST_BARE_DMA_REPLY)) {
		out.head = &rw;
		out.head_size = sizeof rw;
	}
	out.header.flags = VFIO_USER_TYPE_REPLY;
	return send_all(fn, &out);
}

static int serve_dma(struct host_function *fn, size_t size, bool is_write)
{
	struct vfio_user_dma_access rw;
	uint8_t *bytes;

	if (size < sizeof rw)
		return -EPROTO;
	memcpy(&rw, fn->wire.payload, sizeof rw);
	if (rw.count > MAX_TRANSFER ||
	    size != sizeof rw + (is_write ? rw.count : 0))
		return -EPROTO;
	count_dma(fn, is_write, rw.count);
	if (fn->options.quirks & HOST_MUTE_DMA)
		return 0;
	bytes = find_bytes(fn, rw.address, rw.count);
	if (!bytes || (fn->options.quirks & HOST_REFUSE_DMA))
		return reply_error(fn, ENODEV);
	return is_write ? answer_write(fn, rw, bytes)
			: answer_read(fn, rw, bytes);
}

static int serve(struct host_function *fn, size_t size)
{
	switch (fn->wire.header.command) {
	case VFIO_USER_DMA_READ:
		return serve_dma(fn, size, false);
	case VFIO_USER_DMA_WRITE:
		return serve_dma(fn, size, true);
	default:
		return reply_error(fn, ENOSYS);
	}
}

static bool is_command(const struct host_function *fn)
{
	return (fn->wire.header.flags & VFIO_USER_TYPE) ==
	       VFIO_USER_TYPE_COMMAND;
}

int host_poll(struct host_function *fn, int timeout_ms)
{
	struct pollfd ready = { .fd = fn->wire.fd, .events = POLLIN };
	int rc, served = 0;
	size_t size;

	if (fn->options.idle)
		fn->options.idle(fn->options.opaque);
	if (timeout_ms > 0)
		(void)poll(&ready, 1, timeout_ms);
	while ((rc = host_wire_receive(&fn->wire, &size)) > 0) {
		host_wire_drop_fds(&fn->wire);
		if (!is_command(fn))
			continue; /* the late reply to a call that timed out */
		rc = serve(fn, size);
		if (rc < 0)
			return rc;
		served++;
	}
	return rc < 0 ? rc : served;
}

/* --- Commands ------------------------------------------------------------- */

/* Wait for the reply to id; *size is its payload's, which is in the wire. */
static int await_reply(struct host_function *fn, uint16_t id, size_t *size)
{
	uint64_t deadline = deadline_of(fn);
	int rc;

	for (;;) {
		rc = host_wire_receive(&fn->wire, size);
		if (rc == 0)
			rc = wait_for(fn, POLLIN, deadline);
		else if (rc > 0 && is_command(fn))
			rc = serve(fn, *size);
		else if (rc > 0 && fn->wire.header.id == id)
			return 0;
		if (rc < 0)
			return rc;
	}
}

static int check_reply(const struct host_function *fn, uint16_t command)
{
	const struct vfio_user_header *h = &fn->wire.header;

	if (h->command != command)
		return -EPROTO;
	if (!(h->flags & VFIO_USER_ERROR))
		return 0;
	return h->error > 0 && h->error < 4096 ? -(int)h->error : -EPROTO;
}

/* One command and its reply, whose payload stays in the wire's buffer. */
static int exchange(struct host_function *fn, uint16_t command,
		    struct host_wire_out *out, size_t *size)
{
	int rc;

	host_wire_drop_fds(&fn->wire);
	out->header.id = fn->next_id++;
	out->header.command = command;
	rc = send_all(fn, out);
	if (rc < 0 || (out->header.flags & VFIO_USER_NO_REPLY))
		return rc;
	rc = await_reply(fn, out->header.id, size);
	return rc < 0 ? rc : check_reply(fn, command);
}

int host_command(struct host_function *fn, uint16_t command,
		 const void *payload, size_t size, const int *fds,
		 unsigned int fd_count, void *reply, size_t *reply_size)
{
	struct host_wire_out out = { .head = payload,
				     .head_size = size,
				     .fds = fds,
				     .fd_count = fd_count };
	size_t got, room = reply && reply_size ? *reply_size : 0;
	int rc = exchange(fn, command, &out, &got);

	if (rc < 0)
		return rc;
	if (room > 0)
		memcpy(reply, fn->wire.payload, got < room ? got : room);
	if (reply_size)
		*reply_size = got;
	return 0;
}

int host_take_fd(struct host_function *fn)
{
	int fd;

	if (fn->wire.fd_count == 0)
		return -1;
	fd = fn->wire.fds[0];
	memmove(fn->wire.fds, fn->wire.fds + 1,
		--fn->wire.fd_count * sizeof fd);
	return fd;
}

/* A command whose request and reply have the same fixed size. */
static int query(struct host_function *fn, uint16_t command, void *payload,
		 size_t size)
{
	size_t got = size;
	int rc = host_command(fn, command, payload, size, NULL, 0, payload,
			      &got);

	return rc < 0 ? rc : got < size ? -EPROTO : 0;
}

/* --- Start and end -------------------------------------------------------- */

/* The number after a key in the server's capabilities; fallback without it. */
static unsigned int number_of(const char *json, const char *key,
			      unsigned int fallback)
{
	const char *at = strstr(json, key);

	at = at ? strchr(at, ':') : NULL;
	return at ? (unsigned int)strtoul(at + 1, NULL, 0) : fallback;
}

static int negotiate(struct host_function *fn, struct rt_error *error)
{
	struct vfio_user_version version = { .major = 0, .minor = 0 };
	struct host_wire_out out = { .head = &version,
				     .head_size = sizeof version };
	const char *json = "";
	size_t size = 0;
	int rc;

	if (!(fn->options.quirks & HOST_NO_CAPABILITIES)) {
		out.data = capabilities;
		out.data_size = sizeof capabilities;
	}
	rc = exchange(fn, VFIO_USER_VERSION, &out, &size);
	if (rc < 0)
		return rt_error_set(error, rc, "the server refused VERSION");
	if (size < sizeof version)
		return rt_error_set(error, -EPROTO, "VERSION's reply is short");
	memcpy(&version, fn->wire.payload, sizeof version);
	if (version.major != 0 || version.minor > 0)
		return rt_error_set(error, -EPROTO,
				    "the server wants version %u.%u",
				    version.major, version.minor);
	if (size > sizeof version) {
		if (fn->wire.payload[size - 1] != '\0')
			return rt_error_set(error, -EPROTO,
					    "VERSION's text has no end");
		json = (const char *)fn->wire.payload + sizeof version;
	}
	fn->has_write_many = strstr(json, "\"write_multiple\":true") ||
			     strstr(json, "\"write_multiple\": true");
	fn->max_fds = number_of(json, "\"max_msg_fds\"", 1);
	return 0;
}

static int learn_regions(struct host_function *fn, struct rt_error *error)
{
	struct vfio_user_device_info info = { .argsz = sizeof info };
	int rc = query(fn, VFIO_USER_DEVICE_GET_INFO, &info, sizeof info);

	if (rc < 0)
		return rt_error_set(error, rc, "the server refused GET_INFO");
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) || info.num_regions < 8)
		return rt_error_set(error, -EPROTO, "not a PCI function");
	for (uint32_t i = 0; i < VFIO_USER_REGIONS && i < info.num_regions;
	     i++) {
		struct vfio_region_info region = { .argsz = sizeof region,
						   .index = i };

		rc = query(fn, VFIO_USER_DEVICE_GET_REGION_INFO, &region,
			   sizeof region);
		if (rc < 0)
			return rt_error_set(error, rc,
					    "the server refused region %u", i);
		fn->region_sizes[i] = region.size;
	}
	return 0;
}

int host_open_fd(int fd, const struct host_options *options,
		 struct host_function **out, struct rt_error *error)
{
	struct host_function *fn = calloc(1, sizeof *fn);
	int rc;

	if (!fn) {
		close(fd);
		return rt_error_set(error, -ENOMEM, "no memory");
	}
	if (options)
		fn->options = *options;
	if (fn->options.timeout_ms == 0)
		fn->options.timeout_ms = DEFAULT_TIMEOUT_MS;
	rc = host_wire_open(&fn->wire, fd, PAYLOAD_ROOM);
	if (rc < 0)
		rt_error_set(error, rc, "no memory for the connection");
	if (rc == 0)
		rc = negotiate(fn, error);
	if (rc == 0)
		rc = learn_regions(fn, error);
	if (rc < 0) {
		host_close(&fn);
		return rc;
	}
	*out = fn;
	return 0;
}

int host_open(const char *path, const struct host_options *options,
	      struct host_function **out, struct rt_error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	RT_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof address.sun_path)
		return rt_error_set(error, -ENAMETOOLONG, "%s is too long",
				    path);
	memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return rt_error_set(error, -errno, "cannot connect to %s",
				    path);
	return host_open_fd(rt_take_fd(&fd), options, out, error);
}

void host_close(struct host_function **fn)
{
	if (!*fn)
		return;
	host_wire_close(&(*fn)->wire);
	free(*fn);
	*fn = NULL;
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

/* --- Regions -------------------------------------------------------------- */

int host_region_size(struct host_function *fn, unsigned int region,
		     uint64_t *out)
{
	if (region >= VFIO_USER_REGIONS)
		return -EINVAL;
	*out = fn->region_sizes[region];
	return 0;
}

int host_read(struct host_function *fn, unsigned int region, uint64_t offset,
	      void *data, size_t size)
{
	struct vfio_user_region_access rw = { .offset = offset,
					      .region = region,
					      .count = (uint32_t)size };
	struct host_wire_out out = { .head = &rw, .head_size = sizeof rw };
	size_t got;
	int rc;

	if (size > MAX_TRANSFER)
		return -EINVAL;
	rc = exchange(fn, VFIO_USER_REGION_READ, &out, &got);
	if (rc < 0)
		return rc;
	if (got != sizeof rw + size)
		return -EPROTO;
	memcpy(data, fn->wire.payload + sizeof rw, size);
	return 0;
}

int host_write(struct host_function *fn, unsigned int region, uint64_t offset,
	       const void *data, size_t size)
{
	struct vfio_user_region_access rw = { .offset = offset,
					      .region = region,
					      .count = (uint32_t)size };
	struct host_wire_out out = { .head = &rw,
				     .head_size = sizeof rw,
				     .data = data,
				     .data_size = size };
	size_t got;

	if (size > MAX_TRANSFER)
		return -EINVAL;
	/* QEMU waits for configuration writes in every case. */
	if ((fn->options.quirks & HOST_POSTED_WRITES) && region != HOST_CONFIG)
		out.header.flags = VFIO_USER_NO_REPLY;
	return exchange(fn, VFIO_USER_REGION_WRITE, &out, &got);
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

int host_write_many(struct host_function *fn, const struct host_store *stores,
		    size_t count)
{
	struct vfio_user_multi_write entries[200] = { 0 };
	uint64_t wr_count = count;
	struct host_wire_out out = { .head = &wr_count,
				     .head_size = sizeof wr_count,
				     .data = entries,
				     .data_size = count * sizeof entries[0] };
	size_t got;

	if (!fn->has_write_many)
		return -EOPNOTSUPP;
	if (count > RT_COUNT(entries))
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		entries[i].offset = stores[i].offset;
		entries[i].region = stores[i].region;
		entries[i].count = stores[i].size;
		le_store(entries[i].data, 8, stores[i].value);
	}
	out.header.flags = VFIO_USER_NO_REPLY;
	return exchange(fn, VFIO_USER_REGION_WRITE_MULTI, &out, &got);
}

int host_reset(struct host_function *fn)
{
	return host_command(fn, VFIO_USER_DEVICE_RESET, NULL, 0, NULL, 0, NULL,
			    NULL);
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

/* --- Memory --------------------------------------------------------------- */

/* Memory as QEMU's memory-backend-memfd makes it: its size cannot change. */
static int make_memory(struct host_memory *memory, bool is_private)
{
	int sharing = is_private ? MAP_PRIVATE : MAP_SHARED;

	memory->fd =
		memfd_create("host-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory->fd < 0)
		return -errno;
	if (ftruncate(memory->fd, (off_t)memory->size) < 0 ||
	    fcntl(memory->fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	memory->bytes = mmap(NULL, memory->size, PROT_READ | PROT_WRITE,
			     sharing, memory->fd, 0);
	return memory->bytes == MAP_FAILED ? -errno : 0;
}

int host_memory_attach(struct host_function *fn, struct host_memory *memory)
{
	struct vfio_user_dma_map map = {
		.argsz = sizeof map,
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.address = memory->iova,
		.size = memory->size,
	};
	int rc;

	if (fn->window_count == MAX_WINDOWS)
		return -ENOSPC;
	rc = host_command(fn, VFIO_USER_DMA_MAP, &map, sizeof map, &memory->fd,
			  memory->is_shared ? 1 : 0, NULL, NULL);
	if (rc == 0)
		fn->windows[fn->window_count++] = *memory;
	return rc;
}

void host_memory_free(struct host_memory *memory)
{
	if (memory->bytes && memory->bytes != MAP_FAILED)
		munmap(memory->bytes, memory->size);
	if (memory->fd >= 0)
		close(memory->fd);
	memory->bytes = NULL;
	memory->fd = -1;
}

int host_memory_map(struct host_function *fn, uint64_t iova, uint64_t size,
		    bool is_shared, struct host_memory *out)
{
	int rc;

	*out = (struct host_memory){
		.iova = iova, .size = size, .fd = -1, .is_shared = is_shared
	};
	rc = make_memory(out, fn->options.quirks & HOST_PRIVATE_MEMORY);
	if (rc == 0)
		rc = host_memory_attach(fn, out);
	if (rc < 0)
		host_memory_free(out);
	return rc;
}

static void forget_window(struct host_function *fn, uint64_t iova)
{
	for (unsigned int i = 0; i < fn->window_count; i++) {
		if (fn->windows[i].iova != iova)
			continue;
		fn->windows[i] = fn->windows[--fn->window_count];
		return;
	}
}

int host_memory_unmap(struct host_function *fn, struct host_memory *memory)
{
	struct vfio_user_dma_unmap unmap = { .argsz = sizeof unmap,
					     .address = memory->iova,
					     .size = memory->size };
	/* What the device asks meanwhile is still answered from it. */
	int rc = query(fn, VFIO_USER_DMA_UNMAP, &unmap, sizeof unmap);

	forget_window(fn, memory->iova);
	host_memory_free(memory);
	return rc;
}

/* --- Interrupts ----------------------------------------------------------- */

static int set_irqs(struct host_function *fn, uint32_t flags,
		    unsigned int index, unsigned int start, unsigned int count,
		    const int *fds, unsigned int fd_count)
{
	struct vfio_irq_set set = { .argsz = sizeof set,
				    .flags = flags,
				    .index = index,
				    .start = start,
				    .count = count };

	return host_command(fn, VFIO_USER_DEVICE_SET_IRQS, &set, sizeof set,
			    fds, fd_count, NULL, NULL);
}

int host_irq_set(struct host_function *fn, unsigned int index,
		 unsigned int start, const int *fds, unsigned int count)
{
	uint32_t flags =
		VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	unsigned int chunk, done;
	int rc = 0;

	if (!fds)
		return set_irqs(fn, flags, index, start, count, NULL, 0);
	for (done = 0; done < count && rc == 0; done += chunk) {
		chunk = count - done;
		if (chunk > fn->max_fds)
			chunk = fn->max_fds;
		if (chunk > HOST_WIRE_FDS)
			chunk = HOST_WIRE_FDS;
		if (chunk == 0)
			return -EPROTO;
		rc = set_irqs(fn, flags, index, start + done, chunk, fds + done,
			      chunk);
	}
	return rc;
}

int host_irq_disable(struct host_function *fn, unsigned int index)
{
	return set_irqs(fn,
			VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
			index, 0, 0, NULL, 0);
}

int host_irq_unmask(struct host_function *fn, unsigned int index)
{
	return set_irqs(fn, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK,
			index, 0, 1, NULL, 0);
}

int host_irq_count(struct host_function *fn, unsigned int index,
		   unsigned int *out)
{
	struct vfio_irq_info info = { .argsz = sizeof info, .index = index };
	int rc = query(fn, VFIO_USER_DEVICE_GET_IRQ_INFO, &info, sizeof info);

	if (rc == 0)
		*out = info.count;
	return rc;
}
