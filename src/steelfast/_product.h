/* Small products of matrices, where a call of BLAS would cost more than the work: what a linear layer makes of a
 * minibatch.
 *
 * A register holds neighbouring columns of one row of the result, and up to STEELFAST_GROUP rows are made at a time, so
 * that each entry of `b` that is loaded is used that often. Every entry of the result is the sum of its products in the
 * order of the steps, whatever the registers. */
#ifndef STEELFAST_PRODUCT_H
#define STEELFAST_PRODUCT_H

#include <stddef.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define STEELFAST_GROUP 8
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

#define STEELFAST_UP_TO_1(X) X(0)
#define STEELFAST_UP_TO_2(X) STEELFAST_UP_TO_1(X) X(1)
#define STEELFAST_UP_TO_3(X) STEELFAST_UP_TO_2(X) X(2)
#define STEELFAST_UP_TO_4(X) STEELFAST_UP_TO_3(X) X(3)
#define STEELFAST_UP_TO_5(X) STEELFAST_UP_TO_4(X) X(4)
#define STEELFAST_UP_TO_6(X) STEELFAST_UP_TO_5(X) X(5)
#define STEELFAST_UP_TO_7(X) STEELFAST_UP_TO_6(X) X(6)
#define STEELFAST_UP_TO_8(X) STEELFAST_UP_TO_7(X) X(7)

#define STEELFAST_START_F(r) STEELFAST_VECTOR_F sum##r = STEELFAST_LOAD_F(out + r * width);
#define STEELFAST_ZERO_F(r) STEELFAST_VECTOR_F sum##r = STEELFAST_SPLAT_F(0);
#define STEELFAST_STEP_F(r) sum##r = STEELFAST_FMA_F(STEELFAST_SPLAT_F(entries[r * row]), columns, sum##r);
#define STEELFAST_END_F(r) STEELFAST_STORE_F(out + r * width, sum##r);
#define STEELFAST_START_D(r) STEELFAST_VECTOR_D sum##r = STEELFAST_LOAD_D(out + r * width);
#define STEELFAST_ZERO_D(r) STEELFAST_VECTOR_D sum##r = STEELFAST_SPLAT_D(0);
#define STEELFAST_STEP_D(r) sum##r = STEELFAST_FMA_D(STEELFAST_SPLAT_D(entries[r * row]), columns, sum##r);
#define STEELFAST_END_D(r) STEELFAST_STORE_D(out + r * width, sum##r);

#define STEELFAST_ROWS_OF_PRODUCT(n_rows, T, type, start)                                                         \
    do {                                                                                                          \
        STEELFAST_UP_TO_##n_rows(STEELFAST_##start##_##T) for (k = 0; k < n_steps; k++) {                         \
            const type *entries = a + k * step;                                                                   \
            STEELFAST_VECTOR_##T columns = STEELFAST_LOAD_##T(b + k * width);                                     \
            STEELFAST_UP_TO_##n_rows(STEELFAST_STEP_##T)                                                          \
        }                                                                                                         \
        STEELFAST_UP_TO_##n_rows(STEELFAST_END_##T)                                                               \
    } while (0)

#define STEELFAST_GROUPS(T, type, start)                                                                          \
    switch (n_rows) {                                                                                             \
    case 1: STEELFAST_ROWS_OF_PRODUCT(1, T, type, start); break;                                                  \
    case 2: STEELFAST_ROWS_OF_PRODUCT(2, T, type, start); break;                                                  \
    case 3: STEELFAST_ROWS_OF_PRODUCT(3, T, type, start); break;                                                  \
    case 4: STEELFAST_ROWS_OF_PRODUCT(4, T, type, start); break;                                                  \
    case 5: STEELFAST_ROWS_OF_PRODUCT(5, T, type, start); break;                                                  \
    case 6: STEELFAST_ROWS_OF_PRODUCT(6, T, type, start); break;                                                  \
    case 7: STEELFAST_ROWS_OF_PRODUCT(7, T, type, start); break;                                                  \
    default: STEELFAST_ROWS_OF_PRODUCT(8, T, type, start);                                                        \
    }

/* out[r, c] = sum over k of a[r * row + k * step] * b[k, c], or that added to it; `width` columns in b and out, a
 * multiple of a register's. */
#define STEELFAST_PRODUCT(suffix, T, type)                                                                        \
    static inline void steelfast_product_##suffix(const type *a, ptrdiff_t row, ptrdiff_t step, const type *b,    \
                                                  ptrdiff_t width, ptrdiff_t n_steps, ptrdiff_t n_rows_of_all,    \
                                                  int add, type *out_of_all) {                                    \
        const ptrdiff_t lanes = sizeof(STEELFAST_VECTOR_##T) / sizeof(type);                                      \
        const type *b_of_all = b, *a_of_all = a;                                                                  \
        ptrdiff_t first, n_rows, n_groups, column, k;                                                             \
        for (column = 0; column < width; column += lanes) {                                                       \
            n_groups = (n_rows_of_all + STEELFAST_GROUP - 1) / STEELFAST_GROUP;                                   \
            for (first = 0; first < n_rows_of_all; first += n_rows, n_groups--) {                                 \
                type *out = out_of_all + first * width + column;                                                  \
                n_rows = (n_rows_of_all - first + n_groups - 1) / n_groups; /* groups of nearly one size */       \
                a = a_of_all + first * row;                                                                       \
                b = b_of_all + column;                                                                            \
                if (add) {                                                                                        \
                    STEELFAST_GROUPS(T, type, START)                                                              \
                } else {                                                                                          \
                    STEELFAST_GROUPS(T, type, ZERO)                                                               \
                }                                                                                                 \
            }                                                                                                     \
        }                                                                                                         \
    }
STEELFAST_PRODUCT(f, F, float)
STEELFAST_PRODUCT(d, D, double)

#endif
