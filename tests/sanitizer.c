/* SPDX-License-Identifier: ISC */
/* What the sanitizers' run time is to do in tests: compiled in, since brokers and targets get no environment. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__ubsan_default_options(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	/* Leaks are looked for by ptrace, which no target may do. */
	return "detect_leaks=0:handle_segv=0:handle_abort=0:abort_on_error=1:disable_coredump=1";
}

__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
	return "halt_on_error=1:handle_segv=0";
}

__attribute__((visibility("default"))) const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:print_stacktrace=1";
}
