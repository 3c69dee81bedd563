/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio-user client (the "vfio-user protocol specification" of QEMU 10.2),
 * with QEMU's habits by default: version 0.0, one message at a time, DMA
 * messages answered whenever it looks at the socket.
 *
 * One thread.  Owns the connection and its own record of the memory it mapped;
 * the memory belongs to whoever asked for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "host-driver/bus_private.h"
#include "host-driver/memory.h"
#include "host-driver/version.h"
#include "host-driver/wire.h"

#define MAX_WINDOWS     64
#define MAX_TRANSFER    (1024u * 1024)
#define PAYLOAD_ROOM    (MAX_TRANSFER + 4096)
#define MAX_REGION_INFO 4096u

/* Word for word the capabilities that QEMU 11.1 sends. */
static const char capabilities[] =
	"{\"capabilities\": {\"pgsizes\": 4096, \"max_msg_fds\": 16, "
	"\"max_dma_maps\": 65535, \"max_data_xfer_size\": 1048576, "
	"\"migration\": {\"max_bitmap_size\": 268435456, \"pgsize\": 4096}, "
	"\"write_multiple\": true}}";

struct client {
	struct host_function fn;
	struct host_wire wire;
	uint16_t next_id;
	struct host_version version;
	struct host_memory windows[MAX_WINDOWS];
	unsigned int window_count;
};

static const struct host_bus vfio_user_bus;

static struct client *client_of(struct host_function *fn)
{
	return rt_container_of(fn, struct client, fn);
}

static uint64_t deadline_of(const struct client *c)
{
	const struct rt_clock host = { 0 };

	return rt_clock_now_ns(&host) + c->fn.options.timeout_ms * RT_NS_PER_MS;
}

/* Let the device run, or sleep until the socket is ready. */
static int wait_for(struct client *c, short events, uint64_t deadline)
{
	const struct rt_clock host = { 0 };
	struct pollfd ready = { .fd = c->wire.fd, .events = events };

	if (rt_clock_now_ns(&host) > deadline)
		return -ETIMEDOUT;
	if (c->fn.options.idle)
		c->fn.options.idle(c->fn.options.opaque);
	(void)poll(&ready, 1, c->fn.options.idle ? 0 : 10);
	return 0;
}

static int send_all(struct client *c, struct host_wire_out *out)
{
	uint64_t deadline = deadline_of(c);
	int rc;

	out->header.size = (uint32_t)(sizeof out->header + out->head_size +
				      out->data_size);
	while ((rc = host_wire_send(&c->wire, out)) == 0) {
		rc = wait_for(c, POLLOUT, deadline);
		if (rc < 0)
			return rc;
	}
	return rc < 0 ? rc : 0;
}

/* --- What the device asks of us ------------------------------------------ */

static uint8_t *find_bytes(const struct client *c, uint64_t iova, uint64_t size)
{
	for (unsigned int i = 0; i < c->window_count; i++) {
		const struct host_memory *m = &c->windows[i];

		if (iova >= m->iova && iova - m->iova < m->size &&
		    size <= m->size - (iova - m->iova))
			return (uint8_t *)m->bytes + (iova - m->iova);
	}
	return NULL;
}

static int reply_error(struct client *c, int error)
{
	struct host_wire_out out = { .header = c->wire.header };

	out.header.flags = VFIO_USER_TYPE_REPLY | VFIO_USER_ERROR;
	out.header.error = (uint32_t)error;
	c->fn.dma_stats.refused++;
	return send_all(c, &out);
}

static void count_dma(struct client *c, bool is_write, uint64_t bytes)
{
	if (is_write)
		c->fn.dma_stats.writes++;
	else
		c->fn.dma_stats.reads++;
	c->fn.dma_stats.bytes += bytes;
	if (bytes > c->fn.dma_stats.largest)
		c->fn.dma_stats.largest = bytes;
}

static int answer_read(struct client *c, struct vfio_user_dma_access rw,
		       const uint8_t *bytes)
{
	struct host_wire_out out = { .header = c->wire.header,
				     .head = &rw,
				     .head_size = sizeof rw,
				     .data = bytes };

	if (c->fn.options.quirks & HOST_SHORT_DMA_REPLY)
		rw.count--;
	out.data_size = rw.count;
	out.header.flags = VFIO_USER_TYPE_REPLY;
	return send_all(c, &out);
}

static int answer_write(struct client *c, struct vfio_user_dma_access rw,
			uint8_t *bytes)
{
	struct host_wire_out out = { .header = c->wire.header };

	memcpy(bytes, c->wire.payload + sizeof rw, rw.count);
	if (c->wire.header.flags & VFIO_USER_NO_REPLY)
		return 0;
	if (!(c->fn.options.quirks & HOST_BARE_DMA_REPLY)) {
		out.head = &rw;
		out.head_size = sizeof rw;
	}
	out.header.flags = VFIO_USER_TYPE_REPLY;
	return send_all(c, &out);
}

static int serve_dma(struct client *c, size_t size, bool is_write)
{
	struct vfio_user_dma_access rw;
	uint8_t *bytes;

	if (size < sizeof rw)
		return -EPROTO;
	memcpy(&rw, c->wire.payload, sizeof rw);
	if (rw.count > MAX_TRANSFER ||
	    size != sizeof rw + (is_write ? rw.count : 0))
		return -EPROTO;
	count_dma(c, is_write, rw.count);
	if (c->fn.options.quirks & HOST_MUTE_DMA)
		return 0;
	bytes = find_bytes(c, rw.address, rw.count);
	if (!bytes || (c->fn.options.quirks & HOST_REFUSE_DMA))
		return reply_error(c, ENODEV);
	return is_write ? answer_write(c, rw, bytes)
			: answer_read(c, rw, bytes);
}

static int serve(struct client *c, size_t size)
{
	switch (c->wire.header.command) {
	case VFIO_USER_DMA_READ:
		return serve_dma(c, size, false);
	case VFIO_USER_DMA_WRITE:
		return serve_dma(c, size, true);
	default:
		return reply_error(c, ENOSYS);
	}
}

static bool is_command(const struct client *c)
{
	return (c->wire.header.flags & VFIO_USER_TYPE) ==
	       VFIO_USER_TYPE_COMMAND;
}

static int poll_socket(struct host_function *fn, int timeout_ms)
{
	struct client *c = client_of(fn);
	struct pollfd ready = { .fd = c->wire.fd, .events = POLLIN };
	int rc, served = 0;
	size_t size;

	if (c->fn.options.idle)
		c->fn.options.idle(c->fn.options.opaque);
	if (timeout_ms > 0)
		(void)poll(&ready, 1, timeout_ms);
	while ((rc = host_wire_receive(&c->wire, &size)) > 0) {
		host_wire_drop_fds(&c->wire);
		if (!is_command(c))
			continue; /* the late reply to a call that timed out */
		rc = serve(c, size);
		if (rc < 0)
			return rc;
		served++;
	}
	return rc < 0 ? rc : served;
}

/* --- Commands ------------------------------------------------------------- */

/* Wait for the reply to id; *size is its payload's, which is in the wire. */
static int await_reply(struct client *c, uint16_t id, size_t *size)
{
	uint64_t deadline = deadline_of(c);
	int rc;

	for (;;) {
		rc = host_wire_receive(&c->wire, size);
		if (rc > 0 && !is_command(c) && c->wire.header.id == id)
			return 0;
		if (rc > 0)
			host_wire_drop_fds(&c->wire); /* not of our reply */
		if (rc == 0)
			rc = wait_for(c, POLLIN, deadline);
		else if (rc > 0 && is_command(c))
			rc = serve(c, *size);
		if (rc < 0)
			return rc;
	}
}

static int check_reply(const struct client *c, uint16_t command)
{
	const struct vfio_user_header *h = &c->wire.header;

	if (h->command != command)
		return -EPROTO;
	if (!(h->flags & VFIO_USER_ERROR))
		return 0;
	return h->error > 0 && h->error < 4096 ? -(int)h->error : -EPROTO;
}

/* One command and its reply, whose payload stays in the wire's buffer. */
static int exchange(struct client *c, uint16_t command,
		    struct host_wire_out *out, size_t *size)
{
	int rc;

	host_wire_drop_fds(&c->wire);
	out->header.id = c->next_id++;
	out->header.command = command;
	rc = send_all(c, out);
	if (rc < 0 || (out->header.flags & VFIO_USER_NO_REPLY))
		return rc;
	rc = await_reply(c, out->header.id, size);
	return rc < 0 ? rc : check_reply(c, command);
}

/* reply may be NULL; *reply_size is its room and then what came. */
static int command(struct client *c, uint16_t number, struct host_wire_out *out,
		   void *reply, size_t *reply_size)
{
	size_t got, room = reply && reply_size ? *reply_size : 0;
	int rc = exchange(c, number, out, &got);

	if (rc < 0)
		return rc;
	if (room > 0)
		memcpy(reply, c->wire.payload, got < room ? got : room);
	if (reply_size)
		*reply_size = got;
	return 0;
}

/* A command whose request and reply have the same fixed size. */
static int query(struct client *c, uint16_t number, void *payload, size_t size)
{
	struct host_wire_out out = { .head = payload, .head_size = size };
	size_t got = size;
	int rc = command(c, number, &out, payload, &got);

	return rc < 0 ? rc : got < size ? -EPROTO : 0;
}

static int take_fd(struct client *c)
{
	int fd;

	if (c->wire.fd_count == 0)
		return -1;
	fd = c->wire.fds[0];
	memmove(c->wire.fds, c->wire.fds + 1, --c->wire.fd_count * sizeof fd);
	return fd;
}

int host_command(struct host_function *fn, uint16_t number, const void *payload,
		 size_t size, const int *fds, unsigned int fd_count,
		 void *reply, size_t *reply_size)
{
	struct host_wire_out out = { .head = payload,
				     .head_size = size,
				     .fds = fds,
				     .fd_count = fd_count };

	if (fn->bus != &vfio_user_bus)
		return -EOPNOTSUPP;
	return command(client_of(fn), number, &out, reply, reply_size);
}

int host_take_fd(struct host_function *fn)
{
	return fn->bus == &vfio_user_bus ? take_fd(client_of(fn)) : -1;
}

/* --- Start and end -------------------------------------------------------- */

static int negotiate(struct client *c, struct rt_error *error)
{
	struct vfio_user_version version = { .major = 0, .minor = 0 };
	struct host_wire_out out = { .head = &version,
				     .head_size = sizeof version };
	size_t size = 0;
	int rc;

	if (!(c->fn.options.quirks & HOST_NO_CAPABILITIES)) {
		out.data = capabilities;
		out.data_size = sizeof capabilities;
	}
	rc = exchange(c, VFIO_USER_VERSION, &out, &size);
	if (rc < 0)
		return rt_error_set(error, rc,
				    "the server did not take VERSION (%s)",
				    rt_errno_name(rc));
	rc = host_version_parse(c->wire.payload, size, &c->version, error);
	if (rc == 0 && c->version.max_transfer > MAX_TRANSFER)
		c->version.max_transfer = MAX_TRANSFER;
	return rc;
}

/*
 * A reply longer than asked for says so in argsz; asking again brings the
 * capabilities and the descriptor.
 */
static int learn_region(struct client *c, uint32_t index)
{
	struct {
		struct vfio_region_info info;
		uint8_t more[MAX_REGION_INFO - sizeof(struct vfio_region_info)];
	} reply = { .info = { .argsz = sizeof reply.info, .index = index } };
	struct host_wire_out out = { .head = &reply,
				     .head_size = sizeof reply.info };
	struct host_region *region = &c->fn.regions[index];
	size_t got = sizeof reply;
	int rc = command(c, VFIO_USER_DEVICE_GET_REGION_INFO, &out, &reply,
			 &got);

	if (rc == 0 && got >= sizeof reply.info &&
	    reply.info.argsz > sizeof reply.info) {
		out.sent = 0;
		got = sizeof reply;
		if (reply.info.argsz > got)
			return -EPROTO;
		reply.info =
			(struct vfio_region_info){ .argsz = reply.info.argsz,
						   .index = index };
		rc = command(c, VFIO_USER_DEVICE_GET_REGION_INFO, &out, &reply,
			     &got);
	}
	if (rc == 0)
		rc = host_region_parse(region, &reply,
				       got < sizeof reply ? got : sizeof reply);
	if (rc == 0 && region->area_count > 0)
		region->fd = take_fd(c);
	return rc;
}

static int learn_regions(struct client *c, struct rt_error *error)
{
	struct vfio_user_device_info info = { .argsz = sizeof info };
	int rc = query(c, VFIO_USER_DEVICE_GET_INFO, &info, sizeof info);

	if (rc < 0)
		return rt_error_set(error, rc, "the server refused GET_INFO");
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) || info.num_regions < 8)
		return rt_error_set(error, -EPROTO, "not a PCI function");
	for (uint32_t i = 0; i < HOST_REGIONS && i < info.num_regions; i++) {
		rc = learn_region(c, i);
		if (rc < 0)
			return rt_error_set(error, rc,
					    "region %u cannot be learnt (%s)",
					    i, rt_errno_name(rc));
	}
	return 0;
}

static void close_client(struct host_function *fn)
{
	struct client *c = client_of(fn);

	host_wire_close(&c->wire);
	free(c);
}

int host_open_fd(int fd, const struct host_options *options,
		 struct host_function **out, struct rt_error *error)
{
	struct client *c = calloc(1, sizeof *c);
	struct host_function *fn;
	int rc;

	if (!c) {
		close(fd);
		return rt_error_set(error, -ENOMEM, "no memory");
	}
	fn = &c->fn;
	host_function_start(fn, &vfio_user_bus, options);
	rc = host_wire_open(&c->wire, fd, PAYLOAD_ROOM);
	if (rc < 0)
		rt_error_set(error, rc, "no memory for the connection");
	if (rc == 0)
		rc = negotiate(c, error);
	if (rc == 0)
		rc = learn_regions(c, error);
	if (rc < 0) {
		host_close(&fn);
		return rc;
	}
	*out = fn;
	return 0;
}

/* A directory's socket has the name that SPDK's targets give it. */
static int fill_path(const char *path, struct sockaddr_un *address,
		     struct rt_error *error)
{
	struct stat st;
	bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	int n = snprintf(address->sun_path, sizeof address->sun_path, "%s%s",
			 path, is_folder ? "/cntrl" : "");

	if (n < 0 || (size_t)n >= sizeof address->sun_path)
		return rt_error_set(error, -ENAMETOOLONG,
				    "%.200s is too long for a socket", path);
	return 0;
}

static void explain_refusal(int code, struct rt_error *error)
{
	if (code == -ENOENT)
		rt_error_hint(error, "is the server running?");
	else if (code == -ECONNREFUSED)
		rt_error_hint(error, "nobody listens at this socket any more");
	else if (code == -EACCES)
		rt_error_hint(error, "you may not write to this socket");
}

int host_open_socket(const char *path, const struct host_options *options,
		     struct host_function **out, struct rt_error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	RT_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = fill_path(path, &address, error);

	if (rc < 0)
		return rc;
	if (fd < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		rc = rt_error_set(error, -errno, "cannot connect to %s (%s)",
				  address.sun_path, rt_errno_name(errno));
		explain_refusal(rc, error);
		return rc;
	}
	return host_open_fd(rt_take_fd(&fd), options, out, error);
}

static pid_t peer_pid(const struct host_function *fn)
{
	const struct client *c = rt_container_of(fn, const struct client, fn);
	struct ucred peer = { 0 };
	socklen_t size = sizeof peer;

	(void)getsockopt(c->wire.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	return peer.pid;
}

/* --- Regions -------------------------------------------------------------- */

static int read_region(struct host_function *fn, unsigned int region,
		       uint64_t offset, void *data, size_t size)
{
	struct client *c = client_of(fn);
	struct vfio_user_region_access rw = { .offset = offset,
					      .region = region,
					      .count = (uint32_t)size };
	struct host_wire_out out = { .head = &rw, .head_size = sizeof rw };
	size_t got;
	int rc;

	if (size > c->version.max_transfer)
		return -EINVAL;
	rc = exchange(c, VFIO_USER_REGION_READ, &out, &got);
	if (rc < 0)
		return rc;
	if (got != sizeof rw + size)
		return -EPROTO;
	memcpy(data, c->wire.payload + sizeof rw, size);
	return 0;
}

static int write_region(struct host_function *fn, unsigned int region,
			uint64_t offset, const void *data, size_t size)
{
	struct client *c = client_of(fn);
	struct vfio_user_region_access rw = { .offset = offset,
					      .region = region,
					      .count = (uint32_t)size };
	struct host_wire_out out = { .head = &rw,
				     .head_size = sizeof rw,
				     .data = data,
				     .data_size = size };
	size_t got;

	if (size > c->version.max_transfer)
		return -EINVAL;
	/* QEMU waits for configuration writes in every case. */
	if ((fn->options.quirks & HOST_POSTED_WRITES) && region != HOST_CONFIG)
		out.header.flags = VFIO_USER_NO_REPLY;
	return exchange(c, VFIO_USER_REGION_WRITE, &out, &got);
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

	if (fn->bus != &vfio_user_bus || !client_of(fn)->version.has_write_many)
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
	return exchange(client_of(fn), VFIO_USER_REGION_WRITE_MULTI, &out,
			&got);
}

static int reset(struct host_function *fn)
{
	struct host_wire_out out = { 0 };

	return command(client_of(fn), VFIO_USER_DEVICE_RESET, &out, NULL, NULL);
}

/* --- Memory --------------------------------------------------------------- */

/* Memory as QEMU's memory-backend-memfd makes it: its size cannot change. */
static int make_memory(struct host_memory *memory, unsigned int flags,
		       int sharing)
{
	memory->fd = memfd_create("host-memory",
				  MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
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

/* Huge pages there are, or are not: a reservation can still fail when used. */
static bool make_huge_memory(struct host_memory *memory)
{
	if (make_memory(memory, MFD_HUGETLB | MFD_HUGE_2MB, MAP_SHARED) == 0 &&
	    madvise(memory->bytes, memory->size, MADV_POPULATE_WRITE) == 0)
		return true;
	host_memory_free(memory);
	return false;
}

static int make_client_memory(struct host_function *fn,
			      struct host_memory *memory)
{
	unsigned int quirks = fn->options.quirks;

	if (quirks & HOST_PRIVATE_MEMORY)
		return make_memory(memory, 0, MAP_PRIVATE);
	if (!(quirks & HOST_SMALL_PAGES) && host_is_huge(memory->size) &&
	    make_huge_memory(memory))
		return 0;
	return make_memory(memory, 0, MAP_SHARED);
}

static int attach_memory(struct host_function *fn, struct host_memory *memory)
{
	struct client *c = client_of(fn);
	struct vfio_user_dma_map map = {
		.argsz = sizeof map,
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.address = memory->iova,
		.size = memory->size,
	};
	struct host_wire_out out = { .head = &map,
				     .head_size = sizeof map,
				     .fds = &memory->fd,
				     .fd_count = memory->is_shared ? 1 : 0 };
	int rc;

	if (c->window_count == MAX_WINDOWS)
		return -ENOSPC;
	rc = command(c, VFIO_USER_DMA_MAP, &out, NULL, NULL);
	if (rc == 0)
		c->windows[c->window_count++] = *memory;
	return rc;
}

static void forget_window(struct client *c, uint64_t iova)
{
	for (unsigned int i = 0; i < c->window_count; i++) {
		if (c->windows[i].iova != iova)
			continue;
		c->windows[i] = c->windows[--c->window_count];
		return;
	}
}

static int detach_memory(struct host_function *fn,
			 const struct host_memory *memory)
{
	struct vfio_user_dma_unmap unmap = { .argsz = sizeof unmap,
					     .address = memory->iova,
					     .size = memory->size };
	int rc =
		query(client_of(fn), VFIO_USER_DMA_UNMAP, &unmap, sizeof unmap);

	forget_window(client_of(fn), memory->iova);
	return rc;
}

/* --- Interrupts ----------------------------------------------------------- */

static int send_irqs(struct client *c, struct vfio_irq_set set, const int *fds)
{
	struct host_wire_out out = { .head = &set,
				     .head_size = sizeof set,
				     .fds = fds,
				     .fd_count = fds ? set.count : 0 };

	set.argsz = sizeof set;
	return command(c, VFIO_USER_DEVICE_SET_IRQS, &out, NULL, NULL);
}

static int set_irqs(struct host_function *fn, uint32_t flags,
		    unsigned int index, unsigned int start, unsigned int count,
		    const int *fds)
{
	struct client *c = client_of(fn);
	struct vfio_irq_set set = {
		.flags = flags, .index = index, .start = start, .count = count
	};
	unsigned int done, most = c->version.max_fds;
	int rc = 0;

	if (!fds)
		return send_irqs(c, set, NULL);
	if (most > HOST_WIRE_FDS)
		most = HOST_WIRE_FDS;
	for (done = 0; done < count && rc == 0; done += set.count) {
		set.start = start + done;
		set.count = count - done < most ? count - done : most;
		rc = send_irqs(c, set, fds + done);
	}
	return rc;
}

static int count_irqs(struct host_function *fn, unsigned int index,
		      unsigned int *out)
{
	struct vfio_irq_info info = { .argsz = sizeof info, .index = index };
	int rc = query(client_of(fn), VFIO_USER_DEVICE_GET_IRQ_INFO, &info,
		       sizeof info);

	if (rc == 0)
		*out = info.count;
	return rc;
}

static const struct host_bus vfio_user_bus = {
	.name = "vfio-user",
	.close = close_client,
	.read = read_region,
	.write = write_region,
	.reset = reset,
	.memory_make = make_client_memory,
	.memory_attach = attach_memory,
	.memory_detach = detach_memory,
	.irq_set = set_irqs,
	.irq_count = count_irqs,
	.poll = poll_socket,
	.peer_pid = peer_pid,
};
