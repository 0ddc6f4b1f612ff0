/* AVX2 with FMA: 12 accumulators, 2 vectors of the weight and a broadcast in 16 registers. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define SET(x) x##_avx2
#define VECTOR_BYTES 32
#define TILE_ROWS 6
#include "instruction_set.inc.c"
#if defined(__clang__)
#pragma clang attribute pop
#endif

static int runs_here(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

const InstructionSet pointseg_avx2 = {"avx2", runs_here, COLUMNS(0), CONVOLVE(NULL), WEIGHT(NULL)};
#else
#include "kernels.h"
static int never(void) { return 0; }
const InstructionSet pointseg_avx2 = {"avx2", never, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}};
#endif
