/* SPDX-License-Identifier: MIT */
/* json.c - see json.h */
#include "report/json.h"

#include "base/utf8.h"

#include <inttypes.h>

/* Lines of their own down to this depth. */
#define OPEN_DEPTH 2

static void new_line(struct json *json)
{
    fputc('\n', json->out);
    for (unsigned i = 0; i < json->depth; i++)
        fputs("  ", json->out);
}

/* What stands between the value before and this one. */
static void begin_value(struct json *json)
{
    if (json->has_key) {
        json->has_key = false;
        return;
    }
    if (json->begun)
        fputc(',', json->out);
    if (json->depth <= OPEN_DEPTH)
        new_line(json);
    else if (json->begun)
        fputc(' ', json->out);
    json->begun = true;
}

void json_begin(struct json *json, FILE *out)
{
    *json = (struct json){.out = out, .depth = 1};
    fputc('{', out);
}

void json_end(struct json *json)
{
    json->depth = 0;
    new_line(json);
    fputs("}\n", json->out);
}

void json_open(struct json *json, char bracket)
{
    begin_value(json);
    fputc(bracket, json->out);
    json->depth++;
    json->begun = false;
}

void json_close(struct json *json, char bracket)
{
    bool open = json->depth <= OPEN_DEPTH;
    json->depth--;
    if (open && json->begun)
        new_line(json);
    fputc(bracket, json->out);
    json->begun = true;
}

void json_key(struct json *json, const char *key)
{
    begin_value(json);
    fprintf(json->out, "\"%s\": ", key);
    json->has_key = true;
}

static void put_escape(FILE *out, uint32_t character)
{
    static const char short_ones[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *at = character < 0x80 && character != 0
                         ? strchr(short_ones, (int)character)
                         : NULL;
    if (at != NULL)
        fprintf(out, "\\%c", letters[at - short_ones]);
    else
        fprintf(out, "\\u%04x", (unsigned)character);
}

void json_text(struct json *json, struct slice text)
{
    begin_value(json);
    fputc('"', json->out);
    while (text.bytes > 0) {
        uint32_t character;
        size_t bytes = utf8_next(text, &character);
        if (character < 0x20 || character == '"' || character == '\\' ||
            character == 0x7f || utf8_is_byte(character))
            put_escape(json->out, character);
        else
            fwrite(text.at, 1, bytes, json->out);
        text = slice_after(text, bytes);
    }
    fputc('"', json->out);
}

void json_unsigned(struct json *json, uint64_t value)
{
    begin_value(json);
    fprintf(json->out, "%" PRIu64, value);
}

void json_signed(struct json *json, int64_t value)
{
    begin_value(json);
    fprintf(json->out, "%" PRId64, value);
}

void json_bool(struct json *json, bool value)
{
    begin_value(json);
    fputs(value ? "true" : "false", json->out);
}

void json_null(struct json *json)
{
    begin_value(json);
    fputs("null", json->out);
}

void json_text_or_null(struct json *json, struct slice text)
{
    if (text.bytes == 0)
        json_null(json);
    else
        json_text(json, text);
}
