#!/usr/bin/env python3
"""Runs every stage of `./dev test` and ends in a line `N passed, N failed`.

Usage: tests/run.py [STAGE...]   (all stages by default; --list names them)

A stage is a function that yields (name, passed, detail). Stages that build go on with the others when one fails, so
that one run shows everything that is wrong."""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD, ASAN, FUZZ, TSAN = "build-test", "build-asan", "build-fuzz", "build-threads"
SANITIZE = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "--buildtype=debugoptimized"]


def call(args, timeout=1800, **kw):
    """Runs a command; returns (exit code, output tail)."""
    try:
        p = subprocess.run(args, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                           stdin=subprocess.DEVNULL, **kw)
        return p.returncode, p.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as e:
        return 124, (e.stdout or b"").decode(errors="replace") + f"\ntimed out after {timeout} s"


def check(name, args, **kw):
    code, out = call(args, **kw)
    yield name, code == 0, out[-4000:]


def meson_build(directory, options, env=None, targets=()):
    if not (ROOT / directory / "build.ninja").exists():
        code, out = call(["meson", "setup", directory, "-Dwerror=true"] + options, env=dict(os.environ, **(env or {})))
        if code:
            yield f"configure {directory}", False, out[-4000:]
            return
    code, out = call(["ninja", "-C", directory, *targets])
    errors = "\n".join(l for l in out.splitlines() if re.search(r"error|warning|FAILED", l))
    yield f"build {directory}", code == 0, errors[-6000:]


def meson_test(directory, args, env=None):
    """Each subtest counts by itself (JUnit file that Meson writes)."""
    full = dict(os.environ, **(env or {}))
    code, out = call(["meson", "test", "-C", directory, "--no-rebuild", "--print-errorlogs"] + args, env=full)
    junit = ROOT / directory / "meson-logs/testlog.junit.xml"
    seen = failed = 0
    if junit.exists():
        for case in xml.etree.ElementTree.parse(junit).iter("testcase"):
            bad = case.find("failure") is not None or case.find("error") is not None
            seen, failed = seen + 1, failed + bad
            yield f"{directory}: {case.get('classname')}.{case.get('name')}", not bad, ""
    if code and not failed or not seen:
        yield f"meson test {directory}", False, out[-6000:]
    elif failed:
        print(out[-8000:])


def stage_style():
    yield from check("layers", ["/usr/bin/python3", "tests/style/check_layers.py"])
    yield from check("shellcheck", ["shellcheck", "dev", ".ci/run", "config/debian/build", "config/debian/segwatch.postrm",
                                    "tests/live/sentinel.sh"])


def built(*builds):
    """Yields the rows of these builds; returns whether all of them passed."""
    ok = True
    for rows in builds:
        for row in rows:
            ok = ok and row[1]
            yield row
    return ok


def stage_unit():
    if (yield from built(meson_build(BUILD, []))):
        yield from meson_test(BUILD, ["--suite", "unit"])


def stage_sanitizers():
    if (yield from built(meson_build(ASAN, SANITIZE))):
        yield from meson_test(ASAN, ["--suite", "unit"], {
            "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"})


# Tests of everything that takes bytes from outside. The others would take Valgrind many minutes; the sanitizers have them.
VALGRIND = ["addr", "args", "connection_string", "emit", "finding", "flow_logs", "framer", "http", "inflate", "json", "parse",
            "quarantine", "scan", "schema", "secret", "sink_file", "state_dir", "str", "tail_file", "tail_reader", "time"]
UNSET = """#include <criterion/criterion.h>
Test(control, reads_what_was_never_written)
{
        volatile int *p = malloc(16);

        cr_assert(p[2] != 0 || p[2] == 0);
        free((void *)p);
}
"""


def valgrind(program):
    """What Valgrind says of a test program; None after the time is up. Criterion runs each case in a process of its own."""
    with tempfile.TemporaryDirectory() as d:
        code, out = call(["valgrind", "-q", "--trace-children=yes", f"--log-file={d}/%p", program], timeout=240)
        said = "".join(p.read_text(errors="replace") for p in sorted(pathlib.Path(d).iterdir()))
    return None if code == 124 else said or (out if code else "")


def stage_valgrind():
    """Reads of memory that was never written, which the sanitizers do not see."""
    if not (yield from built(meson_build(BUILD, []))):
        return
    with tempfile.TemporaryDirectory() as d:
        pathlib.Path(d, "t.c").write_text(UNSET)
        code, out = call(["cc", "-g", "-o", f"{d}/t", f"{d}/t.c", "-lcriterion"])
        said = out if code else valgrind(f"{d}/t")
        yield "valgrind sees a read of unset memory", code == 0 and "uninitialised value" in (said or ""), said
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(valgrind, [str(ROOT / BUILD / "tests" / f"test_{name}") for name in VALGRIND]))
    for name, said in zip(VALGRIND, rows):
        yield f"valgrind test_{name}", said == "", said if said is not None else "timed out"


def python_tests(directory):
    """unittest modules of a folder; each test method counts."""
    code, out = call(["/usr/bin/python3", "-m", "unittest", "discover", "-v", "-s", directory, "-p", "test_*.py"],
                     env=dict(os.environ, SEGWATCH=str(ROOT / BUILD / "daemon/segwatch"), SEGWATCH_BUILD=str(ROOT / BUILD),
                              SEGWATCH_ASAN=str(ROOT / ASAN / "daemon/segwatch")))
    rows = re.findall(r"^(test_\w+) \(([\w.]+)\)(?:.*\n)*?.*\.\.\. (ok|FAIL|ERROR|skipped.*)$", out, re.M)
    failed = 0
    for method, where, state in rows:
        good = state == "ok"
        failed += not good
        yield f"{where}.{method}", good, "" if good else state
    told = re.search(r"canary: (\d+) secrets of (\d+) daemons looked for in (\d+) files, (\d+) found", out)
    if directory in ("tests/e2e", "tests/faults"):
        yield f"no secret in what {told.group(2) if told else 'the'} daemons of {directory} left", bool(
            told and int(told.group(1)) > 0 and told.group(4) == "0"), told.group(0) if told else "nobody looked"
    if failed or code or not rows:
        print(out[-12000:])
    if (code and not failed) or not rows:
        yield f"python tests in {directory}", False, ""


def stage_diff():
    if (yield from built(meson_build(BUILD, []))):
        yield from meson_test(BUILD, ["--suite", "diff"])


FUZZ_LENGTH = {"snapshot": 65536}  # of inputs; else 4096 bytes
FUZZ_RUNS = 200_000  # inputs of each target in every run
FUZZ_SLICE_S = 1800  # a target that takes longer for them is too slow
FUZZ_FIRST = ["snapshot", "framer", "config", "decode", "row"]  # the slow ones, so that none is left for the end


def fuzz_slice(name, seed, *bounds, timeout):
    """(inputs it ran, whether all was well, output) of one call of a target."""
    found = ROOT / FUZZ / "corpus" / name
    found.mkdir(parents=True, exist_ok=True)
    code, out = call([str(ROOT / FUZZ / f"tests/fuzz_{name}"), f"-max_len={FUZZ_LENGTH.get(name, 4096)}", "-timeout=20",
                      f"-seed={seed}", "-print_final_stats=1", f"-artifact_prefix={found.parent}/{name}-", *bounds, str(found),
                      str(ROOT / "tests/corpus" / name)], timeout=timeout,
                     env=dict(os.environ, UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1", ASAN_OPTIONS="detect_leaks=1"))
    m = re.search(r"stat::number_of_executed_units: (\d+)", out)
    return int(m.group(1)) if m else 0, code == 0, out


def fuzz_target(name, wanted, seconds, progress):
    """(row, passed, detail): so many inputs, or for so many seconds. With FUZZ_RUNS it goes on where the last call left off:
    what was found stays in build-fuzz/corpus, how far it came in build-fuzz/fuzzed."""
    path = ROOT / FUZZ / "fuzzed" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    done = int(path.read_text()) if progress and path.exists() else 0
    began, before = time.monotonic(), done
    while True:
        bounds = [f"-max_total_time={seconds}"] if seconds else [f"-runs={min(FUZZ_RUNS, max(1, wanted - done))}",
                                                                f"-max_total_time={FUZZ_SLICE_S}"]
        if not seconds and done >= wanted:
            break
        n, good, out = fuzz_slice(name, 1 + done, *bounds, timeout=(seconds or FUZZ_SLICE_S) + 120)
        done += n
        if progress:
            path.write_text(str(done))
        if not good:
            why = re.search(r"^(\S+\.[ch]:\d+: .*|.*(?:ERROR: |runtime error: ).*)$", out, re.M)
            return f"fuzz {name}: {done} inputs: {why.group(1) if why else 'see above'}", False, out[-4000:]
        if seconds or n < FUZZ_RUNS // 2:
            break
    sys.stdout.write(f"fuzz {name}: {done} inputs, {done - before} of them in {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()
    return f"fuzz {name}", seconds > 0 or done >= wanted, f"{done} inputs instead of {wanted}"


def stage_fuzz():
    """Every target of tests/fuzz: 200,000 inputs; FUZZ_SECONDS: for so long; FUZZ_RUNS: so many in all, over as many calls
    as it takes. New inputs and crashes stay in build-fuzz."""
    programs = meson_build(FUZZ, SANITIZE + ["-Dfuzz=true", "-Dwerror=false", "-Dtests=enabled"], {"CC": "clang"},
                           ["fuzz-programs"])
    if not (yield from built(programs)):
        return
    names = sorted(p.stem[len("fuzz_"):] for p in (ROOT / "tests/fuzz").glob("fuzz_*.c"))
    names.sort(key=lambda n: FUZZ_FIRST.index(n) if n in FUZZ_FIRST else len(FUZZ_FIRST))
    seconds = int(os.environ.get("FUZZ_SECONDS", "0"))
    wanted = int(os.environ.get("FUZZ_RUNS", FUZZ_RUNS))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda name: fuzz_target(name, wanted, seconds, "FUZZ_RUNS" in os.environ), names)


def stage_threads():
    """The whole job with four workers under ThreadSanitizer: no race, and the same bytes as the plain build; snapshots
    read while the engine goes on."""
    thread = meson_build(TSAN, ["-Db_sanitize=thread", "-Db_lundef=false", "-Dwerror=false", "-Dtests=enabled"],
                         targets=["daemon/segwatch", "tests/snapshot_race"])
    if not (yield from built(meson_build(BUILD, []), thread)):
        return
    yield from check("snapshots without a race", [str(ROOT / TSAN / "tests/snapshot_race"), "8"],
                     env=dict(os.environ, TSAN_OPTIONS="halt_on_error=1"))
    with tempfile.TemporaryDirectory() as d:
        code, out = call([str(ROOT / BUILD / "tests/gen_scenario"), "--seed", "5", "--hours", "20", "--hosts", "60",
                          "--attack", "full", "--pt1h", "--out", d])
        if code:
            yield "scenario for the race check", False, out
            return
        args = ["replay", "-q", "-c", f"{d}/config.yaml", f"{d}/blobs"]
        code, out = call([str(ROOT / TSAN / "daemon/segwatch")] + args + ["-j", "4"],
                         env=dict(os.environ, TSAN_OPTIONS="halt_on_error=1"))
        yield "replay -j 4 without a race", code == 0, out[-4000:]
        code, plain = call([str(ROOT / BUILD / "daemon/segwatch")] + args)
        yield "the same findings as the plain build", code == 0 and plain == out and plain != "", ""


def stage_e2e():
    if (yield from built(meson_build(BUILD, []), meson_build(ASAN, SANITIZE))):
        yield from python_tests("tests/e2e")


def stage_faults():
    """What breaks: allocations, disks, brokers, floods (sizes for CI; `./dev soak` does more)."""
    if (yield from built(meson_build(BUILD, []), meson_build(ASAN, SANITIZE))):
        yield from python_tests("tests/faults")


def stage_package():
    """The Debian package: built, looked at by lintian, installed, upgraded, removed; the README's way to install it."""
    yield from python_tests("tests/package")


STAGES = {"style": stage_style, "unit": stage_unit, "sanitizers": stage_sanitizers, "valgrind": stage_valgrind, "diff": stage_diff,
          "threads": stage_threads, "fuzz": stage_fuzz}
if any((ROOT / "tests/e2e").glob("test_*.py")):
    STAGES["e2e"] = stage_e2e
STAGES["faults"] = stage_faults
STAGES["package"] = stage_package


def main():
    wanted = sys.argv[1:]
    if wanted == ["--list"]:
        print("\n".join(STAGES))
        return 0
    passed = failed = 0
    bad = []
    for name, stage in STAGES.items():
        if wanted and name not in wanted:
            continue
        began, n, n_bad = time.monotonic(), 0, 0
        for row, ok, detail in stage():
            n += 1
            if not ok:
                n_bad += 1
                bad.append(row)
                print(f"FAILED {row}\n{detail}", flush=True)
        passed, failed = passed + n - n_bad, failed + n_bad
        print(f"{name}: {n - n_bad} of {n} passed in {time.monotonic() - began:.0f} s", flush=True)
    for row in bad:
        print(f"failed: {row}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
