/* Compile with -ffp-contract=off to get the same bits on every machine. A fused multiply-add would be legal too. */
#include "rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double schedule_factor(const hyperparameters *hyper, long step) {
    const schedule_point *point = hyper->schedule;
    schedule_point before = {0, 0.0};
    if (!point) return 1.0;
    if (point[0].step == 0) before = point[0];
    for (size_t i = 0; i < hyper->schedule_points; before = point[i++])
        if (step < point[i].step)
            return before.factor + (point[i].factor - before.factor) * (double)(step - before.step) /
                                       (double)(point[i].step - before.step);
    return before.factor;
}

/* The factor on X by the shape of the matrix. */
static double muon_scale(const hyperparameters *hyper, size_t rows, size_t columns) {
    double r = (double)rows, c = (double)columns;
    if (hyper->match_rms_adamw) return 0.2 * sqrt(fmax(r, c));
    return sqrt(fmax(1, r / c));
}

role_name role_of(const char *name) {
    if (strstr(name, "gamma")) return SCALE;
    if (strstr(name, "bias") || strstr(name, "beta")) return BIAS;
    return strstr(name, "embeddings") ? EMBEDDING : MATRIX;
}

#define REAL float
#define NAME(function) function##_float
#include "rules_impl.h"
#undef REAL
#undef NAME

#define REAL double
#define NAME(function) function##_double
#include "rules_impl.h"
