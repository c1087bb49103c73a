/* SPDX-License-Identifier: MIT */
/*
 * compile.c - from text to code in one pass: a scanner, and a parser that emits
 * while it reads.
 *
 * Variables of a function live on the stack, where the compiler knows their place.
 * Those of the module are in its map of globals.
 */
#include "wick.h"

#include <heapglass/heap.h>

#include <stdio.h>
#include <stdlib.h>

enum token {
    T_END,
    T_NAME,
    T_NUMBER,
    T_STRING,
    T_ERROR,
    T_LEFT,
    T_RIGHT,
    T_OPEN,
    T_CLOSE,
    T_BEGIN,
    T_STOP, /* ( ) [ ] { } */
    T_COMMA,
    T_DOT,
    T_SEMICOLON,
    T_COLON,
    T_PLUS,
    T_MINUS,
    T_STAR,
    T_SLASH,
    T_PERCENT,
    T_NOT,
    T_NOT_EQUAL,
    T_ASSIGN,
    T_EQUAL,
    T_LESS,
    T_LESS_EQUAL,
    T_MORE,
    T_MORE_EQUAL,
    T_AND,
    T_AS,
    T_BREAK,
    T_CLASS,
    T_CONTINUE,
    T_ELSE,
    T_FALSE,
    T_FOR,
    T_FUN,
    T_IF,
    T_IMPORT,
    T_IN,
    T_NIL,
    T_OR,
    T_RETURN,
    T_SUPER,
    T_THIS,
    T_TRUE,
    T_VAR,
    T_WHILE,
};

static const char *const words[] = {"and",    "as",    "break", "class", "continue",
                                    "else",   "false", "for",   "fun",   "if",
                                    "import", "in",    "nil",   "or",    "return",
                                    "super",  "this",  "true",  "var",   "while"};

enum { LOCALS = 250, CAPTURES = 250, BREAKS = 64, DEPTH = 200 };

struct name {
    const char *at;
    size_t length;
};

struct scope_of_function {
    struct scope_of_function *outer;
    Function *function;
    enum kind { SCRIPT, FUNCTION, METHOD, INIT } kind;
    struct {
        struct name name;
        int depth; /* -1: declared, not yet defined */
        bool captured;
    } local[LOCALS];
    struct {
        uint8_t index;
        bool local;
    } capture[CAPTURES];
    int locals, depth;
    struct loop *loop;
};

struct loop {
    struct loop *outer;
    uint32_t start;
    int locals; /* outside of its body */
    uint32_t out[BREAKS];
    int outs;
};

struct in_class {
    struct in_class *outer;
    bool derived;
};

struct compiler {
    Machine *vm;
    Module *module;
    const char *at, *start;
    uint32_t line;
    struct {
        enum token token;
        struct name text;
        uint32_t line;
    } now, last;
    bool failed;
    int nested; /* expressions and blocks: the C stack has an end */
    struct scope_of_function *scope;
    struct in_class *class;
};

/* ---- the scanner ---- */

static void fail_at(struct compiler *c, uint32_t line, const char *message)
{
    if (!c->failed)
        snprintf(c->vm->error, sizeof c->vm->error, "%s:%u: %s\n",
                 c->module->name->text, line, message);
    c->failed = true;
    c->now.token = T_END; /* whoever reads on comes to an end */
    c->at = "";
}

/* More of the text may mend it. */
static void fail_short(struct compiler *c, uint32_t line, const char *message)
{
    c->vm->unfinished = c->vm->interactive && !c->failed;
    fail_at(c, line, message);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void skip_space(struct compiler *c)
{
    for (;; c->at++) {
        if (c->at[0] == '/' && c->at[1] == '/')
            c->at += strcspn(c->at, "\n");
        if (*c->at == '\n')
            c->line++;
        else if (*c->at != ' ' && *c->at != '\t' && *c->at != '\r')
            return;
    }
}

static enum token word(const struct compiler *c)
{
    size_t length = (size_t)(c->at - c->start);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i]) == length && memcmp(words[i], c->start, length) == 0)
            return (enum token)(T_AND + i);
    }
    return T_NAME;
}

static enum token either(struct compiler *c, enum token with_equal,
                         enum token without)
{
    if (*c->at != '=')
        return without;
    c->at++;
    return with_equal;
}

static enum token scan(struct compiler *c)
{
    skip_space(c);
    c->start = c->at;
    if (*c->at == 0)
        return T_END;
    char first = *c->at++;
    if (is_letter(first)) {
        while (is_letter(*c->at) || is_digit(*c->at))
            c->at++;
        return word(c);
    }
    if (is_digit(first)) {
        while (is_digit(*c->at))
            c->at++;
        if (c->at[0] == '.' && is_digit(c->at[1])) {
            c->at++;
            while (is_digit(*c->at))
                c->at++;
        }
        return T_NUMBER;
    }
    if (first == '"') {
        while (*c->at != '"' && *c->at != 0) {
            c->line += *c->at == '\n';
            c->at += c->at[0] == '\\' && c->at[1] != 0 ? 2 : 1;
        }
        if (*c->at == 0)
            return T_ERROR;
        c->at++;
        return T_STRING;
    }
    static const char single[] = "()[]{},.;:+-*/%";
    const char *found = strchr(single, first);
    if (found != NULL)
        return (enum token)(T_LEFT + (found - single));
    if (first == '!')
        return either(c, T_NOT_EQUAL, T_NOT);
    if (first == '=')
        return either(c, T_EQUAL, T_ASSIGN);
    if (first == '<')
        return either(c, T_LESS_EQUAL, T_LESS);
    if (first == '>')
        return either(c, T_MORE_EQUAL, T_MORE);
    return T_ERROR;
}

static void advance(struct compiler *c)
{
    c->last = c->now;
    c->now.token = scan(c);
    c->now.text = (struct name){c->start, (size_t)(c->at - c->start)};
    c->now.line = c->line;
    if (c->now.token == T_ERROR && *c->start == '"')
        fail_short(c, c->line, "a string without an end");
    else if (c->now.token == T_ERROR)
        fail_at(c, c->line, "an unknown sign");
}

static bool match(struct compiler *c, enum token token)
{
    if (c->now.token != token || c->failed)
        return false;
    advance(c);
    return true;
}

static void expect(struct compiler *c, enum token token, const char *what)
{
    char message[128];
    if (match(c, token))
        return;
    if (c->now.token == T_END) {
        snprintf(message, sizeof message, "expected %s, not the end", what);
        fail_short(c, c->now.line, message);
        return;
    }
    snprintf(message, sizeof message, "expected %s, not '%.*s'", what,
             (int)(c->now.text.length > 40 ? 40 : c->now.text.length),
             c->now.text.at);
    fail_at(c, c->now.line, message);
}

/* ---- code ---- */

static void emit(struct compiler *c, unsigned byte)
{
    Function *f = c->scope->function;
    if (f->bytes == f->code_room) {
        f->code_room = f->code_room == 0 ? 64 : 2 * f->code_room;
        f->code = resize(f->code, f->code_room);
        f->line = resize(f->line, f->code_room * sizeof *f->line);
    }
    f->code[f->bytes] = (uint8_t)byte;
    f->line[f->bytes++] = c->last.line;
}

static void emit2(struct compiler *c, enum op op, unsigned number)
{
    emit(c, op);
    emit(c, number >> 8);
    emit(c, number & 255);
}

/* Takes the reference. */
static unsigned constant(struct compiler *c, Value v)
{
    Function *f = c->scope->function;
    for (uint32_t i = 0; i < f->constants; i++) {
        if (f->constant[i] == v || (is_object(v) && is_equal(f->constant[i], v))) {
            drop(c->vm->world, v);
            return i;
        }
    }
    if (f->constants == UINT16_MAX)
        fail_at(c, c->last.line, "too many constants in one function");
    if (f->constants == f->constant_room) {
        f->constant_room = 2 * f->constant_room + 8;
        f->constant = resize(f->constant, f->constant_room * sizeof(Value));
    }
    f->constant[f->constants] = v;
    return f->constants++;
}

static unsigned name_constant(struct compiler *c, struct name name)
{
    return constant(c, from_object(string_new(c->vm, name.at, name.length)));
}

static uint32_t jump(struct compiler *c, enum op op)
{
    emit2(c, op, 0);
    return c->scope->function->bytes;
}

/* From the jump that ends at `from` to here. */
static void land(struct compiler *c, uint32_t from)
{
    Function *f = c->scope->function;
    uint32_t distance = f->bytes - from;
    if (distance > UINT16_MAX)
        fail_at(c, c->last.line, "too much code to jump over");
    f->code[from - 2] = (uint8_t)(distance >> 8);
    f->code[from - 1] = (uint8_t)distance;
}

static void loop_back(struct compiler *c, uint32_t start)
{
    uint32_t distance = c->scope->function->bytes + 3 - start;
    if (distance > UINT16_MAX)
        fail_at(c, c->last.line, "too much code in a loop");
    emit2(c, OP_LOOP, distance);
}

/* ---- names ---- */

static bool same(struct name a, struct name b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

static void scope_open(struct compiler *c, struct scope_of_function *scope,
                       enum kind kind, struct name name)
{
    memset(scope, 0, sizeof *scope);
    scope->outer = c->scope;
    scope->kind = kind;
    scope->function = new_object(c->vm, &Function_type);
    hg_set(c->vm->world, &scope->function->module, c->module);
    c->scope = scope;
    if (kind != SCRIPT)
        hg_move(c->vm->world, &scope->function->name,
                string_new(c->vm, name.at, name.length));
    /* Slot 0: what was called, or the object whose method it is. */
    scope->local[0].name = kind == METHOD || kind == INIT ? (struct name){"this", 4}
                                                          : (struct name){"", 0};
    scope->locals = 1;
}

static Function *scope_close(struct compiler *c)
{
    struct scope_of_function *scope = c->scope;
    if (scope->kind == INIT) {
        emit2(c, OP_GET_LOCAL, 0);
    } else {
        emit(c, OP_NIL);
    }
    emit(c, OP_RETURN);
    c->scope = scope->outer;
    return scope->function;
}

static void declare(struct compiler *c, struct name name)
{
    struct scope_of_function *s = c->scope;
    if (s->locals == LOCALS) {
        fail_at(c, c->last.line, "too many variables in one function");
        return;
    }
    for (int i = s->locals - 1; i >= 0 && s->local[i].depth == s->depth; i--) {
        if (name.length > 0 && same(s->local[i].name, name))
            fail_at(c, c->last.line, "a variable of this name is there already");
    }
    s->local[s->locals].name = name;
    s->local[s->locals].depth = s->depth;
    s->local[s->locals++].captured = false;
}

static int find_local(const struct scope_of_function *s, struct name name)
{
    for (int i = s->locals - 1; i >= 0; i--) {
        if (same(s->local[i].name, name))
            return i;
    }
    return -1;
}

static int find_capture(struct compiler *c, struct scope_of_function *s,
                        struct name name)
{
    if (s->outer == NULL)
        return -1;
    int index = find_local(s->outer, name);
    bool local = index >= 0;
    if (local)
        s->outer->local[index].captured = true;
    else
        index = find_capture(c, s->outer, name);
    if (index < 0)
        return -1;
    int n = (int)s->function->captures;
    for (int i = 0; i < n; i++) {
        if (s->capture[i].index == index && s->capture[i].local == local)
            return i;
    }
    if (n == CAPTURES) {
        fail_at(c, c->last.line, "a function uses too many variables of others");
        return 0;
    }
    s->capture[n].index = (uint8_t)index;
    s->capture[n].local = local;
    s->function->captures++;
    return n;
}

static void close_locals(struct compiler *c, int down_to)
{
    for (int i = c->scope->locals - 1; i >= down_to; i--)
        emit(c, c->scope->local[i].captured ? OP_CLOSE : OP_POP);
}

static void block_begin(struct compiler *c)
{
    c->scope->depth++;
}

static void block_end(struct compiler *c)
{
    struct scope_of_function *s = c->scope;
    int keep_to = s->locals;
    while (keep_to > 1 && s->local[keep_to - 1].depth == s->depth)
        keep_to--;
    close_locals(c, keep_to);
    s->locals = keep_to;
    s->depth--;
}

/* A name that was declared gets the value on the stack. */
static void define(struct compiler *c, struct name name)
{
    if (c->scope->kind == SCRIPT && c->scope->depth == 0)
        emit2(c, OP_DEFINE, name_constant(c, name));
    else
        declare(c, name);
}

static void emit_name(struct compiler *c, struct name name, bool set)
{
    int index = find_local(c->scope, name);
    if (index >= 0) {
        emit2(c, set ? OP_SET_LOCAL : OP_GET_LOCAL, (unsigned)index);
        return;
    }
    index = find_capture(c, c->scope, name);
    if (index >= 0)
        emit2(c, set ? OP_SET_CELL : OP_GET_CELL, (unsigned)index);
    else
        emit2(c, set ? OP_SET_GLOBAL : OP_GET_GLOBAL, name_constant(c, name));
}

/* ---- expressions ---- */

enum power {
    P_ASSIGN = 1,
    P_OR,
    P_AND,
    P_EQUAL,
    P_COMPARE,
    P_SUM,
    P_PRODUCT,
    P_SIGN,
    P_CALL
};

static void expression(struct compiler *c, enum power least);
static void block(struct compiler *c);
static void statement(struct compiler *c);

static void number(struct compiler *c)
{
    double value = strtod(c->last.text.at, NULL);
    emit2(c, OP_CONSTANT, constant(c, from_number(value)));
}

static void string(struct compiler *c)
{
    const char *from = c->last.text.at + 1, *end = from + c->last.text.length - 2;
    char *text = resize(NULL, (size_t)(end - from) + 1);
    size_t n = 0;
    for (; from < end; from++) {
        char sign = *from;
        if (sign == '\\') {
            sign = *++from;
            sign = sign == 'n' ? '\n' : sign == 't' ? '\t' : sign;
        }
        text[n++] = sign;
    }
    Value v = from_object(string_new(c->vm, text, n));
    hg_free(text);
    emit2(c, OP_CONSTANT, constant(c, v));
}

static unsigned arguments(struct compiler *c, enum token end, const char *what)
{
    unsigned count = 0;
    while (c->now.token != end && !c->failed) {
        expression(c, P_ASSIGN);
        count++;
        if (!match(c, T_COMMA))
            break;
    }
    expect(c, end, what);
    return count;
}

static unsigned call_arguments(struct compiler *c)
{
    unsigned count = arguments(c, T_RIGHT, "')' after arguments");
    if (count > 250)
        fail_at(c, c->last.line, "too many arguments");
    return count;
}

static void map(struct compiler *c)
{
    unsigned count = 0;
    while (c->now.token != T_STOP && !c->failed) {
        expression(c, P_ASSIGN);
        expect(c, T_COLON, "':' after a key");
        expression(c, P_ASSIGN);
        count++;
        if (!match(c, T_COMMA))
            break;
    }
    expect(c, T_STOP, "'}' after the map");
    if (count > UINT16_MAX)
        fail_at(c, c->last.line, "too long a map");
    emit2(c, OP_MAP, count);
}

/* From the parameters on; leaves the closure on the stack. */
static void function(struct compiler *c, enum kind kind, struct name name)
{
    struct scope_of_function *scope = resize(NULL, sizeof *scope);
    scope_open(c, scope, kind, name);
    scope->depth = 1;
    expect(c, T_LEFT, "'(' before parameters");
    while (c->now.token != T_RIGHT && !c->failed) {
        expect(c, T_NAME, "a parameter");
        declare(c, c->last.text);
        scope->function->arity++;
        if (!match(c, T_COMMA))
            break;
    }
    expect(c, T_RIGHT, "')' after parameters");
    expect(c, T_BEGIN, "'{' before a function's body");
    block(c);
    Function *made = scope_close(c);
    uint32_t captures = made->captures;
    emit2(c, OP_CLOSURE, constant(c, from_object(made)));
    for (uint32_t i = 0; i < captures; i++) {
        emit(c, scope->capture[i].local);
        emit(c, scope->capture[i].index);
    }
    hg_free(scope);
}

static const struct name this_name = {"this", 4}, super_name = {"super", 5};

static void super(struct compiler *c)
{
    if (c->class == NULL || !c->class->derived)
        fail_at(c, c->last.line, "'super' in no class that has a base");
    expect(c, T_DOT, "'.' after 'super'");
    expect(c, T_NAME, "a method's name");
    unsigned method = name_constant(c, c->last.text);
    emit_name(c, this_name, false);
    emit_name(c, super_name, false);
    emit2(c, OP_GET_SUPER, method);
}

static void primary(struct compiler *c, bool may_assign)
{
    struct name name = c->last.text;
    switch (c->last.token) {
    case T_NUMBER:
        number(c);
        break;
    case T_STRING:
        string(c);
        break;
    case T_NIL:
        emit(c, OP_NIL);
        break;
    case T_TRUE:
        emit(c, OP_TRUE);
        break;
    case T_FALSE:
        emit(c, OP_FALSE);
        break;
    case T_NAME: {
        bool set = may_assign && match(c, T_ASSIGN);
        if (set)
            expression(c, P_ASSIGN);
        emit_name(c, name, set);
        break;
    }
    case T_THIS:
        if (c->class == NULL)
            fail_at(c, c->last.line, "'this' in no class");
        emit_name(c, this_name, false);
        break;
    case T_SUPER:
        super(c);
        break;
    case T_LEFT:
        expression(c, P_ASSIGN);
        expect(c, T_RIGHT, "')'");
        break;
    case T_OPEN: {
        unsigned count = arguments(c, T_CLOSE, "']' after the list");
        if (count > UINT16_MAX)
            fail_at(c, c->last.line, "too long a list");
        emit2(c, OP_LIST, count);
        break;
    }
    case T_BEGIN:
        map(c);
        break;
    case T_FUN:
        function(c, FUNCTION, (struct name){"(nameless)", 10});
        break;
    case T_NOT:
        expression(c, P_SIGN);
        emit(c, OP_NOT);
        break;
    case T_MINUS:
        expression(c, P_SIGN);
        emit(c, OP_NEGATE);
        break;
    case T_END:
        fail_short(c, c->last.line, "expected an expression");
        break;
    default:
        fail_at(c, c->last.line, "expected an expression");
    }
}

static enum power power_of(enum token token)
{
    switch (token) {
    case T_OR:
        return P_OR;
    case T_AND:
        return P_AND;
    case T_EQUAL:
    case T_NOT_EQUAL:
        return P_EQUAL;
    case T_LESS:
    case T_LESS_EQUAL:
    case T_MORE:
    case T_MORE_EQUAL:
        return P_COMPARE;
    case T_PLUS:
    case T_MINUS:
        return P_SUM;
    case T_STAR:
    case T_SLASH:
    case T_PERCENT:
        return P_PRODUCT;
    case T_LEFT:
    case T_DOT:
    case T_OPEN:
        return P_CALL;
    default:
        return 0;
    }
}

static void binary(struct compiler *c, enum token token)
{
    static const uint8_t ops[] = {
        [T_EQUAL] = OP_EQUAL,     [T_NOT_EQUAL] = OP_EQUAL,
        [T_LESS] = OP_LESS,       [T_LESS_EQUAL] = OP_LESS_EQUAL,
        [T_MORE] = OP_LESS_EQUAL, [T_MORE_EQUAL] = OP_LESS,
        [T_PLUS] = OP_ADD,        [T_MINUS] = OP_SUBTRACT,
        [T_STAR] = OP_MULTIPLY,   [T_SLASH] = OP_DIVIDE,
        [T_PERCENT] = OP_MODULO};
    expression(c, power_of(token) + 1);
    emit(c, ops[token]);
    if (token == T_NOT_EQUAL || token == T_MORE || token == T_MORE_EQUAL)
        emit(c, OP_NOT);
}

static void dot(struct compiler *c, bool may_assign)
{
    expect(c, T_NAME, "a name after '.'");
    unsigned name = name_constant(c, c->last.text);
    if (may_assign && match(c, T_ASSIGN)) {
        expression(c, P_ASSIGN);
        emit2(c, OP_SET_FIELD, name);
    } else if (match(c, T_LEFT)) {
        unsigned count = call_arguments(c);
        emit2(c, OP_INVOKE, name);
        emit(c, count);
    } else {
        emit2(c, OP_GET_FIELD, name);
    }
}

static void expression(struct compiler *c, enum power least)
{
    if (++c->nested > DEPTH)
        fail_at(c, c->now.line, "nested too deeply");
    bool may_assign = least <= P_ASSIGN;
    advance(c);
    primary(c, may_assign);
    while (!c->failed && power_of(c->now.token) >= least &&
           power_of(c->now.token) != 0) {
        enum token token = c->now.token;
        advance(c);
        if (token == T_AND || token == T_OR) {
            uint32_t over = jump(c, OP_JUMP_IF_FALSE);
            uint32_t end = 0;
            if (token == T_OR) {
                end = jump(c, OP_JUMP);
                land(c, over);
            }
            emit(c, OP_POP);
            expression(c, power_of(token) + 1);
            land(c, token == T_OR ? end : over);
        } else if (token == T_LEFT) {
            unsigned count = call_arguments(c);
            emit(c, OP_CALL);
            emit(c, count);
        } else if (token == T_DOT) {
            dot(c, may_assign);
        } else if (token == T_OPEN) {
            expression(c, P_ASSIGN);
            expect(c, T_CLOSE, "']' after an index");
            bool set = may_assign && match(c, T_ASSIGN);
            if (set)
                expression(c, P_ASSIGN);
            emit(c, set ? OP_SET_ITEM : OP_GET_ITEM);
        } else {
            binary(c, token);
        }
    }
    if (may_assign && c->now.token == T_ASSIGN)
        fail_at(c, c->now.line, "what is on the left of '=' cannot be assigned to");
    c->nested--;
}

/* ---- statements ---- */

static void block(struct compiler *c)
{
    while (c->now.token != T_STOP && c->now.token != T_END)
        statement(c);
    expect(c, T_STOP, "'}' after a block");
}

static void scoped_block(struct compiler *c)
{
    expect(c, T_BEGIN, "'{'");
    block_begin(c);
    block(c);
    block_end(c);
}

static void if_statement(struct compiler *c)
{
    expression(c, P_ASSIGN);
    uint32_t over = jump(c, OP_JUMP_IF_FALSE);
    emit(c, OP_POP);
    scoped_block(c);
    uint32_t end = jump(c, OP_JUMP);
    land(c, over);
    emit(c, OP_POP);
    if (match(c, T_ELSE)) {
        if (match(c, T_IF))
            if_statement(c);
        else
            scoped_block(c);
    }
    land(c, end);
}

static void loop_begin(struct compiler *c, struct loop *loop)
{
    loop->outer = c->scope->loop;
    loop->start = c->scope->function->bytes;
    loop->locals = c->scope->locals;
    loop->outs = 0;
    c->scope->loop = loop;
}

static void loop_end(struct compiler *c, struct loop *loop)
{
    for (int i = 0; i < loop->outs; i++)
        land(c, loop->out[i]);
    c->scope->loop = loop->outer;
}

static void while_statement(struct compiler *c)
{
    struct loop loop;
    loop_begin(c, &loop);
    expression(c, P_ASSIGN);
    uint32_t end = jump(c, OP_JUMP_IF_FALSE);
    emit(c, OP_POP);
    scoped_block(c);
    loop_back(c, loop.start);
    land(c, end);
    emit(c, OP_POP);
    loop_end(c, &loop);
}

/* Two variables without names: what is gone through, and how far. */
static void for_statement(struct compiler *c)
{
    struct loop loop;
    expect(c, T_NAME, "a name after 'for'");
    struct name name = c->last.text;
    expect(c, T_IN, "'in'");
    block_begin(c);
    expression(c, P_ASSIGN);
    declare(c, (struct name){"", 0});
    emit2(c, OP_CONSTANT, constant(c, from_number(0)));
    declare(c, (struct name){"", 0});
    loop_begin(c, &loop);
    uint32_t end = jump(c, OP_NEXT);
    block_begin(c);
    declare(c, name);
    expect(c, T_BEGIN, "'{'");
    block(c);
    block_end(c);
    loop_back(c, loop.start);
    land(c, end);
    loop_end(c, &loop);
    block_end(c);
}

static void leave_loop(struct compiler *c, bool again)
{
    struct loop *loop = c->scope->loop;
    expect(c, T_SEMICOLON, "';'");
    if (loop == NULL) {
        fail_at(c, c->last.line, "in no loop");
        return;
    }
    close_locals(c, loop->locals);
    if (again)
        loop_back(c, loop->start);
    else if (loop->outs == BREAKS)
        fail_at(c, c->last.line, "too many times 'break' in one loop");
    else
        loop->out[loop->outs++] = jump(c, OP_JUMP);
}

static void return_statement(struct compiler *c)
{
    if (c->scope->kind == SCRIPT)
        fail_at(c, c->last.line, "'return' in no function");
    if (match(c, T_SEMICOLON)) {
        if (c->scope->kind == INIT)
            emit2(c, OP_GET_LOCAL, 0);
        else
            emit(c, OP_NIL);
    } else {
        if (c->scope->kind == INIT)
            fail_at(c, c->last.line, "'init' returns its object");
        expression(c, P_ASSIGN);
        expect(c, T_SEMICOLON, "';' after a value");
    }
    emit(c, OP_RETURN);
}

static void class_statement(struct compiler *c)
{
    struct in_class in = {.outer = c->class};
    expect(c, T_NAME, "a class's name");
    struct name name = c->last.text;
    emit2(c, OP_CLASS, name_constant(c, name));
    define(c, name);
    c->class = &in;
    if (match(c, T_LESS)) {
        expect(c, T_NAME, "the name of a base");
        in.derived = true;
        block_begin(c);
        emit_name(c, c->last.text, false);
        declare(c, super_name);
        emit_name(c, name, false);
        emit(c, OP_INHERIT);
    }
    emit_name(c, name, false);
    expect(c, T_BEGIN, "'{' before methods");
    while (c->now.token != T_STOP && !c->failed) {
        expect(c, T_NAME, "a method's name");
        struct name method = c->last.text;
        bool init = same(method, (struct name){"init", 4});
        unsigned index = name_constant(c, method);
        function(c, init ? INIT : METHOD, method);
        emit2(c, OP_METHOD, index);
    }
    expect(c, T_STOP, "'}' after methods");
    emit(c, OP_POP);
    if (in.derived)
        block_end(c);
    c->class = in.outer;
}

static void var_statement(struct compiler *c)
{
    expect(c, T_NAME, "a variable's name");
    struct name name = c->last.text;
    if (match(c, T_ASSIGN))
        expression(c, P_ASSIGN);
    else
        emit(c, OP_NIL);
    expect(c, T_SEMICOLON, "';' after a variable");
    define(c, name);
}

static void fun_statement(struct compiler *c)
{
    expect(c, T_NAME, "a function's name");
    struct name name = c->last.text;
    bool global = c->scope->kind == SCRIPT && c->scope->depth == 0;
    if (!global)
        declare(c, name); /* it may call itself */
    function(c, FUNCTION, name);
    if (global)
        define(c, name);
}

static void import_statement(struct compiler *c)
{
    expect(c, T_STRING, "a path");
    string(c);
    emit(c, OP_IMPORT);
    expect(c, T_AS, "'as' after a path");
    expect(c, T_NAME, "a name");
    struct name name = c->last.text;
    expect(c, T_SEMICOLON, "';'");
    define(c, name);
}

static void statement(struct compiler *c)
{
    if (++c->nested > DEPTH)
        fail_at(c, c->now.line, "nested too deeply");
    if (match(c, T_VAR)) {
        var_statement(c);
    } else if (match(c, T_FUN)) {
        fun_statement(c);
    } else if (match(c, T_CLASS)) {
        class_statement(c);
    } else if (match(c, T_IF)) {
        if_statement(c);
    } else if (match(c, T_WHILE)) {
        while_statement(c);
    } else if (match(c, T_FOR)) {
        for_statement(c);
    } else if (match(c, T_BREAK)) {
        leave_loop(c, false);
    } else if (match(c, T_CONTINUE)) {
        leave_loop(c, true);
    } else if (match(c, T_RETURN)) {
        return_statement(c);
    } else if (match(c, T_IMPORT)) {
        import_statement(c);
    } else if (c->now.token == T_BEGIN) {
        scoped_block(c);
    } else {
        expression(c, P_ASSIGN);
        if (c->now.token == T_END && c->scope->kind == SCRIPT &&
            c->scope->depth == 0 && c->vm->interactive) {
            emit(c, OP_RETURN); /* what a line's last expression gives is shown */
        } else {
            expect(c, T_SEMICOLON, "';' after an expression");
            emit(c, OP_POP);
        }
    }
    c->nested--;
}

Function *compile(Machine *vm, Module *module, const char *source)
{
    struct compiler c = {.vm = vm, .module = module, .at = source, .line = 1};
    struct scope_of_function scope;
    vm->unfinished = false;
    advance(&c);
    scope_open(&c, &scope, SCRIPT, (struct name){"", 0});
    while (c.now.token != T_END)
        statement(&c);
    Function *made = scope_close(&c);
    if (!c.failed)
        return made;
    hg_release(vm->world, made);
    return NULL;
}
