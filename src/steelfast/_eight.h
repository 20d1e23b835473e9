/* The largest and the sum of eight neighbouring numbers: four and four, then two and two, then one and one, in that order
 * wherever it is compiled. gcc makes single numbers of such loops before it thinks of vectors. */
#ifndef STEELFAST_EIGHT_H
#define STEELFAST_EIGHT_H

#define STEELFAST_LARGER(a, b) ((a) > (b) ? (a) : (b))
#define STEELFAST_PLUS(a, b) ((a) + (b))

#if defined(__AVX2__)
#include <immintrin.h>

#if defined(__AVX512F__)
/* in one load, for they have just been written by one store */
#define STEELFAST_BY_FOUR(instruction, x, four)                                                    \
    const __m512d eight = _mm512_loadu_pd(x);                                                      \
    const __m256d four = _mm256_##instruction##_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
#else
#define STEELFAST_BY_FOUR(instruction, x, four) \
    const __m256d four = _mm256_##instruction##_pd(_mm256_loadu_pd(x), _mm256_loadu_pd((x) + 4));
#endif
#define STEELFAST_OF_EIGHT(name, instruction, plain)                                                                  \
    static inline double steelfast_##name##_of_eight_d(const double *x) {                                             \
        STEELFAST_BY_FOUR(instruction, x, four)                                                                       \
        const __m128d two = _mm_##instruction##_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));     \
        return _mm_cvtsd_f64(_mm_##instruction##_sd(two, _mm_unpackhi_pd(two, two)));                                 \
    }                                                                                                                 \
    static inline float steelfast_##name##_of_eight_f(const float *x) {                                               \
        const __m256 eight = _mm256_loadu_ps(x);                                                                      \
        const __m128 four = _mm_##instruction##_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));   \
        const __m128 two = _mm_##instruction##_ps(four, _mm_movehl_ps(four, four));                                   \
        return _mm_cvtss_f32(_mm_##instruction##_ss(two, _mm_movehdup_ps(two)));                                      \
    }
#else
#define STEELFAST_PLAIN_OF_EIGHT(name, plain, suffix, type)                                  \
    static inline type steelfast_##name##_of_eight_##suffix(const type *x) {                 \
        const type even = plain(plain(x[0], x[4]), plain(x[2], x[6]));                       \
        const type odd = plain(plain(x[1], x[5]), plain(x[3], x[7]));                        \
        return plain(even, odd);                                                             \
    }
#define STEELFAST_OF_EIGHT(name, instruction, plain)   \
    STEELFAST_PLAIN_OF_EIGHT(name, plain, f, float)    \
    STEELFAST_PLAIN_OF_EIGHT(name, plain, d, double)
#endif

/* max(a, b) is b where one of both is no number, like a > b ? a : b */
STEELFAST_OF_EIGHT(largest, max, STEELFAST_LARGER)
STEELFAST_OF_EIGHT(sum, add, STEELFAST_PLUS)

#endif
