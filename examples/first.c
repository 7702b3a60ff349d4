/* SPDX-License-Identifier: ISC */
#include <airlock.h>
#include <stdio.h>

static char image[1 << 20], pixels[1 << 20], line[512];

int main(int argc, char **argv)
{
	struct airlock_policy *policy;
	struct airlock_target *target;

	airlock_init(argc, argv); /* first thing in main */
	airlock_policy_new(&policy, "stdio"); /* compute, and use what is open */
	/* a process that can do nothing else */
	if (airlock_start(&target, policy, NULL, NULL, NULL) < 0)
		return puts(airlock_message());
	size_t size = fread(image, 1, sizeof(image), stdin);
	ssize_t n = airlock_call(target, "decode", image, size, pixels, sizeof(pixels));
	airlock_dispatch(target, 0); /* takes in what the broker reports */
	puts(n < 0 ? airlock_explain(target, line, sizeof(line)) : "decoded");
	for (unsigned i = 0; airlock_refusal(target, i, line, sizeof(line)) == 0; i++)
		printf("refused: %s\n", line);
	airlock_free(target);
	airlock_policy_free(policy);
}
