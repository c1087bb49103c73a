/* SPDX-License-Identifier: MIT */
/* json.h - writes JSON, one value after the other. */
#ifndef HG_REPORT_JSON_H
#define HG_REPORT_JSON_H

#include "base/slice.h"

#include <stdint.h>
#include <stdio.h>

/*
 * The first two levels stand on lines of their own, what is deeper on the line
 * of its parent: a row is a line.  Errors are those of `out`: see ferror().
 */
struct json {
    FILE *out;
    unsigned depth;
    bool begun;   /* this object or array has a value */
    bool has_key; /* the next value belongs to the key that was just written */
};

/* Of the whole document: an object. */
void json_begin(struct json *json, FILE *out);
void json_end(struct json *json);

/* An object with '{' and '}', an array with '[' and ']'. */
void json_open(struct json *json, char bracket);
void json_close(struct json *json, char bracket);

/* Before every value of an object.  `key` is plain ASCII. */
void json_key(struct json *json, const char *key);

/* Bytes that are no UTF-8 become \udcXX, so that json.loads() gives os.fsdecode().
 */
void json_text(struct json *json, struct slice text);
void json_unsigned(struct json *json, uint64_t value);
void json_signed(struct json *json, int64_t value);
void json_bool(struct json *json, bool value);
void json_null(struct json *json);

/* Text, or null if it is empty. */
void json_text_or_null(struct json *json, struct slice text);

#endif
