/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/ebs-nvme/rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/rt/error.h"
#include "firmware/rt/loop.h"
#include "firmware/rt/scope.h"
#include "pcie-model/function.h"

struct rig rig;
static struct nvme_cqe last;

/* ---- the engine: stands in for ebs-nvme/volume.c ---- */

static void move(struct ebs_volume_io *io)
{
	uint64_t at = io->offset;

	for (unsigned int i = 0; i < io->iov_count; i++) {
		if (io->op == EBS_VOLUME_READ)
			memcpy(io->iov[i].iov_base, rig.bytes + at,
			       io->iov[i].iov_len);
		else
			memcpy(rig.bytes + at, io->iov[i].iov_base,
			       io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
	cr_assert_eq(at, io->offset + io->size);
}

static void do_io(struct ebs_volume_io *io, int error)
{
	bool is_data = io->op == EBS_VOLUME_READ || io->op == EBS_VOLUME_WRITE;

	if (!error && is_data)
		move(io);
	if (!error && io->op == EBS_VOLUME_DISCARD)
		memset(rig.bytes + io->offset, 0, io->size);
	rig.flushes += io->op == EBS_VOLUME_FLUSH;
	rig.durable_writes += io->op == EBS_VOLUME_WRITE && io->is_durable;
}

static void end_io(struct ebs_volume_io *io, int error)
{
	do_io(io, error);
	io->done(io, error);
}

static void run_io(struct rt_task *task)
{
	end_io(rt_container_of(task, struct ebs_volume_io, task), rig.io_error);
}

void ebs_volume_fence(void)
{
	if (rig.fencing)
		rig.fencing();
	rig.unfenced = 0;
}

int ebs_volume_submit(struct ebs_volume *volume, struct ebs_volume_io *io)
{
	cr_assert_leq(io->offset, RIG_VOLUME);
	cr_assert_leq(io->size, RIG_VOLUME - io->offset);
	if (rig.holds_io) {
		rig.held[rig.held_count++] = io;
		return -EINPROGRESS;
	}
	if (rig.ends_at_once) {
		rig.unfenced += io->is_fenced_later;
		do_io(io, rig.io_error);
		return rig.io_error;
	}
	cr_assert_eq(io->loop, volume->loop);
	io->task.run = run_io;
	rt_loop_post(io->loop, &io->task);
	return -EINPROGRESS;
}

void rig_end_io(int error)
{
	unsigned int count = rig.held_count;

	rig.held_count = 0;
	for (unsigned int i = 0; i < count; i++)
		end_io(rig.held[i], error);
	rig_turn();
}

static const struct ebs_volume_engine engine = { .name = "held" };

int ebs_volume_open(struct rt_loop *loop,
		    const struct ebs_volume_config *config,
		    struct ebs_volume **out, struct rt_error *error)
{
	(void)error;
	*out = calloc(1, sizeof **out);
	(*out)->engine = &engine;
	(*out)->loop = loop;
	(*out)->size = RIG_VOLUME;
	(*out)->is_read_only = config->is_read_only;
	(*out)->can_discard = true;
	rig.bytes = calloc(1, RIG_VOLUME);
	return 0;
}

void ebs_volume_close(struct ebs_volume **volume)
{
	free(rig.bytes);
	free(*volume);
	*volume = NULL;
}

/* ---- the client ---- */

static int dma_start(void *opaque, struct pcie_dma_message *message)
{
	(void)opaque;
	if (rig.message_count == RIG_MESSAGES)
		return -EAGAIN;
	rig.messages[rig.message_count++] = message;
	return 0;
}

static void dma_cancel(void *opaque, struct pcie_dma_message *message)
{
	unsigned int kept = 0;

	(void)opaque;
	for (unsigned int i = 0; i < rig.message_count; i++)
		if (rig.messages[i] != message)
			rig.messages[kept++] = rig.messages[i];
	rig.message_count = kept;
}

static void answer(struct pcie_dma_message *m)
{
	uint8_t *guest = rig_at(m->iova);

	if (m->is_write)
		memcpy(guest, m->data, m->size);
	else
		memcpy(m->data, guest, m->size);
	m->done(m, 0);
}

void rig_answer_messages(void)
{
	struct pcie_dma_message *messages[RIG_MESSAGES];
	unsigned int count = rig.message_count;

	memcpy(messages, rig.messages, sizeof messages);
	rig.message_count = 0;
	for (unsigned int i = 0; i < count; i++)
		answer(messages[i]);
}

void rig_turn(void)
{
	for (int idle = 0; idle < 2;) {
		int did = rt_loop_step(rig.loop, 0);

		cr_assert(did >= 0);
		if (rig.message_count && !rig.holds_messages) {
			rig_answer_messages();
			did = 1;
		}
		idle = did ? 0 : idle + 1;
	}
}

void rig_wait_ns(uint64_t ns)
{
	rt_clock_advance(&rig.clock, ns);
	rig_turn();
}

/* ---- life ---- */

static void map_memory(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	cr_assert(fd >= 0);
	cr_assert_eq(ftruncate(fd, RIG_BYTES), 0);
	rig.memory = mmap(NULL, RIG_BYTES, PROT_READ | PROT_WRITE,
			  rig.is_private ? MAP_PRIVATE : MAP_SHARED, fd, 0);
	rig.fn->dma.can_check = true;
	cr_assert_neq(rig.memory, MAP_FAILED);
	cr_assert_eq(pcie_dma_map(rig.fn, RIG_IOVA, RIG_BYTES,
				  PCIE_DMA_READABLE | PCIE_DMA_WRITEABLE,
				  rig.is_by_message ? -1 : fd, 0),
		     0);
	close(fd);
}

void rig_start_config(const struct ebs_config *config)
{
	struct rt_error error = { 0 };
	uint16_t command = 6; /* memory space and bus master */

	rt_clock_make_virtual(&rig.clock, RT_NS_PER_S);
	cr_assert_eq(rt_loop_create(&rig.clock, &rig.loop), 0);
	cr_assert_eq(pcie_function_create(&ebs_function, "ebs0", rig.loop,
					  config, &rig.fn, &error),
		     0, "%s", error.text);
	rig.c = ebs_controller_of(rig.fn);
	rig.fn->transport.dma_start = dma_start;
	rig.fn->transport.dma_cancel = dma_cancel;
	pcie_region_write(rig.fn, PCIE_CONFIG_REGION, 4, &command, 2);
	map_memory();
}

void rig_start(unsigned int profile)
{
	rig_start_config(
		&(struct ebs_config){ .profile = profile, .vcpus = 2 });
}

void rig_start_by_message(unsigned int profile)
{
	rig.is_by_message = true;
	rig_start(profile);
}

void rig_start_ready(void)
{
	rig_start(EBS_PROFILE_EBS_2);
	rig_enable(16);
	rig_make_pair(1);
}

void rig_stop(void)
{
	rig.holds_io = false;
	rig.holds_messages = false;
	rig_end_io(0);
	pcie_function_reset(rig.fn, PCIE_RESET_DETACH, NULL, NULL);
	rig_turn();
	pcie_dma_unmap_all(rig.fn);
	munmap(rig.memory, RIG_BYTES);
	pcie_function_destroy(&rig.fn);
	rt_loop_destroy(&rig.loop);
	memset(&rig, 0, sizeof rig);
}

/* ---- a driver ---- */

uint8_t *rig_at(uint64_t iova)
{
	cr_assert(iova >= RIG_IOVA && iova < RIG_IOVA + RIG_BYTES);
	return rig.memory + (iova - RIG_IOVA);
}

uint32_t rig_read32(uint64_t offset)
{
	uint32_t value;

	pcie_region_read(rig.fn, 0, offset, &value, sizeof value);
	return value;
}

void rig_write32(uint64_t offset, uint32_t value)
{
	pcie_region_write(rig.fn, 0, offset, &value, sizeof value);
}

static void forget_queues(uint32_t entries)
{
	for (unsigned int i = 0; i < RIG_QUEUES; i++)
		rig.queues[i] =
			(struct rig_queue){ .entries = entries, .phase = 1 };
	memset(rig.memory, 0, 0x2000 * RIG_QUEUES);
}

void rig_enable(uint32_t entries)
{
	forget_queues(16);
	rig.queues[0].entries = entries;
	rig_write32(NVME_REG_AQA, (entries - 1) << 16 | (entries - 1));
	rig_write32(NVME_REG_ASQ, (uint32_t)RIG_ASQ);
	rig_write32(NVME_REG_ASQ + 4, 0);
	rig_write32(NVME_REG_ACQ, (uint32_t)RIG_ACQ);
	rig_write32(NVME_REG_ACQ + 4, 0);
	rig_write32(NVME_REG_CC, 0x00460001);
	rig_turn();
	cr_assert_eq(rig_read32(NVME_REG_CSTS), 1);
}

void rig_make_pair(uint16_t qid)
{
	struct nvme_cmd cq = {
		.opcode = NVME_ADMIN_CREATE_CQ,
		.prp1 = le64_put(RIG_CQ(qid)),
		.cdw10 = le32_put(15u << 16 | qid),
		.cdw11 = le32_put(3),
	};
	struct nvme_cmd sq = {
		.opcode = NVME_ADMIN_CREATE_SQ,
		.prp1 = le64_put(RIG_SQ(qid)),
		.cdw10 = le32_put(15u << 16 | qid),
		.cdw11 = le32_put((uint32_t)qid << 16 | 1),
	};

	cr_assert_eq(rig_run(0, cq), 0);
	cr_assert_eq(rig_run(0, sq), 0);
}

uint16_t rig_submit(uint16_t qid, struct nvme_cmd cmd)
{
	struct rig_queue *q = &rig.queues[qid];

	cmd.cid = le16_put(++rig.next_cid);
	memcpy(rig_at(RIG_SQ(qid) + q->tail * sizeof cmd), &cmd, sizeof cmd);
	q->tail = (q->tail + 1) % q->entries;
	rig_write32(NVME_SQ_DOORBELL(qid), q->tail);
	return rig.next_cid;
}

bool rig_completion(uint16_t qid, struct nvme_cqe *out)
{
	struct rig_queue *q = &rig.queues[qid];
	struct nvme_cqe cqe;

	memcpy(&cqe, rig_at(RIG_CQ(qid) + q->head * sizeof cqe), sizeof cqe);
	if (bits_get(NVME_CQE_PHASE, le16_get(cqe.status)) != q->phase)
		return false;
	if (++q->head == q->entries) {
		q->head = 0;
		q->phase ^= 1;
	}
	last = cqe;
	if (out)
		*out = cqe;
	rig_write32(NVME_CQ_DOORBELL(qid), q->head);
	return true;
}

int rig_run(uint16_t qid, struct nvme_cmd cmd)
{
	rig_submit(qid, cmd);
	rig_turn();
	if (!rig_completion(qid, NULL))
		return -1;
	return le16_get(last.status) >> 1 & 0x7ff;
}

uint32_t rig_dw0(void)
{
	return le32_get(last.dw0);
}

uint16_t rig_cid(void)
{
	return le16_get(last.cid);
}

bool rig_is_final(void)
{
	return bits_get(NVME_CQE_DNR, le16_get(last.status));
}

struct nvme_cmd rig_rw(uint8_t opcode, uint64_t lba, uint32_t blocks)
{
	return (struct nvme_cmd){
		.opcode = opcode,
		.nsid = le32_put(1),
		.prp1 = le64_put(RIG_DATA),
		.prp2 = le64_put(RIG_DATA + 4096),
		.cdw10 = le32_put((uint32_t)lba),
		.cdw11 = le32_put((uint32_t)(lba >> 32)),
		.cdw12 = le32_put(blocks - 1),
	};
}

int rig_identify(uint32_t cns, uint32_t nsid)
{
	return rig_run(0, (struct nvme_cmd){ .opcode = NVME_ADMIN_IDENTIFY,
					     .nsid = le32_put(nsid),
					     .prp1 = le64_put(RIG_DATA),
					     .cdw10 = le32_put(cns) });
}

int rig_log(uint8_t id, uint32_t bytes, uint64_t offset)
{
	return rig_run(0, (struct nvme_cmd){
				  .opcode = NVME_ADMIN_GET_LOG_PAGE,
				  .nsid = le32_put(NVME_NSID_ALL),
				  .prp1 = le64_put(RIG_DATA),
				  .prp2 = le64_put(RIG_DATA + 4096),
				  .cdw10 = le32_put((bytes / 4 - 1) << 16 | id),
				  .cdw12 = le32_put((uint32_t)offset),
			  });
}

int rig_get_feature(uint8_t id, uint32_t select, uint32_t cdw11)
{
	return rig_run(0, (struct nvme_cmd){
				  .opcode = NVME_ADMIN_GET_FEATURES,
				  .nsid = le32_put(1),
				  .cdw10 = le32_put(select << 8 | id),
				  .cdw11 = le32_put(cdw11),
			  });
}

int rig_set_feature(uint8_t id, uint32_t cdw11)
{
	return rig_run(0, (struct nvme_cmd){
				  .opcode = NVME_ADMIN_SET_FEATURES,
				  .cdw10 = le32_put(id),
				  .cdw11 = le32_put(cdw11),
			  });
}
