/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside the volume function: the controller, its commands in flight, and what
 * the files of this room offer each other.  Everything here runs on the
 * function's loop thread, but for what a lane does by itself; see lane.c.
 *
 *   doorbell → turn → fetch → admin or io → … → complete → post → free
 *
 * A command that has to wait goes on in a callback.  Before each further step
 * it asks ebs_request_goes_on(): by then it may have been aborted, its queue
 * deleted, the controller disabled, or the function paused.
 */
#ifndef EBS_NVME_CONTROLLER_H
#define EBS_NVME_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "ebs-nvme/abi.h"
#include "ebs-nvme/ebs.h"
#include "ebs-nvme/profile.h"
#include "ebs-nvme/prp.h"
#include "ebs-nvme/state.h"
#include "ebs-nvme/volume.h"
#include "firmware/rt/fault.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/option.h"
#include "firmware/rt/rule.h"
#include "pcie-model/dma.h"
#include "pcie-model/function.h"
#include "pcie-model/regs.h"

#define EBS_ADMIN_RESERVE  16u /* requests that I/O queues leave over */
#define EBS_ADMIN_BUFFERS  4u
#define EBS_BOUNCE_BUFFERS 16u
#define EBS_TURN_COMMANDS  64u /* fetched before others get the thread … */
#define EBS_TURN_BYTES     (UINT64_C(1) << 20) /* … or asked for */
#define EBS_BURST_COMMANDS 8u /* fetched before the next queue's turn */
#define EBS_GLANCE         2u
#define EBS_TEMPERATURE_K  303u
#define EBS_LANES          16u

struct ebs_controller;
struct ebs_lane;
struct ebs_request;

enum ebs_rule {
#define RULE(name, clause, sentence) EBS_RULE_##name,
#include "ebs-nvme/rules.def"
#undef RULE
	EBS_RULES,
};

enum ebs_fault {
#define FAULT(room, name, sentence, value) room##_fault_##name,
#include "ebs-nvme/fault.def"
#undef FAULT
	EBS_FAULTS,
};

typedef void ebs_step(struct ebs_request *r);
typedef void ebs_data_done(struct ebs_request *r, nvme_status status);

enum ebs_stage {
	EBS_STAGE_FREE,
	EBS_STAGE_BUSY,    /* memory or storage will call back */
	EBS_STAGE_HELD,    /* a fault's timer will, or nobody */
	EBS_STAGE_WAITING, /* for a buffer */
	EBS_STAGE_PARKED,  /* for another command to end */
};

/* A command in flight; what every command needs stands first. */
struct ebs_request {
	struct ebs_controller *c;
	struct ebs_lane *lane;          /* its pool's, and its queues' */
	SLIST_ENTRY(ebs_request) entry; /* while it is free */
	enum ebs_stage stage;
	uint16_t sqid, cqid;
	bool has_credit; /* an entry of its CQ is kept free for it */
	bool is_aborted;
	bool is_inline; /* its data moves while it is begun */
	nvme_status status;
	struct nvme_cmd cmd; /* our copy: what is checked is what is used */
	uint32_t dw0;
	uint16_t error_location; /* of the field at fault, 5.14.1.1 */
	uint64_t lba;            /* for the error log */
	uint64_t started_ns;
	uint32_t fetch_slot;
	enum ebs_unfinished_kind resumed_as;
	ebs_step *step; /* after a hold or a buffer */
	struct ebs_request *aborter;
	struct rt_timer timer;

	/* Data. */
	uint64_t bytes;
	bool is_to_guest;
	bool is_held; /* span */
	uint8_t *buffer;
	struct ebs_buffer_pool *pool;
	uint8_t *data; /* in buffer */
	ebs_data_done *data_done;
	struct pcie_dma_op op;
	struct ebs_prp prp;
	struct pcie_dma_span span;
	struct iovec iov[EBS_PRP_MAX_PAGES];
	struct ebs_volume_io io;
	/* What io.done is, and its status, while that is on another thread. */
	void (*io_done)(struct ebs_volume_io *io, int status);
	int io_status;
	unsigned int range_index; /* Dataset Management */

	struct nvme_cqe cqe;
	uint32_t cqe_slot;
	TAILQ_ENTRY(ebs_request) waiter; /* for a buffer, or a thread */
};
TAILQ_HEAD(ebs_request_list, ebs_request);
SLIST_HEAD(ebs_request_pool, ebs_request);

/* Buffers of one size, all taken from the system at the first need. */
struct ebs_buffer_pool {
	uint8_t *memory;
	size_t size;
	unsigned int count, free_count;
	uint8_t *free[EBS_BOUNCE_BUFFERS];
	struct ebs_request_list waiting;
};

struct ebs_sq {
	struct ebs_lane *lane; /* its completion queue's */
	uint32_t fetch;        /* next slot to fetch; state's head follows it */
	uint32_t glance;       /* next slot to tell the engine about */
	unsigned int in_flight;
	struct ebs_request *deleter; /* waits for in_flight to be 0 */
	/* The guest's memory of it, where that can be reached directly; good
	 * for the lane's dma_generation. */
	const struct nvme_cmd *direct;
};

struct ebs_cq {
	struct ebs_lane *lane;
	unsigned int reserved; /* entries promised to commands in flight */
	unsigned int news;     /* entries posted in this turn */
	struct nvme_cqe *direct;
};

/* A doorbell in memory; see doorbell.c. */
struct ebs_door {
	uint16_t qid;
	bool is_cq;
	volatile uint32_t *at;
	volatile uint32_t *event; /* its EventIdx; NULL: none */
	uint32_t *seen;           /* the value acted on last */
};

enum ebs_polling {
	EBS_POLLING_AUTO,
	EBS_POLLING_ALWAYS,
	EBS_POLLING_NEVER,
};

/* Messages of one vector. */
struct ebs_vector {
	struct ebs_controller *c;
	struct ebs_lane *lane; /* NULL: it is not used yet */
	unsigned int held;     /* entries posted without a message */
	bool is_urgent;        /* some of the admin queue */
	uint64_t due_ns;       /* of coalescing; 0: it holds nothing back */
	/* The driver has not taken anything since the last message, … */
	bool is_unanswered;
	uint64_t sent_ns; /* … which was sent then */
};

/* A command of this burst that moved its data while it was begun. */
struct ebs_moved {
	uint64_t bytes;
	bool is_write;
};

/*
 * Queues that one thread works on.  The home lane is that of the function's own
 * loop; see lane.c for the others.
 */
struct ebs_lane {
	struct ebs_controller *c;
	struct rt_loop *loop;

	/* Its share of the requests. */
	struct ebs_request_pool free;
	unsigned int request_count, free_count, active_count, io_count;
	unsigned int reserve; /* requests that I/O queues leave over */

	/* The turn: see queue.c and doorbell.c. */
	struct rt_poller poller;
	bool is_away; /* it is taken, and not by the home thread */
	bool is_kicked;
	bool are_doors_armed;
	bool is_answered;    /* the driver has taken completions */
	bool is_direct;      /* all of its queues and doors can be reached */
	bool has_interrupts; /* one of its queues does */
	uint64_t turn_ns;    /* when it or its present burst began */
	uint64_t worked_ns;  /* when there was something to do last */
	uint64_t rest_until_ns;
	uint64_t dma_generation; /* of the queues' and doors' pointers */
	uint64_t turn_bytes;
	uint16_t queues[EBS_QUEUES]; /* the submission queues */
	unsigned int queue_count;
	unsigned int turn_queue; /* whose turn is next, of those */
	struct ebs_moved moved[EBS_BURST_COMMANDS];
	unsigned int moved_count;
	bool is_deep;     /* more commands wait than this burst takes */
	bool needs_fence; /* for what this burst has written; until then … */
	struct ebs_request_list unposted; /* … these are not posted */
	struct ebs_door doors[2 * EBS_QUEUES];
	unsigned int door_count;
	volatile uint32_t *shadow, *events; /* pages of 5.7, if reachable */

	uint64_t news[2]; /* bit n: completion queue n has posted entries */
	uint64_t held[2]; /* bit n: vector n holds a message back */

	struct ebs_counters counters;

	/* Of those that are not the home. */
	struct rt_loop *home;
	_Atomic bool is_taken, is_wanted; /* see ebs_hold() */
	bool is_woken;                    /* its thread's */
	bool is_with_home;                /* the home thread takes its turns */
	struct ebs_request_list ended;    /* in the storage; its thread's */
	struct ebs_request_list handed;   /* to the home thread */
	struct pcie_dma_holder holder;
	struct rt_task start, wake, end; /* there */
	struct rt_task call, forget;     /* at home */
};

struct ebs_controller {
	struct pcie_function *fn;
	struct ebs_state *state; /* fn->device_state */
	const struct ebs_profile *profile;
	struct ebs_volume *volume;
	void *key; /* wrapped, of an encrypted volume that keeps it */
	/* Of ebs_profile_max_bytes() for each request; NULL: none are needed */
	uint8_t *cipher_buffers;
	size_t cipher_buffers_size;
	struct ebs_identity identity;
	uint16_t pairs;   /* I/O queue pairs that can be made */
	uint16_t granted; /* as told by the queues feature */
	uint32_t entries; /* of an I/O queue, at most */
	uint64_t created_ns;
	unsigned int polling; /* enum ebs_polling */

	struct ebs_request *requests;
	unsigned int request_count;
	struct ebs_buffer_pool admin_buffers, bounce_buffers;

	struct ebs_sq sq[EBS_QUEUES];
	struct ebs_cq cq[EBS_QUEUES];
	unsigned int aborts; /* Abort commands that wait */
	struct ebs_vector vectors[EBS_MAX_VECTORS];

	struct ebs_lane home;
	struct ebs_lane *lanes[EBS_LANES]; /* the first is the home */
	_Atomic unsigned int lane_count;   /* of those that were made */
	unsigned int lane_limit;
	unsigned int next_lane;  /* for the next queue, modulo the limit */
	unsigned int with_home;  /* lanes that are */
	unsigned int hold_depth; /* see ebs_hold() */
	unsigned int stray_part; /* of the page, to be searched next */
	/* Doorbells that came by message, for queues of other lanes. */
	volatile uint32_t rung[2 * EBS_QUEUES];

	bool is_quiescing;          /* the model waits for us to be quiet */
	struct rt_timer mute_timer; /* of a disable; see controller.c */
	bool is_flushing;           /* flush is under way, for a shutdown */
	struct ebs_volume_io flush;

	struct rt_fault_slot fault_slots[EBS_FAULTS];
	struct rt_rule_record rule_records[EBS_RULES];
};

static inline struct ebs_controller *
ebs_controller_of(const struct pcie_function *fn)
{
	return fn->device;
}

/* Also while the model cancels DMA, before it calls quiesce(). */
static inline bool ebs_is_quiescing(const struct ebs_controller *c)
{
	return c->is_quiescing || c->fn->is_quiescing;
}

/* tables.c */
#define EBS_COUNTERS 19u
extern const struct rt_option ebs_options[];
extern const struct rt_fault_point ebs_fault_points[EBS_FAULTS];
extern const struct rt_rule ebs_rules[EBS_RULES];
extern const struct rt_counter_name ebs_counter_names[EBS_COUNTERS];
/* The option's words, as entries of a queue; 0: the profile's. */
uint32_t ebs_entries_of_choice(unsigned int choice);

/* controller.c: registers and what becomes of the controller as a whole. */
enum {
#define REG(name, ...) EBS_REGISTER_##name,
#include "ebs-nvme/regs.def"
#undef REG
	EBS_REGISTERS,
};
extern const struct pcie_reg ebs_registers[EBS_REGISTERS];
uint32_t ebs_register_get(const struct ebs_controller *c, uint32_t offset);
void ebs_controller_init(struct ebs_controller *c);
void ebs_controller_power_on(struct ebs_controller *c);
/* Forget everything that a Controller Level Reset forgets; must be quiet. */
void ebs_controller_clear(struct ebs_controller *c);
bool ebs_controller_is_working(const struct ebs_controller *c);
/* What waited for the last command to end goes on. */
void ebs_controller_settle(struct ebs_controller *c);
/* The guest's memory for queues is not there: only a reset helps. */
void ebs_controller_fail(struct ebs_controller *c, int error);

/* lane.c: queues on other threads. */
void ebs_lanes_init(struct ebs_controller *c, bool may_spread);
void ebs_lanes_end(struct ebs_controller *c);
/* No queue is on any lane any more. */
void ebs_lanes_clear(struct ebs_controller *c);
/* The lane of a new completion queue. */
struct ebs_lane *ebs_lane_choose(struct ebs_controller *c, uint16_t cqid,
				 uint16_t vector, bool has_interrupt);
/* The queues of a state that was copied are on lanes again. */
void ebs_lanes_restore(struct ebs_controller *c);
/*
 * Keep all other lanes from touching the controller, as long as this thread,
 * the home's, changes what they look at, or what is theirs.  Each hold needs
 * its let; there may be holds inside.
 */
void ebs_hold(struct ebs_controller *c);
void ebs_let(struct ebs_controller *c);
/* The lane is away and cannot do this: step(), on the home thread. */
void ebs_hand_over(struct ebs_request *r, ebs_step *step);
/* The same for the end of storage I/O. */
void ebs_hand_over_io(struct ebs_request *r,
		      void (*done)(struct ebs_volume_io *io, int status),
		      int status);
/* The lane is away and something is beyond it: the home takes a turn for it. */
void ebs_lane_ask_home(struct ebs_lane *lane);
/* A doorbell that came by message; at home. */
void ebs_lane_ring(struct ebs_lane *lane);
/* Turns for lanes that are with the home; how long there need not be any. */
uint64_t ebs_lanes_help(struct ebs_controller *c, uint64_t now_ns);
/* The lanes' doorbells that are in memory now take effect. */
void ebs_lanes_catch_up(struct ebs_controller *c);
/* io->loop and io->done for what is submitted on this thread. */
void ebs_lane_io(struct ebs_request *r,
		 void (*done)(struct ebs_volume_io *io, int status));
/* Of all lanes. */
unsigned int ebs_active_count(const struct ebs_controller *c);
unsigned int ebs_io_count(const struct ebs_controller *c);
void ebs_counters_get(const struct ebs_controller *c, struct ebs_counters *sum);
void ebs_counters_set(struct ebs_controller *c, const struct ebs_counters *sum);

static inline bool ebs_is_home(const struct ebs_lane *lane)
{
	return lane == &lane->c->home;
}

/* request.c */
int ebs_requests_create(struct ebs_controller *c);
void ebs_requests_destroy(struct ebs_controller *c);
/* Requests that are free go from one lane to another, at most so many. */
void ebs_requests_move(struct ebs_lane *from, struct ebs_lane *to,
		       unsigned int count);
/* NULL: none free.  An entry of the completion queue is reserved with it. */
struct ebs_request *ebs_request_take(struct ebs_lane *lane, uint16_t sqid);
void ebs_request_free(struct ebs_request *r);
void ebs_request_complete(struct ebs_request *r, nvme_status status);
/* An error that the log has an entry for: all but those of an abort. */
bool ebs_status_is_logged(nvme_status status);
/* False: the command has been dealt with, forget it. */
bool ebs_request_goes_on(struct ebs_request *r);
/* A DMA operation ended with -ECANCELED. */
void ebs_request_cancelled(struct ebs_request *r);
void ebs_request_record(struct ebs_request *r, enum ebs_unfinished_kind kind);
/* Not in the hands of memory or storage: ends or is recorded at once. */
void ebs_requests_release(struct ebs_controller *c);
void ebs_requests_release_queue(struct ebs_controller *c, uint16_t sqid);
struct ebs_request *ebs_request_find(struct ebs_controller *c, uint16_t sqid,
				     uint16_t cid);
/* Go on in step() after delay_ns; UINT64_MAX: never by itself. */
void ebs_request_hold(struct ebs_request *r, uint64_t delay_ns, ebs_step *step);
void ebs_requests_resume(struct ebs_controller *c);

/* The guest erred in byte `byte`, bit `bit` of the command. */
nvme_status ebs_guest_error(struct ebs_request *r, enum ebs_rule rule,
			    nvme_status status, unsigned int byte,
			    unsigned int bit);
/* The same, where asking is not a mistake: what is optional may be missing. */
nvme_status ebs_not_offered(struct ebs_request *r, nvme_status status,
			    unsigned int byte);
#define ebs_invalid_field(r, byte, bit)                                        \
	ebs_guest_error(r, EBS_RULE_RESERVED_FIELD, NVME_INVALID_FIELD, byte,  \
			bit)

/* A command's run() returns this when it will call ebs_request_complete(). */
#define EBS_PENDING            ((nvme_status){ 0xffff })
#define EBS_IS_PENDING(status) ((status).raw == 0xffff)

/* Where the fields of a command stand, for error locations. */
#define EBS_BYTE_NSID  4u
#define EBS_BYTE_PRP1  24u
#define EBS_BYTE_PRP2  32u
#define EBS_BYTE_CDW10 40u
#define EBS_BYTE_CDW11 44u
#define EBS_BYTE_CDW12 48u

/* doorbell.c: where doorbells are found, and when to sleep. */
bool ebs_shadow_is_on(const struct ebs_controller *c);
/* A queue was made, or is deleted: its doorbell is 0.  Lanes are held. */
void ebs_door_clear(struct ebs_controller *c, uint16_t qid, bool is_cq);
/* Queues have gone, or the guest's memory is elsewhere. */
void ebs_doors_rebuild(struct ebs_lane *lane);
/* All doorbells are 0, and there is no doorbell buffer. */
void ebs_doors_reset(struct ebs_controller *c);
void ebs_doors_restore(struct ebs_controller *c); /* from the state */
/* Report doorbells of queues that are not there. */
void ebs_doors_find_strays(struct ebs_controller *c);
/* How many rang for work: those of submission queues. */
unsigned int ebs_doors_look(struct ebs_lane *lane);
/* There was nothing to do: for how long there need not be a turn. */
uint64_t ebs_doors_rest(struct ebs_lane *lane, uint64_t now_ns);
/* What has come by message for other lanes is in the state after it. */
void ebs_doors_absorb(struct ebs_controller *c);
/* A doorbell that came by message for a queue of another lane. */
void ebs_door_ring(struct ebs_lane *lane, uint16_t qid, bool is_cq,
		   uint32_t value);
nvme_status ebs_admin_doorbell_buffer(struct ebs_request *r);

/* queue.c: doorbells, fetching, posting. */
void ebs_doorbell_write(struct ebs_controller *c, uint64_t offset,
			uint32_t value);
/* False: no such value; it was reported. */
bool ebs_doorbell_rang(struct ebs_controller *c, uint16_t qid, bool is_cq,
		       uint32_t value);
/* Whether it would be such a value. */
bool ebs_doorbell_fits(const struct ebs_controller *c, uint16_t qid, bool is_cq,
		       uint32_t value);
/* There may be work: take a turn before the loop sleeps. */
static inline void ebs_kick(struct ebs_lane *lane)
{
	lane->is_kicked = true;
}
/* The client's memory may be another than before. */
void ebs_queues_locate(struct ebs_lane *lane);
/* The home's. */
void ebs_turns_start(struct ebs_controller *c);
void ebs_turns_stop(struct ebs_controller *c);
/* Take a turn if there may be something to do; as a poller's poll(). */
uint64_t ebs_turn(struct ebs_lane *lane, uint64_t now_ns);
bool ebs_cq_has_room(const struct ebs_controller *c, uint16_t cqid);
void ebs_cq_post(struct ebs_request *r);
/* As it stands in a completion entry, 4.6.1. */
uint16_t ebs_status_field(nvme_status status, bool phase);
/* Write the entry (again) that stands in r->cqe to r->cqe_slot. */
void ebs_cq_publish(struct ebs_request *r);
void ebs_sq_open(struct ebs_controller *c, uint16_t sqid, uint64_t base,
		 uint32_t size, uint16_t cqid);
void ebs_cq_open(struct ebs_controller *c, uint16_t cqid, uint64_t base,
		 uint32_t size, uint16_t vector, bool has_interrupt);

/* queue_admin.c: the commands that make and delete queues. */
nvme_status ebs_admin_create_cq(struct ebs_request *r);
nvme_status ebs_admin_create_sq(struct ebs_request *r);
nvme_status ebs_admin_delete_cq(struct ebs_request *r);
nvme_status ebs_admin_delete_sq(struct ebs_request *r);
/* The queue's last command has ended. */
void ebs_sq_delete_now(struct ebs_controller *c, uint16_t sqid);

/* interrupt.c */
void ebs_interrupt_posted(struct ebs_controller *c, uint16_t cqid);
/* The end of a turn: messages for what was posted in it. */
void ebs_interrupt_deliver(struct ebs_lane *lane);
/* The driver has taken entries. */
void ebs_interrupt_answered(struct ebs_controller *c, uint16_t cqid);
/* How long messages may be held back still; UINT64_MAX: none is. */
uint64_t ebs_interrupt_rest(const struct ebs_lane *lane);
void ebs_interrupt_update_pin(struct ebs_controller *c);
/* Send what coalescing holds back. */
void ebs_interrupt_flush(struct ebs_controller *c);
/* The queue is about to go, and with it what it has to tell. */
void ebs_interrupt_forget(struct ebs_controller *c, uint16_t cqid);
/* Drop what coalescing holds back. */
void ebs_interrupt_clear(struct ebs_controller *c);

/* data.c: moving a command's data. */
void ebs_buffers_init(struct ebs_controller *c);
void ebs_buffers_destroy(struct ebs_controller *c);
/* True: r->buffer is there now; false: step() is called when it is. */
bool ebs_buffer_take(struct ebs_request *r, struct ebs_buffer_pool *pool,
		     ebs_step *step);
void ebs_buffer_put(struct ebs_request *r);
/* Those that wait for buffers go on as far as there are some. */
void ebs_buffers_serve(struct ebs_controller *c);
/* Move bytes between r->data and the command's PRPs; then done(). */
void ebs_data_move(struct ebs_request *r, uint64_t bytes, bool is_to_guest,
		   ebs_data_done *done);
/* The status for an errno of pcie-model/dma.h. */
nvme_status ebs_data_status(struct ebs_request *r, int error);
nvme_status ebs_prp_status(struct ebs_request *r, enum ebs_prp_error error);

/* admin.c, identify.c, features.c, log_page.c, async_event.c */
void ebs_admin_begin(struct ebs_request *r);
nvme_status ebs_admin_identify(struct ebs_request *r);
nvme_status ebs_admin_get_features(struct ebs_request *r);
nvme_status ebs_admin_set_features(struct ebs_request *r);
nvme_status ebs_admin_get_log_page(struct ebs_request *r);
nvme_status ebs_admin_async_event(struct ebs_request *r);
nvme_status ebs_admin_abort(struct ebs_request *r);
/* r->data is filled: send so many bytes of it and complete. */
nvme_status ebs_admin_reply(struct ebs_request *r, uint64_t bytes);

void ebs_features_reset(struct ebs_controller *c);
bool ebs_write_cache_is_on(const struct ebs_controller *c);

void ebs_identify_controller(const struct ebs_controller *c,
			     struct nvme_id_ctrl *id);
void ebs_identify_namespace(const struct ebs_controller *c,
			    struct nvme_id_ns *id);
size_t ebs_identify_descriptors(const struct ebs_controller *c, uint8_t *data);

/* error: the entry for a failed command, or about no command (r NULL). */
void ebs_error_log_add(struct ebs_controller *c, const struct ebs_request *r,
		       nvme_status status);
void ebs_fill_stats(const struct ebs_controller *c, void *page);

void ebs_event_raise(struct ebs_controller *c, uint8_t type, uint8_t info,
		     uint8_t log);
/* The log page was read without RAE: events of its type may come again. */
void ebs_event_unmask(struct ebs_controller *c, uint8_t log);
/* Complete waiting requests with waiting events. */
void ebs_event_pump(struct ebs_controller *c);
bool ebs_event_abort(struct ebs_controller *c, uint16_t cid);
/* The volume's size or another property changed. */
void ebs_event_namespace_changed(struct ebs_controller *c);
void ebs_event_check_temperature(struct ebs_controller *c);

unsigned int ebs_stats_size_class(uint64_t bytes);

/* io.c */
void ebs_io_begin(struct ebs_request *r);
/* Count the commands of this burst that ended where they began. */
void ebs_io_count_moved(struct ebs_lane *lane);

#endif
