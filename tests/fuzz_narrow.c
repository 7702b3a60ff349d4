/* SPDX-License-Identifier: ISC */
/* Fuzz target for narrowing: three policies out of the input, and the properties of their intersections. */
#include "tests/policy_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_narrow(data, size);
	return 0;
}
