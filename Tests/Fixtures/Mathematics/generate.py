#!/usr/bin/env python3
"""Writes double-functions.txt, the file that its argument names (needs mpmath).

One line a point: the function, the bits of its arguments and of the correctly rounded result, in hexadecimal. The points are
drawn from a fixed seed; the special cases at the end of each function are those of C's Annex F.
"""

import math
import random
import struct
import sys

from mpmath import mp, mpf

mp.prec = 1400
inf, nan, tiny, least = math.inf, math.nan, 5e-324, 2.2250738585072014e-308


def bits(x):
    return "%016x" % struct.unpack("<Q", struct.pack("<d", x))[0]


def rounded(x):
    """x to the nearest double, denormals and overflow included."""
    if x == 0:
        return 0.0
    exponent = max(mp.frexp(x)[1] - 53, -1074)
    scaled = mp.nint(mp.ldexp(x, -exponent))
    try:
        return math.ldexp(int(scaled), exponent)
    except OverflowError:
        return math.copysign(inf, x)


def even(low, high, count):
    return [random.uniform(low, high) for _ in range(count)]


def wide(low, high, count, signs=(-1, 1)):
    return [random.choice(signs) * math.exp(random.uniform(math.log(low), math.log(high))) for _ in range(count)]


# Name: the function, points, and pairs of special arguments and results.
functions = {
    "exp": (mp.exp, lambda: even(-750, 711, 40) + even(-2, 2, 40) + wide(1e-20, 1, 20) + even(-745.2, -708, 20),
            [(0.0, 1.0), (-0.0, 1.0), (inf, inf), (-inf, 0.0), (nan, nan), (1e300, inf), (-1e300, 0.0)]),
    "expm1": (mp.expm1, lambda: even(-60, 711, 40) + even(-2, 2, 40) + wide(1e-300, 1, 40),
              [(0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -1.0), (nan, nan), (tiny, tiny), (-tiny, -tiny)]),
    "log": (mp.log, lambda: wide(1e-308, 1e308, 40, (1,)) + even(0.5, 2, 40) + even(0.99, 1.01, 20) + [tiny, 3e-310, least],
            [(1.0, 0.0), (0.0, -inf), (-0.0, -inf), (-1.0, nan), (inf, inf), (-inf, nan), (nan, nan)]),
    "log1p": (mp.log1p, lambda: even(-1, 3, 60) + wide(1e-300, 1, 40) + wide(1, 1e300, 20, (1,)),
              [(0.0, 0.0), (-0.0, -0.0), (-1.0, -inf), (-2.0, nan), (inf, inf), (nan, nan), (tiny, tiny)]),
    "sin": (mp.sin, lambda: even(-10, 10, 40) + wide(1e-20, 1e11, 40) + [k * math.pi / 2 for k in range(1, 20)] + wide(1e12, 1e300, 20),
            [(0.0, 0.0), (-0.0, -0.0), (inf, nan), (-inf, nan), (nan, nan), (tiny, tiny)]),
    "cos": (mp.cos, lambda: even(-10, 10, 40) + wide(1e-20, 1e11, 40) + [k * math.pi / 2 for k in range(1, 20)] + wide(1e12, 1e300, 20),
            [(0.0, 1.0), (-0.0, 1.0), (inf, nan), (-inf, nan), (nan, nan)]),
    "tan": (mp.tan, lambda: even(-10, 10, 40) + wide(1e-20, 1e11, 40) + [k * math.pi / 2 for k in range(1, 20)] + wide(1e12, 1e300, 20),
            [(0.0, 0.0), (-0.0, -0.0), (inf, nan), (-inf, nan), (nan, nan)]),
    "tanh": (mp.tanh, lambda: even(-1, 1, 40) + even(-21, 21, 40) + wide(1e-300, 1, 20) + even(0.25, 0.35, 20),
             [(0.0, 0.0), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0), (nan, nan), (-tiny, -tiny)]),
    "sigmoid": (lambda x: 1 / (1 + mp.exp(-x)), lambda: even(-5, 5, 40) + even(-750, 40, 60),
                [(0.0, 0.5), (inf, 1.0), (-inf, 0.0), (nan, nan), (-800.0, 0.0)]),
    "erf": (mp.erf, lambda: even(-1, 1, 40) + even(-6.5, 6.5, 60) + wide(1e-300, 1, 20) + even(0.95, 1.05, 10),
            [(0.0, 0.0), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0), (nan, nan)]),
}

# Drawn after all others, which so keep their points.
later = {
    "atan": (mp.atan, lambda: even(-1.2, 1.2, 40) + even(-4, 4, 40) + wide(1e-300, 1e300, 40) + [0.4142135623730950, 2.414213562373095],
             [(0.0, 0.0), (-0.0, -0.0), (inf, math.pi / 2), (-inf, -math.pi / 2), (nan, nan), (tiny, tiny)]),
}

powers = [
    (nan, 0.0, 1.0), (1.0, nan, 1.0), (1.0, -inf, 1.0), (-1.0, inf, 1.0), (-1.0, -inf, 1.0), (-1.0, nan, nan), (nan, 1.0, nan),
    (0.0, 3.0, 0.0), (-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0), (-0.0, 0.5, 0.0), (0.0, -1.0, inf), (-0.0, -1.0, -inf),
    (-0.0, -2.0, inf), (-0.0, -0.5, inf), (0.0, inf, 0.0), (0.0, -inf, inf), (inf, 2.0, inf), (inf, -2.0, 0.0),
    (-inf, 3.0, -inf), (-inf, 2.0, inf), (-inf, 0.5, inf), (-inf, -3.0, -0.0), (-inf, -2.0, 0.0), (0.5, inf, 0.0),
    (0.5, -inf, inf), (2.0, inf, inf), (2.0, -inf, 0.0), (-2.0, 0.5, nan), (-2.0, 3.0, -8.0), (-2.0, -2.0, 0.25),
    (-2.0, 1e300, inf), (-0.5, 1e300, 0.0), (2.0, 1024.0, inf), (2.0, -1074.0, tiny), (2.0, -1075.0, 0.0),
    (-2.0, -1074.0, tiny), (-2.0, -1073.0, -2 * tiny), (inf, 0.0, 1.0), (-inf, -0.0, 1.0), (0.0, -0.0, 1.0), (inf, inf, inf),
    (-inf, -inf, 0.0), (tiny, 2.0, 0.0), (tiny, 0.5, 2.2227587494850775e-162),
]


def write(file, functions):
    for name, (function, points, specials) in functions.items():
        for x in points():
            file.write(f"{name} {bits(x)} {bits(rounded(function(mpf(x))))}\n")
        for x, y in specials:
            file.write(f"{name} {bits(x)} {bits(y)}\n")


def main():
    random.seed(19)
    with open(sys.argv[1], "w") as file:
        write(file, functions)
        bases = wide(1e-10, 1e10, 60, (1,)) + even(0.5, 2, 40) + even(0.99, 1.01, 40) + wide(tiny, least, 10, (1,))
        exponents = even(-30, 30, 60) + even(-1000, 1000, 40) + even(-60000, 60000, 40) + even(-1, 1, 10)
        for x, y in zip(bases, exponents):
            file.write(f"power {bits(x)} {bits(y)} {bits(rounded(mpf(x) ** mpf(y)))}\n")
        for x, y, z in powers:
            file.write(f"power {bits(x)} {bits(y)} {bits(z)}\n")
        write(file, later)


if __name__ == "__main__":
    main()
