/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that work the function: memory windows, interrupts, region accesses,
 * reset.  On the function's loop thread.
 *
 * An access that the protocol allows is never an error, however odd it is for
 * the device: it reads ones or is ignored, as on a bus.  (cloud-hypervisor
 * waits for ever for the rest of an error reply.)
 */
#include <errno.h>
#include <string.h>

#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server_private.h"

#define MULTI_PER_TURN 1024u

int pcie_server_dma_map(struct pcie_server *server,
			struct pcie_server_request *request)
{
	const uint32_t protection = PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE;
	const uint32_t known =
		protection | VFIO_USER_DMA_MAP_MMAP | VFIO_USER_DMA_MAP_FILE_IO;
	struct vfio_user_dma_map map;

	memcpy(&map, request->payload, sizeof map);
	if (map.argsz < sizeof map || map.flags & ~known)
		return -EINVAL;
	return pcie_dma_map(
		server->fn, map.address, map.size, map.flags & protection,
		request->fd_count ? request->fds[0] : -1, map.offset);
}

/* From inside the device: only note it, the answer wakes us. */
static void unmapped(struct pcie_function *fn, void *opaque)
{
	(void)fn;
	pcie_server_answer(opaque);
}

static int unmap(struct pcie_server *server, struct vfio_user_dma_unmap *u)
{
	if (u->flags == 0)
		return pcie_dma_unmap(server->fn, u->address, u->size, unmapped,
				      server);
	if (u->flags != VFIO_DMA_UNMAP_FLAG_ALL || u->address || u->size)
		return -EINVAL;
	return pcie_dma_unmap_every(server->fn, unmapped, server,
				    (uint64_t *)&u->size);
}

int pcie_server_dma_unmap(struct pcie_server *server,
			  struct pcie_server_request *request)
{
	struct vfio_user_dma_unmap u;
	int error;

	memcpy(&u, request->payload, sizeof u);
	if (u.argsz < sizeof u)
		return -EINVAL;
	u.argsz = sizeof u;
	error = unmap(server, &u);
	if (error == -EINPROGRESS) {
		pcie_server_defer(server, request, &u, sizeof u);
		return PCIE_SERVER_LATER;
	}
	memcpy(request->reply, &u, sizeof u);
	request->reply_size = sizeof u;
	return error;
}

static int check_irq_data(const struct vfio_irq_set *set,
			  const struct pcie_server_request *request)
{
	size_t bytes = request->size - sizeof *set;

	switch (set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_BOOL:
		return set->count == bytes ? 0 : -EINVAL;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		return !request->fd_count || request->fd_count == set->count
			       ? 0
			       : -EINVAL;
	default:
		return 0;
	}
}

int pcie_server_set_irqs(struct pcie_server *server,
			 struct pcie_server_request *request)
{
	struct vfio_irq_set set;
	int error;

	memcpy(&set, request->payload, sizeof set);
	if (set.argsz < sizeof set)
		return -EINVAL;
	error = check_irq_data(&set, request);
	if (error)
		return error;
	return pcie_interrupt_set(server->fn, set.flags, set.index, set.start,
				  set.count, request->payload + sizeof set,
				  request->fd_count ? request->fds : NULL);
}

static bool is_implemented(uint32_t region)
{
	return region < PCIE_BARS || region == PCIE_CONFIG_REGION;
}

int pcie_server_region_read(struct pcie_server *server,
			    struct pcie_server_request *request)
{
	struct vfio_user_region_access access;
	uint8_t *data = request->reply + sizeof access;

	memcpy(&access, request->payload, sizeof access);
	if (access.region >= VFIO_USER_REGIONS ||
	    access.count > server->capabilities.max_data_xfer_size)
		return -EINVAL;
	memcpy(request->reply, &access, sizeof access);
	if (is_implemented(access.region))
		pcie_region_read(server->fn, access.region, access.offset, data,
				 access.count);
	else
		memset(data, 0xff, access.count);
	request->reply_size = sizeof access + access.count;
	return 0;
}

int pcie_server_region_write(struct pcie_server *server,
			     struct pcie_server_request *request)
{
	struct vfio_user_region_access access;

	memcpy(&access, request->payload, sizeof access);
	if (access.region >= VFIO_USER_REGIONS ||
	    access.count > server->capabilities.max_data_xfer_size ||
	    access.count != request->size - sizeof access)
		return -EINVAL;
	if (is_implemented(access.region))
		pcie_region_write(server->fn, access.region, access.offset,
				  request->payload + sizeof access,
				  access.count);
	memcpy(request->reply, &access, sizeof access);
	request->reply_size = sizeof access;
	return 0;
}

static void get_write(const struct pcie_server_request *request, uint64_t i,
		      struct vfio_user_multi_write *out)
{
	memcpy(out, request->payload + sizeof(uint64_t) + i * sizeof *out,
	       sizeof *out);
}

/* All or nothing: the client does not learn how far we came. */
static int check_writes(const struct pcie_server_request *request,
			uint64_t count)
{
	struct vfio_user_multi_write write;

	for (uint64_t i = 0; i < count; i++) {
		get_write(request, i, &write);
		if (write.region >= VFIO_USER_REGIONS || !write.count ||
		    write.count > sizeof write.data)
			return -EINVAL;
	}
	return 0;
}

static int check_multi(struct pcie_server *server,
		       const struct pcie_server_request *request,
		       uint64_t count)
{
	size_t bytes = request->size - sizeof(uint64_t);

	if (!server->capabilities.write_multiple)
		return -ENOSYS;
	if (count > bytes ||
	    count * sizeof(struct vfio_user_multi_write) != bytes)
		return -EINVAL;
	return check_writes(request, count);
}

int pcie_server_write_multi(struct pcie_server *server,
			    struct pcie_server_request *request)
{
	struct vfio_user_multi_write write;
	uint64_t count;
	int error;

	memcpy(&count, request->payload, sizeof count);
	error = request->progress ? 0 : check_multi(server, request, count);
	if (error)
		return error;
	for (unsigned int n = 0; request->progress < count; n++) {
		if (n == MULTI_PER_TURN)
			return PCIE_SERVER_AGAIN;
		get_write(request, request->progress++, &write);
		if (is_implemented(write.region))
			pcie_region_write(server->fn, write.region,
					  write.offset, write.data,
					  write.count);
	}
	memcpy(request->reply, &count, sizeof count);
	request->reply_size = sizeof count;
	return 0;
}

static void reset_done(struct pcie_function *fn, void *opaque)
{
	(void)fn;
	pcie_server_answer(opaque);
}

int pcie_server_reset(struct pcie_server *server,
		      struct pcie_server_request *request)
{
	int error;

	pcie_server_defer(server, request, NULL, 0);
	error = pcie_function_reset(server->fn, PCIE_RESET_BUS, reset_done,
				    server);
	/* Too many wait already: the client will wait for the time-out. */
	(void)error;
	return PCIE_SERVER_LATER;
}
