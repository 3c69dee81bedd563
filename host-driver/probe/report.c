/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the user is told: what the function is, then a line for each rule as it
 * was tried, then the sum; or all of that at the end as one JSON object.
 */
#include <inttypes.h>
#include <jansson.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/rt/bits.h"
#include "firmware/rt/scope.h"
#include "host-driver/probe/probe.h"

#define NAME_COLUMN 32
#define BARS        6u

struct probe_report {
	bool is_json;
	json_t *object, *rules;
	unsigned int counts[3]; /* of enum probe_verdict */
};

static const char *const verdict_words[] = {
	[PROBE_HOLDS] = "holds",
	[PROBE_BROKEN] = "broken",
	[PROBE_SKIPPED] = "skipped",
};

static const struct {
	uint16_t id;
	bool is_extended;
	const char *name;
} capability_names[] = {
	{ 0x01, false, "Power Management" },
	{ 0x05, false, "MSI" },
	{ 0x09, false, "Vendor Specific" },
	{ 0x10, false, "PCI Express" },
	{ 0x11, false, "MSI-X" },
	{ 0x01, true, "Advanced Error Reporting" },
	{ 0x03, true, "Serial Number" },
	{ 0x0b, true, "Vendor Specific" },
	{ 0x0e, true, "ARI" },
	{ 0x10, true, "SR-IOV" },
	{ 0x18, true, "LTR" },
};

static const char *capability_name(const struct host_capability *capability)
{
	for (size_t i = 0; i < RT_COUNT(capability_names); i++)
		if (capability_names[i].id == capability->id &&
		    capability_names[i].is_extended == capability->is_extended)
			return capability_names[i].name;
	return "";
}

static const char *const irq_names[] = { "INTx", "MSI", "MSI-X" };

/* --- What the function is, as JSON ---------------------------------------- */

static json_t *describe_capabilities(const struct probe *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->scan.capability_count; i++) {
		const struct host_capability *c = &p->scan.capabilities[i];

		json_array_append_new(list, json_pack("{s:i, s:i, s:b, s:s}",
						      "offset", c->offset, "id",
						      c->id, "extended",
						      c->is_extended, "name",
						      capability_name(c)));
	}
	return list;
}

static json_t *describe_bars(const struct probe *p)
{
	json_t *list = json_array();
	uint64_t size;
	uint32_t low;

	for (unsigned int i = 0; i < BARS; i++) {
		if (host_region_size(p->fn, i, &size) < 0 || size == 0)
			continue;
		low = (uint32_t)le_load(p->config + 0x10 + 4 * i, 4);
		json_array_append_new(
			list, json_pack("{s:i, s:I, s:s, s:i, s:b}", "bar",
					(int)i, "bytes", (json_int_t)size,
					"kind", low & 1 ? "io" : "memory",
					"bits", (low & 7) == 4 ? 64 : 32,
					"prefetchable", (low & 9) == 8));
	}
	return list;
}

static json_t *describe_interrupts(const struct probe *p)
{
	json_t *object = json_object();
	unsigned int count;

	for (unsigned int i = 0; i < RT_COUNT(irq_names); i++)
		if (host_irq_count(p->fn, i, &count) == 0)
			json_object_set_new(object, irq_names[i],
					    json_integer(count));
	return object;
}

/* Up to the spaces at the end, and what is not ASCII as question marks. */
static json_t *text_field(const char *field, size_t size)
{
	char text[128];
	size_t length = 0;

	for (size_t i = 0; i < size && i < sizeof text && field[i]; i++) {
		text[i] = field[i];
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
		if (text[i] != ' ')
			length = i + 1;
	}
	return json_stringn(text, length);
}

static json_t *describe_ena(const struct probe *p)
{
	const struct host_ena_facts *f = &p->ena_facts;
	const uint8_t *mac = f->attr.mac_addr;
	char address[20];

	snprintf(address, sizeof address, "%02x:%02x:%02x:%02x:%02x:%02x",
		 mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return json_pack("{s:s, s:i, s:i, s:I, s:I, s:i}", "mac", address,
			 "max_mtu", (int)le32_get(f->attr.max_mtu), "queues",
			 (int)le32_get(f->queues.max_tx_sq_num), "features",
			 (json_int_t)le32_get(f->attr.supported_features),
			 "capabilities",
			 (json_int_t)le32_get(f->attr.capabilities),
			 "llq_queues", (int)le32_get(f->llq.max_llq_num));
}

static json_t *describe_nsm(const struct probe *p)
{
	return json_pack("{s:o, s:I, s:i}", "module_id",
			 text_field(p->nsm_module, sizeof p->nsm_module),
			 "features", (json_int_t)p->nsm_features,
			 "queue_entries", p->nsm_entries);
}

static json_t *describe_nvme(const struct probe *p)
{
	json_t *object = json_object();
	char version[32];

	snprintf(version, sizeof version, "%u.%u", p->version >> 16,
		 p->version >> 8 & 0xff);
	json_object_set_new(object, "version", json_string(version));
	json_object_set_new(object, "serial",
			    text_field(p->id.sn, sizeof p->id.sn));
	json_object_set_new(object, "model",
			    text_field(p->id.mn, sizeof p->id.mn));
	json_object_set_new(object, "firmware",
			    text_field(p->id.fr, sizeof p->id.fr));
	json_object_set_new(object, "queue_pairs", json_integer(p->pairs));
	json_object_set_new(object, "queue_entries",
			    json_integer(probe_queue_entries(p)));
	json_object_set_new(object, "max_transfer_bytes",
			    json_integer(probe_max_transfer(p)));
	json_object_set_new(object, "namespace", json_integer(p->nsid));
	json_object_set_new(object, "block_bytes",
			    json_integer(p->block_bytes));
	json_object_set_new(
		object, "blocks",
		json_integer(p->nsid ? (json_int_t)le64_get(p->ns.nsze) : 0));
	return object;
}

static json_t *describe(const struct probe *p)
{
	const struct host_scan *scan = &p->scan;
	json_t *object = json_pack(
		"{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:s, s:s}",
		"address", p->options.address, "bus", host_bus_name(p->fn),
		"vendor", scan->vendor, "device", scan->device,
		"subsystem_vendor", scan->subsystem_vendor, "subsystem",
		scan->subsystem, "class", scan->class_code, "interface",
		scan->programming_interface, "revision", scan->revision,
		"vendor_name", scan->vendor_name, "device_name",
		scan->device_name, "class_name", scan->class_name);

	json_object_set_new(object, "capabilities", describe_capabilities(p));
	json_object_set_new(object, "bars", describe_bars(p));
	json_object_set_new(object, "interrupts", describe_interrupts(p));
	if (p->nvme)
		json_object_set_new(object, "nvme", describe_nvme(p));
	if (p->ena)
		json_object_set_new(object, "ena", describe_ena(p));
	if (p->is_nsm)
		json_object_set_new(object, "nsm", describe_nsm(p));
	return object;
}

/* --- The same as text ----------------------------------------------------- */

static json_int_t number(json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *word(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void print_identity(json_t *f)
{
	printf("%s, by %s\n", word(f, "address"), word(f, "bus"));
	printf("  %04x:%04x  %s %s\n", (unsigned int)number(f, "vendor"),
	       (unsigned int)number(f, "device"), word(f, "vendor_name"),
	       word(f, "device_name"));
	printf("  class %04x%02x  %s, revision %02x, subsystem %04x:%04x\n",
	       (unsigned int)number(f, "class"),
	       (unsigned int)number(f, "interface"), word(f, "class_name"),
	       (unsigned int)number(f, "revision"),
	       (unsigned int)number(f, "subsystem_vendor"),
	       (unsigned int)number(f, "subsystem"));
}

static void print_parts(json_t *f)
{
	json_t *item;
	const char *key;
	size_t i;

	json_array_foreach(json_object_get(f, "capabilities"), i, item) printf(
		"  capability %02xh: %s%s\n",
		(unsigned int)number(item, "offset"),
		json_is_true(json_object_get(item, "extended")) ? "extended "
								: "",
		*word(item, "name") ? word(item, "name") : "another");
	json_array_foreach(json_object_get(f, "bars"), i, item) printf(
		"  BAR %d: %" JSON_INTEGER_FORMAT " bytes of %s, %d bit%s\n",
		(int)number(item, "bar"), number(item, "bytes"),
		word(item, "kind"), (int)number(item, "bits"),
		json_is_true(json_object_get(item, "prefetchable"))
			? ", prefetchable"
			: "");
	json_object_foreach(json_object_get(f, "interrupts"), key, item)
		printf("  %s: %" JSON_INTEGER_FORMAT "\n", key,
		       json_integer_value(item));
}

static void print_ena(json_t *n)
{
	if (!n)
		return;
	printf("  ENA: address %s, MTU up to %d, %d queue pairs, features "
	       "%08xh\n",
	       word(n, "mac"), (int)number(n, "max_mtu"),
	       (int)number(n, "queues"), (unsigned int)number(n, "features"));
}

static void print_nsm(json_t *n)
{
	if (!n)
		return;
	printf("  NSM: module %s, features %llxh, a queue of %d entries\n",
	       word(n, "module_id"), (unsigned long long)number(n, "features"),
	       (int)number(n, "queue_entries"));
}

static void print_nvme(json_t *n)
{
	if (!n)
		return;
	if (!*word(n, "model")) {
		printf("  NVMe %s\n", word(n, "version"));
		return;
	}
	printf("  NVMe %s: %s, serial %s, firmware %s\n", word(n, "version"),
	       word(n, "model"), word(n, "serial"), word(n, "firmware"));
	printf("  %d queue pairs of %d entries, transfers of %d bytes at "
	       "most\n",
	       (int)number(n, "queue_pairs"), (int)number(n, "queue_entries"),
	       (int)number(n, "max_transfer_bytes"));
	printf("  namespace %d: %" JSON_INTEGER_FORMAT " blocks of %d bytes\n",
	       (int)number(n, "namespace"), number(n, "blocks"),
	       (int)number(n, "block_bytes"));
}

/* --- Rules ---------------------------------------------------------------- */

struct probe_report *probe_report_begin(const struct probe *p)
{
	struct probe_report *report = calloc(1, sizeof *report);
	json_t *function = describe(p);

	if (!report)
		abort();
	report->is_json = p->options.is_json;
	if (report->is_json) {
		report->rules = json_array();
		report->object = json_pack("{s:o, s:O}", "function", function,
					   "rules", report->rules);
		return report;
	}
	print_identity(function);
	print_parts(function);
	print_nvme(json_object_get(function, "nvme"));
	print_ena(json_object_get(function, "ena"));
	print_nsm(json_object_get(function, "nsm"));
	printf("\n");
	json_decref(function);
	return report;
}

static void print_rule(const struct probe *p, const struct probe_rule *rule,
		       const char *name, enum probe_verdict verdict)
{
	switch (verdict) {
	case PROBE_HOLDS:
		printf("ok    %-*s  %s: %s\n", NAME_COLUMN, name, rule->clause,
		       rule->sentence);
		break;
	case PROBE_BROKEN:
		printf("BROKEN %-*s %s: %s\n       %s\n", NAME_COLUMN, name,
		       rule->clause, rule->sentence, p->text);
		break;
	case PROBE_SKIPPED:
		printf("skip  %-*s  %s\n", NAME_COLUMN, name, p->text);
		break;
	}
	fflush(stdout);
}

void probe_report_rule(struct probe_report *report, const struct probe *p,
		       const struct probe_rule *rule,
		       enum probe_verdict verdict)
{
	const char *detail = verdict == PROBE_HOLDS ? "" : p->text;
	char name[PROBE_NAME_BYTES];

	probe_rule_name(rule, name);
	report->counts[verdict]++;
	if (!report->is_json) {
		print_rule(p, rule, name, verdict);
		return;
	}
	json_array_append_new(
		report->rules,
		json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", name, "clause",
			  rule->clause, "sentence", rule->sentence, "verdict",
			  verdict_words[verdict], "detail", detail));
}

int probe_report_end(struct probe_report *report)
{
	unsigned int broken = report->counts[PROBE_BROKEN];

	for (size_t i = 0; report->is_json && i < RT_COUNT(verdict_words); i++)
		json_object_set_new(report->object, verdict_words[i],
				    json_integer(report->counts[i]));
	if (report->is_json) {
		json_dumpf(report->object, stdout, JSON_INDENT(2));
		printf("\n");
	} else {
		printf("\n%u hold, %u broken, %u skipped\n",
		       report->counts[PROBE_HOLDS], broken,
		       report->counts[PROBE_SKIPPED]);
	}
	json_decref(report->rules);
	json_decref(report->object);
	free(report);
	return broken ? 1 : 0;
}

static void list_rule(const struct probe_rule *rule, json_t *list)
{
	char name[PROBE_NAME_BYTES];

	probe_rule_name(rule, name);
	if (list)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s}", "name", name,
						"clause", rule->clause,
						"sentence", rule->sentence));
	else
		printf("%-*s  %s: %s\n", NAME_COLUMN, name, rule->clause,
		       rule->sentence);
}

void probe_report_list(const struct probe *p)
{
	json_t *list = p->options.is_json ? json_array() : NULL;

	for (size_t i = 0; i < probe_rule_count; i++)
		if (probe_is_chosen(p, &probe_rules[i]))
			list_rule(&probe_rules[i], list);
	if (!list)
		return;
	json_dumpf(list, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(list);
}
