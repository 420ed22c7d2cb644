"""The page and the README's table that the records give."""
import datetime
import platform
import subprocess

from comparison import ROOT
from comparison.measuring import compiles
from comparison.programs import OURS, PEERS


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def system():
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.platform()


def version():
    """The commit that was measured, marked where files differ from it."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(git, capture_output=True, text=True).stdout.strip() or "unknown"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows]


class Comparison:
    """What the records say, row by row."""

    def __init__(self, rows, records, limits):
        self.records, self.limits = records, limits
        self.rows = [row for row in rows if records.get(OURS, row)]
        self.programs = [OURS] + [p for p in PEERS if any(records.get(p, row) for row in self.rows)]

    def figures(self, row, figure, of=lambda program: True):
        """A figure of every peer that has it."""
        found = {p: self.records.get(p, row) for p in self.programs if p != OURS and of(p)}
        return {program: record[figure] for program, record in found.items() if record}

    def ours(self, row):
        return self.records.get(OURS, row)

    def best_peer(self, row):
        """The fastest peer and its median; of those that compile, where the time of compiling is compared."""
        medians = self.figures(row, "median_s", compiles if row.start_of else lambda program: True)
        return min(medians.items(), key=lambda item: item[1]) if medians else None

    def ratio(self, row):
        best = self.best_peer(row)
        return best[1] / self.ours(row)["median_s"] if best else None

    def below_target(self):
        return [row for row in self.rows if (self.ratio(row) or row.target) < row.target]

    def spread(self, row):
        """How far the programs' checksums are apart."""
        sums = [*self.figures(row, "checksum").values(), self.ours(row)["checksum"]]
        largest = max(map(abs, sums))
        return (max(sums) - min(sums)) / largest if largest else 0

    def copy_limit(self, row):
        """The fastest copy of arrays about as large as the workload's, in bytes a second."""
        mebibytes = row.traffic / 2 / 2 ** 20
        copy = min(self.limits["copies"], key=lambda copy: abs(copy["mib"] - mebibytes))
        return 1e9 * max(copy["ordinary_gbs"], copy.get("streaming_gbs", 0))

    def rate(self, row):
        """What is reached and its share of the machine's limit, as text."""
        seconds = self.ours(row)["median_s"]
        if row.start_of:
            return "", ""
        if row.flops:
            rate = row.flops / seconds
            return "%.0f GFLOP/s" % (rate / 1e9), "%.0f %%" % (1e-7 * rate / self.limits["fma_gflops"])
        if row.traffic:
            rate = row.traffic / seconds
            return "%.1f GB/s" % (rate / 1e9), "%.0f %%" % (100 * rate / self.copy_limit(row))
        return "%.1f ns an operation" % (1e9 * seconds / row.operations), ""


def milliseconds(record):
    """The median, with a star where the fastest run is much faster."""
    if not record:
        return ""
    return "%.4g%s" % (1e3 * record["median_s"], "*" if record["median_s"] > 1.25 * record["min_s"] else "")


def emphasised(cells, values, least):
    """The cells, bold where the value is the least."""
    return ["**%s**" % cell if value is not None and value == least else cell for cell, value in zip(cells, values)]


def ratio_table(comparison):
    rows = []
    for row in comparison.rows:
        best, ratio = comparison.best_peer(row), comparison.ratio(row)
        session = comparison.figures(row, "median_s").get("tensorflow-session")
        ours = comparison.ours(row)
        reached, share = comparison.rate(row)
        rows.append([
            row.name, milliseconds(ours), "%s, %.4g" % (best[0], 1e3 * best[1]) if best else "",
            ("**%.2f**" if ratio >= row.target else "%.2f") % ratio if ratio else "", "%.1f" % row.target,
            "%.2f" % (session / ours["median_s"]) if session else "", reached, share])
    header = ["workload", "Martlet, ms", "best peer, ms", "best peer ÷ Martlet", "target", "TensorFlow ÷ Martlet",
              "reached", "of the limit"]
    return table(header, rows)


def median_table(comparison):
    rows = []
    for row in comparison.rows:
        records = [comparison.records.get(p, row) for p in comparison.programs]
        medians = [r["median_s"] if r and (compiles(p) or not row.start_of) else None
                   for p, r in zip(comparison.programs, records)]
        cells = emphasised([milliseconds(r) for r in records], medians, min(m for m in medians if m is not None))
        spread = comparison.spread(row)
        rows.append([row.name, *cells, "%.0e" % spread if spread else "0"])
    return table(["workload", *comparison.programs, "checksums differ by"], rows)


def memory_table(comparison):
    rows = []
    for row in comparison.rows:
        if row.start_of or row.peers:
            continue
        peaks = [(comparison.records.get(p, row) or {}).get("peak_bytes") for p in comparison.programs]
        least = min(p for p in peaks if p is not None)
        rows.append([row.name] + emphasised(["%.0f" % (p / 1e6) if p else "" for p in peaks], peaks, least))
    return table(["workload", *comparison.programs], rows)


def limit_table(limits):
    rows = [["fused multiply-adds, %d bits wide" % limits["vector_bits"], "%.0f GFLOP/s" % limits["fma_gflops"]]]
    for copy in limits["copies"]:
        for kind in ("ordinary", "streaming"):
            if kind + "_gbs" in copy:
                rows.append(["copying %d MiB, %s stores" % (copy["mib"], kind), "%.1f GB/s" % copy[kind + "_gbs"]])
    return table(["limit", "measured"], rows)


def programs_used(comparison):
    lines = ["- Martlet: %s" % version()]
    for program in comparison.programs[1:]:
        record = next(r for r in (comparison.records.get(program, row) for row in comparison.rows) if r)
        lines.append("- %s %s: %s" % (program, record["version"], PEERS[program].settings))
    return lines


def text(comparison, args):
    remarks = [row for row in comparison.rows if row.remark]
    return "\n".join([
        "# Benchmarks", "",
        "Written by `Benchmarks/compare`, which runs Martlet and the programs in `Benchmarks/peers` in turn: the same",
        "mathematics in float32 on the same data, fed at every step, with the same result computed. All times, rates and sizes are",
        "measured; targets and remarks are those of `Benchmarks/rows.toml`.", "",
        "- Date: %s" % datetime.date.today().isoformat(),
        "- Machine: %s, %d threads, %s" % (processor(), args.threads, system()),
        *programs_used(comparison),
        "- Each workload in a process of its own: the median of %g s of runs after warming up, the best of %d rounds." % (
            args.seconds, args.rounds),
        "- All programs keep freed memory (`MALLOC_MMAP_MAX_=0`), because fresh pages cost more than many workloads.", "",
        "## Martlet and the best of the others", "",
        "Ratios above 1 mean that Martlet is faster; bold ones reach their target. A star marks a median more than a quarter",
        "above the fastest run: other work disturbed it.", "",
        *ratio_table(comparison), "",
        "`compile_time_…` is the time from the data and the weights being in memory to the end of the first run: building the",
        "graph, or tracing it, or reading the ONNX file, which the page cache holds; compiling, or creating the session; setting",
        "variables; one run. Loading the framework is not part of it. Programs that do not compile are left out of the ratio.", "",
        "The work of a run is what its products and convolutions need as they are defined, three times that of the pass forward",
        "in training; or, in the rows with GB/s, reading the operands and writing the result once. The limits, measured in the",
        "same run by `Benchmarks/machine_limits.c` on all threads:", "",
        *limit_table(comparison.limits), "",
        "## Medians in milliseconds", "",
        "“Checksums differ by” is the relative spread of the numbers by which the results are compared.", "",
        *median_table(comparison), "",
        "## Peak memory in MB", "",
        "The most that a whole process has occupied, with the interpreter, libraries, compiler and the workload's data.", "",
        *memory_table(comparison), "",
        *(["## Remarks", "", *["- **%s**: %s" % (row.name, row.remark) for row in remarks], ""] if remarks else [])])


def write_readme(comparison):
    """Puts the table of ratios between the marks in the README."""
    readme = ROOT / "README.md"
    before, mark, rest = readme.read_text().partition("<!-- benchmarks -->")
    _, end, after = rest.partition("<!-- /benchmarks -->")
    if mark and end:
        readme.write_text(before + mark + "\n" + "\n".join(ratio_table(comparison)) + "\n" + end + after)
