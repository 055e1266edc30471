// SPDX-License-Identifier: BSD-2-Clause
/* Owns: what a file is by the end of its name, as far as everybody agrees about it. */
#include "conf/files.h"

#define TYPE(extension, type) {SPAN(extension), SPAN(type), false}
#define TEXT(extension, type) {SPAN(extension), SPAN(type), true}

/* Sorted by extension. What is XML or JSON says itself how it is to be read, and is read as UTF-8
 * where it does not. */
static const struct conf_file_type known[] = {
	TYPE("7z", "application/x-7z-compressed"),
	TYPE("aac", "audio/aac"),
	TYPE("atom", "application/atom+xml"),
	TYPE("avif", "image/avif"),
	TYPE("bmp", "image/bmp"),
	TYPE("br", "application/x-brotli"),
	TYPE("bz2", "application/x-bzip2"),
	TEXT("c", "text/plain"),
	TEXT("cjs", "text/javascript"),
	TEXT("conf", "text/plain"),
	TEXT("css", "text/css"),
	TEXT("csv", "text/csv"),
	TYPE("deb", "application/vnd.debian.binary-package"),
	TYPE("doc", "application/msword"),
	TYPE("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
	TYPE("eot", "application/vnd.ms-fontobject"),
	TYPE("epub", "application/epub+zip"),
	TYPE("flac", "audio/flac"),
	TYPE("geojson", "application/geo+json"),
	TYPE("gif", "image/gif"),
	TYPE("gz", "application/gzip"),
	TEXT("h", "text/plain"),
	TEXT("htm", "text/html"),
	TEXT("html", "text/html"),
	TYPE("ico", "image/x-icon"),
	TEXT("ics", "text/calendar"),
	TYPE("jar", "application/java-archive"),
	TYPE("jpeg", "image/jpeg"),
	TYPE("jpg", "image/jpeg"),
	TEXT("js", "text/javascript"),
	TYPE("json", "application/json"),
	TYPE("jsonld", "application/ld+json"),
	TYPE("jxl", "image/jxl"),
	TEXT("log", "text/plain"),
	TYPE("m3u8", "application/vnd.apple.mpegurl"),
	TYPE("m4a", "audio/mp4"),
	TYPE("m4s", "video/iso.segment"),
	TYPE("m4v", "video/mp4"),
	TYPE("map", "application/json"),
	TEXT("md", "text/markdown"),
	TYPE("mid", "audio/midi"),
	TEXT("mjs", "text/javascript"),
	TYPE("mkv", "video/x-matroska"),
	TYPE("mov", "video/quicktime"),
	TYPE("mp3", "audio/mpeg"),
	TYPE("mp4", "video/mp4"),
	TYPE("mpd", "application/dash+xml"),
	TYPE("mpeg", "video/mpeg"),
	TYPE("odp", "application/vnd.oasis.opendocument.presentation"),
	TYPE("ods", "application/vnd.oasis.opendocument.spreadsheet"),
	TYPE("odt", "application/vnd.oasis.opendocument.text"),
	TYPE("oga", "audio/ogg"),
	TYPE("ogg", "audio/ogg"),
	TYPE("ogv", "video/ogg"),
	TYPE("opus", "audio/ogg"),
	TYPE("otf", "font/otf"),
	TYPE("pdf", "application/pdf"),
	TYPE("png", "image/png"),
	TYPE("ppt", "application/vnd.ms-powerpoint"),
	TYPE("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
	TYPE("ps", "application/postscript"),
	TYPE("rar", "application/vnd.rar"),
	TYPE("rss", "application/rss+xml"),
	TYPE("rtf", "application/rtf"),
	TYPE("svg", "image/svg+xml"),
	TYPE("tar", "application/x-tar"),
	TYPE("tgz", "application/gzip"),
	TYPE("tif", "image/tiff"),
	TYPE("tiff", "image/tiff"),
	TYPE("ts", "video/mp2t"),
	TYPE("ttf", "font/ttf"),
	TEXT("txt", "text/plain"),
	TEXT("vtt", "text/vtt"),
	TYPE("wasm", "application/wasm"),
	TYPE("wav", "audio/wav"),
	TYPE("weba", "audio/webm"),
	TYPE("webm", "video/webm"),
	TYPE("webmanifest", "application/manifest+json"),
	TYPE("webp", "image/webp"),
	TYPE("woff", "font/woff"),
	TYPE("woff2", "font/woff2"),
	TYPE("xhtml", "application/xhtml+xml"),
	TYPE("xls", "application/vnd.ms-excel"),
	TYPE("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
	TYPE("xml", "application/xml"),
	TYPE("xsl", "application/xslt+xml"),
	TYPE("xz", "application/x-xz"),
	TYPE("zip", "application/zip"),
	TYPE("zst", "application/zstd"),
};

static const struct conf_file_type unknown = {SPAN(""), SPAN("application/octet-stream"), false};

static int order(struct span a, struct span b)
{
	int d = strncasecmp(a.p, b.p, a.len < b.len ? a.len : b.len);

	return d ? d : (a.len > b.len) - (a.len < b.len);
}

static const struct conf_file_type *known_find(struct span extension)
{
	size_t first = 0, end = sizeof(known) / sizeof(known[0]);

	while (first < end) {
		size_t middle = (first + end) / 2;
		int d = order(extension, known[middle].extension);

		if (d == 0)
			return &known[middle];
		if (d < 0)
			end = middle;
		else
			first = middle + 1;
	}
	return &unknown;
}

const struct conf_file_type *conf_file_type(const struct conf_files *files, struct span name)
{
	size_t at = name.len;
	struct span extension;

	while (at > 0 && name.p[at - 1] != '.' && name.p[at - 1] != '/')
		at--;
	if (at == 0 || name.p[at - 1] != '.')
		return &unknown;
	extension = (struct span){name.p + at, name.len - at};
	for (unsigned i = 0; i < files->n_types; i++)
		if (span_equal_nocase(files->types[i].extension, extension))
			return &files->types[i];
	return known_find(extension);
}
