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
    "sink": ["test_sentinel", "test_syslog", "test_webhook", "test_outage"],
}


def one_round(kind, seed, count):
    env = dict(os.environ, SEGWATCH_SOAK="1", SEGWATCH_SEED=str(seed),
               SEGWATCH=os.environ.get("SEGWATCH", str(ROOT / "build-test/daemon/segwatch")),
               SEGWATCH_BUILD=os.environ.get("SEGWATCH_BUILD", str(ROOT / "build-test")),
               PYTHONPATH=f"{ROOT}/tests/faults:{ROOT}/tests/e2e:{ROOT}/tests/package")
    if count:
        env["SEGWATCH_COUNT"] = str(count)
    began = time.monotonic()
    code = subprocess.run(["/usr/bin/python3", "-m", "unittest", "-v", *KINDS[kind]], cwd=ROOT, env=env).returncode
    print(f"soak {kind}: seed {seed}: {'ok' if code == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s", flush=True)
    return code == 0


def main():
    p = argparse.ArgumentParser(prog="./dev soak", description=__doc__.splitlines()[0])
    p.add_argument("kind", nargs="?", choices=list(KINDS))
    p.add_argument("--list", action="store_true")
    p.add_argument("--seed", type=int, default=1)
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
            if not one_round(kind, seed, args.count):
                return 1
        seed += 1
        if time.monotonic() >= end:
            return 0


sys.exit(main())
