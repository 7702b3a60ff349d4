/* SPDX-License-Identifier: ISC */
/* What a nested target can have is less than what its host has, whatever is asked for. Runs in targets. */
#include "tests/nested.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int refused_start(struct airlock_policy *p)
{
	struct airlock_target *t = NULL;
	int error = airlock_start(&t, p, NULL, NULL, NULL);
	if (!error)
		airlock_free(t);
	airlock_policy_free(p);
	return error;
}

void wider(void)
{
	struct airlock_policy *p = policy_with("stdio rpath inet", "r:/etc");
	int error = refused_start(p);

	check(error == -EPERM && strstr(airlock_message(), "promise inet"), "a promise more is refused by its name",
		"%d %s", error, airlock_message());
	error = refused_start(policy_with("stdio rpath", "rw:/etc"));
	check(error == -EPERM, "a permission more is refused", "%d", error);
	error = refused_start(policy_with("stdio rpath", "r:/"));
	check(error == -EPERM || error == -ENOENT, "all paths are refused", "%d", error);
	error = refused_start(policy_with("stdio rpath", "r:/root"));
	check(error == -EPERM || error == -ENOENT, "a hidden path is refused", "%d", error);
	p = policy_with("stdio rpath", "");
	airlock_policy_connect(p, "tcp:127.0.0.1:80");
	error = refused_start(p);
	check(error == -EPERM, "an address more is refused", "%d", error);

	struct airlock_target *t = NULL;
	char text[64] = "";
	p = policy_with("stdio rpath", "");
	airlock_policy_limit(p, AIRLOCK_LIMIT_MEMORY, UINT64_C(1) << 40);
	error = airlock_start(&t, p, NULL, NULL, NULL);
	if (!error)
		airlock_call(t, "limits", NULL, 0, text, sizeof(text));
	check(strtoull(text, NULL, 10) == UINT64_C(2) << 30, "a limit is the smaller one", "%s %s", text,
		airlock_message());
	airlock_free(t);
	airlock_policy_free(p);
}

/* What was given up does not come back by a broker from before. */
void given_up(void)
{
	struct airlock_policy *p = policy_with("stdio rpath", "r:/etc");
	struct airlock_target *t = NULL;
	int error = airlock_start(&t, p, NULL, NULL, NULL);

	check(!error, "before it pledges it starts a target", "%s", airlock_message());
	airlock_free(t);
	error = airlock_pledge("stdio", NULL);
	int again = airlock_start(&t, p, NULL, NULL, NULL);
	check(!error && again == -EPERM, "after that it does not", "%d %d", error, again);
	if (!again)
		airlock_free(t);
	airlock_policy_free(p);
}

/* All count against the outermost limit of 10: this process, and each nested one with its init. */
void processes(void)
{
	struct airlock_policy *p = policy_with("stdio proc", "");
	struct airlock_target *a = NULL, *b = NULL;
	int error = airlock_start(&a, p, NULL, NULL, NULL);

	if (!error)
		error = airlock_start(&b, p, NULL, NULL, NULL);
	char room[64];
	ssize_t n = error ? 0 : airlock_call(a, "multiplies", NULL, 0, room, sizeof(room));
	check(n > 0 && n <= 5, "nested processes count against the outer limit", "%zd %s", n, airlock_message());
	n = error ? 0 : airlock_call(b, "multiplies", NULL, 0, room, sizeof(room));
	check(n == 0, "those of all nested targets", "%zd", n);
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	check(pid < 0, "and of the outer one", "it forks");
	airlock_free(a);
	airlock_free(b);
	airlock_policy_free(p);
}
