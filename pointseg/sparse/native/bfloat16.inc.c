/* The workers in bfloat16 with float32 sums, over products of tiles. Included with
 *
 *   SET(x)                  a name of its own for each inclusion
 *   SET(begin)(), SET(end)()  around all products of a thread
 *   SET(multiply)(...)      the product of tiles, below
 *
 * A tile is 1 kB and lies in one piece: 16 rows of 32 values of the left side; 16 pairs of rows of the right side,
 * 16 columns of 2 values, one of each row. What a side has less than whole tiles is zero.
 *
 * c (tall * 16, 32) = or += a @ b:
 *   static void SET(multiply)(int tall, const uint16_t *a, int64_t a_step, const uint16_t *b, int64_t b_step,
 *                             int64_t depth, float *c, int64_t c_stride, int add)
 * tall is 1 or 2 tiles high, two wide, depth long; steps, in values, lead to the next tiles along the depth.
 */

#include <string.h>

#include "kernels.h"

#define TILE POINTSEG_TILE
/* Pairs of one product for the gradient of a weight: both sides stay near while they are multiplied. */
#define PAIRS 256
/* Rows of a block there. */
#define WEIGHT_ROWS 1024

static void *zeros_of(int64_t bytes)
{
    void *buffer = pointseg_buffer(bytes);
    return buffer ? memset(buffer, 0, (size_t)bytes) : NULL;
}

/* To the nearest, ties to even; a NaN stays one. */
static inline uint16_t rounded(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint32_t nearest = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : nearest);
}

/* Up to 32 rows as left sides, two tiles for each 32 channels. */
static void left_sides(const uint16_t *x, int64_t channels, const int32_t *rows, int64_t count, uint16_t *to)
{
    for (int64_t r = 0; r < count; r++) {
        const uint16_t *row = x + rows[r] * channels;
        uint16_t *at = to + r * 32;
        int64_t k = 0;
        for (; k + 32 <= channels; k += 32, at += 2 * TILE)
            memcpy(at, row + k, 64);
        if (k < channels)
            memcpy(at, row + k, sizeof(uint16_t) * (channels - k));
    }
}

static void add_rows(const float *products, const int32_t *target, int64_t count, float *acc, int64_t stride)
{
    for (int64_t r = 0; r < count; r++) {
        float *at = acc + target[r] * stride;
        for (int n = 0; n < 32; n++)
            at[n] += products[r * 32 + n];
    }
}

static void flush(const ConvolveJob *job, const float *acc, int64_t stride, int64_t row, int64_t end, int64_t column,
                  int64_t width)
{
    const float *bias = job->bias;
    const uint16_t *residual = job->residual;
    for (; row < end; row++, acc += stride) {
        uint16_t *out = (uint16_t *)job->out + row * job->c_out + column;
        const uint16_t *more = residual ? residual + row * job->c_out + column : NULL;
        if (!bias && !more && !job->relu) {
            for (int64_t n = 0; n < width; n++)
                out[n] = rounded(acc[n]);
            continue;
        }
        for (int64_t n = 0; n < width; n++) {
            float value = acc[n] + (bias ? bias[column + n] : 0) + (more ? pointseg_widened(more[n]) : 0);
            /* Written so that a NaN stays one. */
            out[n] = rounded(job->relu && value < 0 ? 0 : value);
        }
    }
}

/* As the worker of kernels.inc.c; the weight is packed, see pointseg_pack. */
static void SET(convolve_bfloat16)(ConvolveJob *job)
{
    int64_t depth = (job->c_in + 31) / 32, across = (job->c_out + 31) / 32 * 2;
    int64_t row_units = (job->rows + job->block_rows - 1) / job->block_rows;
    int64_t column_units = (job->c_out + job->block_columns - 1) / job->block_columns;
    int64_t widest = job->block_columns < across * 16 ? job->block_columns : across * 16;
    float *acc = zeros_of(sizeof(float) * job->block_rows * widest);
    float *products = zeros_of(sizeof(float) * 32 * 32);
    uint16_t *rows = zeros_of(sizeof(uint16_t) * depth * 2 * TILE);
    if (!acc || !products || !rows)
        atomic_store(&job->failed, 1);
    SET(begin)();
    while (!atomic_load(&job->failed)) {
        int64_t unit = atomic_fetch_add(&job->next, 1);
        if (unit >= row_units * column_units)
            break;
        int64_t row = unit / column_units * job->block_rows;
        int64_t end = row + job->block_rows < job->rows ? row + job->block_rows : job->rows;
        int64_t column = unit % column_units * job->block_columns;
        int64_t width = column + job->block_columns < job->c_out ? job->block_columns : job->c_out - column;
        int64_t stride = (width + 31) / 32 * 32;
        memset(acc, 0, sizeof(float) * (end - row) * stride);
        for (int64_t tap = 0; tap < job->taps; tap++) {
            int64_t first = pointseg_first(job->target, job->starts[tap], job->starts[tap + 1], row);
            int64_t last = pointseg_first(job->target, first, job->starts[tap + 1], end);
            const uint16_t *w = (const uint16_t *)job->w + tap * job->tap_stride + column / 16 * TILE;
            for (int64_t i = first; i < last; i += 32) {
                int64_t count = last - i < 32 ? last - i : 32;
                left_sides(job->x, job->c_in, job->source + i, count, rows);
                for (int64_t n = 0; n < stride; n += 32) {
                    SET(multiply)(count > 16 ? 2 : 1, rows, 2 * TILE, w + n / 16 * TILE, across * TILE, depth, products,
                                  32, 0);
                    add_rows(products, job->target + i, count, acc - row * stride + n, stride);
                }
            }
        }
        flush(job, acc, stride, row, end, column, width);
    }
    SET(end)();
    free(acc);
    free(products);
    free(rows);
}

/* 32 rows, of which count are there, as pairs of rows: (16, tiles * 16) of two values. */
static void paired(const uint16_t *x, int64_t channels, int64_t width, const int32_t *rows, int64_t count, uint32_t *to,
                   int64_t to_row, int64_t to_tile)
{
    for (int64_t k = 0; k < 16; k++, to += to_row) {
        const uint16_t *one = 2 * k < count ? x + rows[2 * k] * channels : NULL;
        const uint16_t *two = 2 * k + 1 < count ? x + rows[2 * k + 1] * channels : NULL;
        uint32_t *at = to;
        for (int64_t first = 0; first < width; first += 16, at += to_tile) {
            int64_t n = width - first < 16 ? width - first : 16;
            if (!two) {
                for (int64_t c = 0; c < n; c++)
                    at[c] = one ? one[first + c] : 0;
            } else if (n == 16) {
                for (int64_t c = 0; c < 16; c++)
                    at[c] = one[first + c] | (uint32_t)two[first + c] << 16;
            } else {
                for (int64_t c = 0; c < n; c++)
                    at[c] = one[first + c] | (uint32_t)two[first + c] << 16;
            }
        }
    }
}

static void SET(weight_bfloat16)(WeightJob *job)
{
    /* dw is (taps, whole tiles of input channels, dw_stride). */
    int64_t dw_rows = (job->c_in + 31) / 32 * 32;
    int64_t x_step = (job->slice + 31) / 32 * 2 * TILE, g_step = job->dw_stride / 16 * TILE;
    uint16_t *xs = zeros_of(sizeof(uint16_t) * x_step * (PAIRS / 32));
    uint16_t *gs = zeros_of(sizeof(uint16_t) * g_step * (PAIRS / 32));
    uint32_t *pairs = zeros_of(sizeof(uint16_t) * x_step);
    int64_t *at = zeros_of(sizeof(int64_t) * job->taps);
    if (!xs || !gs || !pairs || !at)
        atomic_store(&job->failed, 1);
    SET(begin)();
    while (!atomic_load(&job->failed)) {
        int64_t unit = atomic_fetch_add(&job->next, 1);
        if (unit >= job->groups * job->slices)
            break;
        int64_t group = unit / job->slices, first = unit % job->slices * job->slice;
        int64_t width = first + job->slice < job->c_in ? job->slice : job->c_in - first;
        int64_t tap_begin = job->group_taps[group], tap_end = job->group_taps[group + 1];
        for (int64_t tap = tap_begin; tap < tap_end; tap++)
            at[tap] = job->starts[tap];
        /* The last slice may be narrower: what an earlier one left beyond it reaches no row of dw that is kept. */
        for (int64_t row = 0; row < job->rows; row += WEIGHT_ROWS)
            for (int64_t tap = tap_begin; tap < tap_end; tap++) {
                int64_t begin = at[tap], end = pointseg_first(job->target, begin, job->starts[tap + 1], row + WEIGHT_ROWS);
                float *dw = (float *)job->dw + (tap * dw_rows + first) * job->dw_stride;
                at[tap] = end;
                for (; begin < end; begin += PAIRS) {
                    int64_t depth = 0;
                    for (int64_t i = begin; i < end && depth < PAIRS / 32; i += 32, depth++) {
                        int64_t count = end - i < 32 ? end - i : 32;
                        paired(job->g, job->c_out, job->c_out, job->target + i, count, (uint32_t *)(gs + depth * g_step),
                               16, TILE / 2);
                        paired((const uint16_t *)job->x + first, job->c_in, width, job->source + i, count, pairs, 16,
                               TILE / 2);
                        SET(turn)(pairs, (uint32_t *)(xs + depth * x_step), x_step / TILE);
                    }
                    for (int64_t m = 0; m < width; m += 32)
                        for (int64_t n = 0; n < job->dw_stride; n += 32)
                            SET(multiply)(2, xs + m / 16 * TILE, x_step, gs + n / 16 * TILE, g_step, depth,
                                          dw + m * job->dw_stride + n, job->dw_stride, 1);
                }
            }
    }
    SET(end)();
    free(xs);
    free(gs);
    free(pairs);
    free(at);
}
