// How a parameter of 16 bits is stored: rounded to nearest, rounded by random words, or as the upper half of a float32.
//
// The macro STORAGE names one of the structs at the end. Each has
//   read(p, rest)                          the parameter in the compute dtype
//   words(i)                               what the elements from i on need, TOGETHER of them; i is a multiple of that
//   write(x, p, rest, words, lane)         store x in the element `lane` places after the one that `words` begins with
// Words and halves are made of integers alone, so no float mode can change them.

constexpr unsigned MAGNITUDE = 0x7fffffff, INFINITE = 0x7f800000;

__device__ __forceinline__ unsigned short half_sign(unsigned bits) { return (unsigned short)(bits >> 16 & 0x8000); }

// Four words of 32 bits.
struct Words {
    unsigned first, second, third, fourth;

    // Selected and not indexed: registers have no addresses.
    __device__ __forceinline__ unsigned at(int n) const {
        return n < 2 ? (n == 0 ? first : second) : (n == 2 ? third : fourth);
    }
};

// Philox4x32-10 (Salmon et al., SC 2011).
__device__ __forceinline__ Words philox(unsigned long long block, unsigned step, unsigned tensor, unsigned long long key) {
    unsigned c0 = (unsigned)block, c1 = (unsigned)(block >> 32), c2 = step, c3 = tensor;
    unsigned k0 = (unsigned)key, k1 = (unsigned)(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const unsigned high0 = __umulhi(c0, 0xd2511f53), low0 = c0 * 0xd2511f53;
        const unsigned high1 = __umulhi(c2, 0xcd9e8d57), low1 = c2 * 0xcd9e8d57;
        c0 = high1 ^ c1 ^ k0, c1 = low1, c2 = high0 ^ c3 ^ k1, c3 = low0;
        k0 += 0x9e3779b9, k1 += 0xbb67ae85;
    }
    return {c0, c1, c2, c3};
}

// By a word below 2^16. The sign is kept apart, where no carry reaches it.
__device__ __forceinline__ void round_by(unsigned word, float x, bfloat16 &to) {
    const unsigned bits = __float_as_uint(x), magnitude = bits & MAGNITUDE;
    to.bits = magnitude > INFINITE ? 0x7fc0 : (unsigned short)((magnitude + word) >> 16) | half_sign(bits);
}

// By a word below 2^32: the lowest `dropped` bits of the significand make the place between the neighbours.
__device__ __forceinline__ void round_by(unsigned word, float x, float16 &to) {
    const unsigned bits = __float_as_uint(x), magnitude = bits & MAGNITUDE, exponent = magnitude >> 23;
    const unsigned significand = (magnitude & 0x7fffff) | (exponent > 0 ? 0x800000 : 0);
    const unsigned dropped = 126 - min(max(exponent, 1u), 113u);
    const unsigned below = exponent >= 113 ? (magnitude >> 13) - (112 << 10) : significand >> min(dropped, 31u);
    const unsigned fraction =
        dropped <= 32 ? significand << (32 - dropped) : significand >> min(dropped - 32, 31u);
    const unsigned rounded = magnitude >= 0x47800000 ? 0x7c00 : below + (word > ~fraction);
    to.bits = magnitude > INFINITE ? 0x7e00 : (unsigned short)rounded | half_sign(bits);
}

// Of a pair that no number splits into the nearest number there is: 0 for less than 0, Inf for more than Inf.
__device__ __forceinline__ float joined(bfloat16 high, short rest) {
    const unsigned magnitude = high.bits & 0x7fff, low = (unsigned short)rest, borrowed = low >> 15;
    const unsigned bits = min((magnitude - borrowed << 16) | low, INFINITE);
    const unsigned number = magnitude > INFINITE >> 16 ? 0x7fc00000 : magnitude < borrowed ? 0 : bits;
    return __uint_as_float(number | (unsigned)(high.bits & 0x8000) << 16);
}

// The nearest bfloat16, ties away from zero, and what it lacks.
__device__ __forceinline__ void split(float x, bfloat16 &high, short &rest) {
    const unsigned bits = __float_as_uint(x), magnitude = bits & MAGNITUDE;
    const bool is_nan = magnitude > INFINITE;
    high.bits = is_nan ? 0x7fc0 : (unsigned short)((magnitude + 0x8000) >> 16) | half_sign(bits);
    rest = is_nan ? 0 : (short)magnitude;
}

// Of what the words of one step are a function, beside tensor and element.
struct Draw {
    unsigned long long seed;
    unsigned step;
};

struct Nothing {};

struct Nearest {
    static constexpr bool has_rest = false;
    static constexpr int TOGETHER = 1;

    __device__ __forceinline__ Nearest(Draw, long long) {}
    template <class T> static __device__ __forceinline__ compute_t read(T p, const short *) { return widen(p); }
    __device__ __forceinline__ Nothing words(long long) const { return {}; }
    template <class T>
    static __device__ __forceinline__ void write(compute_t x, T &p, short *, Nothing, int) { narrow(x, p); }
};

template <class T> constexpr int PER_WORD = 1;
template <> constexpr int PER_WORD<bfloat16> = 2;

struct Stochastic {
    static constexpr bool has_rest = false;
    static constexpr int TOGETHER = 4 * PER_WORD<param_t>;
    Draw draw;
    unsigned tensor;

    __device__ __forceinline__ Stochastic(Draw draw, long long tensor) : draw(draw), tensor((unsigned)tensor) {}
    template <class T> static __device__ __forceinline__ compute_t read(T p, const short *) { return widen(p); }
    __device__ __forceinline__ Words words(long long i) const {
        return philox((unsigned long long)i / TOGETHER, draw.step, tensor, draw.seed);
    }
    template <class T>
    static __device__ __forceinline__ void write(compute_t x, T &p, short *, const Words &words, int lane) {
        const unsigned word = words.at(lane / PER_WORD<T>);
        round_by(PER_WORD<T> == 1 ? word : lane % 2 == 0 ? word & 0xffff : word >> 16, x, p);
    }
};

struct Split {
    static constexpr bool has_rest = true;
    static constexpr int TOGETHER = 1;

    __device__ __forceinline__ Split(Draw, long long) {}
    template <class T> static __device__ __forceinline__ compute_t read(T p, const short *rest) { return joined(p, *rest); }
    __device__ __forceinline__ Nothing words(long long) const { return {}; }
    template <class T>
    static __device__ __forceinline__ void write(compute_t x, T &p, short *rest, Nothing, int) { split(x, p, *rest); }
};

typedef STORAGE storage_t;
