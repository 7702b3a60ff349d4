/* SPDX-License-Identifier: ISC */
/* Live tests of sockets in place: clients and servers on loopback and on local sockets, under promises alone (where all must
 * be as it is natively) and under rules. */
#include "sandbox/airlock.h"
#include "tests/socket.h"
#include "tests/tap.h"

#include <arpa/inet.h>
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

struct world *world;

void note(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	if (world->used + 500 < NOTES)
		world->used += (size_t)vsnprintf(world->notes + world->used, 500, format, args);
	va_end(args);
}

const char *name_of(int e)
{
	const char *name = e ? strerrorname_np(e) : "0";
	return name ? name : "?";
}

int errno_of(long result)
{
	return result < 0 ? errno : 0;
}

void must(const char *file, int line, const char *what, long got, long want)
{
	if (got == want)
		return;
	world->wrong++;
	note("# %s:%d: %s: %ld, not %ld\n", file, line, what, got, want);
}

struct sockaddr_in v4(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

struct sockaddr_in6 v6(const char *ip, int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	inet_pton(AF_INET6, ip, &a.sin6_addr);
	return a;
}

socklen_t local(struct sockaddr_un *a, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof(a->sun_path), "%s/%s", world->top, name);
	return sizeof(*a);
}

int connect_to(int fd, const void *address, socklen_t len)
{
	return errno_of(connect(fd, address, len));
}

static int fresh(int type, const void *address)
{
	return socket(((const struct sockaddr *)address)->sa_family, type, 0);
}

int try_connect(int type, const void *address, socklen_t len)
{
	int fd = fresh(type, address), e = errno_of(fd);
	e = e ? e : connect_to(fd, address, len);
	close(fd);
	return e;
}

int try_send(int type, const void *address, socklen_t len)
{
	int fd = fresh(type, address), e = errno_of(fd);
	e = e ? e : errno_of(sendto(fd, "x", 1, 0, address, len));
	close(fd);
	return e;
}

int try_bind(int type, const void *address, socklen_t len)
{
	int fd = fresh(type, address), e = errno_of(fd);
	e = e ? e : errno_of(bind(fd, address, len));
	close(fd);
	return e;
}

/* ---- servers, all in one process ---- */

#define SERVERS 12
static struct {
	int fd;
	bool stream, counts;
} servers[SERVERS];
static size_t server_count;

static int serve_on(int fd, int type, const void *address, socklen_t len, bool counts)
{
	struct sockaddr_in6 own;
	socklen_t own_len = sizeof(own);
	if (fd < 0 || bind(fd, address, len) || (type != SOCK_DGRAM && listen(fd, 1000)))
		return -1;
	servers[server_count].fd = fd;
	servers[server_count].stream = type != SOCK_DGRAM;
	servers[server_count++].counts = counts;
	getsockname(fd, (struct sockaddr *)&own, &own_len);
	return ntohs(own.sin6_port);
}

static int serve(int type, const void *address, socklen_t len, bool counts)
{
	return serve_on(fresh(type | SOCK_CLOEXEC, address), type, address, len, counts);
}

static void serve_local(const char *name, int type, bool counts)
{
	struct sockaddr_un a;
	socklen_t len = local(&a, name);
	serve(type, &a, len, counts);
}

static void echo(int fd, bool stream)
{
	char buf[65536];
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	ssize_t n;
	if (!stream) {
		n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&from, &len);
		if (n >= 0 && len > sizeof(sa_family_t))
			sendto(fd, buf, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&from, len);
		return;
	}
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	struct timeval soon = {20, 0};
	setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while ((n = recv(peer, buf, sizeof(buf), 0)) > 0)
			send(peer, buf, (size_t)n, MSG_NOSIGNAL);
		_exit(0);
	}
	close(peer);
}

static _Noreturn void run_servers(void)
{
	struct pollfd p[SERVERS];
	signal(SIGCHLD, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		for (size_t i = 0; i < server_count; i++)
			p[i] = (struct pollfd){servers[i].fd, POLLIN, 0};
		poll(p, server_count, -1);
		for (size_t i = 0; i < server_count; i++) {
			if (!(p[i].revents & POLLIN))
				continue;
			world->reached += servers[i].counts;
			if (servers[i].counts && servers[i].stream) {
				close(accept(servers[i].fd, NULL, NULL));
			} else if (servers[i].counts) {
				char c;
				recv(servers[i].fd, &c, 1, MSG_DONTWAIT);
			} else {
				echo(servers[i].fd, servers[i].stream);
			}
		}
	}
}

/* A listener that nobody accepts from, and that has all it takes. */
static int fill(int fd, const void *address, socklen_t len)
{
	struct sockaddr_in own;
	socklen_t own_len = sizeof(own);
	if (bind(fd, address, len) || listen(fd, 0))
		exit(1);
	getsockname(fd, (struct sockaddr *)&own, &own_len);
	bool net = ((const struct sockaddr *)address)->sa_family == AF_INET;
	for (int i = 0; i < 4; i++) {
		int peer = fresh(SOCK_STREAM | SOCK_NONBLOCK, address);
		(void)!connect(peer, net ? (struct sockaddr *)&own : address, len);
	}
	usleep(20000);
	return net ? ntohs(own.sin_port) : 0;
}

static const char *in(const char *name)
{
	static char path[200];
	snprintf(path, sizeof(path), "%s/%s", world->top, name);
	return path;
}

static pid_t world_make(void)
{
	struct sockaddr_in a = v4("127.0.0.1", 0);
	struct sockaddr_in6 b = v6("::1", 0);
	struct sockaddr_un c;
	strcpy(world->top, "/tmp/socket.XXXXXX");
	if (!mkdtemp(world->top) || mkdir(in("open"), 0777) || mkdir(in("secret"), 0777) || mkdir(in("native"), 0777) ||
		mkdir(in("confined"), 0777))
		exit(1);
	world->tcp = serve(SOCK_STREAM, &a, sizeof(a), false);
	world->udp = serve(SOCK_DGRAM, &a, sizeof(a), false);
	world->tcp6 = serve(SOCK_STREAM, &b, sizeof(b), false);
	world->udp6 = serve(SOCK_DGRAM, &b, sizeof(b), false);
	world->v6 = world->tcp6 > 0 && world->udp6 > 0;
	world->forbidden = serve(SOCK_STREAM, &a, sizeof(a), true);
	world->forbidden_udp = serve(SOCK_DGRAM, &a, sizeof(a), true);
	serve_local("open/stream", SOCK_STREAM, false);
	serve_local("open/dgram", SOCK_DGRAM, false);
	serve_local("open/seqpacket", SOCK_SEQPACKET, false);
	serve_local("secret/stream", SOCK_STREAM, true);
	serve_local("secret/dgram", SOCK_DGRAM, true);
	if (symlink("stream", in("open/link")) || chmod(in("secret"), 0777))
		exit(1);
	world->full_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	world->full = fill(world->full_fd, &a, sizeof(a));
	world->slow_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t len = local(&c, "open/full");
	fill(world->slow_fd, &c, len);
	pid_t pid = fork();
	if (pid == 0)
		run_servers();
	for (size_t i = 0; i < server_count; i++)
		close(servers[i].fd);
	return pid;
}

/* ---- runs ---- */

/* promises alone (as pledge has it), or a policy's text. */
static bool confine(const char *promises, const char *rules)
{
	struct airlock_policy *p;
	char text[1024];
	if (!rules)
		return airlock_pledge(promises, NULL) == 0;
	snprintf(text, sizeof(text), "pledge %s\ntolerate landlock\n%s", promises, rules);
	return airlock_policy_parse(&p, text) == 0 && airlock_enter(p) >= 0;
}

/* Of all brokers of this program. */
static int descriptors_of_brokers(void)
{
	char name[300], comm[400];
	int most = -1;
	DIR *proc = opendir("/proc");
	for (struct dirent *e; proc && (e = readdir(proc));) {
		snprintf(name, sizeof(name), "/proc/%s/cmdline", e->d_name);
		int fd = open(name, O_RDONLY);
		ssize_t n = fd < 0 ? 0 : read(fd, comm, sizeof(comm) - 1);
		close(fd);
		comm[n > 0 ? n : 0] = 0;
		if (!strstr(comm, "live_socket: airlock broker"))
			continue;
		int count = 0;
		snprintf(name, sizeof(name), "/proc/%s/fd", e->d_name);
		DIR *fds = opendir(name);
		while (fds && readdir(fds))
			count++;
		if (fds)
			closedir(fds);
		most = count > most ? count : most;
	}
	if (proc)
		closedir(proc);
	return most;
}

static void oblige(void)
{
	static int before;
	if (world->mark == MARK_COUNT) {
		int now = descriptors_of_brokers();
		if (!before)
			before = now;
		MUST(now <= before && (now > 0 || geteuid() != 0), 1); /* others than root cannot look */
		world->mark = 0;
	} else if (world->mark == MARK_ACCEPT) {
		close(accept4(world->slow_fd, NULL, NULL, SOCK_NONBLOCK));
		close(accept4(world->full_fd, NULL, NULL, SOCK_NONBLOCK));
	} else if (world->mark == MARK_SEND) {
		static int fd;
		struct sockaddr_in to = v4("127.0.0.1", world->heard), own;
		socklen_t len = sizeof(own);
		fd = fd ? fd : socket(AF_INET, SOCK_DGRAM, 0);
		MUST(sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
		MUST(getsockname(fd, (struct sockaddr *)&own, &len), 0);
		world->stranger = ntohs(own.sin_port);
		world->mark = 0;
	}
}

static int run(void (*body)(void), const char *promises, const char *rules, bool confined)
{
	int status = -1, log = open(in("stderr"), O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644);
	world->used = 0;
	world->notes[0] = 0;
	world->wrong = world->mark = 0;
	world->confined = confined;
	pid_t pid = fork();
	if (pid == 0) {
		dup2(log, 2);
		if (chdir(in(confined ? "confined" : "native")))
			_exit(3);
		umask(022);
		if (confined && !confine(promises, rules)) {
			note("# %s\n", airlock_message());
			_exit(4);
		}
		body();
		_exit(0);
	}
	close(log);
	for (int i = 0; i < 3000 && waitpid(pid, &status, WNOHANG) == 0; i++) {
		oblige();
		usleep(10000);
	}
	if (status == -1) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	return status;
}

static void same(const char *name, const char *promises, void (*body)(void))
{
	static char native[NOTES];
	size_t at = 0, line = 0;
	int first = run(body, NULL, NULL, false);
	memcpy(native, world->notes, NOTES);
	size_t len = world->used;
	int second = run(body, promises, NULL, true);
	for (; at < len && at < world->used && native[at] == world->notes[at]; at++)
		line = native[at] == '\n' ? at + 1 : line;
	check(first == 0 && second == 0 && len > 0 && len == world->used && at == len, name,
		"status %#x, %#x; natively: %.*s\n# confined: %.*s", first, second, (int)strcspn(native + line, "\n"),
		native + line, (int)strcspn(world->notes + line, "\n"), world->notes + line);
}

static void alone(const char *name, const char *promises, const char *rules, void (*body)(void))
{
	world->reached = 0;
	int status = run(body, promises, rules, true);
	usleep(20000);
	check(status == 0 && !world->wrong && !world->reached, name, "status %#x, %d wrong, reached %d times\n%.300s",
		status, world->wrong, world->reached, world->notes);
}

/* What the broker told of the last run. */
static void told(const char *name, const char *wanted)
{
	static char text[65536];
	int fd = open(in("stderr"), O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	check(strstr(text, wanted) != NULL, name, "wanted \"%s\" in: %.300s", wanted, text);
}

/* syslog(3) reaches the log's socket, which is there for as long as this takes. */
static void with_log(void)
{
	char text[200] = "";
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
		alone("syslog", "stdio", NULL, rules_log);
		unlink(a.sun_path);
	}
	/* Others may have written, too. */
	bool said = false;
	for (ssize_t n; !said && (n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT)) > 0;) {
		text[n] = 0;
		said = strstr(text, "said under stdio") != NULL;
	}
	check(said, "the log has it", "it has: %s", text);
	close(fd);
	/* And without it, it is as if nobody had written. */
	alone("syslog to nobody", "stdio", NULL, rules_log);
}

int main(int argc, char **argv)
{
	static char rules[512], line[256];
	airlock_init(argc, argv);
	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (world == MAP_FAILED)
		return 1;
	pid_t servers_pid = world_make();
	const char *all = "stdio rpath wpath cpath inet unix proc sendfd recvfd";

	same("errnos of addresses", all, same_errnos);
	same("tcp", all, same_tcp);
	same("udp", all, same_udp);
	same("local sockets", all, same_local);
	same("names of local sockets", all, same_names);
	same("what waits", all, same_waiting);
	same("messages under stdio", "stdio rpath proc", same_messages);
	same("messages under inet", "stdio rpath proc inet", same_messages);
	same("descriptors", "stdio rpath sendfd recvfd", same_descriptors);

	snprintf(rules, sizeof(rules), "connect tcp:127.0.0.1:%d\nconnect udp:127.0.0.0/8:%d\nconnect tcp:[::1]:%d\n",
		world->tcp, world->udp, world->tcp6);
	alone("ports", "stdio inet", rules, rules_ports);
	snprintf(line, sizeof(line), "tcp:127.0.0.1:%d): EACCES, connect tcp:127.0.0.1:%d", world->forbidden,
		world->forbidden);
	told("a refusal names the address", line);
	alone("spellings of an address", "stdio inet", rules, rules_spellings);
	alone("address swapped by a thread", "stdio inet", rules, rules_swap);
	alone("bind and listen", "stdio inet", "bind tcp:127.0.0.1:0\nbind udp:127.0.0.1:0-65535\n", rules_bind);
	alone("who is heard is answered", "stdio inet", "bind udp:127.0.0.1:0-65535\n", rules_answer);
	snprintf(rules, sizeof(rules), "connect tcp:127.0.0.1:%d\n", world->tcp);
	alone("bound to nothing in particular", "stdio inet", rules, rules_unbound);
	alone("no address is the default", "stdio inet unix", "", rules_nothing);
	snprintf(rules, sizeof(rules), "unveil %s/open rwc\nunveil %s/open/dgram r\nunveil %s/native r\n", world->top,
		world->top, world->top);
	alone("local sockets by unveil", "stdio unix rpath wpath cpath", rules, rules_paths);
	alone("path swapped by a process", "stdio unix rpath wpath cpath proc", rules, rules_swap_path);
	snprintf(
		line, sizeof(line), "connect unix:%s/open/stream\nbind unix:%s/native/ruled\n", world->top, world->top);
	alone("local sockets by rules of their own", "stdio unix", line, rules_ruled);
	snprintf(rules, sizeof(rules), "connect unix:@airlock-yes-%d\nbind unix:@airlock-yes-%d\n", getpid(), getpid());
	alone("abstract names", "stdio unix", rules, rules_abstract);
	alone("abstract names under promises alone", "stdio unix", NULL, rules_no_abstract);
	alone("narrowed while it waits", "stdio inet unix rpath proc", NULL, rules_narrowed);
	alone("ten thousand connects", "stdio inet rpath", NULL, rules_many);
	alone("callers that die", "stdio inet unix proc", NULL, rules_killed);
	alone("stdio has no sockets", "stdio", NULL, rules_stdio);
	alone("other kinds of sockets", "stdio inet unix", NULL, rules_kinds);
	alone("dns is port 53", "stdio dns", NULL, rules_dns);
	if (access("/dev/log", F_OK) == 0 || geteuid() != 0)
		dprintf(1, "skip syslog: /dev/log is there, or cannot be made by who is not root\n");
	else
		with_log();
	kill(servers_pid, SIGKILL);
	waitpid(servers_pid, NULL, 0);
	snprintf(line, sizeof(line), "rm -rf %s", world->top);
	return system(line) || tap_failed;
}
