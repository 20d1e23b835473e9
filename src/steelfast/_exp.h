/* The exponentials of tiles, reduced by a fraction of log 2 and a small table, where registers can be permuted by other
 * registers: AVX2 and AVX-512. What `reduce_part` in _rows.pxd asks for; elsewhere it does without a table.
 *
 *     exp(x) = 2**(n / STEPS) exp(t),  n the whole number nearest to x STEPS / log 2,  t = x - n log 2 / STEPS
 *     power = c 2**(n / STEPS),  w = t + t**2 P(t),  c exp(x) = (1 + w) power
 *
 * All terms of a row may have a factor, and c is one with which all STEPS entries of the table, c 2**(j / STEPS), are
 * nearly floats or doubles: rounding them is an error of 0.04 and 0.0004 units in the last place of 1. |w| stays below
 * 0.05 in float and 0.1 in double, so that its rounding hardly counts either, and P has two and three coefficients less
 * than over the whole of log 2. The first part of log 2 / STEPS may have all its digits: what it leaves of x is small and
 * a multiple of the last place of either, so that one fused multiply-add gives it exactly. `tools/minimax.py` prints the
 * coefficients and the table. */
#ifndef STEELFAST_EXP_H
#define STEELFAST_EXP_H

#include <stddef.h>
#include <stdint.h>
#include "_elementary.h"

#if STEELFAST_FMA && (defined(__AVX512F__) || defined(__AVX2__))
#define STEELFAST_TABLE 1
#define STEELFAST_STEPS_F 8
#define STEELFAST_STEPS_D 4
#include <immintrin.h>

/* The bits of c 2**(j / STEPS), less those of 1, and less j where it stands in a shifted n, beside the exponent: so that
 * the sum of both is `power`. Twice, for a register of AVX-512 has the room. */
#define STEELFAST_POWERS_F 735806, 513060, 365058, 298565, 320958, 440282, 665310, 1005609
#define STEELFAST_POWERS_D 19963166353028, -250046474755519, -358115587925609, -273603873063989
static const int32_t steelfast_powers_f[16] = {STEELFAST_POWERS_F, STEELFAST_POWERS_F};
static const int64_t steelfast_powers_d[8] = {STEELFAST_POWERS_D, STEELFAST_POWERS_D};

#if defined(__AVX512F__)
#define STEELFAST_F(name) _mm512_##name##_ps
#define STEELFAST_D(name) _mm512_##name##_pd
#define STEELFAST_WIDE_F __m512
#define STEELFAST_WIDE_D __m512d
#define STEELFAST_WIDE_I __m512i
#define STEELFAST_LOAD_BITS(start) _mm512_loadu_si512((const void *)(start))
#define STEELFAST_BITS_F(x) _mm512_castps_si512(x)
#define STEELFAST_BITS_D(x) _mm512_castpd_si512(x)
#define STEELFAST_POWER_F(bits, powers) \
    _mm512_castsi512_ps(_mm512_add_epi32(_mm512_slli_epi32(bits, 20), _mm512_permutexvar_epi32(bits, powers)))
#define STEELFAST_POWER_D(bits, powers) \
    _mm512_castsi512_pd(_mm512_add_epi64(_mm512_slli_epi64(bits, 50), _mm512_permutexvar_epi64(bits, powers)))
#else
#define STEELFAST_F(name) _mm256_##name##_ps
#define STEELFAST_D(name) _mm256_##name##_pd
#define STEELFAST_WIDE_F __m256
#define STEELFAST_WIDE_D __m256d
#define STEELFAST_WIDE_I __m256i
#define STEELFAST_LOAD_BITS(start) _mm256_loadu_si256((const __m256i *)(start))
#define STEELFAST_BITS_F(x) _mm256_castps_si256(x)
#define STEELFAST_BITS_D(x) _mm256_castpd_si256(x)
/* the halves 2 j and 2 j + 1 of a double */
#define STEELFAST_HALVES(bits) \
    _mm256_add_epi32(_mm256_shuffle_epi32(_mm256_slli_epi32(bits, 1), 0xa0), _mm256_set1_epi64x((int64_t)1 << 32))
#define STEELFAST_POWER_F(bits, powers) \
    _mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(bits, 20), _mm256_permutevar8x32_epi32(powers, bits)))
#define STEELFAST_POWER_D(bits, powers) \
    _mm256_castsi256_pd( \
        _mm256_add_epi64(_mm256_slli_epi64(bits, 50), _mm256_permutevar8x32_epi32(powers, STEELFAST_HALVES(bits))))
#endif

/* n_tiles of 16 numbers: (1 + w) power = exp(x), up to c and the factor that `base` gives each lane or, of one row,
 * all. What is smaller than `least` is taken for that. */
static inline void steelfast_reduce_f(
    const float *x, ptrdiff_t n_tiles, const float *least, const float *base, int one_row, float *w,
    float *power) {
    enum { WIDTH = sizeof(STEELFAST_WIDE_F) / sizeof(float) };
    const STEELFAST_WIDE_I powers = STEELFAST_LOAD_BITS(steelfast_powers_f);
    const STEELFAST_WIDE_F row_least = STEELFAST_F(set1)(least[0]), row_base = STEELFAST_F(set1)(base[0]);
    ptrdiff_t j, lane;
    for (j = 0; j < n_tiles; j++) {
        for (lane = 0; lane < 16; lane += WIDTH, x += WIDTH, w += WIDTH, power += WIDTH) {
            const STEELFAST_WIDE_F bottom = one_row ? row_least : STEELFAST_F(loadu)(least + lane);
            const STEELFAST_WIDE_F b = one_row ? row_base : STEELFAST_F(loadu)(base + lane);
            const STEELFAST_WIDE_F y = STEELFAST_F(max)(bottom, STEELFAST_F(loadu)(x)); /* of NaN: that */
            const STEELFAST_WIDE_F shifted = STEELFAST_F(fmadd)(y, STEELFAST_F(set1)(11.541560327111707259f), b);
            const STEELFAST_WIDE_I bits = STEELFAST_BITS_F(shifted);
            const STEELFAST_WIDE_F n = STEELFAST_F(sub)(shifted, b);
            const STEELFAST_WIDE_F rest = STEELFAST_F(fmadd)(n, STEELFAST_F(set1)(-0.086643397808074951172f), y);
            const STEELFAST_WIDE_F t = STEELFAST_F(fmadd)(n, STEELFAST_F(set1)(2.3808178749472098482e-10f), rest);
            STEELFAST_WIDE_F series = STEELFAST_F(set1)(0.041673573538201182153f);
            series = STEELFAST_F(fmadd)(series, t, STEELFAST_F(set1)(0.16668047396286170906f));
            series = STEELFAST_F(fmadd)(series, t, STEELFAST_F(set1)(0.5f));
            STEELFAST_F(storeu)(w, STEELFAST_F(fmadd)(STEELFAST_F(mul)(t, t), series, t));
            STEELFAST_F(storeu)(power, STEELFAST_POWER_F(bits, powers));
        }
    }
}

static inline void steelfast_reduce_d(
    const double *x, ptrdiff_t n_tiles, const double *least, const double *base, int one_row, double *w,
    double *power) {
    enum { WIDTH = sizeof(STEELFAST_WIDE_D) / sizeof(double) };
    const STEELFAST_WIDE_I powers = STEELFAST_LOAD_BITS(steelfast_powers_d);
    const STEELFAST_WIDE_D row_least = STEELFAST_D(set1)(least[0]), row_base = STEELFAST_D(set1)(base[0]);
    ptrdiff_t j, lane;
    for (j = 0; j < n_tiles; j++) {
        for (lane = 0; lane < 16; lane += WIDTH, x += WIDTH, w += WIDTH, power += WIDTH) {
            const STEELFAST_WIDE_D bottom = one_row ? row_least : STEELFAST_D(loadu)(least + lane);
            const STEELFAST_WIDE_D b = one_row ? row_base : STEELFAST_D(loadu)(base + lane);
            const STEELFAST_WIDE_D y = STEELFAST_D(max)(bottom, STEELFAST_D(loadu)(x)); /* of NaN: that */
            const STEELFAST_WIDE_D shifted = STEELFAST_D(fmadd)(y, STEELFAST_D(set1)(5.7707801635558536294), b);
            const STEELFAST_WIDE_I bits = STEELFAST_BITS_D(shifted);
            const STEELFAST_WIDE_D n = STEELFAST_D(sub)(shifted, b);
            const STEELFAST_WIDE_D rest = STEELFAST_D(fmadd)(n, STEELFAST_D(set1)(-0.17328679513998632156), y);
            const STEELFAST_WIDE_D t = STEELFAST_D(fmadd)(n, STEELFAST_D(set1)(-5.7976170346157490387e-18), rest);
            /* even and odd powers by themselves: as many operations, and neither chain waits for the other */
            const STEELFAST_WIDE_D square = STEELFAST_D(mul)(t, t);
            STEELFAST_WIDE_D series = STEELFAST_D(set1)(2.4795709446654138881e-5);
            STEELFAST_WIDE_D odd = STEELFAST_D(set1)(1.9845514266559702197e-4);
            series = STEELFAST_D(fmadd)(series, square, STEELFAST_D(set1)(1.388889010231473951e-3));
            odd = STEELFAST_D(fmadd)(odd, square, STEELFAST_D(set1)(8.3333331301625422429e-3));
            series = STEELFAST_D(fmadd)(series, square, STEELFAST_D(set1)(4.1666666666109184503e-2));
            odd = STEELFAST_D(fmadd)(odd, square, STEELFAST_D(set1)(1.6666666666695926993e-1));
            series = STEELFAST_D(fmadd)(series, square, STEELFAST_D(set1)(5.0000000000000065913e-1));
            STEELFAST_D(storeu)(w, STEELFAST_D(fmadd)(square, STEELFAST_D(fmadd)(odd, t, series), t));
            STEELFAST_D(storeu)(power, STEELFAST_POWER_D(bits, powers));
        }
    }
}

#else

#define STEELFAST_TABLE 0
#define STEELFAST_STEPS_F 1
#define STEELFAST_STEPS_D 1
#define steelfast_reduce_f(x, n_tiles, least, base, one_row, w, power) ((void)(one_row))
#define steelfast_reduce_d(x, n_tiles, least, base, one_row, w, power) ((void)(one_row))

#endif
#endif
