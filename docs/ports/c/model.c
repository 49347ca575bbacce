#include "model.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int rule_from_text(const char *text, rule_name *rule) {
    static const char *const names[] = {"lion", "signum", "tiger", "muon"};
    for (int i = 0; i < 4; ++i)
        if (!strcmp(text, names[i])) return *rule = (rule_name)i, 1;
    return 0;
}

static char *copy_of(const char *text) {
    char *copy = malloc(strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

int bits_from_hex(const char *digits, size_t count, unsigned long long *bits) {
    *bits = 0;
    for (size_t i = 0; i < count; ++i) {
        char d = digits[i];
        int digit = d >= '0' && d <= '9' ? d - '0' : d >= 'a' && d <= 'f' ? d - 'a' + 10 : -1;
        if (digit < 0) return 0;
        *bits = *bits << 4 | (unsigned)digit;
    }
    return 1;
}

unsigned long long bits_of(const named_tensor *t, const void *data, size_t index) {
    if (t->itemsize == 8) return ((const uint64_t *)data)[index];
    return ((const uint32_t *)data)[index];
}

/* Reads hexadecimal elements into `out`. */
static int read_elements(const json *array, size_t itemsize, size_t size, void *out) {
    const json *data = json_get(array, "data");
    if (!data || data->kind != JSON_STRING || data->length != size * itemsize * 2) return 0;
    for (size_t i = 0; i < size; ++i) {
        unsigned long long bits;
        if (!bits_from_hex(data->text + i * itemsize * 2, itemsize * 2, &bits)) return 0;
        if (itemsize == 8)
            ((uint64_t *)out)[i] = bits;
        else
            ((uint32_t *)out)[i] = (uint32_t)bits;
    }
    return 1;
}

static int read_double(const json *value, double *out) {
    unsigned long long bits;
    if (!value || value->kind != JSON_STRING || value->length != 16 || !bits_from_hex(value->text, 16, &bits)) return 0;
    uint64_t word = bits;
    memcpy(out, &word, sizeof word);
    return 1;
}

static int read_schedule(const json *points, hyperparameters *hyper) {
    if (!points || points->kind != JSON_ARRAY) return 1;
    if (!(hyper->schedule = calloc(points->length + 1, sizeof *hyper->schedule))) return 0;
    for (const json *point = points->first; point; point = point->next) {
        schedule_point *next = &hyper->schedule[hyper->schedule_points++];
        if (point->kind != JSON_ARRAY || point->length != 2 || !read_double(point->first->next, &next->factor)) return 0;
        next->step = (long)point->first->number;
    }
    return 1;
}

static int read_triple(const json *triple, double *out) {
    if (!triple || triple->kind != JSON_ARRAY || triple->length != 3) return 0;
    const json *number = triple->first;
    for (int i = 0; i < 3; ++i, number = number->next)
        if (!read_double(number, out + i)) return 0;
    return 1;
}

/* A triple of numbers, or a list of triples of which there are enough. */
static int read_triples(const json *given, hyperparameters *hyper) {
    if (!given || given->kind != JSON_ARRAY || !given->length) return 0;
    const int one = given->first->kind != JSON_ARRAY;
    if (!(hyper->triples = calloc(given->length, sizeof *hyper->triples))) return 0;
    hyper->triple_count = one ? 1 : given->length;
    if (one) return read_triple(given, hyper->triples[0]);
    const json *triple = given->first;
    for (size_t i = 0; triple; triple = triple->next, ++i)
        if (!read_triple(triple, hyper->triples[i])) return 0;
    return given->length == 1 || given->length >= hyper->ns_steps;
}

static const char *read_muon(const json *hyper, hyperparameters *out) {
    const json *steps = json_get(hyper, "ns_steps"), *nesterov = json_get(hyper, "nesterov");
    const json *adjust = json_get(hyper, "adjust_lr_fn");
    if (!steps) return NULL; /* another rule */
    if (steps->kind != JSON_NUMBER || steps->number < 0) return "ns_steps must be a number of steps";
    out->ns_steps = (size_t)steps->number;
    out->nesterov = nesterov && nesterov->number != 0;
    out->match_rms_adamw = adjust && adjust->kind == JSON_STRING && !strcmp(adjust->text, "match_rms_adamw");
    if (!read_double(json_get(hyper, "eps"), &out->eps)) return "eps is missing";
    return read_triples(json_get(hyper, "ns_coefficients"), out) ? NULL : "bad ns_coefficients, or too few";
}

static const char *read_hyper(const json *hyper, hyperparameters *out) {
    const json *betas = json_get(hyper, "betas"), *k = json_get(hyper, "accumulation_steps");
    if (!read_double(json_get(hyper, "lr"), &out->lr)) return "lr is missing";
    if (!read_double(json_get(hyper, "weight_decay"), &out->weight_decay)) return "weight_decay is missing";
    if (betas && betas->kind == JSON_ARRAY && betas->length == 2) {
        if (!read_double(betas->first, &out->beta1) || !read_double(betas->first->next, &out->beta2)) return "bad betas";
    } else if (!read_double(json_get(hyper, "beta"), &out->beta1)) {
        return "betas or beta is missing";
    }
    out->accumulation_steps = k ? (long)k->number : 1;
    if (out->accumulation_steps < 1) return "accumulation_steps must be at least 1";
    if (!read_double(json_get(hyper, "shrink"), &out->shrink)) out->shrink = 0.99;
    if (!read_schedule(json_get(hyper, "schedule"), out)) return "bad schedule";
    return read_muon(hyper, out);
}

static role_name role_in(const json *roles, const char *name) {
    static const char *const names[] = {"matrix", "embedding", "bias", "scale"};
    const json *role = json_get(roles, name);
    for (int i = 0; role && role->kind == JSON_STRING && i < 4; ++i)
        if (!strcmp(role->text, names[i])) return (role_name)i;
    return role_of(name);
}

static const char *read_shape(const json *shape, named_tensor *out) {
    if (!shape || shape->kind != JSON_ARRAY) return "shape is missing";
    if (!(out->shape = calloc(shape->length + 1, sizeof *out->shape))) return "out of memory";
    out->tensor.size = out->tensor.row_size = 1;
    out->tensor.rows = shape->length ? (size_t)shape->first->number : 1;
    for (const json *axis = shape->first; axis; axis = axis->next) {
        out->tensor.row_size = out->shape[out->ndim++] = (size_t)axis->number;
        out->tensor.size *= out->tensor.row_size;
    }
    return NULL;
}

static const char *read_tensor(const json *param, const json *momentum, named_tensor *out) {
    const json *dtype = json_get(param, "dtype");
    if (!dtype || dtype->kind != JSON_STRING) return "dtype is missing";
    if (strcmp(dtype->text, "float32") && strcmp(dtype->text, "float64")) return "only float32 and float64 are known";
    out->itemsize = strcmp(dtype->text, "float64") ? 4 : 8;
    out->name = copy_of(param->key);
    const char *wrong = read_shape(json_get(param, "shape"), out);
    if (wrong) return wrong;
    tensor *t = &out->tensor;
    t->param = calloc(t->size + 1, out->itemsize);
    t->momentum = calloc(t->size + 1, out->itemsize);
    if (!t->param || !t->momentum || !out->name) return "out of memory";
    if (!read_elements(param, out->itemsize, t->size, t->param)) return "bad parameter";
    if (momentum && !read_elements(momentum, out->itemsize, t->size, t->momentum)) return "bad momentum";
    return NULL;
}

const char *model_init(model *m, rule_name rule, const json *params, const json *hyper, const json *momentum) {
    model_free(m);
    m->rule = rule;
    const char *wrong = read_hyper(hyper, &m->hyper);
    if (wrong) return wrong;
    if (!params || params->kind != JSON_OBJECT) return "params is missing";
    if (!(m->tensors = calloc(params->length + 1, sizeof *m->tensors))) return "out of memory";
    for (const json *param = params->first; param; param = param->next) {
        named_tensor *t = &m->tensors[m->count++];
        if ((wrong = read_tensor(param, json_get(momentum, param->key), t))) return wrong;
        if (rule == MUON && t->ndim < 2) return "Muon steps matrices, and a tensor has fewer than two axes";
        t->tensor.role = role_in(json_get(hyper, "roles"), param->key);
    }
    return NULL;
}

const char *model_configure(model *m, const json *hyper) {
    free(m->hyper.schedule);
    free(m->hyper.triples);
    memset(&m->hyper, 0, sizeof m->hyper);
    return read_hyper(hyper, &m->hyper);
}

static const char *step_tensor(const model *m, named_tensor *t, const json *grad) {
    void *data = malloc((t->tensor.size + 1) * t->itemsize);
    int ok = data && grad && read_elements(grad, t->itemsize, t->tensor.size, data);
    int done = 1;
    if (ok && t->itemsize == 8) done = update_double(m->rule, &m->hyper, &t->tensor, data, m->step);
    if (ok && t->itemsize == 4) done = update_float(m->rule, &m->hyper, &t->tensor, data, m->step);
    free(data);
    if (!done) return "out of memory";
    return ok ? NULL : "a gradient is missing or has another shape or dtype than its parameter";
}

const char *model_step(model *m, const json *grads) {
    for (size_t i = 0; i < m->count; ++i) {
        const char *wrong = step_tensor(m, &m->tensors[i], json_get(grads, m->tensors[i].name));
        if (wrong) return wrong;
    }
    ++m->step;
    return NULL;
}

const char *model_set(model *m, const json *params) {
    for (size_t i = 0; i < m->count; ++i) {
        named_tensor *t = &m->tensors[i];
        const json *values = json_get(params, t->name);
        if (values && !read_elements(values, t->itemsize, t->tensor.size, t->tensor.param))
            return "a parameter that is set has another shape or dtype";
    }
    return NULL;
}

void model_free(model *m) {
    for (size_t i = 0; i < m->count; ++i) {
        free(m->tensors[i].name);
        free(m->tensors[i].shape);
        free(m->tensors[i].tensor.param);
        free(m->tensors[i].tensor.momentum);
    }
    free(m->tensors);
    free(m->hyper.schedule);
    free(m->hyper.triples);
    memset(m, 0, sizeof *m);
}

static void write_text(const char *text, FILE *out) {
    putc('"', out);
    for (; *text; ++text) {
        if (*text == '"' || *text == '\\') putc('\\', out);
        if ((unsigned char)*text < 0x20)
            fprintf(out, "\\u%04x", *text);
        else
            putc(*text, out);
    }
    putc('"', out);
}

static void write_hex(unsigned long long bits, int digits, FILE *out) {
    char text[16];
    for (int i = digits; i-- > 0; bits >>= 4) text[i] = "0123456789abcdef"[bits & 15];
    fwrite(text, 1, (size_t)digits, out);
}

static void write_array(const named_tensor *t, const void *data, FILE *out) {
    fprintf(out, "{\"dtype\":\"%s\",\"shape\":[", t->itemsize == 8 ? "float64" : "float32");
    for (size_t i = 0; i < t->ndim; ++i) fprintf(out, "%s%zu", i ? "," : "", t->shape[i]);
    fputs("],\"data\":\"", out);
    for (size_t i = 0; i < t->tensor.size; ++i) write_hex(bits_of(t, data, i), (int)t->itemsize * 2, out);
    fputs("\"}", out);
}

void model_write(const model *m, int momentum, FILE *out) {
    putc('{', out);
    for (size_t i = 0; i < m->count; ++i) {
        const named_tensor *t = &m->tensors[i];
        if (i) putc(',', out);
        write_text(t->name, out);
        putc(':', out);
        write_array(t, momentum ? t->tensor.momentum : t->tensor.param, out);
    }
    putc('}', out);
}
