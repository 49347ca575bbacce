/* The JSON-lines loop: one request a line on stdin, one reply a line on stdout. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

static const char *const RULES[] = {"lion", "signum", "tiger", "muon"};

static int method_is(const json *request, const char *name) {
    const json *method = json_get(request, "method");
    return method && method->kind == JSON_STRING && !strcmp(method->text, name);
}

static void reply_error(long id, const char *kind, const char *message) {
    printf("{\"id\":%ld,\"error\":{\"kind\":\"%s\",\"message\":\"%s\"}}\n", id, kind, message);
}

static void reply_done(long id, const char *wrong) {
    if (wrong)
        reply_error(id, "invalid", wrong);
    else
        printf("{\"id\":%ld}\n", id);
}

static void reply_hello(long id, const json *request, rule_name *rule) {
    const json *asked = json_get(request, "rule");
    if (asked && asked->kind == JSON_STRING && !rule_from_text(asked->text, rule)) {
        reply_error(id, "unsupported", "this port knows lion, signum, tiger and muon");
        return;
    }
    printf("{\"id\":%ld,\"protocol\":1,\"describe\":{\"name\":\"worked C port\",\"version\":\"1.0\",\"rule\":\"%s\","
           "\"rules\":[\"lion\",\"signum\",\"tiger\",\"muon\"],\"dtypes\":[\"float32\",\"float64\"],"
           "\"decay\":\"bracket\",\"form\":\"mul-add\"%s,\"configure\":true}}\n",
           id, RULES[*rule], *rule == MUON ? ",\"momentum_form\":\"ema\",\"eps_form\":\"add\"" : "");
}

static void reply_arrays(long id, const char *key, const model *m, int momentum) {
    printf("{\"id\":%ld,\"%s\":", id, key);
    model_write(m, momentum, stdout);
    puts("}");
}

/* Answers one request; 0 after the last one. */
static int answer(const json *request, rule_name *rule, model *m) {
    const json *number = json_get(request, "id");
    long id = number ? (long)number->number : -1;
    if (method_is(request, "hello")) {
        reply_hello(id, request, rule);
    } else if (method_is(request, "init")) {
        reply_done(id, model_init(m, *rule, json_get(request, "params"), json_get(request, "hyper"),
                                  json_get(request, "momentum")));
    } else if (method_is(request, "configure")) {
        reply_done(id, model_configure(m, json_get(request, "hyper")));
    } else if (method_is(request, "step")) {
        reply_done(id, model_step(m, json_get(request, "grads")));
    } else if (method_is(request, "params") || method_is(request, "momentum")) {
        int momentum = method_is(request, "momentum");
        reply_arrays(id, momentum ? "momentum" : "params", m, momentum);
    } else if (method_is(request, "bye")) {
        reply_done(id, NULL);
        return 0;
    } else {
        reply_error(id, "unsupported", "no such method");
    }
    return 1;
}

int main(void) {
    char *line = NULL;
    size_t capacity = 0;
    rule_name rule = LION;
    model m = {0};
    for (int more = 1; more && getline(&line, &capacity, stdin) > 0;) {
        json *request = json_parse(line);
        more = answer(request, &rule, &m);
        fflush(stdout); /* without this the suite waits for ever */
        json_free(request);
    }
    model_free(&m);
    free(line);
    return 0;
}
