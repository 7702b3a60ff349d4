/* SPDX-License-Identifier: ISC */
/* Owns a worker's life: the image has been loaded, nothing hostile has been read; now the door closes, and then the entry
 * or the calls of the host run. Runs in the target. */
#include "sandbox/sandbox.h"

#include "sandbox/crash.h"
#include "sandbox/layers.h"
#include "policy/promises.h"
#include "sandbox/zygote.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void failed(struct setup *s, int error, const char *text)
{
	s->outcome.error = error;
	snprintf(s->outcome.text, sizeof(s->outcome.text), "%s", text);
	atomic_store(&s->state, SETUP_FAILED);
	syscall(SYS_futex, &s->state, FUTEX_WAKE, 16, NULL, NULL, 0);
	_exit(125);
}

/* Confines this process and waits until its broker serves it. */
static void close_the_door(struct setup *s)
{
	struct confinement c = {.tolerate = s->tolerate,
		.given = s->given,
		.net = FD_NAMESPACES,
		.ipc = FD_NAMESPACES + 1,
		.uts = FD_NAMESPACES + 2,
		.cgroup = FD_NAMESPACES + 3,
		.mnt = FD_NAMESPACES + 4,
		.ruleset = FD_RULESET,
		.cwd = s->cwd,
		.filter = s->filter,
		.filter_len = s->filter_len,
		.scopes = LANDLOCK_SCOPE_BOTH,
		.listener = -1};
	int *const given[] = {&c.net, &c.ipc, &c.uts, &c.cgroup, &c.mnt, &c.ruleset};
	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
		if (fcntl(*given[i], F_GETFD) < 0)
			*given[i] = -1;
	memcpy(c.limits, s->limits, sizeof(c.limits));
	int r = confine(&c);
	if (r < 0)
		failed(s, r, c.error);
	s->listener = c.listener;
	s->outcome.layers = c.layers;
	atomic_store(&s->state, SETUP_CONFINED);
	syscall(SYS_futex, &s->state, FUTEX_WAKE, 16, NULL, NULL, 0);
	/* futex is allowed whatever the promises are. */
	while (atomic_load(&s->state) == SETUP_CONFINED) {
		struct timespec slice = {1, 0};
		syscall(SYS_futex, &s->state, FUTEX_WAIT, SETUP_CONFINED, &slice, NULL, 0);
	}
	close(c.listener);
}

/* Of a nested target it comes from a target, and must not have told the loader what to load. */
static void environment_take(char *at, size_t count)
{
	clearenv();
	for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
		if (strchr(at, '='))
			putenv(at); /* the words outlive the setup memory */
}

static _Noreturn void serve_forks(const struct zygote_libc *l, size_t shared, const char *title)
{
	void *call;
	int fd = zygote_forks(l);
	if (fd < 0 || map_own(fd, ipc_call_total(shared), &call) < 0)
		_exit(125);
	close(fd);
	setproctitle("-%s", title);
	serve_calls(call, shared, -1);
}

_Noreturn void role_target(bool guest)
{
	struct stat st;
	void *memory, *call = NULL;
	struct zygote_libc libc;
	if (fstat(FD_SETUP, &st) < 0 || map_own(FD_SETUP, (size_t)st.st_size, &memory) < 0)
		_exit(125);
	struct setup *s = memory;
	size_t shared = s->shared;
	const bool pool = s->pool != POOL_NONE, forks = s->pool == POOL_ZYGOTE;
	if (!forks && map_own(FD_CALL, ipc_call_total(shared), &call) < 0)
		failed(s, -ENOMEM, "no room for the shared memory of calls");
	close(FD_SETUP);
	close(FD_CALL);
	life_take();
	unsetenv(ROLE_VARIABLE);
	if (forks)
		unsetenv("LD_BIND_NOW");
	setproctitle("-%s", s->title);
	/* What ps shows of its forks: the words are of one length. */
	static char title[sizeof(s->title)];
	static const char kind[] = {'t', 'a', 'r', 'g', 'e', 't'};
	snprintf(title, sizeof(title), "%s", s->title);
	char *word = forks ? strstr(title, ": airlock zygote ") : NULL;
	if (word)
		memcpy(word + sizeof(": airlock ") - 1, kind, sizeof(kind));

	/* The arguments outlive the setup memory. */
	char *words = malloc(s->words_len + 1);
	char **argv = calloc(s->argc + 1, sizeof(char *));
	if (!words || !argv)
		failed(s, -ENOMEM, "no room for the arguments");
	memcpy(words, s->filter + s->filter_len, s->words_len);
	words[s->words_len] = 0;
	int argc = (int)s->argc - 1;
	size_t envc = s->late_environment ? s->envc : 0;
	const bool late = s->late_environment;
	const char *entry = words;
	char *at = words + strlen(words) + 1;
	for (int i = 0; i < argc; i++, at += strlen(at) + 1)
		argv[i] = at;
	const struct airlock_symbol *symbol = *entry ? symbol_find(entry) : NULL;
	if (*entry && (!symbol || !(pool ? symbol->function != NULL : symbol->entry != NULL)))
		failed(s, -ENOENT, "the program has no such AIRLOCK_ENTRY or AIRLOCK_FUNCTION");
	int r = forks ? zygote_learn(&libc) : 0;
	if (r < 0)
		failed(s, r, "this libc's fork() cannot be done without it");
	struct airlock_target *host = NULL;
	if (forks)
		close(FD_CHANNEL); /* its forks would share it */
	else if (target_new(&host, -1, FD_CHANNEL, -1, 0) < 0)
		failed(s, -ENOMEM, "no room for the channel");
	if (host)
		host->wishes = call;

	crash_begin();
	if (!guest)
		close_the_door(s);
	if (late)
		environment_take(at, envc);
	const int64_t promises = plain_messages();
	munmap(memory, (size_t)st.st_size);
	/* What the program wants to have run before there are forks, or calls. */
	if (pool && symbol)
		symbol->function(NULL, 0, NULL, 0);
	if (forks)
		serve_forks(&libc, shared, title);
	if (symbol && !pool)
		exit(symbol->entry(host, argc, argv));
	serve_calls(call, shared, promises & PROMISE_BIT(stdio) ? FD_CHANNEL : -1);
}
