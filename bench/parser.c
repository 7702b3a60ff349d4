/* SPDX-License-Identifier: ISC */
/*
 * A real parser (parser/decoder.c) on the same pictures: called natively, and without its SSE2 code, which WebAssembly has
 * no use for (its PNG part has none); in a target, by airlock_call(); in a pool, where
 * each picture gets a fork that has seen no other; as WebAssembly made C again by wasm2c, in one instance and in a fresh one
 * for each picture (with BENCH_WASM); and in a child forked for each, which answers over a pipe. All must give the same
 * pixels. usage: parser DIRECTORY-OF-PICTURES
 */
#include "bench/common.h"

#include "bench/parser/decoder.h"

#include <airlock.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef BENCH_WASM
#include "decoder_wasm.h"
#endif

#define ROUNDS 9
#define CAP (8u << 20)

static ssize_t picture(const void *in, size_t len, void *out, size_t cap)
{
	return decode(in, (int)len, out, (int)cap);
}
AIRLOCK_FUNCTION(picture)

/* Nothing but arithmetic, on memory that is there. Gives the nanoseconds of the processor that it took: whoever else the
 * processor has run meanwhile, they are not counted. */
static ssize_t compute(const void *in, size_t len, void *out, size_t cap)
{
	static uint32_t data[1 << 16];
	struct timespec t0, t1;
	uint32_t x = 1;
	double ns;

	(void)in;
	(void)len;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t0);
	for (int i = 0; i < 4000000; i++) {
		x = x * 1664525 + 1013904223;
		data[x >> 16] += x;
	}
	__asm__ volatile("" ::"r"(data) : "memory");
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t1);
	ns = (double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec);
	if (cap < sizeof(ns))
		return -EINVAL;
	memcpy(out, &ns, sizeof(ns));
	return sizeof(ns);
}
AIRLOCK_FUNCTION(compute)

static struct {
	unsigned char *data;
	int len;
} file;
static unsigned char out[CAP];
static struct airlock_target *target;
static struct airlock_pool *pool;

static int native_way(void)
{
	return decode(file.data, file.len, out, CAP);
}

static int plain_way(void)
{
	return decode_plain(file.data, file.len, out, CAP);
}

static int target_way(void)
{
	return (int)airlock_call(target, "picture", file.data, (size_t)file.len, out, CAP);
}

static int pool_way(void)
{
	return (int)airlock_pool_call(pool, "picture", file.data, (size_t)file.len, out, CAP, NULL);
}

static int fork_way(void)
{
	int ends[2], status, size = 0;

	if (pipe(ends) < 0)
		fail("pipe", strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		fail("fork", strerror(errno));
	if (pid == 0) {
		close(ends[0]);
		size = native_way();
		for (int done = 0; done < size;) {
			ssize_t n = write(ends[1], out + done, (size_t)(size - done));
			if (n < 0)
				_exit(1);
			done += (int)n;
		}
		_exit(0);
	}
	close(ends[1]);
	for (ssize_t n; (n = read(ends[0], out + size, CAP - (size_t)size)) > 0;)
		size += (int)n;
	close(ends[0]);
	if (waitpid(pid, &status, 0) < 0 || status)
		fail("fork", "the child failed");
	return size;
}

#ifdef BENCH_WASM
static int wasm_in(Z_decoder_instance_t *instance)
{
	u32 in = Z_decoderZ_malloc(instance, (u32)file.len), to = Z_decoderZ_malloc(instance, CAP);
	wasm_rt_memory_t *memory = Z_decoderZ_memory(instance);

	memcpy(memory->data + in, file.data, (size_t)file.len);
	int size = (int)Z_decoderZ_decode(instance, in, (u32)file.len, to, CAP);
	if (size > 0)
		memcpy(out, memory->data + to, (size_t)size);
	Z_decoderZ_free(instance, in);
	Z_decoderZ_free(instance, to);
	return size;
}

static Z_decoder_instance_t instance;

static int wasm_way(void)
{
	return wasm_in(&instance);
}

static int wasm_fresh_way(void)
{
	Z_decoder_instance_t fresh;

	Z_decoder_instantiate(&fresh);
	int size = wasm_in(&fresh);
	Z_decoder_free(&fresh);
	return size;
}
#endif

static const struct {
	const char *name, *budget;
	int (*decode)(void);
} ways[] = {
	{"native", "", native_way},
	{"native, without SSE2", "", plain_way},
	{"in a target", "", target_way},
	{"in a pool, a fork for each", "", pool_way},
#ifdef BENCH_WASM
	{"wasm2c", "", wasm_way},
	{"wasm2c, an instance for each", "", wasm_fresh_way},
#endif
	{"fork and pipe for each", "", fork_way},
};
#define WAYS (sizeof(ways) / sizeof(*ways))

static void load(const char *directory, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *f = fopen(path, "re");
	free(file.data);
	file.data = malloc(CAP);
	if (!f || !file.data || (file.len = (int)fread(file.data, 1, CAP, f)) <= 0)
		fail(path, "cannot be read");
	fclose(f);
}

static void compare(const char *directory, const char *name, const char *what, int repeat)
{
	struct samples took[WAYS] = {0}, ratios[WAYS] = {0};
	static unsigned char expected[CAP];

	load(directory, name);
	int size = native_way();
	if (size <= 0)
		fail(name, "is not decoded");
	memcpy(expected, out, (size_t)size);
	repeat = times(repeat, 1);
	for (int round = -1; round < times(ROUNDS, 1); round++) {
		double native = 0;

		for (size_t way = 0; way < WAYS; way++) {
			memset(out, 0, (size_t)size);
			uint64_t from = now_ns();
			for (int i = 0; i < repeat; i++)
				if (ways[way].decode() != size)
					fail(ways[way].name, airlock_message());
			double ns = (double)(now_ns() - from) / repeat;
			if (memcmp(out, expected, (size_t)size) != 0)
				fail(ways[way].name, "other pixels than native");
			if (way == 0)
				native = ns;
			if (round >= 0) {
				sample(&took[way], ns);
				sample(&ratios[way], native / ns);
			}
		}
	}
	for (size_t way = 0; way < WAYS; way++) {
		char title[128], value[64], ratio[64] = "";
		double ns = median(&took[way]), rate = size / ns * 1e3;

		snprintf(title, sizeof(title), "stb_image, %s, %s", what, ways[way].name);
		snprintf(value, sizeof(value), "%.*f MB/s", rate < 100 ? 1 : 0, rate);
		if (way)
			snprintf(ratio, sizeof(ratio), "%.2f of native", median(&ratios[way]));
		report_text(title, value, ratio, ways[way].budget);
		snprintf(title, sizeof(title), "parser: %s", what);
		point(title, ways[way].name, (double)way, rate);
	}
}

static void computing(void)
{
	struct samples ratios = {0}, took = {0}, natives = {0};
	double here, there;

	for (int round = -1; round < times(31, 1); round++) {
		compute(NULL, 0, &here, sizeof(here));
		if (airlock_call(target, "compute", "x", 1, &there, sizeof(there)) != sizeof(there))
			fail("compute", airlock_message());
		if (round < 0)
			continue;
		sample(&natives, here);
		sample(&took, there);
		sample(&ratios, there / here);
	}
	report("computing, processor time, native", median(&natives), "", 0, "");
	char value[64], ratio[64];
	snprintf(value, sizeof(value), "%.2f ms", median(&took) / 1e6);
	snprintf(ratio, sizeof(ratio), "%.3f x native", median(&ratios));
	report_text("computing, processor time, in a target", value, ratio, "1.01 x");
}

int main(int argc, char **argv)
{
	struct airlock_policy *policy;
	struct airlock_pool_options options = AIRLOCK_POOL_OPTIONS_INIT;

	if (airlock_init(argc, argv) < 0 || airlock_policy_new(&policy, "stdio") < 0 ||
		airlock_start(&target, policy, NULL, NULL, NULL) < 0)
		fail("start", airlock_message());
	if (airlock_pool_new(&pool, policy, &options) < 0)
		fail("pool", airlock_message());
	if (argc != 2)
		fail("parser", "the pictures' directory is missing");
#ifdef BENCH_WASM
	wasm_rt_init();
	Z_decoder_init_module();
	Z_decoder_instantiate(&instance);
#endif
	computing();
	compare(argv[1], "small.png", "PNG of 96 x 64", 100);
	compare(argv[1], "large.png", "PNG of 1600 x 1200", 1);
	compare(argv[1], "large.jpeg", "JPEG of 1600 x 1200", 2);
	airlock_pool_free(pool);
	airlock_free(target);
	airlock_policy_free(policy);
	return 0;
}
