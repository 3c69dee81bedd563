/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chain, shaped like a real card's: names, validities, extensions and
 * serial numbers of each level.  A level is renewed while what it signs could
 * still outlive it, so no certificate ends before those below it.
 */
#include "security-chip/attest/chain.h"

#include <errno.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "firmware/rt/error.h"
#include "firmware/rt/scope.h"
#include "security-chip/attest/attest.h"
#include "security-chip/attest/root.h"
#include "security-chip/boot/boot.h"

#define HOUR_S INT64_C(3600)
#define DAY_S  (24 * HOUR_S)

/* Of which faults the certificates are other ones. */
#define CHAIN_FAULTS                                                           \
	(SEC_ATTEST_EXPIRED_LEAF | SEC_ATTEST_NOT_YET_VALID |                  \
	 SEC_ATTEST_PATH_LENGTH | SEC_ATTEST_FOREIGN_ROOT)

#define CA_USAGE "critical,digitalSignature,keyCertSign,cRLSign"

struct level {
	int64_t lifetime_s, renew_s; /* renewed when so little is left */
	const char *constraints, *key_usage, *subject_key, *issuer_key;
	const char *crl; /* .invalid: nobody can be asked, RFC 6761 6.4 */
};

static const struct level levels[SEC_LEVELS] = {
	[SEC_LEVEL_REGIONAL] = { 20 * DAY_S, 6 * DAY_S,
				 "critical,CA:TRUE,pathlen:2", CA_USAGE, "hash",
				 "keyid:always",
				 "URI:http://crl.nitro-card.invalid/"
				 "simulated/regional.crl" },
	[SEC_LEVEL_ZONAL] = { 6 * DAY_S, DAY_S, "critical,CA:TRUE,pathlen:1",
			      CA_USAGE, "hash", "keyid:always",
			      "URI:http://crl.nitro-card.invalid/"
			      "simulated/zonal.crl" },
	[SEC_LEVEL_INSTANCE] = { DAY_S, 3 * HOUR_S + 3,
				 "critical,CA:TRUE,pathlen:0",
				 "critical,keyCertSign", NULL, NULL, NULL },
	[SEC_LEVEL_LEAF] = { 3 * HOUR_S + 3, 300, "critical,CA:FALSE",
			     "digitalSignature,nonRepudiation", NULL, NULL,
			     NULL },
};

#define NAME_PARTS 7u
#define NAME_ROOM  65u /* RFC 5280 A.1: ub-common-name */

struct name {
	struct sec_name_part parts[NAME_PARTS];
	char common[NAME_ROOM];
};

static int random_bytes(void *out, size_t size)
{
	return RAND_bytes(out, (int)size) > 0 ? 0 : -EIO;
}

static void name_regional(struct name *name, const char *region, uint64_t tag)
{
	const struct sec_name_part parts[] = { { "C", "ZZ" },
					       { "O", "nitro-card" },
					       { "OU", "Simulated" },
					       { "CN", name->common } };

	snprintf(name->common, sizeof name->common,
		 "%016jx.%s." SEC_ROOT_DOMAIN, (uintmax_t)tag, region);
	memcpy(name->parts, parts, sizeof parts);
}

/* The real one's is in the other order, and so is ours. */
static void name_zonal(struct name *name, const char *region, uint64_t tag)
{
	const struct sec_name_part parts[] = {
		{ "CN", name->common }, { "OU", "Simulated" },
		{ "O", "nitro-card" },  { "C", "ZZ" },
		{ "ST", "ZZ" },         { "L", "Simulated" },
	};

	snprintf(name->common, sizeof name->common,
		 "%016jx.zonal.%s." SEC_ROOT_DOMAIN, (uintmax_t)tag, region);
	memcpy(name->parts, parts, sizeof parts);
}

static void name_below(struct name *name, const char *who, const char *region,
		       const char *domain)
{
	const struct sec_name_part parts[] = {
		{ "C", "ZZ" },         { "ST", "Nowhere" },
		{ "L", "Simulated" },  { "O", "nitro-card" },
		{ "OU", "Simulated" }, { "CN", name->common },
	};

	snprintf(name->common, sizeof name->common, "%s.%s.%s", who, region,
		 domain);
	memcpy(name->parts, parts, sizeof parts);
}

static int make_name(const struct sec_chain *chain, enum sec_level level,
		     struct name *out)
{
	uint64_t tag;

	memset(out, 0, sizeof *out);
	if (random_bytes(&tag, sizeof tag))
		return -EIO;
	switch (level) {
	case SEC_LEVEL_REGIONAL:
		name_regional(out, chain->region, tag);
		break;
	case SEC_LEVEL_ZONAL:
		name_zonal(out, chain->region, tag);
		break;
	case SEC_LEVEL_INSTANCE:
		name_below(out, chain->instance, chain->region,
			   SEC_ROOT_DOMAIN);
		break;
	default:
		name_below(out, chain->module_id, chain->region, "simulated");
		break;
	}
	return 0;
}

static void put_be(uint8_t *out, uint64_t value, size_t size)
{
	while (size--) {
		out[size] = (uint8_t)value;
		value >>= 8;
	}
}

/* The 16 digits of i-…-enc0123456789abcdef; of other names some that are so. */
static uint64_t enclave_number(const char *module_id)
{
	const char *found = strstr(module_id, "-enc");
	uint8_t hash[SHA256_DIGEST_LENGTH];
	uint64_t number = 0;
	int end = 0;

	if (found && sscanf(found + 4, "%16" SCNx64 "%n", &number, &end) == 1 &&
	    end == 16 && !found[4 + end])
		return number;
	SHA256((const uint8_t *)module_id, strlen(module_id), hash);
	memcpy(&number, hash, sizeof number);
	return number;
}

/* A leaf's: the enclave's number, 32 zero bits, the time. */
static int make_serial(const struct sec_chain *chain, enum sec_level level,
		       int64_t now_s, uint8_t out[SEC_SERIAL_BYTES])
{
	if (level != SEC_LEVEL_LEAF) {
		if (random_bytes(out, SEC_SERIAL_BYTES))
			return -EIO;
		out[0] = (out[0] & 0x7f) | 0x40;
		return 0;
	}
	put_be(out, enclave_number(chain->module_id), 8);
	put_be(out + 8, 0, 4);
	put_be(out + 12, (uint64_t)now_s, 4);
	return 0;
}

static void set_validity(struct sec_certificate_plan *plan, int64_t now_s,
			 int64_t lifetime_s, bool is_leaf, unsigned int faults)
{
	plan->not_before_s = now_s;
	if (is_leaf && (faults & SEC_ATTEST_EXPIRED_LEAF))
		plan->not_before_s = now_s - lifetime_s - HOUR_S;
	else if (is_leaf && (faults & SEC_ATTEST_NOT_YET_VALID))
		plan->not_before_s = now_s + HOUR_S;
	plan->not_after_s = plan->not_before_s + lifetime_s;
}

static int issue(struct sec_chain *chain, enum sec_level level, int64_t now_s)
{
	const struct level *shape = &levels[level];
	struct sec_certificate *certificate = &chain->level[level];
	struct name name;
	struct sec_certificate_plan plan = {
		.subject = name.parts,
		.constraints = shape->constraints,
		.key_usage = shape->key_usage,
		.subject_key = shape->subject_key,
		.issuer_key = shape->issuer_key,
		.crl = shape->crl,
	};

	if (level == SEC_LEVEL_ZONAL &&
	    (chain->faults & SEC_ATTEST_PATH_LENGTH))
		plan.constraints = "critical,CA:TRUE,pathlen:0";
	set_validity(&plan, now_s, shape->lifetime_s, level == SEC_LEVEL_LEAF,
		     chain->faults);
	sec_certificate_clear(certificate);
	/* A verified card's instance has the key that its measurements made. */
	if (level == SEC_LEVEL_INSTANCE &&
	    sec_boot_alias_key(&certificate->key) == -EIO)
		return -EIO;
	if (make_name(chain, level, &name) ||
	    make_serial(chain, level, now_s, plan.serial) ||
	    sec_certificate_issue(&plan, &chain->level[level - 1], certificate))
		return -EIO;
	certificate->issued_s = now_s;
	return 0;
}

static bool is_fresh(const struct sec_certificate *certificate,
		     const struct level *shape, int64_t now_s)
{
	return certificate->x509 && now_s >= certificate->issued_s &&
	       now_s < certificate->issued_s + shape->lifetime_s -
			       shape->renew_s;
}

/* Another root, when documents shall have a foreign one or no longer. */
static int choose_root(struct sec_chain *chain, unsigned int faults)
{
	struct sec_certificate *root = &chain->level[SEC_LEVEL_ROOT];
	unsigned int changed = chain->faults ^ faults;

	if (root->x509 && !(changed & SEC_ATTEST_FOREIGN_ROOT))
		return 0;
	sec_certificate_clear(root);
	return faults & SEC_ATTEST_FOREIGN_ROOT ? sec_root_forge(root)
						: sec_root_open(root, NULL);
}

int sec_chain_keep(struct sec_chain *chain, int64_t now_s, unsigned int faults)
{
	/* A root that is opened or made now has signed none of those below. */
	bool is_stale = chain->faults != (faults & CHAIN_FAULTS) ||
			!chain->level[SEC_LEVEL_ROOT].x509;
	int level;

	if (choose_root(chain, faults & CHAIN_FAULTS))
		return -EIO;
	chain->faults = faults & CHAIN_FAULTS;
	for (level = SEC_LEVEL_REGIONAL; level < SEC_LEVELS; level++) {
		is_stale = is_stale || !is_fresh(&chain->level[level],
						 &levels[level], now_s);
		if (is_stale && issue(chain, (enum sec_level)level, now_s)) {
			/* Nothing may be left that has no issuer. */
			sec_certificate_clear(&chain->level[level]);
			return -EIO;
		}
	}
	return 0;
}

static bool is_name(const char *text, const char *also)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

	for (; *text; text++)
		if (!strchr(letters, *text) && !strchr(also, *text))
			return false;
	return true;
}

static int check_names(const char *module_id, const char *region,
		       struct rt_error *error)
{
	const size_t longest = NAME_ROOM - 1 - strlen("..simulated");

	if (!*region || strlen(region) > 14 || !is_name(region, ""))
		return rt_error_set(error, -EINVAL,
				    "'%s' is no region: up to 14 small "
				    "letters, digits and hyphens, such as %s",
				    region, SEC_ATTEST_REGION);
	if (!*module_id || strlen(module_id) + strlen(region) > longest ||
	    !is_name(module_id, "._ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
		return rt_error_set(error, -EINVAL,
				    "'%s' is no module id for region %s: up "
				    "to %zu letters, digits, hyphens, dots",
				    module_id, region,
				    longest - strlen(region));
	return 0;
}

int sec_chain_init(struct sec_chain *chain, const char *module_id,
		   const char *region, struct rt_error *error)
{
	int status = check_names(module_id, region, error);
	const char *cut;

	if (status)
		return status;
	snprintf(chain->module_id, sizeof chain->module_id, "%s", module_id);
	snprintf(chain->region, sizeof chain->region, "%s", region);
	/* i-0123456789abcdef0-enc…: the instance is what stands before. */
	cut = strncmp(module_id, "i-", 2) ? NULL : strchr(module_id + 2, '-');
	/* Its name is longer by that of the domain than a leaf's. */
	snprintf(chain->instance, sizeof chain->instance, "%.*s",
		 cut && cut - module_id <= 20 ? (int)(cut - module_id) : 20,
		 module_id);
	return sec_root_open(&chain->level[SEC_LEVEL_ROOT], error);
}

void sec_chain_deinit(struct sec_chain *chain)
{
	for (size_t i = 0; i < SEC_LEVELS; i++)
		sec_certificate_clear(&chain->level[i]);
}
