/* SPDX-License-Identifier: ISC */
/* The attacks that the hole in examples/buggy.c can be made to run: a file asks for one with a comment of the mark and
 * its number. contain.c, images.c and buggy.c share the numbers. */
#ifndef EXAMPLES_BUGGY_H
#define EXAMPLES_BUGGY_H

#define EXPLOIT_MARK "airlock-exploit: "

/* In the order of their numbers, from 1. */
#define EXPLOITS(EXPLOIT)                                                                                              \
	EXPLOIT(read_file)                                                                                             \
	EXPLOIT(list_directory)                                                                                        \
	EXPLOIT(connect_out)                                                                                           \
	EXPLOIT(make_process)                                                                                          \
	EXPLOIT(run_shell)                                                                                             \
	EXPLOIT(write_file)                                                                                            \
	EXPLOIT(kill_parent)                                                                                           \
	EXPLOIT(make_namespaces)                                                                                       \
	EXPLOIT(take_memory)                                                                                           \
	EXPLOIT(spin)                                                                                                  \
	EXPLOIT(crash)                                                                                                 \
	EXPLOIT(lie)

enum exploit {
	EXPLOIT_none,
#define EXPLOIT(name) EXPLOIT_##name,
	EXPLOITS(EXPLOIT)
#undef EXPLOIT
		EXPLOIT_COUNT
};
#endif
