/* SPDX-License-Identifier: ISC */
/* Owns one lookup of a name: what the process that makes it may do, which reads what nameservers wrote, and what it answers.
 * Runs in helpers of the resolver; resolver_calls() in the resolver, too. */
#include "broker/resolver.h"

#include "policy/promises.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __aarch64__
#define ARCH_NATIVE AUDIT_ARCH_AARCH64
#else
#define ARCH_NATIVE AUDIT_ARCH_X86_64
#endif

#define CPU_SECONDS 5
#define MEMORY (UINT64_C(256) << 20) /* beyond what the process has when it begins */
#define TTL_SECONDS 2 /* for the life time, which is asked for on its own and may stay unknown */

/* What getaddrinfo() reads, by name and at that moment: whoever changes the network replaces resolv.conf. */
static const char *const readable[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf",
	"/etc/gai.conf", "/etc/services", "/etc/networks", "/etc/protocols", "/etc/mdns.allow", "/etc/ld.so.cache",
	"/dev/null", "/dev/urandom", "/run/systemd/resolve", "/run/nscd", "/run/NetworkManager", "/run/resolvconf",
	"/run/connman", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"};
_Static_assert(sizeof(readable) / sizeof(readable[0]) == RESOLVER_PATHS, "confine.c has room for so many");

const char *resolver_path(size_t i)
{
	return readable[i];
}

/* ---- confinement ---- */

/* The server's comes first and is the helper's as well, which has a second one. */
#define SERVER 1
#define HELPER 2
static const struct {
	int nr;
	unsigned who;
} calls[] = {
#ifdef SYS_open
	{SYS_open, HELPER}, {SYS_stat, HELPER}, {SYS_access, HELPER}, {SYS_readlink, HELPER}, {SYS_poll, HELPER},
	{SYS_fork, SERVER}, {SYS_epoll_wait, HELPER}, {SYS_time, HELPER}, {SYS_getdents, HELPER}, {SYS_lstat, HELPER},
#endif
	{SYS_read, HELPER}, {SYS_write, HELPER}, {SYS_readv, HELPER}, {SYS_writev, HELPER}, {SYS_pread64, HELPER},
	{SYS_lseek, HELPER}, {SYS_close, HELPER}, {SYS_openat, HELPER}, {SYS_fstat, HELPER}, {SYS_newfstatat, HELPER},
	{SYS_statx, HELPER}, {SYS_faccessat, HELPER}, {SYS_faccessat2, HELPER}, {SYS_readlinkat, HELPER},
	{SYS_getdents64, HELPER}, {SYS_getcwd, HELPER}, {SYS_fcntl, HELPER}, {SYS_ioctl, HELPER}, {SYS_dup, HELPER},
	{SYS_ppoll, HELPER}, {SYS_pselect6, HELPER}, {SYS_epoll_create1, HELPER}, {SYS_epoll_ctl, HELPER},
	{SYS_epoll_pwait, HELPER}, {SYS_eventfd2, HELPER}, {SYS_timerfd_create, HELPER}, {SYS_timerfd_settime, HELPER},
	{SYS_socket, HELPER}, {SYS_connect, HELPER}, {SYS_bind, HELPER}, {SYS_sendto, HELPER}, {SYS_sendmsg, HELPER},
	{SYS_sendmmsg, HELPER}, {SYS_recvfrom, HELPER}, {SYS_recvmsg, HELPER}, {SYS_recvmmsg, HELPER},
	{SYS_getsockname, HELPER}, {SYS_getpeername, HELPER}, {SYS_setsockopt, HELPER}, {SYS_getsockopt, HELPER},
	{SYS_shutdown, HELPER}, {SYS_mmap, HELPER}, {SYS_munmap, HELPER}, {SYS_mremap, HELPER}, {SYS_mprotect, HELPER},
	{SYS_madvise, HELPER}, {SYS_brk, HELPER}, {SYS_futex, HELPER}, {SYS_set_robust_list, HELPER},
	{SYS_set_tid_address, HELPER}, {SYS_rseq, HELPER}, {SYS_rt_sigaction, HELPER}, {SYS_rt_sigprocmask, HELPER},
	{SYS_rt_sigreturn, HELPER}, {SYS_sigaltstack, HELPER}, {SYS_restart_syscall, HELPER}, {SYS_getpid, HELPER},
	{SYS_gettid, HELPER}, {SYS_getppid, HELPER}, {SYS_getuid, HELPER}, {SYS_geteuid, HELPER}, {SYS_getgid, HELPER},
	{SYS_getegid, HELPER}, {SYS_uname, HELPER}, {SYS_sysinfo, HELPER}, {SYS_getrandom, HELPER},
	{SYS_clock_gettime, HELPER}, {SYS_clock_getres, HELPER}, {SYS_clock_nanosleep, HELPER}, {SYS_nanosleep, HELPER},
	{SYS_gettimeofday, HELPER}, {SYS_sched_yield, HELPER}, {SYS_membarrier, HELPER}, {SYS_exit, HELPER},
	{SYS_exit_group, HELPER}, {SYS_clone, SERVER}, {SYS_wait4, SERVER}, {SYS_waitid, SERVER},
	{SYS_pidfd_open, SERVER}, {SYS_pidfd_send_signal, SERVER}, {SYS_prctl, SERVER}, {SYS_seccomp, SERVER},
	{SYS_prlimit64, SERVER}, {SYS_close_range, SERVER}, {SYS_dup3, SERVER}, {SYS_landlock_create_ruleset, SERVER},
	{SYS_landlock_add_rule, SERVER}, {SYS_landlock_restrict_self, SERVER}};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* Sockets: those of the internet, those of local services that names are asked of, and what lists addresses. */
static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};
#define FAMILIES (sizeof(families) / sizeof(families[0]))

int resolver_calls(bool server)
{
	const unsigned who = server ? SERVER | HELPER : HELPER;
	struct sock_filter code[8 + 2 * CALLS + 2 * FAMILIES];
	size_t n = 0;
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH_NATIVE, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < CALLS; i++) {
		if (!(calls[i].who & who) || calls[i].nr == SYS_socket)
			continue;
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i].nr, 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]));
	for (size_t i = 0; i < FAMILIES; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)families[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT);
	struct sock_fprog program = {(unsigned short)n, code};
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}

/* The helper may read what is looked at above, as it is now, and speak TCP to nameservers alone. UDP is beyond Landlock. */
static int restrict_files(void)
{
	const struct landlock_port port = {53, LANDLOCK_NET_CONNECT};
	struct landlock_rule rules[RESOLVER_PATHS];
	struct landlock_spec spec = {.rules = rules,
		.net = LANDLOCK_NET_BOTH,
		.ports = &port,
		.port_count = 1,
		.scopes = LANDLOCK_SCOPE_BOTH};
	for (size_t i = 0; i < RESOLVER_PATHS; i++) {
		struct stat st;
		int fd = open(readable[i], O_PATH | O_CLOEXEC);
		if (fd >= 0 && fstat(fd, &st) == 0)
			rules[spec.count++] = (struct landlock_rule){fd, S_ISDIR(st.st_mode), PERM_LOADER};
	}
	int r = landlock_enforce(&spec);
	for (size_t i = 0; i < spec.count; i++)
		close(rules[i].fd);
	return r == -ENOSYS || r == -EOPNOTSUPP ? 0 : r; /* as for the broker: see broker_confine() */
}

static uint64_t memory_limit; /* RLIM_INFINITY where it cannot be known */

void resolver_measure(const struct broker *b)
{
	memory_limit = RLIM_INFINITY;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)b; /* its runtime maps what it likes */
#else
	char text[32] = "";
	int fd = openat(b->proc, "self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n > 0)
		memory_limit = strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) + MEMORY;
#endif
}

static int restrict_resources(void)
{
	const struct {
		int what;
		uint64_t value;
	} limits[] = {{RLIMIT_CPU, CPU_SECONDS}, {RLIMIT_CORE, 0}, {RLIMIT_FSIZE, 0}, {RLIMIT_NOFILE, 64},
		{RLIMIT_AS, memory_limit}};
	int r = 0;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]) && r == 0; i++) {
		struct rlimit l;
		if (syscall(SYS_prlimit64, 0, limits[i].what, NULL, &l) < 0)
			return -errno;
		if (l.rlim_max > limits[i].value)
			l.rlim_cur = l.rlim_max = limits[i].value;
		r = syscall(SYS_prlimit64, 0, limits[i].what, &l, NULL) < 0 ? -errno : 0;
	}
	return r;
}

/* ---- the helper ---- */

static bool known(const struct resolver_answer *a, const uint8_t ip[16])
{
	for (uint32_t i = 0; i < a->count; i++)
		if (memcmp(a->ips[i], ip, 16) == 0)
			return true;
	return false;
}

static void add(struct resolver_answer *a, const struct addrinfo *info)
{
	uint8_t ip[16] = {[10] = 0xff, [11] = 0xff};
	if (info->ai_family == AF_INET && info->ai_addrlen >= sizeof(struct sockaddr_in))
		memcpy(ip + 12, &((const struct sockaddr_in *)(const void *)info->ai_addr)->sin_addr, 4);
	else if (info->ai_family == AF_INET6 && info->ai_addrlen >= sizeof(struct sockaddr_in6))
		memcpy(ip, &((const struct sockaddr_in6 *)(const void *)info->ai_addr)->sin6_addr, 16);
	else
		return;
	if (a->count < RESOLVER_ADDRESSES && !known(a, ip))
		memcpy(a->ips[a->count++], ip, 16);
}

/* What has been read of an answer, and what is left. */
struct reader {
	const unsigned char *at, *end;
};

/* The next n bytes as a number, or 0 behind the end, where it then stays. */
static uint32_t number(struct reader *r, size_t n)
{
	uint32_t value = 0;
	if ((size_t)(r->end - r->at) < n)
		r->at = r->end;
	for (; n > 0 && r->at < r->end; n--)
		value = value << 8 | *r->at++;
	return value;
}

static void skip(struct reader *r, size_t n)
{
	r->at = (size_t)(r->end - r->at) < n ? r->end : r->at + n;
}

/* A name ends with an empty label, or with a pointer, which is not followed. */
static void skip_name(struct reader *r)
{
	for (uint32_t label = 1; label && r->at < r->end;) {
		label = number(r, 1);
		if (label >= 0xc0) {
			skip(r, 1);
			break;
		}
		skip(r, label);
	}
}

/* The smallest life time in the answer; RESOLVER_TTL_UNKNOWN when no nameserver knows the name (it is in /etc/hosts). */
static uint32_t life_time(const char *name, int type)
{
	static unsigned char answer[NS_MAXMSG];
	uint32_t least = RESOLVER_TTL_UNKNOWN;
	int n = res_search(name, ns_c_in, type, answer, sizeof(answer));
	if (n <= 0 || n > (int)sizeof(answer))
		return least;
	struct reader r = {answer, answer + n};
	skip(&r, 4);
	uint32_t questions = number(&r, 2), answers = number(&r, 2);
	skip(&r, 4);
	for (uint32_t i = 0; i < questions; i++) {
		skip_name(&r);
		skip(&r, 4);
	}
	for (uint32_t i = 0; i < answers; i++) {
		skip_name(&r);
		skip(&r, 4);
		uint32_t ttl = number(&r, 4);
		if (r.at == r.end)
			break;
		if (ttl & UINT32_C(0x80000000)) /* RFC 2181: is none */
			ttl = 0;
		if (ttl < least)
			least = ttl;
		skip(&r, number(&r, 2));
	}
	return least;
}

static void look_up(const char *name, struct resolver_answer *a)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	bool v4 = false, v6 = false;
	a->ttl = RESOLVER_TTL_UNKNOWN;
	a->error = getaddrinfo(name, NULL, &hints, &list);
	for (const struct addrinfo *i = a->error ? NULL : list; i; i = i->ai_next) {
		add(a, i);
		v4 = v4 || i->ai_family == AF_INET;
		v6 = v6 || i->ai_family == AF_INET6;
	}
	res_init();
	_res.retrans = TTL_SECONDS;
	_res.retry = 1;
	uint32_t ttl4 = v4 ? life_time(name, ns_t_a) : RESOLVER_TTL_UNKNOWN;
	uint32_t ttl6 = v6 ? life_time(name, ns_t_aaaa) : RESOLVER_TTL_UNKNOWN;
	a->ttl = ttl4 < ttl6 ? ttl4 : ttl6;
}

_Noreturn void resolver_help(const char *name, int reply, pid_t server)
{
	static struct resolver_answer answer;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != server || (reply != RESOLVER_FD && dup3(reply, RESOLVER_FD, O_CLOEXEC) < 0) ||
		syscall(SYS_close_range, RESOLVER_FD + 1, ~0u, 0) < 0 || restrict_files() < 0 ||
		restrict_resources() < 0 || resolver_calls(false) < 0)
		_exit(1);
	look_up(name, &answer);
	send(RESOLVER_FD, &answer, sizeof(answer), MSG_NOSIGNAL);
	_exit(0);
}
