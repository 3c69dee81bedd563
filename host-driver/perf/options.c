/* SPDX-License-Identifier: BSD-3-Clause */
/* nitro-perf's command line, with fio's words. */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "firmware/rt/clock.h"
#include "firmware/rt/scope.h"
#include "host-driver/perf/perf.h"

#define DEFAULT_RUNTIME_NS (10 * RT_NS_PER_S)
#define DEFAULT_TIMEOUT_NS (20 * RT_NS_PER_S)

/* --- Words ---------------------------------------------------------------- */

struct word {
	const char *name;
	bool is_random;
	unsigned int read_percent;
	enum perf_packets packets;
};

#define IS_MIXED 50u /* or what --rwmixread says */

static const struct word words[] = {
	{ "read", false, 100, PERF_PACKETS_NONE },
	{ "write", false, 0, PERF_PACKETS_NONE },
	{ "randread", true, 100, PERF_PACKETS_NONE },
	{ "randwrite", true, 0, PERF_PACKETS_NONE },
	{ "rw", false, IS_MIXED, PERF_PACKETS_NONE },
	{ "readwrite", false, IS_MIXED, PERF_PACKETS_NONE },
	{ "randrw", true, IS_MIXED, PERF_PACKETS_NONE },
	{ "tx", false, 0, PERF_PACKETS_TX },
	{ "rx", false, 0, PERF_PACKETS_RX },
	{ "txrx", false, 0, PERF_PACKETS_TXRX },
	{ "pingpong", false, 0, PERF_PACKETS_PINGPONG },
};

struct unit {
	const char *name;
	uint64_t factor;
};

/* As in fio, k is 1024. */
static const struct unit size_units[] = {
	{ "", 1 },
	{ "k", UINT64_C(1) << 10 },
	{ "m", UINT64_C(1) << 20 },
	{ "g", UINT64_C(1) << 30 },
	{ "t", UINT64_C(1) << 40 },
	{ "kib", UINT64_C(1) << 10 },
	{ "mib", UINT64_C(1) << 20 },
	{ "gib", UINT64_C(1) << 30 },
	{ "tib", UINT64_C(1) << 40 },
};

static const struct unit time_units[] = {
	{ "", RT_NS_PER_S },       { "s", RT_NS_PER_S },
	{ "ms", RT_NS_PER_MS },    { "us", RT_NS_PER_US },
	{ "m", 60 * RT_NS_PER_S }, { "h", 3600 * RT_NS_PER_S },
};

static const struct unit think_units[] = {
	{ "", RT_NS_PER_US },
	{ "us", RT_NS_PER_US },
	{ "ms", RT_NS_PER_MS },
	{ "s", RT_NS_PER_S },
};

static const struct unit no_units[] = { { "", 1 } };

static bool parse_number(const char *text, const struct unit *units,
			 size_t count, uint64_t *out)
{
	unsigned long long number;
	char *end;

	if (!*text || !strchr("0123456789", *text))
		return false;
	errno = 0;
	number = strtoull(text, &end, 0);
	if (errno)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!strcasecmp(end, units[i].name))
			return !__builtin_mul_overflow(number, units[i].factor,
						       out);
	return false;
}

/* --- Options that are numbers --------------------------------------------- */

enum kind {
	KIND_COUNT,
	KIND_SIZE,
	KIND_TIME,  /* seconds */
	KIND_THINK, /* microseconds */
};

struct number {
	int key;
	enum kind kind;
	uint64_t least, most;
	size_t offset; /* in struct perf_options */
};

enum key {
	KEY_RW = 0x100,
	KEY_RWMIXREAD,
	KEY_BS,
	KEY_IODEPTH,
	KEY_NUMJOBS,
	KEY_RUNTIME,
	KEY_RAMP_TIME,
	KEY_THINKTIME,
	KEY_TIMEOUT,
	KEY_OFFSET,
	KEY_SIZE,
	KEY_NUMBER_IOS,
	KEY_IO_SIZE,
	KEY_SEED,
	KEY_NAMESPACE,
	KEY_QUEUE_ENTRIES,
	KEY_DOORBELLS,
	KEY_INTERRUPTS,
	KEY_VERIFY,
	KEY_PEER,
	KEY_LLQ,
	KEY_OFFLOAD,
	KEY_CPUS,
	KEY_CONTROL,
	KEY_JSON,
};

#define AT(member) offsetof(struct perf_options, member)

/* key, what it is, least, most, where it goes */
static const struct number numbers[] = {
	{ KEY_BS, KIND_SIZE, 1, UINT64_C(1) << 30, AT(block_bytes) },
	{ KEY_IODEPTH, KIND_COUNT, 1, PERF_DEPTH, AT(depth) },
	{ KEY_NUMJOBS, KIND_COUNT, 1, PERF_JOBS, AT(jobs) },
	{ KEY_RUNTIME, KIND_TIME, 0, UINT64_MAX, AT(runtime_ns) },
	{ KEY_RAMP_TIME, KIND_TIME, 0, UINT64_MAX, AT(ramp_ns) },
	{ KEY_THINKTIME, KIND_THINK, 0, UINT64_MAX, AT(think_ns) },
	{ KEY_TIMEOUT, KIND_TIME, 1, UINT64_MAX, AT(timeout_ns) },
	{ KEY_OFFSET, KIND_SIZE, 0, UINT64_MAX, AT(offset) },
	{ KEY_SIZE, KIND_SIZE, 1, UINT64_MAX, AT(size) },
	{ KEY_NUMBER_IOS, KIND_COUNT, 1, UINT64_MAX, AT(number_ios) },
	{ KEY_IO_SIZE, KIND_SIZE, 1, UINT64_MAX, AT(io_size) },
	{ KEY_SEED, KIND_COUNT, 0, UINT64_MAX, AT(seed) },
	{ KEY_NAMESPACE, KIND_COUNT, 1, UINT32_MAX - 1, AT(nsid) },
	{ KEY_QUEUE_ENTRIES, KIND_COUNT, 2, 65536, AT(queue_entries) },
};

static bool parse_kind(enum kind kind, const char *arg, uint64_t *out)
{
	switch (kind) {
	case KIND_SIZE:
		return parse_number(arg, size_units, RT_COUNT(size_units), out);
	case KIND_TIME:
		return parse_number(arg, time_units, RT_COUNT(time_units), out);
	case KIND_THINK:
		return parse_number(arg, think_units, RT_COUNT(think_units),
				    out);
	default:
		return parse_number(arg, no_units, RT_COUNT(no_units), out);
	}
}

/* --- The others ----------------------------------------------------------- */

struct parsing {
	struct perf_options *options;
	bool has_runtime, has_mix, has_bs;
	uint64_t mix;
};

static error_t parse_rw(struct parsing *p, const char *arg,
			struct argp_state *state)
{
	for (size_t i = 0; i < RT_COUNT(words); i++) {
		if (strcmp(arg, words[i].name) != 0)
			continue;
		p->options->rw = words[i].name;
		p->options->is_random = words[i].is_random;
		p->options->read_percent = words[i].read_percent;
		p->options->packets = words[i].packets;
		return 0;
	}
	argp_error(state,
		   "--rw: '%s' is none of read, write, randread, randwrite, "
		   "rw, randrw, tx, rx, txrx and pingpong",
		   arg);
	return EINVAL;
}

static error_t parse_mix(struct parsing *p, const char *arg,
			 struct argp_state *state)
{
	p->has_mix = true;
	if (parse_kind(KIND_COUNT, arg, &p->mix) && p->mix <= 100)
		return 0;
	argp_error(state, "--rwmixread: '%s' is not a percentage", arg);
	return EINVAL;
}

static error_t parse_doorbells(struct parsing *p, const char *arg,
			       struct argp_state *state)
{
	for (unsigned int k = 0; k <= HOST_NVME_DOORS_TRAPPED; k++) {
		if (strcmp(arg, host_nvme_doors_name(k)) != 0)
			continue;
		p->options->doors = k;
		return 0;
	}
	argp_error(state,
		   "--doorbells: '%s' is none of auto, mapped, shadow and "
		   "trapped",
		   arg);
	return EINVAL;
}

static error_t parse_verify(struct parsing *p, const char *arg,
			    struct argp_state *state)
{
	p->options->verify = strcmp(arg, "crc32c") == 0;
	if (!p->options->verify && strcmp(arg, "0") != 0)
		argp_error(state, "--verify: '%s' is neither crc32c nor 0",
			   arg);
	return 0;
}

static error_t parse_llq(struct parsing *p, const char *arg,
			 struct argp_state *state)
{
	static const struct {
		const char *name;
		uint64_t bytes;
	} sizes[] = { { "auto", PERF_LLQ_AUTO },
		      { "off", PERF_LLQ_OFF },
		      { "128", 128 },
		      { "192", 192 },
		      { "256", 256 } };

	for (size_t i = 0; i < RT_COUNT(sizes); i++) {
		if (strcmp(arg, sizes[i].name) != 0)
			continue;
		p->options->llq_bytes = sizes[i].bytes;
		return 0;
	}
	argp_error(state, "--llq: '%s' is none of auto, off, 128, 192 and 256",
		   arg);
	return EINVAL;
}

static error_t parse_offload(struct parsing *p, const char *arg,
			     struct argp_state *state)
{
	p->options->csum = strcmp(arg, "csum") == 0;
	p->options->tso = strcmp(arg, "tso") == 0;
	if (!p->options->csum && !p->options->tso && strcmp(arg, "none") != 0)
		argp_error(state, "--offload: '%s' is none of none, csum, tso",
			   arg);
	return 0;
}

static bool add_cpus(struct perf_options *options, unsigned long first,
		     unsigned long last)
{
	if (last < first || last > 1023)
		return false;
	for (unsigned long cpu = first; cpu <= last; cpu++) {
		if (options->cpu_count == PERF_JOBS)
			return false;
		options->cpus[options->cpu_count++] = (int)cpu;
	}
	return true;
}

/* "0", "0,2", "1-3,8". */
static error_t parse_cpus(struct parsing *p, const char *arg,
			  struct argp_state *state)
{
	const char *at = arg;
	unsigned long first, last;
	char *end;

	p->options->cpu_count = 0;
	for (;;) {
		first = last = strtoul(at, &end, 10);
		if (end != at && *end == '-') {
			at = end + 1;
			last = strtoul(at, &end, 10);
		}
		if (end == at || !add_cpus(p->options, first, last))
			break;
		if (!*end)
			return 0;
		if (*end != ',')
			break;
		at = end + 1;
	}
	argp_error(state, "--cpus: '%s' is not a list such as 0,2-3", arg);
	return EINVAL;
}

static const char *name_of(int key);

static error_t parse_listed(struct parsing *p, int key, const char *arg,
			    struct argp_state *state)
{
	for (size_t i = 0; i < RT_COUNT(numbers); i++) {
		const struct number *n = &numbers[i];
		uint64_t value = 0;

		if (n->key != key)
			continue;
		if (!parse_kind(n->kind, arg, &value) || value < n->least ||
		    value > n->most)
			argp_error(state, "--%s: '%s' does not do",
				   name_of(key), arg);
		memcpy((char *)p->options + n->offset, &value, sizeof value);
		p->has_runtime |= key == KEY_RUNTIME;
		p->has_bs |= key == KEY_BS;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* --- All of it ------------------------------------------------------------ */

#define PACKET_LEAST    60u
#define PACKET_DEFAULT  64u
#define PACKET_MOST     65549u
#define PACKET_VERIFIED 114u
#define PACKET_ENTRIES  1024u

static void check_packets(struct parsing *p, struct argp_state *state)
{
	struct perf_options *o = p->options;

	if (!p->has_bs)
		o->block_bytes = o->verify ? 128 : PACKET_DEFAULT;
	if (o->block_bytes < PACKET_LEAST || o->block_bytes > PACKET_MOST)
		argp_error(state, "--bs: frames have 60 bytes or more, "
				  "and 65549 at most");
	if (o->verify && (o->block_bytes < PACKET_VERIFIED || o->tso))
		argp_error(state, "--verify needs frames of 114 bytes, and no "
				  "--offload=tso");
	if (o->packets == PERF_PACKETS_PINGPONG && o->depth != 1)
		argp_error(state, "pingpong has one packet in flight: "
				  "--iodepth=1");
	if (o->packets >= PERF_PACKETS_TXRX && !o->peer)
		argp_error(state, "%s needs a --peer", o->rw);
	if (o->packets == PERF_PACKETS_RX && o->verify && !o->peer)
		argp_error(state, "--verify of rx needs a --peer that sends");
	if (o->has_interrupts)
		argp_error(state, "packets are polled: no --interrupts");
	if (o->depth >= (o->queue_entries ? o->queue_entries : PACKET_ENTRIES))
		argp_error(state, "--queue-entries must be more than "
				  "--iodepth");
	if (o->doors == HOST_NVME_DOORS_SHADOW)
		argp_error(state, "network adapters have no shadow doorbells");
}

static void check_blocks(struct parsing *p, struct argp_state *state)
{
	struct perf_options *o = p->options;

	if (!p->has_bs)
		o->block_bytes = 4096;
	if (o->block_bytes < 512)
		argp_error(state, "--bs: '%lu' does not do",
			   (unsigned long)o->block_bytes);
	if (o->peer || o->csum || o->tso || o->llq_bytes)
		argp_error(state, "--peer, --llq and --offload go with tx, rx, "
				  "txrx and pingpong");
}

/* What the choices mean together. */
static void finish(struct parsing *p, struct argp_state *state)
{
	struct perf_options *o = p->options;

	if (!o->address)
		argp_error(state, "the address of a device is missing");
	if (o->packets)
		check_packets(p, state);
	else
		check_blocks(p, state);
	if (p->has_mix) {
		if (o->read_percent != IS_MIXED)
			argp_error(state,
				   "--rwmixread goes with rw and "
				   "randrw, not with %s",
				   o->rw);
		o->read_percent = (unsigned int)p->mix;
	}
	if (o->io_size > 0 && o->io_size < o->block_bytes)
		argp_error(state, "--io_size is less than one block of --bs");
	if (o->io_size > 0 &&
	    (o->number_ios == 0 || o->io_size / o->block_bytes < o->number_ios))
		o->number_ios = o->io_size / o->block_bytes;
	if (!p->has_runtime && o->number_ios == 0)
		o->runtime_ns = DEFAULT_RUNTIME_NS;
	if (o->queue_entries > 0 && o->queue_entries <= o->depth)
		argp_error(state, "--queue-entries must be more than "
				  "--iodepth");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct parsing *p = state->input;

	switch (key) {
	case KEY_RW:
		return parse_rw(p, arg, state);
	case KEY_RWMIXREAD:
		return parse_mix(p, arg, state);
	case KEY_DOORBELLS:
		return parse_doorbells(p, arg, state);
	case KEY_VERIFY:
		return parse_verify(p, arg, state);
	case KEY_LLQ:
		return parse_llq(p, arg, state);
	case KEY_OFFLOAD:
		return parse_offload(p, arg, state);
	case KEY_PEER:
		p->options->peer = arg;
		return 0;
	case KEY_CPUS:
		return parse_cpus(p, arg, state);
	case KEY_INTERRUPTS:
		p->options->has_interrupts = true;
		return 0;
	case KEY_CONTROL:
		p->options->control = arg;
		return 0;
	case KEY_JSON:
		p->options->is_json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (p->options->address)
			argp_error(state, "one address, not '%s' as well", arg);
		p->options->address = arg;
		return 0;
	case ARGP_KEY_END:
		finish(p, state);
		return 0;
	default:
		return parse_listed(p, key, arg, state);
	}
}

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "The load:", 1 },
	{ "rw", KEY_RW, "WORD", 0,
	  "read, write, randread (default), randwrite, rw or randrw; of "
	  "packets tx, rx, txrx or pingpong",
	  0 },
	{ "rwmixread", KEY_RWMIXREAD, "PERCENT", 0,
	  "Reads among rw and randrw (50)", 0 },
	{ "bs", KEY_BS, "SIZE", 0, "Bytes of each I/O (4k) or frame (64)", 0 },
	{ "iodepth", KEY_IODEPTH, "N", 0, "I/Os in flight, of a job (1)", 0 },
	{ "numjobs", KEY_NUMJOBS, "N", 0,
	  "Threads, each with a queue and its part of the area (1)", 0 },
	{ "offset", KEY_OFFSET, "SIZE", 0, "Where the area starts (0)", 0 },
	{ "size", KEY_SIZE, "SIZE", 0, "Of the area (all there is)", 0 },
	{ "thinktime", KEY_THINKTIME, "TIME", 0,
	  "Sleep before every batch of I/Os; us unless it has a unit", 0 },
	{ "think-time", 0, NULL, OPTION_ALIAS | OPTION_HIDDEN, NULL, 0 },
	{ "seed", KEY_SEED, "N", 0, "Of offsets and data (1)", 0 },
	{ "randseed", 0, NULL, OPTION_ALIAS | OPTION_HIDDEN, NULL, 0 },
	{ "verify", KEY_VERIFY, "crc32c", 0,
	  "Check what is read, and in the end all that was written", 0 },
	{ "peer", KEY_PEER, "ADDRESS", 0,
	  "The adapter at the other end of packets", 0 },
	{ "offload", KEY_OFFLOAD, "WORD", 0,
	  "What the adapter does to packets: none, csum or tso", 0 },
	{ NULL, 0, NULL, 0, "How long:", 2 },
	{ "runtime", KEY_RUNTIME, "TIME", 0,
	  "Seconds unless it has a unit (10; 0: no limit)", 0 },
	{ "ramp_time", KEY_RAMP_TIME, "TIME", 0,
	  "Run so long before anything is counted", 0 },
	{ "number_ios", KEY_NUMBER_IOS, "N", 0, "I/Os of a job", 0 },
	{ "io_size", KEY_IO_SIZE, "SIZE", 0, "Bytes of a job", 0 },
	{ NULL, 0, NULL, 0, "The driver:", 3 },
	{ "doorbells", KEY_DOORBELLS, "KIND", 0,
	  "auto (default), mapped, shadow or trapped", 0 },
	{ "llq", KEY_LLQ, "SIZE", 0,
	  "Entries in the adapter's memory: auto, off, 128, 192, 256", 0 },
	{ "interrupts", KEY_INTERRUPTS, NULL, 0,
	  "Sleep until an interrupt, rather than poll", 0 },
	{ "queue-entries", KEY_QUEUE_ENTRIES, "N", 0,
	  "Of each queue (256, or twice the depth)", 0 },
	{ "timeout", KEY_TIMEOUT, "TIME", 0,
	  "Give up when nothing is completed for so long (20 s)", 0 },
	{ "cpus", KEY_CPUS, "LIST", 0, "A processor for each job: 0,2-3", 0 },
	{ "cpus_allowed", 0, NULL, OPTION_ALIAS | OPTION_HIDDEN, NULL, 0 },
	{ "namespace", KEY_NAMESPACE, "NSID", 0, "(1)", 0 },
	{ NULL, 0, NULL, 0, "The report:", 4 },
	{ "control", KEY_CONTROL, "SOCKET", 0,
	  "The card's control socket, for its busy time", 0 },
	{ "json", KEY_JSON, NULL, 0, "One JSON object on stdout", 0 },
	{ 0 },
};

static const char *name_of(int key)
{
	for (const struct argp_option *o = options; o->name || o->doc; o++)
		if (o->key == key)
			return o->name;
	return "";
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "ADDRESS",
	.doc = "nitro-perf loads an NVMe function or a network adapter through "
	       "a vfio-user socket "
	       "or the kernel's VFIO, and reports what came of it.  Writes "
	       "overwrite what is there.\v"
	       "ADDRESS is a socket (/run/nitro-card/ebs0.sock), a directory "
	       "that has a socket cntrl, or a PCI address (0000:00:04.0).",
};

void perf_parse(int argc, char **argv, struct perf_options *out)
{
	struct parsing parsing = { .options = out };

	*out = (struct perf_options){
		.rw = "randread",
		.is_random = true,
		.read_percent = 100,
		.block_bytes = 4096,
		.depth = 1,
		.jobs = 1,
		.seed = 1,
		.nsid = 1,
		.timeout_ns = DEFAULT_TIMEOUT_NS,
	};
	argp_err_exit_status = PERF_USAGE;
	argp_program_version = "nitro-perf " NITRO_VERSION;
	argp_parse(&argp, argc, argv, 0, NULL, &parsing);
}
