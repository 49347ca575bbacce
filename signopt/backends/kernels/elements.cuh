// What the kernels share: storage types, arithmetic that is rounded operation by operation, and the walk over a table of
// tensors.
//
// The including file is compiled once per combination of dtypes, with these macros set:
//   PARAM, MOMENTUM   float, double, float16 or bfloat16: how parameters (and gradients) and momenta are stored
//   COMPUTE           double where PARAM is double, else float
//   STORAGE           Nearest, Stochastic or Split: see storage.cuh
//
// No thread waits for another or writes where another reads: there is no shared memory, no barrier, no shuffle and no
// atomic, so results do not depend on the order in which threads run.

struct float16 {
    unsigned short bits;
};
struct bfloat16 {
    unsigned short bits;
};

typedef PARAM param_t;
typedef MOMENTUM momentum_t;
typedef COMPUTE compute_t;

constexpr int THREADS = 256;
constexpr int PACKS_PER_THREAD = 4;

__device__ __forceinline__ float add(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ float sub(float a, float b) { return __fsub_rn(a, b); }
__device__ __forceinline__ float mul(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ double add(double a, double b) { return __dadd_rn(a, b); }
__device__ __forceinline__ double sub(double a, double b) { return __dsub_rn(a, b); }
__device__ __forceinline__ double mul(double a, double b) { return __dmul_rn(a, b); }

// sign(+0) = sign(-0) = 0, sign(NaN) = NaN.
template <class C> __device__ __forceinline__ C sign(C x) {
    return x > 0 ? C(1) : x < 0 ? C(-1) : x == 0 ? C(0) : x;
}

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(float16 x) {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x.bits));
    return wide;
}
__device__ __forceinline__ float widen(bfloat16 x) { return __uint_as_float((unsigned)x.bits << 16); }

// To storage, rounded once to nearest even.
__device__ __forceinline__ void narrow(float x, float &to) { to = x; }
__device__ __forceinline__ void narrow(double x, double &to) { to = x; }
__device__ __forceinline__ void narrow(double x, float &to) { to = __double2float_rn(x); }
__device__ __forceinline__ void narrow(float x, float16 &to) {
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(to.bits) : "f"(x));
}
__device__ __forceinline__ void narrow(double x, float16 &to) {
    asm("cvt.rn.f16.f64 %0, %1;" : "=h"(to.bits) : "d"(x));
}
// In integers, because hardware before sm_80 has no conversion to bfloat16.
__device__ __forceinline__ void narrow(float x, bfloat16 &to) {
    unsigned bits = __float_as_uint(x);
    to.bits = x == x ? (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16) : (unsigned short)0x7fff;
}
// Through float with rounding to odd, which keeps what the second rounding has to know: of the two floats around x, the one
// whose last bit is set.
__device__ __forceinline__ void narrow(double x, bfloat16 &to) {
    const float near = __double2float_rn(x);
    const unsigned toward_zero = __float_as_uint(near) - (fabs((double)near) > fabs(x));
    narrow((double)near != x && x == x ? __uint_as_float(toward_zero | 1) : near, to);
}

#include "storage.cuh"

// As many elements as fill 16 bytes of the narrowest type; wider types take several 16-byte accesses.
template <class T, int N> struct alignas(16) Pack {
    T at[N];
};
constexpr int PACK = 16 / (sizeof(param_t) < sizeof(momentum_t) ? sizeof(param_t) : sizeof(momentum_t));
constexpr long long CHUNK = (long long)THREADS * PACKS_PER_THREAD * PACK;

template <class T> __device__ __forceinline__ bool aligned(const T *pointer) { return ((size_t)pointer & 15) == 0; }

// Pointers that come out of a table would be accessed as generic; all of them are to global memory.
template <class T> __device__ __forceinline__ T *global(T *pointer) {
    __builtin_assume(__isGlobal(pointer));
    return pointer;
}

// One parameter: a row of the table, in which every field takes 8 bytes.
struct Tensor {
    param_t *param;
    momentum_t *momentum;
    long long grad;         // index into the table of gradients
    long long size;         // elements
    long long first_block;  // the first of the blocks that work on it
    long long layout, rank; // its axes in `layouts`; unused where all arrays are contiguous
    long long number;       // among the tensors of the optimizer, for random words
    short *rest;            // low halves, where there are any
};

// What a rule does to one element, given its index. It says which arrays it writes; the others are left bit for bit.
//   struct Rule { static constexpr bool writes_param, writes_momentum; void operator()(i, p, m, g); }

struct Place {
    param_t *param;
    momentum_t *momentum;
    const param_t *grad;
    short *rest;
};

// `words` are those of the element `lane` places before, and of others.
template <class Rule, class Drawn>
__device__ __forceinline__ void update_one(Rule &rule, const Place &at, long long i, const Drawn &words, int lane) {
    compute_t p = Rule::writes_param ? storage_t::read(*at.param, at.rest) : compute_t(0);
    compute_t m = Rule::writes_momentum ? (compute_t)widen(*at.momentum) : compute_t(0);
    compute_t g = Rule::writes_momentum ? (compute_t)widen(*at.grad) : compute_t(0);
    rule(i, p, m, g);
    if (Rule::writes_param) storage_t::write(p, *at.param, at.rest, words, lane);
    if (Rule::writes_momentum) narrow(m, *at.momentum);
}

template <class Rule>
__device__ __forceinline__ void update_one(Rule &rule, const storage_t &storage, const Place &at, long long i) {
    const int lane = i % storage_t::TOGETHER;
    update_one(rule, at, i, storage.words(i - lane), lane);
}

template <class Rule>
__device__ __forceinline__ void update_pack(Rule &rule, const storage_t &storage, const Place &at, long long i) {
    constexpr bool writes_rest = Rule::writes_param && storage_t::has_rest;
    Pack<param_t, PACK> p, g;
    Pack<momentum_t, PACK> m;
    Pack<short, PACK> rest;
    if (writes_rest) rest = *reinterpret_cast<const Pack<short, PACK> *>(at.rest);
    if (Rule::writes_param) p = *reinterpret_cast<const Pack<param_t, PACK> *>(at.param);
    if (Rule::writes_momentum) m = *reinterpret_cast<const Pack<momentum_t, PACK> *>(at.momentum);
    if (Rule::writes_momentum) g = *reinterpret_cast<const Pack<param_t, PACK> *>(at.grad);
#pragma unroll
    for (int first = 0; first < PACK; first += storage_t::TOGETHER) {
        const auto words = storage.words(i + first);
#pragma unroll
        for (int lane = 0; lane < storage_t::TOGETHER; lane++) {
            const int j = first + lane;
            update_one(rule, Place{&p.at[j], &m.at[j], &g.at[j], &rest.at[j]}, i + j, words, lane);
        }
    }
    if (writes_rest) *reinterpret_cast<Pack<short, PACK> *>(at.rest) = rest;
    if (Rule::writes_param) *reinterpret_cast<Pack<param_t, PACK> *>(at.param) = p;
    if (Rule::writes_momentum) *reinterpret_cast<Pack<momentum_t, PACK> *>(at.momentum) = m;
}

__device__ __forceinline__ Place place(const Tensor &tensor, const unsigned long long *grads) {
    return {global(tensor.param), global(tensor.momentum), global((const param_t *)grads[tensor.grad]),
            storage_t::has_rest ? global(tensor.rest) : nullptr};
}

__device__ __forceinline__ Place further(const Place &start, long long i) {
    return {start.param + i, start.momentum + i, start.grad + i, storage_t::has_rest ? start.rest + i : nullptr};
}

__device__ __forceinline__ bool aligned(const Place &start) {
    return aligned(start.param) && aligned(start.momentum) && aligned(start.grad) &&
           (!storage_t::has_rest || aligned(start.rest));
}

// The block's chunk of a tensor whose arrays are contiguous.
template <class Rule>
__device__ __forceinline__ void update_chunk(Rule &rule, Draw draw, const Tensor &tensor,
                                             const unsigned long long *grads) {
    const Place start = place(tensor, grads);
    const storage_t storage(draw, tensor.number);
    const long long begin = (blockIdx.x - tensor.first_block) * CHUNK;
    const long long end = begin + CHUNK < tensor.size ? begin + CHUNK : tensor.size;
    long long i = begin + threadIdx.x;
    if (aligned(start)) {
#pragma unroll 1
        for (i = begin + (long long)threadIdx.x * PACK; i + PACK <= end; i += (long long)THREADS * PACK)
            update_pack(rule, storage, further(start, i), i);
        i = end - end % PACK + threadIdx.x;
    }
#pragma unroll 1
    for (; i < end; i += THREADS) update_one(rule, storage, further(start, i), i);
}

// Division by a number that the host knows, as a multiplication (Granlund and Montgomery 1994, figure 4.1): with
// s = ceil(log2(value)), magic = floor(2^64·(2^s - value)/value) + 1 and shift = s - 1, exact for every 64-bit numerator.
// A division instruction would be a call, and the registers around it would spill.
struct Divisor {
    unsigned long long value, magic, shift;

    __device__ __forceinline__ unsigned long long quotient(unsigned long long n) const {
        const unsigned long long high = __umul64hi(magic, n);
        return value == 1 ? n : (high + ((n - high) >> 1)) >> shift;
    }
};

// One axis of a layout, whose strides are in bytes.
struct Axis {
    Divisor length;
    long long param, momentum, grad, rest;
};

// Where the element with logical index i lies. `layouts` holds, one after another, each tensor's axes, last axis first.
__device__ __forceinline__ Place element(const Place &start, const Axis *axes, int rank, unsigned long long i) {
    long long param = 0, momentum = 0, grad = 0, rest = 0;
#pragma unroll 1
    for (int axis = 0; axis < rank; axis++) {
        const Axis at = axes[axis];
        const unsigned long long left = at.length.quotient(i);
        const long long index = i - left * at.length.value;
        param += index * at.param;
        momentum += index * at.momentum;
        grad += index * at.grad;
        rest += index * at.rest;
        i = left;
    }
    return {global((param_t *)((char *)start.param + param)), global((momentum_t *)((char *)start.momentum + momentum)),
            global((const param_t *)((const char *)start.grad + grad)),
            storage_t::has_rest ? global((short *)((char *)start.rest + rest)) : nullptr};
}

// The same for any strides, in the same logical order.
template <class Rule>
__device__ __forceinline__ void update_strided_chunk(Rule &rule, Draw draw, const Tensor &tensor,
                                                     const unsigned long long *grads, const Axis *layouts) {
    const Place start = place(tensor, grads);
    const storage_t storage(draw, tensor.number);
    const Axis *axes = layouts + tensor.layout;
    const long long begin = (blockIdx.x - tensor.first_block) * CHUNK;
    const long long end = begin + CHUNK < tensor.size ? begin + CHUNK : tensor.size;
#pragma unroll 1
    for (long long i = begin + threadIdx.x; i < end; i += THREADS)
        update_one(rule, storage, element(start, axes, tensor.rank, i), i);
}

// Three blocks to a multiprocessor leave 80 registers to a thread. Without that bound the compiler aims for more blocks, and
// spills here and there to fit them.
#define KERNEL extern "C" __global__ void __launch_bounds__(THREADS, 3)
