/* Lion, Signum, Tiger and Muon on one tensor: the library under test. Everything else here is glue. */
#ifndef RULES_H
#define RULES_H

#include <stddef.h>

typedef enum { LION, SIGNUM, TIGER, MUON } rule_name;
typedef enum { MATRIX, EMBEDDING, BIAS, SCALE } role_name;

typedef struct {
    long step;
    double factor;
} schedule_point;

typedef struct {
    double lr, beta1, beta2, weight_decay; /* Signum, Tiger and Muon use beta1 */
    double shrink;
    long accumulation_steps;
    schedule_point *schedule; /* rising steps; NULL for a factor of 1 */
    size_t schedule_points;
    double (*triples)[3]; /* Muon: one for all applications, or one for each */
    size_t triple_count;
    size_t ns_steps;
    double eps;
    int nesterov, match_rms_adamw;
} hyperparameters;

typedef struct {
    role_name role;
    size_t size;     /* elements */
    size_t row_size; /* length of the last axis */
    size_t rows;     /* length of the first axis */
    void *param, *momentum;
} tensor;

/* One update in place, in float or in double; 0 if there is not enough memory, and then nothing has changed.
   `step` counts micro-steps from 0 and matters to Tiger only. */
int update_float(rule_name rule, const hyperparameters *hyper, tensor *tensor, const float *grad, long step);
int update_double(rule_name rule, const hyperparameters *hyper, tensor *tensor, const double *grad, long step);

/* Tiger's role of a parameter by its name, as the source decides it. */
role_name role_of(const char *name);

#endif
