# SPDX-License-Identifier: Apache-2.0
"""`segwatch run` as the end-to-end tests start, watch and end it."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import canary

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEGWATCH = os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch"))


def state(config):
    """What `segwatch state info` says of the state of a configuration; {} if there is none yet."""
    p = subprocess.run([SEGWATCH, "state", "info", "-c", str(config), "-o", "json"], stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, timeout=30)
    return json.loads(p.stdout) if p.returncode == 0 else {}


def places(config):
    """By (source, partition): where reading goes on after a restart."""
    rows = state(config).get("outbox", {}).get("places", [])
    return {(r["source"], r["partition"]): r for r in rows}


class Daemon:
    """`segwatch run` with its log in a file; always ended."""

    def __init__(self, test, config, *options, env=None):
        self.config, self.env, self.canaries = config, env, canary.remember(config, env)
        self.log_path = pathlib.Path(config).with_suffix(f".{time.monotonic_ns()}.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [SEGWATCH, "run", "-c", str(config), "--stats-ms", "100", "--checkpoint-ms", "100", *options], stderr=log,
                env=dict(os.environ, **(env or {})))
        test.addCleanup(self.end)

    def end(self):
        """At the end of a test. Coverage wants to know what it did: it is let end by itself (tests/coverage.py)."""
        if os.environ.get("SEGWATCH_COUNT") and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        report = re.search(r"(?m)^.*(runtime error: |(?:Address|Leak)Sanitizer).*$", self.log() if self.log_path.exists() else "")
        if report:
            raise AssertionError("a sanitizer complains: " + self.log()[report.start():report.start() + 3000])
        if self.canaries is not None:
            before, self.canaries = self.canaries, None
            canary.look(self.config, before, self.env)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stats(self):
        """Messages, records and lag of the newest line of statistics."""
        rows = re.findall(r'event=stats_source .*?msg="(\d+) messages .*?, (\d+) records .*? lag (\w+), (\d+) of (\d+) part',
                          self.log())
        return tuple(int(v) if v.isdigit() else -1 for v in rows[-1]) if rows else (0, 0, -1, 0, 0)

    def records(self, source="f"):
        rows = re.findall(rf"event=stats_source .*?source={source} .*?messages .*?, (\d+) records ", self.log())
        rows = rows or re.findall(r"event=stats_source .*?messages .*?, (\d+) records ", self.log())
        return int(rows[-1]) if rows else 0

    def wait_for(self, condition, what, seconds=25):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log()[-3000:]}")
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.log()[-4000:]}")

    def wait_log(self, text, seconds=25):
        self.wait_for(lambda: text in self.log(), text, seconds)

    def stop(self):
        """Exit code and seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20), time.monotonic() - began
