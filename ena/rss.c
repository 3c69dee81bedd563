/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receive-side scaling: which queue a frame goes to.  On the function's loop.
 *
 * The Toeplitz hash is linear, so for each byte of input there is a table of
 * what its 256 values add, made when the key is set; hashing is then one look
 * and one XOR for each byte: 12 for TCP over IPv4.  A field that was not chosen
 * as input adds nothing.
 *
 *   input  source address, destination address, source port, destination port
 *   key    as it was given, its last byte first
 *   hash   the sum, XOR the initial value
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ena/control.h"

#define INPUT_BYTES   36u /* of IPv6 and ports */
#define IP4_BYTES     20u
#define IP6_BYTES     40u
#define FIRST_INITIAL 0xffffffffu

struct ena_rss_tables {
	uint32_t sums[INPUT_BYTES][256];
	uint8_t key[ENA_ADMIN_RSS_KEY_BYTES]; /* that they were made for */
	bool is_made;
};

/* What hardware whose key cannot be set has; ours, until one is set. */
static const uint8_t first_key[ENA_ADMIN_RSS_KEY_BYTES] = {
	0xbe, 0xac, 0x01, 0xfa, 0x6a, 0x42, 0xb7, 0x3b, 0x80, 0x30,
	0xf2, 0x0c, 0x77, 0xcb, 0x2d, 0xa3, 0xae, 0x7b, 0x30, 0xb4,
	0xd0, 0xca, 0x2b, 0xcb, 0x43, 0xa3, 0x8f, 0xb0, 0x41, 0x67,
	0x25, 0x3d, 0x25, 0x5b, 0x0e, 0xc2, 0x6d, 0x5a, 0x56, 0xda,
};

#define L3 ((uint16_t)(ENA_ADMIN_RSS_L3_DA | ENA_ADMIN_RSS_L3_SA))
#define L4 ((uint16_t)(L3 | ENA_ADMIN_RSS_L4_DP | ENA_ADMIN_RSS_L4_SP))
#define L2 ((uint16_t)(ENA_ADMIN_RSS_L2_DA | ENA_ADMIN_RSS_L2_SA))

static const uint16_t offered_fields[ENA_ADMIN_RSS_PROTOS] = {
	[ENA_ADMIN_RSS_TCP4] = L4,     [ENA_ADMIN_RSS_UDP4] = L4,
	[ENA_ADMIN_RSS_TCP6] = L4,     [ENA_ADMIN_RSS_UDP6] = L4,
	[ENA_ADMIN_RSS_IP4] = L3,      [ENA_ADMIN_RSS_IP6] = L3,
	[ENA_ADMIN_RSS_IP4_FRAG] = L3, [ENA_ADMIN_RSS_NOT_IP] = L2,
	[ENA_ADMIN_RSS_TCP6_EX] = L4,  [ENA_ADMIN_RSS_IP6_EX] = L3,
};

/* ---- the tables ---- */

/* 32 bits of the key from bit number `from`, the first being the highest. */
static uint32_t key_window(const uint8_t *key, unsigned int from)
{
	uint64_t bits = 0;

	for (unsigned int i = 0; i < 5; i++)
		bits = bits << 8 | (from / 8 + i < ENA_ADMIN_RSS_KEY_BYTES
					    ? key[from / 8 + i]
					    : 0);
	return (uint32_t)(bits >> (8 - from % 8));
}

static void make_byte(uint32_t sums[256], const uint8_t *key, unsigned int byte)
{
	sums[0] = 0;
	for (unsigned int value = 1; value < 256; value++) {
		unsigned int low = (unsigned int)__builtin_ctz(value);

		sums[value] = sums[value & (value - 1)] ^
			      key_window(key, 8 * byte + 7 - low);
	}
}

void ena_rss_prepare(struct ena_nic *nic)
{
	struct ena_rss_tables *t = nic->rss;
	const uint8_t *given = nic->state->rss.key.key;
	uint8_t key[ENA_ADMIN_RSS_KEY_BYTES];

	for (unsigned int i = 0; i < sizeof key; i++)
		key[i] = given[sizeof key - 1 - i];
	if (t->is_made && !memcmp(t->key, key, sizeof key))
		return;
	for (unsigned int i = 0; i < INPUT_BYTES; i++)
		make_byte(t->sums[i], key, i);
	memcpy(t->key, key, sizeof key);
	t->is_made = true;
}

int ena_rss_create(struct ena_nic *nic)
{
	nic->rss = calloc(1, sizeof *nic->rss);
	return nic->rss ? 0 : -ENOMEM;
}

void ena_rss_destroy(struct ena_nic *nic)
{
	free(nic->rss);
	nic->rss = NULL;
}

void ena_rss_reset(struct ena_nic *nic)
{
	struct ena_rss_config *rss = &nic->state->rss;

	*rss = (struct ena_rss_config){ .function = ENA_ADMIN_TOEPLITZ,
					.init_val = FIRST_INITIAL };
	memcpy(rss->key.key, first_key, sizeof first_key);
	memcpy(rss->fields, offered_fields, sizeof offered_fields);
	for (unsigned int i = 0; i < ENA_RSS_ENTRIES; i++)
		rss->table[i] = ENA_NO_QUEUE;
	ena_rss_prepare(nic);
}

/* ---- hashing ---- */

static inline uint32_t sum_of(const struct ena_rss_tables *t, unsigned int at,
			      const uint8_t *bytes, unsigned int count)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < count; i++)
		sum ^= t->sums[at + i][bytes[i]];
	return sum;
}

/*
 * Addresses of size bytes, source first, and ports, or NULL.  All of it is
 * unrolled for the sizes that there are.
 */
static inline __attribute__((always_inline)) uint32_t
toeplitz(const struct ena_rss_tables *t, uint16_t fields, const uint8_t *ip,
	 unsigned int size, const uint8_t *ports)
{
	uint32_t sum = 0;

	if (fields & ENA_ADMIN_RSS_L3_SA)
		sum ^= sum_of(t, 0, ip, size);
	if (fields & ENA_ADMIN_RSS_L3_DA)
		sum ^= sum_of(t, size, ip + size, size);
	if (!ports)
		return sum;
	if (fields & ENA_ADMIN_RSS_L4_SP)
		sum ^= sum_of(t, 2 * size, ports, 2);
	if (fields & ENA_ADMIN_RSS_L4_DP)
		sum ^= sum_of(t, 2 * size + 2, ports + 2, 2);
	return sum;
}

static enum ena_admin_flow_hash_proto
protocol_of(const struct ena_frame_info *info)
{
	bool is_tcp = info->l4_proto == ENA_ETH_IO_L4_PROTO_TCP;
	bool is_udp = info->l4_proto == ENA_ETH_IO_L4_PROTO_UDP;

	if (info->l3_proto == ENA_ETH_IO_L3_PROTO_IPV4) {
		if (info->is_fragment)
			return ENA_ADMIN_RSS_IP4_FRAG;
		if (is_tcp)
			return ENA_ADMIN_RSS_TCP4;
		return is_udp ? ENA_ADMIN_RSS_UDP4 : ENA_ADMIN_RSS_IP4;
	}
	if (is_tcp)
		return info->has_extensions ? ENA_ADMIN_RSS_TCP6_EX
					    : ENA_ADMIN_RSS_TCP6;
	if (is_udp)
		return ENA_ADMIN_RSS_UDP6;
	return info->has_extensions ? ENA_ADMIN_RSS_IP6_EX : ENA_ADMIN_RSS_IP6;
}

/* NULL: there are none, or not in the header. */
static const uint8_t *ports_of(const struct ena_frame *frame,
			       const struct ena_frame_info *info)
{
	if (!info->l4_proto || info->is_fragment ||
	    info->l4_offset + 4u > frame->header_length)
		return NULL;
	return frame->header + info->l4_offset;
}

uint32_t ena_rss_hash(const struct ena_nic *nic, const struct ena_frame *frame,
		      const struct ena_frame_info *info)
{
	const struct ena_rss_config *rss = &nic->state->rss;
	const uint8_t *l3 = frame->header + info->l3_offset;
	bool is_4 = info->l3_proto == ENA_ETH_IO_L3_PROTO_IPV4;
	bool is_6 = info->l3_proto == ENA_ETH_IO_L3_PROTO_IPV6;
	unsigned int need = is_4 ? IP4_BYTES : IP6_BYTES;
	uint16_t fields;
	const uint8_t *ports;

	if ((!is_4 && !is_6) || info->l3_offset + need > frame->header_length)
		return 0;
	fields = rss->fields[protocol_of(info)];
	if (!fields)
		return 0;
	ports = ports_of(frame, info);
	if (is_4)
		return rss->init_val ^
		       toeplitz(nic->rss, fields, l3 + 12, 4, ports);
	return rss->init_val ^ toeplitz(nic->rss, fields, l3 + 8, 16, ports);
}

static bool is_rx(const struct ena_state *state, uint16_t n)
{
	return n < ENA_QUEUES && state->sq[n].depth &&
	       state->sq[n].direction == ENA_ADMIN_SQ_DIRECTION_RX;
}

static uint16_t first_rx(const struct ena_state *state)
{
	for (uint16_t i = 0; i < ENA_QUEUES; i++)
		if (is_rx(state, i))
			return i;
	return ENA_NO_QUEUE;
}

uint16_t ena_rss_queue(const struct ena_nic *nic, uint32_t hash, bool is_hashed)
{
	const struct ena_state *state = nic->state;
	uint32_t entry = is_hashed ? hash % ENA_RSS_ENTRIES : 0;
	uint16_t n = state->rss.table[entry];

	/* No table was set, or it is older than the queues. */
	return is_rx(state, n) ? n : first_rx(state);
}

/* ---- feature 10: function and key ---- */

ena_status ena_get_rss_function(struct ena_admin_command *cmd)
{
	const struct ena_rss_config *rss = &cmd->nic->state->rss;
	struct ena_admin_rss_hash_function answer = {
		.supported_func = le32_put(BIT(ENA_ADMIN_TOEPLITZ)),
		.selected_func = le32_put((uint32_t)BIT(rss->function)),
		.init_val = le32_put(rss->init_val),
	};
	ena_status status = ENA_OK;
	void *buffer = NULL;

	/*
	 * Linux asks with the buffer that has the key which it will set next;
	 * one that was not set is not told.
	 */
	if (rss->has_key)
		buffer = ena_admin_buffer(cmd, ena_feature_buffer(cmd),
					  sizeof rss->key, true, &status);
	if (status.code)
		return status;
	if (buffer)
		memcpy(buffer, &rss->key, sizeof rss->key);
	return ena_answer(cmd, &answer, sizeof answer);
}

ena_status ena_set_rss_function(struct ena_admin_command *cmd)
{
	const struct ena_admin_rss_hash_function *request =
		ena_feature_payload(cmd);
	struct ena_rss_config *rss = &cmd->nic->state->rss;
	struct ena_admin_rss_hash_key key;
	ena_status status;
	const void *buffer = ena_admin_buffer(cmd, ena_feature_buffer(cmd),
					      sizeof key, false, &status);

	if (status.code)
		return status;
	if (le32_get(request->selected_func) != BIT(ENA_ADMIN_TOEPLITZ))
		return ena_refuse(cmd->nic, ENA_RULE_RSS_FUNCTION,
				  ENA_ADMIN_ILLEGAL_PARAMETER,
				  le32_get(request->selected_func));
	if (buffer) {
		memcpy(&key, buffer, sizeof key);
		if (le32_get(key.key_parts) != ENA_ADMIN_RSS_KEY_WORDS)
			return ena_refuse(cmd->nic, ENA_RULE_RSS_KEY,
					  ENA_ADMIN_ILLEGAL_PARAMETER,
					  le32_get(key.key_parts));
		rss->key = key;
		rss->has_key = true;
	}
	rss->init_val = le32_get(request->init_val);
	ena_rss_prepare(cmd->nic);
	return ENA_OK;
}

/* ---- feature 18: inputs ---- */

ena_status ena_get_rss_input(struct ena_admin_command *cmd)
{
	const struct ena_rss_config *rss = &cmd->nic->state->rss;
	const le16 sort =
		le16_put(ENA_ADMIN_RSS_SORT_L3 | ENA_ADMIN_RSS_SORT_L4);
	struct ena_admin_rss_hash_input answer = { sort, sort };
	struct ena_admin_rss_hash_control control = { 0 };
	ena_status status;
	void *buffer = ena_admin_buffer(cmd, ena_feature_buffer(cmd),
					sizeof control, true, &status);

	for (unsigned int i = 0; i < ENA_ADMIN_RSS_PROTOS; i++) {
		control.supported[i].fields = le16_put(offered_fields[i]);
		control.selected[i].fields = le16_put(rss->fields[i]);
	}
	if (status.code)
		return status;
	if (buffer)
		memcpy(buffer, &control, sizeof control);
	return ena_answer(cmd, &answer, sizeof answer);
}

ena_status ena_set_rss_input(struct ena_admin_command *cmd)
{
	struct ena_admin_rss_hash_control control;
	ena_status status;
	const void *buffer = ena_admin_buffer(cmd, ena_feature_buffer(cmd),
					      sizeof control, false, &status);

	if (status.code || !buffer)
		return status;
	memcpy(&control, buffer, sizeof control);
	for (unsigned int i = 0; i < ENA_ADMIN_RSS_PROTOS; i++)
		if (le16_get(control.selected[i].fields) & ~offered_fields[i])
			return ena_refuse(cmd->nic, ENA_RULE_RSS_INPUT,
					  ENA_ADMIN_ILLEGAL_PARAMETER, i);
	for (unsigned int i = 0; i < ENA_ADMIN_RSS_PROTOS; i++)
		cmd->nic->state->rss.fields[i] =
			le16_get(control.selected[i].fields);
	return ENA_OK;
}

/* ---- feature 12: the table ---- */

ena_status ena_get_rss_table(struct ena_admin_command *cmd)
{
	const struct ena_rss_config *rss = &cmd->nic->state->rss;
	const le16 size = le16_put(ENA_RSS_LOG2);
	struct ena_admin_rss_ind_table answer = {
		.min_size = size,
		.max_size = size,
		.size = size,
		.inline_index = le32_put(ENA_ADMIN_RSS_WHOLE_TABLE),
	};
	struct ena_admin_rss_ind_table_entry table[ENA_RSS_ENTRIES] = { 0 };
	ena_status status;
	void *buffer = ena_admin_buffer(cmd, ena_feature_buffer(cmd),
					sizeof table, true, &status);

	if (status.code)
		return status;
	for (unsigned int i = 0; i < ENA_RSS_ENTRIES; i++)
		if (rss->table[i] != ENA_NO_QUEUE)
			table[i].cq_idx = le16_put(rss->table[i]);
	if (buffer)
		memcpy(buffer, table, sizeof table);
	return ena_answer(cmd, &answer, sizeof answer);
}

static ena_status refuse_entry(struct ena_nic *nic, enum ena_rule rule,
			       uint64_t value)
{
	return ena_refuse(nic, rule, ENA_ADMIN_ILLEGAL_PARAMETER, value);
}

static ena_status set_entry(struct ena_nic *nic, uint32_t index, uint16_t queue)
{
	if (index >= ENA_RSS_ENTRIES)
		return refuse_entry(nic, ENA_RULE_RSS_TABLE, index);
	if (queue >= 2u * nic->pairs)
		return refuse_entry(nic, ENA_RULE_RSS_QUEUE, queue);
	nic->state->rss.table[index] = queue;
	return ENA_OK;
}

void ena_rss_set_entry(struct ena_nic *nic, uint16_t index, uint16_t queue)
{
	(void)set_entry(nic, index, queue);
}

static ena_status set_whole(struct ena_admin_command *cmd)
{
	struct ena_admin_rss_ind_table_entry table[ENA_RSS_ENTRIES];
	struct ena_nic *nic = cmd->nic;
	ena_status status;
	const void *buffer = ena_admin_buffer(cmd, ena_feature_buffer(cmd),
					      sizeof table, false, &status);

	if (status.code)
		return status;
	if (!buffer)
		return refuse_entry(nic, ENA_RULE_ADMIN_BUFFER, 0);
	memcpy(table, buffer, sizeof table);
	for (unsigned int i = 0; i < ENA_RSS_ENTRIES; i++)
		if (le16_get(table[i].cq_idx) >= 2u * nic->pairs)
			return refuse_entry(nic, ENA_RULE_RSS_QUEUE,
					    le16_get(table[i].cq_idx));
	for (unsigned int i = 0; i < ENA_RSS_ENTRIES; i++)
		nic->state->rss.table[i] = le16_get(table[i].cq_idx);
	return ENA_OK;
}

ena_status ena_set_rss_table(struct ena_admin_command *cmd)
{
	const struct ena_admin_rss_ind_table *request =
		ena_feature_payload(cmd);
	uint32_t index = le32_get(request->inline_index);

	if (le16_get(request->size) != ENA_RSS_LOG2)
		return refuse_entry(cmd->nic, ENA_RULE_RSS_TABLE,
				    le16_get(request->size));
	if (index == ENA_ADMIN_RSS_WHOLE_TABLE)
		return set_whole(cmd);
	return set_entry(cmd->nic, index,
			 le16_get(request->inline_entry.cq_idx));
}

bool ena_rss_is_sane(const struct ena_nic *nic)
{
	const struct ena_rss_config *rss = &nic->state->rss;
	bool is_good = rss->function == ENA_ADMIN_TOEPLITZ;

	for (unsigned int i = 0; i < ENA_ADMIN_RSS_PROTOS; i++)
		is_good &= !(rss->fields[i] & ~offered_fields[i]);
	return is_good;
}
