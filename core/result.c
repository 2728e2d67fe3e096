/* SPDX-License-Identifier: MIT */
#include <weir/frame.h>
#include <weir/result.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static int check_box(const struct weir_box *box)
{
	if (!isfinite(box->x) || !isfinite(box->y) || !isfinite(box->width) || !isfinite(box->height) ||
		!isfinite(box->score) || !terminated(box->label, sizeof(box->label)))
		return -EPROTO;
	return 0;
}

static int check(const struct weir_result *result)
{
	if (result->type[0] == '\0' || !terminated(result->type, sizeof(result->type)) || !isfinite(result->score) ||
		result->value_count > WEIR_VALUES_MAX)
		return -EPROTO;
	for (uint32_t i = 0; i < result->value_count; i++)
		if (!terminated(result->value[i].name, sizeof(result->value[i].name)) ||
			!isfinite(result->value[i].value))
			return -EPROTO;
	for (uint32_t i = 0; i < result->box_count; i++)
		if (check_box(&result->box[i]) < 0)
			return -EPROTO;
	return 0;
}

int weir_result_read(struct weir_result *result, const void *data, size_t size)
{
	struct weir_result copy = { 0 };

	if (size < offsetof(struct weir_result, box) || size > sizeof(copy))
		return -EPROTO;
	memcpy(&copy, data, size);
	if (copy.box_count > WEIR_BOXES_MAX || weir_result_bytes(&copy) != size || check(&copy) < 0)
		return -EPROTO;
	*result = copy;
	return 0;
}

/* A bounded text that remembers that it did not fit, so that only the end must ask. */
struct text {
	char *at, *end;
	bool full;
};

static void put(struct text *text, const char *bytes, size_t size)
{
	if (text->full || (size_t)(text->end - text->at) <= size) {
		text->full = true;
		return;
	}
	memcpy(text->at, bytes, size);
	text->at += size;
}

static void __attribute__((format(printf, 2, 3))) print(struct text *text, const char *format, ...)
{
	char bytes[64];
	va_list args;

	va_start(args, format);
	put(text, bytes, (size_t)vsnprintf(bytes, sizeof(bytes), format, args));
	va_end(args);
}

/* A program may have set a locale whose decimal point is a comma. */
static void number(struct text *text, double value)
{
	char bytes[32];
	int size = snprintf(bytes, sizeof(bytes), "%.9g", value);

	for (int i = 0; i < size; i++)
		if (bytes[i] == ',')
			bytes[i] = '.';
	put(text, bytes, (size_t)size);
}

/* Boxes and scores to four places: a sixth of a pixel in 1080p, and it reads well. */
static void fraction(struct text *text, float value)
{
	number(text, fabsf(value) < 1e5f ? round((double)value * 1e4) / 1e4 + 0.0 : (double)value);
}

/* Length of the UTF-8 sequence at s, or 0 if there is none (overlong, surrogate, cut, out of range). */
static size_t utf8_length(const unsigned char *s)
{
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
		(s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return length;
}

static void string(struct text *text, const char *value)
{
	const unsigned char *s = (const unsigned char *)value;

	put(text, "\"", 1);
	while (*s != '\0') {
		size_t length = utf8_length(s);

		if (length == 0)
			put(text, "\xef\xbf\xbd", 3);
		else if (*s == '"' || *s == '\\')
			print(text, "\\%c", *s);
		else if (*s < 0x20 || *s == 0x7f)
			print(text, "\\u%04x", *s);
		else
			put(text, (const char *)s, length);
		s += length > 0 ? length : 1;
	}
	put(text, "\"", 1);
}

static int finish(struct text *text)
{
	if (text->full)
		return -ENOBUFS;
	*text->at = '\0';
	return 0;
}

int weir_json_string(const char *value, char *buffer, size_t size)
{
	struct text text = { .at = buffer, .end = buffer + size };

	string(&text, value);
	return finish(&text);
}

static void put_box(struct text *text, const struct weir_box *box)
{
	print(text, "{\"x\":");
	fraction(text, box->x);
	print(text, ",\"y\":");
	fraction(text, box->y);
	print(text, ",\"w\":");
	fraction(text, box->width);
	print(text, ",\"h\":");
	fraction(text, box->height);
	print(text, ",\"score\":");
	fraction(text, box->score);
	if (box->track != 0)
		print(text, ",\"track\":%" PRIu32, box->track);
	if (box->label[0] != '\0') {
		print(text, ",\"label\":");
		string(text, box->label);
	}
	print(text, "}");
}

static void put_head(struct text *text, const struct weir_result *result, const char *source, const char *analyzer)
{
	print(text, "{\"v\":1,\"type\":");
	string(text, result->type);
	print(text, ",\"source\":");
	string(text, source);
	print(text, ",\"analyzer\":");
	string(text, analyzer);
	print(text, ",\"seq\":%" PRIu64 ",\"pts_ns\":", result->sequence);
	if (result->pts_ns == WEIR_TIME_NONE)
		print(text, "null");
	else
		print(text, "%" PRId64, result->pts_ns);
	print(text, ",\"age_ms\":");
	number(text, (double)(result->age_ns / 1000) / 1e3);
}

int weir_result_json(
	const struct weir_result *result, const char *source, const char *analyzer, char *buffer, size_t size)
{
	struct text text = { .at = buffer, .end = buffer + size };

	put_head(&text, result, source, analyzer);
	if (result->score >= 0) {
		print(&text, ",\"score\":");
		fraction(&text, result->score);
	}
	for (uint32_t i = 0; i < result->value_count; i++) {
		print(&text, ",");
		string(&text, result->value[i].name);
		print(&text, ":");
		number(&text, result->value[i].value);
	}
	if (result->score >= 0 || result->box_count > 0) {
		print(&text, ",\"boxes\":[");
		for (uint32_t i = 0; i < result->box_count; i++) {
			if (i > 0)
				print(&text, ",");
			put_box(&text, &result->box[i]);
		}
		print(&text, "]");
	}
	print(&text, "}");
	return finish(&text);
}
