/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nitro-probe from the inside: rules are rows of rules.def, each with a
 * function that tries one thing and says what it found.
 *
 *   probe.c     command line, start and end
 *   run.c       the rules in turn, and what each finds when it begins
 *   report.c    what the user is told, as text and as JSON
 *   access.c    registers, commands and data for the rules
 *   CLASS.c     the rules themselves
 *
 * Before a rule the controller is reset and brought to the state that the rule
 * needs, so no rule depends on another.  What the function says of itself at
 * first (survey) decides which rules it is held to.
 */
#ifndef HOST_DRIVER_PROBE_H
#define HOST_DRIVER_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-driver/bus.h"
#include "host-driver/ena_io.h"
#include "host-driver/nsm_host.h"
#include "host-driver/nvme_host.h"
#include "host-driver/scan.h"

#define PROBE_PATTERNS 16u

struct probe_options {
	const char *address;
	const char *peer; /* the adapter at the other end; NULL: none */
	const char *patterns[PROBE_PATTERNS]; /* of rules; none: all */
	size_t pattern_count;
	unsigned int timeout_ms;
	bool is_json, is_list, may_write;
};

enum probe_verdict { PROBE_HOLDS, PROBE_BROKEN, PROBE_SKIPPED };

/* What a rule finds when it begins; each has what those before it have. */
enum probe_need {
	PROBE_BUS, /* a function that answers */
	PROBE_OFF, /* bus mastering, and the controller disabled */
	/* CSTS.RDY and admin queues; all but queues; DRIVER_OK and a queue */
	PROBE_ADMIN,
	PROBE_IO, /* I/O queue pair 1, and a namespace; or tx and rx */
};

enum probe_flag {
	PROBE_SOCKET = 1u << 0, /* only of a vfio-user server */
	PROBE_WRITES = 1u << 1, /* changes data: only with --write */
	/* A controller that breaks it may reach memory that is not ours: only
	 * where something is in its way. */
	PROBE_CONFINED = 1u << 2,
	PROBE_ENA = 1u << 3, /* of a network adapter, others of NVMe */
	PROBE_NSM = 1u << 4, /* of a security module */
	PROBE_ANY = 1u << 5, /* of all three */
};

struct probe {
	struct probe_options options;
	struct host_function *fn;
	struct host_nvme *nvme; /* NULL: not an NVMe controller */
	/* A network adapter, and queues of it; NULL: not one. */
	struct host_ena *ena;
	struct host_ena_doors ena_doors;
	struct host_ena_tx *tx;
	struct host_ena_rx *rx;
	struct probe_peer *peer;         /* NULL: none */
	struct host_ena_facts ena_facts; /* what it said at first */
	/* A security module, its driver, and the last answer. */
	bool is_nsm;
	struct host_nsm *nsm; /* NULL: it has not been started */
	uint8_t nsm_answer[NSM_RESPONSE_BYTES];
	size_t nsm_size;
	char nsm_module[101]; /* what it said at first, as the next */
	uint64_t nsm_features;
	uint16_t nsm_entries;
	bool is_socket;
	bool is_confined;  /* it reaches the memory that it was given only */
	bool is_hopeless;  /* it cannot be made ready any more */
	bool keeps_queues; /* a controller reset leaves queues behind */
	/* Rules in a row that it could not be made ready for. */
	unsigned int unready_count;
	uint64_t memory_mark;
	int bus_error;  /* the first one of this rule */
	char text[320]; /* why a rule is broken or skipped */

	/* What the function said at first. */
	uint8_t config[4096];
	struct host_scan scan;
	struct nvme_id_ctrl id;
	struct nvme_id_ns ns;
	uint32_t version;     /* VS */
	uint32_t nsid;        /* the first active namespace; 0: none */
	uint32_t block_bytes; /* of it */
	uint32_t pairs;       /* I/O queue pairs that it grants */
	uint32_t temperature_k;
};

struct probe_rule {
	const char *class, *name, *clause, *sentence;
	enum probe_need need;
	unsigned int flags;
	enum probe_verdict (*check)(struct probe *p);
};
extern const struct probe_rule probe_rules[];
extern const size_t probe_rule_count;

#define RULE(class, name, need, flags, clause, sentence)                       \
	enum probe_verdict probe_##class##_##name(struct probe *p);
#include "host-driver/probe/rules.def"
#undef RULE

/* "queue.create-cq-qid-used" */
#define PROBE_NAME_BYTES 64u
void probe_rule_name(const struct probe_rule *rule,
		     char name[PROBE_NAME_BYTES]);

/* --- run.c ---------------------------------------------------------- */

/* Connect and ask what it is.  Negative errno: it could not. */
struct rt_error;
int probe_open(struct probe *p, struct rt_error *error);
void probe_close(struct probe *p);
/* No interrupt of any kind, as after a reset. */
void probe_calm_interrupts(struct probe *p);
/* The end of the adapter at the other end. */
void probe_peer_close(struct probe *p);
/* The same function through a new connection, as after power-on. */
int probe_reopen(struct probe *p);
/* Is the rule about functions of this kind? */
bool probe_is_about(const struct probe *p, const struct probe_rule *rule);
bool probe_is_chosen(const struct probe *p, const struct probe_rule *rule);
enum probe_verdict probe_run(struct probe *p, const struct probe_rule *rule);

/* --- report.c ------------------------------------------------------- */

struct probe_report;
struct probe_report *probe_report_begin(const struct probe *p);
void probe_report_rule(struct probe_report *report, const struct probe *p,
		       const struct probe_rule *rule,
		       enum probe_verdict verdict);
/* The exit status: 0, or 1 if a rule is broken. */
int probe_report_end(struct probe_report *report);
void probe_report_list(const struct probe *p);

/* --- access.c: what a rule says ------------------------------------- */

enum probe_verdict probe_broken(struct probe *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
enum probe_verdict probe_skip(struct probe *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* A step on the way to what the rule is about went wrong: rc is not 0. */
enum probe_verdict probe_failed(struct probe *p, int rc, const char *step);
/* Holds if rc is one of the statuses; the list ends with -1. */
enum probe_verdict probe_want_any(struct probe *p, int rc, const int *statuses);
#define probe_want(p, rc, ...)                                                 \
	probe_want_any(p, rc, (const int[]){ __VA_ARGS__, -1 })
/* Holds if rc says that there is no such command. */
enum probe_verdict probe_want_unknown(struct probe *p, int rc, uint8_t opcode);
/* Holds if rc is any error status of the controller. */
enum probe_verdict probe_want_error(struct probe *p, int rc);
/* Holds if rc is an error of the server's reply, and the server goes on. */
enum probe_verdict probe_want_refusal(struct probe *p, int rc);

/* --- access.c: registers -------------------------------------------- */

/*
 * An access that fails is noted in bus_error, reads as ones, and breaks the
 * rule when it ends.
 */
uint32_t probe_config_get(struct probe *p, unsigned int offset,
			  unsigned int size);
void probe_config_set(struct probe *p, unsigned int offset, unsigned int size,
		      uint32_t value);
uint32_t probe_get32(struct probe *p, uint64_t offset);
uint64_t probe_get64(struct probe *p, uint64_t offset);
void probe_set32(struct probe *p, uint64_t offset, uint32_t value);
void probe_set64(struct probe *p, uint64_t offset, uint64_t value);
uint64_t probe_doorbell(const struct probe *p, uint32_t qid, bool is_cq);
/* A capability's offset; 0: absent. */
unsigned int probe_capability(struct probe *p, uint8_t id);
uint64_t probe_region_size(struct probe *p, unsigned int region);
unsigned int probe_irq_count(struct probe *p, unsigned int index);
void probe_pause_ms(struct probe *p, unsigned int ms);

/* --- access.c: commands --------------------------------------------- */

#define PROBE_STATUS(type, code) HOST_NVME_STATUS(type, code)
#define PROBE_INVALID_OPCODE     PROBE_STATUS(0, 0x01)
#define PROBE_INVALID_FIELD      PROBE_STATUS(0, 0x02)
#define PROBE_ABORTED            PROBE_STATUS(0, 0x07)
#define PROBE_SQ_DELETED         PROBE_STATUS(0, 0x08)
#define PROBE_INVALID_NAMESPACE  PROBE_STATUS(0, 0x0b)
#define PROBE_SEQUENCE_ERROR     PROBE_STATUS(0, 0x0c)
#define PROBE_INVALID_PRP        PROBE_STATUS(0, 0x13)
#define PROBE_LBA_OUT_OF_RANGE   PROBE_STATUS(0, 0x80)
#define PROBE_INVALID_CQ         PROBE_STATUS(1, 0x00)
#define PROBE_INVALID_QID        PROBE_STATUS(1, 0x01)
#define PROBE_INVALID_SIZE       PROBE_STATUS(1, 0x02)
#define PROBE_ABORT_LIMIT        PROBE_STATUS(1, 0x03)
#define PROBE_AER_LIMIT          PROBE_STATUS(1, 0x05)
#define PROBE_INVALID_VECTOR     PROBE_STATUS(1, 0x08)
#define PROBE_INVALID_LOG        PROBE_STATUS(1, 0x09)
#define PROBE_INVALID_DELETION   PROBE_STATUS(1, 0x0c)
#define PROBE_NOT_SAVEABLE       PROBE_STATUS(1, 0x0d)
#define PROBE_NOT_CHANGEABLE     PROBE_STATUS(1, 0x0e)
#define PROBE_NOT_PER_NS         PROBE_STATUS(1, 0x0f)

/* A submission entry in plain integers. */
struct probe_cmd {
	uint8_t opcode, flags;
	uint32_t nsid;
	uint64_t prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13;
};
struct nvme_cmd probe_entry(struct probe_cmd cmd);
/* Submit, wait, and return as host_nvme_call() does; cqe may be NULL. */
int probe_call(struct probe *p, uint16_t sq, struct probe_cmd cmd,
	       struct nvme_cqe *cqe);
int probe_admin(struct probe *p, struct probe_cmd cmd);
int probe_nvm(struct probe *p, struct probe_cmd cmd); /* in queue 1 */
/* Submit without waiting. */
int probe_start(struct probe *p, uint16_t sq, struct probe_cmd cmd,
		uint16_t *cid);
/* A read of so many blocks, and where its data goes. */
struct probe_cmd probe_read(const struct probe *p, uint64_t lba,
			    uint32_t blocks, const struct host_nvme_data *data);
/* Identify; the data is at *out, and was A5h before. */
int probe_identify(struct probe *p, uint8_t cns, uint32_t nsid,
		   const void **out);

/* A zeroed page; the rule ends without it: 0. */
uint64_t probe_page(struct probe *p);
void *probe_at(struct probe *p, uint64_t iova);
/* Pages for data, all of their bytes A5h. */
#define PROBE_FILL 0xa5
int probe_data(struct probe *p, uint32_t bytes, struct host_nvme_shape shape,
	       struct host_nvme_data *out);
/* The bytes of the pages around the data are still A5h. */
bool probe_guards_hold(struct probe *p, const struct host_nvme_data *data);
/* The bytes of the data are still A5h. */
bool probe_is_untouched(struct probe *p, const struct host_nvme_data *data);

/* What the device could write to, to see later whether it did. */
struct probe_snapshot {
	uint8_t *bytes;
	uint64_t size;
};
int probe_snapshot_take(struct probe *p, struct probe_snapshot *out);
bool probe_snapshot_holds(struct probe *p, const struct probe_snapshot *s);
void probe_snapshot_free(struct probe_snapshot *s);
#define PROBE_SNAPSHOT __attribute__((cleanup(probe_snapshot_free)))

/* A completion of this submission queue that nobody has asked for. */
bool probe_has_stray(struct probe *p, uint16_t sq);

/* I/O queues of so many entries each, with both identifiers. */
int probe_make_pair(struct probe *p, uint16_t qid, uint32_t entries);
/* How long "nothing happens" is watched. */
#define PROBE_QUIET_MS 20u

bool probe_has_version(const struct probe *p, unsigned int major,
		       unsigned int minor);
uint32_t probe_max_transfer(const struct probe *p);  /* 0: no limit */
uint32_t probe_queue_entries(const struct probe *p); /* CAP.MQES + 1 */

#endif
