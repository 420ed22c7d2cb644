"""Writes the npy fixtures with NumPy and ml_dtypes. Usage: python generate.py, in this folder."""

import ml_dtypes
import numpy as np

values = np.arange(6).reshape(2, 3)
arrays = {
    "f4": (values - 2.5).astype("<f4"),
    "f8_big": (values - 2.5).astype(">f8"),
    "i4_big_fortran": np.asfortranarray((values - 2).astype(">i4")),
    "i8": (values - 2).astype("<i8") << 40,
    "u1": (values + 250).astype("u1"),
    "b1": values % 2 == 1,
    "scalar": np.array(1.5, "<f4"),
    "vector": np.array([1, 2, 3], "<i4"),
    "empty": np.zeros((0, 3), "<f8"),
    "fortran3": np.asfortranarray(np.arange(24, dtype="<i4").reshape(2, 3, 4)),
    "f2": (values - 2.5).astype("<f2"),
    "f2_big": (values - 2.5).astype(">f2"),
    "bf16": (values - 2.5).astype(ml_dtypes.bfloat16),
    "i2": np.zeros(2, "<i2"),
    "structured": np.zeros(2, [("a", "<f4"), ("b", "<i4")]),
}
for name, array in arrays.items():
    for version in [(1, 0), (2, 0), (3, 0)] if name == "f4" else [(1, 0)]:
        suffix = "" if version == (1, 0) else "_v%d" % version[0]
        with open(name + suffix + ".npy", "wb") as file:
            np.lib.format.write_array(file, array, version=version)
