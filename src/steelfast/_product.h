/* Small products of matrices, where a call of BLAS would cost more than the work: the logits that a linear layer makes of
 * a minibatch, and the gradient of its parameters. The rows of the minibatch stay where they are in memory.
 *
 * A register holds neighbouring columns of one row of the result, and some rows are made at a time, so that each entry of
 * the other factor that is loaded is used that often. Every entry of the result is the sum of its products in the order of
 * the steps, whatever the registers. */
#ifndef STEELFAST_PRODUCT_H
#define STEELFAST_PRODUCT_H

#include <stddef.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define STEELFAST_PLAIN_FMA(a, b, c) ((a) * (b) + (c))
#define STEELFAST_PLAIN_STEP(p, rate, g) ((p) - (rate) * (g))

#if defined(__AVX512F__)
#define STEELFAST_VECTOR_D __m512d
#define STEELFAST_SPLAT_D _mm512_set1_pd
#define STEELFAST_LOAD_D _mm512_loadu_pd
#define STEELFAST_STORE_D _mm512_storeu_pd
#define STEELFAST_FMA_D _mm512_fmadd_pd
#define STEELFAST_STEP_D(p, rate, g) _mm512_sub_pd(p, _mm512_mul_pd(rate, g))
#elif defined(__AVX2__)
#define STEELFAST_VECTOR_D __m256d
#define STEELFAST_SPLAT_D _mm256_set1_pd
#define STEELFAST_LOAD_D _mm256_loadu_pd
#define STEELFAST_STORE_D _mm256_storeu_pd
#define STEELFAST_FMA_D _mm256_fmadd_pd
#define STEELFAST_STEP_D(p, rate, g) _mm256_sub_pd(p, _mm256_mul_pd(rate, g))
#else
#define STEELFAST_VECTOR_D double
#define STEELFAST_SPLAT_D(x) (x)
#define STEELFAST_LOAD_D(p) (*(p))
#define STEELFAST_STORE_D(p, x) (*(p) = (x))
#define STEELFAST_FMA_D STEELFAST_PLAIN_FMA
#define STEELFAST_STEP_D STEELFAST_PLAIN_STEP
#endif

#if defined(__AVX2__)
#define STEELFAST_VECTOR_F __m256
#define STEELFAST_SPLAT_F _mm256_set1_ps
#define STEELFAST_LOAD_F _mm256_loadu_ps
#define STEELFAST_STORE_F _mm256_storeu_ps
#define STEELFAST_FMA_F _mm256_fmadd_ps
#define STEELFAST_STEP_F(p, rate, g) _mm256_sub_ps(p, _mm256_mul_ps(rate, g))
#else
#define STEELFAST_VECTOR_F float
#define STEELFAST_SPLAT_F(x) (x)
#define STEELFAST_LOAD_F(p) (*(p))
#define STEELFAST_STORE_F(p, x) (*(p) = (x))
#define STEELFAST_FMA_F STEELFAST_PLAIN_FMA
#define STEELFAST_STEP_F STEELFAST_PLAIN_STEP
#endif

#define STEELFAST_UP_TO_1(X, M, T, type) X(M, T, type, 0)
#define STEELFAST_UP_TO_2(X, M, T, type) STEELFAST_UP_TO_1(X, M, T, type) X(M, T, type, 1)
#define STEELFAST_UP_TO_3(X, M, T, type) STEELFAST_UP_TO_2(X, M, T, type) X(M, T, type, 2)
#define STEELFAST_UP_TO_4(X, M, T, type) STEELFAST_UP_TO_3(X, M, T, type) X(M, T, type, 3)
#define STEELFAST_UP_TO_5(X, M, T, type) STEELFAST_UP_TO_4(X, M, T, type) X(M, T, type, 4)
#define STEELFAST_UP_TO_6(X, M, T, type) STEELFAST_UP_TO_5(X, M, T, type) X(M, T, type, 5)
#define STEELFAST_UP_TO_7(X, M, T, type) STEELFAST_UP_TO_6(X, M, T, type) X(M, T, type, 6)
#define STEELFAST_UP_TO_8(X, M, T, type) STEELFAST_UP_TO_7(X, M, T, type) X(M, T, type, 7)
#define STEELFAST_UP_TO_9(X, M, T, type) STEELFAST_UP_TO_8(X, M, T, type) X(M, T, type, 8)
#define STEELFAST_UP_TO_10(X, M, T, type) STEELFAST_UP_TO_9(X, M, T, type) X(M, T, type, 9)

/* M is LOGITS, GRADIENT or DESCENT, which takes a step down the gradient instead of storing it. W registers of columns for
 * each row of the result; a step is a load and W multiplications for each of them, and hardly anything else. Of the logits
 * each row has a pointer to its features, which a step takes one by one; of the gradient a step takes neighbouring features
 * of one row. */
#define STEELFAST_ENTRY_LOGITS(type, r) (*(const type *)(features##r + offset))
#define STEELFAST_ENTRY_GRADIENT(type, r) (features[r])
#define STEELFAST_ENTRY_DESCENT STEELFAST_ENTRY_GRADIENT
#define STEELFAST_FEATURES_LOGITS(type, r) const char *features##r = (const char *)rows[first + r];
#define STEELFAST_FEATURES_GRADIENT(type, r)
#define STEELFAST_FEATURES_DESCENT(type, r)
#define STEELFAST_RESULT_LOGITS(T, at, sum) sum
#define STEELFAST_RESULT_GRADIENT(T, at, sum) sum
#define STEELFAST_RESULT_DESCENT(T, at, sum) STEELFAST_STEP_##T(STEELFAST_LOAD_##T(at), step, sum)
#define STEELFAST_START_1(M, T, type, r)                                                                          \
    STEELFAST_FEATURES_##M(type, r)                                                                               \
    STEELFAST_VECTOR_##T sum##r = start;
#define STEELFAST_STEP_1(M, T, type, r)                                                                           \
    sum##r = STEELFAST_FMA_##T(STEELFAST_SPLAT_##T(STEELFAST_ENTRY_##M(type, r)), columns, sum##r);
#define STEELFAST_END_1(M, T, type, r)                                                                            \
    STEELFAST_STORE_##T(at, STEELFAST_RESULT_##M(T, at, sum##r));                                                 \
    at += width;
#define STEELFAST_AGAIN_1(M, T, type, r)                                                                          \
    sum##r = STEELFAST_LOAD_##T(at);                                                                              \
    at += width;
#define STEELFAST_START_2(M, T, type, r)                                                                          \
    STEELFAST_START_1(M, T, type, r)                                                                              \
    STEELFAST_VECTOR_##T more##r = start_of_others;
#define STEELFAST_STEP_2(M, T, type, r)                                                                           \
    {                                                                                                             \
        const STEELFAST_VECTOR_##T entry = STEELFAST_SPLAT_##T(STEELFAST_ENTRY_##M(type, r));                     \
        sum##r = STEELFAST_FMA_##T(entry, columns, sum##r);                                                       \
        more##r = STEELFAST_FMA_##T(entry, others, more##r);                                                      \
    }
#define STEELFAST_END_2(M, T, type, r)                                                                            \
    STEELFAST_STORE_##T(at + lanes, STEELFAST_RESULT_##M(T, at + lanes, more##r));                                \
    STEELFAST_END_1(M, T, type, r)
#define STEELFAST_AGAIN_2(M, T, type, r)                                                                          \
    more##r = STEELFAST_LOAD_##T(at + lanes);                                                                     \
    STEELFAST_AGAIN_1(M, T, type, r)
#define STEELFAST_COLUMNS_1(T) const STEELFAST_VECTOR_##T columns = STEELFAST_LOAD_##T(b);
#define STEELFAST_COLUMNS_2(T) STEELFAST_COLUMNS_1(T) const STEELFAST_VECTOR_##T others = STEELFAST_LOAD_##T(b + lanes);

#define STEELFAST_STEPS_LOGITS(n, W, T, type)                                                                     \
    for (offset = 0; offset != n_steps * (ptrdiff_t)sizeof(type); offset += sizeof(type), b += width) {           \
        STEELFAST_COLUMNS_##W(T) STEELFAST_UP_TO_##n(STEELFAST_STEP_##W, LOGITS, T, type)                         \
    }
#define STEELFAST_STEPS_GRADIENT(n, W, T, type)                                                                   \
    for (offset = 0; offset != n_steps; offset++, b += width) {                                                   \
        const type *features = (const type *)rows[offset] + first;                                                \
        STEELFAST_COLUMNS_##W(T) STEELFAST_UP_TO_##n(STEELFAST_STEP_##W, GRADIENT, T, type)                       \
    }
#define STEELFAST_STEPS_DESCENT STEELFAST_STEPS_GRADIENT
#define STEELFAST_GROUP(n, W, M, T, type)                                                                         \
    do {                                                                                                          \
        STEELFAST_UP_TO_##n(STEELFAST_START_##W, M, T, type)                                                      \
        if (add) {                                                                                                \
            at = out;                                                                                             \
            STEELFAST_UP_TO_##n(STEELFAST_AGAIN_##W, M, T, type)                                                  \
        }                                                                                                         \
        STEELFAST_STEPS_##M(n, W, T, type)                                                                        \
        at = out;                                                                                                 \
        STEELFAST_UP_TO_##n(STEELFAST_END_##W, M, T, type)                                                        \
    } while (0)

/* One register of columns, or two of them, for 1 … 10 rows of the result, or 1 … 5. */
#define STEELFAST_GROUPS_1(M, T, type)                                                                            \
    switch (n_group) {                                                                                            \
    case 1: STEELFAST_GROUP(1, 1, M, T, type); break;                                                             \
    case 2: STEELFAST_GROUP(2, 1, M, T, type); break;                                                             \
    case 3: STEELFAST_GROUP(3, 1, M, T, type); break;                                                             \
    case 4: STEELFAST_GROUP(4, 1, M, T, type); break;                                                             \
    case 5: STEELFAST_GROUP(5, 1, M, T, type); break;                                                             \
    case 6: STEELFAST_GROUP(6, 1, M, T, type); break;                                                             \
    case 7: STEELFAST_GROUP(7, 1, M, T, type); break;                                                             \
    case 8: STEELFAST_GROUP(8, 1, M, T, type); break;                                                             \
    case 9: STEELFAST_GROUP(9, 1, M, T, type); break;                                                             \
    default: STEELFAST_GROUP(10, 1, M, T, type);                                                                  \
    }
#define STEELFAST_GROUPS_2(M, T, type)                                                                            \
    switch (n_group) {                                                                                            \
    case 1: STEELFAST_GROUP(1, 2, M, T, type); break;                                                             \
    case 2: STEELFAST_GROUP(2, 2, M, T, type); break;                                                             \
    case 3: STEELFAST_GROUP(3, 2, M, T, type); break;                                                             \
    case 4: STEELFAST_GROUP(4, 2, M, T, type); break;                                                             \
    default: STEELFAST_GROUP(5, 2, M, T, type);                                                                   \
    }

/* n_of_result rows of `result`, of the sums of n_steps products with rows of b; `width` columns in both, a multiple of a
 * register's. The biases are the row of the parameters behind those of the features. */
#define STEELFAST_BIAS_LOGITS(T)                                                                                  \
    start = STEELFAST_LOAD_##T(factor + n_steps * width + column);                                                \
    start_of_others = n_columns == lanes ? start : STEELFAST_LOAD_##T(factor + n_steps * width + column + lanes);
#define STEELFAST_BIAS_GRADIENT(T)                                                                                \
    start = start_of_others = STEELFAST_SPLAT_##T(0);
#define STEELFAST_BIAS_DESCENT STEELFAST_BIAS_GRADIENT
#define STEELFAST_PRODUCT(M, T, type)                                                                             \
    {                                                                                                             \
        const ptrdiff_t lanes = sizeof(STEELFAST_VECTOR_##T) / sizeof(type);                                      \
        ptrdiff_t first, n_group, n_groups, n_larger, column, n_columns, most, offset;                            \
        for (column = 0; column < width; column += n_columns) {                                                   \
            STEELFAST_VECTOR_##T start, start_of_others;                                                          \
            n_columns = width - column < 2 * lanes ? lanes : 2 * lanes;                                           \
            most = n_columns == lanes ? 10 : 5;                                                                   \
            n_groups = (n_of_result + most - 1) / most;                                                           \
            /* groups of nearly one size, the larger ones first */                                                \
            n_group = n_groups ? n_of_result / n_groups + 1 : 0;                                                  \
            n_larger = n_of_result - (n_group - 1) * n_groups;                                                    \
            STEELFAST_BIAS_##M(T)                                                                                 \
            for (first = 0; first < n_of_result; first += n_group) {                                              \
                type *out = result + first * width + column, *at;                                                 \
                const type *b = factor + column;                                                                  \
                n_group -= n_larger-- == 0;                                                                       \
                if (n_columns == lanes) {                                                                         \
                    STEELFAST_GROUPS_1(M, T, type)                                                                \
                } else {                                                                                          \
                    STEELFAST_GROUPS_2(M, T, type)                                                                \
                }                                                                                                 \
            }                                                                                                     \
        }                                                                                                         \
    }

/* logits[r, c] = parameters[n_features, c] + sum over k of rows[r][k] * parameters[k, c] */
#define STEELFAST_LINEAR(suffix, T, type)                                                                         \
    static inline void steelfast_logits_##suffix(const void *const *rows, ptrdiff_t n_rows, ptrdiff_t n_features, \
                                                 const type *parameters, ptrdiff_t width, type *logits) {         \
        const ptrdiff_t n_of_result = n_rows, n_steps = n_features;                                               \
        const type *factor = parameters;                                                                          \
        type *result = logits;                                                                                    \
        const int add = 0;                                                                                        \
        STEELFAST_PRODUCT(LOGITS, T, type)                                                                        \
    }
STEELFAST_LINEAR(f, F, float)
STEELFAST_LINEAR(d, D, double)

#define STEELFAST_BY_FEATURES(M, T, type)                                                                         \
    {                                                                                                             \
        const ptrdiff_t n_of_result = n_features, n_steps = n_rows;                                               \
        const type *factor = slopes;                                                                              \
        type *bias = result + n_features * width;                                                                 \
        const STEELFAST_VECTOR_##T one = STEELFAST_SPLAT_##T(1);                                                  \
        STEELFAST_VECTOR_##T sum, more;                                                                           \
        const ptrdiff_t lanes = sizeof(sum) / sizeof(type);                                                       \
        ptrdiff_t r, c, other; /* two registers of columns; at the end maybe the same one twice */                \
        for (c = 0; c < width; c = other + lanes) {                                                               \
            other = width - c < 2 * lanes ? c : c + lanes;                                                        \
            sum = add ? STEELFAST_LOAD_##T(bias + c) : STEELFAST_SPLAT_##T(0);                                    \
            more = add ? STEELFAST_LOAD_##T(bias + other) : STEELFAST_SPLAT_##T(0);                               \
            for (r = 0; r < n_rows; r++) {                                                                        \
                sum = STEELFAST_FMA_##T(one, STEELFAST_LOAD_##T(slopes + r * width + c), sum);                    \
                more = STEELFAST_FMA_##T(one, STEELFAST_LOAD_##T(slopes + r * width + other), more);              \
            }                                                                                                     \
            sum = STEELFAST_RESULT_##M(T, bias + c, sum);                                                         \
            more = STEELFAST_RESULT_##M(T, bias + other, more);                                                   \
            STEELFAST_STORE_##T(bias + c, sum);                                                                   \
            STEELFAST_STORE_##T(bias + other, more);                                                              \
        }                                                                                                         \
        STEELFAST_PRODUCT(M, T, type)                                                                             \
    }

/* gradient[k, c] = sum over r of rows[r][k] * slopes[r, c], its last row the sum of the slopes; or that added to it.
 * parameters[k, c] -= rate * gradient[k, c]. */
#define STEELFAST_GRADIENT_OF_LINEAR(suffix, T, type)                                                             \
    static inline void steelfast_gradient_##suffix(const void *const *rows, ptrdiff_t n_rows, ptrdiff_t n_features, \
                                                   const type *slopes, ptrdiff_t width, int add, type *result) {  \
        STEELFAST_BY_FEATURES(GRADIENT, T, type)                                                                  \
    }                                                                                                             \
    static inline void steelfast_descend_##suffix(const void *const *rows, ptrdiff_t n_rows, ptrdiff_t n_features, \
                                                  const type *slopes, ptrdiff_t width, type rate, type *result) { \
        const STEELFAST_VECTOR_##T step = STEELFAST_SPLAT_##T(rate);                                              \
        const int add = 0;                                                                                        \
        STEELFAST_BY_FEATURES(DESCENT, T, type)                                                                   \
    }
STEELFAST_GRADIENT_OF_LINEAR(f, F, float)
STEELFAST_GRADIENT_OF_LINEAR(d, D, double)

/* A plain step down the gradient, and the logits of the next rows with what has become of the parameters: each row of them
 * is still in its register when the logits take it, which else would wait until all are stored and read again. The bits are
 * those of `steelfast_descend` and `steelfast_logits`. For parameters that fill one register, and for as many rows as gain by
 * it: 32 registers hold the slopes and the logits of ten rows beside 9 rows of parameters, 16 not quite those of five. */
#if defined(__AVX512VL__)
#define STEELFAST_ADVANCE_ROWS_F 10
#define STEELFAST_ADVANCE_ROWS_D 10
#define STEELFAST_ADVANCE_CASES_D STEELFAST_ADVANCE_CASES_10
#define STEELFAST_ADVANCE_CASES_F STEELFAST_ADVANCE_CASES_10
#elif defined(__AVX2__)
#define STEELFAST_ADVANCE_ROWS_F 5
#define STEELFAST_ADVANCE_ROWS_D 0
#define STEELFAST_ADVANCE_CASES_F STEELFAST_ADVANCE_CASES_5
#define STEELFAST_ADVANCE_CASES_D STEELFAST_ADVANCE_CASES_0
#else
#define STEELFAST_ADVANCE_ROWS_F 0
#define STEELFAST_ADVANCE_ROWS_D 0
#define STEELFAST_ADVANCE_CASES_F STEELFAST_ADVANCE_CASES_0
#define STEELFAST_ADVANCE_CASES_D STEELFAST_ADVANCE_CASES_0
#endif

#define STEELFAST_OF_1(X, T, r) X(T, r, 0)
#define STEELFAST_OF_3(X, T, r) STEELFAST_OF_1(X, T, r) X(T, r, 1) X(T, r, 2)
#define STEELFAST_OF_9(X, T, r) \
    STEELFAST_OF_3(X, T, r) X(T, r, 3) X(T, r, 4) X(T, r, 5) X(T, r, 6) X(T, r, 7) X(T, r, 8)

/* r counts rows of the minibatch, k features */
#define STEELFAST_NO_SUM(T, r, k) STEELFAST_VECTOR_##T sum##k = STEELFAST_SPLAT_##T(0);
#define STEELFAST_ADD_SLOPE(T, r, k) sum##k = STEELFAST_FMA_##T(STEELFAST_SPLAT_##T(features[k]), slope##r, sum##k);
#define STEELFAST_DESCEND(T, r, k)                                                                                \
    sum##k = STEELFAST_STEP_##T(STEELFAST_LOAD_##T(at + k * width), step, sum##k);                                \
    STEELFAST_STORE_##T(at + k * width, sum##k);
#define STEELFAST_ADD_LOGIT(T, r, k) logit##r = STEELFAST_FMA_##T(STEELFAST_SPLAT_##T(features[k]), sum##k, logit##r);
#define STEELFAST_SLOPE(n, T, type, r)                                                                            \
    const STEELFAST_VECTOR_##T slope##r = STEELFAST_LOAD_##T(slopes + r * width);                                 \
    bias = STEELFAST_FMA_##T(STEELFAST_SPLAT_##T(1), slope##r, bias);
#define STEELFAST_LOGIT(n, T, type, r) STEELFAST_VECTOR_##T logit##r = bias;
#define STEELFAST_LOGIT_END(n, T, type, r) STEELFAST_STORE_##T(slopes + r * width, logit##r);
#define STEELFAST_SLOPES_BY(n, T, type, r)                                                                        \
    {                                                                                                             \
        const type *features = (const type *)rows[r] + first;                                                     \
        STEELFAST_OF_##n(STEELFAST_ADD_SLOPE, T, r)                                                               \
    }
#define STEELFAST_LOGITS_BY(n, T, type, r)                                                                        \
    {                                                                                                             \
        const type *features = (const type *)next[r] + first;                                                     \
        STEELFAST_OF_##n(STEELFAST_ADD_LOGIT, T, r)                                                               \
    }
#define STEELFAST_ADVANCE_BY(n, m, T, type)                                                                       \
    for (; first + n <= n_features; first += n, at += n * width) {                                                \
        STEELFAST_OF_##n(STEELFAST_NO_SUM, T, 0)                                                                  \
        STEELFAST_UP_TO_##m(STEELFAST_SLOPES_BY, n, T, type)                                                      \
        STEELFAST_OF_##n(STEELFAST_DESCEND, T, 0)                                                                 \
        STEELFAST_UP_TO_##m(STEELFAST_LOGITS_BY, n, T, type)                                                      \
    }
#define STEELFAST_ADVANCE_CASE(m, T, type)                                                                        \
    case m: {                                                                                                     \
        const STEELFAST_VECTOR_##T step = STEELFAST_SPLAT_##T(rate);                                              \
        STEELFAST_VECTOR_##T bias = STEELFAST_SPLAT_##T(0);                                                       \
        ptrdiff_t first = 0;                                                                                      \
        STEELFAST_UP_TO_##m(STEELFAST_SLOPE, 0, T, type)                                                          \
        bias = STEELFAST_STEP_##T(STEELFAST_LOAD_##T(at + n_features * width), step, bias);                       \
        STEELFAST_STORE_##T(at + n_features * width, bias);                                                       \
        STEELFAST_UP_TO_##m(STEELFAST_LOGIT, 0, T, type)                                                          \
        STEELFAST_ADVANCE_BY(9, m, T, type)                                                                       \
        STEELFAST_ADVANCE_BY(3, m, T, type)                                                                       \
        STEELFAST_ADVANCE_BY(1, m, T, type)                                                                       \
        STEELFAST_UP_TO_##m(STEELFAST_LOGIT_END, 0, T, type)                                                      \
        break;                                                                                                    \
    }
#define STEELFAST_ADVANCE_CASES_0(T, type) default: (void)at, (void)width;
#define STEELFAST_ADVANCE_CASES_5(T, type)                                                                        \
    STEELFAST_ADVANCE_CASE(1, T, type)                                                                            \
    STEELFAST_ADVANCE_CASE(2, T, type)                                                                            \
    STEELFAST_ADVANCE_CASE(3, T, type)                                                                            \
    STEELFAST_ADVANCE_CASE(4, T, type)                                                                            \
    STEELFAST_ADVANCE_CASE(5, T, type)
#define STEELFAST_ADVANCE_CASES_10(T, type)                                                                       \
    STEELFAST_ADVANCE_CASES_5(T, type)                                                                            \
    STEELFAST_ADVANCE_CASE(6, T, type)                                                                            \
    STEELFAST_ADVANCE_CASE(7, T, type)                                                                            \
    STEELFAST_ADVANCE_CASE(8, T, type)                                                                            \
    STEELFAST_ADVANCE_CASE(9, T, type)                                                                            \
    STEELFAST_ADVANCE_CASE(10, T, type)

/* n_rows slopes, 8 columns each, become the logits of as many rows `next` */
#define STEELFAST_ADVANCE(suffix, T, type)                                                                        \
    static inline void steelfast_advance_##suffix(const void *const *rows, const void *const *next,               \
                                                  ptrdiff_t n_rows, ptrdiff_t n_features, type *slopes,           \
                                                  type rate, type *parameters) {                                  \
        enum { width = 8 };                                                                                       \
        type *at = parameters;                                                                                    \
        switch (n_rows) {                                                                                         \
            STEELFAST_ADVANCE_CASES_##T(T, type)                                                                  \
        }                                                                                                         \
    }
STEELFAST_ADVANCE(f, F, float)
STEELFAST_ADVANCE(d, D, double)

#endif
