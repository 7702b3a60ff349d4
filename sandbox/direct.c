/* SPDX-License-Identifier: ISC */
/*
 * Owns the decision whether the kernel can resolve a target's paths itself. Runs in the broker before it confines itself.
 *
 * A filter cannot see a path, so either every open for reading runs in the target's own root or none does. So the trees
 * are direct only when everything that the policy lets be read is: a rule with r that has no d, or a part of a tree that
 * another rule hides, sends all of it to the broker, and the note says why.
 */
#include "sandbox/direct.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what is asked for, and why it may be impossible ---- */

static const struct unveil *first_direct(const struct policy *p)
{
	for (size_t i = 0; i < p->unveil_count; i++)
		if (p->unveils[i].perms & PERM_D)
			return &p->unveils[i];
	return NULL;
}

bool direct_asked(const struct policy *p)
{
	return first_direct(p) != NULL;
}

static void note(struct direct *d, const char *path, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void note(struct direct *d, const char *path, const char *format, ...)
{
	char why[240];
	va_list args;
	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	snprintf(d->note, sizeof(d->note), "%.100s: direct is not possible (%s); served by the broker", path, why);
}

/* mountinfo writes blanks, tabs, newlines and backslashes as octal escapes. */
static void unescape(char *s)
{
	char *to = s;
	for (; *s; s++)
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	*to = 0;
}

/* Whether a procfs is mounted on path or below: it would show processes of the broker's namespace. */
static bool holds_proc(const struct broker *b, const char *path)
{
	int fd = openat(b->proc, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t cap = 0;
	bool found = !f;
	while (!found && getline(&line, &cap, f) > 0) {
		char *type = strstr(line, " - "), *save, *field = strtok_r(line, " ", &save);
		for (int i = 0; field && i < 4; i++)
			field = strtok_r(NULL, " ", &save);
		if (!type || !field)
			continue;
		unescape(field);
		found = strncmp(type + 3, "proc ", 5) == 0 && direct_within(field, path);
	}
	free(line);
	if (f)
		fclose(f);
	else if (fd >= 0)
		close(fd);
	return found;
}

/* A rule whose tree shows, natively, what another rule hides. */
static const struct unveil *hole_in(const struct policy *p, const struct unveil *tree)
{
	for (size_t i = 0; i < p->unveil_count; i++)
		if (&p->unveils[i] != tree && !(p->unveils[i].perms & PERM_R) &&
			direct_within(p->unveils[i].path, tree->path))
			return &p->unveils[i];
	return NULL;
}

/* Whether a rule's name, in its parent, is a regular file by now. */
static bool is_file(const struct anchor *a, bool *there)
{
	struct stat st;
	int fd = a->fd < 0 || !a->name ? -1 : open_beneath(a->fd, a->name, O_PATH | O_NOFOLLOW, 0, 0);
	*there = fd >= 0 && fstat(fd, &st) == 0;
	if (fd >= 0)
		close(fd);
	return *there && S_ISREG(st.st_mode);
}

static bool rule_possible(struct direct *d, const struct broker *b, const struct unveil *rule)
{
	const struct policy *p = &b->policy;
	const struct anchor *a = &b->anchors[rule - p->unveils];
	const struct unveil *hole = rule->name ? NULL : hole_in(p, rule);
	bool there = a->fd >= 0, file = rule->name && is_file(a, &there);
	if (!rule->path[1])
		note(d, rule->path, "it would be all of the root, /proc too");
	else if (hole)
		note(d, rule->path, "%s in it is not to be read", hole->path);
	else if (!there)
		note(d, rule->path, "it is not there");
	else if (rule->name && !file)
		note(d, rule->path, "it is neither a directory nor a regular file");
	else if (!rule->name && holds_proc(b, rule->path))
		note(d, rule->path, "a procfs is mounted in it");
	else
		return true;
	return false;
}

/* Whether all that is to be read can be direct; d->note says why not. */
static bool possible(struct direct *d, const struct broker *b)
{
	const struct policy *p = &b->policy;
	const char *first = first_direct(p)->path;
	bool any = false;
	if (b->in_place || !b->private_mounts) {
		note(d, first,
			b->in_place ? "a process in place has no mount namespace of its own"
				    : "there is no mount namespace");
		return false;
	}
	if (landlock_abi() <= 0) {
		note(d, first, "there is no Landlock");
		return false;
	}
	if (!(p->promises & PROMISE_BIT(rpath))) {
		note(d, first, "nothing is read without the promise rpath");
		return false;
	}
	if (policy_executes(p) && p->exec_given && !(p->exec_promises & PROMISE_BIT(rpath))) {
		note(d, first, "the exec promises lack rpath");
		return false;
	}
	for (size_t i = 0; i < p->unveil_count; i++) {
		const struct unveil *rule = &p->unveils[i];
		const struct unveil *hole = rule->perms & PERM_LOADER && !rule->name ? hole_in(p, rule) : NULL;
		if (hole && !(hole->perms & PERM_LOADER)) {
			note(d, first, "the loader's %s would show %s", rule->path, hole->path);
			return false;
		}
		if (!(rule->perms & PERM_R)) {
			if (rule->perms & PERM_D)
				note(d, rule->path, "it is not to be read");
			continue;
		}
		if (!(rule->perms & PERM_D)) {
			note(d, first, "%s may be read and has no d", rule->path);
			return false;
		}
		if (!in_proc(rule->path) && !rule_possible(d, b, rule))
			return false;
		any = true;
	}
	return any;
}

/* ---- the plan ---- */

int direct_plan(struct direct *d, const struct broker *b, const char *cwd)
{
	*d = (struct direct){.on = false};
	if (!first_direct(&b->policy) || !possible(d, b))
		return 0;
	int r = direct_entries_make(d, b, cwd);
	d->on = r == 0;
	if (r < 0)
		direct_give_up(d, b,
			r == -E2BIG    ? "it takes too many mounts"
			: r == -ESTALE ? "it was replaced just now"
				       : strerror(-r));
	return r == -ENOMEM ? r : 0;
}

void direct_give_up(struct direct *d, const struct broker *b, const char *why)
{
	direct_entries_free(d);
	d->on = false;
	note(d, first_direct(&b->policy)->path, "%s", why);
}
