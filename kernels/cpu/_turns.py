"""The small matrices of Winograd's F(4 x 4, 3 x 3) times vectors, in every lane at once; what they are for: `_winograd.py`.

            1/4    0     0             4  0 -5  0  1  0             1  0  0  0
           -1/6  -1/6  -1/6            0 -4 -4  1  1  0             1  1  1  1
    G  =   -1/6   1/6  -1/6    B^T  =  0  4 -4 -1  1  0     A   =   1 -1  1 -1
           1/24  1/12   1/6            0 -2 -1  2  1  0             1  2  4  8
           1/24 -1/12   1/6            0  2 -1 -2  1  0             1 -2  4 -8
            0     0     1              0  4  0 -5  0  1             0  0  0  1
"""
from ._jit import kernel
from ._lanes import lanes_of, load, splat, store


@kernel
def times_G(g, at, step, target, to, to_step):
    """Six numbers G g of three, in every column of a tile."""
    number, width = g.dtype.type, lanes_of(g)
    g0, g1, g2 = load(g, at, width, g), load(g, at + step, width, g), load(g, at + 2 * step, width, g)
    quarter, sixth, twelfth = splat(number(1 / 4), g), splat(number(1 / 6), g), splat(number(1 / 12), g)
    minus, twenty_fourth = splat(number(-1 / 6), g), splat(number(1 / 24), g)
    ends, even = minus * (g0 + g2), twenty_fourth * g0 + sixth * g2
    store(quarter * g0, target, to, width)
    store(ends + minus * g1, target, to + to_step, width)
    store(ends + sixth * g1, target, to + 2 * to_step, width)
    store(even + twelfth * g1, target, to + 3 * to_step, width)
    store(even + splat(number(-1 / 12), g) * g1, target, to + 4 * to_step, width)
    store(g2, target, to + 5 * to_step, width)


@kernel
def times_G_transposed(u, at, step):
    """Three numbers G^T u of six, in every lane."""
    number, width = u.dtype.type, lanes_of(u)
    u0, u1, u2 = load(u, at, width, u), load(u, at + step, width, u), load(u, at + 2 * step, width, u)
    u3, u4, u5 = load(u, at + 3 * step, width, u), load(u, at + 4 * step, width, u), load(u, at + 5 * step, width, u)
    sixth, minus, one = splat(number(1 / 6), u), splat(number(-1 / 6), u), splat(number(-1), u)
    inner, outer = minus * (u1 + u2), u3 + u4
    g0 = splat(number(1 / 4), u) * u0 + (inner + splat(number(1 / 24), u) * outer)
    g1 = sixth * (u2 + one * u1) + splat(number(1 / 12), u) * (u3 + one * u4)
    return g0, g1, u5 + (inner + sixth * outer)


@kernel
def times_B(d, at, step, left, target, to, to_step, to_left):
    """Six numbers B^T d of six, in every lane."""
    number = d.dtype.type
    two, four, minus = splat(number(2), d), splat(number(4), d), splat(number(-1), d)
    minus_four, minus_five = splat(number(-4), d), splat(number(-5), d)
    d0, d1, d2 = load(d, at, left, d), load(d, at + step, left, d), load(d, at + 2 * step, left, d)
    d3, d4, d5 = load(d, at + 3 * step, left, d), load(d, at + 4 * step, left, d), load(d, at + 5 * step, left, d)
    a, b = minus_four * d2 + d4, minus_four * d1 + d3
    c, e = minus * d2 + d4, two * (minus * d1 + d3)
    store(four * d0 + (minus_five * d2 + d4), target, to, to_left)
    store(a + b, target, to + to_step, to_left)
    store(minus * b + a, target, to + 2 * to_step, to_left)
    store(c + e, target, to + 3 * to_step, to_left)
    store(minus * e + c, target, to + 4 * to_step, to_left)
    store(four * d1 + (minus_five * d3 + d5), target, to + 5 * to_step, to_left)


@kernel
def times_A(y, at, step, left, count, target, to, to_step, to_left):
    """Six numbers A y of four, of which `count` are there and the others zero, in every lane."""
    number = y.dtype.type
    two, four, eight, minus = splat(number(2), y), splat(number(4), y), splat(number(8), y), splat(number(-1), y)
    y0, y1 = load(y, at, left, y), load(y, at + step, left if count > 1 else 0, y)
    y2, y3 = load(y, at + 2 * step, left if count > 2 else 0, y), load(y, at + 3 * step, left if count > 3 else 0, y)
    even, odd, even2, odd2 = y0 + y2, y1 + y3, four * y2 + y0, two * y1 + eight * y3
    store(y0, target, to, to_left)
    store(even + odd, target, to + to_step, to_left)
    store(minus * odd + even, target, to + 2 * to_step, to_left)
    store(even2 + odd2, target, to + 3 * to_step, to_left)
    store(minus * odd2 + even2, target, to + 4 * to_step, to_left)
    store(y3, target, to + 5 * to_step, to_left)


@kernel
def times_A_transposed(m, at, step, left):
    """Four numbers A^T m of six, in every lane."""
    number = m.dtype.type
    two, four, eight, minus = splat(number(2), m), splat(number(4), m), splat(number(8), m), splat(number(-1), m)
    m0, m1, m2 = load(m, at, left, m), load(m, at + step, left, m), load(m, at + 2 * step, left, m)
    m3, m4, m5 = load(m, at + 3 * step, left, m), load(m, at + 4 * step, left, m), load(m, at + 5 * step, left, m)
    s, d, p, r = m1 + m2, minus * m2 + m1, m3 + m4, minus * m4 + m3
    return m0 + (s + p), two * r + d, four * p + s, (eight * r + d) + m5
