/* SPDX-License-Identifier: MIT */
/* page.c - see page.h */
#include "report/page.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <unistd.h>

#define ELLIPSIS "\xe2\x80\xa6"

bool page_wants_colour(FILE *out)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(fileno(out)) && (no_color == NULL || no_color[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

void page_style(const struct page *page, enum style style)
{
    static const char *const codes[] = {
        [STYLE_PLAIN] = "0", [STYLE_BOLD] = "1",  [STYLE_DIM] = "2",
        [STYLE_BAR] = "36",  [STYLE_MORE] = "31", [STYLE_LESS] = "32",
    };
    if (page->colour)
        fprintf(page->out, "\033[%sm", codes[style]);
}

/* Control characters of both ASCII and Unicode would let a file name act. */
static bool is_harmless(uint32_t character)
{
    if (character < 0x20 || (character >= 0x7f && character < 0xa0))
        return false;
    if (character >= 0x202a && character <= 0x202e) /* direction of writing */
        return false;
    if (character >= 0x2066 && character <= 0x2069)
        return false;
    return !utf8_is_byte(character);
}

static unsigned columns_of(uint32_t character)
{
    return is_harmless(character) ? utf8_columns(character) : 1;
}

unsigned page_columns(struct slice text)
{
    unsigned columns = 0;
    while (text.bytes > 0) {
        uint32_t character;
        text = slice_after(text, utf8_next(text, &character));
        columns += columns_of(character);
    }
    return columns;
}

unsigned page_text(const struct page *page, struct slice text, unsigned columns)
{
    bool whole = page_columns(text) <= columns;
    unsigned room = whole ? columns : columns > 0 ? columns - 1 : 0;
    unsigned used = 0;
    while (text.bytes > 0) {
        uint32_t character;
        size_t bytes = utf8_next(text, &character);
        if (used + columns_of(character) > room)
            break;
        used += columns_of(character);
        if (is_harmless(character))
            fwrite(text.at, 1, bytes, page->out);
        else
            fputc('?', page->out);
        text = slice_after(text, bytes);
    }
    if (!whole && columns > 0) {
        fputs(ELLIPSIS, page->out);
        used++;
    }
    return used;
}

/* The longest beginning of `text` that fits, up to a space if there is one. */
static size_t fitting_bytes(struct slice text, unsigned columns)
{
    size_t bytes = 0;
    size_t at_space = 0;
    unsigned used = 0;
    while (bytes < text.bytes) {
        uint32_t character;
        size_t step = utf8_next(slice_after(text, bytes), &character);
        if (character == ' ')
            at_space = bytes;
        used += columns_of(character);
        if (used > columns)
            return at_space > 0 ? at_space : bytes > 0 ? bytes : step;
        bytes += step;
    }
    return bytes;
}

void page_paragraph(const struct page *page, struct slice text, unsigned from)
{
    unsigned columns = PAGE_COLUMNS - from;
    for (;;) {
        size_t bytes = fitting_bytes(text, columns);
        page_text(page, (struct slice){text.at, bytes}, columns);
        fputc('\n', page->out);
        text = slice_after(text, bytes);
        while (text.bytes > 0 && text.at[0] == ' ')
            text = slice_after(text, 1);
        if (text.bytes == 0)
            return;
        page_pad(page, from);
    }
}

void page_pad(const struct page *page, unsigned columns)
{
    fprintf(page->out, "%*s", (int)columns, "");
}

void page_right(const struct page *page, const char *text, unsigned columns)
{
    fprintf(page->out, "%*s", (int)columns, text);
}

void page_bar(const struct page *page, double share, unsigned columns)
{
    /* One eighth of a block, two, ... seven. */
    static const char *const eighths[] = {"",
                                          "\xe2\x96\x8f",
                                          "\xe2\x96\x8e",
                                          "\xe2\x96\x8d",
                                          "\xe2\x96\x8c",
                                          "\xe2\x96\x8b",
                                          "\xe2\x96\x8a",
                                          "\xe2\x96\x89"};
    double clamped = share < 0 ? 0 : share > 1 ? 1 : share;
    unsigned parts = (unsigned)(clamped * columns * 8 + 0.5);
    unsigned used = parts / 8;
    page_style(page, STYLE_BAR);
    for (unsigned i = 0; i < used; i++)
        fputs("\xe2\x96\x88", page->out);
    if (parts % 8 != 0) {
        fputs(eighths[parts % 8], page->out);
        used++;
    }
    page_style(page, STYLE_PLAIN);
    page_pad(page, columns - used);
}
