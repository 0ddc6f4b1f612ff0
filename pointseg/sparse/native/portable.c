/* Vectors of 16 bytes: SSE2 on any x86-64, NEON on ARM, whatever the compiler makes of them elsewhere. */
#define SET(x) x##_portable
#define VECTOR_BYTES 16
#define TILE_ROWS 6
#include "instruction_set.inc.c"

/* bfloat16 in plain C shows on any processor that the workers are right; it is not meant to be quick. */
static void begin_portable(void) {}
static void end_portable(void) {}

static void multiply_portable(int tall, const uint16_t *a, int64_t a_step, const uint16_t *b, int64_t b_step,
                              int64_t depth, float *c, int64_t c_stride, int add)
{
    for (int64_t m = 0; m < 16 * tall; m++)
        for (int64_t n = 0; n < 32; n++) {
            const uint16_t *left = a + m / 16 * POINTSEG_TILE + m % 16 * 32;
            const uint16_t *right = b + n / 16 * POINTSEG_TILE + n % 16 * 2;
            float sum = add ? c[m * c_stride + n] : 0;
            for (int64_t k = 0; k < depth; k++)
                for (int64_t i = 0; i < 32; i++)
                    sum += pointseg_widened(left[k * a_step + i]) *
                           pointseg_widened(right[k * b_step + i / 2 * 32 + i % 2]);
            c[m * c_stride + n] = sum;
        }
}

static void turn_portable(const uint32_t *from, uint32_t *to, int64_t tiles)
{
    for (int64_t i = 0; i < tiles * POINTSEG_TILE / 2; i++)
        to[i / 256 * 256 + i % 16 * 16 + i / 16 % 16] = from[i];
}

#include "bfloat16.inc.c"

static int always(void) { return 1; }

const InstructionSet pointseg_portable = {
    "portable", always, COLUMNS(32), CONVOLVE(convolve_bfloat16_portable), WEIGHT(weight_bfloat16_portable),
};
