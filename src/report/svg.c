/* SPDX-License-Identifier: MIT */
/* svg.c - see svg.h */
#include "report/svg.h"

#include "base/utf8.h"

#include <stdarg.h>

static void put_character(FILE *out, struct slice bytes, uint32_t character)
{
    switch (character) {
    case '&':
        fputs("&amp;", out);
        return;
    case '<':
        fputs("&lt;", out);
        return;
    case '>':
        fputs("&gt;", out);
        return;
    case '"':
        fputs("&quot;", out);
        return;
    default:
        if (character < 0x20 || utf8_is_byte(character) || character == 0xfffe ||
            character == 0xffff || (character >= 0x7f && character < 0xa0))
            fputc('?', out);
        else
            fwrite(bytes.at, 1, bytes.bytes, out);
    }
}

void svg_escape(FILE *out, struct slice text, unsigned columns)
{
    for (unsigned used = 0; text.bytes > 0; used++) {
        uint32_t character;
        size_t bytes = utf8_next(text, &character);
        if (used + 1 == columns && bytes < text.bytes) {
            fputs("\xe2\x80\xa6", out);
            return;
        }
        put_character(out, (struct slice){text.at, bytes}, character);
        text = slice_after(text, bytes);
    }
}

void svg_text(FILE *out, const char *class, double x, double y, const char *format,
              ...)
{
    va_list arguments;
    fprintf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
    va_start(arguments, format);
    vfprintf(out, format, arguments);
    va_end(arguments);
    fputs("</text>\n", out);
}
