#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The fault tests for longer: ./dev soak [KIND] [--seed N] [--count N | --hours H]

KIND is one of those that --list names (default: all of them, one after the other). A run is a function of its seed; with
--hours the seed counts up from round to round, so a run that was broken off goes on with the last seed it printed.
--count: how many points, kills, faults or events a test does in a round, instead of its usual number.
Exit 1 at the first round that fails."""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]

# kind: modules of tests/faults, tests/e2e or tests/package, or classes of them
KINDS = {
    "alloc": ["test_alloc"],
    "bomb": ["test_bombs"],
    "flood": ["test_floods"],
    "kill": ["test_kill"],
    "package": ["test_package"],
    "shim": ["test_disk"],
    "broker": ["test_brokers", "test_silent", "test_kafka_restart"],
    "reload": ["test_reload"],
    "mixed": ["mixed"],
    "sink": ["test_sentinel", "test_sink_kafka", "test_syslog", "test_webhook", "test_outage"],
    # the whole of tests/e2e with the program built under AddressSanitizer and UBSan
    "sanitizers": sorted(p.stem for p in (ROOT / "tests/e2e").glob("test_*.py") if p.stem != "test_sandbox"),
}
# test_sandbox: the unit forbids what AddressSanitizer needs (memory that it reserves, /proc/self)


def sanitizer_reports(folder):
    """Prints what the sanitizers wrote; how many processes did."""
    reports = [p for p in sorted(pathlib.Path(folder).iterdir()) if p.stat().st_size]
    for p in reports[:10]:
        print(f"soak sanitizers: {p.name}:\n{p.read_text(errors='replace')[:4000]}", flush=True)
    return len(reports)


def sanitized(env, folder):
    """The environment of a round under the sanitizers: a report ends the program, and is kept in folder/reports whatever the
    test does with what the program writes. Tests that set variables of their own keep these."""
    asan, reports, preload = ROOT / "build-asan/daemon/segwatch", f"{folder}/reports", f"{folder}/ubsan_report.so"
    os.makedirs(reports, exist_ok=True)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", preload, ROOT / "tests/tools/ubsan_report.c"], check=True)
    return dict(env, SEGWATCH=str(asan), SEGWATCH_ASAN=str(asan), LD_PRELOAD=preload, UBSAN_REPORTS=f"{reports}/ubsan",
                ASAN_OPTIONS=f"detect_leaks=1:verify_asan_link_order=0:log_path={reports}/asan",
                UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")


WRONG = {
    "asan": "#include <stdlib.h>\nint main(int n, char **v) { char *p = malloc(8); (void)v; return p[7 + n]; }\n",
    "ubsan": "int main(int n, char **v) { int x = 2147483647; (void)v; x += n; return x > 0; }\n",
}


def sees_reports():
    """The check can fail: a program that reads beyond its memory is seen, and one that adds beyond its type, both built as
    build-asan is; one that does neither is not."""
    seen = {}
    for name, code in {**WRONG, "nothing": "int main(void) { return 0; }\n"}.items():
        with tempfile.TemporaryDirectory(prefix="segwatch-soak-") as d:
            (pathlib.Path(d) / "t.c").write_text(code)
            subprocess.run(["cc", "-fsanitize=address,undefined", "-o", f"{d}/t", f"{d}/t.c"], check=True)
            subprocess.run([f"{d}/t"], env=sanitized(dict(os.environ), d), stderr=subprocess.DEVNULL)
            seen[name] = {p.name.split(".")[0] for p in pathlib.Path(d, "reports").iterdir() if p.stat().st_size}
    expected = {"asan": {"asan"}, "ubsan": {"ubsan"}, "nothing": set()}
    if seen != expected:
        print(f"soak sanitizers: reports are not seen: {seen}", flush=True)
    return seen == expected


def one_round(kind, seed, count, modules):
    env = dict(os.environ, SEGWATCH_SOAK="1", SEGWATCH_SEED=str(seed),
               SEGWATCH=os.environ.get("SEGWATCH", str(ROOT / "build-test/daemon/segwatch")),
               SEGWATCH_BUILD=os.environ.get("SEGWATCH_BUILD", str(ROOT / "build-test")),
               PYTHONPATH=f"{ROOT}/tests/faults:{ROOT}/tests/e2e:{ROOT}/tests/package")
    if count:
        env["SEGWATCH_COUNT"] = str(count)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="segwatch-soak-") as folder:
        if kind == "sanitizers":
            env = sanitized(env, folder)
            env.pop("SEGWATCH_SOAK")  # the sizes of ./dev test: what counts is that everything is gone through
        code = subprocess.run(["/usr/bin/python3", "-m", "unittest", "-v", *(modules or KINDS[kind])], cwd=ROOT, env=env).returncode
        if kind == "sanitizers" and (not sees_reports() or sanitizer_reports(f"{folder}/reports")):
            code = 1
    print(f"soak {kind}: seed {seed}: {'ok' if code == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s", flush=True)
    return code == 0


def main():
    p = argparse.ArgumentParser(prog="./dev soak", description=__doc__.splitlines()[0])
    p.add_argument("kind", nargs="?", choices=list(KINDS))
    p.add_argument("--list", action="store_true")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--only", nargs="*", metavar="MODULE", help="of a kind, only these modules or classes")
    length = p.add_mutually_exclusive_group()
    length.add_argument("--count", type=int)
    length.add_argument("--hours", type=float)
    args = p.parse_args()
    if args.list:
        print("\n".join(KINDS))
        return 0
    end = time.monotonic() + (args.hours or 0) * 3600
    seed = args.seed
    while True:
        for kind in [args.kind] if args.kind else KINDS:
            if not one_round(kind, seed, args.count, args.only):
                return 1
        seed += 1
        if time.monotonic() >= end:
            return 0


sys.exit(main())
