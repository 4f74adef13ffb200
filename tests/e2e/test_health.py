# SPDX-License-Identifier: Apache-2.0
"""Losses of sight become findings: once, with a name and a cure. And systemd hears of the daemon what is true."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from daemon import SEGWATCH, Daemon

BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", str(pathlib.Path(SEGWATCH).parents[1])))
T0 = 1772445600000  # 2026-03-02T10:00:00Z


def record(ms, tuples, log="web", mac="00224871C205"):
    """One line with one VNet flow log record."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms / 1000)) + "Z"
    return json.dumps({"records": [{
        "time": stamp, "flowLogVersion": 4, "macAddress": mac, "category": "FlowLogFlowEvent",
        "flowLogResourceID": f"/subscriptions/00000000-0000-0000-0000-000000000000/flowlogs/{log}",
        "targetResourceID": "/subscriptions/00000000-0000-0000-0000-000000000000/vnet",
        "flowRecords": {"flows": [{"aclID": "a", "flowGroups": [{"rule": "r", "flowTuples": tuples}]}]}}]}) + "\n"


def flow(ms, src="10.1.0.4", dst="10.1.2.5", sport=40000, dport=443, state="B"):
    return f"{ms},{src},{dst},{sport},{dport},6,I,{state},NX,0,0,0,0"


class Health(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="segwatch-e2e-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        self.path = self.dir / "flows.ndjson"
        self.path.write_text("")

    def config(self, more=""):
        file = self.dir / "segwatch.yaml"
        file.write_text(f"sources:\n  - {{name: f, kind: file, path: {self.path}, follow: true}}\n"
                        f"alerts: {{file: {self.dir}/alerts.jsonl}}\nstate: {{dir: {self.dir}/state}}\n"
                        f"admin: {{socket: {self.dir}/s.sock, http: none}}\n{more}")
        return file

    def append(self, text):
        with open(self.path, "a") as f:
            f.write(text)

    def findings(self, kind=None):
        path = self.dir / "alerts.jsonl"
        lines = [json.loads(l) for l in path.read_text().splitlines()] if path.exists() else []
        return [l for l in lines if l["unmapped"]["kind"] == "health"
                and (not kind or l["finding_info"]["analytic"]["name"] == kind)]

    def status(self):
        p = subprocess.run([SEGWATCH, "ctl", "status", "-o", "json", "--socket", f"{self.dir}/s.sock"],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=40)
        return json.loads(p.stdout)["result"] if p.returncode == 0 else None

    def quiet(self, minutes=60):
        return "".join(record(T0 + m * 60000, [flow(T0 + m * 60000)]) for m in range(minutes))

    def test_quarantine_is_told_once_an_hour(self):
        self.append(self.quiet() + '{"records":[{"nothing":1}]}\n' * 99)
        d = Daemon(self, self.config())
        d.wait_for(lambda: d.records() >= 60, "the records")
        time.sleep(2.2)
        self.assertEqual(self.findings(), [], "99 are no news")
        self.append('{"records":[{"nothing":1}]}\n' * 2)
        d.wait_for(lambda: self.findings("quarantine"), "a finding")
        finding = self.findings("quarantine")[0]
        self.assertRegex(finding["message"], r"^101 of 161 messages could not be used .*: .*\.")
        self.assertEqual((finding["severity_id"], finding["activity_id"]), (3, 1))
        self.assertEqual(len(self.findings()), 1, "and not as unreadable records once more")
        self.append('{"records":[{"nothing":1}]}\n' * 500)
        time.sleep(2.2)
        self.assertEqual(len(self.findings("quarantine")), 1, "not again within the hour")

    def test_again_after_the_hour(self):
        self.append('{"records":[{"nothing":1}]}\n' * 200)
        d = Daemon(self, self.config(), "--health-ms", "1000")
        d.wait_for(lambda: len(self.findings("quarantine")) == 1, "a finding")
        time.sleep(2.2)
        self.assertEqual(len(self.findings("quarantine")), 1, "nothing new was lost")
        self.append('{"records":[{"nothing":1}]}\n' * 150)
        d.wait_for(lambda: len(self.findings("quarantine")) == 2, "another")
        self.assertRegex(self.findings("quarantine")[1]["message"], r"^150 of 150 ")

    def test_a_flow_log_that_falls_silent_is_named(self):
        lines = []
        for m in range(240):
            ms = T0 + m * 60000
            lines.append(record(ms, [flow(ms)], log="goes-on"))
            if m < 120:
                lines.append(record(ms, [flow(ms, src="10.2.0.4")], log="switched-off", mac="00224871C206"))
        self.append("".join(lines))
        d = Daemon(self, self.config())
        d.wait_for(lambda: self.findings("silent_flow_log"), "a finding")
        message = self.findings("silent_flow_log")[0]["message"]
        self.assertIn("/flowlogs/switched-off (last record 2026-03-02T11:59:00.000Z)", message)
        self.assertNotIn("goes-on", message)
        s = self.status()
        self.assertEqual((s["flow_logs"], s["flow_logs_silent"]), (2, 1))

    def test_all_speak_and_nothing_is_told(self):
        self.append("".join(record(T0 + m * 60000, [flow(T0 + m * 60000)], log=f"l{m % 2}") for m in range(300)))
        d = Daemon(self, self.config())
        d.wait_for(lambda: d.records() == 300, "the records")
        time.sleep(2.5)
        self.assertEqual(self.findings(), [])

    def test_a_clock_that_runs_ahead(self):
        self.append(self.quiet())
        ms = T0 + 3600000
        self.append(record(ms, [flow(ms + 600000, sport=1000 + i) for i in range(150)]))
        self.append(record(ms + 60000, [flow(ms + 60000)]))
        d = Daemon(self, self.config())
        d.wait_for(lambda: self.findings("clock"), "a finding")
        self.assertRegex(self.findings("clock")[0]["message"], r"^150 of 211 flow tuples .*150 were set to the time")

    def test_tuples_that_are_too_late(self):
        self.append("".join(record(T0 + m * 60000, [flow(T0 + m * 60000)]) for m in range(300)))
        d = Daemon(self, self.config())
        d.wait_for(lambda: d.records() == 300, "the records")
        d.wait_for(lambda: self.status()["watermark"], "a watermark")
        time.sleep(1)
        self.append(record(T0 + 300 * 60000, [flow(T0 + i * 1000, sport=i + 1) for i in range(120)]))
        d.wait_for(lambda: self.findings("too_late"), "a finding")
        self.assertRegex(self.findings("too_late")[0]["message"], r"^120 flow tuples came later than time.lateness")

    def test_state_pressure_names_the_tables_in_one_finding(self):
        lines, n = [], 0
        for m in range(60):
            ms = T0 + m * 60000
            tuples = [flow(ms + i, src=f"{20 + n // 65536}.{n // 256 % 256}.{n % 256}.{i % 250 + 1}", dst="10.1.2.5",
                           sport=1024 + i, state="D") for i in range(3000) for n in [m * 3000 + i]]
            lines.append(record(ms, tuples))
        self.append("".join(lines))
        d = Daemon(self, self.config("memory: {limit: 64MiB}\n"))
        d.wait_for(lambda: self.findings("state_pressure"), "a finding", 40)
        message = self.findings("state_pressure")[0]["message"]
        self.assertRegex(message, r"^Tables are full and lose entries: \w+ \(\d+ lost, \d+ kept\)")
        self.assertIn("memory.limit", message)
        d.wait_for(lambda: self.status()["sources"][0]["records"] == 60, "all is read", 60)
        time.sleep(1.5)
        self.assertEqual(len(self.findings("state_pressure")), 1)
        self.assertTrue(self.status()["memory"]["evicting"])


class Systemd(Health):
    """Only what is new here: the class shares the helpers, not the tests."""

    def setUp(self):
        super().setUp()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(f"{self.dir}/notify")
        self.heard = []

    def start(self, **env):
        return Daemon(self, self.config(), env={"NOTIFY_SOCKET": f"{self.dir}/notify", "WATCHDOG_USEC": "2000000", **env})

    def hear(self, seconds=0.1):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.notify.settimeout(left)
            try:
                self.heard.append((time.monotonic(), self.notify.recv(4096).decode()))
            except socket.timeout:
                break
        return [text for _, text in self.heard]

    def wait_heard(self, d, text, seconds=15):
        d.wait_for(lambda: any(text in h for h in self.hear()), text, seconds)

    def test_the_sequence(self):
        d = self.start()
        self.wait_heard(d, "STATUS=")
        self.wait_heard(d, "WATCHDOG=1")
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        d.process.send_signal(signal.SIGHUP)
        self.wait_heard(d, "RELOADING=1")
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        reloading = next(h for h in self.hear() if "RELOADING=1" in h)
        stamp = int(reloading.split("MONOTONIC_USEC=")[1])
        self.assertTrue(before <= stamp <= after, (before, stamp, after))
        d.wait_for(lambda: self.hear().count("READY=1") == 2, "READY after the reload")
        self.assertEqual(d.stop()[0], 0)
        words = [h for h in self.hear() if not h.startswith(("WATCHDOG", "STATUS"))]
        self.assertEqual([w.split("\n")[0] for w in words], ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"])

    def wedge(self, thread, feed):
        """Pings go on until the thread hangs, and not beyond."""
        d = self.start(LD_PRELOAD=str(BUILD / "tests/wedge.so"), WEDGE_FILE=f"{self.dir}/wedge")
        self.append(self.quiet())
        d.wait_for(lambda: d.records() == 60, "the records")
        self.hear(3)
        pings = [t for t, h in self.heard if h == "WATCHDOG=1"]
        self.assertGreaterEqual(len(pings), 2, "all is well")
        (self.dir / "wedge").write_text(thread)
        self.append(feed)
        wedged = time.monotonic()
        d.wait_for(lambda: "event=hangs" in d.log(), "the log says so", 15)
        self.hear(3)
        self.heard = [(t, h) for t, h in self.heard if t > wedged + 4]
        self.hear(2)
        self.assertEqual([h for _, h in self.heard if h == "WATCHDOG=1"], [])
        self.assertIn("hangs", [self.status()["state"]])

    def test_pings_stop_when_the_engine_hangs(self):
        self.wedge("engine", "")

    def test_pings_stop_when_a_worker_hangs(self):
        self.wedge("worker", record(T0 + 7200000, [flow(T0 + 7200000)]))


for name in [n for n in dir(Health) if n.startswith("test_")]:
    setattr(Systemd, name, None)

if __name__ == "__main__":
    unittest.main()
