/* The rules for one REAL. Coefficients are formed in double and rounded once. */

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

/* out = a·b; a has n rows and k columns, b has m columns. */
static void NAME(product)(const REAL *a, const REAL *b, REAL *out, size_t n, size_t k, size_t m) {
    memset(out, 0, n * m * sizeof *out);
    for (size_t i = 0; i < n; ++i)
        for (size_t l = 0; l < k; ++l)
            for (size_t j = 0; j < m; ++j) out[i * m + j] += a[i * k + l] * b[l * m + j];
}

/* out = x·xᵀ */
static void NAME(gram)(const REAL *x, REAL *out, size_t rows, size_t columns) {
    for (size_t i = 0; i < rows; ++i)
        for (size_t j = 0; j < rows; ++j) {
            REAL sum = 0;
            for (size_t k = 0; k < columns; ++k) sum += x[i * columns + k] * x[j * columns + k];
            out[i * rows + j] = sum;
        }
}

/* x = a·x + (b·A + c·A²)·x with A = x·xᵀ; `work` holds 2·rows² + rows·columns. */
static void NAME(newton_schulz)(REAL *x, REAL *work, const double *triple, size_t rows, size_t columns) {
    const REAL a = (REAL)triple[0], b = (REAL)triple[1], c = (REAL)triple[2];
    REAL *A = work, *square = A + rows * rows, *product = square + rows * rows;
    NAME(gram)(x, A, rows, columns);
    NAME(product)(A, A, square, rows, rows, rows);
    for (size_t i = 0; i < rows * rows; ++i) A[i] = b * A[i] + c * square[i];
    NAME(product)(A, x, product, rows, rows, columns);
    for (size_t i = 0; i < rows * columns; ++i) x[i] = a * x[i] + product[i];
}

static void NAME(normalise)(REAL *x, size_t size, double eps) {
    double sum = 0;
    for (size_t i = 0; i < size; ++i) sum += (double)x[i] * (double)x[i];
    const REAL divisor = (REAL)sqrt(sum) + (REAL)eps;
    for (size_t i = 0; i < size && divisor != 0; ++i) x[i] /= divisor;
}

static int NAME(muon)(const hyperparameters *hyper, tensor *t, const REAL *grad) {
    const REAL B = (REAL)hyper->beta1, A = (REAL)(1 - hyper->beta1);
    const REAL lr = (REAL)hyper->lr, decay = (REAL)hyper->weight_decay;
    const size_t size = t->size, rows = t->rows, columns = size ? size / rows : 0;
    REAL *p = t->param, *m = t->momentum, *x = malloc((2 * size + 2 * rows * rows + 1) * sizeof *x);
    if (!x) return 0;
    for (size_t i = 0; i < size; ++i) {
        m[i] = B * m[i] + A * grad[i];
        x[i] = hyper->nesterov ? B * m[i] + A * grad[i] : m[i];
    }
    NAME(normalise)(x, size, hyper->eps);
    for (size_t i = 0; i < hyper->ns_steps && size; ++i)
        NAME(newton_schulz)(x, x + size, hyper->triples[hyper->triple_count == 1 ? 0 : i], rows, columns);
    const REAL scale = size ? (REAL)muon_scale(hyper, rows, columns) : 0;
    for (size_t i = 0; i < size; ++i) p[i] = p[i] - lr * (scale * x[i] + decay * p[i]);
    free(x);
    return 1;
}

int NAME(update)(rule_name rule, const hyperparameters *hyper, tensor *t, const REAL *grad, long step) {
    if (rule == MUON) return NAME(muon)(hyper, t, grad);
    if (rule == LION) NAME(lion)(hyper, t, grad);
    if (rule == SIGNUM) NAME(signum)(hyper, t, grad);
    if (rule == TIGER) NAME(tiger)(hyper, t, grad, step);
    return 1;
}
