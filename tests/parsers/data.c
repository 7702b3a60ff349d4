/* SPDX-License-Identifier: ISC */
/* The rows of parsers that read databases, certificates and sound. Runs in the program parse_in_place, confined in place. */
#include "tests/parsers/parsers.h"

#include <stdlib.h>
#include <unistd.h>

#ifdef HAVE_SQLITE
#include <sqlite3.h>
static int row(void *user, int columns, char **values, char **names)
{
	(void)user;
	(void)names;
	for (int i = 0; i < columns; i++)
		digest_string(values[i]);
	return 0;
}

static bool parse_sqlite(FILE *in, void *prepared)
{
	size_t len;
	char *bytes = whole(in, &len), *message = NULL;
	sqlite3 *db = NULL;
	(void)prepared;
	if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
		sqlite3_deserialize(db, "main", (unsigned char *)bytes, (sqlite3_int64)len, (sqlite3_int64)len,
			SQLITE_DESERIALIZE_READONLY) != SQLITE_OK)
		exit(2);
	int r = sqlite3_exec(db,
		"pragma integrity_check; select name, x from t order by name limit 300; select random() = 0", row, NULL,
		&message);
	digest_number(r);
	digest_string(message);
	sqlite3_free(message);
	sqlite3_close(db);
	free(bytes);
	return r == SQLITE_OK;
}
#endif

#ifdef HAVE_CRYPTO
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
/* The first use of the library reads its settings. */
static void *prepare_openssl(void)
{
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
	return NULL;
}

static bool print_certificate(X509 *certificate)
{
	char *text = NULL;
	BIO *out = BIO_new(BIO_s_mem());
	digest_number((long long)ERR_GET_REASON(ERR_peek_last_error()));
	if (certificate && X509_print(out, certificate)) {
		long len = BIO_get_mem_data(out, &text);
		digest(text, (size_t)len);
		EVP_PKEY *key = X509_get0_pubkey(certificate);
		digest_number(key ? X509_verify(certificate, key) : -2);
	}
	BIO_free(out);
	X509_free(certificate);
	return certificate != NULL;
}

static bool parse_pem(FILE *in, void *prepared)
{
	(void)prepared;
	return print_certificate(PEM_read_X509(in, NULL, NULL, NULL));
}

static bool parse_der(FILE *in, void *prepared)
{
	(void)prepared;
	return print_certificate(d2i_X509_fp(in, NULL));
}
#endif

#ifdef HAVE_MAGIC
#include <magic.h>
/* Its database is a file of its own. */
static void *prepare_magic(void)
{
	magic_t m = magic_open(MAGIC_NONE);
	if (!m || magic_load(m, NULL) != 0) {
		fputs("parse_in_place: libmagic has no database\n", stderr);
		exit(2);
	}
	return m;
}

static bool parse_magic(FILE *in, void *prepared)
{
	const char *what = magic_descriptor(prepared, fileno(in));
	digest_string(what);
	digest_string(magic_error(prepared));
	magic_close(prepared);
	return what != NULL;
}
#endif

#ifdef HAVE_SNDFILE
#include <sndfile.h>
static bool parse_sound(FILE *in, void *prepared)
{
	SF_INFO info = {.format = 0};
	short samples[4096];
	SNDFILE *file = sf_open_fd(dup(fileno(in)), SFM_READ, &info, 1);
	(void)prepared;
	digest_string(sf_strerror(file));
	if (!file)
		return false;
	digest_number(info.samplerate);
	sf_count_t n;
	while ((n = sf_read_short(file, samples, 4096)) > 0)
		digest(samples, (size_t)n * sizeof(samples[0]));
	digest_number(sf_error(file));
	sf_close(file);
	return true;
}
#endif

const struct parser data_parsers[] = {
#ifdef HAVE_SQLITE
	{"sqlite3", "a.db", NULL, parse_sqlite},
#endif
#ifdef HAVE_CRYPTO
	{"openssl,pem", "a.pem", prepare_openssl, parse_pem},
	{"openssl,der", "a.der", prepare_openssl, parse_der},
#endif
#ifdef HAVE_MAGIC
	{"libmagic,png", "a.png", prepare_magic, parse_magic},
	{"libmagic,tar", "a.tar", prepare_magic, parse_magic},
#endif
#ifdef HAVE_SNDFILE
	{"libsndfile,flac", "a.flac", NULL, parse_sound},
	{"libsndfile,ogg", "a.ogg", NULL, parse_sound},
	{"libsndfile,wav", "a.wav", NULL, parse_sound},
#endif
	{NULL, NULL, NULL, NULL},
};
