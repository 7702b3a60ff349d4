/* SPDX-License-Identifier: ISC */
/* Users, groups, hosts, services; syslog. */
#include "checks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <pwd.h>
#include <shadow.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#if defined(LIBC_STATIC) && defined(__GLIBC__)
#define STATIC_GLIBC /* natively it comes to grief over the modules that it loads for whom nobody knows */
#endif

static void user(const struct passwd *p)
{
	if (p)
		say("%s:%s:%d:%d:%s:%s:%s", p->pw_name, p->pw_passwd, (int)p->pw_uid, (int)p->pw_gid, p->pw_gecos,
			p->pw_dir, p->pw_shell);
	else
		say("no user");
}

static void group(const struct group *g)
{
	say("%s %d", g ? g->gr_name : "no group", g ? (int)g->gr_gid : -1);
}

static void users(void)
{
	static const char *const names[] = {"root", "daemon",
#ifndef STATIC_GLIBC
		"nobody", "no-such-user",
#endif
		"bin"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		errno = 0;
		user(getpwnam(names[i]));
		say("%s", errno_name(errno));
		group(getgrnam(names[i]));
	}
	const unsigned last = sizeof(names) / sizeof(names[0]) == 5 ? 70000 : 4;
	for (unsigned id = 0; id < last; id += last / 5 + 1) {
		user(getpwuid(id));
		group(getgrgid(id));
	}
#ifndef STATIC_GLIBC
	int n = 0;
	const struct passwd *p;
	while ((p = getpwent()))
		n++;
	endpwent();
	say("%d users", n);
	n = 0;
	while (getgrent())
		n++;
	endgrent();
	say("%d groups", n);
	gid_t list[64];
	n = 64;
	int found = getgrouplist("daemon", 1, list, &n);
	say("%d %d %d", found, n, n > 0 ? (int)list[0] : -1);
#endif
	char buf[1024];
	struct passwd pw, *result = NULL;
	say("%d", getpwnam_r("root", &pw, buf, sizeof(buf), &result));
	user(result);
	say("%s", getpwnam_r("root", &pw, buf, 4, &result) == ERANGE ? "ERANGE" : "?");
}

#if defined(__GLIBC__) && !defined(LIBC_STATIC)
/* No name service module was loaded: the broker's nsswitch.conf names none. */
static void mapped(void)
{
	user(getpwnam("root"));
	user(getpwnam("no-such-user"));
	group(getgrnam("no-such-group"));
	gid_t list[8];
	int count = 8;
	getgrouplist("no-such-user", 7, list, &count);
	int n = 0;
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, "libnss_") != NULL;
	say("%s", !f ? "cannot look" : n ? "YES, there are modules" : "none");
}
#endif

static void shadow(void)
{
	errno = 0;
	const struct spwd *s = getspnam("root");
	say("%s", s ? "YES" : "no shadow");
	FILE *f = fopen("/etc/shadow", "r");
	say("%s", f ? "YES" : "no /etc/shadow");
	f = fopen("/etc/gshadow", "r");
	say("%s", f ? "YES" : "no /etc/gshadow");
}

static void login(void)
{
	char name[64];
	const char *l = getlogin();
	say("%s %s", l ? l : "-", l ? "" : errno_name(errno));
	say("%d", getlogin_r(name, sizeof(name)) == 0);
}

static void addresses(const char *host, const char *service, int flags, int family)
{
	struct addrinfo hints, *list = NULL;
	memset(&hints, 0, sizeof(hints));
	hints.ai_flags = flags;
	hints.ai_family = family;
	int e = getaddrinfo(host, service, &hints, &list);
	say("%s %s: %s", host ? host : "-", service ? service : "-", e ? gai_strerror(e) : "ok");
	for (struct addrinfo *a = e ? NULL : list; a; a = a->ai_next) {
		char text[128] = "", port[32] = "";
		getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV);
		say("  %d %d %d %s %s", a->ai_family, a->ai_socktype, a->ai_protocol, text, port);
	}
	if (!e)
		freeaddrinfo(list);
}

static void numeric(void)
{
	addresses("127.0.0.1", "80", AI_NUMERICHOST | AI_NUMERICSERV, AF_UNSPEC);
	addresses("::1", "443", AI_NUMERICHOST | AI_NUMERICSERV, AF_INET6);
	addresses("192.0.2.7", NULL, AI_NUMERICHOST, AF_INET);
	addresses("name", NULL, AI_NUMERICHOST, AF_INET);
	unsigned char bytes[16];
	char text[64];
	say("%d", inet_pton(AF_INET, "10.1.2.3", bytes));
	say("%d", inet_pton(AF_INET6, "2001:db8::1", bytes));
	say("%s", inet_ntop(AF_INET6, bytes, text, sizeof(text)));
	struct in_addr a;
	int r = inet_aton("1.2.3", &a);
	say("%d %s", r, inet_ntoa(a));
}

static void hosts(void)
{
	addresses("localhost", "80", AI_NUMERICSERV, AF_INET);
	addresses("localhost", "http", 0, AF_INET);
	addresses("127.0.0.1", "https", AI_NUMERICHOST, AF_INET);
	addresses(NULL, "7", AI_PASSIVE | AI_NUMERICSERV, AF_INET);
	const struct hostent *h = gethostbyname("localhost");
	say("%s %d", h ? h->h_name : "-", h ? h->h_length : 0);
}

static void services(void)
{
	static const char *const names[] = {"http", "ssh", "no-such-service"};
	for (size_t i = 0; i < 3; i++) {
		const struct servent *s = getservbyname(names[i], "tcp");
		say("%s %d", s ? s->s_name : "-", s ? ntohs((unsigned short)s->s_port) : 0);
	}
	const struct servent *s = getservbyport(htons(53), "udp");
	say("%s", s ? s->s_name : "-");
	const struct protoent *p = getprotobyname("tcp");
	say("%s %d", p ? p->p_name : "-", p ? p->p_proto : 0);
	p = getprotobynumber(17);
	say("%s", p ? p->p_name : "-");
}

static void interfaces(void)
{
	struct ifaddrs *list = NULL;
	int r = getifaddrs(&list);
	say("%d %s", r, r ? errno_name(errno) : "");
	for (struct ifaddrs *i = r ? NULL : list; i; i = i->ifa_next)
		say("%s %d", i->ifa_name, i->ifa_addr ? i->ifa_addr->sa_family : -1);
	char name[IF_NAMESIZE];
	unsigned lo = if_nametoindex("lo");
	say("%u %s", lo, lo && if_indextoname(lo, name) ? name : "-");
}

static void logged(void)
{
	openlog("libc-checks", LOG_PID, LOG_USER);
	for (int i = 0; i < 3; i++)
		syslog(LOG_INFO, "message %d of %s: %m", i, "airlock's tests");
	closelog();
	openlog("libc-checks", LOG_NDELAY, LOG_DAEMON);
	syslog(LOG_ERR, "another");
	say("logged");
}

const struct libc_check names_checks[] = {
	{"getpw", "stdio getpw", NULL, 0, users},
	{"getpw-rpath", "stdio rpath getpw", "r:/usr", 0, users},
#if defined(__GLIBC__) && !defined(LIBC_STATIC)
	{"getpw-no-modules", "stdio rpath getpw", NULL, LIBC_HOSTILE, mapped},
#endif
	{"getpw-shadow", "stdio getpw", NULL, LIBC_HOSTILE, shadow},
	{"getlogin", "stdio getpw", NULL, 0, login},
	{"numeric-addresses", "stdio", NULL, 0, numeric},
	{"getaddrinfo-hosts", "stdio dns", NULL, 0, hosts},
	{"getservbyname", "stdio dns", NULL, 0, services},
	{"getifaddrs", "stdio inet", NULL, LIBC_IN_PLACE, interfaces},
	{"syslog", "stdio", NULL, 0, logged},
	{NULL, NULL, NULL, 0, NULL},
};
