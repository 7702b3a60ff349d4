/* SPDX-License-Identifier: ISC */
/* The rows of parsers that read pictures and fonts. Runs in the program parse_in_place, confined in place. */
#include "tests/parsers/parsers.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef HAVE_PNG
#include <png.h>
static bool parse_png(FILE *in, void *prepared)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	(void)prepared;
	if (!png_image_begin_read_from_stdio(&image, in))
		return false;
	image.format = PNG_FORMAT_RGBA;
	unsigned char *pixels = image.width < 10000 && image.height < 10000 ? malloc(PNG_IMAGE_SIZE(image)) : NULL;
	bool good = pixels && png_image_finish_read(&image, NULL, pixels, 0, NULL);
	digest_string(image.message);
	if (good)
		digest(pixels, PNG_IMAGE_SIZE(image));
	free(pixels);
	png_image_free(&image);
	return good;
}
#endif

#ifdef HAVE_JPEG
#include <jpeglib.h>
struct jpeg_failure {
	struct jpeg_error_mgr base;
	jmp_buf out;
};

static void jpeg_failed(j_common_ptr c)
{
	struct jpeg_failure *f = (struct jpeg_failure *)c->err;
	char text[JMSG_LENGTH_MAX];
	f->base.format_message(c, text);
	digest_string(text);
	longjmp(f->out, 1);
}

static bool parse_jpeg(FILE *in, void *prepared)
{
	struct jpeg_decompress_struct c;
	struct jpeg_failure failure;
	unsigned char *volatile row = NULL;
	(void)prepared;
	c.err = jpeg_std_error(&failure.base);
	failure.base.error_exit = jpeg_failed;
	bool good = setjmp(failure.out) == 0;
	if (good) {
		jpeg_create_decompress(&c);
		jpeg_stdio_src(&c, in);
		jpeg_read_header(&c, TRUE);
		jpeg_start_decompress(&c);
		size_t len = (size_t)c.output_width * (size_t)c.output_components;
		row = malloc(len);
		while (row && c.output_scanline < c.output_height) {
			JSAMPROW rows[] = {row};
			jpeg_read_scanlines(&c, rows, 1);
			digest(row, len);
		}
		jpeg_finish_decompress(&c);
	}
	free(row);
	jpeg_destroy_decompress(&c);
	return good;
}
#endif

#ifdef HAVE_GIF
#include <gif_lib.h>
static bool parse_gif(FILE *in, void *prepared)
{
	int error = 0;
	GifFileType *gif = DGifOpenFileHandle(dup(fileno(in)), &error);
	(void)prepared;
	digest_number(error);
	if (!gif)
		return false;
	bool good = DGifSlurp(gif) == GIF_OK;
	digest_number(gif->Error);
	for (int i = 0; i < gif->ImageCount; i++) {
		const SavedImage *s = &gif->SavedImages[i];
		if (good && s->RasterBits)
			digest(s->RasterBits, (size_t)s->ImageDesc.Width * (size_t)s->ImageDesc.Height);
	}
	DGifCloseFile(gif, NULL);
	return good;
}
#endif

#ifdef HAVE_TIFF
#include <tiffio.h>
static bool parse_tiff(FILE *in, void *prepared)
{
	uint32_t width = 0, height = 0;
	TIFF *tiff = TIFFFdOpen(dup(fileno(in)), "input", "rm");
	(void)prepared;
	if (!tiff)
		return false;
	TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
	TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
	digest_number(width);
	digest_number(height);
	bool good = width && height && width < 10000 && height < 10000;
	uint32_t *pixels = good ? calloc((size_t)width * height, sizeof(*pixels)) : NULL;
	good = pixels && TIFFReadRGBAImage(tiff, width, height, pixels, 1);
	if (good)
		digest(pixels, (size_t)width * height * sizeof(*pixels));
	free(pixels);
	TIFFClose(tiff);
	return good;
}
#endif

#ifdef HAVE_WEBP
#include <webp/decode.h>
static bool parse_webp(FILE *in, void *prepared)
{
	size_t len;
	int width = 0, height = 0;
	char *bytes = whole(in, &len);
	uint8_t *pixels = WebPDecodeRGBA((const uint8_t *)bytes, len, &width, &height);
	(void)prepared;
	if (pixels)
		digest(pixels, (size_t)width * (size_t)height * 4);
	bool good = pixels != NULL;
	WebPFree(pixels);
	free(bytes);
	return good;
}
#endif

#ifdef HAVE_FREETYPE
#include <ft2build.h>
#include FT_FREETYPE_H
static bool parse_font(FILE *in, void *prepared)
{
	size_t len;
	FT_Library library;
	FT_Face face;
	char *bytes = whole(in, &len);
	(void)prepared;
	if (FT_Init_FreeType(&library))
		exit(2);
	FT_Error e = FT_New_Memory_Face(library, (FT_Byte *)bytes, (FT_Long)len, 0, &face);
	digest_number(e);
	if (!e) {
		digest_string(face->family_name);
		FT_Set_Pixel_Sizes(face, 0, 24);
		for (FT_ULong c = 32; c < 127; c++) {
			FT_Error bad = FT_Load_Char(face, c, FT_LOAD_RENDER);
			const FT_Bitmap *b = &face->glyph->bitmap;
			digest_number(bad);
			if (!bad && b->buffer)
				digest(b->buffer, (size_t)abs(b->pitch) * b->rows);
		}
		FT_Done_Face(face);
	}
	FT_Done_FreeType(library);
	free(bytes);
	return !e;
}
#endif

const struct parser image_parsers[] = {
#ifdef HAVE_PNG
	{"libpng", "a.png", NULL, parse_png},
#endif
#ifdef HAVE_JPEG
	{"libjpeg", "a.jpg", NULL, parse_jpeg},
#endif
#ifdef HAVE_GIF
	{"giflib", "a.gif", NULL, parse_gif},
#endif
#ifdef HAVE_TIFF
	{"libtiff", "a.tiff", NULL, parse_tiff},
#endif
#ifdef HAVE_WEBP
	{"libwebp", "a.webp", NULL, parse_webp},
#endif
#ifdef HAVE_FREETYPE
	{"freetype", "a.ttf", NULL, parse_font},
#endif
	{NULL, NULL, NULL, NULL},
};
