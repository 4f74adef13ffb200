# SPDX-License-Identifier: Apache-2.0
"""What the fault tests share: programs, seeds and sizes.

Each test runs a size that fits into `./dev test`, and a larger one under `./dev soak` (tests/soak.py), which sets
SEGWATCH_SOAK=1, SEGWATCH_SEED and, if asked, SEGWATCH_COUNT. Every random choice follows from the seed, which is
printed."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/e2e"))

BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", str(ROOT / "build-test")))
ASAN = pathlib.Path(os.environ.get("SEGWATCH_BUILD_ASAN", str(ROOT / "build-asan")))
SEGWATCH = os.environ.setdefault("SEGWATCH", str(BUILD / "daemon/segwatch"))
SOAK = os.environ.get("SEGWATCH_SOAK") == "1"
SEED = int(os.environ.get("SEGWATCH_SEED", "1"))

SANITIZED = {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}


def size(ci, soak):
    """How much to do."""
    if not SOAK:
        return ci
    return int(os.environ.get("SEGWATCH_COUNT", soak))


def say(test, text):
    """One line of a test's figures, with the seed that repeats it."""
    print(f"{test}: seed {SEED}: {text}", file=sys.stderr, flush=True)


def scenario(folder, **options):
    """A synthetic network with an attack: messages.ndjson, config.yaml, truth.json in `folder`."""
    args = [str(BUILD / "tests/gen_scenario"), "--out", str(folder)]
    for key, value in options.items():
        args += ["--" + key.replace("_", "-")] + ([] if value is True else [str(value)])
    subprocess.run(args, check=True, timeout=120, stderr=subprocess.DEVNULL)
    return pathlib.Path(folder)


def replay(*args, timeout=120, env=None, **kw):
    """(exit code, stdout, summary or None, stderr) of `segwatch replay -q`."""
    with tempfile.NamedTemporaryFile(suffix=".json") as summary:
        p = subprocess.run([SEGWATCH, "replay", "-q", "--summary", summary.name, *map(str, args)],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, env=env, **kw)
        text = pathlib.Path(summary.name).read_text()
    return p.returncode, p.stdout, json.loads(text) if text else None, p.stderr.decode(errors="replace")
