/* Kernel maps from sorted keys. */
#ifndef POINTSEG_MAPS_H
#define POINTSEG_MAPS_H

#include <stdatomic.h>
#include <stdint.h>

#define POINTSEG_MAX_KERNEL 64 /* taps of a column */

/* Pairs with source key = target key + shift + i * step for each column of taps. Without `starts` they are counted
 * into `counts`, by tap; with it they are written to `source` and `target` from starts[tap] on. */
typedef struct {
    const int64_t *source_keys, *target_keys; /* ascending */
    int64_t num_source, num_target, step;
    const int64_t *shifts, *first_taps, *column_taps; /* by column */
    int64_t columns, taps_apart;
    int64_t mirror; /* number of the last tap where each pair counts for the opposite tap too, or 0 */
    int64_t *counts;
    const int64_t *starts;
    int32_t *source, *target;
    atomic_long next;
} PairsJob;

void pointseg_walk_columns(PairsJob *job);

#endif
