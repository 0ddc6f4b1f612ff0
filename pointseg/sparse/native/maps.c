/* Kernel maps from sorted keys: one walk over both sides serves all taps of a column.
 *
 * A column is the taps of one (x, y): their keys differ by `step` each. Targets are taken in ascending order, so the
 * place of the first source key that can match only moves forwards, and pairs come out with both sides ascending.
 */
#include "maps.h"

static void walk(PairsJob *job, int64_t column)
{
    const int64_t *source = job->source_keys, *target = job->target_keys;
    int64_t count = job->column_taps[column], shift = job->shifts[column], step = job->step;
    int64_t first_tap = job->first_taps[column], at = 0;
    int64_t filled[POINTSEG_MAX_KERNEL] = {0};
    for (int64_t t = 0; t < job->num_target; t++) {
        int64_t wanted = target[t] + shift;
        while (at < job->num_source && source[at] < wanted)
            at++;
        int64_t place = at;
        for (int64_t i = 0; i < count; i++, wanted += step) {
            while (place < job->num_source && source[place] < wanted)
                place++;
            if (place == job->num_source)
                break;
            if (source[place] != wanted)
                continue;
            if (job->starts) {
                int64_t tap = first_tap + i * job->taps_apart, pair = job->starts[tap] + filled[i];
                job->source[pair] = (int32_t)place;
                job->target[pair] = (int32_t)t;
                if (job->mirror) { /* The opposite tap holds the same pairs with their sides exchanged. */
                    pair = job->starts[job->mirror - tap] + filled[i];
                    job->source[pair] = (int32_t)t;
                    job->target[pair] = (int32_t)place;
                }
            }
            filled[i]++;
        }
    }
    if (!job->starts)
        for (int64_t i = 0; i < count; i++)
            job->counts[first_tap + i * job->taps_apart] = filled[i];
}

void pointseg_walk_columns(PairsJob *job)
{
    for (;;) {
        int64_t column = atomic_fetch_add(&job->next, 1);
        if (column >= job->columns)
            return;
        walk(job, column);
    }
}
