/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that ask what the function is: version, regions, interrupts,
 * features.  On the function's loop thread.
 */
#include <errno.h>
#include <string.h>

#include "firmware/rt/log.h"
#include "pcie-model/function.h"
#include "pcie-model/vfio-user/server_private.h"

static void answer_version(struct pcie_server *server,
			   struct pcie_server_request *request,
			   const struct vfio_user_version *asked)
{
	struct vfio_user_version ours = { VFIO_USER_MAJOR, VFIO_USER_MINOR };
	char text[VFIO_USER_REPLY_TEXT_MAX];
	size_t size = vfio_user_capabilities_print(&server->capabilities, text);

	if (asked->minor < ours.minor)
		ours.minor = asked->minor;
	memcpy(request->reply, &ours, sizeof ours);
	memcpy(request->reply + sizeof ours, text, size);
	request->reply_size = sizeof ours + size;
}

int pcie_server_version(struct pcie_server *server,
			struct pcie_server_request *request)
{
	struct vfio_user_capabilities client;
	struct vfio_user_version asked;
	int error;

	memcpy(&asked, request->payload, sizeof asked);
	if (asked.major != VFIO_USER_MAJOR) {
		pcie_server_break(server, "it speaks another vfio-user");
		return -EINVAL;
	}
	error = vfio_user_capabilities_parse(
		(const char *)request->payload + sizeof asked,
		request->size - sizeof asked, &client);
	if (error) {
		pcie_server_break(server, "its capabilities make no sense");
		return error;
	}
	vfio_user_capabilities_meet(&client, &server->capabilities);
	server->client_fds = client.max_msg_fds;
	server->fn->dma.can_check = client.names_dma_maps;
	server->fn->dma.message_bytes = PCIE_DMA_MESSAGE_BYTES;
	if (client.max_data_xfer_size < PCIE_DMA_MESSAGE_BYTES)
		server->fn->dma.message_bytes = client.max_data_xfer_size;
	server->is_versioned = true;
	answer_version(server, request, &asked);
	return 0;
}

int pcie_server_device_info(struct pcie_server *server,
			    struct pcie_server_request *request)
{
	struct vfio_user_device_info info;

	memcpy(&info, request->payload, sizeof info);
	if (info.argsz < sizeof info)
		return -EINVAL;
	/* Clients give their memory before they ask. */
	pcie_dma_tell_sharing(server->fn);
	info = (struct vfio_user_device_info){
		.argsz = sizeof info,
		.flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI,
		.num_regions = VFIO_USER_REGIONS,
		.num_irqs = VFIO_USER_IRQS,
	};
	memcpy(request->reply, &info, sizeof info);
	request->reply_size = sizeof info;
	return 0;
}

/* One area per region: SPDK takes no more. */
struct sparse {
	struct vfio_region_info info;
	struct vfio_info_cap_header header;
	uint32_t area_count, reserved;
	struct vfio_region_sparse_mmap_area area;
};
static_assert(sizeof(struct sparse) ==
		      sizeof(struct vfio_region_info) +
			      sizeof(struct vfio_region_info_cap_sparse_mmap) +
			      sizeof(struct vfio_region_sparse_mmap_area),
	      "sparse mmap capability");

static uint64_t region_size(const struct pcie_function *fn, uint32_t index)
{
	if (index < PCIE_BARS)
		return fn->identity.bars[index].size;
	return index == PCIE_CONFIG_REGION ? PCIE_CONFIG_BYTES : 0;
}

static void describe_mapping(const struct pcie_bar *bar, struct sparse *out)
{
	out->info.flags |= VFIO_REGION_INFO_FLAG_MMAP;
	if (bar->mapped_size == bar->size)
		return;
	out->info.argsz = sizeof *out;
	out->info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
	out->info.cap_offset = offsetof(struct sparse, header);
	out->header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
	out->header.version = 1;
	out->area_count = 1;
	out->area.offset = bar->mapped_offset;
	out->area.size = bar->mapped_size;
}

/*
 * A client with less room than we need asks again with the argsz it is told.
 * QEMU refuses FLAG_CAPS without the capabilities.
 */
static void shorten(struct sparse *reply)
{
	reply->info.flags &= ~VFIO_REGION_INFO_FLAG_CAPS;
	reply->info.cap_offset = 0;
}

int pcie_server_region_info(struct pcie_server *server,
			    struct pcie_server_request *request)
{
	const struct pcie_function *fn = server->fn;
	struct sparse reply = { 0 };
	uint32_t room;
	int fd = -1;

	memcpy(&reply.info, request->payload, sizeof reply.info);
	room = reply.info.argsz;
	if (room < sizeof reply.info || reply.info.index >= VFIO_USER_REGIONS)
		return -EINVAL;
	reply.info = (struct vfio_region_info){
		.argsz = sizeof reply.info,
		.index = reply.info.index,
		.size = region_size(fn, reply.info.index),
	};
	if (reply.info.size)
		reply.info.flags = VFIO_REGION_INFO_FLAG_READ |
				   VFIO_REGION_INFO_FLAG_WRITE;
	if (reply.info.index < PCIE_BARS && server->client_fds)
		fd = pcie_bar_fd(fn, reply.info.index);
	if (fd >= 0)
		describe_mapping(&fn->identity.bars[reply.info.index], &reply);
	request->reply_size = reply.info.argsz;
	if (room < reply.info.argsz) {
		shorten(&reply);
		request->reply_size = sizeof reply.info;
		fd = -1;
	}
	memcpy(request->reply, &reply, request->reply_size);
	request->reply_fd = fd;
	return 0;
}

/*
 * There are none: an eventfd tells that a doorbell was rung but not the value,
 * and the functions here need that.  An empty list is a whole answer.
 */
int pcie_server_region_io_fds(struct pcie_server *server,
			      struct pcie_server_request *request)
{
	struct vfio_user_region_io_fds info;

	(void)server;
	memcpy(&info, request->payload, sizeof info);
	if (info.argsz < sizeof info || info.flags || info.count ||
	    info.index >= VFIO_USER_REGIONS)
		return -EINVAL;
	info.argsz = sizeof info;
	memcpy(request->reply, &info, sizeof info);
	request->reply_size = sizeof info;
	return 0;
}

int pcie_server_irq_info(struct pcie_server *server,
			 struct pcie_server_request *request)
{
	struct vfio_irq_info info;
	int error;

	memcpy(&info, request->payload, sizeof info);
	if (info.argsz < sizeof info)
		return -EINVAL;
	info.argsz = sizeof info;
	error = pcie_interrupt_info(server->fn, info.index, &info.count,
				    &info.flags);
	if (error)
		return error;
	memcpy(request->reply, &info, sizeof info);
	request->reply_size = sizeof info;
	return 0;
}

/*
 * No feature is there to get, set or probe.  VFIO says so with ENOTTY, which a
 * client tells from a request that makes no sense.
 */
int pcie_server_feature(struct pcie_server *server,
			struct pcie_server_request *request)
{
	const uint32_t known =
		VFIO_DEVICE_FEATURE_MASK | VFIO_DEVICE_FEATURE_GET |
		VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE;
	struct vfio_device_feature feature;

	(void)server;
	memcpy(&feature, request->payload, sizeof feature);
	if (feature.argsz < sizeof feature || feature.flags & ~known)
		return -EINVAL;
	return -ENOTTY;
}

/* The device's state is handed over beside the protocol, not in it. */
int pcie_server_migration(struct pcie_server *server,
			  struct pcie_server_request *request)
{
	(void)server;
	(void)request;
	return -ENOTSUP;
}
