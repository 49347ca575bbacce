// Lion: c = B1·m + A1·g;  p -= lr·(sign(c) + wd·p);  m = B2·m + A2·g.

#include "elements.cuh"

struct Lion {
    static constexpr bool writes_param = true, writes_momentum = true;
    compute_t lr, B1, A1, B2, A2, weight_decay;

    __device__ __forceinline__ void operator()(long long, compute_t &p, compute_t &m, compute_t g) const {
        const compute_t c = add(mul(B1, m), mul(A1, g));
        const compute_t u = add(sign(c), mul(weight_decay, p));
        p = sub(p, mul(lr, u));
        m = add(mul(B2, m), mul(A2, g));
    }
};

KERNEL signopt_lion(const Tensor *tensors, const unsigned long long *grads, const int *owners, const Axis *,
                    compute_t lr, compute_t B1, compute_t A1, compute_t B2, compute_t A2, compute_t weight_decay,
                    unsigned long long seed, unsigned step) {
    Lion rule{lr, B1, A1, B2, A2, weight_decay};
    update_chunk(rule, {seed, step}, tensors[owners[blockIdx.x]], grads);
}

KERNEL signopt_lion_strided(const Tensor *tensors, const unsigned long long *grads, const int *owners,
                            const Axis *layouts, compute_t lr, compute_t B1, compute_t A1, compute_t B2,
                            compute_t A2, compute_t weight_decay,
                            unsigned long long seed, unsigned step) {
    Lion rule{lr, B1, A1, B2, A2, weight_decay};
    update_strided_chunk(rule, {seed, step}, tensors[owners[blockIdx.x]], grads, layouts);
}
