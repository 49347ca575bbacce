/* Runs vector files: `vectors FILE...`. Prints each failure and a summary; exits 1 if there was one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

static struct {
    int passed, failed, skipped;
} count;

static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = malloc((size_t)size + 1);
    if (text) text[fread(text, 1, (size_t)size, file)] = '\0';
    fclose(file);
    return text;
}

/* The place of a number among those of its format, counted from zero: the order of values, with -0 equal to +0. */
static long long rank_of(unsigned long long bits, size_t itemsize) {
    unsigned long long sign = 1ULL << (8 * itemsize - 1);
    return bits & sign ? -(long long)(bits - sign) : (long long)bits;
}

static int is_nan(const named_tensor *t, unsigned long long bits) {
    return t->itemsize == 8 ? (bits & 0x7fffffffffffffffULL) > 0x7ff0000000000000ULL
                            : (bits & 0x7fffffffULL) > 0x7f800000ULL;
}

/* One alternative: "nan", a pattern, or "first..last" by value, ends included. */
static int admits(const char *alternative, const named_tensor *t, unsigned long long bits) {
    size_t digits = 2 * t->itemsize;
    unsigned long long first, last;
    if (!strcmp(alternative, "nan")) return is_nan(t, bits);
    if (is_nan(t, bits) || !bits_from_hex(alternative, digits, &first)) return 0;
    const char *dots = strstr(alternative, "..");
    if (!dots) return bits == first;
    if (!bits_from_hex(dots + 2, digits, &last)) return 0;
    long long rank = rank_of(bits, t->itemsize);
    return rank_of(first, t->itemsize) <= rank && rank <= rank_of(last, t->itemsize);
}

static int check_slot(const char *id, const char *slot, const named_tensor *t, const void *data, const json *outcomes) {
    const json *outcome = outcomes ? outcomes->first : NULL;
    for (size_t i = 0; i < t->tensor.size; ++i, outcome = outcome->next) {
        unsigned long long bits = bits_of(t, data, i);
        const json *alternative = outcome ? outcome->first : NULL;
        while (alternative && !admits(alternative->text, t, bits)) alternative = alternative->next;
        if (alternative) continue;
        printf("FAILED %s: %s %s[%zu] is %0*llx\n", id, slot, t->name, i, (int)(2 * t->itemsize), bits);
        return 0;
    }
    return 1;
}

static int check_step(const char *id, model *m, const json *step) {
    const json *hyper = json_get(step, "hyper"), *set = json_get(step, "set");
    const char *wrong = hyper ? model_configure(m, hyper) : NULL;
    if (!wrong && set) wrong = model_set(m, set);
    if (!wrong) wrong = model_step(m, json_get(step, "grads"));
    if (wrong) return printf("FAILED %s: %s\n", id, wrong), 0;
    for (size_t i = 0; i < m->count; ++i) {
        const named_tensor *t = &m->tensors[i];
        if (!check_slot(id, "params", t, t->tensor.param, json_get(json_get(step, "params"), t->name))) return 0;
        if (!check_slot(id, "momentum", t, t->tensor.momentum, json_get(json_get(step, "momentum"), t->name))) return 0;
    }
    return 1;
}

static int check_vector(rule_name rule, const json *vector) {
    const char *id = json_get(vector, "id")->text;
    model m = {0};
    const char *wrong =
        model_init(&m, rule, json_get(vector, "params"), json_get(vector, "hyper"), json_get(vector, "momentum"));
    if (wrong) printf("FAILED %s: %s\n", id, wrong);
    int ok = !wrong;
    for (const json *step = json_get(vector, "steps")->first; ok && step; step = step->next) ok = check_step(id, &m, step);
    model_free(&m);
    return ok;
}

/* Whether this port is what a vector requires; a requirement that it does not know stops the run. */
static int applies(const json *vector) {
    static const char *const met[][2] = {{"nan", "propagate"}, {"subnormals", "keep"}, {"roles", "names"},
                                         {"momentum_form", "ema"}, {"eps_form", "add"}};
    const size_t known = sizeof met / sizeof *met;
    const json *requires = json_get(vector, "requires");
    for (const json *each = requires ? requires->first : NULL; each; each = each->next) {
        size_t i = 0;
        while (i < known && strcmp(each->key, met[i][0])) ++i;
        if (i == known) exit((fprintf(stderr, "unknown requirement %s\n", each->key), 2));
        if (strcmp(each->text, met[i][1])) return 0;
    }
    return 1;
}

/* The canary is wrong on purpose: its failure is expected, and printed like any other. */
static int check_canary(rule_name rule, const json *canary) {
    printf("the next failure is expected\n");
    return canary && !check_vector(rule, canary);
}

static int check_file(const char *path) {
    char *text = read_file(path);
    json *file = text ? json_parse(text) : NULL;
    const json *name = json_get(file, "rule"), *vectors = json_get(file, "vectors");
    rule_name rule;
    int ok = name && vectors && rule_from_text(name->text, &rule);
    if (ok && !check_canary(rule, json_get(file, "canary"))) ++count.failed;
    for (const json *vector = ok ? vectors->first : NULL; vector; vector = vector->next) {
        if (!applies(vector))
            ++count.skipped;
        else if (check_vector(rule, vector))
            ++count.passed;
        else
            ++count.failed;
    }
    json_free(file);
    free(text);
    return ok;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; ++i)
        if (!check_file(argv[i])) return fprintf(stderr, "%s is no vector file\n", argv[i]), 2;
    printf("%d passed, %d failed, %d skipped\n", count.passed, count.failed, count.skipped);
    return count.failed || !count.passed;
}
