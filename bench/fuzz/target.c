/* SPDX-License-Identifier: ISC */
/*
 * What bench/fuzz.sh has AFL++ run: the parser of bench/parser/decoder.c. BENCH_CONTAIN is set by it, or not, when it is
 * compiled: the same program, confined in place. With BENCH_LOOP one process runs many inputs, and confines itself once,
 * after the fork server has made it; else the fork server is confined, and each of its children with it.
 */
#include "bench/parser/decoder.h"

#include <airlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef BENCH_LOOP
__AFL_FUZZ_INIT();
#endif

static unsigned char out[1 << 20];

static void contain(const char *promises)
{
#ifdef BENCH_CONTAIN
	struct airlock_policy *policy;

	if (airlock_policy_new(&policy, promises) < 0 || airlock_enter(policy) < 0) {
		fprintf(stderr, "bench: fuzz: %s\n", airlock_message());
		abort();
	}
#else
	(void)promises;
#endif
}

int main(int argc, char **argv)
{
	if (airlock_init(argc, argv) < 0)
		return 1;
#ifdef BENCH_LOOP
	__AFL_INIT();
	contain("stdio");
	unsigned char *in = __AFL_FUZZ_TESTCASE_BUF;
	while (__AFL_LOOP(1000000))
		decode(in, __AFL_FUZZ_TESTCASE_LEN, out, sizeof(out));
#else
	contain("stdio proc");
	__AFL_INIT();
	/* From a file: to attach the shared memory that has the input otherwise is nothing that a promise allows. */
	static unsigned char in[1 << 16];
	ssize_t len = read(0, in, sizeof(in));
	if (len > 0)
		decode(in, (int)len, out, sizeof(out));
#endif
	return 0;
}
