/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that is replayed into the switch, read by libpcap: pcap or pcapng,
 * Ethernet.
 *
 * At the recorded pace, the first frame is due when the port is started, and
 * each other one as long after it as it was then; a timer finds those that are
 * due.  At full pace, each turn of the loop sends a batch.  What the receivers
 * do not take yet is offered again, and time goes on meanwhile.
 *
 * Nobody here may have the addresses of where it was recorded, so what it sends
 * to unknown ones goes to all.
 *
 * syscalls: read lseek close fstat
 */
#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "ena/vpc/uplink.h"
#include "firmware/rt/clock.h"
#include "firmware/rt/error.h"
#include "firmware/rt/log.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"

#define SLOT_BYTES ENA_FRAME_MAX_BYTES
#define PAUSE_NS   (10 * RT_NS_PER_MS) /* before a file begins anew */

struct replay {
	struct ena_port port;
	struct rt_loop *loop;
	struct rt_timer timer;
	struct rt_poller poller;
	char *path;
	pcap_t *file;
	bool is_full_pace, is_repeated;
	bool is_blocked; /* the switch has not taken all */
	bool is_ended;
	/* The frame that was read, and is in no batch yet; NULL: none. */
	const uint8_t *next;
	uint32_t next_bytes;
	uint64_t next_ns;     /* its stamp */
	uint64_t first_ns;    /* the stamp of the first of this pass */
	uint64_t began_ns;    /* when that one was due */
	uint64_t pass_frames; /* of this pass, so far */
	bool has_passed;      /* it is not the first pass */
	struct ena_inbox inbox;
	uint8_t slots[ENA_INBOX_FRAMES][SLOT_BYTES];
};

static struct replay *replay_of(struct ena_port *port)
{
	return rt_container_of(port, struct replay, port);
}

/* ---- The file ---- */

static int open_file(const char *path, pcap_t **out, struct rt_error *error)
{
	char text[PCAP_ERRBUF_SIZE] = "";
	pcap_t *file = pcap_open_offline_with_tstamp_precision(
		path, PCAP_TSTAMP_PRECISION_NANO, text);

	/* libpcap names the file in some of its messages. */
	if (!file)
		return rt_error_set(error, -EINVAL, "cannot replay %s%s%s",
				    strstr(text, path) ? "" : path,
				    strstr(text, path) ? "" : ": ", text);
	if (pcap_datalink(file) != DLT_EN10MB) {
		pcap_close(file);
		return rt_error_set(error, -EINVAL,
				    "cannot replay %s: it is no capture of "
				    "Ethernet",
				    path);
	}
	*out = file;
	return 0;
}

static void end(struct replay *replay)
{
	replay->is_ended = true;
	rt_timer_stop(replay->loop, &replay->timer);
	rt_poller_stop(replay->loop, &replay->poller);
	rt_log_info(replay->port.name, "%s has been replayed", replay->path);
}

/* A pass without frames would begin anew for ever. */
static void begin_pass(struct replay *replay)
{
	struct rt_error error;
	pcap_t *file;

	if (!replay->is_repeated || !replay->pass_frames) {
		end(replay);
		return;
	}
	if (open_file(replay->path, &file, &error)) {
		rt_log_error(replay->port.name, "%s", error.text);
		end(replay);
		return;
	}
	pcap_close(replay->file);
	replay->file = file;
	replay->pass_frames = 0;
	replay->has_passed = true;
}

static void take(struct replay *replay, const struct pcap_pkthdr *about,
		 const uint8_t *bytes, uint64_t now_ns)
{
	/* libpcap has put nanoseconds there. */
	replay->next_ns = (uint64_t)about->ts.tv_sec * RT_NS_PER_S +
			  (uint64_t)about->ts.tv_usec;
	if (!replay->pass_frames++) {
		replay->first_ns = replay->next_ns;
		replay->began_ns = now_ns + (replay->has_passed ? PAUSE_NS : 0);
	}
	/* Half a frame is none. */
	if (about->caplen != about->len || about->caplen > SLOT_BYTES) {
		rt_counter_add(&replay->port.counters.in_drops, 1);
		return;
	}
	replay->next = bytes;
	replay->next_bytes = about->caplen;
}

static void read_next(struct replay *replay, uint64_t now_ns)
{
	unsigned int tries = ENA_INBOX_FRAMES;

	while (!replay->next && !replay->is_ended && tries--) {
		struct pcap_pkthdr *about;
		const uint8_t *bytes;
		int code = pcap_next_ex(replay->file, &about, &bytes);

		if (code == 1) {
			take(replay, about, bytes, now_ns);
			continue;
		}
		if (code == PCAP_ERROR)
			rt_log_error(replay->port.name, "%s is damaged: %s",
				     replay->path, pcap_geterr(replay->file));
		begin_pass(replay);
	}
}

/* ---- Sending ---- */

static uint64_t due_ns(const struct replay *replay)
{
	uint64_t after = replay->next_ns > replay->first_ns
				 ? replay->next_ns - replay->first_ns
				 : 0;

	return replay->is_full_pace ? 0 : replay->began_ns + after;
}

/* What is due, up to a batch. */
static void fill(struct replay *replay, uint64_t now_ns)
{
	while (replay->inbox.count < ENA_INBOX_FRAMES) {
		uint8_t *slot = replay->slots[replay->inbox.count];

		read_next(replay, now_ns);
		if (!replay->next || due_ns(replay) > now_ns)
			return;
		memcpy(slot, replay->next, replay->next_bytes);
		ena_inbox_add(&replay->inbox, slot, replay->next_bytes);
		replay->next = NULL;
	}
}

static void send_due(struct replay *replay)
{
	uint64_t now_ns = rt_loop_now_ns(replay->loop);

	if (!replay->inbox.count)
		fill(replay, now_ns);
	replay->is_blocked = replay->inbox.count &&
			     !ena_inbox_send(&replay->inbox, &replay->port);
	if (replay->is_blocked || replay->is_ended || replay->is_full_pace)
		return;
	/* A batch that was full, or a row of half frames: soon again. */
	rt_timer_start(replay->loop, &replay->timer,
		       replay->next ? due_ns(replay) : now_ns);
}

static void replay_fired(struct rt_timer *timer)
{
	send_due(rt_container_of(timer, struct replay, timer));
}

static uint64_t replay_poll(struct rt_poller *poller, uint64_t now_ns)
{
	struct replay *replay = rt_container_of(poller, struct replay, poller);

	(void)now_ns;
	if (!replay->is_blocked)
		send_due(replay);
	return replay->is_blocked || replay->is_ended ? UINT64_MAX : 0;
}

static void replay_resume(struct ena_port *port)
{
	struct replay *replay = replay_of(port);

	send_due(replay);
	rt_poller_wake(replay->loop, &replay->poller);
}

static unsigned int replay_deliver(struct ena_port *port,
				   const struct ena_frame *frames,
				   unsigned int count)
{
	(void)port; /* nobody listens */
	(void)frames;
	return count;
}

static void replay_start(struct ena_port *port)
{
	struct replay *replay = replay_of(port);

	if (replay->is_full_pace)
		rt_poller_start(replay->loop, &replay->poller);
	else
		rt_timer_start(replay->loop, &replay->timer,
			       rt_loop_now_ns(replay->loop));
}

static void replay_close(struct ena_port *port)
{
	struct replay *replay = replay_of(port);

	rt_timer_stop(replay->loop, &replay->timer);
	rt_poller_stop(replay->loop, &replay->poller);
	pcap_close(replay->file);
	free(replay->path);
	free(replay);
}

static const struct ena_uplink_type replay_type = {
	.port = { .name = "replay",
		  .deliver = replay_deliver,
		  .resume = replay_resume,
		  .close = replay_close },
	.start = replay_start,
};

int ena_replay_make(struct rt_loop *loop,
		    const struct ena_uplink_config *config,
		    struct ena_port **out, struct rt_error *error)
{
	RT_FREE struct replay *replay = malloc(sizeof *replay);
	int err;

	if (!replay)
		return rt_error_set(error, -ENOMEM, "no memory is left");
	memset(replay, 0, offsetof(struct replay, slots));
	replay->path = strdup(config->replay);
	if (!replay->path)
		return rt_error_set(error, -ENOMEM, "no memory is left");
	err = open_file(replay->path, &replay->file, error);
	if (err) {
		free(replay->path);
		return err;
	}
	replay->loop = loop;
	replay->is_full_pace = config->replay_pace == ENA_REPLAY_FULL;
	replay->is_repeated = config->is_replay_repeated;
	replay->timer.fired = replay_fired;
	replay->poller.poll = replay_poll;
	replay->port.type = &replay_type.port;
	replay->port.is_hub = true;
	*out = &replay->port;
	replay = NULL;
	return 0;
}
