/* SPDX-License-Identifier: ISC */
/* Owns the policy object of the public interface: checks arguments, resolves paths, and remembers descriptors. What the
 * policy means is in policy/. Runs in the host. */
#include "sandbox/sandbox.h"

#include "broker/names.h"
#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

unsigned layer_find(const char *word)
{
	if (strcmp(word, "namespaces") == 0)
		return AIRLOCK_LAYERS_NAMESPACES;
	for (unsigned bit = 1; bit <= AIRLOCK_LAYERS_ALL; bit <<= 1) {
		const char *name = airlock_layer_name(bit);
		if (name && strcmp(name, word) == 0)
			return bit;
	}
	return 0;
}

/* The policy changed: brokers that run keep the old one, the next start makes a new one. */
static void changed(struct airlock_policy *policy)
{
	pthread_mutex_lock(&policy->lock);
	broker_handle_free(policy->handle);
	policy->handle = NULL;
	pthread_mutex_unlock(&policy->lock);
}

static struct airlock_policy *allocate(void)
{
	struct airlock_policy *policy = calloc(1, sizeof(*policy));
	if (!policy)
		return NULL;
	policy_init(&policy->p);
	policy->log = -1;
	pthread_mutex_init(&policy->lock, NULL);
	return policy;
}

PUBLIC void airlock_policy_free(struct airlock_policy *policy)
{
	if (!policy)
		return;
	broker_handle_free(policy->handle);
	policy_clear(&policy->p);
	pthread_mutex_destroy(&policy->lock);
	free(policy);
}

static int parse_promises(const char *text, uint64_t *set)
{
	const char *bad = NULL;
	int r = promises_parse(text, set, &bad);
	if (r == -EINVAL && bad) {
		const char *words[PROMISE_COUNT + 1];
		for (unsigned i = 0; i <= PROMISE_COUNT; i++)
			words[i] = promise_name(i);
		char word[32];
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(bad, " "), bad);
		const char *near = policy_nearest(word, words);
		return fail(r, near ? "unknown promise '%s'; did you mean '%s'?" : "unknown promise '%s'", word,
			near ? near : "");
	}
	return r < 0 ? fail(r, "the promises are too long") : 0;
}

PUBLIC int airlock_policy_new(struct airlock_policy **out, const char *promises)
{
	uint64_t set;
	int r = parse_promises(promises, &set);
	if (r < 0)
		return r;
	struct airlock_policy *policy = allocate();
	if (!policy)
		return fail(-ENOMEM, "out of memory");
	policy->p.promises = set;
	*out = policy;
	return 0;
}

/* The canonical path of what path names now; of a missing last component, its parent's and the name. */
static int canonical(const char *path, char out[PATH_MAX], bool *name)
{
	struct stat st;
	if (realpath(path, out)) {
		*name = stat(out, &st) == 0 && !S_ISDIR(st.st_mode);
		return 0;
	}
	if (errno != ENOENT)
		return fail(-errno, "unveil %s: %s", path, strerror(errno));
	char copy[PATH_MAX];
	size_t len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len >= sizeof(copy))
		return fail(-ENAMETOOLONG, "unveil: the path is too long");
	memcpy(copy, path, len);
	copy[len] = 0;
	char *slash = strrchr(copy, '/');
	const char *last = slash ? slash + 1 : copy;
	if (!*last || strcmp(last, "..") == 0 || strcmp(last, ".") == 0)
		return fail(-ENOENT, "unveil %s: no such directory", path);
	char parent[PATH_MAX];
	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - copy) : 1, slash ? copy : ".");
	if (slash == copy)
		strcpy(parent, "/");
	char resolved[PATH_MAX];
	if (!realpath(parent, resolved))
		return fail(-errno, "unveil %s: %s: %s", path, parent, strerror(errno));
	int n = snprintf(out, PATH_MAX, "%s/%s", strcmp(resolved, "/") ? resolved : "", last);
	if (n >= PATH_MAX)
		return fail(-ENAMETOOLONG, "unveil: the path is too long");
	*name = true;
	return 0;
}

static int unveil_resolved(struct policy *p, const char *path, unsigned perms)
{
	char resolved[PATH_MAX];
	bool name = false;
	int r = canonical(path, resolved, &name);
	/* A target need not see all the way to what it was shown. Its broker does, and resolves paths in any case. */
	if (r < 0 && nested_inside())
		r = policy_unveil_raw(p, path, perms, false);
	else if (r == 0)
		r = policy_unveil(p, resolved, perms, name);
	else
		return r;
	return r < 0 ? fail(r, "unveil %s: %s", path, strerror(-r)) : 0;
}

PUBLIC int airlock_policy_unveil(struct airlock_policy *policy, const char *path, const char *permissions)
{
	unsigned perms;
	int r = policy_perms_parse(permissions, &perms);
	if (r < 0)
		return fail(r, "unveil %s: bad permissions '%s'; use letters of rwxc", path, permissions);
	r = unveil_resolved(&policy->p, path, perms);
	if (r == 0)
		changed(policy);
	return r;
}

PUBLIC int airlock_policy_parse(struct airlock_policy **out, const char *text)
{
	struct airlock_policy *policy = allocate();
	if (!policy)
		return fail(-ENOMEM, "out of memory");
	char error[400] = "";
	struct policy raw;
	policy_init(&raw);
	int r = policy_parse(&raw, text, layer_find, error, sizeof(error));
	if (r < 0)
		fail(r, "%s", error);
	if (r == 0) {
		/* Paths as written become objects: resolved from here on. */
		struct unveil *rules = raw.unveils;
		size_t count = raw.unveil_count;
		raw.unveils = NULL;
		raw.unveil_count = 0;
		r = policy_copy(&policy->p, &raw);
		for (size_t i = 0; i < count; i++) {
			if (r == 0)
				r = unveil_resolved(&policy->p, rules[i].path, rules[i].perms);
			free(rules[i].path);
		}
		free(rules);
	}
	policy_clear(&raw);
	if (r < 0) {
		airlock_policy_free(policy);
		return r;
	}
	*out = policy;
	return 0;
}

static int add_address(struct airlock_policy *policy, const char *address, bool bind)
{
	char error[300] = "";
	int r = policy_address_add(&policy->p, address, bind, error, sizeof(error));
	if (r < 0)
		return fail(r, "%s", error);
	changed(policy);
	return 0;
}

PUBLIC int airlock_policy_connect(struct airlock_policy *policy, const char *address)
{
	return add_address(policy, address, false);
}

PUBLIC int airlock_policy_bind(struct airlock_policy *policy, const char *address)
{
	return add_address(policy, address, true);
}

_Static_assert((int)AIRLOCK_REFUSE == DECISION_REFUSE && (int)AIRLOCK_ALLOW_ONCE == DECISION_ONCE &&
		       (int)AIRLOCK_ALLOW_TARGET == DECISION_TARGET,
	"answers go as they are");

PUBLIC int airlock_policy_ask(struct airlock_policy *policy, airlock_ask ask, void *arg)
{
	/* What a target allows its own targets would have to be held against all that was allowed around it. */
	if (ask && nested_inside())
		return fail(-EPERM, "a target answers no questions of its own targets: only rules say what they may");
	policy->ask = ask;
	policy->ask_arg = arg;
	changed(policy);
	return 0;
}

PUBLIC int airlock_policy_limit(struct airlock_policy *policy, enum airlock_limit limit, uint64_t value)
{
	if (!policy_limit_fits((enum policy_limit)limit, value))
		return fail(-EINVAL, "%s", limit == AIRLOCK_LIMIT_WEIGHT ? "a weight is 1 to 10000" : "no such limit");
	policy->p.limits[limit] = value;
	changed(policy);
	return 0;
}

PUBLIC int airlock_policy_pass(struct airlock_policy *policy, int fd, int as)
{
	struct stat st;
	if (as < 0 || as > FD_PASS_MAX || (as > 2 && as < 10))
		return fail(-EINVAL, "a descriptor can be passed as 0 to 2 or 10 to %d", FD_PASS_MAX);
	if (policy->pass_count == PASS_MAX)
		return fail(-E2BIG, "at most %d descriptors can be passed", PASS_MAX);
	if (fstat(fd, &st) < 0)
		return fail(-EBADF, "descriptor %d is not open", fd);
	if (S_ISDIR(st.st_mode))
		return fail(-EISDIR, "descriptor %d is a directory, which would lead to all above it: unveil it", fd);
	policy->pass[policy->pass_count].fd = fd;
	policy->pass[policy->pass_count++].as = as;
	return 0;
}

PUBLIC int airlock_policy_env(struct airlock_policy *policy, const char *assignment)
{
	if (!*assignment || *assignment == '=')
		return fail(-EINVAL, "an environment variable needs a name");
	return policy_env_add(&policy->p, assignment);
}

PUBLIC int airlock_policy_tolerate(struct airlock_policy *policy, unsigned layers)
{
	if (layers & ~AIRLOCK_LAYERS_ALL)
		return fail(-EINVAL, "no such layer");
	policy->p.tolerate |= layers;
	changed(policy);
	return 0;
}

PUBLIC int airlock_policy_on_violation(struct airlock_policy *policy, enum airlock_violation violation)
{
	if (violation != AIRLOCK_VIOLATION_ERRNO && violation != AIRLOCK_VIOLATION_KILL &&
		violation != AIRLOCK_VIOLATION_ABORT)
		return fail(-EINVAL, "no such answer to a violation");
	policy->p.kill = violation == AIRLOCK_VIOLATION_KILL;
	policy->p.abort = violation == AIRLOCK_VIOLATION_ABORT;
	changed(policy);
	return 0;
}

PUBLIC int airlock_policy_exec(struct airlock_policy *policy, const char *promises)
{
	uint64_t set = 0;
	if (promises) {
		int r = parse_promises(promises, &set);
		if (r < 0)
			return r;
	}
	policy->p.exec_given = promises != NULL;
	policy->p.exec_promises = set;
	changed(policy);
	return 0;
}

PUBLIC int airlock_policy_log(struct airlock_policy *policy, int fd)
{
	if (fcntl(fd, F_GETFD) < 0)
		return fail(-EBADF, "descriptor %d is not open", fd);
	policy->log = fd;
	changed(policy);
	return 0;
}
