/* Entry points, called through ctypes with plain pointers; Python's lock is free meanwhile.
 *
 * Threads are made for each call and joined before it returns: some 50 microseconds against the milliseconds of a
 * convolution. No pool outlives a fork, no second OpenMP runtime spins beside torch's.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>

#include "kernels.h"
#include "maps.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#define MAX_THREADS 256

static const InstructionSet *const SETS[] = {&pointseg_portable, &pointseg_avx2, &pointseg_avx512, &pointseg_amx};
#define NUM_SETS ((int)(sizeof(SETS) / sizeof(SETS[0])))

static void run(void *(*worker)(void *), void *task, int64_t threads)
{
    pthread_t made[MAX_THREADS];
    int64_t count = 0;
    for (; count + 1 < threads && count < MAX_THREADS; count++)
        if (pthread_create(&made[count], NULL, worker, task))
            break; /* The units are shared: fewer threads do all the work. */
    worker(task);
    for (int64_t i = 0; i < count; i++)
        pthread_join(made[i], NULL);
}

typedef struct {
    ConvolveWorker worker;
    ConvolveJob *job;
} ConvolveTask;

typedef struct {
    WeightWorker worker;
    WeightJob *job;
} WeightTask;

static void *run_convolve(void *task)
{
    ((ConvolveTask *)task)->worker(((ConvolveTask *)task)->job);
    return NULL;
}

static void *run_weight(void *task)
{
    ((WeightTask *)task)->worker(((WeightTask *)task)->job);
    return NULL;
}

/* The name of instruction set `set`, NULL where there is none of that number or the processor lacks it. */
EXPORT const char *pointseg_set_name(int64_t set)
{
    return set >= 0 && set < NUM_SETS && SETS[set]->runs_here() ? SETS[set]->name : NULL;
}

/* Columns of a register tile of a set; type is 0 for float, 1 for double and 2 for bfloat16. */
EXPORT int64_t pointseg_columns(int64_t set, int64_t type) { return SETS[set]->columns[type]; }

/* 0, or 1 when memory ran out. */
EXPORT int64_t pointseg_convolve(
    int64_t set, int64_t type, int64_t threads, const void *x, const void *w, void *out, const int32_t *source,
    const int32_t *target, const int64_t *starts, const void *bias, const void *residual, int64_t relu, int64_t taps,
    int64_t c_in, int64_t c_out, int64_t rows, int64_t tap_stride, int64_t k_stride, int64_t n_stride,
    int64_t block_rows, int64_t block_columns)
{
    ConvolveJob job = {
        .x = x, .w = w, .out = out, .source = source, .target = target, .starts = starts, .bias = bias,
        .residual = residual, .relu = relu, .taps = taps, .c_in = c_in, .c_out = c_out, .rows = rows,
        .tap_stride = tap_stride, .k_stride = k_stride, .n_stride = n_stride, .block_rows = block_rows,
        .block_columns = block_columns,
    };
    ConvolveTask task = {SETS[set]->convolve[type], &job};
    run(run_convolve, &task, threads);
    return atomic_load(&job.failed);
}

EXPORT int64_t pointseg_weight(
    int64_t set, int64_t type, int64_t threads, const void *x, const void *g, void *dw, const int32_t *source,
    const int32_t *target, const int64_t *starts, const int64_t *group_taps, int64_t taps, int64_t c_in,
    int64_t c_out, int64_t rows, int64_t dw_stride, int64_t groups, int64_t slices, int64_t slice)
{
    WeightJob job = {
        .x = x, .g = g, .dw = dw, .source = source, .target = target, .starts = starts, .group_taps = group_taps,
        .taps = taps, .c_in = c_in, .c_out = c_out, .rows = rows, .dw_stride = dw_stride, .groups = groups,
        .slices = slices, .slice = slice,
    };
    WeightTask task = {SETS[set]->weight[type], &job};
    run(run_weight, &task, threads);
    return atomic_load(&job.failed);
}

/* A weight in bfloat16 as right sides of products: tap by tap tiles of 16 pairs of input channels and 16 output channels,
 * those of all output channels first; zero beyond the last channel of either side. Strides as in ConvolveJob. */
EXPORT void pointseg_pack(
    const uint16_t *w, int64_t taps, int64_t c_in, int64_t c_out, int64_t tap_stride, int64_t k_stride,
    int64_t n_stride, uint16_t *packed)
{
    int64_t depth = (c_in + 31) / 32, across = (c_out + 31) / 32 * 2;
    for (int64_t tap = 0; tap < taps; tap++, w += tap_stride)
        for (int64_t tile = 0; tile < depth * across; tile++)
            for (int64_t k = tile / across * 32, row = 0; row < 16; row++, k += 2, packed += 32) {
                int64_t first = tile % across * 16;
                const uint16_t *at = w + k * k_stride + first * n_stride;
                if (k + 2 <= c_in && first + 16 <= c_out)
                    for (int64_t n = 0; n < 16; n++) {
                        packed[2 * n] = at[n * n_stride];
                        packed[2 * n + 1] = at[n * n_stride + k_stride];
                    }
                else
                    for (int64_t i = 0; i < 32; i++) {
                        int is_there = k + i % 2 < c_in && first + i / 2 < c_out;
                        packed[i] = is_there ? at[i / 2 * n_stride + i % 2 * k_stride] : 0;
                    }
            }
}

static void *run_pairs(void *job)
{
    pointseg_walk_columns(job);
    return NULL;
}

/* Count the pairs of each tap (starts is NULL), or write them; see maps.h. */
EXPORT void pointseg_pairs(
    int64_t threads, const int64_t *source_keys, int64_t num_source, const int64_t *target_keys, int64_t num_target,
    int64_t step, const int64_t *shifts, const int64_t *first_taps, const int64_t *column_taps, int64_t columns,
    int64_t taps_apart, int64_t mirror, int64_t *counts, const int64_t *starts, int32_t *source, int32_t *target)
{
    PairsJob job = {
        .source_keys = source_keys, .target_keys = target_keys, .num_source = num_source, .num_target = num_target,
        .step = step, .shifts = shifts, .first_taps = first_taps, .column_taps = column_taps, .columns = columns,
        .taps_apart = taps_apart, .mirror = mirror, .counts = counts, .starts = starts, .source = source,
        .target = target,
    };
    run(run_pairs, &job, threads);
}

/* What Python and these files have agreed on: raise it here and in native_library.py together when arguments, or what
 * they mean, change. A library that was built before would compute something else without a word. */
EXPORT int64_t pointseg_contract(void) { return 2; }

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_native", "Sparse convolution in C; called through ctypes.", -1, NULL, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&MODULE); }
