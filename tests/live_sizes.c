/* SPDX-License-Identifier: ISC */
/*
 * Live test of the structures that callers give: an older program's are shorter, a newer one's longer, and what is unknown
 * must be zero. Each lies directly before a page that nobody can read, so that not one byte more than it says may be looked
 * at. And of what may be NULL.
 */
#include "sandbox/airlock.h"
#include "tests/tap.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NET_MS 20000 /* what takes longer on the slowest machine has failed */
#define MORE 64 /* what a newer program's have besides */
#define LONGEST 4096

static struct airlock_policy *policy;
static struct airlock_target *serving;
static unsigned char *end; /* from here on nothing can be read */

static ssize_t echo(const void *in, size_t len, void *out, size_t cap)
{
	memcpy(out, in, len < cap ? len : cap);
	return (ssize_t)(len < cap ? len : cap);
}
AIRLOCK_FUNCTION(echo)

static int crashes(struct airlock_target *host, int argc, char **argv)
{
	(void)host, (void)argc, (void)argv;
	abort();
}
AIRLOCK_ENTRY(crashes)

/* ---- what takes a structure: 0, or what is wrong with it ---- */

static int start(const void *options)
{
	struct airlock_target *t;
	int r = airlock_start(&t, policy, NULL, NULL, options);
	if (r == 0)
		airlock_free(t);
	return r;
}

static int start_program(const void *options)
{
	static char *const argv[] = {"/bin/true", NULL};
	static struct airlock_policy *p;
	struct airlock_target *t;
	int r = p ? 0 : airlock_policy_parse(&p, "pledge stdio rpath exec\nunveil / rx\n");
	if (r == 0)
		airlock_policy_tolerate(p, AIRLOCK_LAYERS_ALL & ~(unsigned)airlock_layers());
	if (r == 0)
		r = airlock_exec(&t, p, argv, options);
	if (r == 0)
		airlock_free(t);
	return r;
}

/* Also what it starts again is started with them. */
static int keep(struct airlock_keeper *k)
{
	int r = 0;
	for (int i = 0; i < 100 && r != 2; i++)
		r = airlock_keeper_dispatch(k, NET_MS);
	airlock_keeper_free(k);
	return r == 2 ? 0 : -ETIMEDOUT;
}

static int ended_again;
static void on_end(void *arg, struct airlock_target *t, const struct airlock_status *s, int restart_ms)
{
	(void)arg, (void)t, (void)restart_ms;
	ended_again += s->end == AIRLOCK_CRASHED;
}

static int keep_with(const void *options)
{
	struct airlock_keeper_options k = AIRLOCK_KEEPER_OPTIONS_INIT;
	struct airlock_keeper *keeper;
	k.backoff_ms = 1;
	k.restarts = 1;
	k.on_end = on_end;
	ended_again = 0;
	int r = airlock_keeper_new(&keeper, policy, "crashes", NULL, options, &k);
	if (r == 0)
		r = keep(keeper);
	return r < 0 ? r : ended_again == 2 ? 0 : -ECHILD;
}

static int keep_by(const void *options)
{
	struct airlock_keeper *keeper;
	int r = airlock_keeper_new(&keeper, policy, NULL, NULL, NULL, options);
	if (r == 0)
		airlock_keeper_free(keeper);
	return r;
}

static int pool(const void *options)
{
	struct airlock_pool *p;
	char byte;
	int r = airlock_pool_new(&p, policy, options);
	if (r < 0)
		return r;
	r = airlock_pool_call(p, "echo", "x", 1, &byte, 1, NULL) == 1 ? 0 : -EIO;
	airlock_pool_free(p);
	return r;
}

static int call(const void *options)
{
	char byte;
	ssize_t n = airlock_call_with(serving, "echo", "x", 1, &byte, 1, options);
	return n < 0 ? (int)n : 0;
}

static int call_begun(const void *options)
{
	char byte;
	int ticket = airlock_call_begin(serving, "echo", "x", 1, 1, options);
	ssize_t n = ticket < 0 ? ticket : airlock_call_end(serving, ticket, &byte, 1, -1);
	return n < 0 ? (int)n : 0;
}

static int call_pool(const void *options)
{
	static struct airlock_pool *p;
	char byte;
	if (!options) {
		airlock_pool_free(p);
		return 0;
	}
	int r = p ? 0 : airlock_pool_new(&p, policy, NULL);
	ssize_t n = r < 0 ? r : airlock_pool_call_with(p, "echo", "x", 1, &byte, 1, options, NULL);
	return n < 0 ? (int)n : 0;
}

/* ---- the sizes ---- */

static const struct airlock_options options_init = AIRLOCK_OPTIONS_INIT;
static const struct airlock_keeper_options keeper_init = AIRLOCK_KEEPER_OPTIONS_INIT;
static const struct airlock_pool_options pool_init = AIRLOCK_POOL_OPTIONS_INIT;
static const struct airlock_call_options call_init = AIRLOCK_CALL_OPTIONS_INIT;

static const struct taker {
	const char *name;
	int (*take)(const void *options);
	const void *init;
	size_t size;
} takers[] = {
	{"airlock_start()", start, &options_init, sizeof(options_init)},
	{"airlock_exec()", start_program, &options_init, sizeof(options_init)},
	{"airlock_keeper_new(), of targets", keep_with, &options_init, sizeof(options_init)},
	{"airlock_keeper_new()", keep_by, &keeper_init, sizeof(keeper_init)},
	{"airlock_pool_new()", pool, &pool_init, sizeof(pool_init)},
	{"airlock_call_with()", call, &call_init, sizeof(call_init)},
	{"airlock_call_begin()", call_begun, &call_init, sizeof(call_init)},
	{"airlock_pool_call_with()", call_pool, &call_init, sizeof(call_init)},
};

/* As much of it as size says, directly before the end; what is behind the structure is zero, but for the last byte. */
static void *made(const struct taker *t, size_t size, unsigned char last)
{
	unsigned char *at = end - (size < sizeof(size) ? sizeof(size) : (size + 7) / 8 * 8);
	memset(at, 0, (size_t)(end - at));
	memcpy(at, t->init, size < t->size ? size : t->size);
	memcpy(at, &size, sizeof(size));
	if (size > t->size)
		end[-1] = last;
	return at;
}

static void sizes(const struct taker *t)
{
	const size_t wrong[] = {0, sizeof(size_t) - 1, LONGEST + 8, SIZE_MAX};
	bool refused = true;
	char prefix[64];
	int r = 0;
	snprintf(prefix, sizeof(prefix), "%s: ", t->name);
	tap_prefix = prefix;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]) && refused; i++) {
		unsigned char *at = end - sizeof(size_t);
		memcpy(at, &wrong[i], sizeof(size_t));
		r = t->take(at);
		refused = r == -EINVAL;
	}
	check(refused, "no size of any version", "%d %s", r, airlock_message());
	r = t->take(made(t, sizeof(size_t), 0));
	check(r == 0, "one that has nothing but its size", "%d %s", r, airlock_message());
	r = t->take(made(t, t->size, 0));
	check(r == 0, "this version's", "%d %s", r, airlock_message());
	r = t->take(made(t, t->size + MORE, 0));
	check(r == 0, "a newer one's that asks for nothing new", "%d %s", r, airlock_message());
	r = t->take(made(t, t->size + MORE, 1));
	check(r == -E2BIG, "a newer one's that does", "%d %s", r, airlock_message());
	r = t->take(made(t, LONGEST, 0));
	check(r == 0, "the longest", "%d %s", r, airlock_message());
	tap_prefix = "";
}

/* A pool's options end with those of its targets, which have a size of their own. */
static void pool_target(void)
{
	const size_t at = offsetof(struct airlock_pool_options, target);
	const struct taker *t = &takers[4];
	struct airlock_pool_options *o = made(t, t->size, 0);
	o->target.size += MORE;
	int r = pool(o);
	check(r == -EINVAL, "a pool's targets' options are not longer than there is room", "%d %s", r,
		airlock_message());
	o = made(t, t->size + MORE, 0);
	o->target.size += MORE;
	r = pool(o);
	check(r == 0, "unless there is", "%d %s", r, airlock_message());
	o = made(t, t->size + MORE, 1);
	o->target.size += MORE;
	r = pool(o);
	check(r == -E2BIG, "and what is in it is known", "%d %s", r, airlock_message());
	o = made(t, t->size, 0);
	o->target.size = 0;
	r = pool(o);
	check(r == -EINVAL, "nor have they no size", "%d %s", r, airlock_message());
	r = pool(made(t, at + 4, 0));
	check(r == -EINVAL, "nor half of one", "%d %s", r, airlock_message());
	r = pool(made(t, at, 0));
	check(r == 0, "a pool's options without those of its targets", "%d %s", r, airlock_message());
}

/* ---- what is filled ---- */

static void filled(void)
{
	unsigned char room[sizeof(struct airlock_status) + MORE];
	struct airlock_status *s = (struct airlock_status *)(void *)(end - sizeof(room));
	memset(s, 0xaa, sizeof(room));
	s->size = sizeof(room);
	int r = airlock_wait(serving, s, 0);
	bool kept = end[-1] == 0xaa && end[-MORE] == 0xaa;
	check(r == -ETIMEDOUT && s->size == sizeof(*s) && kept, "of a newer status as much as there is is filled",
		"%d, %zu", r, s->size);
	s = (struct airlock_status *)(void *)(end - (offsetof(struct airlock_status, code) + 7) / 8 * 8);
	s->size = offsetof(struct airlock_status, code);
	s->end = AIRLOCK_LOST;
	r = airlock_wait(serving, s, 0);
	check(r == -ETIMEDOUT && s->end == AIRLOCK_RUNNING, "and of an older one what it has room for", "%d, %d", r,
		s->end);
	s->size = 0;
	check(airlock_wait(serving, s, 0) == -EINVAL, "a status of no size is none", "%s", airlock_message());
	check(airlock_wait(serving, NULL, 0) == -ETIMEDOUT, "a status need not be wanted", "%s", airlock_message());

	struct airlock_message *m = (struct airlock_message *)(void *)(end - sizeof(*m));
	*m = (struct airlock_message)AIRLOCK_MESSAGE_INIT;
	check(airlock_recv(serving, m) == -EAGAIN, "a message of this version's size", "%s", airlock_message());
	m->size = offsetof(struct airlock_message, fd);
	check(airlock_recv(serving, m) == -EINVAL, "one without room for its descriptor is none", "%s",
		airlock_message());

	r = airlock_stop(serving, NET_MS, NULL);
	check(r == 0 && airlock_wait(serving, NULL, 0) == 0, "nor when one is stopped", "%d %s", r, airlock_message());
	airlock_free(serving);
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (LONGEST + page - 1) / page * page;
	unsigned char *memory = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	end = memory + room;
	if (memory == MAP_FAILED || mprotect(end, page, PROT_NONE) < 0 || airlock_policy_new(&policy, "stdio") < 0)
		return 1;
	/* What a container does not give is not what is tested here. */
	airlock_policy_tolerate(policy, AIRLOCK_LAYERS_ALL & ~(unsigned)airlock_layers());
	if (!check(airlock_start(&serving, policy, NULL, NULL, NULL) == 0, "a target", "%s", airlock_message()))
		return 1;
	for (size_t i = 0; i < sizeof(takers) / sizeof(takers[0]); i++)
		sizes(&takers[i]);
	call_pool(NULL);
	pool_target();
	filled();
	airlock_policy_free(policy);
	return tap_failed > 0;
}
