#!/usr/bin/env python3
"""Fails where a Swift file imports a module of this package, or of a package it depends on, that its target does not
declare in Package.swift; a test may also import what the targets that it declares may.

Reads the output of `swift package dump-package` on standard input; run it from the top folder. SwiftPM itself accepts
the import of whatever a dependency happens to depend on.
"""

import json
import pathlib
import re
import sys

IMPORT = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+"
    r"(?:(?:struct|class|enum|protocol|typealias|func|var|let)\s+)?(\w+)"
)


def dependencies(target):
    """The names of the targets and products that a target declares."""
    for dependency in target["dependencies"]:
        for kind in ("byName", "target", "product"):
            if kind in dependency:
                yield dependency[kind][0]


def folder(target):
    default = "Tests" if target["type"] == "test" else "Sources"
    return pathlib.Path(target.get("path") or f"{default}/{target['name']}")


def main():
    package = json.load(sys.stdin)
    declared = {target["name"]: set(dependencies(target)) for target in package["targets"]}
    for target in package["targets"]:
        if target["type"] == "test":
            name = target["name"]
            declared[name] = declared[name].union(*(declared.get(subject, set()) for subject in declared[name]))
    ours = set(declared).union(*declared.values())
    faults = []
    files = 0
    for target in package["targets"]:
        name = target["name"]
        for path in sorted(folder(target).rglob("*.swift")):
            files += 1
            for number, line in enumerate(path.read_text().splitlines(), 1):
                found = IMPORT.match(line)
                if found and found[1] in ours and found[1] != name and found[1] not in declared[name]:
                    faults.append(f"{path}:{number}: {name} imports {found[1]}, which Package.swift does not declare")
    for fault in faults:
        print(fault, file=sys.stderr)
    if not files:
        sys.exit("check-imports: no Swift files found; run it from the top folder")
    if faults:
        sys.exit(1)
    print(f"check-imports: the imports of {files} files are declared")


main()
