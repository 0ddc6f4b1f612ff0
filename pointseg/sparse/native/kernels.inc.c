/* The workers, for one type of number and one width of vectors. Included several times with
 *
 *   REAL         float or double
 *   VECTOR_BYTES width of a vector register
 *   TILE_ROWS    rows of a register tile: TILE_ROWS * 2 accumulators and 2 vectors must fit the registers
 *   NAME(x)      a name of its own for each inclusion
 *
 * A unit of work is a block of output rows (and columns): whoever takes it computes it alone, tap after tap, so
 * sums have one order whatever the number of threads, and no two threads ever write to one place.
 */

typedef REAL NAME(Vector) __attribute__((vector_size(VECTOR_BYTES), may_alias));
#define LANES ((int64_t)(VECTOR_BYTES / sizeof(REAL)))
#define TILE_COLUMNS (2 * LANES)

/* acc[target] += x[source] @ panel for R pairs; R is a constant after inlining. */
static inline __attribute__((always_inline)) void NAME(tile)(
    const int R, const REAL *x, int64_t c_in, const int32_t *source, const int32_t *target, int64_t first_row,
    const REAL *panel, REAL *acc, int64_t acc_stride)
{
    const REAL *row[TILE_ROWS];
    NAME(Vector) sum[TILE_ROWS][2];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
        const NAME(Vector) *at = (const NAME(Vector) *)(acc + (target[r] - first_row) * acc_stride);
        row[r] = x + source[r] * c_in;
        sum[r][0] = at[0];
        sum[r][1] = at[1];
    }
    for (int64_t k = 0; k < c_in; k++) {
        const NAME(Vector) *b = (const NAME(Vector) *)(panel + k * TILE_COLUMNS);
        NAME(Vector) b0 = b[0], b1 = b[1];
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            sum[r][0] += row[r][k] * b0;
            sum[r][1] += row[r][k] * b1;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
        NAME(Vector) *at = (NAME(Vector) *)(acc + (target[r] - first_row) * acc_stride);
        at[0] = sum[r][0];
        at[1] = sum[r][1];
    }
}

static void NAME(pairs)(
    int64_t count, const REAL *x, int64_t c_in, const int32_t *source, const int32_t *target, int64_t first_row,
    const REAL *panel, REAL *acc, int64_t acc_stride)
{
    int64_t i = 0;
    for (; i + TILE_ROWS <= count; i += TILE_ROWS)
        NAME(tile)(TILE_ROWS, x, c_in, source + i, target + i, first_row, panel, acc, acc_stride);
#define REST(R) NAME(tile)(R, x, c_in, source + i, target + i, first_row, panel, acc, acc_stride)
    POINTSEG_SWITCH_REST(count - i)
#undef REST
}

/* Columns first .. first + TILE_COLUMNS of one tap's weight, as (c_in, TILE_COLUMNS), zeros beyond the last. */
static void NAME(pack)(const ConvolveJob *job, const REAL *w, int64_t first, REAL *panel)
{
    int64_t width = job->c_out - first < TILE_COLUMNS ? job->c_out - first : TILE_COLUMNS;
    if (width < TILE_COLUMNS)
        memset(panel, 0, sizeof(REAL) * job->c_in * TILE_COLUMNS);
    w += first * job->n_stride;
    if (job->n_stride == 1 && width == TILE_COLUMNS) {
        for (int64_t k = 0; k < job->c_in; k++)
            memcpy(panel + k * TILE_COLUMNS, w + k * job->k_stride, sizeof(REAL) * TILE_COLUMNS);
        return;
    }
    for (int64_t k = 0; k < job->c_in; k++)
        for (int64_t n = 0; n < width; n++)
            panel[k * TILE_COLUMNS + n] = w[k * job->k_stride + n * job->n_stride];
}

static void NAME(flush)(
    const ConvolveJob *job, const REAL *acc, int64_t stride, int64_t row, int64_t end, int64_t column, int64_t width)
{
    const REAL *bias = job->bias, *residual = job->residual;
    for (; row < end; row++, acc += stride) {
        REAL *out = (REAL *)job->out + row * job->c_out + column;
        if (!bias && !residual && !job->relu) {
            memcpy(out, acc, sizeof(REAL) * width);
            continue;
        }
        const REAL *more = residual ? residual + row * job->c_out + column : 0;
        for (int64_t n = 0; n < width; n++) {
            REAL value = acc[n];
            if (bias)
                value += bias[column + n];
            if (more)
                value += more[n];
            /* Written so that a NaN stays one. */
            out[n] = job->relu && value < 0 ? 0 : value;
        }
    }
}

static void NAME(convolve)(ConvolveJob *job)
{
    int64_t row_units = (job->rows + job->block_rows - 1) / job->block_rows;
    int64_t column_units = (job->c_out + job->block_columns - 1) / job->block_columns;
    int64_t widest = job->block_columns < job->c_out ? job->block_columns : job->c_out;
    widest = (widest + TILE_COLUMNS - 1) / TILE_COLUMNS * TILE_COLUMNS;
    REAL *acc = pointseg_buffer(sizeof(REAL) * job->block_rows * widest);
    REAL *panel = pointseg_buffer(sizeof(REAL) * job->c_in * TILE_COLUMNS);
    if (!acc || !panel) {
        atomic_store(&job->failed, 1);
        free(acc);
        free(panel);
        return;
    }
    for (;;) {
        int64_t unit = atomic_fetch_add(&job->next, 1);
        if (unit >= row_units * column_units)
            break;
        int64_t row = unit / column_units * job->block_rows;
        int64_t end = row + job->block_rows < job->rows ? row + job->block_rows : job->rows;
        int64_t column = unit % column_units * job->block_columns;
        int64_t width = column + job->block_columns < job->c_out ? job->block_columns : job->c_out - column;
        int64_t stride = (width + TILE_COLUMNS - 1) / TILE_COLUMNS * TILE_COLUMNS;
        memset(acc, 0, sizeof(REAL) * (end - row) * stride);
        for (int64_t tap = 0; tap < job->taps; tap++) {
            int64_t first = pointseg_first(job->target, job->starts[tap], job->starts[tap + 1], row);
            int64_t last = pointseg_first(job->target, first, job->starts[tap + 1], end);
            if (first == last)
                continue;
            const REAL *w = (const REAL *)job->w + tap * job->tap_stride;
            for (int64_t n = 0; n < width; n += TILE_COLUMNS) {
                NAME(pack)(job, w, column + n, panel);
                NAME(pairs)(last - first, job->x, job->c_in, job->source + first, job->target + first, row, panel,
                            acc + n, stride);
            }
        }
        NAME(flush)(job, acc, stride, row, end, column, width);
    }
    free(acc);
    free(panel);
}

/* dw (R rows, two vectors wide) += xs^T gs, xs (count, R), gs (count, TILE_COLUMNS). */
static inline __attribute__((always_inline)) void NAME(outer)(
    const int R, int64_t count, const REAL *xs, const REAL *gs, REAL *dw, int64_t dw_stride)
{
    NAME(Vector) sum[TILE_ROWS][2];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
        const NAME(Vector) *at = (const NAME(Vector) *)(dw + r * dw_stride);
        sum[r][0] = at[0];
        sum[r][1] = at[1];
    }
    for (int64_t i = 0; i < count; i++) {
        const NAME(Vector) *b = (const NAME(Vector) *)(gs + i * TILE_COLUMNS);
        NAME(Vector) b0 = b[0], b1 = b[1];
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            sum[r][0] += xs[i * R + r] * b0;
            sum[r][1] += xs[i * R + r] * b1;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
        NAME(Vector) *at = (NAME(Vector) *)(dw + r * dw_stride);
        at[0] = sum[r][0];
        at[1] = sum[r][1];
    }
}

/* R columns of gathered rows, as (count, R). */
static inline __attribute__((always_inline)) void NAME(gather)(
    const int R, const REAL *from, int64_t channels, const int32_t *rows, int64_t count, REAL *to)
{
    for (int64_t i = 0; i < count; i++)
        memcpy(to + i * R, from + rows[i] * channels, sizeof(REAL) * R);
}

static void NAME(gather_inputs)(
    const REAL *from, int64_t channels, int64_t width, const int32_t *rows, int64_t count, REAL *to)
{
    int64_t k = 0;
    for (; k + TILE_ROWS <= width; k += TILE_ROWS)
        NAME(gather)(TILE_ROWS, from + k, channels, rows, count, to + k * count);
#define REST(R) NAME(gather)(R, from + k, channels, rows, count, to + k * count)
    POINTSEG_SWITCH_REST(width - k)
#undef REST
}

static void NAME(gather_gradients)(
    const REAL *from, int64_t channels, const int32_t *rows, int64_t count, REAL *to)
{
    int64_t n = 0;
    for (; n + TILE_COLUMNS <= channels; n += TILE_COLUMNS)
        NAME(gather)(TILE_COLUMNS, from + n, channels, rows, count, to + n * count);
    if (n == channels)
        return;
    to += n * count;
    for (int64_t i = 0; i < count; i++)
        for (int64_t c = 0; c < TILE_COLUMNS; c++)
            to[i * TILE_COLUMNS + c] = n + c < channels ? from[rows[i] * channels + n + c] : 0;
}

static void NAME(products)(
    int64_t count, const REAL *xs, int64_t width, const REAL *gs, REAL *dw, int64_t dw_stride)
{
    for (int64_t n = 0; n < dw_stride; n += TILE_COLUMNS) {
        int64_t k = 0;
        for (; k + TILE_ROWS <= width; k += TILE_ROWS)
            NAME(outer)(TILE_ROWS, count, xs + k * count, gs + n * count, dw + k * dw_stride + n, dw_stride);
#define REST(R) NAME(outer)(R, count, xs + k * count, gs + n * count, dw + k * dw_stride + n, dw_stride)
        POINTSEG_SWITCH_REST(width - k)
#undef REST
    }
}

static void NAME(weight)(WeightJob *job)
{
    /* A block has at most so many pairs of one tap as it has rows. */
    const int64_t block = POINTSEG_WEIGHT_BLOCK;
    REAL *xs = pointseg_buffer(sizeof(REAL) * job->c_in * block);
    REAL *gs = pointseg_buffer(sizeof(REAL) * job->dw_stride * block);
    int64_t *at = pointseg_buffer(sizeof(int64_t) * job->taps);
    if (!xs || !gs || !at)
        atomic_store(&job->failed, 1);
    while (!atomic_load(&job->failed)) {
        int64_t unit = atomic_fetch_add(&job->next, 1);
        if (unit >= job->groups * job->slices)
            break;
        int64_t group = unit / job->slices, first = unit % job->slices * job->slice;
        int64_t width = first + job->slice < job->c_in ? job->slice : job->c_in - first;
        int64_t tap_begin = job->group_taps[group], tap_end = job->group_taps[group + 1];
        for (int64_t tap = tap_begin; tap < tap_end; tap++)
            at[tap] = job->starts[tap];
        /* Blocks outside, taps inside: a block's rows are read from memory once for all taps of the group. */
        for (int64_t row = 0; row < job->rows; row += block)
            for (int64_t tap = tap_begin; tap < tap_end; tap++) {
                int64_t begin = at[tap], end = begin;
                while (end < job->starts[tap + 1] && job->target[end] < row + block)
                    end++;
                at[tap] = end;
                if (begin == end)
                    continue;
                const REAL *x = (const REAL *)job->x + first;
                NAME(gather_inputs)(x, job->c_in, width, job->source + begin, end - begin, xs);
                NAME(gather_gradients)(job->g, job->c_out, job->target + begin, end - begin, gs);
                REAL *dw = (REAL *)job->dw + (tap * job->c_in + first) * job->dw_stride;
                NAME(products)(end - begin, xs, width, gs, dw, job->dw_stride);
            }
    }
    free(xs);
    free(gs);
    free(at);
}

#undef LANES
#undef TILE_COLUMNS
