/* Between rows in memory and tiles: LANES rows of a C-ordered matrix, or the first of them, transposed, and back; and
 * what is wanted next.
 *
 * Rows are cut into chunks of 16 bytes, and small squares are turned within the 16-byte parts of registers, where that
 * is cheap. On the way to tiles a register takes the same chunk of as many rows as it has room for; on the way back it
 * takes one or, where there is AVX, two neighbouring chunks of a row, and stores them at once. The last chunks of a row
 * may reach up to STEELFAST_REACH entries past its end, reading what is there and, on the way back, writing something
 * that the rows after it replace: the caller sees to it that the memory is there and is written later. On the way back
 * the last chunks of a row are therefore written before the first ones of the next. */
#ifndef STEELFAST_TRANSPOSE_H
#define STEELFAST_TRANSPOSE_H

#include <stddef.h>
#include <string.h>
#if defined(__AVX__)
#include <immintrin.h>
#endif

#define STEELFAST_LANES 16
#define STEELFAST_REACH 3

/* Ask the memory for n_bytes from `start` on, which a later loop will want, into the first cache or, `far`, the second.
 * Nothing need be there. */
static inline void steelfast_fetch(const void *start, ptrdiff_t n_bytes, int far) {
#if defined(__GNUC__)
    ptrdiff_t i;
    if (far)
        for (i = 0; i < n_bytes; i += 64) __builtin_prefetch((const char *)start + i, 0, 2);
    else
        for (i = 0; i < n_bytes; i += 64) __builtin_prefetch((const char *)start + i);
#else
    (void)start;
    (void)n_bytes;
    (void)far;
#endif
}

static inline void steelfast_put_f(volatile float *entry, float x) { *entry = x; }
static inline void steelfast_put_d(volatile double *entry, double x) { *entry = x; }

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define STEELFAST_SHUFFLE __builtin_shufflevector
#endif
#endif

#ifdef STEELFAST_SHUFFLE

/* For registers of `parts` chunks: the lower or upper halves of each part of two of them interleaved, in floats or in
 * doubles; and squares of four floats or two doubles turned in each part. */
#define STEELFAST_ONE(each, parts) each(0, parts)
#define STEELFAST_TWO(each, parts) each(0, parts), each(1, parts)
#define STEELFAST_FOUR(each, parts) each(0, parts), each(1, parts), each(2, parts), each(3, parts)
#define STEELFAST_LOW_F(k, parts) 4 * k, 4 * (k + parts), 4 * k + 1, 4 * (k + parts) + 1
#define STEELFAST_HIGH_F(k, parts) 4 * k + 2, 4 * (k + parts) + 2, 4 * k + 3, 4 * (k + parts) + 3
#define STEELFAST_LOW_D(k, parts) 2 * k, 2 * (k + parts)
#define STEELFAST_HIGH_D(k, parts) 2 * k + 1, 2 * (k + parts) + 1

#define STEELFAST_TURNS(name, parts, all)                                                                         \
    typedef float steelfast_##name##_f __attribute__((vector_size(16 * parts)));                                  \
    typedef double steelfast_##name##_d __attribute__((vector_size(16 * parts)));                                 \
    static inline void steelfast_turn_##name##_d(steelfast_##name##_f *v) {                                       \
        steelfast_##name##_d a = (steelfast_##name##_d)v[0], b = (steelfast_##name##_d)v[1];                      \
        v[0] = (steelfast_##name##_f)STEELFAST_SHUFFLE(a, b, all(STEELFAST_LOW_D, parts));                        \
        v[1] = (steelfast_##name##_f)STEELFAST_SHUFFLE(a, b, all(STEELFAST_HIGH_D, parts));                       \
    }                                                                                                             \
    static inline void steelfast_turn_##name##_f(steelfast_##name##_f *v) {                                       \
        steelfast_##name##_f low[2], high[2];                                                                     \
        low[0] = STEELFAST_SHUFFLE(v[0], v[1], all(STEELFAST_LOW_F, parts));                                      \
        low[1] = STEELFAST_SHUFFLE(v[2], v[3], all(STEELFAST_LOW_F, parts));                                      \
        high[0] = STEELFAST_SHUFFLE(v[0], v[1], all(STEELFAST_HIGH_F, parts));                                    \
        high[1] = STEELFAST_SHUFFLE(v[2], v[3], all(STEELFAST_HIGH_F, parts));                                    \
        steelfast_turn_##name##_d(low);                                                                           \
        steelfast_turn_##name##_d(high);                                                                          \
        v[0] = low[0];                                                                                            \
        v[1] = low[1];                                                                                            \
        v[2] = high[0];                                                                                           \
        v[3] = high[1];                                                                                           \
    }
STEELFAST_TURNS(chunk, 1, STEELFAST_ONE)

static inline steelfast_chunk_f steelfast_load(const char *in) {
    steelfast_chunk_f chunk;
    memcpy(&chunk, in, sizeof chunk);
    return chunk;
}

/* A register of chunks that lie `step` bytes apart. */
#if defined(__AVX__)
STEELFAST_TURNS(two, 2, STEELFAST_TWO)
static inline steelfast_two_f steelfast_two(const char *in, ptrdiff_t step) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(steelfast_load(in)), steelfast_load(in + step), 1);
}
#endif
#if defined(__AVX512F__)
#define STEELFAST_PARTS 4
STEELFAST_TURNS(wide, 4, STEELFAST_FOUR)
static inline steelfast_wide_f steelfast_gathered(const char *in, ptrdiff_t step) {
    __m512 wide = _mm512_castps256_ps512(steelfast_two(in, step));
    wide = _mm512_insertf32x4(wide, steelfast_load(in + 2 * step), 2);
    return _mm512_insertf32x4(wide, steelfast_load(in + 3 * step), 3);
}
#elif defined(__AVX__)
#define STEELFAST_PARTS 2
#define steelfast_wide_f steelfast_two_f
#define steelfast_turn_wide_f steelfast_turn_two_f
#define steelfast_turn_wide_d steelfast_turn_two_d
#define steelfast_gathered steelfast_two
#else
#define STEELFAST_PARTS 1
#define steelfast_wide_f steelfast_chunk_f
#define steelfast_turn_wide_f steelfast_turn_chunk_f
#define steelfast_turn_wide_d steelfast_turn_chunk_d
#define steelfast_gathered(in, step) steelfast_load(in)
#endif

/* n_rows is LANES or a smaller multiple of the rows that registers are filled from.
 * `n` entries make a chunk: 2 or 4. Part k of register m holds the chunk of row n * k + m; turned, entries n * k and on
 * of column m. The registers are named one by one, for gcc does not always unroll a loop over them and then keeps them
 * in memory. */
#define STEELFAST_EACH(n, DO)                                                                                     \
    DO(0);                                                                                                        \
    DO(1);                                                                                                        \
    if (n > 2) {                                                                                                  \
        DO(2);                                                                                                    \
        DO(3);                                                                                                    \
    }
#define STEELFAST_FROM_ROW(m) v[m] = steelfast_gathered(from + m * size, n * size)
#define STEELFAST_TO_TILE(m) memcpy(to + m * STEELFAST_LANES, &v[m], sizeof v[m])
#define STEELFAST_FROM_TILE(m) v[m] = steelfast_load((const char *)(from + m * STEELFAST_LANES))
#define STEELFAST_TO_ROW(m) memcpy(to + m * n_classes, &v[m], sizeof v[m])
#define STEELFAST_ROWS_TO_TILES(suffix, type, n_of_chunk)                                                         \
    static inline void steelfast_rows_to_tiles_##suffix(const type *rows, ptrdiff_t n_classes, ptrdiff_t n_rows,  \
                                                        type *tiles) {                                            \
        enum { n = n_of_chunk };                                                                                  \
        const ptrdiff_t size = n_classes * (ptrdiff_t)sizeof(type);                                               \
        ptrdiff_t i, j;                                                                                           \
        steelfast_wide_f v[n];                                                                                    \
        for (j = 0; j < n_classes; j += n)                                                                        \
            for (i = 0; i < n_rows; i += n * STEELFAST_PARTS) {                                                   \
                const char *from = (const char *)(rows + i * n_classes + j);                                      \
                type *to = tiles + j * STEELFAST_LANES + i;                                                       \
                STEELFAST_EACH(n, STEELFAST_FROM_ROW)                                                             \
                steelfast_turn_wide_##suffix(v);                                                                  \
                STEELFAST_EACH(n, STEELFAST_TO_TILE)                                                              \
            }                                                                                                     \
    }
STEELFAST_ROWS_TO_TILES(f, float, 4)
STEELFAST_ROWS_TO_TILES(d, double, 2)

/* n rows, each a chunk. */
#define STEELFAST_STORE_CHUNKS(suffix, type, n_of_chunk)                                                          \
    static inline void steelfast_store_chunks_##suffix(const type *from, type *to, ptrdiff_t n_classes) {         \
        enum { n = n_of_chunk };                                                                                  \
        steelfast_chunk_f v[n];                                                                                   \
        STEELFAST_EACH(n, STEELFAST_FROM_TILE)                                                                    \
        steelfast_turn_chunk_##suffix(v);                                                                         \
        STEELFAST_EACH(n, STEELFAST_TO_ROW)                                                                       \
    }

#if defined(__AVX__)
STEELFAST_STORE_CHUNKS(f, float, 4)
#define STEELFAST_FROM_TWO_TILES(m) \
    v[m] = steelfast_two((const char *)(from + m * STEELFAST_LANES), 4 * STEELFAST_LANES * sizeof *from)

/* Four rows of eight floats, or of four doubles. */
static inline void steelfast_store_pairs_f(const float *from, float *to, ptrdiff_t n_classes) {
    steelfast_two_f v[4];
    STEELFAST_EACH(4, STEELFAST_FROM_TWO_TILES)
    steelfast_turn_two_f(v);
    STEELFAST_EACH(4, STEELFAST_TO_ROW)
}
static inline void steelfast_store_pairs_d(const double *from, double *to, ptrdiff_t n_classes) {
    const __m256d a = _mm256_loadu_pd(from), b = _mm256_loadu_pd(from + STEELFAST_LANES);
    const __m256d c = _mm256_loadu_pd(from + 2 * STEELFAST_LANES), d = _mm256_loadu_pd(from + 3 * STEELFAST_LANES);
    const __m256d ab_even = _mm256_unpacklo_pd(a, b), ab_odd = _mm256_unpackhi_pd(a, b);
    const __m256d cd_even = _mm256_unpacklo_pd(c, d), cd_odd = _mm256_unpackhi_pd(c, d);
    _mm256_storeu_pd(to, _mm256_permute2f128_pd(ab_even, cd_even, 0x20));
    _mm256_storeu_pd(to + n_classes, _mm256_permute2f128_pd(ab_odd, cd_odd, 0x20));
    _mm256_storeu_pd(to + 2 * n_classes, _mm256_permute2f128_pd(ab_even, cd_even, 0x31));
    _mm256_storeu_pd(to + 3 * n_classes, _mm256_permute2f128_pd(ab_odd, cd_odd, 0x31));
}

static inline void steelfast_tiles_to_rows_f(const float *tiles, ptrdiff_t n_classes, ptrdiff_t n_rows, float *rows) {
    const ptrdiff_t n_paired = (n_classes + STEELFAST_REACH) / 8 * 8;
    ptrdiff_t i, j;
    for (i = 0; i < n_rows; i += 4) {
        if (n_paired < n_classes)
            steelfast_store_chunks_f(tiles + n_paired * STEELFAST_LANES + i, rows + i * n_classes + n_paired, n_classes);
        for (j = n_paired - 8; j >= 0; j -= 8)
            steelfast_store_pairs_f(tiles + j * STEELFAST_LANES + i, rows + i * n_classes + j, n_classes);
    }
}
static inline void steelfast_tiles_to_rows_d(const double *tiles, ptrdiff_t n_classes, ptrdiff_t n_rows, double *rows) {
    ptrdiff_t i, j;
    for (i = 0; i < n_rows; i += 4)
        for (j = (n_classes - 1) / 4 * 4; j >= 0; j -= 4)
            steelfast_store_pairs_d(tiles + j * STEELFAST_LANES + i, rows + i * n_classes + j, n_classes);
}
#else
#define STEELFAST_TILES_TO_ROWS(suffix, type, n)                                                                  \
    STEELFAST_STORE_CHUNKS(suffix, type, n)                                                                       \
    static inline void steelfast_tiles_to_rows_##suffix(const type *tiles, ptrdiff_t n_classes, ptrdiff_t n_rows, \
                                                        type *rows) {                                             \
        ptrdiff_t i, j;                                                                                           \
        for (i = 0; i < n_rows; i += n)                                                                           \
            for (j = (n_classes - 1) / n * n; j >= 0; j -= n)                                                     \
                steelfast_store_chunks_##suffix(tiles + j * STEELFAST_LANES + i, rows + i * n_classes + j, n_classes); \
    }
STEELFAST_TILES_TO_ROWS(f, float, 4)
STEELFAST_TILES_TO_ROWS(d, double, 2)
#endif

#else /* no shuffles: the compiler may find them by itself */

#define STEELFAST_ROWS(suffix, type)                                                                              \
    static inline void steelfast_rows_to_tiles_##suffix(const type *rows, ptrdiff_t n_classes, ptrdiff_t n_rows,  \
                                                        type *tiles) {                                            \
        ptrdiff_t i, j;                                                                                           \
        for (j = 0; j < n_classes; j++)                                                                           \
            for (i = 0; i < n_rows; i++) tiles[j * STEELFAST_LANES + i] = rows[i * n_classes + j];       \
    }                                                                                                             \
    static inline void steelfast_tiles_to_rows_##suffix(const type *tiles, ptrdiff_t n_classes, ptrdiff_t n_rows, \
                                                        type *rows) {                                             \
        ptrdiff_t i, j;                                                                                           \
        for (i = 0; i < n_rows; i++)                                                                              \
            for (j = 0; j < n_classes; j++) rows[i * n_classes + j] = tiles[j * STEELFAST_LANES + i];             \
    }
STEELFAST_ROWS(f, float)
STEELFAST_ROWS(d, double)

#endif

#endif
