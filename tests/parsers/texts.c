/* SPDX-License-Identifier: ISC */
/* The rows of parsers that read text. Runs in the program parse_in_place, confined in place. */
#include "tests/parsers/parsers.h"

#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_EXPAT
#include <expat.h>
static void XMLCALL expat_start(void *user, const XML_Char *name, const XML_Char **attributes)
{
	(void)user;
	digest_string(name);
	for (; *attributes; attributes++)
		digest_string(*attributes);
}

static void XMLCALL expat_text(void *user, const XML_Char *text, int len)
{
	(void)user;
	digest(text, (size_t)len);
}

static bool parse_expat(FILE *in, void *prepared)
{
	size_t len;
	char *bytes = whole(in, &len);
	XML_Parser parser = XML_ParserCreate(NULL);
	(void)prepared;
	XML_SetStartElementHandler(parser, expat_start);
	XML_SetCharacterDataHandler(parser, expat_text);
	bool good = XML_Parse(parser, bytes, (int)len, 1) == XML_STATUS_OK;
	digest_number(XML_GetErrorCode(parser));
	digest_number((long long)XML_GetCurrentLineNumber(parser));
	XML_ParserFree(parser);
	free(bytes);
	return good;
}
#endif

#ifdef HAVE_XML
#include <libxml/parser.h>
static void *prepare_xml(void)
{
	xmlInitParser();
	return NULL;
}

/* A character set is a module that libc loads at its first use. As long as it is open, the next use finds it loaded. */
static void *prepare_japanese(void)
{
	xmlInitParser();
	return iconv_open("UTF-8", "EUC-JP");
}

static bool parse_xml(FILE *in, void *prepared)
{
	xmlChar *text = NULL;
	int len = 0;
	xmlDocPtr document = xmlReadFd(fileno(in), "input", NULL, XML_PARSE_NONET | XML_PARSE_RECOVER);
	(void)prepared;
	const xmlError *e = xmlGetLastError();
	digest_string(e ? e->message : NULL);
	if (document) {
		xmlDocDumpFormatMemoryEnc(document, &text, &len, "UTF-8", 1);
		digest(text, (size_t)len);
		xmlFree(text);
		xmlFreeDoc(document);
	}
	return e == NULL && document != NULL;
}
#endif

#ifdef HAVE_JANSSON
#include <jansson.h>
static bool parse_jansson(FILE *in, void *prepared)
{
	json_error_t e = {.text = ""};
	json_t *value = json_loadf(in, 0, &e);
	char *text = value ? json_dumps(value, JSON_SORT_KEYS) : NULL;
	(void)prepared;
	digest_string(e.text);
	digest_string(text);
	free(text);
	json_decref(value);
	return text != NULL;
}
#endif

#ifdef HAVE_CJSON
#include <cjson/cJSON.h>
static bool parse_cjson(FILE *in, void *prepared)
{
	size_t len;
	char *bytes = whole(in, &len);
	cJSON *value = cJSON_Parse(bytes);
	char *text = value ? cJSON_PrintUnformatted(value) : NULL;
	(void)prepared;
	digest_string(text);
	cJSON_free(text);
	cJSON_Delete(value);
	free(bytes);
	return text != NULL;
}
#endif

#ifdef HAVE_YAML
#include <yaml.h>
static bool parse_yaml(FILE *in, void *prepared)
{
	yaml_parser_t parser;
	yaml_event_t event;
	bool ended = false;
	(void)prepared;
	if (!yaml_parser_initialize(&parser))
		return false;
	yaml_parser_set_input_file(&parser, in);
	while (!ended && yaml_parser_parse(&parser, &event)) {
		digest_number(event.type);
		if (event.type == YAML_SCALAR_EVENT)
			digest(event.data.scalar.value, event.data.scalar.length);
		ended = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	digest_string(parser.problem);
	yaml_parser_delete(&parser);
	return ended;
}
#endif

const struct parser text_parsers[] = {
#ifdef HAVE_EXPAT
	{"expat", "a.xml", NULL, parse_expat},
#endif
#ifdef HAVE_XML
	{"libxml2", "a.xml", prepare_xml, parse_xml},
	{"libxml2,euc-jp", "japan.xml", prepare_japanese, parse_xml},
#endif
#ifdef HAVE_JANSSON
	{"jansson", "a.json", NULL, parse_jansson},
#endif
#ifdef HAVE_CJSON
	{"cjson", "a.json", NULL, parse_cjson},
#endif
#ifdef HAVE_YAML
	{"libyaml", "a.yaml", NULL, parse_yaml},
#endif
	{NULL, NULL, NULL, NULL},
};
