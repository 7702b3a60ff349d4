/* SPDX-License-Identifier: ISC */
/* Owns what a program's loader may read, what the broker's Landlock domain lets through for the sake of starting targets,
 * and the compiled filters. Runs in the broker, before it confines itself (filters also later). */
#include "sandbox/role_broker.h"

#include "policy/filter.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what the loader of a program may read, and the Landlock domain must let through ---- */

static const char *const library_directories[] = {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"};
static const char *const interpreters[] = {
#if defined(__x86_64__)
	"/lib64/ld-linux-x86-64.so.2",
	"/lib/ld-musl-x86_64.so.1",
#elif defined(__aarch64__)
	"/lib/ld-linux-aarch64.so.1",
	"/lib/ld-musl-aarch64.so.1",
#else
#error "airlock knows x86-64 and aarch64"
#endif
};
#define LIBRARY_DIRECTORIES (sizeof(library_directories) / sizeof(library_directories[0]))
#define INTERPRETERS (sizeof(interpreters) / sizeof(interpreters[0]))

static void loader_rule(struct policy *p, const char *path)
{
	char real[PATH_MAX];
	struct stat st;
	if (!realpath(path, real) || stat(real, &st) < 0)
		return;
	const struct unveil *above = policy_find(p, real);
	/* The rule must not hide what the one above it shows. */
	unsigned shown = above ? above->perms : p->everything ? PERM_R | PERM_W | PERM_X | PERM_C : 0u;
	policy_unveil(p, real, shown | PERM_LOADER, !S_ISDIR(st.st_mode));
}

void loader_rules(struct policy *p)
{
	for (size_t i = 0; i < LIBRARY_DIRECTORIES; i++)
		loader_rule(p, library_directories[i]);
	loader_rule(p, "/etc/ld.so.cache");
}

size_t interpreters_open(int *fds, const char **paths, size_t max)
{
	size_t n = 0;
	for (size_t i = 0; i < INTERPRETERS && n < max; i++) {
		int fd = open(interpreters[i], O_PATH | O_CLOEXEC);
		if (fd < 0)
			continue;
		fds[n] = fd;
		paths[n++] = interpreters[i];
	}
	return n;
}

/* Takes fd. */
static void extra_fd(struct landlock_extra *x, int fd, unsigned perms)
{
	struct stat st;
	if (fd < 0 || x->count == LANDLOCK_EXTRA_MAX || fstat(fd, &st) < 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	x->rules[x->count++] = (struct landlock_rule){fd, S_ISDIR(st.st_mode), perms};
}

static void extra_add(struct landlock_extra *x, const char *path, unsigned perms)
{
	extra_fd(x, open(path, O_PATH | O_CLOEXEC), perms);
}

void extra_image(struct landlock_extra *x, int image)
{
	extra_fd(x, dup(image), PERM_R | PERM_X);
	/* What the loader mapped into this process, which is the same image. */
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[PATH_MAX + 128], last[PATH_MAX] = "";
	while (maps && fgets(line, sizeof(line), maps)) {
		char *path = strchr(line, '/');
		if (!path)
			continue;
		path[strcspn(path, "\n")] = 0;
		if (strcmp(path, last) == 0)
			continue;
		snprintf(last, sizeof(last), "%s", path);
		extra_add(x, path, PERM_R | PERM_X);
	}
	if (maps)
		fclose(maps);
	extra_interpreters(x);
	extra_add(x, "/etc/ld.so.cache", PERM_R);
	extra_add(x, "/etc/ld.so.preload", PERM_R);
	extra_add(x, "/dev/null", PERM_R | PERM_W);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	extra_add(x, "/proc", PERM_R); /* the runtime reads its own maps at start */
#endif
}

void extra_libraries(struct landlock_extra *x)
{
	for (size_t i = 0; i < LIBRARY_DIRECTORIES; i++)
		extra_add(x, library_directories[i], PERM_R | PERM_X);
}

void extra_descriptor(struct landlock_extra *x, int fd, unsigned perms)
{
	extra_fd(x, dup(fd), perms);
}

void extra_interpreters(struct landlock_extra *x)
{
	for (size_t i = 0; i < INTERPRETERS; i++)
		extra_add(x, interpreters[i], PERM_R | PERM_X);
}

void extra_close(struct landlock_extra *x)
{
	for (size_t i = 0; i < x->count; i++)
		close(x->rules[i].fd);
	x->count = 0;
}

/* ---- filters: one for each kind of target, compiled once ---- */

/* Whether a directory under an open rule may hold what another rule hides: then an unchecked newfstatat() with an empty
 * path flag could look at it. */
static bool nests_narrower(const struct policy *p)
{
	for (size_t i = 0; i < p->unveil_count; i++) {
		if (p->unveils[i].perms & PERM_R)
			continue;
		for (size_t k = 0; k < i; k++) {
			size_t len = strlen(p->unveils[k].path);
			if ((p->unveils[k].perms & PERM_R) &&
				strncmp(p->unveils[k].path, p->unveils[i].path, len) == 0 &&
				(len == 1 || p->unveils[i].path[len] == '/'))
				return true;
		}
	}
	return false;
}

int filter_for(unsigned which)
{
	enum start_kind kind = which & 1 ? START_EXEC : START_WORKER;
	if (me.filter[which])
		return 0;
	const struct policy *p = broker_policy(&me.b);
	struct filter_spec spec = {.promises = p->promises,
		.base = true,
		/* A zygote's forks share theirs. */
		.own_pids = !me.hello.in_place && (me.b.layers & AIRLOCK_LAYER_PID) && !(which & FILTER_ZYGOTE),
		/* A nested target's directories are of wider mounts than its own rules. */
		.empty_path_direct = me.b.private_mounts && me.mounts && !me.nested && !nests_narrower(p),
		.empty_string = me.hello.empty_string,
		.count_tasks = p->limits[LIMIT_PROCESSES] != LIMIT_NONE,
		.loading = kind == START_EXEC || policy_executes(p),
		.narrowable = me.b.narrowable,
		.trap = me.b.trap,
		.sockets = !me.hello.in_place && broker_makes_sockets(p),
		.aborts = p->abort,
		.direct = which & FILTER_DIRECT};
	return filter_compile(&spec, &me.filter[which], &me.filter_len[which]);
}
