/* SPDX-License-Identifier: MIT */
/*
 * symbols.c - see symbols.h
 *
 * The tree is made anew, in the order of the old one: a parent comes before its
 * children in both.  An offset that several nodes share is looked up once.
 */
#include "analyze/symbols.h"

#include "base/grow.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stdio.h>

#ifdef HG_WITH_LIBDW
#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <stdlib.h>
#include <sys/stat.h>
#endif

struct frame {
    uint32_t code, line;
};

/* What an offset in a file stands for: `count` frames, the outermost first. */
struct known {
    uint32_t code, line; /* 0: a free slot */
    uint32_t first, count;
};

struct work {
    const struct ledger_copy *old;
    struct ledger_node *nodes;
    struct ledger_code *codes;
    char *strings;
    struct frame *frames;
    uint32_t nodes_room, codes_room, strings_room, frames_room;
    uint32_t nodes_count, codes_count, strings_bytes, frames_count;
    struct known *known; /* open addressing */
    uint32_t known_mask;
    struct files *files;
};

static bool is_native(const struct ledger_code *code)
{
    return code->first_line == LEDGER_LINES_ARE_OFFSETS;
}

static bool put_text(struct work *w, struct slice text, struct ledger_text *out)
{
    if (text.bytes == 0) {
        *out = (struct ledger_text){0, 0};
        return true;
    }
    if (text.bytes > UINT32_MAX / 2 - w->strings_bytes)
        return false;
    uint32_t end = w->strings_bytes + (uint32_t)text.bytes;
    char *grown = grow_to(w->strings, &w->strings_room, end, 1);
    if (grown == NULL)
        return false;
    w->strings = grown;
    memcpy(grown + w->strings_bytes, text.at, text.bytes);
    *out = (struct ledger_text){w->strings_bytes, (uint32_t)text.bytes};
    w->strings_bytes = end;
    return true;
}

/* One more frame of what is being looked up. */
static bool put_frame(struct work *w, struct slice file, struct slice function,
                      uint32_t line)
{
    struct ledger_code code = {.first_line = 0};
    if (!put_text(w, file, &code.file) || !put_text(w, function, &code.function))
        return false;
    struct ledger_code *codes =
        grow_to(w->codes, &w->codes_room, w->codes_count, sizeof *codes);
    if (codes == NULL)
        return false;
    w->codes = codes;
    struct frame *frames =
        grow_to(w->frames, &w->frames_room, w->frames_count, sizeof *frames);
    if (frames == NULL)
        return false;
    w->frames = frames;
    codes[w->codes_count] = code;
    frames[w->frames_count++] = (struct frame){w->codes_count++, line};
    return true;
}

static bool put_unknown(struct work *w, struct slice file, uint32_t offset)
{
    char name[16];
    int n = snprintf(name, sizeof name, "+0x%x", offset);
    return put_frame(w, file, (struct slice){name, (size_t)n}, 0);
}

/* ----------------------------------------------------------------------- by libdw
 */

#ifdef HG_WITH_LIBDW

/* The files that were asked for, by code. */
struct files {
    Dwfl *dwfl;
    Dwfl_Module **modules; /* NULL: not looked for, or not found */
    bool *tried;
    char *(*demangle)(const char *, char *, size_t *, int *);
};

static char *debug_path; /* the standard places */
static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = &debug_path,
};

static struct files *files_open(uint32_t codes)
{
    struct files *files = calloc(1, sizeof *files);
    if (files == NULL)
        return NULL;
    files->modules = calloc(codes, sizeof *files->modules);
    files->tried = calloc(codes, sizeof *files->tried);
    files->dwfl = dwfl_begin(&callbacks);
    /* Names of C++ are made readable if there is a library that can. */
    void *library = dlopen("libstdc++.so.6", RTLD_LAZY);
    if (library != NULL)
        *(void **)&files->demangle = dlsym(library, "__cxa_demangle");
    return files;
}

static void files_close(struct files *files)
{
    if (files == NULL)
        return;
    if (files->dwfl != NULL)
        dwfl_end(files->dwfl);
    free(files->modules);
    free(files->tried);
    free(files);
}

static Dwfl_Module *module_of(struct work *w, uint32_t code, struct slice file)
{
    struct files *files = w->files;
    if (files == NULL || files->dwfl == NULL || files->modules == NULL ||
        files->tried == NULL)
        return NULL;
    if (files->tried[code])
        return files->modules[code];
    files->tried[code] = true;
    char *path = strndup(file.at, file.bytes);
    struct stat st;
    /* Nothing that opening might wait for: the ledger may be anybody's. */
    if (path != NULL && path[0] == '/' && stat(path, &st) == 0 &&
        S_ISREG(st.st_mode)) {
        dwfl_report_begin_add(files->dwfl);
        files->modules[code] = dwfl_report_offline(files->dwfl, path, path, -1);
        dwfl_report_end(files->dwfl, NULL, NULL);
    }
    free(path);
    return files->modules[code];
}

static struct slice text_or(const char *text, struct slice otherwise)
{
    return text == NULL ? otherwise : slice_of(text);
}

static bool put_named(struct work *w, const char *file, const char *function,
                      int line, struct slice mapped)
{
    char *plain = NULL;
    if (function != NULL && w->files->demangle != NULL &&
        strncmp(function, "_Z", 2) == 0)
        plain = w->files->demangle(function, NULL, NULL, NULL);
    bool done =
        put_frame(w, text_or(file, mapped),
                  text_or(plain != NULL ? plain : function, (struct slice){0}),
                  line > 0 ? (uint32_t)line : 0);
    free(plain);
    return done;
}

/* The file and line of a call that was inlined. */
static void call_place(Dwarf_Die *unit, Dwarf_Die *inlined, const char **file,
                       int *line)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value;
    Dwarf_Files *all;
    size_t count;

    *line = dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute),
                            &value) == 0
                ? (int)value
                : 0;
    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &value) ==
            0 &&
        dwarf_getsrcfiles(unit, &all, &count) == 0 && value < count)
        *file = dwarf_filesrc(all, value, NULL, NULL);
}

enum { SCOPES_MAX = 64 };

static const char *name_of(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    const char *name =
        dwarf_formstring(dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute));
    return name != NULL ? name : dwarf_diename(die);
}

static bool look_up(struct work *w, uint32_t code, uint32_t offset)
{
    struct slice mapped = ledger_copy_text(w->old, w->old->codes[code].file);
    Dwfl_Module *module = module_of(w, code, mapped);
    GElf_Addr bias = 0;
    if (module == NULL || dwfl_module_getelf(module, &bias) == NULL)
        return put_unknown(w, mapped, offset);
    Dwarf_Addr at = offset + bias;
    const char *symbol = dwfl_module_addrname(module, at);

    const char *file = NULL;
    int line = 0;
    Dwfl_Line *source = dwfl_module_getsrc(module, at);
    if (source != NULL)
        file = dwfl_lineinfo(source, NULL, &line, NULL, NULL, NULL);
    Dwarf_Addr debug_bias;
    Dwarf_Die *unit = dwfl_module_addrdie(module, at, &debug_bias);
    Dwarf_Die *innermost = NULL;
    Dwarf_Die *scopes = NULL;
    int n = 0;
    /* Of what is inlined, the first of these says where it was written, the second
       where it was put. */
    if (unit != NULL && dwarf_getscopes(unit, at - debug_bias, &innermost) > 0)
        n = dwarf_getscopes_die(&innermost[0], &scopes);
    free(innermost);

    /* From the innermost function outwards; then the other way round. */
    struct {
        const char *file, *function;
        int line;
    } found[SCOPES_MAX];
    int count = 0;
    for (int i = 0; i < n && count < SCOPES_MAX; i++) {
        int tag = dwarf_tag(&scopes[i]);
        if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
            continue;
        found[count].file = file;
        found[count].line = line;
        found[count++].function = name_of(&scopes[i]);
        if (tag == DW_TAG_subprogram)
            break;
        call_place(unit, &scopes[i], &file, &line);
    }
    bool done = true;
    if (count == 0)
        done = symbol == NULL && file == NULL
                   ? put_unknown(w, mapped, offset)
                   : put_named(w, file, symbol, line, mapped);
    while (count-- > 0 && done)
        done = put_named(w, found[count].file, found[count].function,
                         found[count].line, mapped);
    free(scopes);
    return done;
}

#else

struct files {
    char unused;
};

static struct files *files_open(uint32_t codes)
{
    (void)codes;
    return NULL;
}

static void files_close(struct files *files)
{
    (void)files;
}

static bool look_up(struct work *w, uint32_t code, uint32_t offset)
{
    return put_unknown(w, ledger_copy_text(w->old, w->old->codes[code].file),
                       offset);
}

#endif

/* ------------------------------------------------------------------------ the tree
 */

/* NULL: no memory. */
static const struct known *know(struct work *w, uint32_t code, uint32_t line)
{
    uint32_t i = (uint32_t)hash_mix((uint64_t)code << 32 | line) & w->known_mask;
    while (w->known[i].code != 0 &&
           (w->known[i].code != code || w->known[i].line != line))
        i = (i + 1) & w->known_mask;
    if (w->known[i].code == 0) {
        uint32_t first = w->frames_count;
        if (!look_up(w, code, line))
            return NULL;
        w->known[i] = (struct known){code, line, first, w->frames_count - first};
    }
    return &w->known[i];
}

static bool put_node(struct work *w, struct ledger_node node)
{
    struct ledger_node *nodes =
        grow_to(w->nodes, &w->nodes_room, w->nodes_count, sizeof *nodes);
    if (nodes == NULL)
        return false;
    w->nodes = nodes;
    nodes[w->nodes_count++] = node;
    return true;
}

/* The nodes for one of the old tree; new_id[] of its parent is known. */
static bool put_nodes(struct work *w, uint32_t id, uint32_t *new_id)
{
    struct ledger_node node = w->old->nodes[id];
    if (node.parent != LEDGER_NO_NODE)
        node.parent = new_id[node.parent];
    if (node.code != 0 && is_native(&w->old->codes[node.code])) {
        const struct known *known = know(w, node.code, node.line);
        if (known == NULL)
            return false;
        for (uint32_t i = 0; i < known->count; i++) {
            struct frame frame = w->frames[known->first + i];
            if (i + 1 == known->count) {
                node.code = frame.code;
                node.line = frame.line;
                break;
            }
            struct ledger_node outer = {
                .parent = node.parent, .code = frame.code, .line = frame.line};
            node.parent = w->nodes_count;
            if (!put_node(w, outer))
                return false;
        }
    }
    new_id[id] = w->nodes_count;
    return put_node(w, node);
}

static void *copy_of(const void *array, size_t bytes)
{
    void *copy = calloc(1, bytes + 1);
    if (copy != NULL && bytes != 0)
        memcpy(copy, array, bytes);
    return copy;
}

/* Everything else that names nodes.  Takes the place of what the copy had. */
static bool replace(struct work *w, struct ledger_copy *copy,
                    const uint32_t *new_id)
{
    struct ledger_inherited *inherited =
        calloc((size_t)w->nodes_count + 1, sizeof *inherited);
    struct ledger_away *away = copy_of(copy->away, copy->away_count * sizeof *away);
    struct ledger_thread *threads =
        copy_of(copy->threads, copy->thread_count * sizeof *threads);
    if (inherited == NULL || away == NULL || threads == NULL) {
        free(inherited);
        free(away);
        free(threads);
        return false;
    }
    for (uint32_t i = 0; i < copy->inherited_count && i < copy->node_count; i++)
        inherited[new_id[i]] = copy->inherited[i];
    for (uint32_t i = 0; i < copy->away_count; i++)
        away[i].node = new_id[away[i].node];
    for (uint32_t i = 0; i < copy->thread_count; i++)
        threads[i].node = threads[i].node < copy->node_count
                              ? new_id[threads[i].node]
                              : UINT32_MAX;
    ledger_copy_replace_accounts(
        copy,
        &(struct ledger_copy){.nodes = w->nodes,
                              .node_count = w->nodes_count,
                              .codes = w->codes,
                              .code_count = w->codes_count,
                              .inherited = inherited,
                              .inherited_count =
                                  copy->inherited_count == 0 ? 0 : w->nodes_count,
                              .away = away,
                              .away_count = copy->away_count,
                              .threads = threads,
                              .thread_count = copy->thread_count,
                              .strings = {w->strings, w->strings_bytes}});
    return true;
}

static bool has_native(const struct ledger_copy *copy)
{
    for (uint32_t i = 1; i < copy->code_count; i++)
        if (is_native(&copy->codes[i]))
            return true;
    return false;
}

hg_status symbols_put(struct ledger_copy *copy)
{
    if (copy->node_count == 0 || !has_native(copy))
        return HG_OK;
    struct work w = {.old = copy};
    w.known_mask = 1023;
    while (w.known_mask / 2 < copy->node_count)
        w.known_mask = w.known_mask * 2 + 1;
    w.known = calloc((size_t)w.known_mask + 1, sizeof *w.known);
    uint32_t *new_id = calloc(copy->node_count, sizeof *new_id);
    w.codes = copy_of(copy->codes, copy->code_count * sizeof *w.codes);
    w.strings = copy_of(copy->strings.at, copy->strings.bytes);
    w.codes_room = w.codes_count = copy->code_count;
    w.strings_room = w.strings_bytes = (uint32_t)copy->strings.bytes;
    w.files = files_open(copy->code_count);
    bool done = w.known != NULL && new_id != NULL && w.codes != NULL &&
                w.strings != NULL && put_node(&w, (struct ledger_node){0});
    for (uint32_t id = 1; id < copy->node_count && done; id++)
        done = put_nodes(&w, id, new_id);
    done = done && replace(&w, copy, new_id);
    files_close(w.files);
    free(w.known);
    free(w.frames);
    free(new_id);
    if (!done) {
        free(w.nodes);
        free(w.codes);
        free(w.strings);
    }
    return done ? HG_OK : HG_ENOMEM;
}
