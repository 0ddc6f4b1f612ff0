/* Sparse convolution on CPUs: what the instruction sets have in common. Plain pointers, no torch, no OpenMP. */
#ifndef POINTSEG_KERNELS_H
#define POINTSEG_KERNELS_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Values of a tile of bfloat16: 16 rows of 64 bytes. */
#define POINTSEG_TILE 512

/* out[target] = epilogue(sum over pairs of x[source] @ w[tap]). Pairs are sorted by tap, targets ascend within
 * a tap. Element (tap, k, n) of the weight is w[tap * tap_stride + k * k_stride + n * n_stride]; in bfloat16 tap is
 * what pointseg_pack made of it, the bias is float and sums are, too. */
typedef struct {
    const void *x, *w;
    void *out;
    const int32_t *source, *target;
    const int64_t *starts;
    const void *bias, *residual; /* (n), (rows, n), or NULL */
    int64_t taps, c_in, c_out, rows;
    int64_t tap_stride, k_stride, n_stride;
    int64_t block_rows, block_columns; /* of one unit of work */
    int64_t relu;
    atomic_long next; /* unit of work to be taken */
    atomic_int failed;
} ConvolveJob;

/* dw[tap] = sum over pairs of x[source]^T g[target]; dw is (taps, c_in, dw_stride), dw_stride a multiple of the width of a
 * register tile; in bfloat16 dw is float and zero before, c_in of it a multiple of 32. A unit of work is one slice of the
 * input channels of one group of taps. */
typedef struct {
    const void *x, *g;
    void *dw;
    const int32_t *source, *target;
    const int64_t *starts, *group_taps; /* groups + 1 */
    int64_t taps, c_in, c_out, rows, dw_stride, groups, slices, slice;
    atomic_long next;
    atomic_int failed;
} WeightJob;

typedef void (*ConvolveWorker)(ConvolveJob *);
typedef void (*WeightWorker)(WeightJob *);

typedef struct {
    const char *name;
    int (*runs_here)(void);
    /* Of float, double, bfloat16; NULL where the set has none. */
    int64_t columns[3]; /* width of a register tile */
    ConvolveWorker convolve[3];
    WeightWorker weight[3];
} InstructionSet;

extern const InstructionSet pointseg_portable, pointseg_avx2, pointseg_avx512, pointseg_amx;

static inline void *pointseg_buffer(int64_t bytes)
{
    /* A multiple of the alignment, as C11 wants it, and never empty. */
    return aligned_alloc(64, (size_t)(bytes + 64) / 64 * 64);
}

/* The first position in [begin, end) of ascending rows that is not below `row`. */
static inline int64_t pointseg_first(const int32_t *rows, int64_t begin, int64_t end, int64_t row)
{
    while (begin < end) {
        int64_t middle = (begin + end) / 2;
        if (rows[middle] < row)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

/* The value of a bfloat16. */
static inline float pointseg_widened(uint16_t value)
{
    uint32_t bits = (uint32_t)value << 16;
    float wide;
    memcpy(&wide, &bits, sizeof(wide));
    return wide;
}

#endif
