#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Coverage of lines and branches by the unit, diff, end-to-end and fault tests: ./dev coverage [--quick] [--files] [--missing FILE]

Left out, by what is written there and nothing else:
  - branches of assert(): they are our own bugs;
  - branches for lack of memory: the condition, or the statement right after it, says SW_ERR_NOMEM, `failed`, no_memory,
    "out of memory" or calls an allocation itself; or it is nothing but `if (!x)`, and x was last set by an allocation, at
    most ten lines before. tests/faults/test_alloc.py walks those.
  - __builtin_cpu_supports(): which way it goes is the machine's.
The build has one copy of what is always inlined otherwise (lib/base/inline.h), so that a branch is counted once.
What is killed counts nothing: daemons that a test leaves behind are let end by themselves (SEGWATCH_COUNT), and _exit counts
(tests/tools/count_exit.c).
--quick: unit tests only. --files: a row per file. --missing FILE: its lines with branches never taken."""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build-cov"
ALLOCATION = r"\bsw_(alloc|calloc|realloc_array|strdup|arena_\w+|batch_add_(tuple|rule|record)|fingerprint_new)\("
MEMORY = re.compile(rf"SW_ERR_NOMEM|\bfailed\b|no_memory|out of memory|{ALLOCATION}")
ASSERT = re.compile(r"^\s*(assert|SW_DEBUG_ASSERT)\(")
# of tests/faults: what is over in a minute or so; the others do the same things for longer
FAULTS = ["test_alloc.Alloc.test_replay", "test_alloc.Alloc.test_replay_with_every_output_and_the_reference_decoder",
          "test_alloc.Alloc.test_gzip", "test_alloc.Alloc.test_configuration", "test_brokers", "test_reload"]
NOTHING = re.compile(r"^\s*if \(!([\w.>-]+)\)( \{)?$")
MACHINE = re.compile(r"\b__builtin_cpu_supports\(")
CONDITION = re.compile(r"\b(if|while|for|switch)\b|\?|&&|\|\|")

# name, what belongs to it
ROOMS = [
    ("decoders", r"lib/decode/"),
    ("order", r"lib/aggregate/(reorder|dedupe|order|timers)\.c|lib/engine/(watermark|hold|release|ingest)\.c"),
    ("snapshot", r"lib/persist/|lib/engine/(snapshot|engine_state|load)\.c|lib/aggregate/\w+_state\.c|daemon/state/(snapshot|cover|recover)\w*\.c"),
    ("outbox", r"daemon/state/outbox\w*\.c|daemon/sink/alert_\w+\.c"),
    ("sinks", r"daemon/sink/"),
    ("detectors", r"lib/detect/"),
    ("lib", r"lib/"),
    ("daemon", r"daemon/"),
]


def call(args, **kw):
    return subprocess.run([str(a) for a in args], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", **kw)


def run_tests(quick):
    for old in BUILD.rglob("*.gcda"):
        old.unlink()
    for what in ("man", "conf", "bash"):  # as the build does
        call([BUILD / "daemon/segwatch-doc", what])
    suites = ["--suite", "unit"] + ([] if quick else ["--suite", "diff"])
    p = call(["meson", "test", "-C", BUILD, "--no-rebuild", "--timeout-multiplier", "5", *suites])
    print("unit:" if quick else "unit, diff:", "ok" if p.returncode == 0 else "FAILED\n" + p.stdout[-3000:], flush=True)
    failed = p.returncode
    if quick:
        return failed
    env = dict(os.environ, SEGWATCH=str(BUILD / "daemon/segwatch"), SEGWATCH_BUILD=str(BUILD), SEGWATCH_BUILD_ASAN=str(BUILD),
               SEGWATCH_COUNT="1", PYTHONPATH=f"{ROOT}/tests/e2e:{ROOT}/tests/faults")
    for name, what in (("e2e", ["discover", "-v", "-s", "tests/e2e", "-p", "test_*.py"]), ("faults", ["-v", *FAULTS])):
        p = call(["/usr/bin/python3", "-m", "unittest", *what], env=env)
        # not a reason to stop: a daemon in its sandbox cannot write what it counted, and a slow build misses some deadlines
        bad = re.findall(r"^(?:FAIL|ERROR): (.*)$", p.stdout, re.M)
        print(f"{name}:", p.stdout.strip().splitlines()[-1], *(f"\n  {b}" for b in bad), flush=True)
    return failed


def measured():
    """file -> rows of gcovr"""
    p = subprocess.run(["gcovr", "--root", ROOT, "--object-directory", BUILD, "--filter", f"{ROOT}/lib/", "--filter",
                        f"{ROOT}/daemon/", "--gcov-ignore-parse-errors", "--json", "-"], cwd=BUILD, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True)
    if p.returncode:
        sys.exit(p.stderr[-3000:])
    return {f["file"]: f["lines"] for f in json.loads(p.stdout)["files"] if f["file"].endswith((".c", ".h"))}


def left_out(text, number):
    """Whether the branches of this line are those of the convention above. Lines count from 1."""
    line = text[number - 1] if number <= len(text) else ""
    if ASSERT.search(line) or MEMORY.search(line) or MACHINE.search(line):
        return True
    nothing = NOTHING.match(line)
    if nothing:
        sets = re.compile(rf"(?<![\w.>]){re.escape(nothing.group(1))} = ")
        for before in reversed(text[max(0, number - 11):number - 1]):
            if sets.search(before) and re.search(ALLOCATION, before):
                return True
            if sets.search(before) or before.startswith("{"):
                break
    after = text[number] if number < len(text) else ""
    return bool(CONDITION.search(line) and MEMORY.search(after))


class Sum:
    def __init__(self):
        self.lines = self.lines_hit = self.branches = self.branches_hit = self.left_out = 0

    def add(self, other):
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def row(self, name):
        def share(a, b):
            return f"{100 * a / b:5.1f} %" if b else "      -"
        return (f"{name:<34} {share(self.lines_hit, self.lines)} {self.lines:>7}   "
                f"{share(self.branches_hit, self.branches)} {self.branches:>7} {self.left_out:>8}")


def look_at(path, rows):
    text = (ROOT / path).read_text().splitlines()
    total, missing = Sum(), []
    for row in rows:
        if row.get("gcovr/noncode"):
            continue
        total.lines += 1
        total.lines_hit += row["count"] > 0
        branches = row["branches"]
        if branches and left_out(text, row["line_number"]):
            total.left_out += len(branches)
            continue
        hit = sum(b["count"] > 0 for b in branches)
        total.branches += len(branches)
        total.branches_hit += hit
        if hit < len(branches):
            missing.append((row["line_number"], hit, len(branches), text[row["line_number"] - 1].strip()))
    return total, missing


def main():
    p = argparse.ArgumentParser(prog="./dev coverage", description=__doc__.splitlines()[0])
    p.add_argument("--quick", action="store_true")
    p.add_argument("--files", action="store_true")
    p.add_argument("--missing", metavar="FILE")
    p.add_argument("--no-run", action="store_true", help="report what the last run counted")
    o = p.parse_args()
    code = 0 if o.no_run else run_tests(o.quick)
    files = {path: look_at(path, rows) for path, rows in sorted(measured().items())}
    if not files:
        sys.exit("coverage: nothing was measured")
    print(f"{'':<34} {'lines':>7} {'of':>7}   {'branches':>7} {'of':>6} {'left out':>8}")
    if o.files:
        for path, (total, _) in files.items():
            print(total.row(path))
        print()
    for name, pattern in ROOMS + [("all", "")]:
        total = Sum()
        for path, (own, _) in files.items():
            if re.match(pattern, path):
                total.add(own)
        print(total.row(name))
    if o.missing:
        for number, hit, n, line in files[o.missing][1]:
            print(f"{o.missing}:{number}: {hit} of {n}: {line}")
    return code


if __name__ == "__main__":
    sys.exit(main())
