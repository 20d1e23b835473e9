"""exp, log, log1p, sigmoid and tanh for float and double, and the exact arithmetic they rest on.

The contract: one number in, one number out; no branch, no table, no library call, no state. A loop over
these functions is therefore vectorised by any compiler that can vectorise arithmetic, and every lane, tail
and instruction set that has a fused multiply-add gives the same bits.

A pair `hi, low` stands for the unevaluated sum hi + low, |low| at most half a unit in the last place of hi.
The error-free transformations are those of Dekker (1971) and Knuth (TAOCP 2, 4.2.2); the reduction of exp is
that of Cody and Waite (1980); the form of log is that of fdlibm (Sun Microsystems, 1993). The coefficients
are our own minimax ones: `tools/minimax.py` makes them.
"""
from cython cimport floating
from libc.math cimport INFINITY, NAN, copysign, copysignf

cdef extern from "_elementary.h" nogil:
    enum:
        REGISTER "STEELFAST_REGISTER"
    bint HAS_FMA "STEELFAST_FMA"
    float fmaf(float, float, float)
    double fma(double, double, double)
    float power_f "steelfast_power_f"(float)
    double power_d "steelfast_power_d"(double)
    float exponent_f "steelfast_exponent_f"(float, float*)
    double exponent_d "steelfast_exponent_d"(double, double*)
    float ratio_exponent_f "steelfast_ratio_exponent_f"(float, float, float*)
    double ratio_exponent_d "steelfast_ratio_exponent_d"(double, double, double*)
    float upper_f "steelfast_upper_f"(float)
    double upper_d "steelfast_upper_d"(double)
    ctypedef unsigned int environment "steelfast_environment"
    environment enter_environment "steelfast_enter"()
    void leave_environment "steelfast_leave"(environment)


# --- numbers of each type ------------------------------------------------------------------------------------

cdef inline floating exp_scale(floating example) noexcept nogil:
    """2**EXP_SCALE, the factor that `exp_parts` leaves in its result."""
    if floating is float:
        return <float>18446744073709551616.0          # 2**64
    else:
        return 1.3407807929942597e154                 # 2**512


cdef inline floating exp_unscale(floating example) noexcept nogil:
    if floating is float:
        return <float>5.421010862427522e-20           # 2**-64
    else:
        return 7.458340731200207e-155                 # 2**-512


cdef inline floating exp_reach(floating example) noexcept nogil:
    """How far below the largest term of a sum a term still counts: exp(-reach) · 2**EXP_SCALE is just normal, and
    exp(-reach) itself below half of the smallest subnormal number."""
    if floating is float:
        return <float>131.0
    else:
        return 1060.0


cdef inline floating exp_far(floating example) noexcept nogil:
    """Above this, more than twice the reach, differences within the reach are exact (Sterbenz)."""
    if floating is float:
        return <float>300.0
    else:
        return 2200.0


# --- exact sums and products ---------------------------------------------------------------------------------

cdef inline floating two_sum(floating a, floating b, floating* low) noexcept nogil:
    """a + b = result + low, exactly (Knuth)."""
    cdef floating total = a + b
    cdef floating part = total - a
    low[0] = (a - (total - part)) + (b - part)
    return total


cdef inline floating fast_two_sum(floating a, floating b, floating* low) noexcept nogil:
    """The same where |a| >= |b| or a = 0 (Dekker)."""
    cdef floating total = a + b
    low[0] = b - (total - a)
    return total


cdef inline floating multiply_add(floating a, floating b, floating c) noexcept nogil:
    """a · b + c: rounded once where the instruction set can, else twice. Use it where both are good enough."""
    if HAS_FMA:
        if floating is float:
            return fmaf(a, b, c)
        else:
            return fma(a, b, c)
    else:
        return a * b + c


cdef inline floating upper(floating x) noexcept nogil:
    if floating is float:
        return upper_f(x)
    else:
        return upper_d(x)


cdef inline floating two_product(floating a, floating b, floating* low) noexcept nogil:
    """a · b = result + low, exactly unless something underflows (without a fused multiply-add Dekker's way)."""
    cdef floating product = a * b
    cdef floating a_upper, a_lower, b_upper, b_lower
    if HAS_FMA:
        if floating is float:
            low[0] = fmaf(a, b, -product)
        else:
            low[0] = fma(a, b, -product)
    else:
        a_upper = upper(a)
        a_lower = a - a_upper
        b_upper = upper(b)
        b_lower = b - b_upper
        # one after the other, each sum is exact; the two products in the middle by themselves are not
        low[0] = (((a_upper * b_upper - product) + a_upper * b_lower) + a_lower * b_upper) + a_lower * b_lower
    return product


cdef inline floating split_product(floating a, floating b, floating b_low, floating* low) noexcept nogil:
    """a · (b + b_low) = result + low: the result that of the upper halves and exact, the other rounded."""
    cdef floating a_upper = upper(a)
    cdef floating b_upper = upper(b)
    low[0] = (a - a_upper) * b_upper + a * ((b - b_upper) + b_low)
    return a_upper * b_upper


cdef inline floating times_pair(floating a, floating b, floating b_low) noexcept nogil:
    """a · (b + b_low), rounded once."""
    cdef floating product, low
    if HAS_FMA:
        if floating is float:
            return fmaf(a, b, a * b_low)
        else:
            return fma(a, b, a * b_low)
    else:
        product = split_product(a, b, b_low, &low)
        return product + low


cdef inline floating pair_times_pair(
    floating a, floating a_low, floating b, floating b_low, floating* low,
) noexcept nogil:
    """(a + a_low) · (b + b_low) as a pair."""
    cdef floating rest
    cdef floating product = two_product(a, b, &rest)
    return fast_two_sum(product, rest + (a * b_low + a_low * b), low)


cdef inline floating loose_product(
    floating a, floating a_low, floating b, floating b_low, floating* low,
) noexcept nogil:
    """`pair_times_pair`, not settled: the low part may be some units in the last place, which the next product does not
    mind, but a difference or a square may."""
    cdef floating rest
    cdef floating product = two_product(a, b, &rest)
    low[0] = multiply_add(a, b_low, multiply_add(a_low, b, rest))
    return product


cdef inline floating lift_of(floating x) noexcept nogil:
    """A power of two that keeps the parts of products with a small x normal, where it takes parts to be exact."""
    if HAS_FMA:
        return <floating>1.0
    if floating is float:
        return <float>16777216.0 if (x < <float>1.0) & (x > <float>-1.0) else <float>1.0              # 2**24
    else:
        return 18446744073709551616.0 if (x < 1.0) & (x > -1.0) else 1.0                              # 2**64


cdef inline floating reciprocal(floating a, floating a_low, floating* low) noexcept nogil:
    """1 / (a + a_low) as a pair, for a low part that is one: a Newton step from the rounded quotient."""
    cdef floating inverse = <floating>1.0 / a
    cdef floating rest
    cdef floating product = two_product(a, inverse, &rest)
    low[0] = inverse * ((<floating>1.0 - product) - rest - a_low * inverse)
    return inverse


# --- exp -----------------------------------------------------------------------------------------------------

cdef inline floating exp_base_in(int steps, floating anchor) noexcept nogil:
    """What to reduce by for exp(x) · 2**EXP_SCALE / 2**k, where k is the whole number nearest to anchor / log 2: the
    scale, the bias of the format and -k, in steps of 2**(1 / steps), in the last bits of a large number."""
    cdef floating k
    if floating is float:
        k = multiply_add(anchor, <float>1.4426950408889634, <float>12582912.0) - <float>12582912.0
        return multiply_add(<float>-steps, k, <float>(12582912 + steps * (127 + 64)))
    else:
        k = multiply_add(anchor, 1.4426950408889634, 6755399441055744.0) - 6755399441055744.0
        return multiply_add(<double>-steps, k, 6755399441055744.0 + steps * (1023 + 512))


cdef inline floating exp_base(floating anchor) noexcept nogil:
    """What `exp_parts` reduces by: `exp_base_in` whole powers of two."""
    return exp_base_in(1, anchor)


cdef inline floating exp_reduced(
    floating x, floating near, floating base, floating* k, floating* shifted,
) noexcept nogil:
    """x = k · log 2 + r, k the whole number nearest to near / log 2: returns r but for `exp_rest` of k, exactly. The
    last bits of shifted are those of a power of two."""
    if floating is float:
        shifted[0] = multiply_add(near, <float>1.4426950408889634, base)
        k[0] = shifted[0] - base
        return multiply_add(-k[0], <float>0.693115234375, x)           # exact: k has 10 bits, the constant 14
    else:
        shifted[0] = multiply_add(near, 1.4426950408889634, base)
        k[0] = shifted[0] - base
        return multiply_add(-k[0], 0.69314718055920820916, x)          # exact: k has 13 bits, the constant 40


cdef inline floating exp_rest(floating example) noexcept nogil:
    """What log 2 is beyond the constant of `exp_reduced`, with the other sign."""
    if floating is float:
        return <float>-3.194618494530941723e-5
    else:
        return -7.371002565167798901834e-13


cdef inline floating exp_series(floating t) noexcept nogil:
    """P in exp(t) = 1 + t + t² P(t), for -log(2) / 2 <= t <= log(3 / 2)."""
    cdef floating square, polynomial, odd
    if floating is float:
        polynomial = <float>0.0014055481927549322058
        polynomial = multiply_add(polynomial, t, <float>0.0083775503583264144154)
        polynomial = multiply_add(polynomial, t, <float>0.041665230691616258966)
        polynomial = multiply_add(polynomial, t, <float>0.16666436870423886076)
        return multiply_add(polynomial, t, <float>0.5)
    else:
        # even and odd powers by themselves: as many operations, and neither chain waits for the other
        square = t * t
        polynomial = multiply_add(2.7635904040076520261e-7, square, 2.4801475453694735719e-5)
        polynomial = multiply_add(polynomial, square, 1.3888888962292115793e-3)
        polynomial = multiply_add(polynomial, square, 4.1666666666454724499e-2)
        polynomial = multiply_add(polynomial, square, 5.0000000000000195042e-1)
        odd = multiply_add(2.5703938134670751616e-8, square, 2.7555350255157104487e-6)
        odd = multiply_add(odd, square, 1.9841271997642668917e-4)
        odd = multiply_add(odd, square, 8.3333333323689102942e-3)
        odd = multiply_add(odd, square, 1.6666666666668086015e-1)
        return multiply_add(odd, t, polynomial)


cdef inline floating exp_parts_near(
    floating x, floating near, floating base, floating* power, floating* low,
) noexcept nogil:
    """The next two, which choose their power of two by x itself and by something less; `low` is what the last rounding
    took."""
    cdef floating k, shifted
    cdef floating r = exp_reduced(x, near, base, &k, &shifted)
    cdef floating r_low = k * exp_rest(x)
    cdef floating t = r + r_low
    cdef floating rest, w
    # where this stands decides which registers gcc takes: up to 9 % of a softmax
    if floating is double:
        power[0] = power_d(shifted)
    rest = multiply_add(t * t, exp_series(t), r_low)
    w = r + rest
    low[0] = rest - (w - r)
    if floating is float:
        power[0] = power_f(shifted)
    return w


cdef inline floating exp_parts(floating x, floating base, floating* power) noexcept nogil:
    """exp(x) · 2**EXP_SCALE / 2**k = (1 + result) · power, for a base from `exp_base`; |result| is below 0.42.

    EXP_SCALE is 64 for float and 512 for double: it keeps the smallest terms of a sum normal, so that whoever
    multiplies by 2**-EXP_SCALE at the end rounds once, into the subnormal numbers too. For |x| up to exp_reach +
    exp_far and results that are normal numbers; the error of 1 + result is below 0.33 units in the last place of 1.
    """
    cdef floating low
    return exp_parts_near(x, x, base, power, &low)


cdef inline floating exp_parts_tight(floating x, floating base, floating* power, floating* low) noexcept nogil:
    """`exp_parts` with -1/4 <= result <= 1/2, for one operation more: below -1/4 its rounding is twice as coarse, just
    where 1 + result is smallest. Its largest error against 1 + result is then 0.28 units instead of 0.34; `low` is
    what its last rounding took."""
    return exp_parts_near(x, x - <floating>0.0588915, base, power, low)       # log(9 / 8) / 2


cdef inline floating exp_parts_loose(floating x, floating base, floating* power) noexcept nogil:
    """`exp_parts` for two operations less, where its last digit may be lost: the error of 1 + result is below 0.45
    units in the last place of 1."""
    cdef floating k, shifted
    cdef floating r = exp_reduced(x, x, base, &k, &shifted)
    cdef floating t = multiply_add(k, exp_rest(x), r)
    cdef floating w
    # as above
    if floating is double:
        power[0] = power_d(shifted)
    w = multiply_add(t * t, exp_series(t), t)
    if floating is float:
        power[0] = power_f(shifted)
    return w


cdef inline floating exp_pair(floating w, floating power, floating* low) noexcept nogil:
    """(1 + w) · power of `exp_parts`, as a pair."""
    cdef floating result = multiply_add(w, power, power)
    low[0] = multiply_add(w, power, power - result)
    return result


cdef inline floating exp(floating x) noexcept nogil:
    """exp x for any x: below one unit in the last place, of subnormal results too; 0 and inf beyond, NaN of NaN.

    The power of two comes in two factors, both of them normal numbers: only the product with the last one may round.
    """
    cdef floating y = exp_reach(x) if x > exp_reach(x) else x
    cdef floating power, base, rest, w
    y = -exp_reach(x) if y < -exp_reach(x) else y
    if floating is float:
        base = exp_base(<float>88.722839 if x > <float>0.0 else <float>0.0)              # 128 log 2
    else:
        base = exp_base(709.782712893384 if x > 0.0 else 0.0)                            # 1024 log 2
    rest = exp_scale(x) if x > <floating>0.0 else exp_unscale(x)
    w = exp_parts(y, base, &power)
    return multiply_add(w, power, power) * rest


cdef inline floating plain_base(floating example) noexcept nogil:
    """What `exp_parts` reduces by for exp(x) itself."""
    if floating is float:
        return <float>(12582912.0 + 127.0)
    else:
        return 6755399441055744.0 + 1023.0


cdef inline floating exp_of_difference(floating d) noexcept nogil:
    """exp(d) for d <= 0: within 1.1 units in the last place of a normal number, 0 where it is smaller; NaN of NaN."""
    cdef floating power, w
    if floating is float:
        d = <float>-88.03 if <float>-88.03 > d else d               # where `power` is 0
    else:
        d = -709.2 if -709.2 > d else d
    w = exp_parts_loose(d, plain_base(d), &power)
    return multiply_add(w, power, power)


cdef inline double plus_product(
    double constant, double constant_low, double a, double a_low, double b, double b_low, double* low,
) noexcept nogil:
    """constant + a · b of pairs as a pair, where the product is the smaller."""
    cdef double product_low, sum_low
    cdef double product = two_product(a, b, &product_low)
    cdef double result = fast_two_sum(constant, product, &sum_low)
    return fast_two_sum(result, sum_low + (constant_low + (product_low + (a * b_low + a_low * b))), low)


cdef inline double exp_twice(double x, double* low) noexcept nogil:
    """exp(x) as a pair with half as many digits again, for -700 <= x <= 1: below 2**-72 of the result.

    The terms of the series from the seventh on are small enough to be summed in plain numbers.
    """
    cdef double shifted = multiply_add(x, 1.4426950408889634, 6755399441055744.0 + 1023.0)
    cdef double k = shifted - (6755399441055744.0 + 1023.0)
    cdef double r, r_low, product, product_low, series, e, e_low, power
    r = multiply_add(-k, 0.69314718055920820916, x)                   # exact, as in exp_parts
    product = two_product(k, -7.371002565167799e-13, &product_low)
    r = two_sum(r, product, &r_low)
    r_low = r_low + (product_low - k * 1.94704509238075e-31)
    series = 1.5619206968586225e-16
    series = multiply_add(series, r, 2.8114572543455206e-15)
    series = multiply_add(series, r, 4.779477332387385e-14)
    series = multiply_add(series, r, 7.647163731819816e-13)
    series = multiply_add(series, r, 1.1470745597729725e-11)
    series = multiply_add(series, r, 1.6059043836821613e-10)
    series = multiply_add(series, r, 2.08767569878681e-09)
    series = multiply_add(series, r, 2.505210838544172e-08)
    series = multiply_add(series, r, 2.755731922398589e-07)
    series = multiply_add(series, r, 2.7557319223985893e-06)
    series = multiply_add(series, r, 2.48015873015873e-05)
    series = multiply_add(series, r, 0.0001984126984126984)
    e = plus_product(0.001388888888888889, -5.300543954373577e-20, series, 0.0, r, r_low, &e_low)
    e = plus_product(0.008333333333333333, 1.1564823173178714e-19, e, e_low, r, r_low, &e_low)
    e = plus_product(0.041666666666666664, 2.3129646346357427e-18, e, e_low, r, r_low, &e_low)
    e = plus_product(0.16666666666666666, 9.25185853854297e-18, e, e_low, r, r_low, &e_low)
    e = plus_product(0.5, 0.0, e, e_low, r, r_low, &e_low)
    e = plus_product(1.0, 0.0, e, e_low, r, r_low, &e_low)
    e = plus_product(1.0, 0.0, e, e_low, r, r_low, &e_low)
    power = power_d(shifted)
    low[0] = e_low * power
    return e * power


# --- log -----------------------------------------------------------------------------------------------------

cdef inline floating log_series(floating z) noexcept nogil:
    """R in log(1 + f) = 2 s + s z R(z), for s = f / (2 + f), z = s² and 2/3 <= 1 + f <= 3/2."""
    cdef floating series
    if floating is float:
        series = <float>0.30362438301087304093
        series = multiply_add(series, z, <float>0.39957738582943268957)
        series = multiply_add(series, z, <float>0.66666948212779645099)
    else:
        series = 0.1537040039515029973
        series = multiply_add(series, z, 0.15249904638707783025)
        series = multiply_add(series, z, 0.18186370255295392761)
        series = multiply_add(series, z, 0.22222138155282366985)
        series = multiply_add(series, z, 0.2857142939952845132)
        series = multiply_add(series, z, 0.39999999996138066234)
        series = multiply_add(series, z, 0.66666666666672754006)
    return series


cdef inline floating log2_upper(floating k) noexcept nogil:
    """k · log 2 but for `log2_lower`: exact, for the constant has few bits."""
    if floating is float:
        return k * <float>0.693145751953125
    else:
        return k * 0.6931471805598903


cdef inline floating log2_lower(floating k) noexcept nogil:
    if floating is float:
        return k * <float>1.42860682030941723212e-6
    else:
        return k * 5.497923018708371e-14


cdef inline floating log_of_reduced(floating k, floating f, floating f_low, floating* result_low) noexcept nogil:
    """k · log 2 + log(1 + f + f_low) as a pair, for sqrt(1/2) <= 1 + f < sqrt(2) and a small f_low."""
    cdef floating s = f / (<floating>2.0 + f)
    cdef floating z = s * s
    cdef floating half_square = <floating>0.5 * f * f
    cdef floating low, inner, start, start_low
    low = (f_low - (s + s) * f_low) + log2_lower(k)
    inner = half_square - (s * (half_square + log_series(z) * z) + low)
    start = fast_two_sum(log2_upper(k), f, &start_low)
    return fast_two_sum(start, start_low - inner, result_low)


cdef inline floating reduced_ratio(
    floating others, floating others_low, floating count, floating unit, floating unit_low, floating* f_low,
    floating* g, floating* g_low, floating* k,
) noexcept nogil:
    """The first half of `log_of_ratio`: f and g as pairs, and k."""
    cdef floating c, excess, product, product_low, f
    if floating is float:
        k[0] = ratio_exponent_f(multiply_add(count, unit, others), unit, &c)
    else:
        k[0] = ratio_exponent_d(multiply_add(count, unit, others), unit, &c)
    excess = count * c - <floating>1.0
    product = two_product(unit, excess, &product_low)
    f = two_sum(others * c, product, f_low)
    f_low[0] = f_low[0] + (product_low + (others_low * c + unit_low * excess))
    g[0] = fast_two_sum(unit + unit, f, g_low)
    g_low[0] = g_low[0] + (f_low[0] + (unit_low + unit_low))
    return f


cdef inline floating log_of_reduced_ratio(
    floating f, floating f_low, floating g, floating g_low, floating k, floating* low,
) noexcept nogil:
    """k · log 2 + log((g + f) / (g - f)) as a pair, from `reduced_ratio`."""
    cdef floating product, product_low, inverse, s, s_low, z, start, start_low, rest
    inverse = <floating>1.0 / g
    s = f * inverse
    product = two_product(s, g, &product_low)
    s_low = (((f - product) - product_low) + (f_low - s * g_low)) * inverse
    z = s * s
    rest = (s_low + s_low) + (multiply_add(s * z, log_series(z), log2_lower(k)))
    start = fast_two_sum(log2_upper(k), s + s, &start_low)
    return fast_two_sum(start, start_low + rest, low)


cdef inline floating log_of_ratio(
    floating others, floating others_low, floating count, floating unit, floating unit_low, floating* low,
) noexcept nogil:
    """log(count + others / unit) as a pair, for whole numbers count and pairs others and unit that are not negative.

    It keeps its relative accuracy where the result is small: with 2**k the power of two next to the argument and
    c = 2**-k, s = f / (2 + f) is the ratio of others · c + unit · (count · c - 1), which is then exactly others · c,
    and of that plus 2 unit; so one division is enough.
    """
    cdef floating f_low, g, g_low, k
    cdef floating f = reduced_ratio(others, others_low, count, unit, unit_low, &f_low, &g, &g_low, &k)
    return log_of_reduced_ratio(f, f_low, g, g_low, k, low)


cdef inline floating log1p(floating x, floating x_low, floating* low) noexcept nogil:
    """log(1 + x + x_low) as a pair, for -1/2 <= x < 2**60, in double 2**1000.

    The result alone is within one unit in the last place.
    """
    cdef floating y_low, k, inverse_power, f, f_low
    cdef floating y = two_sum(<floating>1.0, x, &y_low)
    y_low = y_low + x_low
    if floating is float:
        k = exponent_f(y, &inverse_power)
    else:
        k = exponent_d(y, &inverse_power)
    f = fast_two_sum(y * inverse_power - <floating>1.0, y_low * inverse_power, &f_low)
    return log_of_reduced(k, f, f_low, low)


cdef inline floating log(floating x) noexcept nogil:
    """log x for any x: below one unit in the last place; -inf for 0, NaN below it."""
    cdef floating inverse_power, scaled, k, shift, result, low
    # subnormal numbers are brought into range; so are the largest, whose 2**-k would be subnormal
    if floating is float:
        shift = <float>0.0
        shift = <float>32.0 if x < <float>1.1754943508222875e-38 else shift
        shift = <float>-32.0 if x > <float>1e36 else shift
        scaled = x * (
            <float>4294967296.0 if shift > 0 else (<float>2.3283064365386963e-10 if shift < 0 else <float>1.0)
        )
        k = exponent_f(scaled, &inverse_power)
    else:
        shift = 0.0
        shift = 64.0 if x < 2.2250738585072014e-308 else shift
        shift = -64.0 if x > 1e300 else shift
        scaled = x * (18446744073709551616.0 if shift > 0 else (5.421010862427522e-20 if shift < 0 else 1.0))
        k = exponent_d(scaled, &inverse_power)
    result = log_of_reduced(k - shift, scaled * inverse_power - <floating>1.0, <floating>0.0, &low)
    result = x if x == <floating>INFINITY else result
    result = -<floating>INFINITY if x == <floating>0.0 else result
    return result if x >= <floating>0.0 else <floating>NAN


# --- the logistic function -----------------------------------------------------------------------------------

cdef inline floating exp_of_negative(floating x, floating* low) noexcept nogil:
    """exp(-|x|) · 2**EXP_SCALE as a pair."""
    cdef floating d = -x if x > <floating>0.0 else x
    cdef floating power, w
    d = -exp_reach(x) if -exp_reach(x) > d else d
    w = exp_parts(d, exp_base(<floating>0.0), &power)
    return exp_pair(w, power, low)


cdef inline floating sigmoid_parts(floating e, floating e_low, floating* small) noexcept nogil:
    """sigmoid(|x|), and into `small` sigmoid(-|x|), both to the last digit: 1 - sigmoid then needs no subtraction.

    e is `exp_of_negative` of x, of this and the next two.
    """
    cdef floating total, total_low, inverse, inverse_low
    total = fast_two_sum(exp_scale(e), e, &total_low)
    inverse = reciprocal(total, total_low + e_low, &inverse_low)
    small[0] = times_pair(e, inverse, inverse_low)
    return times_pair(exp_scale(e), inverse, inverse_low)


cdef inline floating sigmoid_pairs(
    floating e, floating e_low, floating* large, floating* large_low, floating* small_low,
) noexcept nogil:
    """sigmoid(-|x|), and into `large` sigmoid(|x|), both as pairs that are not settled."""
    cdef floating total, total_low, inverse, inverse_low
    total = fast_two_sum(exp_scale(e), e, &total_low)
    inverse = reciprocal(total, total_low + e_low, &inverse_low)
    large[0] = exp_scale(e) * inverse
    large_low[0] = exp_scale(e) * inverse_low
    return loose_product(e, e_low, inverse, inverse_low, small_low)


cdef inline floating log1p_exp(floating e, floating e_low) noexcept nogil:
    """log(1 + exp(-|x|))."""
    cdef floating low
    return log1p(e * exp_unscale(e), e_low * exp_unscale(e), &low)


cdef inline floating sigmoid_exp(floating x, floating* power) noexcept nogil:
    """exp(-|x|) · 2**EXP_SCALE as the parts of `exp_parts`."""
    cdef floating d = -x if x > <floating>0.0 else x
    d = -exp_reach(x) if -exp_reach(x) > d else d
    return exp_parts(d, exp_base(<floating>0.0), power)


cdef inline floating sigmoid_from(floating x, floating w, floating power) noexcept nogil:
    """One quotient, with what the rounding of its divisor took put right; w and power are `sigmoid_exp` of x."""
    cdef floating low, inverse
    cdef floating e = multiply_add(w, power, power)
    cdef floating total = fast_two_sum(exp_scale(x), e, &low)
    cdef floating quotient = (e if x < <floating>0.0 else exp_scale(x)) / total
    # sigmoid(|x|), the larger of the two: to ask for the sign of x again would make gcc divide once for each sign
    inverse = <floating>1.0 - quotient
    inverse = quotient if quotient > inverse else inverse
    return multiply_add(-quotient * (low * exp_unscale(x)), inverse, quotient)


cdef inline floating sigmoid(floating x) noexcept nogil:
    """1 / (1 + exp(-x)), for other Cython code; our own has the two halves in loops of their own."""
    cdef floating power
    cdef floating w = sigmoid_exp(x, &power)
    return sigmoid_from(x, w, power)


cdef inline floating log_sigmoid_from(floating x, floating e, floating e_low) noexcept nogil:
    """log(sigmoid(x)), where e is `exp_of_negative` of x."""
    return (x if x < <floating>0.0 else <floating>0.0) - log1p_exp(e, e_low)


cdef inline floating log_sigmoid(floating x) noexcept nogil:
    cdef floating e_low
    cdef floating e = exp_of_negative(x, &e_low)
    return log_sigmoid_from(x, e, e_low)


# --- the hyperbolic tangent ----------------------------------------------------------------------------------

cdef inline floating tanh(floating x) noexcept nogil:
    """tanh x for any x: -e / (2 + e) of |x|, where e = exp(-2 |x|) - 1, of which nothing is lost near 0."""
    cdef floating d = x + x if x < <floating>0.0 else -(x + x)
    cdef floating power, w, e, e_low, total, low, quotient, product, product_low, rest
    d = <floating>-40.0 if d < <floating>-40.0 else d               # 1 to the last digit, and the power is normal
    w = exp_parts(d, plain_base(d), &power)
    e = fast_two_sum(power - <floating>1.0, w * power, &e_low)
    total = fast_two_sum(<floating>2.0, e, &low)
    quotient = -e / total
    # what all the roundings took, over the total, of which (1 + quotient) / 2 is the reciprocal
    product = two_product(quotient, total, &product_low)
    rest = ((product + e) + product_low) + multiply_add(quotient, low + e_low, e_low)
    quotient = multiply_add(<floating>-0.5 * rest, <floating>1.0 + quotient, quotient)
    if floating is float:
        return copysignf(quotient, x)
    else:
        return copysign(quotient, x)
