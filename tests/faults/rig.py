# SPDX-License-Identifier: Apache-2.0
"""The daemon on a mock Kafka cluster that holds one whole scenario: run it, hurt it, compare what came out."""
import collections
import json
import os
import pathlib
import re
import subprocess
import threading
import time
import zlib

import kit

import canary  # of tests/e2e, which kit makes known

MAC = re.compile(rb'"macAddress":"(\w+)"')
WATERMARK = re.compile(r'event=stats .*?msg="watermark (\S+),')


class MockBroker:
    """tests/tools/mock_broker.c: librdkafka's mock cluster in a process of its own."""

    def __init__(self, n_brokers=1):
        self.process = subprocess.Popen([str(kit.BUILD / "tests/mock_broker"), str(n_brokers)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()
        self.brokers = self.process.stdout.readline().split()[1]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def tell(self, command):
        with self.lock:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline().strip()
        if answer != "ok":
            raise RuntimeError(f"mock_broker: {command}: {answer}")

    def produce(self, topic, rows):
        """rows: (partition, time stamp in ms, bytes)."""
        data = framed(rows)
        r = subprocess.run([str(kit.BUILD / "tests/kafka_tool"), self.brokers, "produce", topic], input=data,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        if r.returncode:
            raise RuntimeError(r.stdout.decode(errors="replace"))


def framed(rows):
    """As `kafka_tool produce` reads them."""
    return b"".join(b"%d %d %d\n%s" % (p, stamp, len(m), m) for p, stamp, m in rows)


def canonical(config):
    """What the state that a daemon left says, as lines to compare."""
    p = subprocess.run([kit.SEGWATCH, "state", "export", "--canonical", "-c", str(config)], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=60)
    if p.returncode:
        raise AssertionError("the state cannot be read: " + p.stderr.decode(errors="replace"))
    return p.stdout.decode().splitlines()


def rows_of(messages, n_partitions, stamp_ms=None):
    """A NIC always writes to the same partition."""
    stamp_ms = stamp_ms or int(time.time() * 1000)
    out = []
    for m in messages:
        mac = MAC.search(m)
        out.append((zlib.crc32(mac.group(1)) % n_partitions if mac else 0, stamp_ms, m))
    return out


def strip(line):
    """A finding without what differs by contract: when it was written, and that it is history."""
    line["metadata"].pop("logged_time", None)
    for place in (line, line["unmapped"], line["finding_info"]):
        place.pop("historic", None)
    return json.dumps(line, sort_keys=True)


def read_lines(path):
    """Findings of an alert file without those about the program itself: [(line id, content)]; every line must be whole."""
    out = []
    if not path.exists():
        return out
    raw = path.read_bytes()
    if raw and not raw.endswith(b"\n"):
        raise AssertionError("the alert file does not end with a newline: " + repr(raw[-80:]))
    for text in raw.split(b"\n")[:-1]:
        line = json.loads(text)
        if line["unmapped"]["kind"] != "health":
            out.append((line["metadata"]["uid"], strip(line)))
    return out


def compare(expected, path):
    """What is wrong with the alert file, as text; None if nothing is."""
    try:
        got = read_lines(path)
    except (ValueError, AssertionError) as e:
        return f"unreadable: {e}"
    n = collections.Counter(uid for uid, _ in got)
    doubled = [uid for uid, count in n.items() if count > 1]
    want = dict(expected)
    lost = [uid for uid in want if uid not in n]
    strange = [uid for uid in n if uid not in want]
    differ = [uid for uid, text in got if uid in want and text != want[uid]]
    if doubled or lost or strange or differ:
        return (f"{len(lost)} lost, {len(doubled)} doubled, {len(strange)} strange, {len(differ)} differ of "
                f"{len(want)}: {(lost + doubled + strange + differ)[:3]}")
    return None if [u for u, _ in got] == [u for u, _ in expected] else "the order of the lines differs"


class Run:
    """One life of the daemon."""

    def __init__(self, rig, folder, env=None, more=()):
        self.rig, self.folder = rig, folder
        self.canaries = canary.remember(folder / "segwatch.yaml", env)
        self.log_path = folder / f"log.{time.monotonic_ns()}"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([kit.SEGWATCH, "run", "-c", str(folder / "segwatch.yaml"), "--stats-ms",
                                             "50", *more], stderr=log, env=dict(os.environ, **(env or {})))
        rig.running.append(self)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def watermark(self):
        found = WATERMARK.findall(self.log())
        return found[-1] if found else None

    def wait(self, condition, seconds):
        """True: the condition holds; False: the process ended; None: time is up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            if self.process.poll() is not None:
                return bool(condition())
            time.sleep(0.02)
        return None

    def end(self, sig=15):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        code = None
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.canaries is not None:
            before, self.canaries = self.canaries, None
            if self.folder.exists():
                canary.look(self.folder / "segwatch.yaml", before)
        return code


class Rig:
    """A filled topic, the configuration, and what an undisturbed run writes."""

    PARTITIONS, N_BROKERS = 2, 1

    def __init__(self, folder, config="", options=(), **scenario):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(exist_ok=True)
        self.running, self.options = [], options
        kit.scenario(self.dir / "scenario", **(scenario or dict(seed=7, hours=3, hosts=60, load=5, attack="full")))
        self.messages = (self.dir / "scenario/messages.ndjson").read_bytes().splitlines()
        self.rules = (self.dir / "scenario/config.yaml").read_text()
        self.config = config
        self.broker = MockBroker(self.N_BROKERS)
        self.broker.tell(f"topic hub {self.PARTITIONS}")
        self.broker.produce("hub", rows_of(self.messages, self.PARTITIONS))
        self.final, self.expected = None, []
        self._oracle()

    def close(self):
        for r in self.running:
            r.end(9)
        self.broker.close()

    def folder(self, name):
        """A fresh folder with a configuration of its own."""
        d = self.dir / name
        d.mkdir()
        (d / "segwatch.yaml").write_text(
            f'sources:\n  - {{name: lab, kind: kafka, brokers: [{self.quoted()}], topic: hub, group: g-{name}, '
            'librdkafka: {fetch.wait.max.ms: "20", topic.metadata.refresh.interval.ms: "500", reconnect.backoff.max.ms: "200"}}\n'
            f"alerts: {{file: {d}/alerts.jsonl}}\nstate: {{dir: {d}/state}}\n{self.config}{self.rules}")
        return d

    def quoted(self):
        return ", ".join(f'"{b}"' for b in self.broker.brokers.split(","))

    def alerts(self, folder):
        return folder / "alerts.jsonl"

    def start(self, folder, env=None):
        return Run(self, folder, env, self.options)

    def is_done(self, run):
        """Everything is consumed, released and written."""
        if run.watermark() != self.final:
            return False
        path = self.alerts(run.folder)
        return path.exists() and path.read_bytes().count(b"\n") >= len(self.expected)

    def _oracle(self):
        """An undisturbed life: ends when the watermark stands still at the end of the topic."""
        d = self.folder("undisturbed")
        run = self.start(d)
        seen = [None, time.monotonic()]

        def still():
            w = run.watermark()
            if w != seen[0] or w in (None, "never"):
                seen[:] = [w, time.monotonic()]
            return time.monotonic() - seen[1] > 1.5

        if run.wait(still, 60) is not True or run.end() != 0:
            raise RuntimeError("the undisturbed run failed:\n" + run.log()[-3000:])
        self.final, self.expected = seen[0], read_lines(self.alerts(d))
        if not self.expected:
            raise RuntimeError("the scenario raises nothing: " + run.log()[-2000:])
