"""What `Benchmarks/compare` consists of."""
import pathlib

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent
