/* SPDX-License-Identifier: ISC */
/* Fuzz target for the policy language: what is read is written and read back to the same, what is not read is explained in
 * one printable line and changes nothing; then one rule at a time, as messages show it. */
#include "tests/policy_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned layer_find(const char *word)
{
	return strcmp(word, "user") == 0 ? 1 : strcmp(word, "pid") == 0 ? 2 : strcmp(word, "namespaces") == 0 ? 3 : 0;
}

static const char *layer_name(unsigned bit)
{
	return bit == 1 ? "user" : bit == 2 ? "pid" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *out = NULL, *again = NULL, error[128] = "", rule[64];
	struct policy p, q;
	memcpy(text, data, size);
	text[size] = 0;
	policy_init(&p);
	policy_init(&q);
	if (policy_parse(&p, text, layer_find, error, sizeof(error)) < 0) {
		REQUIRE(same_policy(&p, &q));
		REQUIRE(strncmp(error, "line ", 5) == 0);
		for (const char *c = error; *c; c++)
			REQUIRE((unsigned char)*c >= ' ' && *c != 0x7f);
	} else {
		REQUIRE(policy_format(&p, layer_name, &out) == 0);
		REQUIRE(policy_parse(&q, out, layer_find, error, sizeof(error)) == 0);
		REQUIRE(same_policy(&p, &q));
		REQUIRE(policy_format(&q, layer_name, &again) == 0);
		REQUIRE(strcmp(out, again) == 0);
	}
	for (size_t i = 0; i < p.unveil_count; i++) {
		policy_unveil_format(&p.unveils[i], rule, sizeof(rule));
		policy_find(&p, p.unveils[i].path);
	}
	for (size_t i = 0; i < p.address_count; i++)
		policy_address_format(&p.addresses[i], rule, sizeof(rule));
	policy_narrow(&p, &q, ~0u);
	policy_clear(&p);
	policy_clear(&q);
	free(out);
	free(again);
	free(text);
	return 0;
}
