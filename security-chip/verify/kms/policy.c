/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Key policies: statements that allow or deny actions, with conditions on the
 * registers of a document.  Whoever writes what we do not know is told so: a
 * condition that is ignored would release keys.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "security-chip/verify/kms/kms.h"

#define PREFIX "kms:RecipientAttestation:"

static bool complain(const char *path, const char *what, const char *which)
{
	fprintf(stderr, "nitro-kms: %s: %s%s\n", path, what, which);
	return false;
}

/* "PCR0" to "PCR31", "NitroTPMPCR…", "ImageSha384"; false: none of them. */
static bool parse_key(const char *key, unsigned int *n, bool *is_tpm)
{
	const char *rest = key + strlen(PREFIX);
	char *end;
	unsigned long number;

	if (strncasecmp(key, PREFIX, strlen(PREFIX)) != 0)
		return false;
	*is_tpm = !strncasecmp(rest, "NitroTPMPCR", 11);
	*n = 0;
	if (!strcasecmp(rest, "ImageSha384"))
		return true;
	if (!*is_tpm && strncasecmp(rest, "PCR", 3) != 0)
		return false;
	rest += *is_tpm ? 11 : 3;
	number = strtoul(rest, &end, 10);
	*n = (unsigned int)number;
	return rest[0] >= '0' && rest[0] <= '9' && !*end &&
	       number < NITRO_ATTEST_PCRS;
}

/* Patterns of actions have at most a star, at their end. */
static bool is_pattern(const char *text)
{
	size_t plain = strcspn(text, "*?");

	return !text[plain] || (text[plain] == '*' && !text[plain + 1]);
}

static bool is_action(const json_t *value)
{
	return json_is_string(value) && is_pattern(json_string_value(value));
}

/* A pattern that is not understood would never match, nor then deny. */
static bool is_actions(const json_t *value)
{
	const json_t *one;
	size_t i;

	json_array_foreach(value, i, one)
	{
		if (!is_action(one))
			return false;
	}
	return is_action(value) || json_array_size(value) > 0;
}

/* A text, or a list of texts. */
static bool is_texts(const json_t *value)
{
	const json_t *one;
	size_t i;

	if (json_is_string(value))
		return true;
	json_array_foreach(value, i, one)
	{
		if (!json_is_string(one))
			return false;
	}
	return json_array_size(value) > 0;
}

static bool is_operator(const char *name)
{
	return !strcmp(name, "StringEquals") ||
	       !strcmp(name, "StringEqualsIgnoreCase");
}

static bool check_condition(const char *path, json_t *condition)
{
	const char *operator, * key;
	json_t *keys, *value;
	unsigned int n;
	bool is_tpm;

	if (condition && !json_is_object(condition))
		return complain(path, "Condition is an object", "");
	json_object_foreach(condition, operator, keys)
	{
		if (!is_operator(operator))
			return complain(path,
					"conditions are StringEquals and "
					"StringEqualsIgnoreCase, not ",
					operator);
		if (!json_object_size(keys))
			return complain(path, "no keys in ", operator);
		json_object_foreach(keys, key, value)
		{
			if (!parse_key(key, &n, &is_tpm))
				return complain(path,
						"condition keys are " PREFIX
						"PCR0 to 31, NitroTPMPCR0 to "
						"31 and ImageSha384, not ",
						key);
			if (!is_texts(value))
				return complain(path, "no texts in ", key);
		}
	}
	return true;
}

static bool check_statement(const char *path, json_t *statement)
{
	static const char known[] = "|Sid|Effect|Principal|Action|Resource|"
				    "Condition|";
	const char *effect =
		json_string_value(json_object_get(statement, "Effect"));
	const char *member;
	char bounded[64];
	json_t *value;

	if (!json_is_object(statement))
		return complain(path, "a statement is an object", "");
	json_object_foreach(statement, member, value)
	{
		snprintf(bounded, sizeof bounded, "|%s|", member);
		if (!strstr(known, bounded))
			return complain(path, "a statement has no ", member);
	}
	if (!effect ||
	    (strcmp(effect, "Allow") != 0 && strcmp(effect, "Deny") != 0))
		return complain(path, "Effect is Allow or Deny", "");
	if (!is_actions(json_object_get(statement, "Action")))
		return complain(path,
				"Action is a text or a list of texts, with no "
				"star but at the end",
				"");
	return check_condition(path, json_object_get(statement, "Condition"));
}

bool kms_policy_load(struct kms *kms, const char *path)
{
	json_error_t error;
	json_t *statements, *statement;
	size_t i;

	kms->policy = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!kms->policy) {
		fprintf(stderr, "nitro-kms: %s:%d:%d: %s\n", path, error.line,
			error.column, error.text);
		return false;
	}
	statements = json_object_get(kms->policy, "Statement");
	if (!json_is_array(statements))
		return complain(path, "a policy has a list named Statement",
				"");
	json_array_foreach(statements, i, statement)
	{
		if (!check_statement(path, statement))
			return false;
	}
	return true;
}

static bool matches_action(const char *pattern, const char *action)
{
	size_t length = strlen(pattern);

	return length && pattern[length - 1] == '*'
		       ? !strncasecmp(pattern, action, length - 1)
		       : !strcasecmp(pattern, action);
}

static bool has_action(const json_t *actions, const char *action)
{
	const json_t *one;
	size_t i;

	if (json_is_string(actions))
		return matches_action(json_string_value(actions), action);
	json_array_foreach(actions, i, one)
	{
		if (matches_action(json_string_value(one), action))
			return true;
	}
	return false;
}

/* A register in small letters; "": the document has none such. */
static void register_text(const struct nitro_attest_document *document,
			  const char *key, char out[129])
{
	unsigned int n;
	bool is_tpm;

	out[0] = '\0';
	if (!document || !parse_key(key, &n, &is_tpm) ||
	    is_tpm != document->is_tpm)
		return;
	for (size_t i = 0; i < document->pcr[n].size; i++)
		snprintf(out + 2 * i, 3, "%02x", document->pcr[n].data[i]);
}

static bool is_one_of(const json_t *values, const char *text, bool ignores_case)
{
	const json_t *one;
	const char *value;
	size_t i;

	if (json_is_string(values)) {
		value = json_string_value(values);
		return text[0] && (ignores_case ? !strcasecmp(value, text)
						: !strcmp(value, text));
	}
	json_array_foreach(values, i, one)
	{
		if (is_one_of(one, text, ignores_case))
			return true;
	}
	return false;
}

/* *out_key: the first condition that does not hold. */
static bool holds(json_t *condition,
		  const struct nitro_attest_document *document,
		  const char **out_key)
{
	const char *operator, * key;
	json_t *keys, *values;
	char text[129];

	json_object_foreach(condition, operator, keys)
	{
		json_object_foreach(keys, key, values)
		{
			register_text(document, key, text);
			if (is_one_of(values, text,
				      !strcmp(operator,
					      "StringEqualsIgnoreCase")))
				continue;
			*out_key = key;
			return false;
		}
	}
	return true;
}

static bool is_deny(const json_t *statement)
{
	return !strcmp(json_string_value(json_object_get(statement, "Effect")),
		       "Deny");
}

bool kms_policy_allows(const struct kms *kms, const char *action,
		       const struct nitro_attest_document *document,
		       struct kms_refusal *why)
{
	const char *key = NULL, *deny_key;
	bool is_allowed = false, is_denying;
	json_t *statement;
	size_t i;

	json_array_foreach(json_object_get(kms->policy, "Statement"), i,
			   statement)
	{
		is_denying = is_deny(statement);
		if (!has_action(json_object_get(statement, "Action"), action) ||
		    !holds(json_object_get(statement, "Condition"), document,
			   is_denying ? &deny_key : &key))
			continue;
		if (is_denying)
			return kms_refuse(why, "AccessDeniedException",
					  "a statement of the policy denies "
					  "%s",
					  action);
		is_allowed = true;
	}
	if (is_allowed)
		return true;
	if (key)
		return kms_refuse(why, "AccessDeniedException",
				  "no statement of the policy allows %s: %s "
				  "%s",
				  action, key,
				  document ? "is another one"
					   : "is asked for, and there is no "
					     "attestation document");
	return kms_refuse(why, "AccessDeniedException",
			  "no statement of the policy allows %s", action);
}
