/* SPDX-License-Identifier: ISC */
/* The two calls of programs that are built without airlock, for comparison. Forced into their sources by build.sh. */
#ifndef NATIVE_H
#define NATIVE_H
static inline int pledge(const char *promises, const char *exec_promises)
{
	(void)promises;
	(void)exec_promises;
	return 0;
}
static inline int unveil(const char *path, const char *permissions)
{
	(void)path;
	(void)permissions;
	return 0;
}
#endif
