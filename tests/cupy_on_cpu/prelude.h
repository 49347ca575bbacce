/* What every translated kernel stands on: bit casts, bfloat16, flushing, checked memory, and running a grid. */
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { FAULT_NONE, FAULT_ADDRESS, FAULT_ALIGNMENT, FAULT_TRAP, FAULT_SHARED };

typedef struct {
    uint32_t tid[3], ctaid[3];
} Thread;

typedef struct {
    uint32_t ntid[3], nctaid[3];
    char *const *params;
    char *shared;
    uint64_t shared_size;
} Launch;

typedef void (*Body)(const Launch *, const Thread *);

static int fault_kind;
static uint64_t fault_address;
static jmp_buf fault_exit;
static const uint64_t *ranges; /* begin, end, begin, end, ...: what device memory exists, in rising order */
static uint64_t range_count, last_range, traffic;

static void fault(int kind, uint64_t address) {
    fault_kind = kind;
    fault_address = address;
    longjmp(fault_exit, 1);
}

static char *global_memory(uint64_t address, uint64_t size) {
    if (address % size) fault(FAULT_ALIGNMENT, address);
    if (size == 16) traffic += size;
    if (last_range < range_count && ranges[2 * last_range] <= address && address + size <= ranges[2 * last_range + 1])
        return (char *)address;
    uint64_t low = 0, high = range_count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (ranges[2 * middle + 1] <= address) low = middle + 1;
        else high = middle;
    }
    if (low == range_count || address < ranges[2 * low] || address + size > ranges[2 * low + 1])
        fault(FAULT_ADDRESS, address);
    last_range = low;
    return (char *)address;
}

static char *shared_memory(const Launch *launch, uint64_t offset, uint64_t size) {
    if (offset % size || offset + size > launch->shared_size) fault(FAULT_SHARED, offset);
    return launch->shared + offset;
}

static inline float as_f32(uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline double as_f64(uint64_t bits) { double x; memcpy(&x, &bits, 8); return x; }
static inline _Float16 as_f16(uint16_t bits) { _Float16 x; memcpy(&x, &bits, 2); return x; }
static inline float as_bf16(uint16_t bits) { return as_f32((uint32_t)bits << 16); }
static inline uint32_t bits_f32(float x) { uint32_t bits; memcpy(&bits, &x, 4); return bits; }
static inline uint64_t bits_f64(double x) { uint64_t bits; memcpy(&bits, &x, 8); return bits; }
static inline uint16_t bits_f16(_Float16 x) { uint16_t bits; memcpy(&bits, &x, 2); return bits; }
static inline uint16_t bits_bf16(float x) {
    uint32_t bits = bits_f32(x);
    return x != x ? 0x7fff : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
// The only NaN that float32 arithmetic gives on the device.
static inline float canonical(float x) { return x == x ? x : as_f32(0x7fffffffu); }
static inline float flushed(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0.0f, x) : x; }
static inline uint32_t permuted_bytes(uint32_t a, uint32_t b, uint32_t selector) {
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t result = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t pick = selector >> 4 * i & 0xf;
        uint32_t byte = bytes >> 8 * (pick & 7) & 0xff;
        if (pick & 8) byte = byte & 0x80 ? 0xff : 0;
        result |= byte << 8 * i;
    }
    return result;
}

/* Permuted order: index -> (index * stride + seed) mod count, a bijection because stride and count are coprime. */
static uint64_t common_divisor(uint64_t a, uint64_t b) { return b ? common_divisor(b, a % b) : a; }
static uint64_t place(uint64_t index, uint64_t count, uint64_t order) {
    if (order == 0) return index;
    if (order == 1) return count - 1 - index;
    uint64_t stride = (order * 2654435761u) % count;
    while (common_divisor(stride, count) != 1) stride++;
    return (uint64_t)(((unsigned __int128)index * stride + order) % count);
}

static Thread thread_at(const Launch *launch, uint64_t block, uint64_t index) {
    const uint32_t *b = launch->ntid, *g = launch->nctaid;
    return (Thread){{index % b[0], index / b[0] % b[1], index / b[0] / b[1]},
                    {block % g[0], block / g[0] % g[1], block / g[0] / g[1]}};
}

/* Blocks with barriers: every thread is a fibre that runs until its barrier and is resumed when all others have come. */
enum { FIBRE_STACK = 1 << 16 };
typedef struct {
    ucontext_t context;
    Thread thread;
    int finished;
} Fibre;
static ucontext_t scheduler;
static Fibre *running;
static Body fibre_body;
static const Launch *fibre_launch;

static void barrier(void) { swapcontext(&running->context, &scheduler); }
static void fibre_main(void) {
    fibre_body(fibre_launch, &running->thread);
    running->finished = 1;
}

static void run_block(Body body, const Launch *launch, uint64_t block, uint64_t threads, uint64_t order) {
    static Fibre *fibres;
    static char *stacks;
    if (!fibres) fibres = calloc(1024, sizeof *fibres), stacks = malloc(1024ull * FIBRE_STACK);
    fibre_body = body, fibre_launch = launch;
    for (uint64_t i = 0; i < threads; i++) {
        getcontext(&fibres[i].context);
        fibres[i].context.uc_stack.ss_sp = stacks + i * FIBRE_STACK;
        fibres[i].context.uc_stack.ss_size = FIBRE_STACK;
        fibres[i].context.uc_link = &scheduler;
        fibres[i].thread = thread_at(launch, block, i);
        fibres[i].finished = 0;
        makecontext(&fibres[i].context, fibre_main, 0);
    }
    for (uint64_t left = threads; left;) {
        left = 0;
        for (uint64_t i = 0; i < threads; i++) {
            running = &fibres[place(i, threads, order)];
            if (running->finished) continue;
            swapcontext(&scheduler, &running->context);
            left += !running->finished;
        }
    }
}

static int run_grid(Body body, int has_barrier, const Launch *launch, uint64_t order) {
    uint64_t threads = (uint64_t)launch->ntid[0] * launch->ntid[1] * launch->ntid[2];
    uint64_t blocks = (uint64_t)launch->nctaid[0] * launch->nctaid[1] * launch->nctaid[2];
    fault_kind = FAULT_NONE;
    if (setjmp(fault_exit)) return fault_kind;
    if (has_barrier) {
        for (uint64_t i = 0; i < blocks; i++) {
            memset(launch->shared, 0xAB, launch->shared_size);
            run_block(body, launch, place(i, blocks, order), threads, order);
        }
        return FAULT_NONE;
    }
    for (uint64_t i = 0; i < blocks * threads; i++) {
        uint64_t at = place(i, blocks * threads, order);
        Thread thread = thread_at(launch, at / threads, at % threads);
        body(launch, &thread);
    }
    return FAULT_NONE;
}

static int launch_kernel(Body body, int has_barrier, const uint32_t *grid, const uint32_t *block, char *const *params,
                         uint64_t shared_size, const uint64_t *memory, uint64_t memory_count, uint64_t order,
                         uint64_t *outcome) {
    Launch launch = {{block[0], block[1], block[2]}, {grid[0], grid[1], grid[2]}, params, NULL, shared_size};
    ranges = memory, range_count = memory_count, last_range = 0, traffic = 0;
    launch.shared = malloc(shared_size + 1);
    int result = run_grid(body, has_barrier, &launch, order);
    free(launch.shared);
    outcome[0] = fault_address;
    outcome[1] = traffic;
    return result;
}
