/* What the elementary functions need of the machine and Cython cannot say: the bits of a number, a fused
 * multiply-add where the instruction set has one, and the floating-point environment.
 * What works on numbers has no branch and no state, so that loops over it vectorise. */
#ifndef STEELFAST_ELEMENTARY_H
#define STEELFAST_ELEMENTARY_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef _MSC_VER
#pragma fp_contract(off) /* as -ffp-contract=off: no fused operation but our own */
#endif

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__) || defined(_M_ARM64) \
    || (defined(_MSC_VER) && defined(__AVX2__))
#define STEELFAST_FMA 1
#else
#define STEELFAST_FMA 0
#endif

/* Bytes of the vectors that loops are made of, or a multiple. */
#ifdef __AVX512F__
#define STEELFAST_REGISTER 64
#else
#define STEELFAST_REGISTER 32
#endif

static inline uint32_t steelfast_bits_f(float x) { uint32_t b; memcpy(&b, &x, sizeof b); return b; }
static inline uint64_t steelfast_bits_d(double x) { uint64_t b; memcpy(&b, &x, sizeof b); return b; }
static inline float steelfast_from_bits_f(uint32_t b) { float x; memcpy(&x, &b, sizeof x); return x; }
static inline double steelfast_from_bits_d(uint64_t b) { double x; memcpy(&x, &b, sizeof x); return x; }

/* The number with the exponent e and nothing else, where `shifted` is e + 1.5 * 2**(bits of the significand), so that
 * e stands in its last bits. */
static inline float steelfast_power_f(float shifted) {
    return steelfast_from_bits_f(steelfast_bits_f(shifted) << 23);
}
static inline double steelfast_power_d(double shifted) {
    return steelfast_from_bits_d(steelfast_bits_d(shifted) << 52);
}

/* x = m * 2**k with m in [sqrt(1/2), sqrt(2)): returns k and stores 2**-k; x is positive and normal, k < 126. */
static inline float steelfast_exponent_f(float x, float *inverse_power) {
    uint32_t e = (steelfast_bits_f(x) + (0x3f800000u - 0x3f3504f3u)) >> 23;
    *inverse_power = steelfast_from_bits_f((254u - e) << 23);
    return steelfast_from_bits_f(0x4b000000u | e) - (8388608.0f + 127.0f);
}
static inline double steelfast_exponent_d(double x, double *inverse_power) {
    uint64_t e = (steelfast_bits_d(x) + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu)) >> 52;
    *inverse_power = steelfast_from_bits_d((2046u - e) << 52);
    return steelfast_from_bits_d(0x4330000000000000u | e) - (4503599627370496.0 + 1023.0);
}

/* The same for a / b in [2/3, 3/2) * 2**k, with no division: the bits of a number are nearly its logarithm. a and b are
 * positive and normal, |k| < 126. */
static inline float steelfast_ratio_exponent_f(float a, float b, float *inverse_power) {
    uint32_t e = (steelfast_bits_f(a) - steelfast_bits_f(b) + 0x3fc00000u) >> 23;
    *inverse_power = steelfast_from_bits_f((254u - e) << 23);
    return steelfast_from_bits_f(0x4b000000u | e) - (8388608.0f + 127.0f);
}
static inline double steelfast_ratio_exponent_d(double a, double b, double *inverse_power) {
    uint64_t e = (steelfast_bits_d(a) - steelfast_bits_d(b) + 0x3ff8000000000000u) >> 52;
    *inverse_power = steelfast_from_bits_d((2046u - e) << 52);
    return steelfast_from_bits_d(0x4330000000000000u | e) - (4503599627370496.0 + 1023.0);
}

/* The upper half of the significand: products of two such numbers are exact. */
static inline float steelfast_upper_f(float x) {
    return steelfast_from_bits_f(steelfast_bits_f(x) & 0xfffff000u);
}
static inline double steelfast_upper_d(double x) {
    return steelfast_from_bits_d(steelfast_bits_d(x) & 0xfffffffff8000000u);
}

/* The floating-point environment. The kernels work in the default one, even where a library compiled with -Ofast
 * has made the process flush subnormal numbers, and leave no flag behind. */
#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
typedef unsigned int steelfast_environment;
static inline steelfast_environment steelfast_enter(void) {
    steelfast_environment saved = _mm_getcsr();
    if ((saved & ~0x3fu) != 0x1f80u) _mm_setcsr(0x1f80u);
    return saved;
}
static inline void steelfast_leave(steelfast_environment saved) { _mm_setcsr(saved); }
#else
#include <fenv.h>
typedef fenv_t steelfast_environment;
static inline steelfast_environment steelfast_enter(void) {
    steelfast_environment saved;
    fegetenv(&saved);
    fesetenv(FE_DFL_ENV);
    return saved;
}
static inline void steelfast_leave(steelfast_environment saved) { fesetenv(&saved); }
#endif

#endif
