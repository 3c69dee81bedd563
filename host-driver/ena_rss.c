/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver of the network adapter: which queue gets a frame, by hash or by
 * rule.  One thread.
 */
#include <errno.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "host-driver/ena_host.h"
#include "host-driver/ena_private.h"

/* --- RSS ------------------------------------------------------------------ */

int host_ena_set_rss_key(struct host_ena *e,
			 const uint8_t key[ENA_ADMIN_RSS_KEY_BYTES],
			 uint32_t seed)
{
	const struct ena_admin_rss_hash_function function = {
		.selected_func = le32_put((uint32_t)BIT(ENA_ADMIN_TOEPLITZ)),
		.init_val = le32_put(seed),
	};
	struct ena_admin_rss_hash_key *buffer = host_ena_at(e, e->scratch);

	*buffer = (struct ena_admin_rss_hash_key){
		.key_parts = le32_put(ENA_ADMIN_RSS_KEY_WORDS),
	};
	/* The device uses it from its last byte to its first. */
	for (unsigned int i = 0; i < ENA_ADMIN_RSS_KEY_BYTES; i++)
		buffer->key[i] = key[ENA_ADMIN_RSS_KEY_BYTES - 1 - i];
	return host_ena_set_feature(e, ENA_ADMIN_RSS_HASH_FUNCTION, &function,
				    sizeof function,
				    host_ena_scratch(e, sizeof *buffer), NULL);
}

int host_ena_get_rss_hash(struct host_ena *e,
			  struct ena_admin_rss_hash_function *out,
			  struct ena_admin_rss_hash_key *key)
{
	int rc;

	memcpy(host_ena_at(e, e->scratch), key, sizeof *key);
	rc = host_ena_get_feature(e, ENA_ADMIN_RSS_HASH_FUNCTION, 0,
				  host_ena_scratch(e, sizeof *key), out,
				  sizeof *out);
	memcpy(key, host_ena_at(e, e->scratch), sizeof *key);
	return rc;
}

int host_ena_set_rss_table(struct host_ena *e, const uint16_t *queues,
			   unsigned int log2)
{
	const struct ena_admin_rss_ind_table table = {
		.size = le16_put((uint16_t)log2),
		.inline_index = le32_put(ENA_ADMIN_RSS_WHOLE_TABLE),
	};
	struct ena_admin_rss_ind_table_entry *entries =
		host_ena_at(e, e->scratch);
	uint32_t count = 1u << log2;

	if (count > HOST_ENA_PAGE / sizeof *entries)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++)
		entries[i] = (struct ena_admin_rss_ind_table_entry){
			.cq_idx = le16_put(queues[i])
		};
	return host_ena_set_feature(
		e, ENA_ADMIN_RSS_INDIRECTION_TABLE_CONFIG, &table, sizeof table,
		host_ena_scratch(e, count * (uint32_t)sizeof *entries), NULL);
}

int host_ena_get_rss_table(struct host_ena *e,
			   struct ena_admin_rss_ind_table *out,
			   uint16_t *queues, unsigned int room)
{
	const struct ena_admin_rss_ind_table_entry *entries =
		host_ena_at(e, e->scratch);
	int rc;

	if (room > HOST_ENA_PAGE / sizeof *entries)
		return -EINVAL;
	memset(host_ena_at(e, e->scratch), 0xff, HOST_ENA_PAGE);
	rc = host_ena_get_feature(
		e, ENA_ADMIN_RSS_INDIRECTION_TABLE_CONFIG, 0,
		host_ena_scratch(e, room * (uint32_t)sizeof *entries), out,
		sizeof *out);
	for (unsigned int i = 0; i < room; i++)
		queues[i] = le16_get(entries[i].cq_idx);
	return rc;
}

int host_ena_get_rss_fields(struct host_ena *e,
			    struct ena_admin_rss_hash_control *out)
{
	struct ena_admin_rss_hash_input input;
	int rc;

	memset(host_ena_at(e, e->scratch), 0, sizeof *out);
	rc = host_ena_get_feature(e, ENA_ADMIN_RSS_HASH_INPUT, 0,
				  host_ena_scratch(e, sizeof *out), &input,
				  sizeof input);
	memcpy(out, host_ena_at(e, e->scratch), sizeof *out);
	return rc;
}

int host_ena_set_rss_fields(struct host_ena *e,
			    const struct ena_admin_rss_hash_control *control)
{
	const struct ena_admin_rss_hash_input input = {
		.enabled_input_sort =
			le16_put((uint16_t)(ENA_ADMIN_RSS_SORT_L3 |
					    ENA_ADMIN_RSS_SORT_L4)),
	};

	memcpy(host_ena_at(e, e->scratch), control, sizeof *control);
	return host_ena_set_feature(e, ENA_ADMIN_RSS_HASH_INPUT, &input,
				    sizeof input,
				    host_ena_scratch(e, sizeof *control), NULL);
}

/* --- Flows ---------------------------------------------------------------- */

static int steer(struct host_ena *e,
		 const struct ena_admin_flow_steering *payload,
		 struct host_ena_buffer buffer, uint16_t *location)
{
	struct ena_admin_acq_entry answer = { 0 };
	int rc =
		host_ena_set_feature(e, ENA_ADMIN_FLOW_STEERING_CONFIG, payload,
				     sizeof *payload, buffer, &answer);

	if (rc == 0 && location)
		*location = (uint16_t)le_load(answer.body, 2);
	return rc;
}

int host_ena_add_flow(struct host_ena *e, enum ena_admin_flow_type type,
		      const struct ena_admin_flow_rule *rule,
		      uint16_t rx_ordinal, uint16_t *location)
{
	const struct ena_admin_flow_steering payload = {
		.action = ENA_ADMIN_FLOW_ADD,
		.type = (uint8_t)type,
		.rx_q_idx = le16_put(rx_ordinal),
		.rule_location = le16_put(ENA_ADMIN_FLOW_ANYWHERE),
	};

	memcpy(host_ena_at(e, e->scratch), rule, sizeof *rule);
	return steer(e, &payload, host_ena_scratch(e, sizeof *rule), location);
}

int host_ena_remove_flow(struct host_ena *e, uint16_t location)
{
	const struct ena_admin_flow_steering payload = {
		.action = ENA_ADMIN_FLOW_REMOVE,
		.rule_location = le16_put(location),
	};

	return steer(e, &payload, (struct host_ena_buffer){ 0 }, NULL);
}
