/* SPDX-License-Identifier: ISC */
/* The rows of parsers that unpack. Runs in the program parse_in_place, confined in place. */
#include "tests/parsers/parsers.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef HAVE_ZLIB
#include <zlib.h>
static bool parse_gzip(FILE *in, void *prepared)
{
	char buffer[8192];
	int n, error = 0;
	gzFile file = gzdopen(dup(fileno(in)), "rb");
	(void)prepared;
	while ((n = gzread(file, buffer, sizeof(buffer))) > 0)
		digest(buffer, (size_t)n);
	gzerror(file, &error); /* its text names the descriptor's number */
	digest_number(error);
	gzclose(file);
	return n == 0 && error == Z_OK;
}
#endif

#ifdef HAVE_BZIP2
#include <bzlib.h>
static bool parse_bzip2(FILE *in, void *prepared)
{
	char buffer[8192];
	int error = BZ_OK, ignored;
	BZFILE *file = BZ2_bzReadOpen(&error, in, 0, 0, NULL, 0);
	(void)prepared;
	while (error == BZ_OK) {
		int n = BZ2_bzRead(&error, file, buffer, sizeof(buffer));
		if (n > 0)
			digest(buffer, (size_t)n);
	}
	digest_number(error);
	BZ2_bzReadClose(&ignored, file);
	return error == BZ_STREAM_END;
}
#endif

#ifdef HAVE_LZMA
#include <lzma.h>
static bool parse_xz(FILE *in, void *prepared)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	uint8_t buffer[8192];
	size_t len;
	char *bytes = whole(in, &len);
	lzma_ret r = lzma_stream_decoder(&stream, 1 << 26, LZMA_CONCATENATED);
	(void)prepared;
	stream.next_in = (const uint8_t *)bytes;
	stream.avail_in = len;
	while (r == LZMA_OK) {
		stream.next_out = buffer;
		stream.avail_out = sizeof(buffer);
		r = lzma_code(&stream, LZMA_FINISH);
		digest(buffer, sizeof(buffer) - stream.avail_out);
	}
	digest_number(r);
	lzma_end(&stream);
	free(bytes);
	return r == LZMA_STREAM_END;
}
#endif

#ifdef HAVE_ARCHIVE
#include <airlock.h>
#include <archive.h>
#include <archive_entry.h>
/* Names in some archives are UTF-16: libc has that conversion in a module. */
static void *prepare_conversion(void)
{
	airlock_prewarm(AIRLOCK_PREWARM_ICONV);
	return NULL;
}

static bool parse_archive(FILE *in, void *prepared)
{
	char buffer[8192];
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	int r;
	(void)prepared;
	archive_read_support_filter_all(a);
	archive_read_support_format_all(a);
	r = archive_read_open_fd(a, fileno(in), 10240);
	while (r == ARCHIVE_OK && (r = archive_read_next_header(a, &entry)) == ARCHIVE_OK) {
		la_ssize_t n;
		digest_string(archive_entry_pathname(entry));
		digest_number(archive_entry_mtime(entry));
		while ((n = archive_read_data(a, buffer, sizeof(buffer))) > 0)
			digest(buffer, (size_t)n);
		digest_number(n);
	}
	digest_string(archive_error_string(a));
	archive_read_free(a);
	return r == ARCHIVE_EOF;
}
#endif

const struct parser archive_parsers[] = {
#ifdef HAVE_ZLIB
	{"zlib", "a.txt.gz", NULL, parse_gzip},
#endif
#ifdef HAVE_BZIP2
	{"libbz2", "a.txt.bz2", NULL, parse_bzip2},
#endif
#ifdef HAVE_LZMA
	{"liblzma", "a.txt.xz", NULL, parse_xz},
#endif
#ifdef HAVE_ARCHIVE
	{"libarchive,tar.gz", "a.tar.gz", NULL, parse_archive},
	{"libarchive,zip", "a.zip", NULL, parse_archive},
	{"libarchive,7z", "a.7z", prepare_conversion, parse_archive},
	{"libarchive,iso", "a.iso", NULL, parse_archive},
#endif
	{NULL, NULL, NULL, NULL},
};
