/* Between rows in memory and tiles: LANES rows of a C-ordered matrix, transposed, and back.
 *
 * Small squares are turned within registers. They may reach up to STEELFAST_REACH entries past the end of the last row,
 * reading what is there and, on the way back, writing something that the rows after it replace: the caller sees to it
 * that the memory is there and is written later. On the way back the last square of a row is therefore written
 * before the first one of the next. */
#ifndef STEELFAST_TRANSPOSE_H
#define STEELFAST_TRANSPOSE_H

#include <stddef.h>
#include <string.h>

#define STEELFAST_LANES 16
#define STEELFAST_REACH 3

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define STEELFAST_SHUFFLE __builtin_shufflevector
#endif
#endif

/* Ask the memory for n_bytes from `start` on, which a later loop will want. Nothing need be there. */
static inline void steelfast_fetch(const void *start, ptrdiff_t n_bytes) {
#if defined(__GNUC__)
    ptrdiff_t i;
    for (i = 0; i < n_bytes; i += 64) __builtin_prefetch((const char *)start + i);
#else
    (void)start;
    (void)n_bytes;
#endif
}

#ifdef STEELFAST_SHUFFLE

typedef float steelfast_4f __attribute__((vector_size(16)));

/* out[j][i] = in[i][j] for a square of four */
static inline void steelfast_turn_f(const float *in, ptrdiff_t in_stride, float *out, ptrdiff_t out_stride) {
    steelfast_4f a, b, c, d, ab_low, ab_high, cd_low, cd_high;
    memcpy(&a, in, sizeof a);
    memcpy(&b, in + in_stride, sizeof b);
    memcpy(&c, in + 2 * in_stride, sizeof c);
    memcpy(&d, in + 3 * in_stride, sizeof d);
    ab_low = STEELFAST_SHUFFLE(a, b, 0, 4, 1, 5);
    ab_high = STEELFAST_SHUFFLE(a, b, 2, 6, 3, 7);
    cd_low = STEELFAST_SHUFFLE(c, d, 0, 4, 1, 5);
    cd_high = STEELFAST_SHUFFLE(c, d, 2, 6, 3, 7);
    a = STEELFAST_SHUFFLE(ab_low, cd_low, 0, 1, 4, 5);
    b = STEELFAST_SHUFFLE(ab_low, cd_low, 2, 3, 6, 7);
    c = STEELFAST_SHUFFLE(ab_high, cd_high, 0, 1, 4, 5);
    d = STEELFAST_SHUFFLE(ab_high, cd_high, 2, 3, 6, 7);
    memcpy(out, &a, sizeof a);
    memcpy(out + out_stride, &b, sizeof b);
    memcpy(out + 2 * out_stride, &c, sizeof c);
    memcpy(out + 3 * out_stride, &d, sizeof d);
}

#ifdef __AVX__

typedef double steelfast_4d __attribute__((vector_size(32)));

static inline void steelfast_turn_d(const double *in, ptrdiff_t in_stride, double *out, ptrdiff_t out_stride) {
    steelfast_4d a, b, c, d, ab_even, ab_odd, cd_even, cd_odd;
    memcpy(&a, in, sizeof a);
    memcpy(&b, in + in_stride, sizeof b);
    memcpy(&c, in + 2 * in_stride, sizeof c);
    memcpy(&d, in + 3 * in_stride, sizeof d);
    ab_even = STEELFAST_SHUFFLE(a, b, 0, 4, 2, 6);
    ab_odd = STEELFAST_SHUFFLE(a, b, 1, 5, 3, 7);
    cd_even = STEELFAST_SHUFFLE(c, d, 0, 4, 2, 6);
    cd_odd = STEELFAST_SHUFFLE(c, d, 1, 5, 3, 7);
    a = STEELFAST_SHUFFLE(ab_even, cd_even, 0, 1, 4, 5);
    b = STEELFAST_SHUFFLE(ab_odd, cd_odd, 0, 1, 4, 5);
    c = STEELFAST_SHUFFLE(ab_even, cd_even, 2, 3, 6, 7);
    d = STEELFAST_SHUFFLE(ab_odd, cd_odd, 2, 3, 6, 7);
    memcpy(out, &a, sizeof a);
    memcpy(out + out_stride, &b, sizeof b);
    memcpy(out + 2 * out_stride, &c, sizeof c);
    memcpy(out + 3 * out_stride, &d, sizeof d);
}

#else

typedef double steelfast_2d __attribute__((vector_size(16)));

static inline void steelfast_turn_two_d(const double *in, ptrdiff_t in_stride, double *out, ptrdiff_t out_stride) {
    steelfast_2d a, b, even, odd;
    memcpy(&a, in, sizeof a);
    memcpy(&b, in + in_stride, sizeof b);
    even = STEELFAST_SHUFFLE(a, b, 0, 2);
    odd = STEELFAST_SHUFFLE(a, b, 1, 3);
    memcpy(out, &even, sizeof even);
    memcpy(out + out_stride, &odd, sizeof odd);
}

static inline void steelfast_turn_d(const double *in, ptrdiff_t in_stride, double *out, ptrdiff_t out_stride) {
    /* line by line of `out`, as its order of writing demands */
    double square[16];
    steelfast_turn_two_d(in, in_stride, square, 4);
    steelfast_turn_two_d(in + 2 * in_stride, in_stride, square + 2, 4);
    steelfast_turn_two_d(in + 2, in_stride, square + 8, 4);
    steelfast_turn_two_d(in + 2 * in_stride + 2, in_stride, square + 10, 4);
    memcpy(out, square, 4 * sizeof(double));
    memcpy(out + out_stride, square + 4, 4 * sizeof(double));
    memcpy(out + 2 * out_stride, square + 8, 4 * sizeof(double));
    memcpy(out + 3 * out_stride, square + 12, 4 * sizeof(double));
}

#endif

#else /* no shuffles: the compiler may find them by itself */

#define STEELFAST_TURN(name, type)                                                                              \
    static inline void name(const type *in, ptrdiff_t in_stride, type *out, ptrdiff_t out_stride) {             \
        type square[16];                                                                                        \
        int i, j;                                                                                               \
        for (i = 0; i < 4; i++)                                                                                 \
            for (j = 0; j < 4; j++) square[4 * j + i] = in[i * in_stride + j];                                  \
        for (j = 0; j < 4; j++) memcpy(out + j * out_stride, square + 4 * j, 4 * sizeof(type));                 \
    }
STEELFAST_TURN(steelfast_turn_f, float)
STEELFAST_TURN(steelfast_turn_d, double)

#endif

#define STEELFAST_ROWS(suffix, type)                                                                            \
    static inline void steelfast_rows_to_tiles_##suffix(const type *rows, ptrdiff_t n_classes, type *tiles) {   \
        ptrdiff_t i, j;                                                                                         \
        for (j = 0; j < n_classes; j += 4)                                                                      \
            for (i = 0; i < STEELFAST_LANES; i += 4)                                                            \
                steelfast_turn_##suffix(rows + i * n_classes + j, n_classes, tiles + j * STEELFAST_LANES + i,   \
                                        STEELFAST_LANES);                                                       \
    }                                                                                                           \
    static inline void steelfast_tiles_to_rows_##suffix(const type *tiles, ptrdiff_t n_classes, type *rows) {   \
        ptrdiff_t i, j;                                                                                         \
        for (i = 0; i < STEELFAST_LANES; i += 4)                                                                \
            for (j = (n_classes - 1) & ~(ptrdiff_t)3; j >= 0; j -= 4)                                           \
                steelfast_turn_##suffix(tiles + j * STEELFAST_LANES + i, STEELFAST_LANES,                       \
                                        rows + i * n_classes + j, n_classes);                                   \
    }
STEELFAST_ROWS(f, float)
STEELFAST_ROWS(d, double)

#endif
