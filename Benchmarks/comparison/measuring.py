"""Runs programs, each workload in a process of its own, and keeps the records that they print."""
import json
import os
import subprocess
import sys

from comparison import HERE
from comparison.programs import OURS, PEERS

# A workload that takes longer, compilation included, is given up.
TIMEOUT = 600


def environment():
    result = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONWARNINGS="ignore", TF_CPP_MIN_LOG_LEVEL="3")
    # Freed memory stays with the process: pages that the kernel must clear at every run cost more than many workloads.
    result.update(MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_=str(1 << 34))
    # Set for a whole machine it may slow down the peers' OpenBLAS, which knows newer processors by itself.
    result.pop("OPENBLAS_CORETYPE", None)
    return result


def record(command, workload):
    """What a program prints for a workload; None where it has no such workload, or fails."""
    try:
        done = subprocess.run([*command, workload], capture_output=True, text=True, env=environment(), timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        print("compare: %s takes more than %d s for %s" % (command[1], TIMEOUT, workload), file=sys.stderr)
        return None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or len(lines) > 1:
        print("compare: %s failed at %s\n%s" % (command[1], workload, done.stderr[-2000:]), file=sys.stderr)
        return None
    return json.loads(lines[0]) if lines else None


class Records:
    """Per workload and program, the best of every figure that was measured."""

    def __init__(self):
        self._best = {}

    def add(self, program, workload, new):
        """Of several records the one with the least median counts, with the least start and peak of all."""
        old = self._best.get((workload, program), new)
        best = dict(min(old, new, key=lambda record: record["median_s"]))
        for figure in ("compile_s", "peak_bytes"):
            best[figure] = min(old[figure], new[figure])
        self._best[workload, program] = best

    def get(self, program, row):
        """A program's record for a row. In a row that measures starts, the median is the start."""
        if program != OURS and row.peers and program not in row.peers:
            return None
        workload = row.start_of or (row.name if program == OURS else row.workload)
        found = self._best.get((workload, program))
        return dict(found, median_s=found["compile_s"], min_s=found["compile_s"]) if found and row.start_of else found

    def read(self, path):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            self.add(entry["program"], entry["workload"], entry["record"])


def measure(commands, rows, rounds, records, log):
    """Runs every program's workloads once a round, so that a disturbance of the machine hits all programs."""
    for number in range(rounds):
        done = set()
        for row in rows:
            for name, command in commands.items():
                workload = row.start_of or (row.name if name == OURS else row.workload)
                counts = name == OURS or not row.peers or name in row.peers
                if not counts or (name, workload) in done:
                    continue
                done.add((name, workload))
                new = record(command, workload)
                if not new:
                    continue
                print("round %d  %-22s %-20s %10.4g ms, started in %.3g s, %d MB" % (
                    number + 1, workload, name, 1e3 * new["median_s"], new["compile_s"], new["peak_bytes"] >> 20),
                    file=sys.stderr, flush=True)
                records.add(name, workload, new)
                if log:
                    print(json.dumps(dict(program=name, workload=workload, record=new)), file=log, flush=True)


def limits(threads, folder):
    """The machine's limits, by the program in C."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "machine_limits"
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O3", "-march=native", str(HERE / "machine_limits.c"), "-o", program, "-pthread"],
                   check=True)
    return json.loads(subprocess.run([program, str(threads)], check=True, capture_output=True, text=True).stdout)


def compiles(program):
    return program == OURS or PEERS[program].compiles
