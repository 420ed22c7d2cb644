"""NumPy with the OpenBLAS in its wheel: matrix products only."""
import harness

args = harness.parse()
import numpy as np

import workloads as W


def matmul(n):
    a, b = W.matmul_data(n)
    harness.start_clock()
    y = np.empty_like(a)
    return lambda: np.matmul(a, b, out=y), lambda: W.checksum(y)


if __name__ == "__main__":
    blas = np.show_config("dicts")["Build Dependencies"]["blas"]
    raise SystemExit(harness.main("numpy-openblas", "%s, OpenBLAS %s" % (np.__version__, blas.get("version")),
                                  {"matmul_%d" % n: (lambda n=n: matmul(n)) for n in W.MATMUL}))
