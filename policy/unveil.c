/* SPDX-License-Identifier: ISC */
/* Owns the rules about paths: how they are kept and which one decides. Pure; runs in the broker for each request. */
#include "policy/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PERMS_VISIBLE (PERM_R | PERM_W | PERM_X | PERM_C)
#define PERMS_ALL (PERMS_VISIBLE | PERM_D | PERM_LOADER)

static const struct {
	char letter;
	uint8_t perm;
} letters[] = {{'r', PERM_R}, {'w', PERM_W}, {'x', PERM_X}, {'c', PERM_C}, {'d', PERM_D}, {'l', PERM_LOADER}};
#define LETTERS (sizeof(letters) / sizeof(letters[0]))

int policy_perms_parse(const char *text, unsigned *perms)
{
	unsigned bits = 0;
	if (strnlen(text, 6) > 5)
		return -ENAMETOOLONG;
	for (; *text; text++) {
		size_t i = 0;
		/* The last letter is for policy_format() alone. */
		while (i < LETTERS - 1 && letters[i].letter != *text)
			i++;
		if (i == LETTERS - 1)
			return -EINVAL;
		bits |= letters[i].perm;
	}
	*perms = bits;
	return 0;
}

const char *policy_perms_format(unsigned perms, char buf[8])
{
	char *at = buf;
	for (size_t i = 0; i < LETTERS; i++)
		if (perms & letters[i].perm)
			*at++ = letters[i].letter;
	*at = 0;
	return buf;
}

void policy_unveils_free(struct unveil *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i].path);
	free(list);
}

/* Whether path has ".." as a component. */
static bool climbs(const char *path)
{
	for (const char *at = path; *at; at += strspn(at, "/")) {
		size_t len = strcspn(at, "/");
		if (len == 2 && at[0] == '.' && at[1] == '.')
			return true;
		at += len;
	}
	return false;
}

/* Takes "//", "/." and the last "/" out of an absolute path, in place. */
static void collapse(char *path)
{
	char *out = path;
	for (const char *at = path; *at;) {
		at += strspn(at, "/");
		size_t len = strcspn(at, "/");
		if (len && !(len == 1 && *at == '.')) {
			*out++ = '/';
			memmove(out, at, len);
			out += len;
		}
		at += len;
	}
	if (out == path)
		*out++ = '/';
	*out = 0;
}

bool policy_canonical(const char *path)
{
	if (*path != '/')
		return false;
	if (!path[1])
		return true;
	while (*path) {
		path++;
		size_t len = strcspn(path, "/");
		if (len == 0 || (len <= 2 && path[0] == '.' && path[len - 1] == '.'))
			return false;
		path += len;
	}
	return true;
}

/* The order of rule and the first len bytes of path. */
static int compare(const struct unveil *rule, const char *path, size_t len)
{
	int order = strncmp(rule->path, path, len);
	return order ? order : rule->path[len] != 0;
}

/* How many of the first count rules come before path, or are of path itself (the name rule first). */
static size_t not_after(const struct policy *p, size_t count, const char *path, size_t len)
{
	size_t low = 0;
	while (low < count) {
		size_t middle = low + (count - low) / 2;
		if (compare(&p->unveils[middle], path, len) <= 0)
			low = middle + 1;
		else
			count = middle;
	}
	return low;
}

static size_t rule_index(const struct policy *p, const char *path, bool name, bool *found)
{
	size_t len = strlen(path), end = not_after(p, p->unveil_count, path, len);
	*found = false;
	for (; end > 0 && compare(&p->unveils[end - 1], path, len) == 0; end--) {
		*found = p->unveils[end - 1].name == name;
		if (*found)
			return end - 1;
		if (!name)
			break; /* goes behind the name rule */
	}
	return end;
}

static void rule_remove(struct policy *p, size_t i)
{
	free(p->unveils[i].path);
	p->unveil_count--;
	memmove(&p->unveils[i], &p->unveils[i + 1], (p->unveil_count - i) * sizeof(*p->unveils));
}

/* Takes path. */
static int rule_set(struct policy *p, char *path, unsigned perms, bool name)
{
	bool found;
	size_t i = rule_index(p, path, name, &found);
	if (found) {
		free(path);
		p->unveils[i].perms = (uint8_t)perms;
		return 0;
	}
	struct unveil *grown = NULL;
	if (p->unveil_count < POLICY_UNVEILS_MAX)
		grown = reallocarray(p->unveils, p->unveil_count + 1, sizeof(*grown));
	if (!grown) {
		free(path);
		return p->unveil_count < POLICY_UNVEILS_MAX ? -ENOMEM : -E2BIG;
	}
	p->unveils = grown;
	memmove(&grown[i + 1], &grown[i], (p->unveil_count - i) * sizeof(*grown));
	grown[i] = (struct unveil){path, (uint8_t)perms, name};
	p->unveil_count++;
	return 0;
}

static int path_copy(const char *path, char **out)
{
	if (strnlen(path, POLICY_PATH_BYTES + 1) > POLICY_PATH_BYTES)
		return -ENAMETOOLONG;
	*out = strdup(path);
	if (!*out)
		return -ENOMEM;
	/* What ".." means is known only to who can look at links. */
	if (**out == '/' && !climbs(*out))
		collapse(*out);
	return 0;
}

int policy_unveil_raw(struct policy *p, const char *path, unsigned perms, bool name)
{
	char *copy;
	if (!*path || (perms & ~(unsigned)PERMS_ALL))
		return -EINVAL;
	int r = path_copy(path, &copy);
	return r < 0 ? r : rule_set(p, copy, perms, name);
}

int policy_unveil(struct policy *p, const char *path, unsigned perms, bool name)
{
	char *copy;
	if (*path != '/' || climbs(path))
		return -EINVAL;
	int r = path_copy(path, &copy);
	if (r < 0)
		return r;
	/* The object is now of the other kind: its old rule would go on granting. */
	bool found;
	size_t other = rule_index(p, copy, !name, &found);
	if (found && (perms & ~(unsigned)PERMS_ALL) == 0) {
		bool both;
		rule_index(p, copy, name, &both);
		if (both) {
			rule_remove(p, other);
		} else {
			free(copy);
			p->unveils[other].perms = (uint8_t)perms;
			p->unveils[other].name = name;
			return 0;
		}
	}
	r = policy_unveil_raw(p, copy, perms, name);
	free(copy);
	return r;
}

/* How many bytes of path the rule's path shares from the start. */
static size_t shared(const char *rule, const char *path, size_t len)
{
	size_t n = 0;
	while (n < len && rule[n] == path[n])
		n++;
	return n;
}

/* The nearest rule at path (of len bytes) or above it; a name rule only when names, and only at path itself.
 *
 * The rule that sorts last among those not after path begins with every rule's path that is a prefix of path, so what
 * the two do not share need not be looked at again: one or two searches decide nearly always. */
static const struct unveil *nearest(const struct policy *p, const char *path, size_t len, bool names)
{
	size_t count = p->unveil_count, key = len;
	while ((count = not_after(p, count, path, key))) {
		const struct unveil *rule = &p->unveils[count - 1];
		size_t same = shared(rule->path, path, key);
		if (same == key && !rule->path[key]) {
			if (names && key == len && count > 1 && rule[-1].name && strcmp(rule[-1].path, rule->path) == 0)
				return rule - 1;
			if (!rule->name || (names && key == len))
				return rule;
			count--;
			same = key - 1;
		}
		/* The longest directory above key that lies within what is shared. */
		if (key <= 1)
			return NULL;
		if (same >= key)
			same = key - 1;
		while (same > 0 && path[same] != '/')
			same--;
		key = same ? same : 1;
	}
	return NULL;
}

const struct unveil *policy_find(const struct policy *p, const char *path)
{
	return nearest(p, path, strlen(path), true);
}

unsigned policy_perms_at(const struct policy *p, const char *path)
{
	const struct unveil *rule = nearest(p, path, strlen(path), true);
	return rule ? rule->perms : p->everything ? PERMS_ALL : 0u;
}

unsigned policy_perms_below(const struct policy *p, const char *path)
{
	const struct unveil *rule = nearest(p, path, strlen(path), false);
	return rule ? rule->perms : p->everything ? PERMS_ALL : 0u;
}

bool policy_below(const struct policy *p, const char *path)
{
	size_t len = strlen(path), low = 0, high = p->unveil_count;
	if (len == 1) /* "/" */
		len = 0;
	/* The first rule after "PATH/": its children sort together. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *rule = p->unveils[middle].path;
		int order = strncmp(rule, path, len);
		if (order == 0)
			order = (unsigned char)rule[len] - '/';
		if (order < 0 || (order == 0 && !rule[len + 1]))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == p->unveil_count)
		return false;
	const char *rule = p->unveils[low].path;
	return strncmp(rule, path, len) == 0 && rule[len] == '/';
}

int policy_judge(const struct policy *p, const char *path, unsigned need, const struct unveil **rule)
{
	const struct unveil *found = policy_find(p, path);
	if (rule)
		*rule = found;
	if (!found)
		return p->everything ? 0 : -ENOENT;
	/* unveil(2) on OpenBSD hides directories; a name that has nothing is refused. */
	if (!(found->perms & PERMS_VISIBLE))
		return found->name && p->abort ? -EACCES : -ENOENT;
	return need & ~(unsigned)found->perms ? -EACCES : 0;
}
