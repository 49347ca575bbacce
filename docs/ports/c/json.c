#include "json.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

static json *parse_value(char **at, int depth);

static void skip_space(char **at) {
    while (**at == ' ' || **at == '\t' || **at == '\n' || **at == '\r') ++*at;
}

static int hex4(const char *digits) {
    int value = 0;
    for (int i = 0; i < 4; ++i) {
        char d = digits[i];
        int digit = d >= '0' && d <= '9' ? d - '0' : (d | 32) >= 'a' && (d | 32) <= 'f' ? (d | 32) - 'a' + 10 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *out, unsigned code) {
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    }
    return out;
}

/* The character after a backslash; moves both ends. Returns 0 if the escape is malformed. */
static int unescape(char **at, char **out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char escape = *(*at)++;
    const char *found = escape ? strchr(from, escape) : NULL;
    if (found) {
        *(*out)++ = to[found - from];
        return 1;
    }
    if (escape != 'u') return 0;
    int code = hex4(*at);
    if (code < 0) return 0;
    *at += 4;
    if (code >= 0xD800 && code < 0xDC00 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        int low = hex4(*at + 2);
        if (low >= 0xDC00 && low < 0xE000) {
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            *at += 6;
        }
    }
    *out = put_utf8(*out, (unsigned)code);
    return 1;
}

/* Unescapes in place: the text only gets shorter. */
static char *parse_string(char **at, size_t *length) {
    if (**at != '"') return NULL;
    char *start = ++*at, *out = start;
    while (**at != '"') {
        if (**at == '\0') return NULL;
        if (**at == '\\') {
            ++*at;
            if (!unescape(at, &out)) return NULL;
        } else {
            *out++ = *(*at)++;
        }
    }
    ++*at;
    *out = '\0';
    *length = (size_t)(out - start);
    return start;
}

static int parse_members(json *parent, char **at, int depth) {
    char close = parent->kind == JSON_OBJECT ? '}' : ']';
    json **slot = &parent->first;
    ++*at;
    skip_space(at);
    if (**at == close) return ++*at, 1;
    for (;;) {
        char *key = NULL;
        size_t ignored;
        skip_space(at);
        if (parent->kind == JSON_OBJECT) {
            if (!(key = parse_string(at, &ignored))) return 0;
            skip_space(at);
            if (*(*at)++ != ':') return 0;
        }
        if (!(*slot = parse_value(at, depth + 1))) return 0;
        (*slot)->key = key;
        slot = &(*slot)->next;
        ++parent->length;
        skip_space(at);
        if (**at == close) return ++*at, 1;
        if (*(*at)++ != ',') return 0;
    }
}

static int parse_word(char **at, const char *word) {
    size_t length = strlen(word);
    if (strncmp(*at, word, length)) return 0;
    *at += length;
    return 1;
}

static int parse_number(json *value, char **at) {
    char *end;
    value->number = strtod(*at, &end);
    if (end == *at) return 0;
    *at = end;
    return 1;
}

static json *parse_value(char **at, int depth) {
    if (depth > MAX_DEPTH) return NULL;
    json *value = calloc(1, sizeof *value);
    if (!value) return NULL;
    skip_space(at);
    int ok = 1;
    if (**at == '{' || **at == '[') {
        value->kind = **at == '{' ? JSON_OBJECT : JSON_ARRAY;
        ok = parse_members(value, at, depth);
    } else if (**at == '"') {
        value->kind = JSON_STRING;
        ok = (value->text = parse_string(at, &value->length)) != NULL;
    } else if (parse_word(at, "true") || parse_word(at, "false")) {
        value->kind = JSON_BOOL;
        value->number = (*at)[-2] == 'u';
    } else if (!parse_word(at, "null")) {
        value->kind = JSON_NUMBER;
        ok = parse_number(value, at);
    }
    if (ok) return value;
    json_free(value);
    return NULL;
}

json *json_parse(char *text) {
    char *at = text;
    json *value = parse_value(&at, 0);
    if (value) {
        skip_space(&at);
        if (*at == '\0') return value;
    }
    json_free(value);
    return NULL;
}

void json_free(json *value) {
    while (value) {
        json *next = value->next;
        json_free(value->first);
        free(value);
        value = next;
    }
}

const json *json_get(const json *object, const char *key) {
    if (!object || object->kind != JSON_OBJECT) return NULL;
    for (const json *member = object->first; member; member = member->next)
        if (!strcmp(member->key, key)) return member;
    return NULL;
}
