/* SPDX-License-Identifier: ISC */
/* Owns the entrance: which role this process has, and the functions that a target can run. Runs in every role. */
#include "sandbox/sandbox.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

struct airlock_symbol *symbols;

PUBLIC void airlock_register(struct airlock_symbol *symbol)
{
	symbol->next = symbols;
	symbols = symbol;
}

const struct airlock_symbol *symbol_find(const char *name)
{
	for (const struct airlock_symbol *s = symbols; s; s = s->next)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

PUBLIC int airlock_init(int argc, char **argv)
{
	/* secure_getenv: whoever runs a set-user-id program must not choose its role. */
	const char *role = secure_getenv(ROLE_VARIABLE);
	int r = image_remember(argc, argv);
	/* In a target the image may be hidden; it is not needed there. */
	if (r < 0 && nested_inside())
		r = 0;
	if (role && strcmp(role, "target") == 0) {
		title_init(argc, argv, environ);
		role_target(false);
	}
	/* Not believed of a process that is not confined: the door would stay open. */
	if (role && strcmp(role, "guest") == 0 && nested_inside()) {
		title_init(argc, argv, environ);
		role_target(true);
	}
	return r;
}
