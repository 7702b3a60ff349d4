/* SPDX-License-Identifier: ISC */
/* Owns what the names of hosts in rules stand for. Runs in the broker. */
#include "broker/names.h"

#include <errno.h>

int names_start(struct broker *b, const char *title)
{
	(void)b;
	(void)title;
	return 0;
}

int names_judge(struct request *r, const struct contact *to)
{
	(void)r;
	(void)to;
	return -EACCES;
}
