#!/bin/sh
# SPDX-License-Identifier: ISC
# build.sh BUILD OUT [PROGRAM...]: fetches from Debian the sources of programs that call pledge(2) and unveil(2), and builds
# each twice: OUT/native/PROGRAM without the calls, OUT/pledged/PROGRAM with <airlock/openbsd.h> forced in and linked with
# the library as `meson install` would install it (signify: the static one). The machine's own apt settings stay as they
# are. OUT/missing says, one line for each, what there is not and why. Downloads and objects stay in OUT/source.
set -u
build=$(realpath "$1")
mkdir -p "$2/native" "$2/pledged" "$2/source" "$2/apt/lists" "$2/apt/cache"
out=$(realpath "$2")
shift 2
here=$(realpath "$(dirname "$0")")
programs=${*:-signify mandoc xz mblaze bgpctl lockspool rpki-client mksh}
: >"$out/missing"
[ "$(id -u)" = 0 ] && chmod 755 "$out"

missing() {
	echo "$1: $2" >>"$out/missing"
	echo "build.sh: $1: $2" >&2
}

# The sources beside the packages that this machine installs from Debian.
cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk -v RS= -v ORS="\n\n" '/debian\.org|\/debian/' |
	sed 's/^Types:.*/Types: deb-src/' >"$out/apt/all.sources"
sed -n 's/^deb \(.*debian.*\)/deb-src \1/p' /etc/apt/sources.list 2>/dev/null >"$out/apt/all.list"
list=$out/apt/all.sources
[ -s "$list" ] || list=$out/apt/all.list
private_apt() {
	timeout 150 apt-get -q -o Dir::Etc::sourcelist="$list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$out/apt/lists" \
		-o Dir::Cache="$out/apt/cache" -o APT::Sandbox::User=root "$@"
}
if ! private_apt update >"$out/apt/log" 2>&1; then
	for p in $programs; do
		missing "$p" "no index of source packages ($(grep -m 1 -E '^(E|W|Err)' "$out/apt/log" | cut -c1-100))"
	done
	exit 0
fi

# Compilers that know the two calls, to be named as CC. Libraries come last.
destination=$out/installed
DESTDIR=$destination meson install -C "$build" --no-rebuild --quiet >"$out/apt/log" 2>&1 || {
	tail -n 5 "$out/apt/log" >&2
	exit 1
}
pc=$(find "$destination" -name airlock.pc)
libraries=$(dirname "$(dirname "$pc")")
include=$(dirname "$(find "$destination" -name airlock.h)")
cp "$libraries"/libairlock.so.0 "$out/pledged/"
also=$(sed -n 's/^Requires.private: *//p' "$pc" | tr ',' ' ')
private=$(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --libs --static $also 2>/dev/null || echo "-lseccomp -lcap -lbsd")
script() {
	printf '#!/bin/sh\n%s\n' "$2" >"$out/$1"
	chmod 755 "$out/$1"
}
script native-cc "exec gcc -w -O1 -include $here/native.h \"\$@\""
script pledged-cc "exec gcc -w -O1 -include airlock/openbsd.h -I$include \"\$@\" -L$libraries -lairlock -Wl,-rpath,'\$ORIGIN'"
script static-cc "exec gcc -w -O1 -include airlock/openbsd.h -I$include \"\$@\" $libraries/libairlock.a $private -lpthread"

# source PACKAGE KIND: its sources anew, in a directory of their own; leaves us there.
source() {
	cd "$out/source" || exit 1
	if ! ls "$1"_*.dsc >/dev/null 2>&1; then
		private_apt source --download-only "$1" >"$out/apt/log" 2>&1 || {
			rm -f "$1"_*.dsc
			why="its source cannot be fetched: $(grep -m 1 '^E:' "$out/apt/log" | cut -c1-120)"
			return 1
		}
	fi
	rm -rf "$1-$2"
	dpkg-source --no-check -x "$1"_*.dsc "$1-$2" >"$out/apt/log" 2>&1 && cd "$1-$2" && return
	why="its source cannot be unpacked"
	return 1
}

# The recipes: in the sources, with $cc; the program is what is printed last.
make_signify() {
	make -s PLEDGE= CC="$cc" signify
	mv signify "$to/"
}

make_mandoc() {
	printf 'CC=%s\nCFLAGS=-O1\nHAVE_WCHAR=1\nHAVE_PLEDGE=1\nOSNAME=Debian\nUTF8_LOCALE=C.UTF-8\n' "$cc" >configure.local
	sh configure && make -s -j2 mandoc && mv mandoc "$to/" && rm -rf "$out/regress" && cp -R regress "$out/regress"
}

# Its configure takes a minute; the library is the system's.
make_xz() {
	"$cc" -DHAVE_PLEDGE -D_GNU_SOURCE -DTUKLIB_SYMBOL_PREFIX=xz_ -DLOCALEDIR='"/usr/share/locale"' -DPACKAGE='"xz"' \
		-DPACKAGE_NAME='"XZ Utils"' -DPACKAGE_BUGREPORT='"-"' -DPACKAGE_URL='"-"' -DASSUME_RAM=128 -DHAVE_ENCODERS \
		-DHAVE_DECODERS -DHAVE_ENCODER_LZMA1 -DHAVE_ENCODER_LZMA2 -DHAVE_DECODER_LZMA1 -DHAVE_DECODER_LZMA2 \
		-DHAVE_LZIP_DECODER -DHAVE_FUTIMENS -DHAVE_STDBOOL_H -DHAVE__BOOL -DHAVE_STDINT_H -DHAVE_INTTYPES_H \
		-DHAVE_LIMITS_H -DHAVE_STRING_H -DHAVE_GETOPT_LONG -DTUKLIB_PHYSMEM_SYSCONF \
		-DTUKLIB_CPUCORES_SCHED_GETAFFINITY -DMYTHREAD_POSIX -DHAVE_CLOCK_GETTIME -DHAVE_DECL_CLOCK_MONOTONIC=1 \
		-Isrc/common -Ilib -Isrc/xz src/xz/*.c src/common/tuklib_open_stdxxx.c src/common/tuklib_progname.c \
		src/common/tuklib_exit.c src/common/tuklib_mbstr_*.c src/common/tuklib_physmem.c src/common/tuklib_cpucores.c \
		-o "$to/xz" -llzma
}

# Calls pledge() where it is OpenBSD.
make_mblaze() {
	make -s -j2 CC="$cc" CFLAGS=-D__OpenBSD__ maddr mdeliver mhdr mlist mscan mshow msort mthread mmime mexport mpick &&
		mkdir -p "$to/mblaze" &&
		mv maddr mdeliver mhdr mlist mscan mshow msort mthread mmime mexport mpick "$to/mblaze/" &&
		cp "$out/pledged/libairlock.so.0" "$to/mblaze/"
}

make_bgpctl() {
	"$cc" $portable -DSYSCONFDIR='"/etc"' -DRUNSTATEDIR='"/run"' -Iinclude -Isrc/bgpd -Isrc/bgpctl src/bgpctl/*.c \
		compat/imsg*.c compat/fmt_scaled.c compat/getrtable.c -o "$to/bgpctl" -lm -lbsd
}

make_lockspool() {
	"$cc" $portable -I"$here" $(pkg-config --cflags libbsd-overlay) contrib/libexec/lockspool/*.c -o "$to/lockspool" -lbsd
}

make_rpki_client() {
	# The user that it becomes when root starts it.
	"$cc" $portable -DRPKI_CLIENT_USER='"nobody"' -DRPKI_TAL_DIR='"/etc/tals"' -DRPKI_PATH_OUT_DIR='"/tmp"' -DRPKI_PATH_BASE_DIR='"/tmp"' \
		-DDEFAULT_CA_FILE='"/etc/ssl/cert.pem"' -DTLS_CA_CERT_FILE='"/etc/ssl/cert.pem"' -Iinclude -Isrc \
		$(pkg-config --cflags libbsd-overlay) src/*.c compat/imsg*.c compat/a_time_tm.c compat/socket.c \
		-o "$to/rpki-client" -ltls -lssl -lcrypto -lexpat -lz -lbsd
}

# Does not call pledge(2), but is what OpenBSD's shell is made of too: one build, linked twice.
make_mksh() {
	[ "$kind" = native ] || return 0
	CC=gcc CPPFLAGS=-DMKSH_BUILDMEAT sh Build.sh -r && mv mksh "$to/" &&
		"$out/pledged-cc" "$here/shell_main.c" *.o -Wl,--wrap=main -o "$out/pledged/mksh"
}
portable="-D_GNU_SOURCE -DHAVE_PLEDGE=1 -DHAVE_UNVEIL=1 -DHAVE_SETGROUPS -DHAVE_SETRESGID -DHAVE_SETRESUID -DHAVE_ASPRINTF
-DHAVE_GETENTROPY -DHAVE_ENDIAN_H -DHAVE_REALLOCARRAY -DHAVE_EXPLICIT_BZERO -DHAVE_ARC4RANDOM -DHAVE_ARC4RANDOM_BUF
-DHAVE_PIPE2 -DHAVE_PPOLL -DHAVE_MEMRCHR -DHAVE_X509_GET_EXTENSION_FLAGS"

"$out/native-cc" -shared -fPIC "$here/attack.c" -o "$out/attack.so"
for p in $programs; do
	case $p in
	signify) package=signify-openbsd ;;
	mandoc) package=mdocml ;;
	xz) package=xz-utils ;;
	bgpctl) package=openbgpd ;;
	lockspool) package=opensmtpd ;;
	*) package=$p ;;
	esac
	for kind in native pledged; do
		to=$out/$kind
		cc=$out/$kind-cc
		[ "$p/$kind" != signify/pledged ] || cc=$out/static-cc
		if ! source "$package" "$kind"; then
			missing "$p" "$why"
			break
		fi
		if ! "make_$(echo "$p" | tr - _)" >"$out/$p-$kind.log" 2>&1; then
			tail -n 5 "$out/$p-$kind.log" >&2
			missing "$p" "it does not build"
			break
		fi
	done
done
