/* SPDX-License-Identifier: BSD-3-Clause */
/* What each result is called, says, and which rule it is about. */
#include "security-chip/verify/nitro-attest.h"

#include <assert.h>

struct result {
	const char *name, *sentence, *rule;
};

#define AWS "AWS attestation document specification"

static const struct result results[] = {
	[NITRO_ATTEST_GOOD] = { "good", "all checks hold", "" },
	[NITRO_ATTEST_TRUNCATED] = { "truncated",
				     "the document ends before its last item",
				     "RFC 8949 appendix F.1" },
	[NITRO_ATTEST_TRAILING] = { "trailing",
				    "bytes follow where an item should have "
				    "been the last",
				    "RFC 8949 appendix F.1" },
	[NITRO_ATTEST_CBOR] = { "cbor",
				"an item is not CBOR in its deterministic "
				"form",
				"RFC 8949 4.2.1" },
	[NITRO_ATTEST_ENVELOPE] = { "envelope",
				    "the document is no COSE_Sign1: an array "
				    "of header, {}, payload and signature",
				    "RFC 9052 4.2" },
	[NITRO_ATTEST_ALGORITHM] = { "algorithm",
				     "the protected header names another "
				     "algorithm than ES384",
				     "RFC 9053 2.1" },
	[NITRO_ATTEST_SIGNATURE_SIZE] = { "signature-size",
					  "an ES384 signature has 96 bytes",
					  "RFC 9053 2.1" },
	[NITRO_ATTEST_PAYLOAD_SIZE] = { "payload-size",
					"the payload has 1 to 16384 bytes",
					AWS },
	[NITRO_ATTEST_FIELDS] = { "fields",
				  "a field is missing, there twice or unknown",
				  AWS },
	[NITRO_ATTEST_MODULE_ID] = { "module-id",
				     "module_id is a text that is not empty",
				     AWS },
	[NITRO_ATTEST_DIGEST] = { "digest", "digest is \"SHA384\"", AWS },
	[NITRO_ATTEST_TIMESTAMP] = { "timestamp",
				     "timestamp is milliseconds since 1970, "
				     "above 0",
				     AWS },
	[NITRO_ATTEST_PCR_MAP] = { "pcr-map",
				   "pcrs maps 1 to 32 indexes below 32 to 32, "
				   "48 or 64 bytes",
				   AWS },
	[NITRO_ATTEST_CERTIFICATE] = { "certificate",
				       "certificate has 1 to 1024 bytes", AWS },
	[NITRO_ATTEST_CABUNDLE] = { "cabundle",
				    "cabundle is 1 to 16 certificates of 1 to "
				    "1024 bytes",
				    AWS },
	[NITRO_ATTEST_PUBLIC_KEY] = { "public-key",
				      "public_key is null or 1 to 1024 bytes",
				      AWS },
	[NITRO_ATTEST_USER_DATA_SIZE] = { "user-data-size",
					  "user_data is null or up to 1024 "
					  "bytes",
					  AWS },
	[NITRO_ATTEST_NONCE_SIZE] = { "nonce-size",
				      "nonce is null or up to 1024 bytes",
				      AWS },
	[NITRO_ATTEST_DER] = { "der", "a certificate is not X.509 in DER",
			       "RFC 5280 4.1" },
	[NITRO_ATTEST_KEY] = { "key", "a certificate's key is not of P-384",
			       AWS },
	[NITRO_ATTEST_CERTIFICATE_ALGORITHM] = { "certificate-algorithm",
						 "a certificate is not signed "
						 "by ecdsa-with-SHA384",
						 "RFC 5758 3.2" },
	[NITRO_ATTEST_ROOT] = { "root",
				"the bundle does not begin with the root that "
				"is trusted",
				"RFC 5280 6.1.1 (d)" },
	[NITRO_ATTEST_ORDER] = { "order",
				 "the bundle is not in order from the root to "
				 "the issuer of the leaf",
				 "RFC 5280 6.1.3 (a)(4)" },
	[NITRO_ATTEST_ISSUER_MISSING] = { "issuer-missing",
					  "the issuer of a certificate is not "
					  "in the bundle",
					  "RFC 5280 6.1.3 (a)(4)" },
	[NITRO_ATTEST_CHAIN_SIGNATURE] = { "chain-signature",
					   "a certificate is not signed by its "
					   "issuer's key",
					   "RFC 5280 6.1.3 (a)(1)" },
	[NITRO_ATTEST_AUTHORITY] = { "authority",
				     "an issuer is no certificate authority, "
				     "or may not sign certificates",
				     "RFC 5280 6.1.4 (k) (n)" },
	[NITRO_ATTEST_PATH_LENGTH] = { "path-length",
				       "more authorities follow than a "
				       "certificate allows",
				       "RFC 5280 6.1.4 (m)" },
	[NITRO_ATTEST_LEAF] = { "leaf",
				"the last certificate is an authority, or may "
				"not sign documents",
				"RFC 5280 4.2.1.3, 4.2.1.9, 4.2.1.12" },
	[NITRO_ATTEST_CHAIN] = { "chain", "the chain is not a valid path",
				 "RFC 5280 6.1" },
	[NITRO_ATTEST_EXPIRED] = { "expired", "a certificate has expired",
				   "RFC 5280 6.1.3 (a)(2)" },
	[NITRO_ATTEST_NOT_YET_VALID] = { "not-yet-valid",
					 "a certificate is not yet valid",
					 "RFC 5280 6.1.3 (a)(2)" },
	[NITRO_ATTEST_SIGNATURE_RANGE] = { "signature-range",
					   "a number of the signature is not "
					   "from 1 to the curve's order",
					   "FIPS 186-5 6.4.2 (1)" },
	[NITRO_ATTEST_SIGNATURE_KEY] = { "signature-key",
					 "the document is signed with the key "
					 "of another certificate than the leaf",
					 "RFC 9052 4.4" },
	[NITRO_ATTEST_SIGNATURE] = { "signature",
				     "the signature is not of this document",
				     "RFC 9052 4.4" },
	[NITRO_ATTEST_NONCE] = { "nonce", "the nonce is not the one expected",
				 "AWS attestation process, nonce" },
	[NITRO_ATTEST_USER_DATA] = { "user-data",
				     "user_data is not what was expected",
				     "AWS attestation process, user_data" },
	[NITRO_ATTEST_PCR_ABSENT] = { "pcr-absent",
				      "a PCR that was expected is not in the "
				      "document",
				      "AWS attestation process, PCRs" },
	[NITRO_ATTEST_PCR] = { "pcr", "a PCR is not what was expected",
			       "AWS attestation process, PCRs" },
	[NITRO_ATTEST_NO_ROOT] = { "no-root",
				   "what was given as root is no certificate "
				   "in PEM or DER",
				   "RFC 7468 5.1" },
	[NITRO_ATTEST_FAILED] = { "failed",
				  "this machine has no memory left for "
				  "checking",
				  "" },
};
static_assert(sizeof results / sizeof *results == NITRO_ATTEST_RESULTS,
	      "each result has a row");

static const struct result *find(enum nitro_attest_result result)
{
	return &results[(unsigned int)result < NITRO_ATTEST_RESULTS
				? result
				: NITRO_ATTEST_FAILED];
}

const char *nitro_attest_name(enum nitro_attest_result result)
{
	return find(result)->name;
}

const char *nitro_attest_sentence(enum nitro_attest_result result)
{
	return find(result)->sentence;
}

const char *nitro_attest_rule(enum nitro_attest_result result)
{
	return find(result)->rule;
}
