/* SPDX-License-Identifier: ISC */
/*
 * Direct trees: that the kernel serves them without a request, that nothing leads out of them or writes to them, that
 * brokered rules work beside them, and that where they cannot be had the broker serves them and it is said. Runs in a host
 * and in its workers; what a worker tries, and how it must end, is one table.
 */
#include "sandbox/airlock.h"
#include "tests/direct_tries.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void make_file(const char *rest, const char *text, mode_t mode)
{
	FILE *f = fopen(at(rest), "we");
	if (!f || fputs(text, f) < 0 || fclose(f) || chmod(at(rest), mode) < 0) {
		perror(at(rest));
		exit(1);
	}
}

static bool have_device;

static void world(void)
{
	static const char *const directories[] = {
		"tree", "tree/sub", "other", "outside", "drop", "rw", "rw/d", "rw/d/e"};
	snprintf(base, sizeof(base), "/tmp/airlock-direct-XXXXXX");
	umask(022);
	if (!mkdtemp(base) || chmod(base, 0755) < 0)
		exit(1);
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		if (mkdir(at(directories[i]), 0755) < 0)
			exit(1);
	make_file("tree/file", "hello", 0644);
	make_file("tree/sub/deep", "deep", 0644);
	make_file("tree/setuid", "#!/bin/sh\n", 04755);
	make_file("other/file", "other", 0644);
	make_file("outside/secret", "secret", 0644);
	if (symlink("file", at("tree/link_in")) || symlink("../outside/secret", at("tree/link_out")) ||
		symlink("/etc/passwd", at("tree/link_etc")) || symlink("/", at("tree/link_root")) ||
		symlink(at("other/file"), at("tree/link_near")) || mkfifo(at("tree/fifo"), 0644))
		exit(1);
	have_device = mknod(at("tree/device"), S_IFCHR | 0666, (dev_t)(1 << 8 | 3)) == 0;
	if (chdir(base) < 0)
		exit(1);
}

static void unworld(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %.100s", base);
	if (chdir("/") < 0 || system(command) != 0)
		fprintf(stderr, "%s stays\n", base);
}

static struct airlock_policy *policy_of_trees(const char *permissions)
{
	struct airlock_policy *policy;
	char more[8];
	snprintf(more, sizeof(more), "wc%.4s", permissions);
	if (airlock_policy_new(&policy, "stdio rpath wpath cpath fattr proc exec unveil") ||
		airlock_policy_unveil(policy, at("tree"), permissions) ||
		airlock_policy_unveil(policy, at("other"), permissions) ||
		airlock_policy_unveil(policy, at("rw"), more) || airlock_policy_unveil(policy, at("drop"), "wc")) {
		fprintf(stderr, "%s\n", airlock_message());
		exit(1);
	}
	return policy;
}

static bool one_of(int r, const int must[4])
{
	for (int i = 0; i < 4; i++)
		if (must[i] && must[i] == r)
			return true;
	return false;
}

static int attempt(struct airlock_target *t, unsigned i)
{
	char in[sizeof(i) + sizeof(base)];
	int r = -1;
	memcpy(in, &i, sizeof(i));
	memcpy(in + sizeof(i), base, sizeof(base));
	return airlock_call(t, "direct_try", in, sizeof(in), &r, sizeof(r)) == sizeof(r) ? r : -1;
}

static void all_attempts(struct airlock_target *t)
{
	for (unsigned i = 0; i < attempt_count; i++) {
		if (attempts[i].attempt == try_device && !have_device) {
			dprintf(tap_fd, "skip %s%s: no device can be made here\n", tap_prefix, attempts[i].name);
			continue;
		}
		int r = attempt(t, i);
		check(attempts[i].succeeds ? r == 0 : one_of(r, attempts[i].must), attempts[i].name, "%s",
			r < 0 ? "the worker is gone" : strerror(r));
	}
	struct stat st;
	check(stat(at("tree/file"), &st) == 0 && (st.st_mode & 07777) == 0644 && st.st_size == 5,
		"the tree is as it was", "mode %o, size %ld", st.st_mode, (long)st.st_size);
}

static uint64_t requests_of_looks(const struct airlock_policy *policy, struct airlock_status *status)
{
	struct airlock_target *t = NULL;
	char *argv[] = {base, NULL};
	*status = (struct airlock_status)AIRLOCK_STATUS_INIT;
	if (airlock_start(&t, policy, "looks", argv, NULL) == 0)
		airlock_wait(t, status, 20000);
	airlock_free(t);
	return status->requests;
}

static bool looked(const struct airlock_status *status)
{
	return status->end == AIRLOCK_EXITED && status->code == 0;
}

static void direct(struct airlock_policy *policy)
{
	struct airlock_target *t = NULL;
	struct airlock_status status;
	tap_prefix = "direct: ";
	if (!check(airlock_start(&t, policy, NULL, NULL, NULL) == 0 && !*airlock_message(),
		    "starts, with nothing to say", "%s", airlock_message()))
		return;
	all_attempts(t);
	airlock_free(t);
	uint64_t n = requests_of_looks(policy, &status);
	check(looked(&status) && n < 20, "a thousand looks are no requests", "end %d, code %d, %llu requests: %s",
		(int)status.end, status.code, (unsigned long long)n, status.violation);

	if (chdir(at("outside")) == 0 && airlock_start(&t, policy, NULL, NULL, NULL) == 0) {
		check(strstr(airlock_message(), "working directory") && attempt(t, 0) == 0,
			"from elsewhere the broker serves, and it is said", "%s", airlock_message());
		airlock_free(t);
	} else {
		check(false, "starts from elsewhere", "%s", airlock_message());
	}
	if (chdir(base) < 0)
		exit(1);
}

/* What makes the trees brokered: said, and nothing is lost. */
static void brokered(const char *name, struct airlock_policy *policy, const char *why)
{
	struct airlock_status status;
	struct airlock_target *t = NULL;
	char message[400] = "";
	if (airlock_start(&t, policy, NULL, NULL, NULL) == 0) {
		snprintf(message, sizeof(message), "%s", airlock_message());
		check(strstr(message, "served by the broker") && strstr(message, why) && attempt(t, 0) == 0, name, "%s",
			message);
		airlock_free(t);
	} else {
		check(false, name, "%s", airlock_message());
	}
	uint64_t n = requests_of_looks(policy, &status);
	check(looked(&status) && n > 1000, name, "end %d, code %d, %llu requests", (int)status.end, status.code,
		(unsigned long long)n);
	airlock_policy_free(policy);
}

static void fallbacks(void)
{
	struct airlock_policy *policy = policy_of_trees("r");
	struct airlock_status status;
	tap_prefix = "brokered: ";
	uint64_t n = requests_of_looks(policy, &status);
	check(looked(&status) && n > 1000 && !*airlock_message(), "without d a thousand looks are requests",
		"%llu requests: %s", (unsigned long long)n, airlock_message());
	airlock_policy_free(policy);

	policy = policy_of_trees("rd");
	airlock_policy_unveil(policy, "/etc", "r");
	brokered("a rule with r and without d", policy, "/etc");
	policy = policy_of_trees("rd");
	airlock_policy_unveil(policy, at("tree/link_root"), "");
	airlock_policy_unveil(policy, at("tree/setuid"), "");
	brokered("a part of the tree that is hidden", policy, "setuid");
	policy = policy_of_trees("rd");
	airlock_policy_unveil(policy, at("rw/later"), "rd");
	brokered("a file that is not there yet", policy, "not there");
	policy = policy_of_trees("rd");
	airlock_policy_unveil(policy, "/", "rd");
	brokered("the root", policy, "/proc");
}

/* A process that confines itself keeps its mounts. */
static void in_place(void)
{
	int status = -1;
	pid_t pid = fork();
	tap_prefix = "in place: ";
	if (pid == 0) {
		struct airlock_policy *policy = policy_of_trees("rd");
		int layers = airlock_enter(policy);
		_exit(layers <= 0                                            ? 1
			: !strstr(airlock_message(), "served by the broker") ? 2
			: try_file() || try_secret() != ENOENT               ? 3
									     : 0);
	}
	check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "the broker serves, and it is said",
		"status %x (256: not entered, 512: not said)", status);
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IONBF, 0);
	world();
	struct airlock_policy *policy = policy_of_trees("rd");
	direct(policy);
	airlock_policy_free(policy);
	fallbacks();
	in_place();
	unworld();
	return tap_failed != 0;
}
