// Tiger in three launches: sums of squares of the parameters and counts of NaN in the gradients, lane by lane; the lanes
// folded into a few sums; the update, in which every thread finishes the sums that it needs.
//
//   m = b1·m + b2·g;  p -= r·(sign(m) + wd·p);  r = lr·RMS(p) or lr/2;  NaN in g: p = (p - c)·s + c and m stays
//
// The order in which squares are added depends on shapes alone.

#include "elements.cuh"

constexpr int READ_PACK = 16 / sizeof(param_t);
// Loads that a thread has under way before it needs the first: sums are bound by latency.
constexpr int AT_ONCE = 8, PACKS_AT_ONCE = storage_t::has_rest ? 2 : 4;

// A sum in float64. Where the result is rounded to float32 that is accurate enough; where it is float64 itself, the
// rounding errors are summed beside it.
template <class C> struct Sum {
    double value = 0;
    __device__ __forceinline__ void include(double x) { value = add(value, x); }
    __device__ __forceinline__ double total() const { return value; }
};
template <> struct Sum<double> {
    double value = 0, lost = 0;
    __device__ __forceinline__ void include(double x) {
        const double sum = add(value, x), rounded = sub(sum, value);
        lost = add(lost, add(sub(value, sub(sum, rounded)), sub(x, rounded)));
        value = sum;
    }
    // `lost` is NaN once the sum is infinite.
    __device__ __forceinline__ double total() const { return lost == lost ? add(value, lost) : value; }
};

// Includes `count` numbers, `stride` apart, in their order.
__device__ __forceinline__ void include_all(Sum<compute_t> &sum, const double *numbers, long long count, long long stride) {
    long long i = 0;
#pragma unroll 1
    for (; i + AT_ONCE <= count; i += AT_ONCE) {
        double read[AT_ONCE];
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) read[j] = numbers[(i + j) * stride];
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) sum.include(read[j]);
    }
#pragma unroll 1
    for (; i < count; i++) sum.include(numbers[i * stride]);
}

// One reduction: `rows` sums over `width` elements each. A sum is first taken in `lanes` lanes, lane l over the packs
// l, l + lanes, ..., and then in `folds` folds, fold f over the lanes f, f + folds, ...
struct Reduction {
    param_t *param;         // null for the gradient
    long long grad;         // index into the table of gradients
    long long rows, width;
    Divisor lanes;
    long long first_lane, first_lane_block;
    Divisor folds;
    long long first_fold, first_fold_block;
    long long squares;       // 1: sum of squares, 0: number of NaN
    long long layout, rank;  // as in Tensor
    short *rest;             // the low halves of the parameter, where there are any
};

// Reads the parameter or, where there is none, the gradient.
struct Reader {
    Place start;
    const Axis *axes;  // null where contiguous
    int rank;

    __device__ __forceinline__ const param_t *at(long long i) const {
        return global((start.param != nullptr ? start.param : start.grad) + i);
    }

    // The low halves are those of a parameter: a gradient has none.
    __device__ __forceinline__ const short *rest_at(long long i) const {
        return storage_t::has_rest && start.param != nullptr ? start.rest + i : nullptr;
    }

    __device__ __forceinline__ bool has_packs(long long i) const {
        return axes == nullptr && aligned(at(i)) && (!storage_t::has_rest || aligned(rest_at(i)));
    }

    __device__ __forceinline__ double term(param_t element, const short *rest, bool squares) const {
        const double x = squares ? storage_t::read(element, rest) : (compute_t)widen(element);
        return squares ? mul(x, x) : x == x ? 0.0 : 1.0;
    }

    // N packs, `stride` apart.
    template <int N>
    __device__ __forceinline__ void include_packs(Sum<compute_t> &sum, long long i, long long stride, bool squares) const {
        Pack<param_t, READ_PACK> packs[N];
        Pack<short, READ_PACK> rests[N];
#pragma unroll
        for (int n = 0; n < N; n++) {
            packs[n] = *reinterpret_cast<const Pack<param_t, READ_PACK> *>(at(i + n * stride));
            if (storage_t::has_rest && squares)
                rests[n] = *reinterpret_cast<const Pack<short, READ_PACK> *>(rest_at(i + n * stride));
        }
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int j = 0; j < READ_PACK; j++) sum.include(term(packs[n].at[j], &rests[n].at[j], squares));
    }

    __device__ __forceinline__ void include(Sum<compute_t> &sum, long long i, long long end, bool squares) const {
#pragma unroll 1
        for (; i < end; i++) {
            if (axes == nullptr) {
                sum.include(term(*at(i), rest_at(i), squares));
            } else {
                const Place place = element(start, axes, rank, i);
                sum.include(term(*(squares ? place.param : place.grad), place.rest, squares));
            }
        }
    }
};

__device__ __forceinline__ void sum_lane(const Reduction &work, const Reader &reader, double *lanes) {
    const long long lane = (blockIdx.x - work.first_lane_block) * THREADS + threadIdx.x;
    if (lane >= work.rows * work.lanes.value) return;
    const long long row = work.lanes.quotient(lane), begin = row * work.width, end = begin + work.width;
    const long long stride = work.lanes.value * READ_PACK;
    long long i = begin + (lane - row * work.lanes.value) * READ_PACK;
    Sum<compute_t> sum;
    if (reader.has_packs(i)) {
#pragma unroll 1
        for (; i + (PACKS_AT_ONCE - 1) * stride + READ_PACK <= end; i += PACKS_AT_ONCE * stride)
            reader.template include_packs<PACKS_AT_ONCE>(sum, i, stride, work.squares);
#pragma unroll 1
        for (; i + READ_PACK <= end; i += stride) reader.template include_packs<1>(sum, i, stride, work.squares);
    }
#pragma unroll 1
    for (; i < end; i += stride) reader.include(sum, i, i + READ_PACK < end ? i + READ_PACK : end, work.squares);
    lanes[work.first_lane + lane] = sum.total();
}

__device__ __forceinline__ Place source(const Reduction &work, const unsigned long long *grads) {
    return {work.param, nullptr, work.param != nullptr ? nullptr : (const param_t *)grads[work.grad], work.rest};
}

KERNEL signopt_tiger_lanes(const Reduction *reductions, const unsigned long long *grads, const int *owners,
                           const Axis *, double *lanes) {
    const Reduction work = reductions[owners[blockIdx.x]];
    sum_lane(work, Reader{source(work, grads), nullptr, 0}, lanes);
}

KERNEL signopt_tiger_lanes_strided(const Reduction *reductions, const unsigned long long *grads, const int *owners,
                                   const Axis *layouts, double *lanes) {
    const Reduction work = reductions[owners[blockIdx.x]];
    sum_lane(work, Reader{source(work, grads), layouts + work.layout, (int)work.rank}, lanes);
}

__device__ __forceinline__ double root_mean_square(double squares, long long count) {
    compute_t rounded;
    narrow(__dsqrt_rn(__ddiv_rn(squares, (double)count)), rounded);
    return rounded;
}

// A fold that is the whole sum of squares is stored as the RMS that it gives.
KERNEL signopt_tiger_folds(const Reduction *reductions, const int *owners, const double *lanes, double *folds) {
    const Reduction work = reductions[owners[blockIdx.x]];
    const long long fold = (blockIdx.x - work.first_fold_block) * THREADS + threadIdx.x;
    if (fold >= work.rows * work.folds.value) return;
    const long long row = work.folds.quotient(fold);
    const long long first = fold - row * work.folds.value, stride = work.folds.value;
    Sum<compute_t> sum;
    include_all(sum, lanes + work.first_lane + row * work.lanes.value + first,
                (work.lanes.value - first + stride - 1) / stride, stride);
    const bool finished = work.squares && work.folds.value == 1;
    folds[work.first_fold + fold] = finished ? root_mean_square(sum.total(), work.width) : sum.total();
}

struct TigerTensor {
    Tensor tensor;
    long long nan_fold, nan_folds;
    long long rms_fold, rms_folds;  // rms_folds = 0: the rate is lr/2
    Divisor width;                  // elements that share one RMS
    long long decays;
    double centre;
};

__device__ __forceinline__ double sum_folds(const double *folds, long long count) {
    Sum<compute_t> sum;
    include_all(sum, folds, count, 1);
    return sum.total();
}

struct Shrink {
    static constexpr bool writes_param = true, writes_momentum = false;
    compute_t centre, shrink;

    __device__ __forceinline__ void operator()(long long, compute_t &p, compute_t &, compute_t) const {
        p = add(mul(sub(p, centre), shrink), centre);
    }
};

struct Accumulate {
    static constexpr bool writes_param = false, writes_momentum = true;
    compute_t b1, b2;

    __device__ __forceinline__ void operator()(long long, compute_t &, compute_t &m, compute_t g) const {
        m = add(mul(b1, m), mul(b2, g));
    }
};

constexpr long long NEVER = 0x7fffffffffffffff;

struct Move {
    static constexpr bool writes_param = true, writes_momentum = true;
    compute_t b1, b2, lr, weight_decay;
    const double *rms;      // one per row
    Divisor width;
    compute_t rate;
    long long row_end;      // from here on `rate` is of another row

    // Indices only rise within a thread.
    __device__ __forceinline__ void operator()(long long i, compute_t &p, compute_t &m, compute_t g) {
        if (i >= row_end) {
            const long long row = width.quotient(i);
            rate = mul(lr, (compute_t)rms[row]);
            row_end = (row + 1) * width.value;
        }
        m = add(mul(b1, m), mul(b2, g));
        p = sub(p, mul(rate, add(sign(m), mul(weight_decay, p))));
    }
};

__device__ __forceinline__ Move move_of(const TigerTensor &work, const double *folds, compute_t b1, compute_t b2,
                                        compute_t lr, compute_t half_lr, compute_t weight_decay) {
    const compute_t decay = work.decays ? weight_decay : compute_t(0);
    Move rule{b1, b2, lr, decay, folds + work.rms_fold, work.width, half_lr, work.rms_folds == 1 ? 0 : NEVER};
    if (work.rms_folds > 1)
        rule.rate = mul(lr, (compute_t)root_mean_square(sum_folds(folds + work.rms_fold, work.rms_folds), work.width.value));
    return rule;
}

template <bool is_strided, class Rule>
__device__ __forceinline__ void apply(Rule rule, Draw draw, const Tensor &tensor, const unsigned long long *grads,
                                      const Axis *layouts) {
    if (!is_strided) update_chunk(rule, draw, tensor, grads);
    else update_strided_chunk(rule, draw, tensor, grads, layouts);
}

template <bool is_strided>
__device__ __forceinline__ void update(const TigerTensor &work, const unsigned long long *grads, const Axis *layouts,
                                       const double *folds, compute_t b1, compute_t b2, compute_t lr, compute_t half_lr,
                                       compute_t weight_decay, compute_t shrink, int moves, Draw draw) {
    if (sum_folds(folds + work.nan_fold, work.nan_folds) > 0)
        apply<is_strided>(Shrink{(compute_t)work.centre, shrink}, draw, work.tensor, grads, layouts);
    else if (moves)
        apply<is_strided>(move_of(work, folds, b1, b2, lr, half_lr, weight_decay), draw, work.tensor, grads, layouts);
    else
        apply<is_strided>(Accumulate{b1, b2}, draw, work.tensor, grads, layouts);
}

KERNEL signopt_tiger(const TigerTensor *tensors, const unsigned long long *grads, const int *owners, const Axis *,
                     const double *folds, compute_t b1, compute_t b2, compute_t lr, compute_t half_lr,
                     compute_t weight_decay, compute_t shrink, int moves, unsigned long long seed, unsigned step) {
    update<false>(tensors[owners[blockIdx.x]], grads, nullptr, folds, b1, b2, lr, half_lr, weight_decay, shrink, moves,
                  {seed, step});
}

KERNEL signopt_tiger_strided(const TigerTensor *tensors, const unsigned long long *grads, const int *owners,
                             const Axis *layouts, const double *folds, compute_t b1, compute_t b2, compute_t lr,
                             compute_t half_lr, compute_t weight_decay, compute_t shrink, int moves,
                             unsigned long long seed, unsigned step) {
    update<true>(tensors[owners[blockIdx.x]], grads, layouts, folds, b1, b2, lr, half_lr, weight_decay, shrink, moves,
                 {seed, step});
}
