/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the volume tells others about itself: the configuration's keys, its
 * counters, its fault points and the rules that it watches.
 */
#include "ebs-nvme/controller.h"
#include "ebs-nvme/function.h"
#include "firmware/rt/option.h"
#include "firmware/rt/scope.h"

/* ---- what a user can say ---- */

static const char *const entries_choices[] = { "profile", "32",  "64",
					       "128",     "256", NULL };
static const uint32_t entries_values[] = { 0, 32, 64, 128, 256 };

uint32_t ebs_entries_of_choice(unsigned int choice)
{
	return choice < RT_COUNT(entries_values) ? entries_values[choice] : 0;
}

/* As enum ebs_doorbells and enum ebs_polling have them. */
static const char *const doorbells_choices[] = { "auto", "mapped", "trapped",
						 NULL };
static const char *const polling_choices[] = { "auto", "always", "never",
					       NULL };

#define VOLUME(member) offsetof(struct ebs_volume_config, member)
#define CONFIG(member) offsetof(struct ebs_config, member)

/* In the order of enum ebs_volume_cache. */
static const char *const cache_choices[] = { "auto", "page", "direct", NULL };

/* In the order of enum ebs_volume_encrypted. */
static const char *const encrypted_choices[] = { "auto", "true", "false",
						 NULL };

static const struct rt_option volume_options[] = {
	{ .name = "file",
	  .kind = RT_OPTION_PATH,
	  .use = RT_SANDBOX_UPDATE,
	  .read_if = "read-only",
	  .offset = VOLUME(file),
	  .sentence = "File or block device that holds the volume's bytes." },
	{ .name = "memory",
	  .kind = RT_OPTION_SIZE,
	  .offset = VOLUME(memory_size),
	  .sentence = "Size of a volume in memory that ends with the card." },
	{ .name = "null",
	  .kind = RT_OPTION_SIZE,
	  .offset = VOLUME(null_size),
	  .sentence = "Size of a volume that forgets: reads leave the "
		      "guest's memory as it is." },
	{ .name = "cache",
	  .kind = RT_OPTION_CHOICE,
	  .offset = VOLUME(cache),
	  .choices = cache_choices,
	  .fallback = "auto",
	  .sentence = "Whether a file is reached through the host's page "
		      "cache or past it; auto: the card's choice." },
	{ .name = "encrypted",
	  .kind = RT_OPTION_CHOICE,
	  .offset = VOLUME(encrypted),
	  .choices = encrypted_choices,
	  .fallback = "auto",
	  .sentence = "Whether what the file or memory holds is encrypted: "
		      "true, false, or as EC2 does it (auto: an "
		      "instance-store disk is, with a new key for each "
		      "attachment; an EBS volume is not)." },
	{ .name = "kms-key-id",
	  .kind = RT_OPTION_STRING,
	  .offset = VOLUME(kms_key_id),
	  .sentence = "Name of the key that wraps an encrypted EBS volume's "
		      "own; the default is alias/aws/ebs." },
	{ .name = "key-file",
	  .kind = RT_OPTION_PATH,
	  .use = RT_SANDBOX_KEEP,
	  .offset = VOLUME(key_file),
	  .sentence = "File of the wrapped key, made when it is missing; the "
		      "default is in the card's state-dir." },
	{ .name = "read-only",
	  .kind = RT_OPTION_BOOL,
	  .offset = VOLUME(is_read_only),
	  .fallback = "false",
	  .sentence = "Whether the guest may not write to the volume." },
	{ 0 },
};

const struct rt_option ebs_options[] = {
	{ .name = "name",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(name),
	  .sentence = "The function's name on this card." },
	{ .name = "profile",
	  .kind = RT_OPTION_CHOICE,
	  .offset = CONFIG(profile),
	  .choices = ebs_profile_names,
	  .fallback = "ebs-2",
	  .sentence = "Generation of EBS (ebs-*) or instance-store (is-*) "
		      "controller to be." },
	{ .name = "volume-id",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(volume_id),
	  .sentence = "Volume id, as vol-0123456789abcdef0; the default "
		      "follows from the name." },
	{ .name = "device-name",
	  .kind = RT_OPTION_STRING,
	  .offset = CONFIG(device_name),
	  .sentence = "Block device mapping name that the guest is told; the "
		      "default is sda1 for EBS." },
	{ .name = "vcpus",
	  .kind = RT_OPTION_NUMBER,
	  .offset = CONFIG(vcpus),
	  .fallback = "2",
	  .min = 1,
	  .max = 1024,
	  .sentence =
		  "The guest's processors; no more I/O queues are granted." },
	{ .name = "queue-entries",
	  .kind = RT_OPTION_CHOICE,
	  .offset = CONFIG(queue_entries),
	  .choices = entries_choices,
	  .fallback = "profile",
	  .sentence = "Entries of an I/O queue, which grow with the size of "
		      "EC2 instances." },
	{ .name = "doorbells",
	  .kind = RT_OPTION_CHOICE,
	  .offset = CONFIG(doorbells),
	  .choices = doorbells_choices,
	  .fallback = "auto",
	  .sentence = "How doorbells reach the card: in memory that the guest "
		      "writes (mapped), or by messages (trapped)." },
	{ .name = "polling",
	  .kind = RT_OPTION_CHOICE,
	  .offset = CONFIG(polling),
	  .choices = polling_choices,
	  .fallback = "auto",
	  .sentence = "Whether to look for work without a pause: a while after "
		      "the last work (auto), always or never." },
	{ .name = "spread",
	  .kind = RT_OPTION_BOOL,
	  .offset = CONFIG(may_spread),
	  .fallback = "true",
	  .sentence = "Whether the I/O queues may be spread over the card's "
		      "workers." },
	{ .name = "volume",
	  .kind = RT_OPTION_OBJECT,
	  .offset = CONFIG(volume),
	  .fields = volume_options,
	  .is_required = true,
	  .sentence = "Where the bytes are: one of file, memory and null." },
	{ .name = "metal",
	  .kind = RT_OPTION_BOOL,
	  .offset = CONFIG(is_metal),
	  .fallback = "false",
	  .sentence = "Whether to look as on a bare-metal instance." },
	{ .name = "pm",
	  .kind = RT_OPTION_BOOL,
	  .offset = CONFIG(has_pm),
	  .fallback = "false",
	  .sentence = "Whether to offer power management, as on Graviton." },
	{ .name = "aer",
	  .kind = RT_OPTION_BOOL,
	  .offset = CONFIG(has_aer),
	  .fallback = "false",
	  .sentence = "Whether to offer advanced error reporting." },
	{ .name = "serial-number",
	  .kind = RT_OPTION_BOOL,
	  .offset = CONFIG(has_serial),
	  .fallback = "false",
	  .sentence = "Whether to offer the PCIe serial number, made from the "
		      "volume id." },
	{ 0 },
};

/* ---- tables for others ---- */

const struct rt_fault_point ebs_fault_points[EBS_FAULTS] = {
#define FAULT(room, name, sentence, value) { #name, sentence, value },
#include "ebs-nvme/fault.def"
#undef FAULT
};

const struct rt_rule ebs_rules[EBS_RULES] = {
#define RULE(name, clause, sentence) { "ebs." #name, clause, sentence },
#include "ebs-nvme/rules.def"
#undef RULE
};

#define COUNTER(member) offsetof(struct ebs_counters, member)

const struct rt_counter_name ebs_counter_names[EBS_COUNTERS] = {
	{ "read_ops", "Read commands completed.", COUNTER(read_ops) },
	{ "write_ops", "Write commands completed.", COUNTER(write_ops) },
	{ "flush_ops", "Flush commands completed.", COUNTER(flush_ops) },
	{ "discard_ops", "Deallocations completed.", COUNTER(discard_ops) },
	{ "read_bytes", "Bytes read.", COUNTER(read_bytes) },
	{ "write_bytes", "Bytes written.", COUNTER(write_bytes) },
	{ "read_ns", "Time spent on reads.", COUNTER(read_ns) },
	{ "write_ns", "Time spent on writes.", COUNTER(write_ns) },
	{ "admin_commands", "Admin commands begun.", COUNTER(admin_commands) },
	{ "failed_commands", "Commands that ended with an error.",
	  COUNTER(failed_commands) },
	{ "aborted_commands", "Commands aborted, or ended with their queue.",
	  COUNTER(aborted_commands) },
	{ "read_errors", "Reads that the storage failed.",
	  COUNTER(read_errors) },
	{ "write_errors", "Writes and flushes that the storage failed.",
	  COUNTER(write_errors) },
	{ "bounced", "Commands whose data went through a buffer.",
	  COUNTER(bounced) },
	{ "interrupts", "Interrupt messages sent.", COUNTER(interrupts) },
	{ "resets", "Times the guest disabled the controller.",
	  COUNTER(resets) },
	{ "busy_ns",
	  "Time that the card's thread spent on this function's work.",
	  COUNTER(busy_ns) },
	{ "power_cycles", "Times the function was powered on.",
	  COUNTER(power_cycles) },
	{ "unsafe_shutdowns", "Times the guest vanished without a shutdown.",
	  COUNTER(unsafe_shutdowns) },
};
