/* SPDX-License-Identifier: ISC */
/*
 * Launchers of programs, each with what it calls its usual isolation, on /bin/true, beside posix_spawn(). One that is not
 * here, or does not work here, is left out, and a line says so. usage: launch [AIRLOCK [BUNDLE-FOR-CRUN]]
 */
#include "bench/common.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 25
#define ARGS 16

static struct launcher {
	const char *name, *budget, *title;
	char *argv[ARGS];
	bool missing;
	struct samples took;
} launchers[] = {
	{"posix_spawn", "", "posix_spawn /bin/true, wait", {(char *)"/bin/true"}, false, {0}},
	{"airlock run", "3 x", "airlock run -p stdio /bin/true",
		{(char *)"airlock", (char *)"run", (char *)"-p", (char *)"stdio", (char *)"/bin/true"}, false, {0}},
	{"bwrap", "", "bwrap --unshare-all --ro-bind / / /bin/true",
		{(char *)"bwrap", (char *)"--unshare-all", (char *)"--ro-bind", (char *)"/", (char *)"/",
			(char *)"/bin/true"},
		false, {0}},
	{"minijail0", "", "minijail0 -v -p -l -e -N -n /bin/true",
		{(char *)"minijail0", (char *)"-v", (char *)"-p", (char *)"-l", (char *)"-e", (char *)"-N",
			(char *)"-n", (char *)"/bin/true"},
		false, {0}},
	{"nsjail", "", "nsjail -Mo -q --chroot / /bin/true",
		{(char *)"nsjail", (char *)"-Mo", (char *)"-q", (char *)"--chroot", (char *)"/", (char *)"--",
			(char *)"/bin/true"},
		false, {0}},
	{"firejail", "", "firejail --quiet --noprofile /bin/true",
		{(char *)"firejail", (char *)"--quiet", (char *)"--noprofile", (char *)"/bin/true"}, false, {0}},
	{"crun", "", "crun run, its own spec, /bin/true",
		{(char *)"crun", (char *)"--cgroup-manager=disabled", (char *)"run", (char *)"--bundle", (char *)"",
			(char *)"airlock-bench"},
		false, {0}},
	{"systemd-run", "", "systemd-run --wait -p DynamicUser=yes /bin/true",
		{(char *)"systemd-run", (char *)"--quiet", (char *)"--wait", (char *)"-p", (char *)"DynamicUser=yes",
			(char *)"/bin/true"},
		false, {0}},
};
#define LAUNCHERS (sizeof(launchers) / sizeof(*launchers))

static double spawn(char *const argv[])
{
	posix_spawn_file_actions_t actions;
	uint64_t from = now_ns();
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	int e = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (e)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			fail("waitpid", strerror(errno));
	return status ? -2 : (double)(now_ns() - from);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		launchers[1].argv[0] = argv[1];
	for (size_t i = 0; i < LAUNCHERS; i++) {
		struct launcher *l = &launchers[i];

		if (strcmp(l->name, "crun") == 0)
			l->argv[4] = argc > 2 ? argv[2] : (char *)"/nonexistent";
		double ns = spawn(l->argv);
		l->missing = ns < 0;
		if (ns < 0)
			fprintf(stderr, "bench: launchers: %s %s: left out\n", l->name,
				ns == -1 ? "is not installed (or not packaged) here" : "does not work here");
	}
	for (int round = 0; round < times(ROUNDS, 1); round++)
		for (size_t i = 0; i < LAUNCHERS; i++) {
			double ns = launchers[i].missing ? -1 : spawn(launchers[i].argv);
			if (ns >= 0)
				sample(&launchers[i].took, ns);
		}
	double native = median(&launchers[0].took);
	for (size_t i = 0; i < LAUNCHERS; i++) {
		double ns = median(&launchers[i].took);

		if (!launchers[i].took.count)
			continue;
		report(launchers[i].title, ns, "posix_spawn", i ? native : 0, launchers[i].budget);
		point("starts: a program, /bin/true", launchers[i].name, (double)i, 1e9 / ns);
	}
	return 0;
}
