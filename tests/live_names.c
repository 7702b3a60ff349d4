/* SPDX-License-Identifier: ISC */
/* Live tests of rules with the names of hosts: what a target may connect to, what its own lookups show, and what a hostile
 * nameserver gets, which must be nothing. In a network, and with files in /etc, of the test's own. */
#include "sandbox/airlock.h"
#include "tests/dns_server.h"
#include "tests/names.h"
#include "tests/processes.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- how they are started ---- */

enum way { RUN, IN_PLACE, WORKER, NESTED, WAYS };
static const char *const ways[] = {"run", "in place", "worker", "nested"};
static const char *airlock, *self;
static struct dns_counts *counts;

struct target {
	pid_t pid;
	int in, out;
};

static void in_place(const char *policy, int count, char *const *what)
{
	struct airlock_policy *p;
	if (airlock_policy_parse(&p, policy) < 0 || airlock_enter(p) < 0) {
		dprintf(1, "%s", airlock_message());
		_exit(1);
	}
	_exit(names_client(count, what));
}

static void worker(bool nested, const char *policy, int count, char *const *what)
{
	struct airlock_options options = AIRLOCK_OPTIONS_INIT;
	struct airlock_policy *p;
	struct airlock_target *t;
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	char *argv[40] = {NULL}, wide[2000];
	int n = 0;
	if (nested)
		argv[n++] = (char *)(uintptr_t)policy;
	for (int i = 0; i < count; i++)
		argv[n++] = what[i];
	/* The nested one has less than the one around it. */
	snprintf(wide, sizeof(wide), "%s\npledge stdio rpath inet dns proc exec\nconnect tcp:four.test:80\n", policy);
	if (airlock_policy_parse(&p, nested ? wide : policy) < 0 ||
		airlock_start(&t, p, nested ? "outer" : "entry", argv, &options) < 0) {
		dprintf(1, "%s", airlock_message());
		_exit(1);
	}
	airlock_wait(t, &s, 60000);
	airlock_free(t);
	airlock_policy_free(p);
	_exit(0);
}

static void run(const char *policy, int count, char *const *what)
{
	char path[] = "/tmp/live_names.XXXXXX";
	const char *argv[40] = {airlock, "run", "-P", path, "--", self, "client"};
	int fd = mkstemp(path), n = 7, null = open("/dev/null", O_WRONLY);
	if (fd < 0 || write(fd, policy, strlen(policy)) < 0)
		_exit(1);
	close(fd);
	for (int i = 0; i < count; i++)
		argv[n++] = what[i];
	dup2(null, 2);
	pid_t pid = fork();
	if (pid == 0) {
		execv(airlock, (char **)(uintptr_t)argv);
		_exit(127);
	}
	int status;
	waitpid(pid, &status, 0);
	unlink(path);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static struct target begin(enum way way, const char *policy, const char *commands)
{
	char copy[2000], *rest = copy, *what[30];
	int in[2], out[2], count = 0;
	snprintf(copy, sizeof(copy), "%s", commands);
	while (rest && count < 30)
		what[count++] = strsep(&rest, " ");
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		exit(1);
	struct target t = {fork(), in[1], out[0]};
	if (t.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(in[1]); /* else it would wait for itself */
		close(out[0]);
		dup2(in[0], 0);
		dup2(out[1], 1);
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (way == IN_PLACE)
			dup2(null, 2);
		if (way == IN_PLACE)
			in_place(policy, count, what);
		if (way == RUN)
			run(policy, count, what);
		worker(way == NESTED, policy, count, what);
	}
	close(in[0]);
	close(out[1]);
	return t;
}

/* Up to its end, or the next "!". */
static const char *hear(struct target *t)
{
	static char words[8000];
	size_t used = 0;
	char c;
	while (used + 1 < sizeof(words) && read(t->out, &c, 1) == 1 && c != '!')
		words[used++] = c;
	while (used && words[used - 1] == ' ')
		used--;
	words[used] = 0;
	return words;
}

static void finish(struct target *t)
{
	close(t->in);
	close(t->out);
	waitpid(t->pid, NULL, 0);
}

static const char *outcome(enum way way, const char *policy, const char *commands)
{
	struct target t = begin(way, policy, commands);
	const char *words = hear(&t);
	finish(&t);
	return words;
}

#define INET "pledge stdio inet\n"
#define DNS "pledge stdio inet dns\n"

static const struct {
	const char *title, *policy, *commands, *expected;
	bool all; /* in all ways, else under run */
} attempts[] = {
	{"a name's addresses are reached, and no other", INET "connect tcp:plain.test:80",
		"lookup,plain.test,80 connect,93.184.216.35,80 connect,127.0.0.1,80 connect,93.184.216.34,81",
		"2606:2800:220:1::1=ok+93.184.216.34=ok EACCES EACCES EACCES", true},
	{"without a lookup of its own", INET "connect tcp:plain.test:80",
		"connect,93.184.216.34,80 connect,2606:2800:220:1::1,80 connect,::ffff:93.184.216.34,80", "ok ok ok",
		true},
	{"with dns the same", DNS "connect tcp:plain.test:80",
		"lookup,plain.test,80 lookup,deep.sub.test,80 connect,127.0.0.1,80",
		"2606:2800:220:1::1=ok+93.184.216.34=ok 93.184.216.35=EACCES EACCES", true},
	{"without dns no other name is known", INET "connect tcp:plain.test:80", "lookup,four.test,80 hosts,plain.test",
		"unknown 2/2", true},
	{"with dns the machine's own file follows", DNS "connect tcp:plain.test:80",
		"hosts,plain.test lookup,listed.test,80", "2/5 93.184.216.99=EACCES", true},
	{"a name in the machine's file", INET "connect tcp:listed.test:80", "lookup,listed.test,80", "93.184.216.99=ok",
		true},
	{"a chain of names", INET "connect tcp:chain.test:80", "lookup,chain.test,80",
		"2606:2800:220:1::1=ok+93.184.216.34=ok", false},
	{"a circle of names", INET "connect tcp:circle.test:80", "lookup,circle.test,80 connect,93.184.216.34,80",
		"unknown EACCES", false},
	{"a life of nothing", INET "connect tcp:zero.test:80",
		"lookup,zero.test,80 sleep,1200 connect,93.184.216.34,80", "93.184.216.34=ok ok", false},
	{"a life of less than nothing", INET "connect tcp:negative.test:80", "lookup,negative.test,80",
		"93.184.216.34=ok", false},
	{"a name that is not there", INET "connect tcp:none.test:80", "lookup,none.test,80 connect,93.184.216.34,80",
		"unknown EACCES", false},
	{"a server that fails", INET "connect tcp:fails.test:80", "lookup,fails.test,80 connect,93.184.216.34,80",
		"unknown EACCES", false},
	{"an answer by TCP", INET "connect tcp:cut.test:80", "lookup,cut.test,80", "93.184.216.34=ok", true},
	{"a slow answer", INET "connect tcp:slow.test:80", "lookup,slow.test,80", "93.184.216.34=ok", false},
	{"no answer", INET "connect tcp:silent.test:80", "connect,93.184.216.34,80 lookup,silent.test,80",
		"EACCES unknown", true},
	{"garbage", INET "connect tcp:garbage.test:80", "connect,93.184.216.34,80 lookup,garbage.test,80",
		"EACCES unknown", false},
	{"answers to another question", INET "connect tcp:wrongid.test:80",
		"connect,93.184.216.34,80 lookup,wrongid.test,80", "EACCES unknown", false},
	{"a name that points to itself", INET "connect tcp:loops.test:80",
		"connect,93.184.216.34,80 lookup,loops.test,80", "EACCES unknown", false},
	{"addresses of another name", INET "connect tcp:foreign.test:80",
		"connect,93.184.216.34,80 lookup,foreign.test,80", "EACCES unknown", false},
	{"a thousand addresses", INET "connect tcp:huge.test:80\nconnect tcp:plain.test:80",
		"connect,93.184.216.34,80 connect,127.0.0.1,80", "ok EACCES", false},
	{"other addresses each time", INET "connect tcp:rotates.test:80",
		"hosts,rotates.test sleep,1100 connect,93.184.216.249,80 hosts,rotates.test connect,127.0.0.1,80",
		"1/1 EACCES 2/2 EACCES", false},
	/* what the user shows of /etc/hosts stays shown */
	{"the machine's own file, unveiled", "pledge stdio rpath inet\nunveil /etc/hosts r\nconnect tcp:plain.test:80",
		"hosts,plain.test lookup,plain.test,80 lookup,listed.test,80",
		"2/5 2606:2800:220:1::1=ok+93.184.216.34=ok 93.184.216.99=EACCES", true},
	{"all of /etc unveiled", "pledge stdio rpath inet\nunveil /etc r\nconnect tcp:plain.test:80",
		"hosts,plain.test", "2/5", true},
	{"without rules that have names the file is itself", "pledge stdio rpath inet\nunveil /etc r\nconnect tcp:*:80",
		"hosts,plain.test", "0/3", true},
	{"unveiled, but not to be read",
		"pledge stdio rpath wpath inet\nunveil /etc/hosts w\nconnect tcp:plain.test:80", "hosts,plain.test",
		"2/2", false},
	/* what is not public */
	{"a name for what is inside", INET "connect tcp:inside.test:80",
		"lookup,inside.test,80 hosts,inside.test connect,127.0.0.1,80 connect,127.0.0.2,80 "
		"connect,169.254.169.254,80 "
		"connect,10.0.0.1,80 connect,0.0.0.0,80 connect,192.168.1.1,80 connect,100.64.0.1,80 "
		"connect,172.16.0.1,80 "
		"connect,::1,80 connect,::ffff:127.0.0.1,80 connect,64:ff9b::7f00:1,80 connect,2002:7f00:1::,80 "
		"connect,fe80::1,80 connect,fd00::1,80 connect,::,80",
		"unknown 0/0 EACCES EACCES EACCES EACCES EACCES EACCES EACCES EACCES EACCES EACCES EACCES EACCES "
		"EACCES EACCES "
		"EACCES",
		true},
	{"the same with +private", INET "connect tcp:inside.test:80+private",
		"hosts,inside.test connect,127.0.0.1,80 connect,::1,80 connect,::ffff:127.0.0.1,80 "
		"connect,127.0.0.3,80",
		"14/14 ok ok ok EACCES", true},
	{"+private of another port", INET "connect tcp:inside.test:81+private\nconnect tcp:inside.test:80",
		"connect,127.0.0.1,80 connect,127.0.0.1,81", "EACCES ECONNREFUSED", false},
	{"a name for both", INET "connect tcp:mixed.test:80", "lookup,mixed.test,80 connect,127.0.0.1,80",
		"93.184.216.34=ok EACCES", true},
	{"localhost", INET "connect tcp:localhost:80", "connect,127.0.0.1,80 connect,::1,80 lookup,localhost,80",
		"EACCES EACCES unknown", false},
	{"localhost with +private", INET "connect tcp:localhost:80+private", "connect,127.0.0.1,80 lookup,localhost,80",
		"ok 127.0.0.1=ok", false},
	/* public first, and then, once it is trusted, inside. 93.184.216.99 makes the broker ask again */
	{"rebinding", INET "connect tcp:re4.test:80",
		"connect,93.184.216.34,80 sleep,1100 connect,93.184.216.99,80 connect,127.0.0.1,80 "
		"connect,169.254.169.254,80 "
		"connect,10.0.0.1,80 connect,0.0.0.0,80 hosts,re4.test",
		"ok EACCES EACCES EACCES EACCES EACCES 1/1", true},
	{"rebinding by v6", INET "connect tcp:re6.test:80",
		"connect,93.184.216.34,80 sleep,1100 connect,93.184.216.99,80 connect,::1,80 "
		"connect,::ffff:127.0.0.1,80 "
		"connect,64:ff9b::7f00:1,80 connect,2002:7f00:1::,80 connect,fe80::1,80 connect,127.0.0.1,80",
		"ok EACCES EACCES EACCES EACCES EACCES EACCES EACCES", true},
	/* one request waits, the others do not; and it is refused in the end */
	{"a nameserver that says nothing stalls one request",
		INET "connect tcp:four.test:80\nconnect tcp:silent2.test:81",
		"connect,93.184.216.34,80 aside,93.184.216.34,80,93.184.216.77", "ok EACCES", true},
};

static void attempt(size_t i, enum way way)
{
	char name[200];
	snprintf(name, sizeof(name), "%s: %s", ways[way], attempts[i].title);
	/* Those that count answers begin anew. */
	dns_count(counts, "re4.test")->a = dns_count(counts, "re6.test")->a = 0;
	const char *words = outcome(way, attempts[i].policy, attempts[i].commands);
	bool rebinds = strncmp(attempts[i].title, "rebinding", 9) == 0;
	unsigned asked = dns_count(counts, "re4.test")->a + dns_count(counts, "re6.test")->a;
	check(strcmp(words, attempts[i].expected) == 0 && (!rebinds || asked > 2), name, "said \"%.300s\", %u asked",
		words, asked);
}

/* ---- processes of this network ---- */

static ino_t network_of(const char *pid)
{
	char path[300];
	struct stat st;
	snprintf(path, sizeof(path), "/proc/%.20s/ns/net", pid);
	return stat(path, &st) < 0 ? 0 : st.st_ino;
}

/* How many there are with this in their title; *pid is one. */
static unsigned names_titled(const char *title, pid_t *pid)
{
	DIR *d = opendir("/proc");
	unsigned n = 0;
	for (struct dirent *e; d && (e = readdir(d));) {
		char path[300], text[400] = "";
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/cmdline", e->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		/* A process that is not dumpable keeps its network to itself where its user is another: the parent tells. */
		if (len > 0 && strstr(text, title) && network_of(e->d_name) == network_of("self")) {
			n++;
			*pid = (pid_t)atoi(e->d_name);
		}
	}
	if (d)
		closedir(d);
	return n;
}

/* Those of targets before, and helpers, which look like their server, are gone in a moment; one that
 * was just born has yet to take its title. */
static unsigned resolvers(pid_t *pid)
{
	unsigned n = names_titled("airlock resolver", pid);
	for (int i = 0; n != 1 && i < 50; i++) {
		usleep(100000);
		n = names_titled("airlock resolver", pid);
	}
	return n;
}

static unsigned descriptors_of(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void counting(void)
{
	unsigned before = dns_count(counts, "plain.test")->a;
	const char *words = outcome(RUN, INET "connect tcp:plain.test:80", "many,93.184.216.34,80");
	unsigned asked = dns_count(counts, "plain.test")->a - before;
	/* One lookup, and one question for the life time. */
	check(strcmp(words, "100") == 0 && asked <= 2, "a hundred connects are one resolution",
		"%s connected, %u asked", words, asked);
	before = dns_count(counts, "brief.test")->a;
	words = outcome(RUN, INET "connect tcp:brief.test:80",
		"connect,93.184.216.34,80 sleep,9000 connect,93.184.216.34,80 sleep,1500 connect,93.184.216.34,80");
	asked = dns_count(counts, "brief.test")->a - before;
	check(strcmp(words, "ok ok ok") == 0 && asked > 2 && asked <= 4, "pins expire, and are resolved again",
		"said \"%s\", %u asked", words, asked);
	before = dns_count(counts, "none.test")->a;
	words = outcome(RUN, INET "connect tcp:none.test:80", "many,93.184.216.34,80");
	asked = dns_count(counts, "none.test")->a - before;
	check(strcmp(words, "0") == 0 && asked <= 2, "a failure is remembered", "%s connected, %u asked", words, asked);
}

/* The resolver's end refuses; and the target has no part in it. */
static void resolver_ends(enum way way)
{
	char name[200];
	pid_t resolver = 0, broker = 0;
	struct target t = begin(way, INET "connect tcp:dead.test:80\nconnect tcp:plain.test:80",
		"connect,93.184.216.34,80 wait connect,2606:2800:220:1::1,80 wait connect,93.184.216.34,81 wait");
	(void)hear(&t);
	unsigned n = resolvers(&resolver);
	names_titled("airlock broker", &broker);
	unsigned descriptors = descriptors_of(broker);
	snprintf(name, sizeof(name), "%s: there is one resolver", ways[way]);
	check(n == 1, name, "%u", n);
	if (write(t.in, "x", 1) != 1)
		exit(1);
	(void)hear(&t);
	snprintf(name, sizeof(name), "%s: an answer leaves no descriptor in the broker", ways[way]);
	check(descriptors_of(broker) == descriptors && descriptors, name, "%u, then %u", descriptors,
		descriptors_of(broker));
	finish(&t);

	/* To kill it is nothing that a target can. In place it sees the same numbers. */
	t = begin(way, INET "connect tcp:dead.test:80", "wait connect,93.184.216.34,80");
	(void)hear(&t);
	n = resolvers(&resolver);
	if (n == 1)
		kill(resolver, SIGKILL);
	usleep(200000);
	if (write(t.in, "x", 1) != 1)
		exit(1);
	const char *words = hear(&t);
	snprintf(name, sizeof(name), "%s: without its resolver no name is good", ways[way]);
	check(n == 1 && strcmp(words, "EACCES") == 0, name, "%u resolvers, said \"%s\"", n, words);
	finish(&t);
}

static void out_of_reach(void)
{
	char text[64];
	pid_t resolver = 0;
	struct target t = begin(IN_PLACE, INET "connect tcp:dead.test:80", "wait connect,93.184.216.34,80");
	(void)hear(&t);
	resolvers(&resolver);
	/* A second program in place, told the number of the first one's resolver: it is not its own process either way. */
	snprintf(text, sizeof(text), "kill,%d", (int)resolver);
	const char *words = outcome(IN_PLACE, "pledge stdio inet proc\nconnect tcp:dead.test:80", text);
	check(strcmp(words, "EPERM") == 0 || strcmp(words, "ESRCH") == 0, "in place: no signal to the resolver",
		"said \"%s\"", words);
	if (write(t.in, "x", 1) != 1)
		exit(1);
	words = hear(&t);
	check(strcmp(words, "ok") == 0, "in place: it still answers", "said \"%s\"", words);
	finish(&t);
}

static void nothing_left(void)
{
	pid_t pid = 0;
	unsigned n = 1;
	for (int i = 0; n && i < 50; i++) {
		n = names_titled("airlock ", &pid);
		if (n)
			usleep(100000);
	}
	check(n == 0, "nothing is left behind", "%u processes, one is %d", n, (int)pid);
}

int main(int argc, char **argv)
{
	char directory[] = "/tmp/live_names.XXXXXX", path[4096];
	if (argc > 1 && strcmp(argv[1], "client") == 0)
		return names_client(argc - 2, argv + 2);
	int r = airlock_init(argc, argv);
	if (r < 0)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	airlock = argc > 1 ? argv[1] : "airlock";
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	self = path;
	if (!names_namespaces()) {
		printf("skip live_names: no network of its own: %s\n", strerror(errno));
		return 0;
	}
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool ready = mkdtemp(directory) && names_files(directory) && names_network();
	pid_t dns = ready ? dns_serve(counts) : -1, web = ready ? names_connections() : -1;
	rmdir(directory);
	if (!check(dns > 0 && web > 0, "there is a network to try this in", "%s", strerror(errno)))
		return 1;
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		for (enum way way = RUN; way < (attempts[i].all ? WAYS : RUN + 1); way++)
			attempt(i, way);
	counting();
	for (enum way way = RUN; way < NESTED; way++)
		resolver_ends(way);
	out_of_reach();
	nothing_left();
	kill(dns, SIGKILL);
	kill(web, SIGKILL);
	while (wait(NULL) > 0)
		;
	return tap_failed != 0;
}
