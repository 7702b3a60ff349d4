/* SPDX-License-Identifier: ISC */
/* Owns `airlock run`: from options to a policy, from a target's end to an exit status and one line. Runs in the host. */
#include "tools/tools.h"

#include "sandbox/sandbox.h"

#include <airlock.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run {
	char *text; /* the policy in the policy language, as far as options have words there */
	size_t len, room;
	char **unveils; /* PERMS:PATH */
	size_t unveil_count;
	const char *exec, *log, *violation;
	int pledged;
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("airlock: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(STATUS_FAILED);
}

static void text_add(struct run *run, const char *bytes, size_t len)
{
	if (run->len + len + 1 > run->room) {
		run->room = (run->len + len + 1) * 2;
		run->text = realloc(run->text, run->room);
		if (!run->text)
			die("out of memory");
	}
	memcpy(run->text + run->len, bytes, len);
	run->len += len;
	run->text[run->len] = 0;
}

/* One statement, tried alone first, so that its error needs no line number. */
static void statement(struct run *run, const char *option, const char *keyword, const char *operands)
{
	char *line;
	struct airlock_policy *policy;
	if (strpbrk(operands, "\n\"#"))
		die("%s: '%s' is not understood", option, operands);
	if (asprintf(&line, "%s %s\n", keyword, operands) < 0)
		die("out of memory");
	if (airlock_policy_parse(&policy, line) < 0) {
		const char *message = airlock_message();
		die("%s: %s", option, strncmp(message, "line 1: ", 8) == 0 ? message + 8 : message);
	}
	airlock_policy_free(policy);
	text_add(run, line, strlen(line));
	free(line);
}

static void commas_to_spaces(char *s)
{
	for (; *s; s++)
		if (*s == ',')
			*s = ' ';
}

static void file_read(struct run *run, const char *path)
{
	char chunk[4096];
	size_t n;
	FILE *f = fopen(path, "re");
	if (!f)
		die("%s: %s", path, strerror(errno));
	size_t start = run->len;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		text_add(run, chunk, n);
	if (ferror(f))
		die("%s: %s", path, strerror(errno));
	fclose(f);
	if (memchr(run->text + start, 0, run->len - start))
		die("%s: not a text file", path);
	text_add(run, "\n", 1);
	struct airlock_policy *policy;
	if (airlock_policy_parse(&policy, run->text) < 0)
		die("%s: %s", path, airlock_message());
	airlock_policy_free(policy);
}

static void limit(struct run *run, char *argument)
{
	char *equals = strchr(argument, '=');
	if (!equals)
		die("-l: '%s' is not NAME=VALUE", argument);
	*equals = ' ';
	statement(run, "-l", "limit", argument);
}

/* What a terminal program needs to know, and nothing that is a secret. */
static void environment_default(struct airlock_policy *policy)
{
	static const char *const names[] = {"PATH", "LANG", "TERM", "TZ"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		airlock_policy_env(policy, names[i]);
	for (char **e = environ; e && *e; e++) {
		char name[64];
		size_t n = strcspn(*e, "=");
		if (strncmp(*e, "LC_", 3) != 0 || n >= sizeof(name))
			continue;
		memcpy(name, *e, n);
		name[n] = 0;
		airlock_policy_env(policy, name);
	}
}

static struct airlock_policy *policy_make(struct run *run, char **env, size_t env_count)
{
	struct airlock_policy *policy;
	if (!run->pledged)
		statement(run, "-p", "pledge", "stdio");
	if (airlock_policy_parse(&policy, run->text) < 0)
		die("%s", airlock_message());
	environment_default(policy);
	for (size_t i = 0; i < env_count; i++)
		if (airlock_policy_env(policy, env[i]) < 0)
			die("-e: %s", airlock_message());
	for (size_t i = 0; i < run->unveil_count; i++) {
		char *colon = strchr(run->unveils[i], ':');
		if (!colon)
			die("-v: '%s' is not PERMS:PATH", run->unveils[i]);
		*colon = 0;
		if (airlock_policy_unveil(policy, colon + 1, run->unveils[i]) < 0)
			die("-v: %s", airlock_message());
	}
	if (run->exec) {
		char *words = strdup(run->exec);
		if (!words)
			die("out of memory");
		commas_to_spaces(words);
		if (airlock_policy_exec(policy, words) < 0)
			die("-x: %s", airlock_message());
		free(words);
	}
	return policy;
}

static struct airlock_policy *options_read(int argc, char **argv)
{
	enum { ON_VIOLATION = 256, TOLERATE, LOG };
	static const struct option longs[] = {{"on-violation", required_argument, NULL, ON_VIOLATION},
		{"tolerate", required_argument, NULL, TOLERATE}, {"log", required_argument, NULL, LOG},
		{NULL, 0, NULL, 0}};
	struct run run = {0};
	char **env = calloc((size_t)argc + 1, sizeof(char *));
	size_t env_count = 0;
	int option;
	run.unveils = calloc((size_t)argc + 1, sizeof(char *));
	if (!env || !run.unveils)
		die("out of memory");
	text_add(&run, "", 0);
	/* "+": options end where the program's name begins. */
	while ((option = getopt_long(argc, argv, "+p:x:v:c:b:l:e:P:", longs, NULL)) != -1) {
		switch (option) {
		case 'p':
			commas_to_spaces(optarg);
			statement(&run, "-p", "pledge", optarg);
			run.pledged = 1;
			break;
		case 'x':
			run.exec = optarg;
			break;
		case 'v':
			run.unveils[run.unveil_count++] = optarg;
			break;
		case 'c':
			statement(&run, "-c", "connect", optarg);
			break;
		case 'b':
			statement(&run, "-b", "bind", optarg);
			break;
		case 'l':
			limit(&run, optarg);
			break;
		case 'e':
			env[env_count++] = optarg;
			break;
		case 'P':
			file_read(&run, optarg);
			run.pledged = 1;
			break;
		case ON_VIOLATION:
			statement(&run, "--on-violation", "on-violation", optarg);
			break;
		case TOLERATE:
			commas_to_spaces(optarg);
			statement(&run, "--tolerate", "tolerate", optarg);
			break;
		case LOG:
			run.log = optarg;
			break;
		default:
			exit(STATUS_FAILED); /* getopt has said why */
		}
	}
	struct airlock_policy *policy = policy_make(&run, env, env_count);
	if (run.log) {
		int fd = open(run.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
		if (fd < 0 || airlock_policy_log(policy, fd) < 0)
			die("%s: %s", run.log, strerror(errno));
	}
	free(run.text);
	free(run.unveils);
	free(env);
	return policy;
}

/* A report ends in the word that would have allowed the call: "...: ENOENT, unveil /etc/shadow r". */
static void words_of(const char *report, char *out, size_t len)
{
	const char *at = NULL;
	for (const char *s = report; (s = strstr(s, ": E")); s++)
		at = s;
	const char *comma = at ? strchr(at, ',') : NULL;
	snprintf(out, len, "%s", comma ? comma + 2 : "");
}

static int is_address(const char *words)
{
	return strncmp(words, "connect ", 8) == 0 || strncmp(words, "bind ", 5) == 0;
}

static void closing_line(const struct airlock_target *target, const struct airlock_status *status)
{
	char report[400], words[400], seen[3][400];
	unsigned shown = 0;
	if (!status->refused)
		return;
	fprintf(stderr, "airlock: %llu %s refused", (unsigned long long)status->refused,
		status->refused == 1 ? "request was" : "requests were");
	/* Addresses first: no library asks for those on its own account, as it does for files before the program begins. */
	for (unsigned i = 0, pass = 0; shown < 3 && pass < 2;) {
		if (airlock_refusal(target, i++, report, sizeof(report)) < 0) {
			pass++;
			i = 0;
			continue;
		}
		words_of(report, words, sizeof(words));
		int again = !words[0] || is_address(words) != !pass;
		for (unsigned k = 0; k < shown; k++)
			again |= strcmp(seen[k], words) == 0;
		if (again)
			continue;
		fprintf(stderr, "%s%s", shown ? ", " : "; to allow: ", words);
		memcpy(seen[shown++], words, sizeof(words));
	}
	if (!shown && airlock_refusal(target, 0, report, sizeof(report)) == 0)
		fprintf(stderr, ": %s", report);
	fputc('\n', stderr);
}

static int finish(const struct airlock_target *target, const struct airlock_status *status)
{
	char line[400];
	closing_line(target, status);
	switch (status->end) {
	case AIRLOCK_EXITED:
		return status->code;
	case AIRLOCK_CRASHED:
	case AIRLOCK_KILLED:
		/* A limit was the cause: the signal alone says that to few. */
		if (status->signal == SIGXFSZ && status->limit == AIRLOCK_LIMIT_FILE_SIZE)
			fprintf(stderr, "airlock: %s\n", airlock_explain(target, line, sizeof(line)));
		return 128 + (status->signal ? status->signal : SIGKILL);
	default:
		fprintf(stderr, "airlock: %s\n", airlock_explain(target, line, sizeof(line)));
		if (status->end == AIRLOCK_LOST)
			return STATUS_FAILED;
		return 128 + (status->signal ? status->signal : SIGKILL);
	}
}

int command_run(int argc, char **argv)
{
	struct airlock_policy *policy = options_read(argc, argv);
	struct airlock_target *target;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	if (optind >= argc)
		die("run: no program was named");
	broker_forks = true;
	int r = airlock_exec(&target, policy, argv + optind, NULL);
	if (r < 0) {
		fprintf(stderr, "airlock: %s\n", airlock_message());
		return r == -ENOENT ? STATUS_MISSING : r == -EACCES || r == -ENOEXEC ? STATUS_DENIED : STATUS_FAILED;
	}
	if (*airlock_message())
		fprintf(stderr, "airlock: %s\n", airlock_message());
	r = airlock_wait(target, &status, -1);
	if (r < 0)
		die("%s", airlock_message());
	int code = finish(target, &status);
	airlock_free(target);
	airlock_policy_free(policy);
	return code;
}
