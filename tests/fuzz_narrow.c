/* SPDX-License-Identifier: ISC */
/* Fuzz target for narrowing: policies out of the input, and the properties of their intersections. */
#include "tests/policy_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_narrow(data, size);
	check_sequence(data, size, size * UINT64_C(0x9e3779b97f4a7c15) | 1);
	return 0;
}
