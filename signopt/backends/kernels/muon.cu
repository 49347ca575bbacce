// Muon around its matrix products: m = B·m + A·g;  u = A·g + B·m or m;  p -= lr·(s·X + wd·D).
//
// u is of the new momentum, which is not written yet: nothing is before all matrices have their X.

#include "elements.cuh"

__device__ __forceinline__ compute_t averaged(compute_t m, compute_t step, compute_t B) { return add(mul(B, m), step); }

KERNEL signopt_muon_look(const param_t *g, const momentum_t *m, compute_t *u, long long size, compute_t B, compute_t A,
                         int nesterov) {
    const long long stride = (long long)gridDim.x * THREADS;
    for (long long i = (long long)blockIdx.x * THREADS + threadIdx.x; i < size; i += stride) {
        const compute_t step = mul(A, (compute_t)widen(g[i]));
        const compute_t average = averaged((compute_t)widen(m[i]), step, B);
        u[i] = nesterov ? add(step, mul(B, average)) : average;
    }
}

KERNEL signopt_muon(param_t *p, momentum_t *m, const param_t *g, const compute_t *x, const compute_t *d, long long size,
                    compute_t B, compute_t A, compute_t lr, compute_t scale, compute_t weight_decay, short *rest,
                    long long number, unsigned long long seed, unsigned step) {
    const storage_t storage({seed, step}, number);
    const long long stride = (long long)gridDim.x * THREADS;
    for (long long i = (long long)blockIdx.x * THREADS + threadIdx.x; i < size; i += stride) {
        short *low = storage_t::has_rest ? rest + i : nullptr;
        const int lane = i % storage_t::TOGETHER;
        const compute_t old = storage_t::read(p[i], low);
        const compute_t decaying = d ? d[i] : old;
        narrow(averaged((compute_t)widen(m[i]), mul(A, (compute_t)widen(g[i])), B), m[i]);
        const compute_t moved = sub(old, mul(lr, add(mul(scale, x[i]), mul(weight_decay, decaying))));
        storage_t::write(moved, p[i], low, storage.words(i - lane), lane);
    }
}
