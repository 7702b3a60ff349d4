/* SPDX-License-Identifier: ISC */
/* Every way that a target can end, each field of its status, and the sentence for it; and what workers say of their crashes that
 * is not so. Each attempt of hostile code states how it must fail: it spoils its own report, and nothing else. */
#include "sandbox/airlock.h"
#include "tests/endings.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif
#define NET_MS 60000 /* generous: a slow machine is no failure */

static struct airlock_policy *policy_of(const char *promises)
{
	struct airlock_policy *p;
	if (airlock_policy_new(&p, promises) < 0) {
		check(false, "a policy", "%s", airlock_message());
		exit(1);
	}
	return p;
}

struct result {
	ssize_t returned;
	struct airlock_status status;
	char sentence[700];
};

/* One job on a target of its own. */
static struct result once(
	const struct airlock_policy *policy, const struct airlock_options *options, const char *what, uint64_t number)
{
	struct result r = {.status = AIRLOCK_STATUS_INIT};
	struct airlock_target *t;
	struct job j = {.number = number};
	snprintf(j.what, sizeof(j.what), "%s", what);
	if (airlock_start(&t, policy, NULL, NULL, options) < 0) {
		snprintf(r.sentence, sizeof(r.sentence), "no start: %s", airlock_message());
		return r;
	}
	r.returned = airlock_call(t, "act", &j, sizeof(j), NULL, 0);
	if (r.returned != -EPIPE)
		airlock_kill(t);
	airlock_wait(t, &r.status, NET_MS);
	airlock_explain(t, r.sentence, sizeof(r.sentence));
	airlock_free(t);
	return r;
}

/* ---- crashes ---- */

#define ANY UINT64_MAX
static const struct crash_case {
	const char *what;
	uint64_t number;
	int signal, fault; /* fault -1: any */
	uint64_t address; /* or ANY */
	const char *in; /* what the backtrace has */
	const char *sentence;
	bool taken; /* by a sanitizer's run time */
} crashes[] = {
	{"write", 8, SIGSEGV, SEGV_MAPERR, 8, "write_to+0x", "at address 0x8 in write_to+0x", false},
	{"write", 0xdead000000000000, SIGSEGV, SI_KERNEL, 0, "write_to+0x", "at an address that cannot be in write_to",
		false},
	{"constant", 0, SIGSEGV, SEGV_ACCERR, ANY, "write_to+0x", "mapped, but not for that, in write_to", false},
	{"jump", 0x1234, SIGSEGV, SEGV_MAPERR, 0x1234, "nowhere (?), jump_to+0x", "by a jump to 0x1234 in jump_to",
		false},
	{"abort", 0, SIGABRT, SI_TKILL, 0, "act+0x", "crashed: Aborted in act+0x", false},
	{"illegal", 0, SIGILL, ILL_ILLOPN, ANY, "act+0x", "Illegal instruction in act", false},
	{"trap", 0, SIGTRAP, -1, ANY, "act+0x", "trap in act", false},
#if defined(__x86_64__)
	{"divide", 0, SIGFPE, FPE_INTDIV, ANY, "act+0x", "a division by zero in act", true},
#endif
	{"bus", 0, SIGBUS, BUS_ADRERR, ANY, "write_to+0x", "behind the end of a file, in write_to", true},
	{"raise", SIGSEGV, SIGSEGV, SI_TKILL, 0, "act+0x", "crashed: Segmentation fault in act", false},
	{"raise", SIGFPE, SIGFPE, SI_TKILL, 0, "act+0x", "in act", true},
	{"overflow", 0, SIGSEGV, SEGV_MAPERR, ANY, "deeper+0x", "in deeper+0x", false},
	{"thread", 24, SIGSEGV, SEGV_MAPERR, 24, "write_to+0x", "at address 0x18 in write_to", false},
	/* Its stack is not the first thread's, and nobody gave it another: the kernel ends it, and what is known is the signal. */
	{"threadover", 0, SIGSEGV, 0, 0, "", "crashed: Segmentation fault", true},
	{"handlercrash", 0, SIGSEGV, 0, 0, "", "crashed: Segmentation fault", false},
	/* Blocked, it is not handled: the same. */
	{"blocked", 0, SIGSEGV, 0, 0, "", "crashed: Segmentation fault", false},
};

static void crash_check(const struct crash_case *c, const struct result *r, bool names, const char *name)
{
	const struct airlock_status *s = &r->status;
	check(s->end == AIRLOCK_CRASHED && s->signal == c->signal && r->returned == -EPIPE, name,
		"%s: end %d, signal %d: %s", c->what, s->end, s->signal, r->sentence);
	check((c->fault < 0 || s->fault == c->fault) && (c->address == ANY || s->fault_address == c->address), name,
		"%s: fault %d at %llx", c->what, s->fault, (unsigned long long)s->fault_address);
	if (!names)
		return;
	check(c->in[0] ? strstr(s->backtrace, c->in) != NULL && s->instruction : !s->backtrace[0] && !s->instruction,
		name, "%s: backtrace \"%s\"", c->what, s->backtrace);
	check(strstr(r->sentence, c->sentence) != NULL, name, "%s: %s", c->what, r->sentence);
}

static void crashes_all(struct airlock_policy *p)
{
	char name[80];
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++) {
		if (SANITIZED && crashes[i].taken)
			continue;
		struct result r = once(p, NULL, crashes[i].what, crashes[i].number);
		snprintf(name, sizeof(name), "crash: %s", crashes[i].what);
		crash_check(&crashes[i], &r, true, name);
	}
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	o.backtrace = 0;
	struct result r = once(p, &o, "write", 8);
	check(r.status.fault_address == 8 && r.status.instruction && !r.status.backtrace[0] &&
			strstr(r.sentence, "at address 0x8 by the instruction at 0x"),
		"crash: without a backtrace", "%s, \"%s\"", r.sentence, r.status.backtrace);
	/* Nothing but to end, and the door is closed. */
	if (SANITIZED)
		return;
	struct airlock_policy *none = policy_of("");
	r = once(none, NULL, "write", 8);
	check(r.status.signal == SIGSEGV && r.status.fault_address == 8 && strstr(r.status.backtrace, "write_to"),
		"crash: with no promise at all", "%s, \"%s\"", r.sentence, r.status.backtrace);
	airlock_policy_free(none);
}

/* ---- ends of other kinds ---- */

static void ends_by_policy(void)
{
	struct airlock_policy *p = policy_of("stdio");
	struct result r = once(p, NULL, "exit", 3);
	check(r.status.end == AIRLOCK_EXITED && r.status.code == 3 && strstr(r.sentence, "calls ended with status 3"),
		"exit", "%d %d %s", r.status.end, r.status.code, r.sentence);
	check(r.status.limit == -1 && r.status.requests > 0, "exit: no limit", "%d %llu", r.status.limit,
		(unsigned long long)r.status.requests);
	r = once(p, NULL, "sleep", 0);
	check(r.status.end == AIRLOCK_KILLED && r.status.signal == SIGKILL && strstr(r.sentence, "killed by its host"),
		"killed by its host", "%d %d %s", r.status.end, r.status.signal, r.sentence);
	r = once(p, NULL, "raise", SIGTERM);
	check(r.status.end == AIRLOCK_KILLED && r.status.signal == SIGTERM && strstr(r.sentence, "Terminated"),
		"killed by a signal", "%d %d %s", r.status.end, r.status.signal, r.sentence);
	r = once(p, NULL, "open", 0);
	check(!strcmp(r.status.missing, "promise rpath") && r.status.refused == 1 &&
			strstr(r.status.violation, "/etc/passwd"),
		"what a refused call lacked", "\"%s\" \"%s\"", r.status.missing, r.status.violation);
	r = once(p, NULL, "ptrace", 0);
	check(r.status.end == AIRLOCK_VIOLATED && r.status.signal == SIGSYS && strstr(r.sentence, "gets out"),
		"a way out", "%d %d %s", r.status.end, r.status.signal, r.sentence);
	struct airlock_target *t;
	struct airlock_call_options late = AIRLOCK_CALL_OPTIONS_INIT;
	struct job j = {"sleep", 60};
	late.timeout_ms = 100;
	if (check(airlock_start(&t, p, NULL, NULL, NULL) == 0, "a call's deadline", "%s", airlock_message())) {
		ssize_t n = airlock_call_with(t, "act", &j, sizeof(j), NULL, 0, &late);
		r.status = (struct airlock_status)AIRLOCK_STATUS_INIT;
		airlock_wait(t, &r.status, NET_MS);
		airlock_explain(t, r.sentence, sizeof(r.sentence));
		check(n == -ETIMEDOUT && r.status.end == AIRLOCK_TIMED_OUT && r.status.limit == -1 &&
				strstr(r.sentence, "took longer than it may"),
			"a call's deadline", "%zd %d %d %s", n, r.status.end, r.status.limit, r.sentence);
		airlock_free(t);
	}
	airlock_policy_on_violation(p, AIRLOCK_VIOLATION_KILL);
	r = once(p, NULL, "open", 0);
	const char *whole =
		"calls was killed for openat(\"/etc/passwd\", O_RDONLY), which the promise rpath would have "
		"allowed";
	check(r.status.end == AIRLOCK_VIOLATED && !strcmp(r.sentence, whole), "killed for a call", "%s", r.sentence);
	airlock_policy_on_violation(p, AIRLOCK_VIOLATION_ABORT);
	r = once(p, NULL, "open", 0);
	check(r.status.end == AIRLOCK_VIOLATED && r.status.signal == SIGABRT &&
			!strcmp(r.status.missing, "promise rpath"),
		"aborted for a call", "%d %d %s", r.status.end, r.status.signal, r.sentence);
	airlock_policy_free(p);
	p = policy_of("stdio rpath");
	r = once(p, NULL, "open", 0);
	check(!strcmp(r.status.missing, "unveil /etc/passwd r"), "what an unveil lacked", "\"%s\"", r.status.missing);
	airlock_policy_free(p);
}

static const struct limit_case {
	enum airlock_limit limit;
	uint64_t value;
	const char *what;
	uint64_t number;
	enum airlock_end end;
	int signal; /* or -1 */
	const char *sentence;
} limits[] = {
	{AIRLOCK_LIMIT_WALL, 300, "sleep", 60, AIRLOCK_TIMED_OUT, -1, "calls used up its wall-clock limit of 300 ms"},
	{AIRLOCK_LIMIT_CPU, 1000, "spin", 0, AIRLOCK_TIMED_OUT, SIGXCPU,
		"calls used up its limit of 1 s of processor time"},
	{AIRLOCK_LIMIT_MEMORY, 256u << 20, "fill", 1u << 30, AIRLOCK_OUT_OF_MEMORY, SIGSEGV,
		"calls ran out of the 256 MiB of memory that its limit leaves it"},
	{AIRLOCK_LIMIT_FILE_SIZE, 8192, "file", 0, AIRLOCK_CRASHED, SIGXFSZ,
		"calls was ended for a file larger than its limit of 8 KiB"},
};

static void ends_by_limit(int file)
{
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	o.shared = 1 << 20;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const struct limit_case *c = &limits[i];
		if (SANITIZED && c->limit == AIRLOCK_LIMIT_MEMORY) /* its shadow is larger */
			continue;
		struct airlock_policy *p = policy_of("stdio");
		airlock_policy_limit(p, c->limit, c->value);
		airlock_policy_pass(p, file, 20);
		struct result r = once(p, &o, c->what, c->number);
		check(r.status.end == c->end && (c->signal < 0 || r.status.signal == c->signal) &&
				!strcmp(r.sentence, c->sentence),
			c->sentence, "%d %d %s", r.status.end, r.status.signal, r.sentence);
		check(r.status.limit == (int)c->limit && r.status.limit_value == c->value, c->sentence,
			"limit %d, %llu", r.status.limit, (unsigned long long)r.status.limit_value);
		airlock_policy_free(p);
	}
	struct airlock_policy *p = policy_of("stdio proc");
	airlock_policy_limit(p, AIRLOCK_LIMIT_PROCESSES, 1);
	struct result r = once(p, NULL, "fork", 8);
	check((r.status.limit == AIRLOCK_LIMIT_PROCESSES && r.status.limit_value == 1 && !r.status.missing[0]) ||
			strstr(r.sentence, "limit processes cannot be kept"),
		"it ran into the limit of processes", "limit %d, %llu, %s", r.status.limit,
		(unsigned long long)r.status.limit_value, r.sentence);
	airlock_policy_free(p);
}

static void ends_of_programs(struct airlock_policy *p)
{
	struct airlock_target *t;
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	char *argv[] = {"sh", "-c", "kill -SEGV $$", NULL};
	char sentence[400];
	if (airlock_exec(&t, p, argv, NULL) < 0) {
		dprintf(tap_fd, "skip a program's crash: %s\n", airlock_message());
		return;
	}
	airlock_wait(t, &s, NET_MS);
	airlock_explain(t, sentence, sizeof(sentence));
	check(s.end == AIRLOCK_CRASHED && s.signal == SIGSEGV && !s.instruction && !s.backtrace[0] &&
			!strcmp(sentence, "sh crashed: Segmentation fault"),
		"a program's crash has its signal", "%d %d %s", s.end, s.signal, sentence);
	airlock_free(t);
	/* A program that was built with less of the structure. */
	struct {
		size_t size;
		enum airlock_end end;
		int code, signal, padding;
		unsigned char guard[64];
	} old = {.size = offsetof(struct airlock_status, requests)};
	memset(old.guard, 0x5a, sizeof(old.guard));
	if (airlock_exec(&t, p, argv, NULL) == 0) {
		airlock_wait(t, (struct airlock_status *)(void *)&old, NET_MS);
		bool kept = true;
		for (size_t i = 0; i < sizeof(old.guard); i++)
			kept = kept && old.guard[i] == 0x5a;
		check(kept && old.signal == SIGSEGV && old.size == offsetof(struct airlock_status, requests),
			"a status of an older size is filled as far as it goes", "signal %d", old.signal);
		airlock_free(t);
	}
}

/* ---- lies ---- */

static void lies(struct airlock_policy *p)
{
	struct result r = once(p, NULL, "lieexit", 0);
	check(r.status.end == AIRLOCK_EXITED && !r.status.fault_address && !r.status.backtrace[0],
		"lie: a crash, and then an exit", "%s, %llx", r.sentence, (unsigned long long)r.status.fault_address);
	r = once(p, NULL, "lieother", 8);
	check(r.status.signal == SIGSEGV && !r.status.fault_address && !r.status.instruction,
		"lie: of another signal than it dies of", "%s, %llx", r.sentence,
		(unsigned long long)r.status.fault_address);
	r = once(p, NULL, "lie", 8);
	check(r.status.signal == SIGSEGV && r.status.fault_address == 0x4242 && !strstr(r.status.backtrace, "write_to"),
		"lie: its own report says what it likes", "%s \"%s\"", r.sentence, r.status.backtrace);
	r = once(p, NULL, "lies", 20000);
	check(r.status.signal == SIGSEGV && r.returned == -EPIPE, "lie: 20,000 of them", "%s", r.sentence);
	for (uint64_t i = 1; i <= 4; i++) {
		r = once(p, NULL, "forged", i);
		check(r.status.signal == SIGSEGV && r.status.fault_address == 8 && strlen(r.status.backtrace) < 1024,
			"lie: forged frames", "%llu: %s \"%s\"", (unsigned long long)i, r.sentence, r.status.backtrace);
	}
	r = once(p, NULL, "handler", 0);
	check(r.status.end == AIRLOCK_EXITED && r.status.code == 64 + SIGSEGV && !r.status.fault_address,
		"a program's own handler is left alone", "%s", r.sentence);
	r = once(p, NULL, "recover", 0);
	check(r.returned == 0 && r.status.end == AIRLOCK_KILLED && !r.status.fault_address,
		"a program that recovers has not crashed", "%zd %s", r.returned, r.sentence);
	struct airlock_policy *forks = policy_of("stdio proc");
	static const char *const ways[] = {"vfork", "fork"};
	for (int i = 0; i < 2; i++) {
		r = once(forks, NULL, ways[i], 8);
		check(r.returned == -SIGSEGV && r.status.end == AIRLOCK_KILLED && !r.status.fault_address &&
				!r.status.backtrace[0],
			"a child's crash is not its target's", "%s: %zd %s", ways[i], r.returned, r.sentence);
	}
	airlock_policy_free(forks);
}

/* ---- many at once: each has its own ---- */

#define AT_ONCE 8
#define EACH 13
struct many {
	struct airlock_policy *policy;
	struct airlock_pool *pool;
	unsigned number, wrong;
	char said[200];
};

static void *crash_many(void *arg)
{
	struct many *m = arg;
	for (unsigned i = 0; i < EACH; i++) {
		const uint64_t address = 0x1000u * m->number + 16 * i + 8;
		struct result r = {.status = AIRLOCK_STATUS_INIT};
		struct job j = {"write", address};
		if (m->pool)
			r.returned = airlock_pool_call(m->pool, "act", &j, sizeof(j), NULL, 0, &r.status);
		else
			r = once(m->policy, NULL, "write", address);
		if (r.returned != -EPIPE || r.status.end != AIRLOCK_CRASHED || r.status.fault_address != address ||
			(r.status.backtrace[0] && !strstr(r.status.backtrace, "write_to"))) {
			m->wrong++;
			snprintf(m->said, sizeof(m->said), "%zd end %d, %llx for %llx, \"%.60s\"", r.returned,
				r.status.end, (unsigned long long)r.status.fault_address, (unsigned long long)address,
				r.status.backtrace);
		}
	}
	return NULL;
}

static void many(struct airlock_policy *p, struct airlock_pool *pool, const char *name)
{
	struct many m[AT_ONCE] = {{0}};
	pthread_t threads[AT_ONCE];
	unsigned wrong = 0;
	const char *said = "";
	for (unsigned i = 0; i < AT_ONCE; i++) {
		m[i] = (struct many){.policy = p, .pool = pool, .number = i + 1};
		if (pthread_create(&threads[i], NULL, crash_many, &m[i]))
			exit(1);
	}
	for (unsigned i = 0; i < AT_ONCE; i++) {
		pthread_join(threads[i], NULL);
		wrong += m[i].wrong;
		said = m[i].wrong ? m[i].said : said;
	}
	check(wrong == 0, name, "%u of %d: %s", wrong, AT_ONCE * EACH, said);
}

static void forks(struct airlock_policy *p)
{
	struct airlock_pool *pool;
	struct airlock_pool_stats stats = AIRLOCK_POOL_STATS_INIT;
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	int r = airlock_pool_new(&pool, p, &o);
	o.fresh = r == -EOPNOTSUPP; /* under somebody else's listener there are no forks */
	if (o.fresh)
		r = airlock_pool_new(&pool, p, &o);
	if (!check(r == 0, "a pool", "%s", airlock_message()))
		return;
	many(p, pool, "104 forks of a zygote that crash at once: each its own address");
	airlock_pool_stats(pool, &stats);
	dprintf(tap_fd, "# the pool's targets are %s\n", stats.forks ? "forks" : "fresh images");
	airlock_pool_free(pool);
}

/* ---- core files ---- */

static int file_new(const char *name, int flags)
{
	unlink(name);
	return open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | flags, 0600);
}

static bool gdb_says(const char *self, const char *core, char *buf, size_t len)
{
	char command[700];
	snprintf(command, sizeof(command),
		"HOME=/nonexistent gdb -nx -batch -ex bt -ex 'info threads' '%s' '%s' </dev/null 2>/dev/null", self,
		core);
	FILE *f = popen(command, "r");
	size_t n = f ? fread(buf, 1, len - 1, f) : 0;
	buf[n] = 0;
	return f && pclose(f) == 0;
}

/* A thread whose call the broker holds does not stop to be looked at before it is answered. */
static void core_beside_wait(const char *dir, const char *name)
{
	struct airlock_policy *p = policy_of("stdio rpath");
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (chdir(dir) < 0 || mkfifo("fifo", 0600) < 0 || airlock_policy_unveil(p, dir, "r") < 0)
		exit(1);
	o.core = file_new(name, 0);
	struct result r = once(p, &o, "waits", 8);
	check(r.status.end == AIRLOCK_CRASHED && r.status.fault_address == 8 && lseek(o.core, 0, SEEK_END) > 0,
		"core: beside a thread that waits for the broker", "%s", r.sentence);
	close(o.core);
	unlink("fifo");
	if (fchdir(back) < 0)
		exit(1);
	close(back);
	airlock_policy_free(p);
}

static void cores(struct airlock_policy *p)
{
	char dir[] = "/tmp/airlock-core-XXXXXX", name[64], self[512], text[8192];
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	unsigned char head[18] = "";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (!mkdtemp(dir) || n <= 0)
		exit(1);
	self[n] = 0;
	snprintf(name, sizeof(name), "%s/core", dir);
	for (int append = 0; append < 2; append++) {
		o.core = file_new(name, append ? O_APPEND : 0);
		struct result r = once(p, &o, "write", 8);
		off_t size = lseek(o.core, 0, SEEK_END);
		check(r.status.fault_address == 8 && pread(o.core, head, sizeof(head), 0) == sizeof(head) &&
				!memcmp(head, "\177ELF", 4) && head[16] == 4,
			"core: it is one", "%s, %lld bytes", r.sentence, (long long)size);
		if (system("gdb --version >/dev/null 2>&1") != 0)
			dprintf(tap_fd, "skip core: gdb is not here\n");
		else
			check(gdb_says(self, name, text, sizeof(text)) && strstr(text, " write_to (") &&
					strstr(text, " main ("),
				"core: gdb shows the backtrace", "%s", text);
		r = once(p, &o, "write", 16);
		check(r.status.fault_address == 16 && lseek(o.core, 0, SEEK_END) == size, "core: the first is kept",
			"%s", r.sentence);
		close(o.core);
	}
	o.core = file_new(name, 0);
	struct result r = once(p, &o, "thread", 8);
	if (system("gdb --version >/dev/null 2>&1") == 0)
		check(gdb_says(self, name, text, sizeof(text)) && strstr(text, "thread_writes") &&
				strstr(text, "  2  "),
			"core: of all threads", "%s", text);
	close(o.core);
	core_beside_wait(dir, name);
	o.core = file_new(name, 0);
	r = once(p, &o, "exit", 0);
	check(r.status.end == AIRLOCK_EXITED && lseek(o.core, 0, SEEK_END) == 0, "core: none without a crash", "%s",
		r.sentence);
	close(o.core);
	/* What cannot be written to costs nothing but the core. */
	o.core = open("/dev/full", O_RDWR | O_CLOEXEC);
	r = once(p, &o, "write", 8);
	check(r.status.fault_address == 8 && r.status.end == AIRLOCK_CRASHED, "core: to a full disk", "%s", r.sentence);
	close(o.core);
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) == 0) {
		close(ends[0]);
		o.core = ends[1];
		r = once(p, &o, "write", 8);
		check(r.status.fault_address == 8 && r.status.end == AIRLOCK_CRASHED, "core: to a closed pipe", "%s",
			r.sentence);
		close(ends[1]);
	}
	/* Its wall limit ends what a reader holds up, threads and all. */
	if (pipe2(ends, O_CLOEXEC) == 0) {
		struct airlock_policy *wall = policy_of("stdio");
		struct timespec from, to;
		airlock_policy_limit(wall, AIRLOCK_LIMIT_WALL, 1500);
		o.core = ends[1];
		clock_gettime(CLOCK_MONOTONIC, &from);
		r = once(wall, &o, "thread", 8);
		clock_gettime(CLOCK_MONOTONIC, &to);
		check(r.status.end == AIRLOCK_TIMED_OUT && to.tv_sec - from.tv_sec < 8,
			"core: to a pipe that nobody reads", "%s, %d s", r.sentence, (int)(to.tv_sec - from.tv_sec));
		close(ends[0]);
		close(ends[1]);
		airlock_policy_free(wall);
	}
	o.core = 1000;
	r = once(p, &o, "write", 8);
	check(strstr(r.sentence, "no start: options.core is not open") != NULL, "core: to nothing", "%s", r.sentence);
	unlink(name);
	rmdir(dir);
}

/* ---- ---- */

static unsigned descriptors(void)
{
	unsigned n = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* The backtrace that a program, which is told to have one crash, says. */
static bool says_of_one(const char *program, char *text, size_t room)
{
	char command[700];
	snprintf(command, sizeof(command), "'%s' one 2>/dev/null", program);
	FILE *f = popen(command, "r");
	size_t n = f ? fread(text, 1, room - 1, f) : 0;
	text[n] = 0;
	return f && pclose(f) == 0;
}

/* Where in a program without symbols; and in one without tables of its frames. */
static void others(const char *self)
{
	char dir[] = "/tmp/airlock-stripped-XXXXXX", name[64], command[700], text[2048] = "";
	if (!mkdtemp(dir))
		exit(1);
	chmod(dir, 0755);
	snprintf(name, sizeof(name), "%s/bare", dir);
	snprintf(command, sizeof(command), "strip -o '%s' /proc/%d/exe 2>/dev/null", name, (int)getpid());
	if (system(command) != 0)
		dprintf(tap_fd, "skip stripped: it cannot be made\n");
	else
		check(says_of_one(name, text, sizeof(text)) && strncmp(text, "0x", 2) == 0 &&
				strstr(text, "(bare), 0x"),
			"a stripped program's places", "%s", text);
	snprintf(command, sizeof(command), "%s_static", self);
	if (access(command, X_OK) != 0)
		dprintf(tap_fd, "skip static: it is not built\n");
	else
		check(says_of_one(command, text, sizeof(text)) && strstr(text, "write_to+0x") &&
				strstr(text, " main+0x"),
			"a static program's places", "%s", text);
	unlink(name);
	rmdir(dir);
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	struct airlock_policy *p = policy_of("stdio");
	int file = memfd_create("endings", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, 4096) < 0)
		return 1;
	airlock_policy_pass(p, file, 20);
	if (argc > 1 && !strcmp(argv[1], "one")) {
		struct result r = once(p, NULL, "write", 8);
		puts(r.status.backtrace);
		airlock_policy_free(p);
		return 0;
	}
	crashes_all(p);
	const unsigned before = descriptors();
	ends_by_policy();
	ends_by_limit(file);
	ends_of_programs(p);
	lies(p);
	many(p, NULL, "104 targets that crash, eight at once: each its own address");
	forks(p);
	cores(p);
	others(argv[0]);
	check(descriptors() == before, "no descriptor is left", "%u, %u before", descriptors(), before);
	airlock_policy_free(p);
	return tap_failed != 0;
}
