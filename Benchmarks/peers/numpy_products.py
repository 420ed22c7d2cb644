"""NumPy with the OpenBLAS in its wheel: matrix products only."""
import workloads as W

args = W.parse()
import numpy as np


def matmul(n):
    a, b = W.matmul_data(n)
    y = np.empty_like(a)
    return lambda: np.matmul(a, b, out=y), lambda: W.checksum(y)


blas = np.show_config("dicts")["Build Dependencies"]["blas"]
raise SystemExit(W.main("numpy-openblas", "%s, OpenBLAS %s" % (np.__version__, blas.get("version")),
                        {"matmul_%d" % n: (lambda n=n: matmul(n)) for n in W.MATMUL}))
