/* AMX: products of tiles of bfloat16, eight tile registers of 16 rows of 64 bytes. Linux alone has it on request. */
#if defined(__x86_64__) && defined(__linux__) && defined(__has_include)
#if __has_include(<amxbf16intrin.h>)
#define HAS_AMX
#endif
#endif

#include "kernels.h"

#ifdef HAS_AMX
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma,amx-tile,amx-bf16"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,fma,amx-tile,amx-bf16,prefer-vector-width=512")
#endif
#define SET(x) x##_amx

static void begin_amx(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape __attribute__((aligned(64))) = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        shape.row_bytes[tile] = 64;
        shape.rows[tile] = 16;
    }
    _tile_loadconfig(&shape);
}

static void end_amx(void) { _tile_release(); }

/* Tiles 0 to 3 are sums, 4 and 5 the left side, 6 and 7 the right side. */
static void multiply_amx(int tall, const uint16_t *a, int64_t a_step, const uint16_t *b, int64_t b_step, int64_t depth,
                         float *c, int64_t c_stride, int add)
{
    const int64_t line = 64, c_line = c_stride * (int64_t)sizeof(float);
    if (add) {
        _tile_loadd(0, c, c_line);
        _tile_loadd(1, c + 16, c_line);
        if (tall == 2) {
            _tile_loadd(2, c + 16 * c_stride, c_line);
            _tile_loadd(3, c + 16 * c_stride + 16, c_line);
        }
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t k = 0; k < depth; k++, a += a_step, b += b_step) {
        _tile_loadd(4, a, line);
        _tile_loadd(6, b, line);
        _tile_loadd(7, b + POINTSEG_TILE, line);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (tall == 2) {
            _tile_loadd(5, a + POINTSEG_TILE, line);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, c, c_line);
    _tile_stored(1, c + 16, c_line);
    if (tall == 2) {
        _tile_stored(2, c + 16 * c_stride, c_line);
        _tile_stored(3, c + 16 * c_stride + 16, c_line);
    }
}

/* Each of the tiles (16, 16) of 32 bits across its diagonal. */
static void turn_amx(const uint32_t *from, uint32_t *to, int64_t tiles)
{
    for (; tiles > 0; tiles--, from += POINTSEG_TILE / 2, to += POINTSEG_TILE / 2) {
        __m512i r[16], s[16];
        for (int i = 0; i < 16; i++)
            r[i] = _mm512_load_si512(from + 16 * i);
        for (int i = 0; i < 16; i += 2) {
            s[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
            s[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
        }
        for (int i = 0; i < 16; i += 4) {
            r[i] = _mm512_unpacklo_epi64(s[i], s[i + 2]);
            r[i + 1] = _mm512_unpackhi_epi64(s[i], s[i + 2]);
            r[i + 2] = _mm512_unpacklo_epi64(s[i + 1], s[i + 3]);
            r[i + 3] = _mm512_unpackhi_epi64(s[i + 1], s[i + 3]);
        }
        for (int i = 0; i < 4; i++) {
            s[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
            s[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
            s[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
            s[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
        }
        for (int i = 0; i < 4; i++) {
            _mm512_store_si512(to + 16 * i, _mm512_shuffle_i32x4(s[i], s[i + 8], 0x88));
            _mm512_store_si512(to + 16 * (i + 8), _mm512_shuffle_i32x4(s[i], s[i + 8], 0xdd));
            _mm512_store_si512(to + 16 * (i + 4), _mm512_shuffle_i32x4(s[i + 4], s[i + 12], 0x88));
            _mm512_store_si512(to + 16 * (i + 12), _mm512_shuffle_i32x4(s[i + 4], s[i + 12], 0xdd));
        }
    }
}

#include "bfloat16.inc.c"

#if defined(__clang__)
#pragma clang attribute pop
#endif

/* The kernel has a process ask for the tile registers once; see Documentation/arch/x86/xstate.rst of Linux. */
static int allowed(void)
{
    const long request_permission = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

static int runs_here(void)
{
    const unsigned bf16 = 1u << 22, tile = 1u << 24;
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & bf16) && (edx & tile) &&
           __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && allowed();
}

const InstructionSet pointseg_amx = {
    "amx", runs_here, {0, 0, 32}, {0, 0, convolve_bfloat16_amx}, {0, 0, weight_bfloat16_amx},
};
#else
static int never(void) { return 0; }
const InstructionSet pointseg_amx = {"amx", never, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}};
#endif
