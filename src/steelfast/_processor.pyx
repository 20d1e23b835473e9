"""The processor: what it can do, asked before anything built for more is imported; and its floating-point state."""

cimport cython

cdef extern from "<fenv.h>":
    ctypedef struct fenv_t:
        pass
    const fenv_t* FE_DFL_ENV
    int fegetenv(fenv_t*)
    int fesetenv(const fenv_t*)


cdef extern from *:
    """
    #if (defined(__x86_64__) || defined(_M_X64))
      #if defined(_MSC_VER)
        #include <intrin.h>
        static void steelfast_cpuid(unsigned leaf, unsigned sub, unsigned r[4]) {
            __cpuidex((int *)r, (int)leaf, (int)sub);
        }
        static unsigned long long steelfast_xcr0(void) { return _xgetbv(0); }
      #else
        #include <cpuid.h>
        static void steelfast_cpuid(unsigned leaf, unsigned sub, unsigned r[4]) {
            __cpuid_count(leaf, sub, r[0], r[1], r[2], r[3]);
        }
        static unsigned long long steelfast_xcr0(void) {
            unsigned low, high;
            __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
            return ((unsigned long long)high << 32) | low;
        }
      #endif
    /* The level of the x86-64 psABI: 1, 2, 3 (AVX2, FMA, BMI ...) or 4 (AVX-512 F, BW, CD, DQ, VL), where the
     * operating system saves the registers too. */
    static int steelfast_level(void) {
        unsigned r[4], c1, b7, c81, highest, highest_extended;
        unsigned long long state;
        steelfast_cpuid(0, 0, r);
        highest = r[0];
        steelfast_cpuid(0x80000000u, 0, r);
        highest_extended = r[0];
        if (highest < 7 || highest_extended < 0x80000001u) return 1;
        steelfast_cpuid(1, 0, r);
        c1 = r[2];
        steelfast_cpuid(7, 0, r);
        b7 = r[1];
        steelfast_cpuid(0x80000001u, 0, r);
        c81 = r[2];
        /* SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF */
        if ((c1 & 0x00982201u) != 0x00982201u || !(c81 & 1u)) return 1;
        /* FMA, MOVBE, OSXSAVE, AVX, F16C; LZCNT; BMI1, AVX2, BMI2 */
        if ((c1 & 0x38401000u) != 0x38401000u || !(c81 & 0x20u) || (b7 & 0x128u) != 0x128u) return 2;
        state = steelfast_xcr0();
        if ((state & 0x6u) != 0x6u) return 2;
        /* AVX512F, DQ, CD, BW, VL */
        if ((b7 & 0xd0030000u) != 0xd0030000u || (state & 0xe6u) != 0xe6u) return 3;
        return 4;
    }
    #else
    static int steelfast_level(void) { return 0; }
    #endif
    """
    int steelfast_level() nogil

cdef extern from *:
    """
    #if defined(__clang__)
      #define STEELFAST_COMPILER "Clang " __clang_version__
    #elif defined(__GNUC__)
      #define STEELFAST_COMPILER "GCC " __VERSION__
    #elif defined(_MSC_VER)
      #define STEELFAST_STRING(x) #x
      #define STEELFAST_EXPANDED(x) STEELFAST_STRING(x)
      #define STEELFAST_COMPILER "MSVC " STEELFAST_EXPANDED(_MSC_VER)
    #else
      #define STEELFAST_COMPILER "unknown"
    #endif
    """
    const char* STEELFAST_COMPILER

compiler = STEELFAST_COMPILER.decode()


def x86_64_level():
    """The highest level of the x86-64 psABI that this processor has (1 to 4); 0 on other processors."""
    return steelfast_level()


@cython.final
cdef class FloatingPointState:
    """A `with` block in the default floating-point environment that restores the one from before, flags included."""

    cdef fenv_t saved

    def __enter__(self):
        fegetenv(&self.saved)
        fesetenv(FE_DFL_ENV)

    def __exit__(self, *error):
        fesetenv(&self.saved)
