# SPDX-License-Identifier: Apache-2.0
"""Outputs without the rest of the daemon: findings in, `sink_tool` delivers, what happened comes back."""
import json
import os
import pathlib
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", ROOT / "build-test"))
SEGWATCH = os.environ.get("SEGWATCH", str(BUILD / "daemon/segwatch"))
T0 = 1767225600000
_template = None


def columns():
    return json.loads(subprocess.run([SEGWATCH, "schema", "sentinel"], check=True, stdout=subprocess.PIPE).stdout)


def finding(n, ms=None, title=None, severity=4, detector="horizontal_scan", pad=0):
    """A line as the encoder writes it, with an id of its own."""
    global _template
    if _template is None:
        lines = subprocess.run([BUILD / "tests/findings"], check=True, stdout=subprocess.PIPE).stdout.splitlines()
        _template = json.loads(lines[3])  # a single detector's: the smallest
    f = json.loads(json.dumps(_template))
    f["metadata"]["uid"] = f"{n:032x}"
    f["metadata"]["logged_time"] = T0 + n if ms is None else ms
    f["finding_info"]["uid"] = f"{n // 3:032x}"
    f["finding_info"]["title"] = title or f"Finding {n}"
    f["finding_info"]["analytic"]["name"] = detector
    f["unmapped"]["detectors"] = [detector]
    f["unmapped"]["rules"] = []
    f["message"] = "x" * pad + f" message {n}"
    f["severity_id"] = severity
    return f


class Sinks:
    """`sink_tool` with a configuration; lines are fed by `feed`, ended by `end`."""

    def __init__(self, test, folder, outputs, seconds=60, env=None, level="warning"):
        self.folder = pathlib.Path(folder)
        self.state = self.folder / "state"
        self.state.mkdir(exist_ok=True)
        config = self.folder / "sinks.json"  # JSON is YAML
        config.write_text(json.dumps({"outputs": outputs, "log": {"level": level}}))
        self.log_file = open(self.folder / "sinks.log", "ab")
        self.process = subprocess.Popen([BUILD / "tests/sink_tool", config, self.state, str(seconds)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log_file,
                                        env=dict(os.environ, **(env or {})))
        test.addCleanup(self.kill)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log_file.close()

    def feed(self, findings):
        self.process.stdin.write("".join(
            json.dumps(f, separators=(",", ":"), ensure_ascii=False) + "\n" for f in findings).encode())
        self.process.stdin.flush()

    def end(self):
        """Statistics when everything is delivered; fails if that was not in time."""
        self.process.stdin.close()
        out = self.process.stdout.read()
        code = self.process.wait()
        if code:
            raise AssertionError(f"sink_tool ended with {code}: {out.decode()}\n{self.log()[-3000:]}")
        return json.loads(out)

    def log(self):
        self.log_file.flush()
        return (self.folder / "sinks.log").read_text(errors="replace")

    def rejected(self):
        path = self.state / "rejected.jsonl"
        return [json.loads(l) for l in path.read_text().splitlines()] if path.exists() else []
