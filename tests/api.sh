#!/bin/sh
# SPDX-License-Identifier: ISC
# api.sh BUILD: what is promised to those who compile and link: the header alone, the symbols, the installed files; and
# what the folders promise each other.
set -u
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.." || exit 1
. tests/tap.sh
prefix="api: "
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/use.c" <<'USE'
#include <airlock.h>
static ssize_t decode(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	return 0;
}
AIRLOCK_FUNCTION(decode)
static int renderer(struct airlock_target *host, int argc, char **argv)
{
	(void)host, (void)argc, (void)argv;
	return 0;
}
AIRLOCK_ENTRY(renderer)
int main(int argc, char **argv)
{
	struct airlock_options options = AIRLOCK_OPTIONS_INIT;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	struct airlock_message message = AIRLOCK_MESSAGE_INIT;
	airlock_init(argc, argv);
	return options.size && status.size && message.fd == -1 && airlock_message() && airlock_layers() >= 0 ? 0 : 1;
}
USE
echo '#include <airlock.h>' >"$work/alone.c"
warnings="-Wall -Wextra -pedantic-errors -Werror -Isandbox -fsyntax-only"
is "the header compiles alone as C11" cc -std=c11 $warnings "$work/alone.c"
is "and as C++11" c++ -x c++ -std=c++11 $warnings "$work/alone.c"
is "its macros compile as C11" cc -std=c11 $warnings "$work/use.c"
is "and as C++20" c++ -x c++ -std=c++20 $warnings "$work/use.c"
if command -v clang >/dev/null; then
	is "and with clang" clang -std=c11 $warnings "$work/use.c"
fi

printf '#include "sandbox/openbsd.h"\nint main(void)\n{\n\treturn pledge("stdio", 0) || unveil(0, 0);\n}\n' >"$work/openbsd.c"
is "the header for OpenBSD's programs compiles as C11" cc -std=c11 -I. $warnings "$work/openbsd.c"
is "and as C++20" c++ -x c++ -std=c++20 -I. $warnings "$work/openbsd.c"

sed -n 's/^\t\([a-z_]*\);$/\1/p' sandbox/airlock.map | sort >"$work/map"
nm -D --defined-only "$build/libairlock.so" | sed 's/@.*//' | awk '$2 != "A" { print $3 }' | sort >"$work/exported"
same "the exported symbols are those of the version map" "$work/map" "$work/exported"
{
	cc -E -P -Isandbox "$work/alone.c" | tr '\n' ' ' | grep -o 'airlock_[a-z_]* *([^*;][^;]*) *;' | grep -v '^[a-z_]* *)'
	cc -E -P sandbox/openbsd.h | grep -o '[a-z]*(.*;'
} | sed 's/ *(.*//' | sort -u >"$work/declared"
same "the exported symbols are those that the headers declare" "$work/declared" "$work/exported"

# sandbox -> broker -> policy -> ipc, never the other way.
direction() {
	grep -n '#include "' "$1"/*.[ch] | grep -v "#include \"\($2\)/" >"$work/wrong"
	if [ "$1" = sandbox ]; then
		grep -v '#include "airlock.h"' "$work/wrong" >"$work/rest"
		mv "$work/rest" "$work/wrong"
	fi
	same "$1 includes only $(echo "$2" | sed 's/\\|/, /g')" /dev/null "$work/wrong"
}
direction ipc 'ipc'
direction policy 'policy\|ipc'
direction broker 'broker\|policy\|ipc'
direction sandbox 'sandbox\|broker\|policy\|ipc'
grep -n '#include "' sandbox/airlock.h >"$work/wrong"
same "the public header includes nothing of ours" /dev/null "$work/wrong"
# policy/ is pure: what it calls is known.
nm -u "$build/libpolicy.a" | awk '$1 == "U" { print $2 }' | sort -u |
	grep -E '^(f?open|openat|read|write|mmap|munmap|ioctl|socket|connect|fork|exec|getenv|stat|fstat|access|syscall|kill)(64)?$' \
		>"$work/wrong"
same "policy makes no system calls" /dev/null "$work/wrong"
for f in */*.c */*.h; do
	head -n 1 "$f" | grep -q 'SPDX-License-Identifier: ISC' || echo "$f"
done >"$work/wrong"
same "every file names its licence" /dev/null "$work/wrong"

# The code alone: constants, symbols and relocations come to 65 KiB more.
text=$(size -A "$build/libairlock.so" | awk '$1 == ".text" { print $2 }')
is "the library's code is at most 300 KiB (it is $((text / 1024)))" test "$text" -le 307200

DESTDIR=$work/root meson install -C "$build" --no-rebuild >"$work/log" 2>&1
is "it installs" test -s "$work/log"
pc=$(find "$work/root" -name airlock.pc | head -n 1)
is "with a pkg-config file" test -n "$pc"
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$work/root"
is "a program is built from what is installed" sh -c \
	"cc -o '$work/use' '$work/use.c' \$(pkg-config --cflags --libs airlock)"
library=$(find "$work/root" -name 'libairlock.so.*' | head -n 1)
is "and runs" env LD_LIBRARY_PATH="${library%/*}" "$work/use"
is "the same with the static library" sh -c "cc -o '$work/static' '$work/use.c' \$(pkg-config --cflags airlock) \
	'${library%/*}/libairlock.a' \$(pkg-config --libs --static airlock | sed 's/-lairlock//') && '$work/static'"
is "the manual is installed" test -n "$(find "$work/root" -name airlock.3)"
exit $failed
