"""The rows of the comparison: what `rows.toml` says about each, and the work of one run."""
import dataclasses
import sys
import tomllib

from comparison import HERE

sys.path.insert(0, str(HERE / "peers"))
import sizes


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    # The ratio, best peer ÷ Martlet, that is to be reached.
    target: float
    # The peers' name for the workload.
    workload: str
    # The peers that count; empty for all that have the workload.
    peers: tuple
    # For a time to the end of the first run: the workload, in which it is measured.
    start_of: str
    remark: str

    @property
    def flops(self):
        return sizes.flops().get(self.workload)

    @property
    def traffic(self):
        return sizes.traffic().get(self.workload)

    @property
    def operations(self):
        return sizes.operations().get(self.workload)


def read():
    """All rows, in the file's order, by name."""
    with open(HERE / "rows.toml", "rb") as file:
        tables = tomllib.load(file)
    return {name: Row(name, table["target"], table.get("workload", name), tuple(table.get("peers", ())),
                      table.get("start_of", ""), " ".join(table.get("remark", "").split()))
            for name, table in tables.items()}
