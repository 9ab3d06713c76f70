r"""Functions of one number for use inside CPU kernels: `exp`, `expm1`, `tanh`, `sigmoid`, `softplus`, `normal_tail`; `maximum`.

`math.exp` in a compiled loop is one call of the C library for each element. The float32 versions here have no branches and
no calls, so that LLVM computes 8 or 16 elements at once, ten times as fast. They are within 3 units in the last place of the
exact value (softplus 4, normal_tail 200 far from zero), but results under 2e-38 may be 0. In float64 they are the C library's.

    e^x = 2^n (1 + q)                    n = rint(x / ln 2),  r = x - n ln 2,  q = e^r - 1, a polynomial in r           (1)
    (e^x - 1) / 2 = 2^{n-1} q + (2^{n-1} - 1/2)                                                                         (2)
    tanh x = h / (h + 1)                 h = (e^{2x} - 1) / 2; taken at -|x|                                            (3)
    sigmoid x = 1 / (1 + e^{-x})         = e^x / (1 + e^x) where x < 0                                                  (4)
    softplus x = max(x, 0) + log(1 + e^{-|x|})           log(1 + u) = 2 atanh(s),  s = u / (2 + u)                      (5)
    Phi(-x) = e^{-x^2/2} p(t) / (x + a)  for x >= 0,  t = (x - a) / (x + a),  a = 4.25,  p a polynomial                  (6)
    e^{-x^2/2} = 2^n (1 + f p(f))        n = rint(y),  f = y - n,  y = -x^2 / (2 ln 2),  p a polynomial                  (7)

The polynomials are minimax fits to the interval, their coefficients rounded to float32.
"""
import math

import numpy as np
from llvmlite import ir
from llvmlite.binding import llvm_version_info
from numba import types
from numba.extending import intrinsic, overload, register_jitable

# Of the kernels' flags only "contract": reassociation would undo the rounding by a large number and the reduction in two
# steps, and an estimated reciprocal makes NaN of 1 / inf. Inlined, for a loop around a call stays scalar.
_OPTIONS = {"fastmath": {"contract"}, "forceinline": True, "error_model": "numpy"}

_f32 = np.float32
_ZERO, _HALF, _ONE, _TWO = _f32(0), _f32(0.5), _f32(1), _f32(2)
_LOWEST, _HIGHEST = _f32(-87.3), _f32(89)               # n = -126, which gives 0, and n = 128, which gives inf
_ROUNDER = _f32(1.5 * 2**23)                            # added to a small number, it leaves no room for a fraction
_LOG2_E = _f32(1.44269504)
_LN2_HIGH, _LN2_LOW = _f32(0.693359375), _f32(-2.12194440e-4)       # the first has 10 bits: n times it is exact
_E = tuple(map(_f32, (0.5, 0.166665420, 0.0416662805, 8.36665928e-3, 1.39465800e-3)))
_A = tuple(map(_f32, (0.333332062, 0.200108498, 0.139995709, 0.140122294)))
_C = tuple(map(_f32, (0.759554327, -0.625129998, 0.418221027, -0.220509291, 0.0853471756, -0.0193845276, -1.04089896e-3,
                      2.10568914e-3)))
_D = tuple(map(_f32, (0.693147004, 0.240222424, 0.0555073358, 9.67151299e-3, 1.32647273e-3)))
_MIDDLE = _f32(4.25)                                    # a of (6)
_FAR = _f32(13.217)                                     # here n = -126, and (7) gives 0
_HALF_LOG2_E = _f32(0.5 / math.log(2))


def exp(x):
    return np.exp(x)


def expm1(x):
    return np.expm1(x)


def tanh(x):
    return np.tanh(x)


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def softplus(x):
    return np.logaddexp(0, x)


def normal_tail(x):
    """|x|, but not so large that its square overflows; P(X > |x|) for a standard normal X; e^{-x^2/2}, which that needs."""
    size = np.minimum(np.abs(x), 40)
    return size, 0.5 * math.erfc(size * math.sqrt(0.5)), np.exp(-0.5 * size * size)


def maximum(a, b):
    """The larger of two floats, NaN if either is."""
    return np.maximum(a, b)


@intrinsic
def _llvm_maximum(context, a, b):
    def generate(context, builder, signature, arguments):
        number = arguments[0].type
        function = ir.FunctionType(number, [number, number])
        return builder.call(builder.module.declare_intrinsic("llvm.maximum", [number], function), arguments)
    return a(a, b), generate


@overload(maximum)
def _maximum(a, b):
    if llvm_version_info < (17,):                       # cannot translate llvm.maximum
        return lambda a, b: b if b > a or b != b else a
    return lambda a, b: _llvm_maximum(a, b)             # written with `>`, a loop for the maximum would stay scalar


@intrinsic
def _half_power_of_two(context, rounded):
    """2^(n-1) where `rounded` is n + _ROUNDER in float32: its lowest bits hold n, and become the exponent's."""
    def generate(context, builder, signature, arguments):
        number = arguments[0].type
        bits = builder.bitcast(arguments[0], context.get_value_type(types.int32))
        bits = builder.shl(bits, bits.type(23))
        return builder.bitcast(builder.add(bits, bits.type(126 << 23)), number)
    return rounded(rounded), generate


@register_jitable(**_OPTIONS)
def _split(x):
    """2^(n-1) and q of (1), for a float32 x in [_LOWEST, _HIGHEST]."""
    rounded = x * _LOG2_E + _ROUNDER
    n = rounded - _ROUNDER
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    r2 = r * r
    q = r + r2 * ((_E[0] + r * _E[1]) + r2 * ((_E[2] + r * _E[3]) + r2 * _E[4]))        # short chains: the units wait less
    return _half_power_of_two(rounded), q


@overload(exp, jit_options=_OPTIONS)
def _exp(x):
    if x != types.float32:
        return lambda x: math.exp(x)

    def exp32(x):
        x = _HIGHEST if x > _HIGHEST else x             # a NaN passes both comparisons
        x = _LOWEST if x < _LOWEST else x
        half_power, q = _split(x)
        return _TWO * (half_power + half_power * q)                                     # (1)
    return exp32


@register_jitable(**_OPTIONS)
def _half_expm1(x):
    """(2) for a float32 x <= _HIGHEST."""
    half_power, q = _split(_LOWEST if x < _LOWEST else x)
    return half_power * q + (half_power - _HALF)


@overload(expm1, jit_options=_OPTIONS)
def _expm1(x):
    if x != types.float32:
        return lambda x: math.expm1(x)
    return lambda x: _TWO * _half_expm1(_HIGHEST if x > _HIGHEST else x)


@overload(tanh, jit_options=_OPTIONS)
def _tanh(x):
    if x != types.float32:
        return lambda x: math.tanh(x)

    def tanh32(x):
        h = _half_expm1(-_TWO * abs(x))
        return math.copysign(h / (h + _ONE), x)                                         # (3)
    return tanh32


@overload(sigmoid, jit_options=_OPTIONS)
def _sigmoid(x):
    if x != types.float32:
        return lambda x: 1 / (1 + math.exp(-x))

    def sigmoid32(x):
        e = exp(-abs(x))
        return (e if x < _ZERO else _ONE) / (_ONE + e)                                  # (4)
    return sigmoid32


@overload(softplus, jit_options=_OPTIONS)
def _softplus(x):
    if x != types.float32:
        return lambda x: (0.0 if x < 0 else x) + math.log1p(math.exp(-abs(x)))

    def softplus32(x):
        u = exp(-abs(x))
        s = u / (_TWO + u)
        s2 = s * s
        log = _TWO * s * (_ONE + s2 * ((_A[0] + s2 * _A[1]) + s2 * s2 * (_A[2] + s2 * _A[3])))
        return (_ZERO if x < _ZERO else x) + log                                        # (5)
    return softplus32


@overload(normal_tail, jit_options=_OPTIONS)
def _normal_tail(x):
    if x != types.float32:
        def tail64(x):
            size = 40.0 if abs(x) > 40 else abs(x)
            return size, 0.5 * math.erfc(size * math.sqrt(0.5)), math.exp(-0.5 * size * size)
        return tail64

    def tail32(x):
        size = abs(x)
        size = _FAR if size > _FAR else size
        r = _ONE / (size + _MIDDLE)
        t = (size - _MIDDLE) * r
        t2 = t * t
        low = (_C[0] + t * _C[1]) + t2 * (_C[2] + t * _C[3])
        high = (_C[4] + t * _C[5]) + t2 * (_C[6] + t * _C[7])
        y = -_HALF_LOG2_E * size * size
        rounded = y + _ROUNDER
        f = y - (rounded - _ROUNDER)
        f2 = f * f
        q = f * (_D[0] + f * _D[1]) + f * f2 * ((_D[2] + f * _D[3]) + f2 * _D[4])
        half_power = _half_power_of_two(rounded)
        bell = _TWO * (half_power + half_power * q)                                     # (7)
        return size, bell * ((low + t2 * t2 * high) * r), bell                          # (6)
    return tail32
