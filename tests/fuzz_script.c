/* SPDX-License-Identifier: ISC */
/* Fuzz target for the first lines of scripts: whatever they hold, what is taken out of them lies in the line, is a part of
 * it, and ends there; and they are read as a second, plain reading says. */
#include "broker/script.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(yes) ((yes) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #yes), abort()))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static void inside(const char *line, const char *text)
{
	REQUIRE(text >= line + 2 && text < line + SCRIPT_LINE);
	REQUIRE(memchr(text, 0, (size_t)(line + SCRIPT_LINE + 1 - text)));
	REQUIRE(!strchr(text, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = calloc(1, SCRIPT_LINE + 1), *interpreter = NULL, *argument = NULL;
	size_t len = size > SCRIPT_LINE ? SCRIPT_LINE : size;
	memcpy(line, data, len);
	bool script = len > 1 && data[0] == '#' && data[1] == '!';
	int r = script_parse(line, &interpreter, &argument);
	REQUIRE(script ? r != 0 : r == 0);
	if (r == 1) {
		inside(line, interpreter);
		REQUIRE(!blank(interpreter[0]));
		for (const char *c = line + 2; c < interpreter; c++)
			REQUIRE(blank(*c));
		for (const char *c = interpreter; *c; c++)
			REQUIRE(!blank(*c));
		REQUIRE(memcmp(interpreter, data + (interpreter - line), strlen(interpreter)) == 0);
	}
	if (r == 1 && argument) {
		inside(line, argument);
		REQUIRE(argument > interpreter + strlen(interpreter) && !blank(argument[0]));
		REQUIRE(memcmp(argument, data + (argument - line), strlen(argument)) == 0);
	}
	free(line);
	return 0;
}
