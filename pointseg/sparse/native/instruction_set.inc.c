/* All workers of one instruction set. Included with SET(x), VECTOR_BYTES and TILE_ROWS. */

#include <string.h>

#include "kernels.h"

/* Calls REST(count) with a constant, for what is left after whole tiles. */
#if TILE_ROWS == 8
#define POINTSEG_CASE_6_7 case 7: REST(7); break; case 6: REST(6); break;
#else
#define POINTSEG_CASE_6_7
#endif
#define POINTSEG_SWITCH_REST(count) \
    switch (count) { \
        POINTSEG_CASE_6_7 \
    case 5: REST(5); break; \
    case 4: REST(4); break; \
    case 3: REST(3); break; \
    case 2: REST(2); break; \
    case 1: REST(1); break; \
    default: break; \
    }

/* Rows of a block for the gradient of the weight: one panel of each side stays in the nearest cache. */
#define POINTSEG_WEIGHT_BLOCK 256

#define REAL float
#define NAME(x) SET(x##_float)
#include "kernels.inc.c"
#undef REAL
#undef NAME

#define REAL double
#define NAME(x) SET(x##_double)
#include "kernels.inc.c"
#undef REAL
#undef NAME

/* Each with what the set has for bfloat16. */
#define COLUMNS(narrow) \
    {(int64_t)(2 * VECTOR_BYTES / sizeof(float)), (int64_t)(2 * VECTOR_BYTES / sizeof(double)), narrow}
#define CONVOLVE(narrow) {SET(convolve_float), SET(convolve_double), narrow}
#define WEIGHT(narrow) {SET(weight_float), SET(weight_double), narrow}
