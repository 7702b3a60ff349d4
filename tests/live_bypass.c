/* SPDX-License-Identifier: ISC */
/*
 * The judge of the attempts to get past the rules about addresses: each table in each way (in place, as a worker, by the
 * command, in a target's target) under each policy, beside servers that nobody may reach. An attempt that says that it was
 * refused is not believed: the servers count. All is in a network of the test's own, where the attempts are also made by a
 * process that nothing confines, to show that they are real. live_bypass AIRLOCK ONE [POLICY [WAY [PREFIX]]].
 */
#include "sandbox/airlock.h"
#include "tests/bypass.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define LISTENER 20
#define DATAGRAM 21
#define LOCAL 22
#define WAITS 60000 /* milliseconds */

static struct net net = {.listener = -1, .datagram = -1, .local = -1};
static char top[64];
static const char *command, *program;

/* ---- the world ---- */

static struct {
	const char *name;
	int fd;
	bool stream, counts;
} servers[40];
static size_t server_count;

static void give_up(const char *what)
{
	printf("not ok world: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int serve(const char *name, int type, const void *address, socklen_t len, bool counts)
{
	struct sockaddr_in6 own;
	socklen_t own_len = sizeof(own);
	int one = 1, fd = socket(((const struct sockaddr *)address)->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (own_len && ((const struct sockaddr *)address)->sa_family == AF_INET6)
		setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (fd < 0 || bind(fd, address, len) || (type == SOCK_STREAM && listen(fd, 1000)))
		give_up(name);
	servers[server_count].name = name;
	servers[server_count].fd = fd;
	servers[server_count].stream = type == SOCK_STREAM;
	servers[server_count++].counts = counts;
	getsockname(fd, (struct sockaddr *)&own, &own_len);
	return ntohs(own.sin6_port);
}

/* ip, and port 0 for any. */
static int serve4(const char *name, int type, const char *ip, int port, bool counts)
{
	struct sockaddr_in a = v4(ip, port);
	return serve(name, type, &a, sizeof(a), counts);
}

static int serve6(const char *name, int type, bool counts)
{
	struct sockaddr_in6 a = v6("::1", 0);
	return serve(name, type, &a, sizeof(a), counts);
}

static void serve_local(const char *name, int type, bool counts)
{
	struct sockaddr_un a;
	socklen_t len = local(&a, &net, name);
	serve(name, type, &a, len, counts);
	if (chmod(a.sun_path, 0777))
		give_up(name);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd))
		give_up(path);
}

/* Of its own: a network, where loopback is up, and a resolv.conf. */
static void apart(void)
{
	char map[60], file[100];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	if (unshare(CLONE_NEWNET | CLONE_NEWNS | (uid ? CLONE_NEWUSER : 0))) {
		printf("skip bypass: no network of its own can be made: %s\n", strerror(errno));
		exit(0);
	}
	if (uid) {
		write_file("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "%u %u 1", uid, uid);
		write_file("/proc/self/uid_map", map);
		snprintf(map, sizeof(map), "%u %u 1", gid, gid);
		write_file("/proc/self/gid_map", map);
	}
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &lo))
		give_up("loopback");
	close(fd);
	snprintf(file, sizeof(file), "%s/resolv.conf", top);
	write_file(file, "nameserver 127.0.0.53\n");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount(file, "/etc/resolv.conf", NULL, MS_BIND, NULL))
		give_up("resolv.conf");
}

static void world_make(void)
{
	static char link[100];
	struct sockaddr_un a;
	socklen_t len;
	strcpy(top, "/tmp/bypass.XXXXXX");
	if (!mkdtemp(top) || chmod(top, 0755))
		give_up("directory");
	apart();
	strcpy(net.top, top);
	snprintf(net.name_yes, sizeof(net.name_yes), "bypass-yes-%d", getpid());
	snprintf(net.name_no, sizeof(net.name_no), "bypass-no-%d", getpid());
	net.tcp_yes = serve4("tcp yes", SOCK_STREAM, "127.0.0.1", 0, false);
	net.udp_yes = serve4("udp yes", SOCK_DGRAM, "127.0.0.1", 0, false);
	net.tcp6_yes = serve6("tcp6 yes", SOCK_STREAM, false);
	net.udp6_yes = serve6("udp6 yes", SOCK_DGRAM, false);
	net.tcp_no = serve4("tcp no", SOCK_STREAM, "127.0.0.1", 0, true);
	net.udp_no = serve4("udp no", SOCK_DGRAM, "127.0.0.1", 0, true);
	net.tcp6_no = serve6("tcp6 no", SOCK_STREAM, true);
	net.udp6_no = serve6("udp6 no", SOCK_DGRAM, true);
	serve4("tcp second", SOCK_STREAM, "127.0.0.2", net.tcp_yes, true);
	serve4("tcp last", SOCK_STREAM, "127.255.255.254", net.tcp_yes, true);
	serve4("udp second", SOCK_DGRAM, "127.0.0.2", net.udp_yes, true);
	serve4("other nameserver", SOCK_DGRAM, "127.0.0.1", 53, true);
	serve4("other nameserver, tcp", SOCK_STREAM, "127.0.0.1", 53, true);
	serve4("nameserver", SOCK_DGRAM, "127.0.0.53", 53, false);
	serve_local("yes.stream", SOCK_STREAM, false);
	serve_local("yes", SOCK_DGRAM, false);
	serve_local("no.stream", SOCK_STREAM, true);
	serve_local("no", SOCK_DGRAM, true);
	len = abstract(&a, net.name_yes);
	serve("abstract yes", SOCK_DGRAM, &a, len, false);
	len = abstract(&a, net.name_no);
	serve("abstract no", SOCK_DGRAM, &a, len, true);
	snprintf(link, sizeof(link), "%s/link", top);
	if (symlink("no.stream", link))
		give_up("link");
	/* Free a moment ago, in a network without others. */
	struct sockaddr_in b = v4("127.0.0.1", 0);
	len = sizeof(b);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&b, len) || getsockname(fd, (struct sockaddr *)&b, &len))
		give_up("port");
	close(fd);
	net.bind_yes = ntohs(b.sin_port);
	net.bind6_yes = net.bind_yes + 1;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	b = v4("127.0.0.1", 0);
	if (bind(fd, (struct sockaddr *)&b, len) || listen(fd, 0) || getsockname(fd, (struct sockaddr *)&b, &len))
		give_up("full");
	net.tcp_full = ntohs(b.sin_port);
	for (int i = 0; i < 4; i++)
		(void)!connect(
			socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), (struct sockaddr *)&b, len);
	if (geteuid()) {
		cap_t none = cap_init();
		if (!none || cap_set_proc(none))
			give_up("capabilities");
		cap_free(none);
	}
}

static void world_end(void)
{
	static const char *const names[] = {
		"resolv.conf", "yes.stream", "yes", "no.stream", "no", "link", "bound", "policy"};
	char path[120];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", top, names[i]);
		unlink(path);
	}
	rmdir(top);
}

/* The server that was reached although nobody may, or NULL. */
static const char *reached(void)
{
	const char *who = NULL;
	char c;
	for (size_t i = 0; i < server_count; i++) {
		for (;;) {
			int fd = servers[i].stream ? accept(servers[i].fd, NULL, NULL)
						   : (int)recv(servers[i].fd, &c, 1, MSG_DONTWAIT);
			if (fd < 0)
				break;
			if (servers[i].stream)
				close(fd);
			if (servers[i].counts)
				who = servers[i].name;
		}
	}
	return who;
}

/* ---- ways ---- */

struct policy_text {
	const char *name;
	char text[1000];
};
static struct policy_text policies[] = {
	{"stdio", ""}, {"inet", ""}, {"dns", ""}, {"unix", ""}, {"all", ""}, {"send", ""}};
#define POLICIES (sizeof(policies) / sizeof(policies[0]))

static void policies_write(void)
{
	strcpy(policies[0].text, "pledge stdio\n");
	snprintf(policies[1].text, sizeof(policies[1].text),
		"pledge stdio inet\nconnect tcp:127.0.0.1:%d\nconnect udp:127.0.0.1:%d\nconnect tcp:[::1]:%d\n"
		"connect udp:[::1]:%d\nconnect tcp:127.0.0.1:%d\nbind tcp:127.0.0.1:%d\nbind udp:[::]:%d\nbind "
		"tcp:0.0.0.0:%u-%u\n",
		net.tcp_yes, net.udp_yes, net.tcp6_yes, net.udp6_yes, net.tcp_full, net.bind_yes, net.bind6_yes,
		RANGE_LOW, RANGE_LOW + 10);
	strcpy(policies[2].text, "pledge stdio dns\n");
	snprintf(policies[3].text, sizeof(policies[3].text),
		"pledge stdio unix\nconnect unix:%s/yes.stream\nconnect unix:%s/yes\nconnect unix:@%s\n", net.top,
		net.top, net.name_yes);
	strcpy(policies[5].text, "pledge stdio sendfd\n");
	strcpy(policies[4].text,
		"pledge stdio rpath wpath cpath dpath tmppath inet mcast fattr chown flock unix dns getpw "
		"sendfd recvfd tty proc exec prot_exec settime ps vminfo id route wroute\n");
}

static void hex(char *text)
{
	for (size_t i = 0; i < sizeof(net); i++)
		sprintf(text + 2 * i, "%02x", ((unsigned char *)&net)[i]);
}

static int batch(struct airlock_target *host, int argc, char **argv)
{
	struct net n;
	(void)host;
	for (size_t i = 0; argc > 2 && i < sizeof(n); i++) {
		char byte[3] = {argv[1][2 * i], argv[1][2 * i + 1], 0};
		((unsigned char *)&n)[i] = (unsigned char)strtoul(byte, NULL, 16);
	}
	if (argc > 2)
		tries_run(&n, 1, 0, argv[2]);
	return 0;
}
AIRLOCK_ENTRY(batch)

static int start(const char *text, const char *entry, char **argv, bool passes)
{
	struct airlock_policy *p;
	struct airlock_target *t;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	struct airlock_options options = AIRLOCK_OPTIONS_INIT;
	int e = airlock_policy_parse(&p, text);
	for (int fd = LISTENER; e == 0 && passes && fd <= LOCAL; fd++)
		e = airlock_policy_pass(p, fd, fd);
	if (e == 0)
		e = airlock_start(&t, p, entry, argv, &options);
	if (e == 0)
		e = airlock_wait(t, &status, WAITS);
	if (e || status.end != AIRLOCK_EXITED)
		dprintf(1, "! %s: %s %s\n", entry, airlock_message(), status.violation);
	return e;
}

static int nest(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	char *inner[] = {"batch", argv[2], argv[3], NULL};
	return argc > 3 ? start(argv[1], "batch", inner, false) : 1;
}
AIRLOCK_ENTRY(nest)

enum way { NATIVE, INPLACE, WORKER, RUN, NESTED, EXECUTED, WAYS };
static const char *const ways[] = {"native", "inplace", "worker", "run", "nested", "executed"};

/* What the target's descriptors are while it starts. */
static void descriptors(int in, int out)
{
	int fds[] = {socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), socket(AF_INET, SOCK_DGRAM, 0),
		socket(AF_UNIX, SOCK_DGRAM, 0)};
	struct sockaddr_in a = v4("127.0.0.1", 0);
	if (bind(fds[0], (struct sockaddr *)&a, sizeof(a)) || listen(fds[0], 1))
		_exit(97);
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], LISTENER + i) < 0)
			_exit(97);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0)
		_exit(97);
	net.listener = LISTENER;
	net.datagram = DATAGRAM;
	net.local = LOCAL;
}

static _Noreturn void go(enum way way, const struct policy_text *policy, const char *prefix)
{
	static char text[2 * sizeof(net) + 1];
	struct airlock_policy *p;
	net.tries = way == INPLACE ? 100000 : way == NATIVE ? 100 : 5000;
	hex(text);
	char *argv[] = {"batch", text, (char *)(size_t)prefix, NULL},
	     *nested[] = {"nest", (char *)(size_t)policy->text, text, (char *)(size_t)prefix, NULL};
	char file[PATH_MAX + 2];
	if (way == NATIVE)
		tries_run(&net, 1, 0, prefix);
	if (way == INPLACE && airlock_policy_parse(&p, policy->text) == 0 && airlock_enter(p) >= 0)
		tries_run(&net, 1, 0, prefix);
	else if (way == INPLACE)
		dprintf(1, "! enter: %s\n", airlock_message());
	if (way == WORKER)
		start(policy->text, "batch", argv, true);
	if (way == NESTED)
		start(policy->text, "nest", nested, false);
	/* By a program that has more. */
	if (way == EXECUTED) {
		snprintf(file, sizeof(file), "x:%s", program);
		execl(command, command, "run", "-p", "stdio rpath inet unix dns sendfd recvfd exec", "-x", policy->name,
			"-v", "rx:/usr", "-v", "rx:/bin", "-v", file, "-c", "tcp:*:1-65535", "-c", "udp:*:1-65535",
			"--", "/usr/bin/env", program, text, prefix, (char *)NULL);
		dprintf(1, "! exec: %s\n", strerror(errno));
	}
	if (way == RUN) {
		snprintf(file, sizeof(file), "%s/policy", top);
		write_file(file, policy->text);
		execl(command, command, "run", "-P", file, "--", program, text, prefix, (char *)NULL);
		dprintf(1, "! exec: %s\n", strerror(errno));
	}
	_exit(0);
}

/* ---- what must come out ---- */

static bool condition(const char *words, size_t len, const char *policy, const char *way)
{
	const char *who = geteuid() ? "user" : "root";
	for (const char *end = words + len; words < end;) {
		size_t word = strcspn(words, "+:");
		bool met = false;
		const char *const given[] = {policy, way, who};
		for (size_t i = 0; i < 3; i++)
			met = met || (strlen(given[i]) == word && strncmp(words, given[i], word) == 0);
		if (!met)
			return false;
		words += word + 1;
	}
	return true;
}

/* The clause that applies; "" for none. */
static void stated(const struct try *a, const char *policy, const char *way, char out[100])
{
	out[0] = 0;
	for (const char *clause = a->expect; *clause && !out[0]; clause += strspn(clause, " ")) {
		size_t len = strcspn(clause, " ");
		const char *colon = memchr(clause, ':', len);
		if (!colon || condition(clause, (size_t)(colon - clause), policy, way)) {
			const char *from = colon ? colon + 1 : clause;
			snprintf(out, 100, "%.*s", (int)(clause + len - from), from);
		}
		clause += len;
	}
}

static const char *outcome(int result)
{
	const char *name = result < 0 ? strerrorname_np(-result) : NULL;
	return result == HELD ? "HELD" : result == THROUGH ? "THROUGH" : name ? name : "?";
}

static bool met(const char *clause, const char *got)
{
	size_t len = strlen(got);
	for (; *clause; clause += *clause == '|') {
		size_t word = strcspn(clause, "|");
		if (word == len && strncmp(clause, got, len) == 0)
			return true;
		clause += word;
	}
	return false;
}

static void judge(enum way way, const char *policy, const struct try *a, int result, const char *who)
{
	char name[120], clause[100];
	const char *got = outcome(result);
	snprintf(name, sizeof(name), "bypass %s %s %s", ways[way], policy, a->name);
	if (way == NATIVE) {
		if (a->proven)
			check(result == THROUGH && (a->proven < 2 || who), name, "does not get through: %s, reached %s",
				got, who ? who : "nobody");
		return;
	}
	stated(a, policy, ways[way], clause);
	if (strcmp(clause, "ANY") != 0 || who)
		check(!who && met(clause, got), name, "stated %s, was %s; reached %s", clause, got,
			who ? who : "nobody");
}

static void run(enum way way, const struct policy_text *policy, const char *prefix)
{
	int in[2], out[2], status;
	char line[200], name[100];
	unsigned expected = 0, came = 0;
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		give_up("pipe");
	const struct try *a;
	for (unsigned i = 0; (a = try_at(i)); i++)
		expected += strncmp(a->name, prefix, strlen(prefix)) == 0;
	pid_t pid = fork();
	if (pid == 0) {
		int quiet = getenv("BYPASS_STDERR") ? 2 : open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(quiet, 2);
		descriptors(in[0], out[1]);
		go(way, policy, prefix);
	}
	close(in[0]);
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	struct pollfd wait = {out[0], POLLIN, 0};
	const char *who = NULL;
	for (int waited = 0; waited < WAITS;) {
		const char *came_to = reached(); /* while it runs: listeners hold so many */
		int result, ready = poll(&wait, 1, 20);
		who = who ? who : came_to;
		waited = ready ? 0 : waited + 20;
		if (ready == 0)
			continue;
		if (ready < 0 || !fgets(line, sizeof(line), f))
			break;
		came_to = reached();
		who = who ? who : came_to;
		if (sscanf(line, "%99s %d", name, &result) != 2) {
			printf("# %s", line);
			continue;
		}
		for (unsigned i = 0; (a = try_at(i)) && strcmp(a->name, name) != 0; i++)
			;
		came += a != NULL;
		if (a)
			judge(way, policy->name, a, result, who);
		who = NULL;
		if (write(in[1], "", 1) != 1)
			break;
	}
	close(in[1]);
	fclose(f);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	snprintf(name, sizeof(name), "bypass %s %s, all", ways[way], policy->name);
	check(came == expected, name, "%u of %u were made", came, expected);
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3) {
		fprintf(stderr, "usage: live_bypass AIRLOCK ONE [POLICY [WAY [PREFIX]]]\n");
		return 2;
	}
	command = argv[1];
	program = argv[2];
	const char *policy = argc > 3 ? argv[3] : "", *only = argc > 4 ? argv[4] : "",
		   *prefix = argc > 5 ? argv[5] : "";
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	world_make();
	policies_write();
	for (int way = 0; way < WAYS; way++)
		for (size_t i = 0; i < (way == NATIVE || way == EXECUTED ? 1 : POLICIES); i++)
			if (strncmp(ways[way], only, strlen(only)) == 0 &&
				(way == NATIVE || strncmp(policies[i].name, policy, strlen(policy)) == 0))
				run((enum way)way, &policies[i], prefix);
	world_end();
	return tap_failed != 0;
}
