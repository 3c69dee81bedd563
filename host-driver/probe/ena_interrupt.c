/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rules of a network adapter's interrupts: when they come, and when they do
 * not.
 */
#include <linux/vfio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/clock.h"
#include "host-driver/probe/ena.h"

#define VECTOR   1
#define DELAY_US 5000u

struct bell {
	int fds[2];
};

static void bell_free(const struct bell *bell)
{
	close(bell->fds[0]);
	close(bell->fds[1]);
}
#define BELL __attribute__((cleanup(bell_free)))

static int bell_make(struct probe *p, struct bell *bell)
{
	for (int i = 0; i < 2; i++)
		bell->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return host_msix_enable(p->fn, bell->fds, 2);
}

/* How often it has rung since it was last asked. */
static uint64_t rung(const struct bell *bell, int i)
{
	uint64_t count = 0;

	return read(bell->fds[i], &count, sizeof count) == sizeof count ? count
									: 0;
}

static bool rings(struct probe *p, const struct bell *bell, int i)
{
	const struct rt_clock clock = { 0 };
	uint64_t end =
		rt_clock_now_ns(&clock) + p->options.timeout_ms * RT_NS_PER_MS;

	while (rung(bell, i) == 0) {
		if (rt_clock_now_ns(&clock) > end)
			return false;
		probe_pause_ms(p, 1);
	}
	return true;
}

/* A transmit queue with an interrupt, in place of the one without. */
static int interrupting(struct probe *p, struct bell *bell)
{
	const struct host_ena_tx_options options = { .depth = ENA_DEPTH,
						     .has_interrupt = true,
						     .vector = VECTOR };
	int rc = bell_make(p, bell);

	if (rc == 0)
		rc = host_ena_tx_close(&p->tx);
	return rc ? rc : host_ena_tx_open(&p->ena_doors, &options, &p->tx);
}

static int send_one(struct probe *p)
{
	uint64_t page = ena_page(p);

	return ena_send(p, &(struct host_ena_packet){
				   .bytes = host_ena_at(p->ena, page),
				   .iova = page,
				   .length = 60 });
}

static int unmask(struct probe *p, uint32_t delay)
{
	return host_ena_unmask(p->ena, host_ena_tx_cq(p->tx), delay, delay);
}

enum probe_verdict probe_ena_interrupt_management(struct probe *p)
{
	struct ena_admin_basic_stats stats;
	struct bell bell BELL;
	int rc = bell_make(p, &bell);

	if (rc == 0)
		rc = host_ena_get_stats(p->ena, ENA_ADMIN_STATS_BASIC, &stats,
					sizeof stats);
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (rc == 0 && rung(&bell, 0))
		return probe_broken(p, "INTR_MASK does not mask");
	if (rc == 0)
		rc = host_ena_admin_interrupt(p->ena, true);
	probe_pause_ms(p, PROBE_QUIET_MS);
	(void)rung(&bell, 0);
	if (rc == 0)
		rc = host_ena_get_stats(p->ena, ENA_ADMIN_STATS_BASIC, &stats,
					sizeof stats);
	if (rc)
		return probe_failed(p, rc, "a command");
	return rings(p, &bell, 0) ? PROBE_HOLDS
				  : probe_broken(p, "a completion has none");
}

enum probe_verdict probe_ena_interrupt_events(struct probe *p)
{
	struct bell bell BELL;
	int rc = bell_make(p, &bell);

	if (rc == 0)
		rc = host_ena_admin_interrupt(p->ena, true);
	(void)host_ena_take_events(p->ena);
	probe_pause_ms(p, PROBE_QUIET_MS);
	(void)rung(&bell, 0);
	if (rc)
		return probe_failed(p, rc, "INTR_MASK");
	rc = host_ena_await_event(p->ena, ENA_ADMIN_AENQ_KEEP_ALIVE, 2500,
				  NULL);
	if (rc)
		return probe_failed(p, rc, "a keep-alive");
	return rings(p, &bell, 0) ? PROBE_HOLDS
				  : probe_broken(p, "a keep-alive has none");
}

enum probe_verdict probe_ena_interrupt_masked_first(struct probe *p)
{
	struct bell bell BELL;
	int rc = interrupting(p, &bell);

	if (rc == 0)
		rc = send_one(p);
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (rc)
		return probe_failed(p, rc, "a packet");
	return rung(&bell, VECTOR) ? probe_broken(p, "before it is unmasked")
				   : PROBE_HOLDS;
}

enum probe_verdict probe_ena_interrupt_pending(struct probe *p)
{
	struct bell bell BELL;
	int rc = interrupting(p, &bell);

	if (rc == 0)
		rc = send_one(p);
	if (rc == 0)
		rc = unmask(p, 0);
	if (rc)
		return probe_failed(p, rc, "a packet");
	return rings(p, &bell, VECTOR)
		       ? PROBE_HOLDS
		       : probe_broken(p, "what came while masked is lost");
}

enum probe_verdict probe_ena_interrupt_once(struct probe *p)
{
	struct bell bell BELL;
	int rc = interrupting(p, &bell);

	if (rc == 0)
		rc = unmask(p, 0);
	if (rc == 0)
		rc = send_one(p);
	if (rc)
		return probe_failed(p, rc, "a packet");
	if (!rings(p, &bell, VECTOR))
		return probe_broken(p, "it does not come");
	for (int i = 0; i < 5 && rc == 0; i++)
		rc = send_one(p);
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (rung(&bell, VECTOR))
		return probe_broken(p, "it comes again without being unmasked");
	rc = unmask(p, 0);
	return rc == 0 && rings(p, &bell, VECTOR)
		       ? PROBE_HOLDS
		       : probe_broken(p, "it does not come again");
}

enum probe_verdict probe_ena_interrupt_delay(struct probe *p)
{
	const struct rt_clock clock = { 0 };
	struct bell bell BELL;
	uint64_t start, us;
	int rc;

	if (p->ena->facts.delay_us == 0)
		return probe_skip(p, "interrupts cannot be delayed");
	rc = interrupting(p, &bell);
	if (rc == 0)
		rc = unmask(p, DELAY_US / p->ena->facts.delay_us);
	start = rt_clock_now_ns(&clock);
	if (rc == 0)
		rc = send_one(p);
	if (rc)
		return probe_failed(p, rc, "a packet");
	if (!rings(p, &bell, VECTOR))
		return probe_broken(p, "it does not come");
	us = (rt_clock_now_ns(&clock) - start) / RT_NS_PER_US;
	return us >= DELAY_US * 3 / 4
		       ? PROBE_HOLDS
		       : probe_broken(p, "it comes after %lu us, not %u", us,
				      DELAY_US);
}

enum probe_verdict probe_ena_interrupt_none(struct probe *p)
{
	struct bell bell BELL;
	int rc = bell_make(p, &bell);

	if (rc == 0)
		rc = unmask(p, 0);
	if (rc == 0)
		rc = send_one(p);
	probe_pause_ms(p, PROBE_QUIET_MS);
	if (rc)
		return probe_failed(p, rc, "a packet");
	return rung(&bell, VECTOR) || rung(&bell, 0)
		       ? probe_broken(p, "a queue without a vector has one")
		       : PROBE_HOLDS;
}
