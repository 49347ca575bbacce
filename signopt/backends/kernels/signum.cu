// Signum: m = B·m + A·g;  p -= lr·(sign(m) + wd·p), with the sign of m before it is rounded to storage.

#include "elements.cuh"

struct Signum {
    static constexpr bool writes_param = true, writes_momentum = true;
    compute_t lr, B, A, weight_decay;

    __device__ __forceinline__ void operator()(long long, compute_t &p, compute_t &m, compute_t g) const {
        m = add(mul(B, m), mul(A, g));
        p = sub(p, mul(lr, add(sign(m), mul(weight_decay, p))));
    }
};

KERNEL signopt_signum(const Tensor *tensors, const unsigned long long *grads, const int *owners, const Axis *,
                      compute_t lr, compute_t B, compute_t A, compute_t weight_decay,
                      unsigned long long seed, unsigned step) {
    Signum rule{lr, B, A, weight_decay};
    update_chunk(rule, {seed, step}, tensors[owners[blockIdx.x]], grads);
}

KERNEL signopt_signum_strided(const Tensor *tensors, const unsigned long long *grads, const int *owners,
                              const Axis *layouts, compute_t lr, compute_t B, compute_t A, compute_t weight_decay,
                              unsigned long long seed, unsigned step) {
    Signum rule{lr, B, A, weight_decay};
    update_strided_chunk(rule, {seed, step}, tensors[owners[blockIdx.x]], grads, layouts);
}
