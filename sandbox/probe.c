/* SPDX-License-Identifier: ISC */
/*
 * Which layers can be had here, found by trying each once, and for those that cannot, who took them away and how to get
 * them back. Runs in the host; the trying is done by a helper that shares its memory (a large host is never forked) and
 * ends. layer_why() also runs in a process that fails to confine itself.
 */
#include "sandbox/layers.h"

#include "sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

/* ---- what the system says of itself ---- */

static bool file_text(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, len - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return false;
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return true;
}

/* A sysctl's number, or -1 when there is none. */
static long file_number(const char *path)
{
	char text[32];

	return file_text(path, text, sizeof(text)) ? strtol(text, NULL, 10) : -1;
}

/* Whether a filter of somebody else's is above us: a container's, or systemd's. */
static bool under_filter(void)
{
	char text[4096];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	const char *line = strstr(text, "\nSeccomp:\t");
	return line && line[10] == '2';
}

/* The AppArmor profile that confines us, or false. */
static bool apparmor_profile(char *buf, size_t len)
{
	if (!file_text("/proc/self/attr/apparmor/current", buf, len) && !file_text("/proc/self/attr/current", buf, len))
		return false;
	/* "docker-default (enforce)"; SELinux contexts have no blank. */
	return strstr(buf, " (enforce)") != NULL;
}

static bool has_capability(int cap)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0}};

	return syscall(SYS_capget, &header, data) == 0 && data[cap / 32].effective & 1u << cap % 32;
}

static bool kernel_before(int major, int minor)
{
	struct utsname u;
	char *dot;

	if (uname(&u) < 0)
		return false;
	long a = strtol(u.release, &dot, 10);
	if (*dot != '.')
		return false;
	return a < major || (a == major && strtol(dot + 1, NULL, 10) < minor);
}

/* ---- reasons ---- */

static const struct space_name {
	unsigned bit;
	const char *sysctl, *config;
} space_names[] = {
	{AIRLOCK_LAYER_USER, "user", "CONFIG_USER_NS"},
	{AIRLOCK_LAYER_PID, "pid", "CONFIG_PID_NS"},
	{AIRLOCK_LAYER_MOUNT, "mnt", "CONFIG_NAMESPACES"},
	{AIRLOCK_LAYER_NETWORK, "net", "CONFIG_NET_NS"},
	{AIRLOCK_LAYER_IPC, "ipc", "CONFIG_IPC_NS"},
	{AIRLOCK_LAYER_UTS, "uts", "CONFIG_UTS_NS"},
	{AIRLOCK_LAYER_CGROUP, "cgroup", "CONFIG_CGROUPS"},
};

static const char *why_space_refused(unsigned bit, char *buf, size_t len)
{
	char profile[128];

	if (bit == AIRLOCK_LAYER_USER && file_number("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		return "sysctl kernel.unprivileged_userns_clone=0 refuses user namespaces; set it to 1";
	if (under_filter()) {
		snprintf(buf, len,
			"a seccomp filter above this process refuses it; run the container with "
			"--security-opt seccomp=unconfined or a profile that allows unshare and clone");
		return buf;
	}
	if (apparmor_profile(profile, sizeof(profile))) {
		snprintf(
			buf, len, "the AppArmor profile %s may refuse it; allow 'userns,' and 'mount,' in it", profile);
		return buf;
	}
	if (file_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") > 0)
		return "sysctl kernel.apparmor_restrict_unprivileged_userns=1 takes the capabilities away; set it to "
		       "0, or give "
		       "the program an AppArmor profile with 'userns,'";
	if (bit != AIRLOCK_LAYER_USER && !has_capability(CAP_SYS_ADMIN))
		return "it takes a user namespace, which cannot be had, or CAP_SYS_ADMIN";
	return "the kernel refuses it: is the process in a chroot, or SELinux in the way?";
}

static const char *why_space(unsigned bit, int error, char *buf, size_t len)
{
	const struct space_name *name = space_names;
	char path[64];

	while (name->bit != bit)
		name++;
	switch (-error) {
	case ENOSPC:
	case EUSERS: {
		snprintf(path, sizeof(path), "/proc/sys/user/max_%s_namespaces", name->sysctl);
		long max = file_number(path);
		if (max == 0)
			snprintf(buf, len, "sysctl user.max_%s_namespaces=0 forbids it; raise it", name->sysctl);
		else
			snprintf(buf, len, "as many as sysctl user.max_%s_namespaces allows (%ld) exist, or 32 levels",
				name->sysctl, max);
		return buf;
	}
	case EPERM:
	case EACCES:
		return why_space_refused(bit, buf, len);
	case EINVAL:
	case ENOSYS:
		snprintf(buf, len, "the kernel has no %s namespaces (%s)", name->sysctl, name->config);
		return buf;
	case EBADF:
		return "the broker could not make it";
	default:
		return NULL;
	}
}

static const char *why_root(int error, char *buf, size_t len)
{
	char profile[128];

	switch (-error) {
	case EBADF:
		return "it takes a mount namespace";
	case ENOTDIR:
		return "the root that was entered is not the empty one";
	case EINVAL:
		return "pivot_root fails: is the root file system an initramfs?";
	case EPERM:
	case EACCES:
		if (apparmor_profile(profile, sizeof(profile))) {
			snprintf(buf, len,
				"the AppArmor profile %s refuses mounts; allow 'mount,' and 'pivot_root,' in it",
				profile);
			return buf;
		}
		return why_space_refused(AIRLOCK_LAYER_MOUNT, buf, len);
	default:
		return NULL;
	}
}

static const char *why_landlock(int error, char *buf, size_t len)
{
	char lsm[256];

	switch (-error) {
	case EOPNOTSUPP:
		if (file_text("/sys/kernel/security/lsm", lsm, sizeof(lsm)) && !strstr(lsm, "landlock")) {
			snprintf(buf, len, "the kernel started without it; boot with lsm=landlock,%s", lsm);
			return buf;
		}
		return "the kernel started without it; add landlock to the lsm= list on its command line";
	case ENOSYS:
		if (kernel_before(5, 13))
			return "the kernel is older than 5.13";
		if (under_filter())
			return "the kernel has none, or a seccomp filter above this process hides it";
		return "the kernel is built without CONFIG_SECURITY_LANDLOCK";
	case EPERM:
		return under_filter() ? "a seccomp filter above this process refuses it" : NULL;
	case EUSERS:
		return "this kernel cannot restrict threads that run already (that takes Landlock ABI 8); confine "
		       "before "
		       "threads start";
	case E2BIG:
		return "the process is under 16 Landlock domains already";
	default:
		return NULL;
	}
}

static const char *why_seccomp(int error)
{
	switch (-error) {
	case EBUSY:
		return "the process runs under somebody else's seccomp listener already, and what is executed there "
		       "cannot be "
		       "served by signals";
	case ESRCH:
		return "a thread of the process has a filter of its own";
	case EACCES:
		return "it takes no_new_privs";
	case EMFILE:
		return "no descriptor is left for the listener; raise the limit of files";
	case EINVAL:
	case ENOSYS:
		return kernel_before(5, 14) ? "the kernel is older than 5.14"
					    : "the kernel is built without CONFIG_SECCOMP_FILTER";
	case EXDEV:
		return "sysctl kernel.yama.ptrace_scope=3 keeps the broker from reading what targets ask; it takes a "
		       "reboot "
		       "with 0, 1 or 2";
	default:
		return NULL;
	}
}

const char *layer_why(unsigned bit, int error, char *buf, size_t len)
{
	const char *why = NULL;

	if (bit & AIRLOCK_LAYERS_NAMESPACES)
		why = why_space(bit, error, buf, len);
	else if (bit == AIRLOCK_LAYER_ROOT)
		why = why_root(error, buf, len);
	else if (bit == AIRLOCK_LAYER_LANDLOCK)
		why = why_landlock(error, buf, len);
	else if (bit == AIRLOCK_LAYER_LISTENER && error == -EBUSY)
		why = "the process runs under somebody else's seccomp listener; its requests go by signals (SIGSYS), "
		      "and it "
		      "can execute no programs";
	else if (bit == AIRLOCK_LAYER_DELEGATION)
		why = cgroup_why(error);
	else if (bit == AIRLOCK_LAYER_SECCOMP || bit == AIRLOCK_LAYER_LISTENER)
		why = why_seccomp(error);
	else if (bit == AIRLOCK_LAYER_CAPABILITIES && error == -EUSERS)
		why = "other threads run and hold capabilities, which only they can drop; confine before threads start";
	else if (bit == AIRLOCK_LAYER_SESSION && error == -EPERM)
		why = "the process leads a process group";
	if (why)
		return why;
	snprintf(buf, len, "%s", strerror(-error));
	return buf;
}

/* ---- trying ---- */

#define LAYERS 17
struct findings {
	bool user; /* the helper has a user namespace */
	int error[LAYERS]; /* by row of the table */
};

static struct findings findings;
static char reasons[LAYERS][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int try_all(void *arg)
{
	struct findings *f = arg;

	for (size_t i = 0; i < layers_count; i++)
		if (layers_table[i].bit != AIRLOCK_LAYER_USER)
			f->error[i] = layers_table[i].probe();
	syscall(SYS_exit, 0);
	return 0;
}

static int helper(int flags, struct findings *f)
{
	const size_t size = 64 * 1024;
	char *stack = malloc(size);

	if (!stack)
		return -ENOMEM;
	int pid = clone(try_all, stack + size, CLONE_VM | CLONE_VFORK | flags, f);
	int r = pid < 0 ? -errno : 0;
	if (pid > 0)
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	free(stack);
	return r;
}

static void find(void)
{
	sigset_t all, old;
	char buf[256];

	/* The helper shares our memory: no handler of ours may run in it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int user = helper(CLONE_NEWUSER, &findings);
	findings.user = user == 0;
	if (user < 0 && helper(0, &findings) < 0)
		for (size_t i = 0; i < LAYERS; i++)
			findings.error[i] = user;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	for (size_t i = 0; i < LAYERS; i++) {
		if (layers_table[i].bit == AIRLOCK_LAYER_USER)
			findings.error[i] = user;
		/* Yama's strictest setting takes the broker's eyes, without which no request can be answered. */
		if (layers_table[i].bit == AIRLOCK_LAYER_SECCOMP && findings.error[i] == 0 &&
			file_number("/proc/sys/kernel/yama/ptrace_scope") == 3)
			findings.error[i] = -EXDEV;
		if (layers_table[i].bit == AIRLOCK_LAYER_DELEGATION) {
			int base = cgroup_base(NULL, false);
			findings.error[i] = base < 0 ? base : 0;
			if (base >= 0)
				close(base);
		}
		if (findings.error[i] < 0)
			snprintf(reasons[i], sizeof(reasons[i]), "%s",
				layer_why(layers_table[i].bit, findings.error[i], buf, sizeof(buf)));
	}
}

static size_t row_of(unsigned layer)
{
	size_t i = 0;

	while (i < layers_count && layers_table[i].bit != layer)
		i++;
	return i;
}

PUBLIC int airlock_layers(void)
{
	unsigned layers = 0;

	pthread_once(&once, find);
	for (size_t i = 0; i < layers_count; i++)
		if (findings.error[i] == 0)
			layers |= layers_table[i].bit;
	return (int)layers;
}

PUBLIC const char *airlock_layer_name(unsigned layer)
{
	size_t i = row_of(layer);

	return i < layers_count ? layers_table[i].name : NULL;
}

PUBLIC const char *airlock_layer_missing(unsigned layer)
{
	size_t i = row_of(layer);

	if (i == layers_count)
		return "there is no such layer";
	pthread_once(&once, find);
	return findings.error[i] < 0 ? reasons[i] : NULL;
}
