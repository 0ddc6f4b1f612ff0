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

/* dw (R rows, two vectors wide) = or += xs^T gs over `count` pairs, whose values begin at xs[from] and gs[onto]. */
static inline __attribute__((always_inline)) void NAME(outer)(
    const int R, int64_t count, const REAL *xs, const uint32_t *from, const REAL *gs, const uint32_t *onto, int is_new,
    REAL *dw, int64_t dw_stride)
{
    NAME(Vector) sum[TILE_ROWS][2];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
        const NAME(Vector) *at = (const NAME(Vector) *)(dw + r * dw_stride);
        sum[r][0] = is_new ? (NAME(Vector)){0} : at[0];
        sum[r][1] = is_new ? (NAME(Vector)){0} : at[1];
    }
    for (int64_t i = 0; i < count; i++) {
        const REAL *a = xs + from[i];
        const NAME(Vector) *b = (const NAME(Vector) *)(gs + onto[i]);
        /* One address for all R values: GCC would make one for each. */
        __asm__("" : "+r"(a));
        NAME(Vector) b0 = b[0], b1 = b[1];
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            sum[r][0] += a[r] * b0;
            sum[r][1] += a[r] * b1;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
        NAME(Vector) *at = (NAME(Vector) *)(dw + r * dw_stride);
        at[0] = sum[r][0];
        at[1] = sum[r][1];
    }
}

/* `width` values of one row to panels of TILE_ROWS values (the last one may be narrower), each of `rows` rows. */
static inline void NAME(spread_inputs)(const REAL *from, int64_t width, int64_t rows, int64_t row, REAL *to)
{
    int64_t k = 0;
    for (; k + TILE_ROWS <= width; k += TILE_ROWS)
        memcpy(to + k * rows + row * TILE_ROWS, from + k, sizeof(REAL) * TILE_ROWS);
    for (int64_t i = k; i < width; i++)
        to[k * rows + row * TILE_ROWS + i - k] = from[i];
}

/* Rows of gradients as panels of TILE_COLUMNS columns, zeros beyond the last column. */
static void NAME(spread_gradients)(const REAL *from, int64_t columns, int64_t rows, REAL *to)
{
    for (int64_t row = 0; row < rows; row++, from += columns) {
        int64_t n = 0;
        for (; n + TILE_COLUMNS <= columns; n += TILE_COLUMNS)
            memcpy(to + n * rows + row * TILE_COLUMNS, from + n, sizeof(REAL) * TILE_COLUMNS);
        if (n < columns)
            for (int64_t c = 0; c < TILE_COLUMNS; c++)
                to[n * rows + row * TILE_COLUMNS + c] = n + c < columns ? from[n + c] : 0;
    }
}

/* The pairs of one tap in one block, and the first and the last row of the inputs that they read. */
typedef struct {
    int64_t begin, count, tap;
    int32_t low, high;
} NAME(Run);

/* Sums of taps whose inputs lie in one stretch of panels: panels outside, taps inside, so that one panel of each side
 * stays in the nearest cache for all of them. */
static void NAME(products)(
    const WeightJob *job, const NAME(Run) *runs, int64_t count, int64_t first, int64_t width, const REAL *xs,
    int64_t x_rows, const uint32_t *from, const REAL *gs, int64_t g_rows, const uint32_t *onto, const uint8_t *is_old)
{
    for (int64_t n = 0; n < job->dw_stride; n += TILE_COLUMNS) {
        int64_t k = 0;
#define OUTER(R) \
    for (const NAME(Run) *run = runs; run < runs + count; run++) \
        NAME(outer)(R, run->count, xs + k * x_rows, from + run->begin, gs + n * g_rows, onto + run->begin, \
                    !is_old[run->tap], (REAL *)job->dw + (run->tap * job->c_in + first + k) * job->dw_stride + n, \
                    job->dw_stride)
        for (; k + TILE_ROWS <= width; k += TILE_ROWS)
            OUTER(TILE_ROWS);
#define REST(R) OUTER(R)
        POINTSEG_SWITCH_REST(width - k)
#undef REST
#undef OUTER
    }
}

static void NAME(weight)(WeightJob *job)
{
    /* A block has at most so many pairs of one tap as it has rows; `most` rows of inputs fit the panels. */
    const int64_t block = POINTSEG_WEIGHT_BLOCK, most = 2 * block;
    REAL *xs = pointseg_buffer(sizeof(REAL) * (job->slice + TILE_ROWS - 1) * most);
    REAL *gs = pointseg_buffer(sizeof(REAL) * job->dw_stride * block);
    int64_t *next = pointseg_buffer(sizeof(int64_t) * job->taps);
    NAME(Run) *runs = pointseg_buffer(sizeof(NAME(Run)) * job->taps);
    uint32_t *from = pointseg_buffer(sizeof(uint32_t) * block * job->taps);
    uint32_t *onto = pointseg_buffer(sizeof(uint32_t) * block * job->taps);
    uint8_t *is_old = pointseg_buffer(job->taps);
    if (!xs || !gs || !next || !runs || !from || !onto || !is_old)
        atomic_store(&job->failed, 1);
    while (!atomic_load(&job->failed)) {
        int64_t unit = atomic_fetch_add(&job->next, 1);
        if (unit >= job->groups * job->slices)
            break;
        int64_t group = unit / job->slices, first = unit % job->slices * job->slice;
        int64_t width = first + job->slice < job->c_in ? job->slice : job->c_in - first;
        int64_t tap_begin = job->group_taps[group], tap_end = job->group_taps[group + 1];
        const REAL *x = (const REAL *)job->x + first;
        for (int64_t tap = tap_begin; tap < tap_end; tap++)
            next[tap] = job->starts[tap];
        memset(is_old, 0, job->taps);
        /* Blocks outside, taps inside: a block's rows are read from memory once for all taps of the unit. */
        for (int64_t row = 0; row < job->rows; row += block) {
            int64_t rows = row + block < job->rows ? block : job->rows - row, count = 0, pairs = 0;
            for (int64_t tap = tap_begin; tap < tap_end; tap++) {
                int64_t end = next[tap], begin = pairs;
                int32_t low = INT32_MAX, high = -1;
                for (; end < job->starts[tap + 1] && job->target[end] < row + block; end++, pairs++) {
                    int32_t source = job->source[end];
                    from[pairs] = (uint32_t)source;
                    onto[pairs] = (uint32_t)((job->target[end] - row) * TILE_COLUMNS);
                    low = source < low ? source : low;
                    high = source > high ? source : high;
                }
                next[tap] = end;
                if (begin == pairs)
                    continue;
                /* Sorted by the first row that is read. */
                NAME(Run) run = {begin, pairs - begin, tap, low, high};
                int64_t place = count++;
                for (; place > 0 && runs[place - 1].low > low; place--)
                    runs[place] = runs[place - 1];
                runs[place] = run;
            }
            if (!count)
                continue;
            NAME(spread_gradients)((const REAL *)job->g + row * job->c_out, job->c_out, rows, gs);
            for (int64_t done = 0, last; done < count; done = last) {
                int32_t low = runs[done].low, high = runs[done].high;
                int64_t x_rows, shared = runs[done].count;
                /* As many taps as share a stretch of rows that fits the panel. */
                for (last = done + 1; last < count && runs[last].low <= high + block / 4; last++) {
                    int32_t farthest = runs[last].high > high ? runs[last].high : high;
                    if (farthest - low >= most)
                        break;
                    high = farthest;
                    shared += runs[last].count;
                }
                x_rows = high - low + 1;
                if (x_rows <= most && x_rows <= shared) {
                    for (int64_t i = 0; i < x_rows; i++)
                        NAME(spread_inputs)(x + (low + i) * job->c_in, width, x_rows, i, xs);
                    for (int64_t r = done; r < last; r++)
                        for (int64_t i = 0; i < runs[r].count; i++)
                            from[runs[r].begin + i] = (from[runs[r].begin + i] - (uint32_t)low) * TILE_ROWS;
                } else {
                    /* Rows far from each other: each where it is needed. */
                    x_rows = shared;
                    for (int64_t r = done, i = 0; r < last; r++)
                        for (uint32_t *at = from + runs[r].begin; at < from + runs[r].begin + runs[r].count; at++) {
                            NAME(spread_inputs)(x + (int64_t)*at * job->c_in, width, x_rows, i, xs);
                            *at = (uint32_t)(i++ * TILE_ROWS);
                        }
                }
                NAME(products)(job, runs + done, last - done, first, width, xs, x_rows, from, gs, rows, onto, is_old);
                for (int64_t r = done; r < last; r++)
                    is_old[runs[r].tap] = 1;
            }
        }
        for (int64_t tap = tap_begin; tap < tap_end; tap++)
            if (!is_old[tap])
                memset((REAL *)job->dw + (tap * job->c_in + first) * job->dw_stride, 0,
                       sizeof(REAL) * width * job->dw_stride);
    }
    free(xs);
    free(gs);
    free(next);
    free(runs);
    free(from);
    free(onto);
    free(is_old);
}

#undef LANES
#undef TILE_COLUMNS
