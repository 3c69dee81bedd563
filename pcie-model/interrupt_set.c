/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SET_IRQS and GET_IRQ_INFO as <linux/vfio.h> and the kernel's vfio-pci have
 * them: eventfds that a client gives and takes away, its masks of the pin, and
 * interrupts that it triggers itself.  Owns the copies of the eventfds.  The
 * function's loop thread.
 *
 * A client is not trusted with what it gives: only eventfds are taken, they are
 * made non-blocking, and a request either succeeds as a whole or changes
 * nothing.
 *
 * syscalls: fcntl read close
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/rt/scope.h"
#include "pcie-model/function.h"
#include "pcie-model/interrupt.h"
#include "pcie-model/trace.h"

/*
 * An eventfd, as far as that can be told without /proc: it has no file type,
 * which pipes, sockets and files have.  Whatever else it might be, a write to
 * it does not block.
 */
static int copy_event(int fd, int *out)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &st) < 0 || (st.st_mode & S_IFMT))
		return -EINVAL;
	if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -EINVAL;
	*out = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return *out < 0 ? -EMFILE : 0;
}

static void close_event(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

struct irq_set {
	uint32_t flags, index, start, count;
	const uint8_t *bools;
	const int *fds;
};

/* The eventfds of an index. */
static int *slots_of(struct pcie_function *fn, uint32_t index)
{
	struct pcie_interrupts *i = &fn->interrupts;
	int *const slots[PCIE_INTERRUPT_INDEXES] = {
		[PCIE_INTX] = &i->intx_fd, [PCIE_MSI] = i->msi_fds,
		[PCIE_MSIX] = i->msix_fds, [PCIE_ERR] = &i->err_fd,
		[PCIE_REQ] = &i->req_fd,
	};

	return slots[index];
}

int pcie_interrupt_info(const struct pcie_function *fn, uint32_t index,
			uint32_t *count, uint32_t *flags)
{
	const uint32_t counts[PCIE_INTERRUPT_INDEXES] = {
		[PCIE_INTX] = fn->identity.has_intx,
		[PCIE_MSI] = fn->identity.msi_vectors,
		[PCIE_MSIX] = fn->identity.msix_vectors,
		[PCIE_ERR] = 1,
		[PCIE_REQ] = 1,
	};

	if (index >= PCIE_INTERRUPT_INDEXES)
		return -EINVAL;
	*count = counts[index];
	*flags = VFIO_IRQ_INFO_EVENTFD;
	if (index == PCIE_INTX)
		*flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	else
		*flags |= VFIO_IRQ_INFO_NORESIZE;
	return 0;
}

static unsigned int count_events(const int *slots, unsigned int count)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < count; i++)
		n += slots[i] >= 0;
	return n;
}

/* Eventfds of an index came or went. */
static void assigned(struct pcie_function *fn, uint32_t index)
{
	struct pcie_interrupts *i = &fn->interrupts;

	i->msi_fd_count = count_events(i->msi_fds, PCIE_MSI_MAX_VECTORS);
	i->msix_fd_count = count_events(i->msix_fds, PCIE_MSIX_MAX_VECTORS);
	/* A new eventfd has not seen the level yet. */
	if (index == PCIE_INTX)
		fn->state.interrupts.intx_masked = 0;
	pcie_interrupt_update(fn);
}

static void close_events(int *fds, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		close_event(&fds[i]);
}

/* All or none: nothing changes unless every descriptor could be copied. */
static int copy_events(const int *fds, unsigned int count, int *copies)
{
	int error = 0;

	for (unsigned int i = 0; i < count; i++)
		copies[i] = -1;
	for (unsigned int i = 0; fds && i < count && !error; i++)
		if (fds[i] >= 0)
			error = copy_event(fds[i], &copies[i]);
	if (error)
		close_events(copies, count);
	return error;
}

static int assign(struct pcie_function *fn, const struct irq_set *set)
{
	int copies[PCIE_MSIX_MAX_VECTORS];
	int *slots = slots_of(fn, set->index) + set->start;
	int error = copy_events(set->fds, set->count, copies);

	if (error)
		return error;
	for (unsigned int i = 0; i < set->count; i++) {
		close_event(&slots[i]);
		slots[i] = copies[i];
	}
	assigned(fn, set->index);
	return 0;
}

/* As a real device's interrupts would arrive, past all masks. */
static void loop_back(struct pcie_function *fn, const struct irq_set *set)
{
	const int *slots = slots_of(fn, set->index) + set->start;
	bool is_bool = set->flags & VFIO_IRQ_SET_DATA_BOOL;

	for (unsigned int i = 0; i < set->count; i++)
		if (slots[i] >= 0 && (!is_bool || set->bools[i]))
			pcie_event_signal(slots[i]);
}

static int trigger(struct pcie_function *fn, const struct irq_set *set,
		   uint32_t room)
{
	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return assign(fn, set);
	if (set->count > 0) {
		loop_back(fn, set);
		return 0;
	}
	close_events(slots_of(fn, set->index), room);
	assigned(fn, set->index);
	return 0;
}

static int mask_intx(struct pcie_function *fn, const struct irq_set *set)
{
	/* The kernel has no eventfd that masks either. */
	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return -ENOTTY;
	if (!(set->flags & VFIO_IRQ_SET_DATA_BOOL) || set->bools[0])
		fn->state.interrupts.intx_masked = 1;
	return 0;
}

static void unmask(struct pcie_function *fn)
{
	fn->state.interrupts.intx_masked = 0;
	pcie_intx_fire(fn);
}

static void unmask_event_came(struct rt_watch *watch, uint32_t poll_events)
{
	struct pcie_interrupts *i = rt_container_of(
		watch, struct pcie_interrupts, intx_unmask_watch);
	uint64_t count;

	(void)poll_events;
	if (read(i->intx_unmask_fd, &count, sizeof count) == sizeof count)
		unmask(i->fn);
}

static void drop_unmask_event(struct pcie_function *fn)
{
	struct pcie_interrupts *i = &fn->interrupts;

	if (i->intx_unmask_fd >= 0)
		rt_watch_stop(fn->loop, &i->intx_unmask_watch);
	close_event(&i->intx_unmask_fd);
}

static int watch_unmask_event(struct pcie_function *fn, const int *fds)
{
	struct pcie_interrupts *i = &fn->interrupts;
	RT_FD int copy = -1;
	int error = copy_events(fds, 1, &copy);

	if (error)
		return error;
	drop_unmask_event(fn);
	if (copy < 0)
		return 0;
	error = rt_watch_start(fn->loop, &i->intx_unmask_watch, copy, POLLIN);
	if (!error)
		i->intx_unmask_fd = rt_take_fd(&copy);
	return error;
}

static int unmask_intx(struct pcie_function *fn, const struct irq_set *set)
{
	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return fn->loop ? watch_unmask_event(fn, set->fds) : -ENOTTY;
	if (!(set->flags & VFIO_IRQ_SET_DATA_BOOL) || set->bools[0])
		unmask(fn);
	return 0;
}

static bool is_one_bit(uint32_t bits)
{
	return bits && !(bits & (bits - 1));
}

static bool set_is_sound(const struct irq_set *set, uint32_t room)
{
	uint32_t data = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	uint32_t action = set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;

	if ((set->flags & ~(data | action)) || !is_one_bit(data) ||
	    !is_one_bit(action))
		return false;
	if (set->start >= room || set->count > room - set->start)
		return false;
	return set->count > 0 || (data == VFIO_IRQ_SET_DATA_NONE &&
				  action == VFIO_IRQ_SET_ACTION_TRIGGER);
}

static int act(struct pcie_function *fn, const struct irq_set *set,
	       uint32_t room)
{
	if (set->flags & VFIO_IRQ_SET_ACTION_TRIGGER)
		return trigger(fn, set, room);
	if (set->index != PCIE_INTX)
		return -ENOTTY;
	if (set->flags & VFIO_IRQ_SET_ACTION_MASK)
		return mask_intx(fn, set);
	return unmask_intx(fn, set);
}

int pcie_interrupt_set(struct pcie_function *fn, uint32_t flags, uint32_t index,
		       uint32_t start, uint32_t count, const uint8_t *bools,
		       const int *fds)
{
	struct irq_set set = { flags, index, start, count, bools, fds };
	uint32_t room = 0, ignored;
	int error;

	trace_pcie_irq_set(flags, index, start, count);
	if (pcie_interrupt_info(fn, index, &room, &ignored) < 0 ||
	    !set_is_sound(&set, room))
		return -EINVAL;
	pcie_function_hold(fn);
	error = act(fn, &set, room);
	pcie_function_let(fn);
	return error;
}

void pcie_interrupt_init(struct pcie_function *fn)
{
	struct pcie_interrupts *i = &fn->interrupts;

	i->fn = fn;
	i->intx_fd = i->intx_unmask_fd = i->err_fd = i->req_fd = -1;
	for (unsigned int v = 0; v < PCIE_MSI_MAX_VECTORS; v++)
		i->msi_fds[v] = -1;
	for (unsigned int v = 0; v < PCIE_MSIX_MAX_VECTORS; v++)
		i->msix_fds[v] = -1;
	i->intx_unmask_watch.ready = unmask_event_came;
}

void pcie_interrupt_drop(struct pcie_function *fn)
{
	struct pcie_interrupts *i = &fn->interrupts;

	pcie_function_hold(fn);
	drop_unmask_event(fn);
	close_event(&i->intx_fd);
	close_event(&i->err_fd);
	close_event(&i->req_fd);
	close_events(i->msi_fds, PCIE_MSI_MAX_VECTORS);
	close_events(i->msix_fds, PCIE_MSIX_MAX_VECTORS);
	assigned(fn, PCIE_INTX);
	pcie_function_let(fn);
}
