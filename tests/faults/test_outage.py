# SPDX-License-Identifier: Apache-2.0
"""An output that cannot be reached for six hours while ten findings a second come, from flow log to row: what waits stays
within the queue's size, everything arrives in order when it is over; what goes beyond the size is given up, oldest of
the least severe first, counted, told, and can be sent again.

Six hours of event time go by as fast as the daemon reads; CI takes a sixtieth of them, `./dev soak sink` a sixth,
`--count 216000` all."""
import calendar
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import tempfile
import time
import unittest
import urllib.request

import kit
from daemon import Daemon
from fake_azure import CLIENT, DCR, TENANT, FakeAzure
from sinks import columns
from test_health import record

MS = 100           # between two findings: ten a second
PORTS = 60000
MIB = 1 << 20

SEGMENTS = """
  - {name: flood, cidrs: [10.201.0.0/16], role: app, criticality: 1}
  - {name: lab, cidrs: [10.202.0.0/24], role: app, criticality: 1}
"""
POLICY = """
  - {from: flood, to: lab, services: [65000/tcp]}
"""


def flood(n, begin_ms):
    """NDJSON records of n flows, each to a service of its own that no policy row allows: n findings of medium severity.
    What follows ten minutes later takes event time beyond them."""
    out, rows, minute = [], [], None
    for i in range(n):
        ms = begin_ms + i * MS
        if minute is not None and ms // 60000 != minute:
            out.append(record((minute + 1) * 60000, rows))
            rows = []
        minute = ms // 60000
        ends = f"10.201.{i % 200}.{4 + i // 200 % 200},10.202.0.{4 + i // PORTS},40000,{1 + i % PORTS},6,I"
        rows += [f"{ms},{ends},B,NX,0,0,0,0", f"{ms + 20},{ends},E,NX,10,1000,10,1000"]
    out.append(record((minute + 1) * 60000, rows))
    out.append(record((minute + 11) * 60000, [f"{(minute + 11) * 60000},10.201.0.4,10.202.0.4,1,65000,6,I,B,NX,0,0,0,0"]))
    return out


def wrong_order(rows):
    """What is wrong with rows as they arrived: a finding's lines must come in their order. None: nothing."""
    newest = {}
    for r in rows:
        if r["FindingSequence"] <= newest.get(r["EventUid"], 0):
            return f"finding {r['EventUid']}: line {r['FindingSequence']} after line {newest[r['EventUid']]}"
        newest[r["EventUid"]] = r["FindingSequence"]
    return None


def missing(uids, rows):
    """Ids of lines that have no row."""
    return set(uids) - {r["EventOriginalUid"] for r in rows}


class Alerts:
    """What the alert file has, read on as it grows: at full size it has a gigabyte."""

    def __init__(self, path):
        self.path, self.at = path, 0
        self.lines = []  # (uid, severity, name of the rule)
        self.told = {}   # name of the rule: message of its first line
        self.n_lab = 0   # findings of the flood, once in each of their lines

    def read(self):
        if not self.path.exists():
            return self
        with open(self.path, "rb") as f:
            f.seek(self.at)
            for line in f:
                if not line.endswith(b"\n"):
                    break
                self.at += len(line)
                self.n_lab += line.count(b'"segment_dst":"lab"')
                l = json.loads(line)
                name = l["finding_info"]["analytic"]["name"]
                self.told.setdefault(name, l["message"])
                self.lines.append((l["metadata"]["uid"], l["severity"], name))
        return self

    def uids(self, *severities):
        return [uid for uid, severity, _ in self.read().lines if not severities or severity in severities]


class Outage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="segwatch-outage-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        (self.dir / "azure").mkdir()
        self.fake = FakeAzure(self.dir / "azure", columns())
        self.addCleanup(self.fake.close)
        self.flows = self.dir / "flows.ndjson"
        self.flows.write_text("")
        self.alerts = Alerts(self.dir / "alerts.jsonl")
        self.scenario = kit.scenario(self.dir / "scenario", seed=kit.SEED, hours=6, hosts=80, load=30, attack="full")

    def config(self, queue):
        """The scenario's network, and one segment that floods."""
        rules = (self.scenario / "config.yaml").read_text()
        rules = rules.replace("segments:\n", "segments:" + SEGMENTS, 1)
        rules = rules.replace("policy:\n", "policy:" + POLICY, 1) if "policy:\n" in rules else rules + "policy:" + POLICY
        secret = self.dir / "secret"
        secret.write_text("s3cret-canary")
        secret.chmod(0o600)
        output = {"name": "sentinel", "kind": "sentinel", "endpoint": self.fake.endpoint, "dcr": DCR, "queue": queue,
                  "ca_file": str(self.fake.ca), "retry": {"first": "20ms", "max": "200ms"},
                  "auth": {"tenant": TENANT, "client_id": CLIENT, "client_secret": {"file": str(secret)},
                           "authority": self.fake.endpoint}}
        path = self.dir / "segwatch.yaml"
        path.write_text(f"sources:\n  - {{name: f, kind: file, path: {self.flows}, follow: true}}\n"
                        f"alerts: {{file: {self.dir}/alerts.jsonl, rotate: {{size: 0}}}}\nstate: {{dir: {self.dir}/state}}\n"
                        f"admin: {{socket: {self.dir}/s, http: \"127.0.0.1:0\"}}\n"
                        f"incidents: {{max_per_hour: 100000}}\noutputs: {json.dumps([output])}\n" + rules)
        return path

    def waiting(self):
        """(rows, bytes) that wait for the output, as the outbox' own file says."""
        db = sqlite3.connect(f"file:{self.dir}/state/outbox.db?mode=ro", uri=True, timeout=30)
        try:
            return db.execute(
                "SELECT count(*), coalesce(sum(f.bytes), 0) FROM sink s JOIN finding f ON f.number > s.marked LEFT JOIN floor"
                " ON floor.sink = s.id AND floor.severity = f.severity WHERE s.name = 'sentinel'"
                " AND f.number > coalesce(floor.upto, 0)").fetchone()
        finally:
            db.close()

    def metrics(self, d):
        port = re.search(r"listening, port (\d+)", d.log()).group(1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as f:
            return {k: float(v) for k, v in re.findall(r"(?m)^([a-z_]+(?:\{.*\})?) (\S+)$", f.read().decode())}

    def begin(self, queue):
        """The daemon with a service that is down, when it has read the attack."""
        self.fake.down()
        config = self.config(queue)
        self.flows.write_bytes((self.scenario / "messages.ndjson").read_bytes())
        d = Daemon(self, config, "--health-ms", "1000")
        d.wait_log("event=sink_outage")
        d.wait_for(lambda: self.alerts.uids("Critical"), "the attack is found", 60)
        return d, config

    def flood(self, d, n, cap):
        """Feeds n findings in pieces and looks at the queue all the while; the most bytes that waited."""
        newest = max(re.findall(rb'"time":"([^".]+)', (self.scenario / "messages.ndjson").read_bytes())).decode()
        lines = flood(n, (calendar.timegm(time.strptime(newest.rstrip("Z"), "%Y-%m-%dT%H:%M:%S")) // 60 + 2) * 60000)
        step, most = max(1, len(lines) // 40), 0
        for i in range(0, len(lines), step):
            with open(self.flows, "a") as f:
                f.write("".join(lines[i:i + step]))
            end = time.monotonic() + 0.1
            while time.monotonic() < end:
                most = max(most, self.waiting()[1])
                time.sleep(0.02)
        end = time.monotonic() + 30 + n / 200
        while self.alerts.read().n_lab < n and time.monotonic() < end:
            most = max(most, self.waiting()[1])
            time.sleep(0.05)
        time.sleep(1.2)
        most = max(most, self.waiting()[1])
        self.assertLessEqual(most, cap)
        self.assertIsNone(d.process.poll(), d.log()[-3000:])
        return most

    def test_six_hours_are_made_up_for_in_order(self):
        n = kit.size(3600, 36000)
        cap = max(64 * MIB, n * 5000)
        d, _ = self.begin(cap)
        most = self.flood(d, n, cap)
        rows, size = self.waiting()
        self.assertGreaterEqual(rows, n, "everything waits")
        self.assertEqual(self.metrics(d)['segwatch_spool_rows{sink="sentinel"}'], rows)
        self.assertEqual(self.fake.rows, [])
        self.fake.up()
        d.wait_for(lambda: self.fake.rows, "the first row", 30)
        began = time.monotonic()
        d.wait_for(lambda: len(self.fake.rows) >= rows, "the queue is empty", 30 + n / 500)
        rate = len(self.fake.rows) / (time.monotonic() - began)
        d.wait_for(lambda: not missing(self.alerts.uids(), self.fake.rows), "every line", 30)
        d.stop()
        uids = self.alerts.uids()
        self.assertEqual(self.fake.violations[:3], [])
        self.assertIsNone(wrong_order(self.fake.rows))
        self.assertEqual(len(self.fake.rows), len(uids), "each once")
        busy = os.getloadavg()[0] > 2 * os.cpu_count()  # with others: the service of this test is slow then
        self.assertGreaterEqual(rate, 200 if busy else 1000, "rows a second")
        kit.say("outage", f"{rows} findings waited, at most {most / MIB:.1f} MiB; sent at {rate:.0f} rows/s")
        # the checks see what they should
        some = self.fake.rows
        self.assertIsNotNone(wrong_order(some + some[:1]))
        self.assertEqual(len(missing(uids, some[:7] + some[8:])), 1)

    def test_beyond_the_cap_the_oldest_least_severe_go_and_can_be_sent_again(self):
        n = kit.size(2400, 36000)
        cap = 2 * MIB
        d, config = self.begin(cap)
        severe = set(self.alerts.uids("High", "Critical"))
        most = self.flood(d, n, cap)
        m = self.metrics(d)
        shown = lambda m: (m['segwatch_spool_rows{sink="sentinel"}'], m['segwatch_spool_bytes{sink="sentinel"}'])
        d.wait_for(lambda: shown(self.metrics(d)) == self.waiting(), "the metrics say what the file says")
        given_up = m['segwatch_spool_given_up_total{sink="sentinel"}']
        kept, _ = self.waiting()
        self.assertGreater(given_up, n / 3)
        self.assertIn("event=outbox_given_up", d.log())
        d.wait_for(lambda: "sink_given_up" in self.alerts.read().told, "a finding")
        self.assertIn("segwatch resend", self.alerts.told["sink_given_up"])
        self.fake.up()
        d.wait_for(lambda: self.waiting()[0] == 0 and len(self.fake.rows) >= kept, "what was kept arrives", 60)
        arrived = {r["EventOriginalUid"] for r in self.fake.rows}
        self.assertLessEqual(severe, arrived, "what is severe is kept, although it is the oldest")
        self.assertIsNone(wrong_order(self.fake.rows))
        order = self.alerts.uids("Medium")
        places = [i for i, uid in enumerate(order) if uid in arrived]
        # the newest without a hole; of the oldest those that were in a request already
        first = next(i for i in reversed(places) if i == 0 or order[i - 1] not in arrived)
        self.assertEqual(places[-(len(order) - first):], list(range(first, len(order))))
        self.assertLessEqual(len(places) - (len(order) - first), 400)
        lost = missing(self.alerts.uids(), self.fake.rows)
        self.assertGreaterEqual(len(lost), given_up - 400)
        subprocess.run([kit.SEGWATCH, "resend", "-c", str(config), "--to", "sentinel", "--since", "1d"], check=True,
                       timeout=60, stderr=subprocess.PIPE)
        # this process is the service too: it has no time to read the alert file again and again
        wanted = set(self.alerts.uids())
        d.wait_for(lambda: wanted <= {r["EventOriginalUid"] for r in self.fake.rows}, "all of it after resend", 60 + n / 200)
        d.wait_for(lambda: not missing(self.alerts.uids(), self.fake.rows), "and what was told meanwhile")
        d.stop()
        self.assertEqual(self.fake.violations[:3], [])
        kit.say("outage beyond the cap", f"{n} findings, at most {most / MIB:.2f} of {cap / MIB:.0f} MiB waited, "
                f"{given_up:.0f} given up and told, all sent again")


if __name__ == "__main__":
    unittest.main()
