/* AVX-512: 16 accumulators are enough to hide the latency of two units, and leave registers for row pointers. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,fma,prefer-vector-width=512")
#endif
#define SET(x) x##_avx512
#define VECTOR_BYTES 64
#define TILE_ROWS 8
#include "instruction_set.inc.c"
#if defined(__clang__)
#pragma clang attribute pop
#endif

static int runs_here(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}

const InstructionSet pointseg_avx512 = {"avx512", runs_here, COLUMNS(0), CONVOLVE(NULL), WEIGHT(NULL)};
#else
#include "kernels.h"
static int never(void) { return 0; }
const InstructionSet pointseg_avx512 = {"avx512", never, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}};
#endif
