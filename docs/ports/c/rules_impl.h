/* The three rules for one REAL. Coefficients are formed in double and rounded once. */

static REAL NAME(sign)(REAL x) { return x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x; }

static void NAME(lion)(const hyperparameters *hyper, tensor *t, const REAL *grad) {
    const REAL B1 = (REAL)hyper->beta1, A1 = (REAL)(1 - hyper->beta1);
    const REAL B2 = (REAL)hyper->beta2, A2 = (REAL)(1 - hyper->beta2);
    const REAL lr = (REAL)hyper->lr, decay = (REAL)hyper->weight_decay;
    REAL *p = t->param, *m = t->momentum;
    for (size_t i = 0; i < t->size; ++i) {
        REAL c = B1 * m[i] + A1 * grad[i];
        p[i] = p[i] - lr * (NAME(sign)(c) + decay * p[i]);
        m[i] = B2 * m[i] + A2 * grad[i];
    }
}

static void NAME(signum)(const hyperparameters *hyper, tensor *t, const REAL *grad) {
    const REAL B = (REAL)hyper->beta1, A = (REAL)(1 - hyper->beta1);
    const REAL lr = (REAL)hyper->lr, decay = (REAL)hyper->weight_decay;
    REAL *p = t->param, *m = t->momentum;
    for (size_t i = 0; i < t->size; ++i) {
        m[i] = B * m[i] + A * grad[i];
        p[i] = p[i] - lr * (NAME(sign)(m[i]) + decay * p[i]);
    }
}

static REAL NAME(rms)(const REAL *p, size_t size) {
    double sum = 0;
    for (size_t i = 0; i < size; ++i) sum += (double)p[i] * (double)p[i];
    return (REAL)sqrt(sum / (double)size);
}

static void NAME(tiger_move)(tensor *t, size_t from, size_t to, REAL rate, REAL decay) {
    REAL *p = t->param, *m = t->momentum;
    for (size_t i = from; i < to; ++i) p[i] = p[i] - rate * (NAME(sign)(m[i]) + decay * p[i]);
}

static void NAME(tiger_shrink)(const hyperparameters *hyper, tensor *t) {
    const REAL centre = t->role == SCALE, shrink = (REAL)hyper->shrink;
    REAL *p = t->param;
    for (size_t i = 0; i < t->size; ++i) p[i] = (p[i] - centre) * shrink + centre;
}

static int NAME(has_nan)(const REAL *grad, size_t size) {
    for (size_t i = 0; i < size; ++i)
        if (grad[i] != grad[i]) return 1;
    return 0;
}

static void NAME(tiger)(const hyperparameters *hyper, tensor *t, const REAL *grad, long step) {
    const long k = hyper->accumulation_steps;
    const REAL b1 = step % k == 0 ? (REAL)hyper->beta1 : 1, b2 = (REAL)((1 - hyper->beta1) / (double)k);
    const double lr = hyper->lr * schedule_factor(hyper, step);
    const REAL decay = (REAL)hyper->weight_decay;
    REAL *p = t->param, *m = t->momentum;
    if (NAME(has_nan)(grad, t->size)) {
        NAME(tiger_shrink)(hyper, t);
        return;
    }
    for (size_t i = 0; i < t->size; ++i) m[i] = b1 * m[i] + b2 * grad[i];
    if ((step + 1) % k) return;
    if (t->role == BIAS || t->role == SCALE) {
        NAME(tiger_move)(t, 0, t->size, (REAL)(0.5 * lr), 0);
        return;
    }
    size_t row = t->role == EMBEDDING ? t->row_size : t->size;
    for (size_t from = 0; from < t->size; from += row)
        NAME(tiger_move)(t, from, from + row, (REAL)lr * NAME(rms)(p + from, row), decay);
}

void NAME(update)(rule_name rule, const hyperparameters *hyper, tensor *t, const REAL *grad, long step) {
    if (rule == LION) NAME(lion)(hyper, t, grad);
    if (rule == SIGNUM) NAME(signum)(hyper, t, grad);
    if (rule == TIGER) NAME(tiger)(hyper, t, grad, step);
}
