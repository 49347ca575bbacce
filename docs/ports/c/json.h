/* A JSON reader that is just large enough: objects, arrays, strings, numbers, true, false, null. */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>

typedef enum { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } json_kind;

typedef struct json {
    json_kind kind;
    double number;          /* also 0 or 1 for JSON_BOOL */
    char *text;             /* JSON_STRING: unescaped, ends with a zero byte */
    size_t length;          /* of text, or the number of members */
    char *key;              /* the name under which this is a member of an object */
    struct json *first;     /* the first member, and from it the next ones */
    struct json *next;
} json;

/* Parses `text` (which is written to, and must outlive the result); NULL if it is not JSON. */
json *json_parse(char *text);
void json_free(json *value);

/* The member called `key`; NULL if there is none or `object` is no object. */
const json *json_get(const json *object, const char *key);

#endif
