/* SPDX-License-Identifier: ISC */
/*
 * What looks names up, for live_dns.sh: libc's functions, and a resolver of our own that asks the servers of resolv.conf
 * itself, in each way that there is to send and to receive. It prints what it found, which must be the same natively and
 * confined. dns_body CHECK [ARGUMENT...]; with DNS_AIRLOCK: HOW POLICY CHECK [ARGUMENT...], as the program itself
 * confines it ("inplace", "worker").
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <resolv.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef DNS_AIRLOCK
#include "sandbox/airlock.h"
#endif
#ifdef DNS_ARES
#include <ares.h>
#endif

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *address_text(const struct sockaddr *a, char text[80])
{
	char host[INET6_ADDRSTRLEN] = "";
	if (a->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)a;
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(text, 80, "[%s]:%d", host, ntohs(v6->sin6_port));
	} else {
		const struct sockaddr_in *v4 = (const void *)a;
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(text, 80, "%s:%d", host, ntohs(v4->sin_port));
	}
	return text;
}

/* ---- libc's ---- */

static void addresses(const char *name, const char *service, int family, int type, int flags)
{
	struct addrinfo hints = {.ai_family = family, .ai_socktype = type, .ai_flags = flags}, *list = NULL;
	char text[80];
	int e = getaddrinfo(name, service, &hints, &list);
	printf("getaddrinfo %s %s %d %d %#x: %s\n", name ? name : "-", service ? service : "-", family, type, flags,
		e ? gai_strerror(e) : "");
	for (const struct addrinfo *i = list; i; i = i->ai_next)
		printf("  %s %d %d %s\n", address_text(i->ai_addr, text), i->ai_socktype, i->ai_protocol,
			i->ai_canonname ? i->ai_canonname : "");
	if (list)
		freeaddrinfo(list);
}

static void check_getaddrinfo(char **names)
{
	static const struct {
		const char *name, *service;
		int family, type, flags;
	} asks[] = {
		{"web.example.org", "http", AF_UNSPEC, SOCK_STREAM, 0},
		{"web.example.org", "443", AF_INET, SOCK_STREAM, 0},
		{"web.example.org", NULL, AF_INET6, SOCK_DGRAM, 0},
		{"web.example.org", NULL, AF_UNSPEC, 0, AI_ADDRCONFIG},
		{"web.example.org", NULL, AF_INET6, SOCK_STREAM, AI_V4MAPPED | AI_ALL},
		{"alias.example.org", NULL, AF_INET, SOCK_STREAM, AI_CANONNAME},
		{"web", NULL, AF_INET, SOCK_STREAM, AI_CANONNAME},
		{"host.sub", NULL, AF_INET, SOCK_STREAM, 0},
		{"no-such-name.example.org", NULL, AF_UNSPEC, SOCK_STREAM, 0},
		{"localhost", NULL, AF_INET, SOCK_STREAM, 0},
		{"from-hosts", NULL, AF_INET, SOCK_STREAM, 0},
		{"192.0.2.7", "80", AF_UNSPEC, SOCK_STREAM, AI_NUMERICHOST},
		{"2001:db8::7", "80", AF_UNSPEC, SOCK_STREAM, AI_NUMERICHOST | AI_NUMERICSERV},
		{"not-a-number", NULL, AF_UNSPEC, SOCK_STREAM, AI_NUMERICHOST},
		{"web.example.org", "no-such-service", AF_INET, SOCK_STREAM, 0},
		{NULL, "domain", AF_INET, SOCK_DGRAM, AI_PASSIVE},
		{NULL, "8080", AF_UNSPEC, SOCK_STREAM, 0},
	};
	for (size_t i = 0; !*names && i < COUNT(asks); i++)
		addresses(asks[i].name, asks[i].service, asks[i].family, asks[i].type, asks[i].flags);
	for (; *names; names++)
		addresses(*names, NULL, AF_UNSPEC, SOCK_STREAM, 0);
}

static void check_others(char **unused)
{
	static const char *const ips[] = {"93.184.216.34", "127.0.0.1", "192.0.2.99"};
	(void)unused;
	for (size_t i = 0; i < COUNT(ips); i++) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(80)};
		char host[300] = "", service[100] = "";
		inet_pton(AF_INET, ips[i], &a.sin_addr);
		int e = getnameinfo((void *)&a, sizeof(a), host, sizeof(host), service, sizeof(service), 0);
		printf("getnameinfo %s: %s %s %s\n", ips[i], e ? gai_strerror(e) : "", host, service);
		const struct hostent *h = gethostbyaddr(&a.sin_addr, sizeof(a.sin_addr), AF_INET);
		printf("gethostbyaddr %s: %s\n", ips[i], h ? h->h_name : hstrerror(h_errno));
	}
	static const char *const names[] = {"web.example.org", "alias.example.org", "no-such-name.example.org"};
	for (size_t i = 0; i < COUNT(names); i++) {
		unsigned char answer[4096];
		const struct hostent *h = gethostbyname(names[i]);
		printf("gethostbyname %s: %s %s\n", names[i], h ? h->h_name : hstrerror(h_errno),
			h ? inet_ntoa(*(struct in_addr *)h->h_addr_list[0]) : "");
		int n = res_query(names[i], ns_c_in, ns_t_a, answer, sizeof(answer));
		printf("res_query %s: %d\n", names[i], n);
		n = res_search("web", ns_c_in, ns_t_aaaa, answer, sizeof(answer));
		printf("res_search: %d\n", n);
	}
	const struct servent *s = getservbyname("https", "tcp");
	printf("getservbyname: %d\n", s ? ntohs((uint16_t)s->s_port) : -1);
	s = getservbyport(htons(22), "tcp");
	printf("getservbyport: %s\n", s ? s->s_name : "-");
	const struct protoent *p = getprotobyname("udp");
	printf("getprotobyname: %d\n", p ? p->p_proto : -1);
}

/* An answer that does not fit a datagram: it is asked for once more by TCP. */
static void check_big(char **unused)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list = NULL;
	int n = 0, e = getaddrinfo("big.example.org", NULL, &hints, &list);
	(void)unused;
	for (const struct addrinfo *i = list; i; i = i->ai_next)
		n++;
	printf("%d addresses, %s\n", n, e ? gai_strerror(e) : "");
}

static void check_interfaces(char **unused)
{
	struct ifaddrs *list = NULL;
	char text[80];
	(void)unused;
	printf("getifaddrs: %d\n", getifaddrs(&list));
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		int family = i->ifa_addr ? i->ifa_addr->sa_family : 0;
		printf("%s %#x %d %s\n", i->ifa_name, i->ifa_flags, family,
			family == AF_INET || family == AF_INET6 ? address_text(i->ifa_addr, text) : "");
	}
	struct if_nameindex *names = if_nameindex();
	for (size_t i = 0; names && names[i].if_name; i++)
		printf("%u %s\n", names[i].if_index, names[i].if_name);
	printf("%s\n", names ? "" : strerror(errno));
}

/* ---- our own ---- */

static union server {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
} servers[8];
static size_t server_count;

static socklen_t server_len(const union server *s)
{
	return s->any.sa_family == AF_INET6 ? sizeof(s->v6) : sizeof(s->v4);
}

static void read_servers(void)
{
	char line[300], word[100];
	FILE *f = fopen("/etc/resolv.conf", "re");
	while (f && fgets(line, sizeof(line), f) && server_count < COUNT(servers)) {
		union server *s = &servers[server_count];
		if (sscanf(line, "nameserver %99s", word) != 1)
			continue;
		char *scope = strchr(word, '%');
		if (scope)
			*scope++ = 0;
		*s = (union server){.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(53)}};
		if (inet_pton(AF_INET6, word, &s->v6.sin6_addr) == 1) {
			s->v6.sin6_scope_id = scope ? if_nametoindex(scope) : 0;
		} else {
			*s = (union server){.v4 = {.sin_family = AF_INET, .sin_port = htons(53)}};
			if (inet_pton(AF_INET, word, &s->v4.sin_addr) != 1)
				continue;
		}
		server_count++;
	}
	if (f)
		fclose(f);
	printf("%zu servers\n", server_count);
}

static size_t question(unsigned char *out, const char *name, unsigned id)
{
	const unsigned char head[12] = {(unsigned char)(id >> 8), (unsigned char)id, 1, 0, 0, 1};
	unsigned char *at = out + sizeof(head);
	memcpy(out, head, sizeof(head));
	while (*name) {
		size_t n = strcspn(name, ".");
		*at++ = (unsigned char)n;
		memcpy(at, name, n);
		at += n;
		name += n + (name[n] == '.');
	}
	memcpy(at, "\0\0\1\0\1", 5);
	return (size_t)(at + 5 - out);
}

static ssize_t by_tcp(const union server *s, const unsigned char *q, size_t len, unsigned char *answer, size_t cap)
{
	unsigned char out[600] = {(unsigned char)(len >> 8), (unsigned char)len};
	size_t have = 0, want = 2;
	int fd = socket(s->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(out + 2, q, len);
	if (connect(fd, &s->any, server_len(s)) || send(fd, out, len + 2, MSG_NOSIGNAL) < 0) {
		close(fd);
		return -1;
	}
	while (have < want && want <= cap) {
		ssize_t n = read(fd, answer + have, want - have);
		if (n <= 0)
			break;
		have += (size_t)n;
		if (have == 2 && want == 2)
			want = 2 + ((size_t)answer[0] << 8 | answer[1]);
	}
	close(fd);
	memmove(answer, answer + 2, have);
	return have == want ? (ssize_t)have - 2 : -1;
}

enum { CONNECT = 1, BIND = 2, MANY = 4, MESSAGE = 8, MESSAGES = 16, WRITE = 32, LIST = 64 };

static void ask(const union server *s, const char *name, unsigned how)
{
	unsigned char q[300], answer[65536], control[200];
	char text[80];
	size_t len = question(q, name, 0x1234 + how);
	int fd = socket(s->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, how & LIST ? IPPROTO_UDP : 0);
	union server own = {.v6 = {.sin6_family = s->any.sa_family}}, from = {.any = {0}};
	void *to = how & CONNECT ? NULL : (void *)(uintptr_t)s;
	struct iovec v = {q, len}, w = {answer, sizeof(answer)};
	struct mmsghdr many = {
		.msg_hdr = {.msg_name = to, .msg_namelen = to ? server_len(s) : 0, .msg_iov = &v, .msg_iovlen = 1}};
	struct mmsghdr got = {.msg_hdr = {.msg_name = &from,
				      .msg_namelen = sizeof(from),
				      .msg_iov = &w,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control)}};
	socklen_t from_len = sizeof(from);
	int on = 1, e = 0;
	if (how & BIND)
		e = bind(fd, &own.any, server_len(s));
	setsockopt(fd, s->any.sa_family == AF_INET ? SOL_IP : SOL_IPV6,
		s->any.sa_family == AF_INET ? IP_RECVERR : IPV6_RECVERR, &on, sizeof(on));
	if (e == 0 && (how & CONNECT))
		e = connect(fd, &s->any, server_len(s));
	if (e == 0)
		e = how & MANY             ? sendmmsg(fd, &many, 1, MSG_NOSIGNAL) - 1
		    : how & MESSAGE        ? (int)sendmsg(fd, &many.msg_hdr, MSG_NOSIGNAL) - (int)len
		    : (how & WRITE) && !to ? (int)write(fd, q, len) - (int)len
		    : (how & CONNECT) && !(how & LIST)
			    ? (int)send(fd, q, len, MSG_NOSIGNAL) - (int)len
			    : (int)sendto(fd, q, len, 0, to, to ? server_len(s) : 0) - (int)len;
	if (e != 0) {
		printf("%u: not sent: %s\n", how, strerror(errno));
		close(fd);
		return;
	}
	struct pollfd p = {fd, POLLIN, 0};
	poll(&p, 1, 2000);
	ssize_t n;
	if (how & MESSAGES)
		n = recvmmsg(fd, &got, 1, 0, NULL) == 1 ? (ssize_t)got.msg_len : -1;
	else if (how & MESSAGE)
		n = recvmsg(fd, &got.msg_hdr, 0);
	else if (how & WRITE)
		n = read(fd, answer, sizeof(answer));
	else
		n = recvfrom(fd, answer, sizeof(answer), 0, &from.any, &from_len);
	bool truncated = n > 12 && (answer[2] & 2);
	if (truncated)
		n = by_tcp(s, q, len, answer, sizeof(answer));
	printf("%u: %s %zd bytes%s, %d answers, from %s\n", how, name, n, truncated ? " by TCP" : "",
		n > 12 ? answer[6] << 8 | answer[7] : -1,
		from.any.sa_family ? address_text(&from.any, text) : "nobody said");
	if (n < 0)
		printf("%s\n", strerror(errno));
	close(fd);
}

static void check_own(char **unused)
{
	static const unsigned ways[] = {0, LIST, BIND, CONNECT, CONNECT | BIND, MANY, MANY | BIND, MESSAGE,
		MESSAGE | CONNECT, MESSAGES | MANY | CONNECT, MESSAGES | BIND, WRITE | CONNECT, WRITE};
	(void)unused;
	read_servers();
	for (size_t i = 0; i < server_count; i++) {
		for (size_t k = 0; k < COUNT(ways); k++)
			ask(&servers[i], "web.example.org", ways[k]);
		ask(&servers[i], "big.example.org", CONNECT);
		ask(&servers[i], "big.example.org", BIND | MESSAGE);
	}
}

/* A v4 server by a v6 socket, as musl asks when there are servers of both kinds. */
static void check_mapped(char **unused)
{
	union server s = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(53)}};
	(void)unused;
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &s.v6.sin6_addr);
	ask(&s, "web.example.org", BIND);
	ask(&s, "web.example.org", CONNECT);
	ask(&s, "big.example.org", 0);
}

/* ---- what dns is not for ---- */

static union server v4(const char *ip, int port)
{
	union server s = {.v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}};
	inet_pton(AF_INET, ip, &s.v4.sin_addr);
	return s;
}

static union server v6(const char *ip, int port)
{
	union server s = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)}};
	inet_pton(AF_INET6, ip, &s.v6.sin6_addr);
	return s;
}

static void tell(const char *what, long result)
{
	printf("%s: %s\n", what, result < 0 ? strerror(errno) : "YES");
}

static void check_hostile(char **unused)
{
	static const char *const ips[] = {"127.0.0.2", "93.184.216.34", "0.0.0.0"};
	static const char *const ips6[] = {"::ffff:127.0.0.2", "::ffff:93.184.216.34", "2001:db8::53", "::1"};
	union server good = v4("127.0.0.1", 53), bad;
	char text[80], what[200];
	(void)unused;
	for (size_t i = 0; i < COUNT(ips) + COUNT(ips6) + 1; i++) {
		bad = i < COUNT(ips)                 ? v4(ips[i], 53)
		      : i < COUNT(ips) + COUNT(ips6) ? v6(ips6[i - COUNT(ips)], 53)
						     : v4("127.0.0.1", 54);
		if (i == 2) /* this machine: where a nameserver is, the same */
			bad.v4.sin_port = htons(54);
		address_text(&bad.any, text);
		for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
			int fd = socket(bad.any.sa_family, type, 0);
			snprintf(what, sizeof(what), "connect %d %s", type, text);
			tell(what, connect(fd, &bad.any, server_len(&bad)));
			close(fd);
		}
		int fd = socket(bad.any.sa_family, SOCK_DGRAM, 0);
		struct iovec v = {"x", 1};
		struct mmsghdr m = {
			.msg_hdr = {.msg_name = &bad, .msg_namelen = server_len(&bad), .msg_iov = &v, .msg_iovlen = 1}};
		if (bad.any.sa_family == AF_INET)
			(void)!connect(fd, &good.any, sizeof(good.v4));
		snprintf(what, sizeof(what), "connected, sendto %s", text);
		tell(what, sendto(fd, "x", 1, 0, &bad.any, server_len(&bad)));
		snprintf(what, sizeof(what), "connected, sendmsg %s", text);
		tell(what, sendmsg(fd, &m.msg_hdr, 0));
		snprintf(what, sizeof(what), "connected, sendmmsg %s", text);
		tell(what, sendmmsg(fd, &m, 1, 0));
		close(fd);
		fd = socket(bad.any.sa_family, SOCK_STREAM, 0);
		snprintf(what, sizeof(what), "fast open %s", text);
		tell(what, sendto(fd, "x", 1, MSG_FASTOPEN, &bad.any, server_len(&bad)));
		close(fd);
	}
	union server port = v4("0.0.0.0", 5353), none = v4("0.0.0.0", 0);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	tell("bind of a port", bind(fd, &port.any, sizeof(port.v4)));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	tell("bind of a port, tcp", bind(fd, &port.any, sizeof(port.v4)));
	tell("listen", listen(fd, 1));
	(void)!bind(fd, &none.any, sizeof(none.v4));
	tell("bind and listen", listen(fd, 1));
	tell("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	tell("ping", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	tell("sctp", socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP));
	tell("local", socket(AF_UNIX, SOCK_SEQPACKET, 0));
	close(fd);
}

/* Makes host the nameserver, and asks it. */
static void check_rewrite(char **arguments)
{
	FILE *f = fopen("/etc/resolv.conf", "we");
	if (f) {
		fprintf(f, "nameserver %s\n", arguments[0]);
		fclose(f);
	}
	f = fopen("/etc/resolv.new", "we");
	if (f) {
		fprintf(f, "nameserver %s\n", arguments[0]);
		fclose(f);
		printf("rename: %d\n", rename("/etc/resolv.new", "/etc/resolv.conf"));
	}
	union server s = v4(arguments[0], 53);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	tell("connect", connect(fd, &s.any, sizeof(s.v4)));
	tell("sendto", sendto(fd, "x", 1, 0, &s.any, sizeof(s.v4)));
	close(fd);
}

/* A line of standard input, then a name, for as long as there are lines. */
static void check_again(char **unused)
{
	char c;
	(void)unused;
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (read(0, &c, 1) == 1) {
		server_count = 0;
		read_servers();
		ask(&servers[0], "web.example.org", 0);
		addresses("web.example.org", NULL, AF_INET, SOCK_STREAM, 0);
	}
}

#ifdef DNS_ARES
static void ares_found(void *arg, int status, int timeouts, struct ares_addrinfo *list)
{
	char text[80];
	(void)timeouts;
	printf("%s: %s\n", (const char *)arg, ares_strerror(status));
	for (const struct ares_addrinfo_node *i = list ? list->nodes : NULL; i; i = i->ai_next)
		printf("  %s\n", address_text(i->ai_addr, text));
	ares_freeaddrinfo(list);
}

static void check_ares(char **unused)
{
	static const char *const names[] = {
		"web.example.org", "alias.example.org", "no-such-name.example.org", "big.example.org"};
	struct ares_addrinfo_hints hints = {.ai_family = AF_INET};
	ares_channel channel;
	(void)unused;
	ares_library_init(ARES_LIB_INIT_ALL);
	if (ares_init(&channel) != ARES_SUCCESS) {
		puts("no channel");
		return;
	}
	for (size_t i = 0; i < COUNT(names); i++)
		ares_getaddrinfo(channel, names[i], NULL, &hints, ares_found, (void *)(uintptr_t)names[i]);
	for (;;) {
		fd_set reads, writes;
		struct timeval most = {5, 0};
		FD_ZERO(&reads);
		FD_ZERO(&writes);
		int n = ares_fds(channel, &reads, &writes);
		if (n == 0)
			break;
		select(n, &reads, &writes, NULL, ares_timeout(channel, &most, &most));
		ares_process(channel, &reads, &writes);
	}
	ares_destroy(channel);
}
#endif

static int run(char **arguments)
{
	static const struct {
		const char *name;
		void (*run)(char **arguments);
	} checks[] = {
		{"getaddrinfo", check_getaddrinfo},
		{"others", check_others},
		{"big", check_big},
		{"interfaces", check_interfaces},
		{"own", check_own},
		{"mapped", check_mapped},
		{"hostile", check_hostile},
		{"rewrite", check_rewrite},
		{"again", check_again},
#ifdef DNS_ARES
		{"ares", check_ares},
#endif
	};
	for (size_t i = 0; *arguments && i < COUNT(checks); i++) {
		if (strcmp(checks[i].name, *arguments) == 0) {
			checks[i].run(arguments + 1);
			fflush(stdout);
			return 0;
		}
	}
	return 3;
}

#ifdef DNS_AIRLOCK
static int body(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	(void)argc;
	return run(argv + 3);
}
AIRLOCK_ENTRY(body);

static int as_worker(const struct airlock_policy *p, char **argv)
{
	struct airlock_target *t;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	if (airlock_start(&t, p, "body", argv, NULL) < 0 || airlock_wait(t, &status, 30000) < 0)
		return 4;
	airlock_free(t);
	return status.end == AIRLOCK_EXITED ? status.code : 5;
}

int main(int argc, char **argv)
{
	struct airlock_policy *p;
	int e = 4;
	airlock_init(argc, argv);
	if (argc < 4)
		return 2;
	if (airlock_policy_parse(&p, argv[2]) < 0 || airlock_policy_pass(p, 0, 0) < 0 ||
		airlock_policy_pass(p, 1, 1) < 0 || airlock_policy_pass(p, 2, 2) < 0)
		e = 4;
	else if (strcmp(argv[1], "worker") == 0)
		e = as_worker(p, argv);
	else if (airlock_enter(p) >= 0)
		e = run(argv + 3);
	if (e == 4)
		fprintf(stderr, "%s\n", airlock_message());
	return e;
}
#else
int main(int argc, char **argv)
{
	return argc < 2 ? 2 : run(argv + 1);
}
#endif
