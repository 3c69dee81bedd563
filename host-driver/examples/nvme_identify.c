/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who is there?  Opens an NVMe function by its address, enables it, shows what
 * it says of itself and reads its first block.
 *
 *	cc nvme_identify.c $(pkg-config --cflags --libs nitro-host)
 *	./a.out /run/nitro-card/ebs0.sock        or        ./a.out 0000:00:04.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "ebs-nvme/abi.h"
#include "firmware/rt/error.h"
#include "host-driver/bus.h"
#include "host-driver/nvme_host.h"

/* A negative result is an errno of the bus, a positive one an NVMe status. */
static void must(int rc, const char *what, const struct host_function *fn)
{
	if (rc == 0)
		return;
	if (rc > 0)
		fprintf(stderr, "%s: status %d/%#x\n", what, rc >> 8, rc & 255);
	else
		fprintf(stderr, "%s: %s\n%s\n%s\n", what, rt_errno_name(rc),
			host_error(fn)->text, host_error(fn)->hint);
	exit(1);
}

static unsigned int show_identity(struct host_nvme *n)
{
	const void *page;
	const struct nvme_id_ctrl *c;
	const struct nvme_id_ns *ns;
	unsigned int shift;

	must(host_nvme_identify(n, NVME_CNS_CONTROLLER, 0, &page), "identify",
	     n->fn);
	c = page;
	printf("controller  %.40s\nserial      %.20s\n", c->mn, c->sn);
	must(host_nvme_identify(n, NVME_CNS_NAMESPACE, 1, &page), "identify",
	     n->fn);
	ns = page;
	shift = ns->lbaf[ns->flbas & 15].data_shift;
	printf("namespace   %llu blocks of %u bytes\n",
	       (unsigned long long)le64_get(ns->nsze), 1u << shift);
	return 1u << shift;
}

static void show_block(struct host_nvme *n, unsigned int size)
{
	struct host_nvme_data data;
	const uint8_t *bytes;

	must(host_nvme_create_pair(n, 1, 16, -1), "create queues", n->fn);
	must(host_nvme_data_make(n, size, (struct host_nvme_shape){ 0 }, &data),
	     "memory", n->fn);
	must(host_nvme_rw(n, 1, NVME_NVM_READ, 0, 1, &data), "read", n->fn);
	bytes = host_nvme_at(n, data.prp1);
	printf("block 0     ");
	for (unsigned int i = 0; i < 16; i++)
		printf("%02x%c", bytes[i], i < 15 ? ' ' : '\n');
}

int main(int argc, char **argv)
{
	struct host_function *fn;
	struct rt_error error;
	struct host_nvme *n;

	if (argc != 2 || host_open(argv[1], NULL, &fn, &error) < 0) {
		fprintf(stderr, "%s\n%s\n", argc == 2 ? error.text : "usage:",
			argc == 2 ? error.hint : "nvme_identify ADDRESS");
		return 2;
	}
	must(host_nvme_open(fn, NULL, &n), "open", fn);
	must(host_nvme_disable(n), "disable", fn);
	must(host_nvme_enable(n), "enable", fn);
	printf("bus         %s, doorbells %s\n", host_bus_name(fn),
	       n->doorbells ? "mapped" : "trapped");
	show_block(n, show_identity(n));
	must(host_nvme_shutdown(n, 1), "shutdown", fn);
	host_nvme_close(&n);
	host_close(&fn);
	return 0;
}
