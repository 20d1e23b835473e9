/* Small products of matrices, where a call of BLAS would cost more than the work: what a linear layer makes of a
 * minibatch.
 *
 * A register holds neighbouring columns of one row of the result, and some rows are made at a time, so that each entry of
 * `b` that is loaded is used that often. Every entry of the result is the sum of its products in the order of the steps,
 * whatever the registers. */
#ifndef STEELFAST_PRODUCT_H
#define STEELFAST_PRODUCT_H

#include <stddef.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define STEELFAST_PLAIN_FMA(a, b, c) ((a) * (b) + (c))

#if defined(__AVX512F__)
#define STEELFAST_VECTOR_D __m512d
#define STEELFAST_SPLAT_D _mm512_set1_pd
#define STEELFAST_LOAD_D _mm512_loadu_pd
#define STEELFAST_STORE_D _mm512_storeu_pd
#define STEELFAST_FMA_D _mm512_fmadd_pd
#elif defined(__AVX2__)
#define STEELFAST_VECTOR_D __m256d
#define STEELFAST_SPLAT_D _mm256_set1_pd
#define STEELFAST_LOAD_D _mm256_loadu_pd
#define STEELFAST_STORE_D _mm256_storeu_pd
#define STEELFAST_FMA_D _mm256_fmadd_pd
#else
#define STEELFAST_VECTOR_D double
#define STEELFAST_SPLAT_D(x) (x)
#define STEELFAST_LOAD_D(p) (*(p))
#define STEELFAST_STORE_D(p, x) (*(p) = (x))
#define STEELFAST_FMA_D STEELFAST_PLAIN_FMA
#endif

#if defined(__AVX2__)
#define STEELFAST_VECTOR_F __m256
#define STEELFAST_SPLAT_F _mm256_set1_ps
#define STEELFAST_LOAD_F _mm256_loadu_ps
#define STEELFAST_STORE_F _mm256_storeu_ps
#define STEELFAST_FMA_F _mm256_fmadd_ps
#else
#define STEELFAST_VECTOR_F float
#define STEELFAST_SPLAT_F(x) (x)
#define STEELFAST_LOAD_F(p) (*(p))
#define STEELFAST_STORE_F(p, x) (*(p) = (x))
#define STEELFAST_FMA_F STEELFAST_PLAIN_FMA
#endif

#define STEELFAST_UP_TO_1(X, T, type) X(T, type, 0)
#define STEELFAST_UP_TO_2(X, T, type) STEELFAST_UP_TO_1(X, T, type) X(T, type, 1)
#define STEELFAST_UP_TO_3(X, T, type) STEELFAST_UP_TO_2(X, T, type) X(T, type, 2)
#define STEELFAST_UP_TO_4(X, T, type) STEELFAST_UP_TO_3(X, T, type) X(T, type, 3)
#define STEELFAST_UP_TO_5(X, T, type) STEELFAST_UP_TO_4(X, T, type) X(T, type, 4)
#define STEELFAST_UP_TO_6(X, T, type) STEELFAST_UP_TO_5(X, T, type) X(T, type, 5)
#define STEELFAST_UP_TO_7(X, T, type) STEELFAST_UP_TO_6(X, T, type) X(T, type, 6)
#define STEELFAST_UP_TO_8(X, T, type) STEELFAST_UP_TO_7(X, T, type) X(T, type, 7)
#define STEELFAST_UP_TO_9(X, T, type) STEELFAST_UP_TO_8(X, T, type) X(T, type, 8)
#define STEELFAST_UP_TO_10(X, T, type) STEELFAST_UP_TO_9(X, T, type) X(T, type, 9)

/* W registers of columns for each row, whose entries of `a` stand at one offset from a pointer of its own: so a step is a
 * load and W multiplications for each row, and hardly anything else. */
#define STEELFAST_AT(T, type, r) STEELFAST_SPLAT_##T(*(const type *)(entries##r + offset))
#define STEELFAST_START_1(T, type, r)                                                                             \
    const char *entries##r = (const char *)(a + r * row);                                                         \
    STEELFAST_VECTOR_##T sum##r = zero;
#define STEELFAST_STEP_1(T, type, r) sum##r = STEELFAST_FMA_##T(STEELFAST_AT(T, type, r), columns, sum##r);
#define STEELFAST_END_1(T, type, r)                                                                               \
    STEELFAST_STORE_##T(at, sum##r);                                                                              \
    at += width;
#define STEELFAST_AGAIN_1(T, type, r)                                                                             \
    sum##r = STEELFAST_LOAD_##T(at);                                                                              \
    at += width;
#define STEELFAST_START_2(T, type, r) STEELFAST_START_1(T, type, r) STEELFAST_VECTOR_##T more##r = zero;
#define STEELFAST_STEP_2(T, type, r)                                                                              \
    {                                                                                                             \
        const STEELFAST_VECTOR_##T entry = STEELFAST_AT(T, type, r);                                              \
        sum##r = STEELFAST_FMA_##T(entry, columns, sum##r);                                                       \
        more##r = STEELFAST_FMA_##T(entry, others, more##r);                                                      \
    }
#define STEELFAST_END_2(T, type, r)                                                                               \
    STEELFAST_STORE_##T(at + lanes, more##r);                                                                     \
    STEELFAST_END_1(T, type, r)
#define STEELFAST_AGAIN_2(T, type, r)                                                                             \
    more##r = STEELFAST_LOAD_##T(at + lanes);                                                                     \
    STEELFAST_AGAIN_1(T, type, r)
#define STEELFAST_COLUMNS_1(T) const STEELFAST_VECTOR_##T columns = STEELFAST_LOAD_##T(b);
#define STEELFAST_COLUMNS_2(T) STEELFAST_COLUMNS_1(T) const STEELFAST_VECTOR_##T others = STEELFAST_LOAD_##T(b + lanes);

#define STEELFAST_ROWS_OF_PRODUCT(n_rows, W, T, type)                                                             \
    do {                                                                                                          \
        STEELFAST_UP_TO_##n_rows(STEELFAST_START_##W, T, type)                                                    \
        if (add) {                                                                                                \
            at = out;                                                                                             \
            STEELFAST_UP_TO_##n_rows(STEELFAST_AGAIN_##W, T, type)                                                \
        }                                                                                                         \
        for (offset = 0; offset != end; offset += stride, b += width) {                                           \
            STEELFAST_COLUMNS_##W(T) STEELFAST_UP_TO_##n_rows(STEELFAST_STEP_##W, T, type)                        \
        }                                                                                                         \
        at = out;                                                                                                 \
        STEELFAST_UP_TO_##n_rows(STEELFAST_END_##W, T, type)                                                      \
    } while (0)

/* One register of columns, or two of them, for 1 … 10 rows, or 1 … 5 */
#define STEELFAST_GROUPS_1(T, type)                                                                               \
    switch (n_rows) {                                                                                             \
    case 1: STEELFAST_ROWS_OF_PRODUCT(1, 1, T, type); break;                                                      \
    case 2: STEELFAST_ROWS_OF_PRODUCT(2, 1, T, type); break;                                                      \
    case 3: STEELFAST_ROWS_OF_PRODUCT(3, 1, T, type); break;                                                      \
    case 4: STEELFAST_ROWS_OF_PRODUCT(4, 1, T, type); break;                                                      \
    case 5: STEELFAST_ROWS_OF_PRODUCT(5, 1, T, type); break;                                                      \
    case 6: STEELFAST_ROWS_OF_PRODUCT(6, 1, T, type); break;                                                      \
    case 7: STEELFAST_ROWS_OF_PRODUCT(7, 1, T, type); break;                                                      \
    case 8: STEELFAST_ROWS_OF_PRODUCT(8, 1, T, type); break;                                                      \
    case 9: STEELFAST_ROWS_OF_PRODUCT(9, 1, T, type); break;                                                      \
    default: STEELFAST_ROWS_OF_PRODUCT(10, 1, T, type);                                                           \
    }
#define STEELFAST_GROUPS_2(T, type)                                                                               \
    switch (n_rows) {                                                                                             \
    case 1: STEELFAST_ROWS_OF_PRODUCT(1, 2, T, type); break;                                                      \
    case 2: STEELFAST_ROWS_OF_PRODUCT(2, 2, T, type); break;                                                      \
    case 3: STEELFAST_ROWS_OF_PRODUCT(3, 2, T, type); break;                                                      \
    case 4: STEELFAST_ROWS_OF_PRODUCT(4, 2, T, type); break;                                                      \
    default: STEELFAST_ROWS_OF_PRODUCT(5, 2, T, type);                                                            \
    }

/* out[r, c] = sum over k of a[r * row + k * step] * b[k, c], or that added to it; `width` columns in b and out, a
 * multiple of a register's. */
#define STEELFAST_PRODUCT(suffix, T, type)                                                                        \
    static inline void steelfast_product_##suffix(const type *a, ptrdiff_t row, ptrdiff_t step, const type *b,    \
                                                  ptrdiff_t width, ptrdiff_t n_steps, ptrdiff_t n_rows_of_all,    \
                                                  int add, type *out_of_all) {                                    \
        const ptrdiff_t lanes = sizeof(STEELFAST_VECTOR_##T) / sizeof(type);                                      \
        const ptrdiff_t stride = step * (ptrdiff_t)sizeof(type), end = n_steps * stride;                          \
        const STEELFAST_VECTOR_##T zero = STEELFAST_SPLAT_##T(0);                                                 \
        const type *b_of_all = b, *a_of_all = a;                                                                  \
        ptrdiff_t first, n_rows, n_groups, column, n_columns, most, offset;                                       \
        for (column = 0; column < width; column += n_columns) {                                                   \
            n_columns = width - column < 2 * lanes ? lanes : 2 * lanes;                                           \
            most = n_columns == lanes ? 10 : 5;                                                                   \
            n_groups = (n_rows_of_all + most - 1) / most;                                                         \
            for (first = 0; first < n_rows_of_all; first += n_rows, n_groups--) {                                 \
                type *out = out_of_all + first * width + column, *at;                                             \
                n_rows = (n_rows_of_all - first + n_groups - 1) / n_groups; /* groups of nearly one size */       \
                a = a_of_all + first * row;                                                                       \
                b = b_of_all + column;                                                                            \
                if (n_columns == lanes) {                                                                         \
                    STEELFAST_GROUPS_1(T, type)                                                                   \
                } else {                                                                                          \
                    STEELFAST_GROUPS_2(T, type)                                                                   \
                }                                                                                                 \
            }                                                                                                     \
        }                                                                                                         \
    }
STEELFAST_PRODUCT(f, F, float)
STEELFAST_PRODUCT(d, D, double)

#endif
