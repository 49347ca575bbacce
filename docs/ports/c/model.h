/* Named tensors under one rule, read from and written to the suite's JSON. Shared by port.c and vectors.c. */
#ifndef MODEL_H
#define MODEL_H

#include <stdio.h>

#include "json.h"
#include "rules.h"

typedef struct {
    char *name;
    size_t itemsize; /* 4 or 8 */
    size_t ndim, *shape;
    tensor tensor;
} named_tensor;

typedef struct {
    rule_name rule;
    hyperparameters hyper;
    size_t count;
    named_tensor *tensors;
    long step;
} model;

/* 0 if `text` is no rule. */
int rule_from_text(const char *text, rule_name *rule);

/* Each returns NULL, or what is wrong. `momentum` may be NULL or JSON null: zeros. */
const char *model_init(model *m, rule_name rule, const json *params, const json *hyper, const json *momentum);
const char *model_configure(model *m, const json *hyper);

/* Sets the parameters that are in `params`; the others stay. */
const char *model_set(model *m, const json *params);
const char *model_step(model *m, const json *grads);
void model_free(model *m);

/* {"name": {"dtype": …, "shape": …, "data": …}, …} */
void model_write(const model *m, int momentum, FILE *out);

/* The bits of one element, and the bits that hexadecimal digits spell. */
unsigned long long bits_of(const named_tensor *t, const void *data, size_t index);
int bits_from_hex(const char *digits, size_t count, unsigned long long *bits);

#endif
