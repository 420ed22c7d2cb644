"""What the programs for other frameworks share: arguments, timing and the line of JSON.

`parse()` comes before the framework is imported: it sets the number of threads that the libraries read when they are loaded.
"""
import argparse
import json
import os
import statistics
import time

import sizes

args = None


def parse():
    global args
    parser = argparse.ArgumentParser(
        description="Runs workloads, by name or by the name's beginning; one line of JSON each.",
        epilog="workloads: " + " ".join(sizes.NAMES))
    parser.add_argument("workloads", nargs="*", help="default: all")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=5, help="time to measure each for")
    parser.add_argument("--models", default="models", help="where programs that read models from files keep them")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="for PyTorch and JAX")
    args = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(args.threads)
    processors = sorted(os.sched_getaffinity(0))
    if args.threads < len(processors):
        os.sched_setaffinity(0, processors[-args.threads:])
    return args


class Feed:
    """Synthetic batches in turn, so that every step is fed from host memory."""

    def __init__(self, batches):
        self.batches, self.position = batches, 0

    def __call__(self):
        batch = self.batches[self.position % len(self.batches)]
        self.position += 1
        return batch


def training_check(step, total=10):
    """The loss of step number `total`; `main` has taken the first one."""
    def check():
        for _ in range(total - 1):
            loss = step()
        return float(loss)
    return check


_clock = 0.0


def start_clock():
    """A workload calls this once its data is there: what follows, to the end of the first run, counts as compilation."""
    global _clock
    _clock = time.perf_counter()


def measure(run, seconds):
    """The sorted times of at least 7 and at most 20,000 runs, after a second of warming up or a quarter of the time."""
    warm = time.perf_counter() + min(1.0, seconds / 4)
    count = 0
    while count < 2 or time.perf_counter() < warm:
        run()
        count += 1
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 20000 and (len(times) < 7 or time.perf_counter() < end):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return sorted(times)


def quantile(times, q):
    """As `numpy.percentile`: interpolated between the two times nearest to it."""
    position = q * (len(times) - 1)
    lower = int(position)
    upper = min(lower + 1, len(times) - 1)
    return times[lower] + (times[upper] - times[lower]) * (position - lower)


def peak_bytes():
    """The most memory that the process has occupied."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def significant(x, digits):
    return float("%.*g" % (digits, x))


def main(peer, version, registry):
    """registry: name -> function that builds the workload and returns (run, check)."""
    wanted = args.workloads or list(registry)
    names = [n for n in sizes.NAMES
             if n in registry and any(n == w or n.startswith(w + "_") and w not in registry for w in wanted)]
    for name in names:
        start_clock()
        run, check = registry[name]()
        run()
        compile_s = time.perf_counter() - _clock
        value = check()
        times = measure(run, args.seconds)
        print(json.dumps(dict(
            peer=peer, version=version, workload=name, threads=args.threads,
            median_s=significant(statistics.median(times), 4), min_s=significant(times[0], 4),
            p90_s=significant(quantile(times, 0.9), 4), runs=len(times), compile_s=significant(compile_s, 4),
            peak_bytes=peak_bytes(), checksum=significant(value, 7))), flush=True)
        del run, check
    return 0
