/* SPDX-License-Identifier: MIT */
/*
 * sqlite.c - SQLite on the default heap, by SQLITE_CONFIG_MALLOC.
 *
 * SQLite rounds sizes up itself and adds up what the heap says of its blocks, so
 * its own account must equal a walk of ours.  A limit makes a statement fail with
 * SQLITE_NOMEM and leaves the database whole.
 */
#include "embed.h"

#include <sqlite3.h>

static void *take(int bytes)
{
    return hg_alloc((size_t)bytes);
}

static void give(void *block)
{
    hg_free(block);
}

static void *resize(void *block, int bytes)
{
    return hg_realloc(block, (size_t)bytes);
}

static int size_of(void *block)
{
    return block == NULL ? 0 : (int)hg_usable_size(block);
}

static int round_up(int bytes)
{
    return (bytes + 7) & ~7;
}

static int start(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static void stop(void *arg)
{
    (void)arg;
}

static sqlite3_int64 ask(sqlite3 *db, const char *question)
{
    sqlite3_stmt *statement = NULL;
    must(sqlite3_prepare_v2(db, question, -1, &statement, NULL) == SQLITE_OK,
         question);
    must(sqlite3_step(statement) == SQLITE_ROW, "a row");
    sqlite3_int64 answer = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return answer;
}

static const char fill[] =
    "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c BLOB);"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
    "20000)"
    "  INSERT INTO t SELECT i, 'text ' || i, randomblob(i % 700) FROM n;"
    "CREATE INDEX u ON t(b);"
    "DELETE FROM t WHERE a % 3 = 0;";

static void add_usable(void *block, size_t usable, size_t requested, uint32_t tag,
                       void *arg)
{
    (void)block, (void)requested, (void)tag;
    *(size_t *)arg += usable;
}

int main(void)
{
    static const sqlite3_mem_methods methods = {take,     give,  resize, size_of,
                                                round_up, start, stop,   NULL};
    must(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK,
         "our methods");
    must(sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 1) == SQLITE_OK,
         "its own account");

    sqlite3 *db;
    must(sqlite3_open(":memory:", &db) == SQLITE_OK, "a database");
    must(sqlite3_exec(db, fill, NULL, NULL, NULL) == SQLITE_OK, "it is filled");
    sqlite3_int64 sum = ask(db, "SELECT sum(a) FROM t");
    must(sum == 133346667, "rows are right");

    size_t walked = 0;
    hg_heap_walk(NULL, add_usable, &walked);
    must((sqlite3_int64)walked == sqlite3_memory_used(), "it counts what we count");
    hg_heap_check();

    hg_heap_statistics s;
    hg_get_heap_statistics(NULL, &s);
    hg_heap_limit(NULL, s.held + ((size_t)2 << 20));
    must(sqlite3_exec(db,
                      "INSERT INTO t SELECT a + 1000000, b, zeroblob(2000) FROM t",
                      NULL, NULL, NULL) == SQLITE_NOMEM,
         "the limit is an error of SQLite's");
    hg_heap_limit(NULL, SIZE_MAX);
    must(ask(db, "SELECT sum(a) FROM t") == sum, "nothing was half done");
    must(ask(db, "SELECT count(*) FROM t WHERE b LIKE 'text 1%'") > 0,
         "and it goes on");

    sqlite3_close(db);
    sqlite3_shutdown();
    hg_census c;
    hg_take_census(&c);
    must(c.live == 0, "SQLite has given everything back");
    hg_heap_check();
    return 0;
}
