/* SPDX-License-Identifier: MIT */
/*
 * document.c - a tree of a document's elements, with parents and listeners, and
 * what becomes of it when it is dropped.
 *
 *     document strong|weak FILE     an XML or HTML file
 *
 * Every element knows its parent.  With strong parents each link is a cycle, and
 * what is taken out of the tree goes with the next collection, in slices of a
 * millisecond. With weak ones it goes at once, but for elements with listeners,
 * which refer to the element that they listen to and to the root.
 */
#include <heapglass/heap.h>
#include <heapglass/object.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

typedef struct {
    hg_object head;
    char text[];
} Text;

typedef struct Element {
    hg_object head;
    Text *tag;
    struct Element *parent; /* strong: a reference */
    hg_weak *weak_parent;   /* weak */
    void **child;           /* elements and texts */
    uint32_t children, room;
    struct Listener *listener;
} Element;

typedef struct Listener {
    hg_object head;
    Element *on, *root;
    struct Listener *next;
} Listener;

static hg_world *world;
static bool strong;

static void element_dispose(void *self)
{
    Element *element = self;
    hg_weak_free(world, element->weak_parent);
    hg_free(element->child);
}

static const hg_type Text_type = {
    .name = "Text", .size = offsetof(Text, text), .flags = HG_BYTES};
static const hg_type Element_type = {.name = "Element",
                                     .size = sizeof(Element),
                                     .refs =
                                         HG_REFS(Element, tag, parent, listener),
                                     .array = HG_ARRAY(Element, child, children),
                                     .dispose = element_dispose};
static const hg_type Listener_type = {.name = "Listener",
                                      .size = sizeof(Listener),
                                      .refs = HG_REFS(Listener, on, root, next)};

static void *checked(void *block)
{
    if (block == NULL) {
        fputs("document: out of memory\n", stderr);
        exit(1);
    }
    return block;
}

static Text *text_new(const char *from, size_t bytes)
{
    Text *text = checked(hg_new_items(world, &Text_type, (uint32_t)bytes + 1));
    memcpy(text->text, from, bytes);
    return text;
}

/* The tree takes the reference to the child. */
static void element_add(Element *parent, void *child)
{
    if (parent->children == parent->room) {
        parent->room = parent->room == 0 ? 4 : 2 * parent->room;
        parent->child =
            checked(hg_realloc(parent->child, parent->room * sizeof(void *)));
    }
    parent->child[parent->children++] = child;
}

static Element *element_new(Element *parent, const char *tag, size_t bytes)
{
    Element *element = checked(hg_new(world, &Element_type));
    hg_move(world, &element->tag, text_new(tag, bytes));
    if (parent == NULL)
        return element;
    if (strong)
        hg_set(world, &element->parent, parent);
    else
        element->weak_parent = checked(hg_weak_new(world, parent, NULL, NULL));
    element_add(parent, element);
    return element;
}

/* On loan, from the tree. */
static Element *parent_of(const Element *element)
{
    if (strong || element->weak_parent == NULL)
        return element->parent;
    Element *parent = hg_weak_get(world, element->weak_parent);
    hg_release(world, parent);
    return parent;
}

static void listen(Element *on, Element *root)
{
    Listener *listener = checked(hg_new(world, &Listener_type));
    hg_set(world, &listener->on, on);
    hg_set(world, &listener->root, root);
    hg_move(world, &listener->next, hg_take(&on->listener));
    hg_move(world, &on->listener, listener);
}

/* ---- reading ---- */

static bool is_void(const Element *element)
{
    static const char *const tags[] = {"area",  "br",   "col",  "hr",     "img",
                                       "input", "link", "meta", "source", "wbr"};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (strcasecmp(element->tag->text, tags[i]) == 0)
            return true;
    }
    return false;
}

static const char *after(const char *at, const char *mark)
{
    size_t bytes = strlen(mark);
    while (*at != 0 && strncmp(at, mark, bytes) != 0)
        at++;
    return *at == 0 ? at : at + bytes;
}

/* The element that an end tag closes, or where we are if it closes none. */
static Element *closed(Element *at, const char *tag, size_t bytes)
{
    for (Element *e = at; e != NULL; e = parent_of(e)) {
        if (strlen(e->tag->text) == bytes &&
            strncasecmp(e->tag->text, tag, bytes) == 0)
            return parent_of(e) != NULL ? parent_of(e) : e;
    }
    return at;
}

static Element *read_document(const char *text)
{
    Element *root = element_new(NULL, "document", 8), *at = root;
    while (*text != 0) {
        size_t plain = strcspn(text, "<");
        if (plain > strspn(text, " \t\r\n"))
            element_add(at, text_new(text, plain));
        text += plain;
        if (strncmp(text, "<!--", 4) == 0) {
            text = after(text, "-->");
        } else if (text[0] == '<' && (text[1] == '!' || text[1] == '?')) {
            text = after(text, ">");
        } else if (text[0] == '<') {
            bool ends = text[1] == '/';
            const char *tag = text + 1 + ends, *end = after(tag, ">");
            size_t bytes = strcspn(tag, " \t\r\n/>");
            if (ends) {
                at = closed(at, tag, bytes);
            } else {
                Element *element = element_new(at, tag, bytes);
                bool whole = end >= tag + 2 && end[-2] == '/';
                if (!is_void(element) && !whole)
                    at = element;
            }
            text = end;
        }
    }
    return root;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t length = 0, got;
    if (file == NULL)
        return NULL;
    do {
        text = checked(hg_realloc(text, length + 65537));
        got = fread(text + length, 1, 65536, file);
        length += got;
    } while (got > 0);
    text[length] = 0;
    if (!ferror(file)) {
        fclose(file);
        return text;
    }
    fclose(file);
    hg_free(text);
    return NULL;
}

/* ---- what becomes of it ---- */

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static size_t objects(void)
{
    hg_statistics s;
    hg_get_statistics(world, &s);
    return s.objects - s.waiting;
}

static size_t count_elements, deepest;

/* Every tenth element has a listener; every element finds its way to the root. */
static void visit(const void *object, void *arg)
{
    Element *element = (Element *)(uintptr_t)object;
    Element ***next = arg;
    if (element->head.type == &Element_type)
        *(*next)++ = element;
}

static void each_element(Element *root)
{
    Element **all = checked(hg_calloc(objects(), sizeof(Element *))), **end = all;
    hg_walk(world, visit, &end);
    for (Element **e = all; e < end; e++) {
        size_t depth = 0;
        Element *up = *e;
        do
            depth++;
        while ((up = parent_of(up)) != NULL);
        deepest = depth > deepest ? depth : deepest;
        if (count_elements++ % 10 == 9)
            listen(*e, root);
    }
    hg_free(all);
}

static void tell(const char *what, size_t before, double began)
{
    printf("%-44s %9zu objects gone, %7.1f ms\n", what, before - objects(),
           now_ms() - began);
}

static void collect_in_slices(const char *what)
{
    size_t before = objects();
    double began = now_ms(), longest = 0;
    for (int done = 0; !done;) {
        double at = now_ms();
        if (hg_step(world, 1000, &done) != HG_OK) {
            fputs("document: no memory to collect in\n", stderr);
            exit(1);
        }
        longest = now_ms() - at > longest ? now_ms() - at : longest;
    }
    hg_flush(world, 0);
    tell(what, before, began);
    printf("%-44s %25s %7.2f ms\n", "  the longest slice", "", longest);
}

int main(int argc, char **argv)
{
    bool help = argc > 1 && strcmp(argv[1], "--help") == 0;
    if (help || argc != 3 ||
        (strcmp(argv[1], "strong") != 0 && strcmp(argv[1], "weak") != 0)) {
        fputs(
            "usage: document strong|weak FILE\n"
            "\n"
            "Read the XML or HTML of FILE into a tree whose elements know their\n"
            "parents, by strong or by weak references; drop half of it, then all,\n"
            "and tell what went at once and what with a collection.\n",
            help ? stdout : stderr);
        return help ? 0 : 2;
    }
    strong = strcmp(argv[1], "strong") == 0;
    char *text = read_file(argv[2]);
    if (text == NULL) {
        fprintf(stderr, "document: cannot read %s\n", argv[2]);
        return 1;
    }
    world = checked(hg_world_new());
    hg_policy policy;
    hg_get_policy(world, &policy);
    policy.automatic = 0; /* what goes when is to be seen */
    policy.release_us = 0;
    hg_set_policy(world, &policy);

    double began = now_ms();
    Element *root = read_document(text);
    each_element(root);
    printf("%zu elements, %zu deep, %zu objects, read in %.1f ms\n", count_elements,
           deepest, objects(), now_ms() - began);

    size_t before = objects();
    began = now_ms();
    Element *body = root;
    while (body->children > 0 && body->children < 4 &&
           ((hg_object *)body->child[body->children - 1])->type == &Element_type)
        body = body->child[body->children - 1];
    for (uint32_t keep = body->children / 2; body->children > keep;)
        hg_release(world, body->child[--body->children]);
    tell("half of the largest part taken out:", before, began);
    collect_in_slices("collected in slices of 1 ms:");

    before = objects();
    began = now_ms();
    hg_release(world, root);
    tell("the document dropped:", before, began);
    collect_in_slices("collected in slices of 1 ms:");
    size_t left = objects();
    printf("%zu objects left\n", left);
    hg_world_free(world);
    hg_free(text);
    return left == 0 ? 0 : 1;
}
