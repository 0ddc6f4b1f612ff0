/* Vectors of 16 bytes: SSE2 on any x86-64, NEON on ARM, whatever the compiler makes of them elsewhere. */
#define SET(x) x##_portable
#define VECTOR_BYTES 16
#define TILE_ROWS 6
#include "instruction_set.inc.c"

static int always(void) { return 1; }

const InstructionSet pointseg_portable = {"portable", always, COLUMNS, CONVOLVE, WEIGHT};
