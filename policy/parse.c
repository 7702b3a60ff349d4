/* SPDX-License-Identifier: ISC */
/* Owns the reading of the policy language. Pure; runs in the host (a user's file), and in the broker, where the text of a
 * narrowing comes from the target: hostile bytes. */
#include "policy/internal.h"

#include "policy/promises.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct policy *p;
	unsigned (*layer_find)(const char *);
	char *at; /* the rest of the line, terminated; words are decoded and terminated in place */
	unsigned line;
	char *error;
	size_t len;
};

#define FAIL(r, ...) fail_with(r, -EINVAL, __VA_ARGS__)
static int fail_with(struct reader *r, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail_with(struct reader *r, int code, const char *format, ...)
{
	char text[320];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	policy_error(r->error, r->len, "line %u: %s", r->line, text);
	return code;
}

/* Another's error code in words. */
static int fail_code(struct reader *r, int code, const char *what)
{
	switch (code) {
	case -ENOMEM:
		return fail_with(r, code, "out of memory");
	case -E2BIG:
		return fail_with(r, code, "too many %ss", what);
	case -ENAMETOOLONG:
		return fail_with(r, code, "the %s is too long", what);
	default:
		return fail_with(r, code, "bad %s", what);
	}
}

static int digit(char c, unsigned base)
{
	int value = c >= '0' && c <= '9'   ? c - '0'
		    : c >= 'a' && c <= 'f' ? c - 'a' + 10
		    : c >= 'A' && c <= 'F' ? c - 'A' + 10
					   : 16;
	return value < (int)base ? value : -1;
}

/* What follows a backslash; *at is moved behind it. The byte, or -1. Never 0: that would end a path early. */
static int escape(const char **at)
{
	static const char names[] = "abfnrtv\\\"'?", bytes[] = "\a\b\f\n\r\t\v\\\"'?";
	char c = *(*at)++;
	const char *name = c ? strchr(names, c) : NULL;
	if (name)
		return bytes[name - names];
	unsigned base = c == 'x' ? 16 : 8, max = c == 'x' ? 2 : 3, value = 0, n = 0;
	if (c != 'x')
		(*at)--;
	for (; n < max && digit(**at, base) >= 0; n++)
		value = value * base + (unsigned)digit(*(*at)++, base);
	return n && value && value < 256 ? (int)value : -1;
}

/* at stands behind the opening quote; the word is decoded to where it stands. */
static int quoted(struct reader *r)
{
	const char *at = r->at;
	char *out = r->at;
	while (*at != '"') {
		if (!*at)
			return FAIL(r, "a quote is not closed");
		int c = (unsigned char)*at++;
		if (c == '\\' && (c = escape(&at)) < 0)
			return FAIL(r, "a bad escape in quotes; use those of C, and no NUL");
		*out++ = (char)c;
	}
	at++;
	if (*at && *at != ' ' && *at != '\t')
		return FAIL(r, "text follows a closing quote; quote the whole word");
	r->at += at - r->at + (*at != 0);
	*out = 0;
	return 1;
}

/* 1: *word is the next one; 0: the line has no more. */
static int next(struct reader *r, char **word)
{
	r->at += strspn(r->at, " \t");
	*word = r->at;
	if (!*r->at || *r->at == '#') {
		*r->at = 0;
		return 0;
	}
	if (*r->at == '"') {
		*word = ++r->at;
		return quoted(r);
	}
	size_t len = strcspn(r->at, " \t");
	for (size_t i = 0; i < len; i++)
		if (r->at[i] == '"' || (unsigned char)r->at[i] < ' ' || r->at[i] == 0x7f)
			return FAIL(r, "a %s in the word '%.64s'; put the whole word in quotes, as in C",
				r->at[i] == '"' ? "quote" : "control character", r->at);
	r->at += len;
	if (*r->at)
		*r->at++ = 0;
	return 1;
}

static int operand(struct reader *r, const char *what, char **word)
{
	int n = next(r, word);
	return n == 0 ? FAIL(r, "%s is missing", what) : n;
}

static int end(struct reader *r)
{
	char *word;
	int n = next(r, &word);
	return n > 0 ? FAIL(r, "'%.64s' is one word too many", word) : n;
}

static int parse_promises(struct reader *r, uint64_t *set)
{
	const char *words[PROMISE_COUNT + 1];
	char *word, hint[64];
	int n;
	for (unsigned i = 0; i <= PROMISE_COUNT; i++)
		words[i] = i < PROMISE_COUNT ? promise_name(i) : NULL;
	while ((n = next(r, &word)) > 0) {
		unsigned i = 0;
		while (words[i] && strcmp(words[i], word) != 0)
			i++;
		if (!words[i])
			return FAIL(r, "unknown promise '%.64s'%s", word, policy_hint(word, words, hint));
		*set |= UINT64_C(1) << i;
	}
	return n;
}

static int parse_pledge(struct reader *r)
{
	return parse_promises(r, &r->p->promises);
}

static int parse_exec(struct reader *r)
{
	if (!r->p->exec_given)
		r->p->exec_promises = 0;
	r->p->exec_given = true;
	return parse_promises(r, &r->p->exec_promises);
}

/* PATH PERMS [name]: perms may hold the letter l, once. */
static int parse_unveil(struct reader *r)
{
	char *path, *text, *word, *loader;
	unsigned perms = 0;
	int n = operand(r, "a path", &path);
	if (n < 0 || (n = operand(r, "the permissions of the path", &text)) < 0)
		return n;
	if ((loader = strchr(text, 'l')))
		memmove(loader, loader + 1, strlen(loader));
	if (policy_perms_parse(text, &perms) < 0)
		return FAIL(r, "bad permissions '%.64s'; use letters of rwxc and d, or \"\" to hide", text);
	if ((n = next(r, &word)) < 0)
		return n;
	bool name = n > 0;
	if (name && strcmp(word, "name") != 0)
		return FAIL(r, "'%.64s' is one word too many", word);
	if ((n = end(r)) < 0)
		return n;
	n = policy_unveil_raw(r->p, path, perms | (loader ? PERM_LOADER : 0u), name);
	return n < 0 ? fail_code(r, n, "path") : 0;
}

static int parse_address(struct reader *r, bool bind)
{
	char *text, error[280];
	int n = operand(r, "an address", &text);
	if (n < 0 || (n = end(r)) < 0)
		return n;
	n = policy_address_add(r->p, text, bind, error, sizeof(error));
	return n < 0 ? fail_with(r, n, "%s", error) : 0;
}

static int parse_connect(struct reader *r)
{
	return parse_address(r, false);
}

static int parse_bind(struct reader *r)
{
	return parse_address(r, true);
}

static int parse_limit(struct reader *r)
{
	const char *words[LIMIT_COUNT + 1] = {0};
	uint64_t any;
	char *name, *value, hint[64];
	int n = operand(r, "the name of a limit", &name);
	if (n < 0)
		return n;
	for (int i = 0; i < LIMIT_COUNT; i++)
		words[i] = policy_limit_name((enum policy_limit)i);
	int limit = policy_limit_find(name);
	if (limit < 0)
		return FAIL(r, "unknown limit '%.64s'%s", name, policy_hint(name, words, hint));
	if ((n = operand(r, "the value of the limit", &value)) < 0 || (n = end(r)) < 0)
		return n;
	if (policy_limit_parse((enum policy_limit)limit, value, &r->p->limits[limit]) < 0)
		return FAIL(r, "bad value '%.64s' for %s; use %s", value, name,
			policy_limit_parse((enum policy_limit)limit, "1s", &any) == 0   ? "10s, 200ms, 5m or 1h"
			: policy_limit_parse((enum policy_limit)limit, "1K", &any) == 0 ? "bytes, or 512K, 512M, 2G"
											: "a number");
	return 0;
}

static int parse_env(struct reader *r)
{
	char *word;
	int n = operand(r, "a variable", &word);
	if (n < 0 || (n = end(r)) < 0)
		return n;
	n = policy_env_add(r->p, word);
	return n < 0 ? fail_code(r, n, "variable") : 0;
}

static int parse_tolerate(struct reader *r)
{
	/* Only for the hint, and only those that layer_find knows. */
	static const char *const layers[] = {"namespaces", "user", "pid", "mount", "network", "ipc", "uts", "cgroup",
		"root", "capabilities", "no_new_privs", "no-new-privs", "dumpable", "landlock", "seccomp", "limits",
		"session"};
	const char *words[sizeof(layers) / sizeof(layers[0]) + 1] = {0};
	char *word, hint[64];
	size_t known = 0;
	int n = operand(r, "a layer", &word);
	for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); i++)
		if (r->layer_find && r->layer_find(layers[i]))
			words[known++] = layers[i];
	for (; n > 0; n = next(r, &word)) {
		unsigned bits = r->layer_find ? r->layer_find(word) : 0;
		if (!bits)
			return FAIL(r, "unknown layer '%.64s'%s", word, policy_hint(word, words, hint));
		r->p->tolerate |= bits;
	}
	return n;
}

static int parse_on_violation(struct reader *r)
{
	static const char *const words[] = {"errno", "kill", "abort", NULL};
	char *word, hint[64];
	int n = operand(r, "errno, kill or abort", &word);
	if (n < 0)
		return n;
	r->p->kill = strcmp(word, "kill") == 0;
	r->p->abort = strcmp(word, "abort") == 0;
	if (!r->p->kill && !r->p->abort && strcmp(word, "errno") != 0)
		return FAIL(r, "unknown answer '%.64s' to a violation%s", word, policy_hint(word, words, hint));
	return end(r);
}

static int parse_state(struct reader *r)
{
	char *word;
	int n = operand(r, "a word", &word);
	if (n < 0)
		return n;
	if (strcmp(word, "everything") == 0)
		r->p->everything = true;
	else if (strcmp(word, "locked") == 0)
		r->p->locked = true;
	else if (strcmp(word, "any-address") == 0)
		r->p->any_address = true;
	else if (strcmp(word, "pledged") == 0)
		r->p->pledged = true;
	else
		return FAIL(r, "unknown state '%.64s'", word);
	return end(r);
}

static const struct {
	const char *word;
	int (*parse)(struct reader *r);
} statements[] = {
	{"pledge", parse_pledge},
	{"exec", parse_exec},
	{"unveil", parse_unveil},
	{"connect", parse_connect},
	{"bind", parse_bind},
	{"limit", parse_limit},
	{"env", parse_env},
	{"tolerate", parse_tolerate},
	{"on-violation", parse_on_violation},
	{"state", parse_state},
};
#define STATEMENTS (sizeof(statements) / sizeof(statements[0]))

static int parse_line(struct reader *r)
{
	const char *words[STATEMENTS + 1] = {0};
	char *word, hint[64];
	int n = next(r, &word);
	if (n <= 0)
		return n;
	for (size_t i = 0; i < STATEMENTS; i++) {
		words[i] = statements[i].word;
		if (strcmp(words[i], word) == 0)
			return statements[i].parse(r);
	}
	return FAIL(r, "unknown word '%.64s'%s", word, policy_hint(word, words, hint));
}

static int parse_text(struct reader *r, char *text)
{
	for (r->line = 1; *text; r->line++) {
		size_t len = strcspn(text, "\n");
		bool last = !text[len];
		if (len > POLICY_LINE_BYTES)
			return FAIL(r, "the line is longer than %d bytes", POLICY_LINE_BYTES);
		text[len] = 0;
		if (len && text[len - 1] == '\r')
			text[len - 1] = 0;
		r->at = text;
		int n = parse_line(r);
		if (n < 0)
			return n;
		text += len + !last;
	}
	return 0;
}

int policy_parse(struct policy *p, const char *text, unsigned (*layer_find)(const char *), char *error, size_t len)
{
	struct policy grown;
	struct reader r = {.p = &grown, .layer_find = layer_find, .error = error, .len = len};
	char *copy = strdup(text);
	int n = copy ? policy_copy(&grown, p) : -ENOMEM;
	if (n < 0) {
		policy_error(error, len, "out of memory");
		free(copy);
		return n;
	}
	n = parse_text(&r, copy);
	free(copy);
	if (n == 0) {
		struct policy old = *p;
		*p = grown;
		grown = old;
	}
	policy_clear(&grown);
	return n;
}
