/* SPDX-License-Identifier: ISC */
/* Runs a fuzz target without a fuzzer: fuzz_x [-n MUTATIONS] DIRECTORY..., each file as it is and then changed in
 * MUTATIONS (100) ways, the same ones every time. An input that ends the process is left in fuzz_main's message: the file
 * and the number of the mutation. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (1 << 20)
static char where[4400];
static uint8_t input[INPUT_MAX + 64], original[INPUT_MAX];

static void died(int signal_number)
{
	ssize_t n = write(2, where, strlen(where));
	(void)n;
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static uint64_t xorshift(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static size_t mutate(size_t size, uint64_t *state)
{
	for (uint64_t steps = xorshift(state) % 6 + 1; steps > 0; steps--) {
		uint64_t r = xorshift(state);
		size_t at = size ? (size_t)(r >> 8) % size : 0,
		       span = size ? (size_t)(r >> 40) % 16 % (size - at) + 1 : 0;
		switch (r % 6) {
		case 0: /* another byte */
			if (size)
				input[at] = (uint8_t)(r >> 32);
			break;
		case 1: /* another bit */
			if (size)
				input[at] ^= (uint8_t)(1u << (r >> 32) % 8);
			break;
		case 2: /* fewer bytes */
			memmove(input + at, input + at + span, size - at - span);
			size -= span;
			break;
		case 3: /* a byte more */
			if (size < INPUT_MAX) {
				memmove(input + at + 1, input + at, size - at);
				input[at] = (uint8_t)(r >> 32);
				size++;
			}
			break;
		case 4: /* a part again */
			if (size + span <= INPUT_MAX) {
				memmove(input + at + span, input + at, size - at);
				size += span;
			}
			break;
		default: /* the end is missing */
			size = at;
		}
	}
	return size;
}

static void run(size_t size)
{
	/* A block of its own size, so that sanitizers see a byte too many. */
	uint8_t *copy = malloc(size ? size : 1);
	if (!copy)
		abort();
	memcpy(copy, input, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_file(const char *path, unsigned mutations)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return;
	size_t size = fread(original, 1, sizeof(original), f);
	fclose(f);
	uint64_t state = 0x9e3779b97f4a7c15;
	for (unsigned i = 0; i <= mutations; i++) {
		snprintf(where, sizeof(where), "died in %s, mutation %u\n", path, i);
		memcpy(input, original, size);
		run(i ? mutate(size, &state) : size);
	}
}

int main(int argc, char **argv)
{
	unsigned mutations = 100;
	size_t files = 0;
	int first = 1;
	if (argc > 2 && strcmp(argv[1], "-n") == 0) {
		mutations = (unsigned)strtoul(argv[2], NULL, 10);
		first = 3;
	}
	signal(SIGABRT, died);
	signal(SIGSEGV, died);
	for (int i = first; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		if (!d) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
			return 1;
		}
		for (struct dirent *e; (e = readdir(d));) {
			char path[4352];
			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			run_file(path, mutations);
			files++;
		}
		closedir(d);
	}
	printf("%zu files, %u mutations of each\n", files, mutations);
	return files ? 0 : 1;
}
