/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hello, network: opens a network adapter by its address, shows what it says of
 * itself, sends some frames to everybody and shows what comes.
 *
 *	cc ena_send.c $(pkg-config --cflags --libs nitro-host)
 *	./a.out /run/nitro-card/eth0.sock        or        ./a.out 0000:00:05.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ena/abi.h"
#include "firmware/rt/error.h"
#include "host-driver/bus.h"
#include "host-driver/ena_host.h"
#include "host-driver/ena_io.h"

#define FRAMES      10u
#define FRAME_BYTES 60u

/* A negative result is an errno of the bus, a positive one a status. */
static void must(int rc, const char *what, const struct host_ena *e)
{
	if (rc >= 0 && rc != ENA_ADMIN_SUCCESS)
		fprintf(stderr, "%s: %s\n", what, host_ena_status_text(rc));
	else if (rc < 0)
		fprintf(stderr, "%s: %s %s\n", what, rt_errno_name(rc),
			e ? host_ena_why(e) : "");
	if (rc != 0)
		exit(1);
}

static void send_frames(struct host_ena *e, struct host_ena_tx *tx)
{
	uint64_t iova = host_ena_alloc(e, FRAME_BYTES, 64);
	uint8_t *frame = host_ena_at(e, iova);
	struct host_ena_packet packet = { .bytes = frame,
					  .iova = iova,
					  .length = FRAME_BYTES };
	struct host_ena_sent sent[FRAMES];
	int done, rc = 0;

	memset(frame, 0xff, 6); /* to everybody */
	memcpy(frame + 6, e->facts.attr.mac_addr, 6);
	memcpy(frame + 12, "\x88\xb5Hello, network!", 17);
	for (unsigned int i = 0; i < FRAMES; i++)
		host_ena_tx_put(tx, &packet, 1);
	must(host_ena_tx_ring(tx), "doorbell", e);
	for (done = 0; done < (int)FRAMES && rc >= 0; done += rc)
		rc = host_ena_tx_poll(tx, sent, FRAMES);
	must(rc < 0 ? rc : 0, "transmission", e);
	printf("sent        %d frames\n", done);
}

static void show_frames(struct host_ena *e, struct host_ena_rx *rx)
{
	struct host_ena_received in[FRAMES];
	int n;

	must(host_ena_idle(e, 2000), "waiting", e);
	n = host_ena_rx_poll(rx, in, FRAMES);
	must(n < 0 ? n : 0, "reception", e);
	printf("received    %d frames\n", n);
	for (int i = 0; i < n; i++)
		printf("            %u bytes, hash %08x\n", in[i].length,
		       in[i].hash);
	must(host_ena_rx_give(rx, in, (unsigned int)n), "doorbell", e);
}

static void show(const struct host_ena *e)
{
	const uint8_t *mac = e->facts.attr.mac_addr;

	printf("bus         %s\naddress     %02x:%02x:%02x:%02x:%02x:%02x\n"
	       "MTU         up to %u\nqueues      %u\nLLQ         %u bytes\n",
	       host_bus_name(e->fn), mac[0], mac[1], mac[2], mac[3], mac[4],
	       mac[5], le32_get(e->facts.attr.max_mtu),
	       le32_get(e->facts.queues.max_tx_sq_num), e->llq.entry_bytes);
}

int main(int argc, char **argv)
{
	struct host_ena_doors doors;
	struct host_function *fn;
	struct host_ena_rx *rx;
	struct host_ena_tx *tx;
	struct rt_error error;
	struct host_ena *e;

	if (argc != 2 || host_open(argv[1], NULL, &fn, &error) < 0) {
		fprintf(stderr, "%s\n%s\n", argc == 2 ? error.text : "usage:",
			argc == 2 ? error.hint : "ena_send ADDRESS");
		return 2;
	}
	must(host_ena_open(fn, NULL, &e), "open", NULL);
	must(host_ena_start(e), "start", e);
	show(e);
	host_ena_doors_open(e, HOST_ENA_DOORS_AUTO, &doors);
	must(host_ena_tx_open(&doors,
			      &(struct host_ena_tx_options){ .depth = 256 },
			      &tx),
	     "transmit queue", e);
	must(host_ena_rx_open(&doors,
			      &(struct host_ena_rx_options){
				      .depth = 256, .buffer_bytes = 2048 },
			      &rx),
	     "receive queue", e);
	send_frames(e, tx);
	show_frames(e, rx);
	must(host_ena_tx_close(&tx), "end", e);
	must(host_ena_rx_close(&rx), "end", e);
	must(host_ena_reset(e, ENA_REGS_RESET_SHUTDOWN), "reset", e);
	host_ena_doors_close(&doors);
	host_ena_close(&e);
	host_close(&fn);
	return 0;
}
