#!/usr/bin/env python3
"""Finds the polynomial coefficients of Sources/MartletCPU/CodeGeneration/VectorMath (needs mpmath).

Each fit minimises the greatest |weight(x) * (f(x) - p(x))| over an interval by Lawson's iteration: weighted least squares,
with the weight of each point multiplied by its error until all errors are alike. Coefficients are
then rounded one after the other, constant term first, and those that remain are fitted again, so that the polynomial with
rounded coefficients stays close to the best. Run with the name of a fit, or without for all; prints Swift literals and the
weighted error as a power of two.
"""

import struct
import sys

from mpmath import atan, cos, erf, erfc, exp, log, lu_solve, matrix, mp, mpf, pi, sin, sqrt

mp.prec = 240


def single(x):
    return mpf(struct.unpack("f", struct.pack("f", float(x)))[0])


def double(x):
    return mpf(float(x))


def solve(f, weight, low, high, powers, rounds=30):
    """Lawson: returns the coefficients of `powers`."""
    count = 10 * len(powers) + 10
    nodes = [(low + high) / 2 - (high - low) / 2 * mp.cos(pi * i / (count - 1)) for i in range(count)]
    values = [f(x) for x in nodes]
    weights = [weight(x) for x in nodes]
    basis = [[x**p for p in powers] for x in nodes]
    n = len(powers)
    importance = [mpf(1)] * count
    for _ in range(rounds):
        rows, right = matrix(n, n), matrix(n, 1)
        for row, value, w, i in zip(basis, values, weights, importance):
            scale = w * w * i
            for j in range(n):
                factor = scale * row[j]
                right[j] += factor * value
                for k in range(j, n):
                    rows[j, k] += factor * row[k]
        for j in range(n):
            for k in range(j):
                rows[j, k] = rows[k, j]
        found = lu_solve(rows, right)
        errors = [abs(w * (v - sum(found[j] * row[j] for j in range(n)))) for row, v, w in zip(basis, values, weights)]
        total = sum(i * e for i, e in zip(importance, errors))
        if total == 0:
            break
        importance = [i * e * count / total + mpf("1e-9") for i, e in zip(importance, errors)]
    return [found[j] for j in range(n)]


def fit(f, weight, low, high, count, rounding):
    """The rounded coefficients of 1, x, ... and the greatest weighted error with them."""
    low, high = mpf(low), mpf(high)
    fixed = []
    for i in range(count):
        rest = lambda x: f(x) - sum(c * x**p for p, c in enumerate(fixed))
        fixed.append(rounding(solve(rest, weight, low, high, range(i, count), 30 if i == 0 else 12)[0]))
    grid = [low + (high - low) * i / 2000 for i in range(2001)]
    error = max(abs(weight(x) * (f(x) - sum(c * x**p for p, c in enumerate(fixed)))) for x in grid)
    return fixed, error


def near(f, terms, radius=mpf("1e-4")):
    """f, and near 0 its Taylor series, where f's formula cancels."""
    return lambda x: sum(c * x**i for i, c in enumerate(terms)) if abs(x) < radius else f(x)


def factorial(n):
    return mp.factorial(n)


half_log2 = log(mpf(2)) / 2
exp_terms = [1 / factorial(i + 2) for i in range(24)]
exp_quotient = near(lambda r: (exp(r) - 1 - r) / r**2, exp_terms, mpf("1e-3"))
log_terms = [mpf((-1) ** i) / (i + 3) for i in range(30)]
log_quotient = near(lambda f: (log(1 + f) - f + f**2 / 2) / f**3, log_terms, mpf("1e-3"))
# With s = f / (2 + f), log(1 + f) = 2 s + s * z * quotient(z), z = s^2.
atanh_terms = [mpf(2) / (2 * i + 3) for i in range(40)]
atanh_quotient = near(
    lambda z: (log((1 + sqrt(z)) / (1 - sqrt(z))) - 2 * sqrt(z)) / (z * sqrt(z)), atanh_terms, mpf("1e-3"))
sin_terms = [mpf((-1) ** (i + 1)) / factorial(2 * i + 3) for i in range(20)]
sin_quotient = near(lambda z: (sin(sqrt(z)) - sqrt(z)) / (z * sqrt(z)), sin_terms, mpf("1e-2"))
cos_terms = [mpf((-1) ** i) / factorial(2 * i + 4) for i in range(20)]
cos_quotient = near(lambda z: (cos(sqrt(z)) - 1 + z / 2) / z**2, cos_terms, mpf("1e-2"))
atan_terms = [mpf((-1) ** (i + 1)) / (2 * i + 3) for i in range(40)]
atan_quotient = near(lambda z: (atan(sqrt(z)) - sqrt(z)) / (z * sqrt(z)), atan_terms, mpf("1e-2"))
erf_terms = [2 / sqrt(pi) * mpf((-1) ** i) / (factorial(i) * (2 * i + 1)) for i in range(30)]
erf_quotient = near(lambda z: erf(sqrt(z)) / sqrt(z), erf_terms, mpf("1e-3"))


# The same without its first term, for pow in double precision, which adds that term in two parts.
pow_quotient = near(
    lambda z: (atanh_quotient(z) - mpf(2) / 3) / z, [mpf(2) / (2 * i + 5) for i in range(40)], mpf("1e-3"))


tanh_quotient = near(
    lambda z: (mp.tanh(sqrt(z)) / sqrt(z) - 1) / z,
    [mpf(-1) / 3, mpf(2) / 15, mpf(-17) / 315, mpf(62) / 2835, mpf(-1382) / 155925, mpf(21844) / 6081075], mpf("1e-8"))


def one(x):
    return mpf(1)


def half_erfc(a):
    return erfc(a / sqrt(mpf(2))) / 2


def erfc_weight(a):
    return erfc(a) / erf(a)


fits = {
    # e^r = 1 + r + r^2 q(r), |r| <= log(2)/2; the error is relative to e^r - 1 where that is smaller than 1.
    "exp single": lambda: fit(exp_quotient, lambda r: r**2 / exp(r) + mpf("1e-9"), -half_log2, half_log2, 5, single),
    "exp double": lambda: fit(exp_quotient, lambda r: r**2 / exp(r) + mpf("1e-18"), -half_log2, half_log2, 10, double),
    # expm1: the same quotient, with the error relative to r.
    "expm1 single": lambda: fit(exp_quotient, lambda r: abs(r) + mpf("1e-9"), -half_log2, half_log2, 6, single),
    "expm1 double": lambda: fit(exp_quotient, lambda r: abs(r) + mpf("1e-9"), -half_log2, half_log2, 11, double),
    # 2^r for pow in single precision, which computes in double precision.
    "exp2 pow": lambda: fit(lambda r: mpf(2) ** r, lambda r: mpf(2) ** -r, -0.5, 0.5, 8, double),
    # log(1 + f) = f - f^2/2 + f^3 q(f), 2/3 <= 1 + f <= 4/3, relative to log(1 + f).
    "log single": lambda: fit(log_quotient, lambda f: f**2 + mpf("1e-9"), mpf(-1) / 3, mpf(1) / 3, 8, single),
    # sqrt(1/2) <= 1 + f <= sqrt(2): z = s^2 <= 0.0295.
    "log double": lambda: fit(atanh_quotient, lambda z: z + mpf("1e-12"), 0, (sqrt(mpf(2)) - 1) ** 2 / (sqrt(mpf(2)) + 1) ** 2 * mpf("1.001"), 7, double),
    # sin(r) = r + r^3 q(z), cos(r) = 1 - z/2 + z^2 q(z), z = r^2, |r| <= pi/4.
    "sin single": lambda: fit(sin_quotient, lambda z: z + mpf("1e-9"), 0, (pi / 4) ** 2 * mpf("1.001"), 3, single),
    "cos single": lambda: fit(cos_quotient, lambda z: z**2 + mpf("1e-9"), 0, (pi / 4) ** 2 * mpf("1.001"), 3, single),
    # log2(m) = s * q(z), for pow in single precision, which computes in double precision.
    "log2 pow": lambda: fit(lambda z: (atanh_quotient(z) * z + 2) / log(mpf(2)), one, 0, mpf("0.0296"), 6, double),
    # log(m) = 2 s + s z (2/3 + z q(z)), for pow in double precision.
    "log pow": lambda: fit(pow_quotient, lambda z: z, 0, mpf("0.0296"), 8, double),
    # tanh(x) = x + x z q(z), z = x^2, up to 0.55 (single) or 0.3 (double).
    "tanh single": lambda: fit(tanh_quotient, lambda z: z + mpf("1e-9"), 0, mpf("0.3025"), 5, single),
    "tanh double": lambda: fit(tanh_quotient, lambda z: z + mpf("1e-12"), 0, mpf("0.09"), 8, double),
    # atan(t) = t + t z q(z), z = t^2, |t| <= 1/2.
    "atan single": lambda: fit(atan_quotient, lambda z: z + mpf("1e-9"), 0, mpf("0.25"), 6, single),
    "atan double": lambda: fit(atan_quotient, lambda z: z + mpf("1e-12"), 0, mpf("0.25"), 13, double),
    # erf(x) = x + x q(x^2) up to 0.96 (single) or 1 (double).
    "erf single": lambda: fit(lambda z: erf_quotient(z) - 1, one, 0, mpf("0.9216"), 7, single),
    "erf double": lambda: fit(lambda z: erf_quotient(z) - 1, one, 0, 1, 13, double),
    # erfc(a) = exp(-q(a)) from 0.96 (single) or 1 (double) on, relative to erf(a).
    "erfc single": lambda: fit(lambda a: -log(erfc(a)), erfc_weight, mpf("0.96"), 4, 7, single),
    "erfc double": lambda: fit(lambda a: -log(erfc(a)), erfc_weight, 1, 6, 18, double),
    # The tail of the normal distribution is 2^q(a), with the error relative to the greater of a and 1/2 times the tail.
    "normal tail single": lambda: fit(
        lambda a: log(half_erfc(a), 2), lambda a: half_erfc(a) * max(a, mpf("0.5")) + mpf("3e-7"), 0, 9, 9, single),
    "exp2 single": lambda: fit(lambda r: mpf(2) ** r, lambda r: mpf(2) ** -r, -0.5, 0.5, 7, single),
    "sin double": lambda: fit(sin_quotient, lambda z: z + mpf("1e-12"), 0, (pi / 4) ** 2 * mpf("1.001"), 6, double),
    "cos double": lambda: fit(cos_quotient, lambda z: z**2 + mpf("1e-12"), 0, (pi / 4) ** 2 * mpf("1.001"), 6, double),
}


def main():
    for name, run in fits.items():
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        coefficients, error = run()
        print(f"{name}: error 2^{float(log(error, 2)):.2f}")
        print("  " + ", ".join(repr(float(c)) for c in coefficients))


if __name__ == "__main__":
    main()
