/* SPDX-License-Identifier: BSD-3-Clause */
/* nitroctl attest verify: a relying party at the shell. */
#include <string.h>

#include "firmware/ctl/attest.h"
#include "firmware/rt/scope.h"

static const char *const verdicts[] = {
	[NITRO_ATTEST_NOT_CHECKED] = "not checked",
	[NITRO_ATTEST_HOLDS] = "ok",
	[NITRO_ATTEST_FAILS] = "FAILED",
};

static void print_check(const struct nitro_attest_check *check)
{
	bool has_failed = check->verdict == NITRO_ATTEST_FAILS;

	printf("%-12s%s", verdicts[check->verdict], check->name);
	if (has_failed)
		printf(": %s", nitro_attest_sentence(check->result));
	if (check->detail[0])
		printf(has_failed ? " [%s]" : ": %s", check->detail);
	if (has_failed)
		printf(" (%s)", nitro_attest_rule(check->result));
	putchar('\n');
}

static json_t *check_to_json(const struct nitro_attest_check *check)
{
	bool has_failed = check->verdict == NITRO_ATTEST_FAILS;
	json_t *json =
		json_pack("{s:s, s:s, s:s}", "check", check->name, "verdict",
			  verdicts[check->verdict], "detail", check->detail);

	if (has_failed)
		json_object_update_new(
			json,
			json_pack("{s:s, s:s, s:s}", "result",
				  nitro_attest_name(check->result), "sentence",
				  nitro_attest_sentence(check->result), "rule",
				  nitro_attest_rule(check->result)));
	return json;
}

static enum ctl_exit print_report_json(const struct nitro_attest_report *report,
				       enum nitro_attest_result result)
{
	json_t *checks = json_array(), *json;
	enum ctl_exit status;

	for (size_t i = 0; i < NITRO_ATTEST_CHECKS; i++)
		json_array_append_new(checks, check_to_json(&report->check[i]));
	json = json_pack("{s:b, s:s, s:o}", "good", !result, "result",
			 nitro_attest_name(result), "checks", checks);
	status = ctl_print_json(json);
	json_decref(json);
	return status;
}

static enum ctl_exit verify(struct ctl *ctl, const struct ctl_attest *words,
			    struct nitro_attest_bytes document)
{
	struct nitro_attest_report report;
	enum ctl_exit status = CTL_DONE;
	enum nitro_attest_result result = nitro_attest_verify(
		document.data, document.size, &words->wanted, NULL, &report);

	if (result == NITRO_ATTEST_NO_ROOT) {
		ctl_complain("%s is no certificate in PEM or DER",
			     words->root ? words->root : "the card's root");
		return CTL_REFUSED;
	}
	if (ctl->is_json)
		status = print_report_json(&report, result);
	else
		for (size_t i = 0; i < NITRO_ATTEST_CHECKS; i++)
			print_check(&report.check[i]);
	return result ? CTL_REFUSED : status;
}

enum ctl_exit ctl_attest_verify(struct ctl *ctl, struct ctl_attest *words)
{
	static uint8_t file[CTL_ATTEST_BYTES], root[CTL_ATTEST_BYTES];
	RT_FREE char *pem = NULL;
	struct nitro_attest_bytes document;
	enum ctl_exit status;

	if (!ctl_attest_load(words->file, file, &document))
		return CTL_REFUSED;
	if (words->root) {
		if (!ctl_attest_load(words->root, root, &words->wanted.root))
			return CTL_REFUSED;
		return verify(ctl, words, document);
	}
	status = ctl_attest_root(ctl, &pem);
	if (status != CTL_DONE) {
		ctl_complain("--root FILE names a root without a card");
		return status;
	}
	words->wanted.root =
		(struct nitro_attest_bytes){ (uint8_t *)pem, strlen(pem) };
	return verify(ctl, words, document);
}
