/* The largest and the sum of eight neighbouring numbers: four and four, then two and two, then one and one, in that order
 * wherever it is compiled. gcc makes single numbers of such loops before it thinks of vectors.
 *
 *     largest_of_eight(x, limit)              the largest min(x, limit); of what is no number its limit
 *     first_of_eight(x, value)                the place of the first x that is `value`, or 8
 *     sum_of_eight_but(x, numbers, label)     the sum of those x whose numbers are not the label */
#ifndef STEELFAST_EIGHT_H
#define STEELFAST_EIGHT_H

#if defined(__AVX2__)
#include <immintrin.h>

/* max(a, b) is b where one of both is no number, like a > b ? a : b; so is min */
#define STEELFAST_ACROSS(name)                                                                                        \
    static inline float steelfast_##name##_across_f(__m256 eight) {                                                   \
        const __m128 four = _mm_##name##_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));          \
        const __m128 two = _mm_##name##_ps(four, _mm_movehl_ps(four, four));                                          \
        return _mm_cvtss_f32(_mm_##name##_ss(two, _mm_movehdup_ps(two)));                                             \
    }                                                                                                                 \
    static inline double steelfast_##name##_across_d(__m256d four) {                                                  \
        const __m128d two = _mm_##name##_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));            \
        return _mm_cvtsd_f64(_mm_##name##_sd(two, _mm_unpackhi_pd(two, two)));                                        \
    }
STEELFAST_ACROSS(max)
STEELFAST_ACROSS(add)

/* the place of the lowest bit of eight, or 8 */
#define STEELFAST_LOWEST(bits) ((int)_tzcnt_u32(0x100 | (unsigned)(bits)))

static inline float steelfast_largest_of_eight_f(const float *x, const float *limit) {
    return steelfast_max_across_f(_mm256_min_ps(_mm256_loadu_ps(x), _mm256_loadu_ps(limit)));
}
static inline float steelfast_sum_of_eight_but_f(const float *x, const float *numbers, float label) {
    const __m256 others = _mm256_cmp_ps(_mm256_loadu_ps(numbers), _mm256_set1_ps(label), _CMP_NEQ_UQ);
    return steelfast_add_across_f(_mm256_and_ps(others, _mm256_loadu_ps(x)));
}
static inline int steelfast_first_of_eight_f(const float *x, float value) {
    return STEELFAST_LOWEST(_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x), _mm256_set1_ps(value), _CMP_EQ_OQ)));
}
#if defined(__AVX512F__)
#define STEELFAST_HALVES(name, eight) \
    _mm256_##name##_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1))
static inline double steelfast_largest_of_eight_d(const double *x, const double *limit) {
    const __m512d eight = _mm512_min_pd(_mm512_loadu_pd(x), _mm512_loadu_pd(limit));
    return steelfast_max_across_d(STEELFAST_HALVES(max, eight));
}
static inline double steelfast_sum_of_eight_but_d(const double *x, const double *numbers, double label) {
    const __mmask8 others = _mm512_cmp_pd_mask(_mm512_loadu_pd(numbers), _mm512_set1_pd(label), _CMP_NEQ_UQ);
    const __m512d eight = _mm512_maskz_loadu_pd(others, x);
    return steelfast_add_across_d(STEELFAST_HALVES(add, eight));
}
static inline int steelfast_first_of_eight_d(const double *x, double value) {
    return STEELFAST_LOWEST(_mm512_cmp_pd_mask(_mm512_loadu_pd(x), _mm512_set1_pd(value), _CMP_EQ_OQ));
}
#else
/* of the four numbers from the k-th on */
#define STEELFAST_LIMITED(k) _mm256_min_pd(_mm256_loadu_pd(x + (k)), _mm256_loadu_pd(limit + (k)))
#define STEELFAST_OTHERS(k) \
    _mm256_and_pd( \
        _mm256_cmp_pd(_mm256_loadu_pd(numbers + (k)), _mm256_set1_pd(label), _CMP_NEQ_UQ), _mm256_loadu_pd(x + (k)))
#define STEELFAST_EQUAL(k) \
    _mm256_movemask_pd(_mm256_cmp_pd(_mm256_loadu_pd(x + (k)), _mm256_set1_pd(value), _CMP_EQ_OQ))
static inline double steelfast_largest_of_eight_d(const double *x, const double *limit) {
    return steelfast_max_across_d(_mm256_max_pd(STEELFAST_LIMITED(0), STEELFAST_LIMITED(4)));
}
static inline double steelfast_sum_of_eight_but_d(const double *x, const double *numbers, double label) {
    return steelfast_add_across_d(_mm256_add_pd(STEELFAST_OTHERS(0), STEELFAST_OTHERS(4)));
}
static inline int steelfast_first_of_eight_d(const double *x, double value) {
    return STEELFAST_LOWEST(STEELFAST_EQUAL(0) | STEELFAST_EQUAL(4) << 4);
}
#endif
#else
#define STEELFAST_LARGER(a, b) ((a) > (b) ? (a) : (b))
#define STEELFAST_SMALLER(a, b) ((a) < (b) ? (a) : (b))
#define STEELFAST_PLUS(a, b) ((a) + (b))
#define STEELFAST_PLAIN_FOLD(op, x) op(op(op(x(0), x(4)), op(x(2), x(6))), op(op(x(1), x(5)), op(x(3), x(7))))
#define STEELFAST_LIMITED(j) STEELFAST_SMALLER(x[j], limit[j])
#define STEELFAST_OTHER(j) others[j]
#define STEELFAST_EIGHT(suffix, type)                                                                                 \
    static inline type steelfast_largest_of_eight_##suffix(const type *x, const type *limit) {                        \
        return STEELFAST_PLAIN_FOLD(STEELFAST_LARGER, STEELFAST_LIMITED);                                             \
    }                                                                                                                 \
    static inline type steelfast_sum_of_eight_but_##suffix(const type *x, const type *numbers, type label) {          \
        type others[8]; /* by products, or gcc branches on the label */                                               \
        int j;                                                                                                        \
        for (j = 0; j < 8; j++)                                                                                       \
            others[j] = x[j] * (numbers[j] != label ? 1 : 0);                                                         \
        return STEELFAST_PLAIN_FOLD(STEELFAST_PLUS, STEELFAST_OTHER);                                                 \
    }                                                                                                                 \
    static inline int steelfast_first_of_eight_##suffix(const type *x, type value) {                                  \
        int j, first = 8;                                                                                             \
        for (j = 7; j >= 0; j--)                                                                                      \
            first = x[j] == value ? j : first;                                                                        \
        return first;                                                                                                 \
    }
STEELFAST_EIGHT(f, float)
STEELFAST_EIGHT(d, double)
#endif
#endif
