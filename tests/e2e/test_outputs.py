# SPDX-License-Identifier: Apache-2.0
"""Outputs as operators meet them: the daemon delivers what its alert file has, `check --online` asks whether it would,
`test-alert` tries."""
import ipaddress
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import test_webhook  # noqa: E402
from daemon import SEGWATCH, Daemon  # noqa: E402
from fake_azure import CLIENT, DCR, TENANT, FakeAzure  # noqa: E402
from sinks import BUILD, columns  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.columns = columns()

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="segwatch-e2e-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        (self.dir / "azure").mkdir()
        self.fake = FakeAzure(self.dir / "azure", self.columns)
        self.addCleanup(self.fake.close)
        self.secret = self.dir / "secret"
        self.secret.write_text("s3cret-canary")
        self.secret.chmod(0o600)

    def sentinel(self, **more):
        return {"name": "sentinel", "kind": "sentinel", "endpoint": self.fake.endpoint, "dcr": DCR,
                "ca_file": str(self.fake.ca), "retry": {"first": "20ms", "max": "200ms"},
                "auth": {"tenant": TENANT, "client_id": CLIENT, "client_secret": {"file": str(self.secret)},
                         "authority": self.fake.endpoint}, **more}


class Run(Case):
    def scenario(self):
        folder = self.dir / "scenario"
        subprocess.run([BUILD / "tests/gen_scenario", "--hours", "6", "--hosts", "80", "--load", "30", "--attack", "full",
                        "--out", folder], check=True, timeout=60)
        return folder

    def config(self, scenario, *outputs):
        path = self.dir / "segwatch.yaml"
        path.write_text(f"sources:\n  - {{name: f, kind: file, path: {scenario}/messages.ndjson, follow: true}}\n"
                        f"alerts: {{file: {self.dir}/alerts.jsonl}}\nstate: {{dir: {self.dir}/state}}\n"
                        f"admin: {{socket: {self.dir}/s, http: none}}\n"
                        f"outputs: {json.dumps(list(outputs))}\n" + (scenario / "config.yaml").read_text())
        return path

    def alerts(self):
        path = self.dir / "alerts.jsonl"
        return [json.loads(l) for l in path.read_text().splitlines()] if path.exists() else []

    def uids(self):
        return {r["EventOriginalUid"] for r in self.fake.rows}

    def all_there(self):
        lines = self.alerts()
        return lines and {l["metadata"]["uid"] for l in lines} <= self.uids()

    def complete(self, d, scenario):
        """All of the scenario is read, and no more lines come."""
        records = sum(len(json.loads(l)["records"]) for l in (scenario / "messages.ndjson").open())
        d.wait_for(lambda: d.records() == records, "everything is read")

        def steady():
            n = len(self.alerts())
            time.sleep(1)
            return n and len(self.alerts()) == n
        d.wait_for(steady, "no more lines")

    def test_what_the_alert_file_has_arrives(self):
        scenario = self.scenario()
        d = Daemon(self, self.config(scenario, self.sentinel()))
        self.complete(d, scenario)
        d.wait_for(self.all_there, "every line of the alert file at the fake")
        code, _ = d.stop()
        self.assertEqual(code, 0)
        rows = {r["EventOriginalUid"]: r for r in self.fake.rows}
        for line in self.alerts():
            self.assertEqual(rows[line["metadata"]["uid"]]["Finding"], line)
        self.assertEqual(self.fake.violations, [])
        self.assertNotIn("canary", d.log())

    def test_killed_in_an_outage_nothing_is_missing_afterwards(self):
        scenario = self.scenario()
        config = self.config(scenario, self.sentinel())
        self.fake.script = lambda n, rows: ("503", "500 taken", "reset taken")[n % 3]
        d = Daemon(self, config)
        d.wait_for(lambda: self.alerts() and len(self.fake.requests) > 3, "requests that fail")
        d.wait_log("event=sink_outage")
        d.process.send_signal(signal.SIGKILL)
        d.process.wait()
        self.fake.script = lambda n, rows: "ok"
        d = Daemon(self, config)
        d.wait_for(self.all_there, "every line of the alert file at the fake")
        d.stop()
        uids = [r["EventOriginalUid"] for r in self.fake.rows]
        self.assertLessEqual({u for u in uids if uids.count(u) > 1}, self.fake.unknown)
        self.assertEqual(self.fake.violations, [])

    def test_a_sink_that_hangs_stops_neither_the_alert_file_nor_the_end(self):
        scenario = self.scenario()
        self.fake.hang_seconds = 30
        self.fake.script = lambda n, rows: "hang"
        d = Daemon(self, self.config(scenario, self.sentinel()))
        d.wait_for(lambda: len(self.alerts()) > 1, "the alert file goes on")
        d.wait_for(lambda: self.fake.requests, "a request")
        code, seconds = d.stop()
        self.assertEqual(code, 0)
        self.assertLess(seconds, 5)

    def health(self):
        return [l for l in self.alerts() if l["unmapped"]["kind"] == "health" and "reach sentinel" in l["finding_info"]["title"]]

    def test_a_long_outage_is_a_finding_that_arrives_when_it_is_over(self):
        self.fake.script = lambda n, rows: "403"
        d = Daemon(self, self.config(self.scenario(), self.sentinel()), "--health-ms", "500")
        d.wait_for(self.health, "a finding about the outage")
        line = self.health()[0]
        self.assertIn("Monitoring Metrics Publisher", line["message"])
        self.assertIn("Nothing is lost", line["message"])
        self.assertEqual(self.fake.rows, [])
        self.fake.script = lambda n, rows: "ok"
        d.wait_for(self.all_there, "every line of the alert file at the fake")
        self.assertIn(line["metadata"]["uid"], self.uids())
        time.sleep(1.5)
        self.assertEqual(len(self.health()), 1, "told once")
        d.stop()

    def test_what_is_refused_for_good_is_set_aside_and_a_finding(self):
        self.fake.poison = "Segment policy"
        scenario = self.scenario()
        d = Daemon(self, self.config(scenario, self.sentinel()), "--health-ms", "500")
        told = lambda: [l for l in self.alerts() if l["finding_info"]["analytic"]["name"] == "sink_rejected"]
        refused = lambda: {l["metadata"]["uid"] for l in self.alerts() if "Segment policy" in l["finding_info"]["title"]}
        self.complete(d, scenario)
        d.wait_for(lambda: {l["metadata"]["uid"] for l in self.alerts()} - refused() <= self.uids() and told(),
                   "all others, and a finding")
        count = lambda: sum(int(l["message"].split(" refused ")[1].split()[0]) for l in told())
        d.wait_for(lambda: count() == len(refused()), "each counted once")
        d.wait_for(lambda: told()[-1]["metadata"]["uid"] in self.uids(), "which arrives as well")
        d.stop()
        rows = [json.loads(l) for l in (self.dir / "rejected.jsonl").read_text().splitlines()]
        self.assertGreater(len(refused()), 1)
        self.assertEqual({r["uid"] for r in rows}, refused())
        self.assertEqual(refused() & self.uids(), set())
        self.assertEqual(count(), len(rows))
        self.assertIn("rejected.jsonl", told()[0]["message"])

    def sinks_of_the_outbox(self):
        db = sqlite3.connect(f"file:{self.dir}/state/outbox.db?mode=ro", uri=True, timeout=30)
        try:
            return {name: marked for name, marked in db.execute("SELECT name, marked FROM sink")}
        finally:
            db.close()

    def test_outputs_change_with_a_restart_and_keep_their_marks(self):
        scenario = self.scenario()
        d = Daemon(self, self.config(scenario, self.sentinel()))
        self.complete(d, scenario)
        d.wait_for(self.all_there, "every line of the alert file at the fake")
        self.config(scenario, self.sentinel(rows_per_request=5), self.sentinel(name="second"))
        d.process.send_signal(signal.SIGHUP)
        d.wait_log("these changes need a restart: outputs")
        d.wait_for(lambda: self.sinks_of_the_outbox()["sentinel"] == self.sinks_of_the_outbox()["alerts"], "all is marked")
        d.stop()
        n, marked = len(self.fake.rows), self.sinks_of_the_outbox()["sentinel"]
        d = Daemon(self, self.dir / "segwatch.yaml")
        d.wait_for(lambda: "second" in self.sinks_of_the_outbox(), "the new output is known")
        self.assertGreaterEqual(self.sinks_of_the_outbox()["second"], marked, "it begins with what is new")
        time.sleep(1.5)
        d.stop()
        self.assertGreaterEqual(self.sinks_of_the_outbox()["sentinel"], marked)
        uids = [r["EventOriginalUid"] for r in self.fake.rows]
        self.assertEqual(len(uids[:n]), len(set(uids[:n])), "nothing comes twice")
        self.assertFalse(set(uids[:n]) & set(uids[n:]), "nor after the restart")
        d = Daemon(self, self.config(scenario, self.sentinel(name="second")))
        d.wait_for(lambda: set(self.sinks_of_the_outbox()) == {"alerts", "second"}, "what is no longer configured keeps nothing")
        d.stop()

    def test_what_is_kept_is_sent_again_when_asked_for(self):
        scenario = self.scenario()
        config = self.config(scenario, self.sentinel())
        d = Daemon(self, config)
        self.complete(d, scenario)
        d.wait_for(self.all_there, "every line of the alert file at the fake")
        n = len(self.fake.rows)
        subprocess.run([SEGWATCH, "resend", "-c", config, "--to", "sentinel", "--since", "1d"], check=True, timeout=30,
                       stderr=subprocess.PIPE)
        d.wait_for(lambda: len(self.fake.rows) >= 2 * n, "the same once more")
        time.sleep(1.5)
        d.stop()
        uids = [r["EventOriginalUid"] for r in self.fake.rows]
        self.assertEqual({uids.count(u) for u in set(uids[:n])}, {2})
        self.assertEqual(self.fake.violations, [])


class Online(Case):
    def run_verb(self, *args, outputs=None, sources=()):
        path = self.dir / "segwatch.json"
        path.write_text(json.dumps({"sources": list(sources), "outputs": [self.sentinel()] if outputs is None else outputs}))
        p = subprocess.run([SEGWATCH, args[0], "-c", path, *args[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=60, text=True)
        self.assertNotIn("canary", p.stdout + p.stderr)
        self.out = p.stdout
        return p.returncode, p.stderr

    def test_all_is_well(self):
        flows = self.dir / "flows"
        flows.write_text("")
        code, err = self.run_verb("check", "--online", sources=[{"name": "f", "kind": "file", "path": str(flows)}])
        self.assertEqual(code, 0, err)
        self.assertIn("output sentinel: ok", err)
        self.assertIn("source f: ok", err)
        self.assertEqual([r["rows"] for r in self.fake.requests], [0])
        self.assertEqual(self.fake.violations, [])

    def test_the_missing_role_is_named(self):
        self.fake.script = lambda n, rows: "403"
        code, err = self.run_verb("check", "--online")
        self.assertEqual(code, 1)
        self.assertIn("output sentinel: FAILED", err)
        self.assertIn(f"the identity {CLIENT} needs the role Monitoring Metrics Publisher", err)

    def test_a_wrong_rule_a_wrong_secret_and_nobody_there(self):
        closed = socket.socket()
        closed.bind(("127.0.0.1", 0))
        self.addCleanup(closed.close)
        port = closed.getsockname()[1]
        self.secret.write_text("wrong-canary")
        code, err = self.run_verb("check", "--online", outputs=[
            self.sentinel(), {"name": "siem", "kind": "syslog", "address": f"127.0.0.1:{port}", "transport": "tcp"},
            {"name": "hook", "kind": "webhook", "url": f"https://127.0.0.1:{port}/"}])
        self.assertEqual(code, 1)
        self.assertRegex(err, r"output sentinel: FAILED: .*AADSTS7000215")
        self.assertRegex(err, r"output siem: FAILED: .*Connection refused")
        self.assertRegex(err, r"output hook: FAILED: no connection")
        self.secret.write_text("s3cret-canary")
        code, err = self.run_verb("check", "--online", outputs=[self.sentinel(dcr="dcr-other")])
        self.assertEqual(code, 1)
        self.assertRegex(err, r"FAILED: status 404.*immutable id")

    def test_a_refusal_is_well_only_if_it_is_about_the_empty_array(self):
        code, err = self.run_verb("check", "--online", outputs=[self.sentinel(stream="Custom-Other")])
        self.assertEqual(code, 1, err)
        self.assertRegex(err, r"FAILED: status 400: InvalidStream: The stream Custom-Other was not configured.*is stream declared")
        self.fake.says_to_nothing = "InvalidTransformOutput", "Types of transform output columns do not match."
        code, err = self.run_verb("check", "--online")
        self.assertEqual(code, 1, err)
        self.assertRegex(err, r"FAILED: status 400 to an empty array: .*InvalidTransformOutput.*columns do not match")
        self.fake.says_to_nothing = "InvalidPayload", "The payload is empty."
        code, err = self.run_verb("check", "--online")
        self.assertEqual(code, 0, err)
        self.assertIn("output sentinel: ok: token and rule work (status 400 to an empty array)", err)

    def test_a_broker_that_is_not_there(self):
        # librdkafka tries on; the answer is no answer
        sources = [{"name": "k", "kind": "kafka", "brokers": ["127.0.0.1:1"], "topic": "t"}]
        code, err = self.run_verb("check", "--online", outputs=[], sources=sources)
        self.assertEqual(code, 1)
        self.assertIn("source k: FAILED", err)
        self.assertIn("event=kafka_connect", err)

    def test_a_test_alert_arrives_as_an_incident_that_says_it_is_a_sample(self):
        code, err = self.run_verb("test-alert")
        self.assertEqual(code, 0, err)
        self.assertIn("output sentinel: ok: delivered", err)
        self.assertEqual(len(self.fake.rows), 1)
        row = self.fake.rows[0]
        self.assertEqual(self.out, row["EventUid"] + "\n")
        self.assertTrue(row["AlertName"].startswith("[SAMPLE] "), row["AlertName"])
        self.assertTrue(row["EventMessage"].startswith("[SAMPLE] "), row["EventMessage"])
        # what the analytics rule for incidents asks for, and the one for loss of visibility does not
        self.assertEqual((row["FindingKind"], row["FindingActivity"]), ("incident", "Create"))
        self.assertEqual((row["EventSeverity"], row["IsSample"]), ("Low", True))
        self.assertEqual((row["AttackTactics"], row["AttackTechniques"]),
                         ("Lateral Movement (TA0008)", "Remote Services (T1021)"))
        documentation = [ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
        for key in ("DvcIpAddr", "SrcIpAddr", "DstIpAddr"):
            self.assertTrue(any(ipaddress.ip_address(row[key]) in n for n in documentation), row[key])
        self.assertIs(row["Finding"]["unmapped"]["is_sample"], True)
        jsonschema.Draft7Validator(json.loads((ROOT / "config/alert.schema.json").read_text())).validate(row["Finding"])
        self.assertEqual(self.fake.violations, [])
        self.run_verb("test-alert")
        self.assertNotEqual(self.fake.rows[1]["EventUid"], row["EventUid"], "each is an incident of its own")

    def test_a_sample_says_so_in_every_format(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        server.settimeout(20)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        got = []

        def take():
            for _ in range(2):
                s, _ = server.accept()
                s.settimeout(20)
                data = s.recv(65536)
                while data and len(data) < int(data.split(b" ", 1)[0]) + data.index(b" ") + 1:
                    data += s.recv(65536)
                got.append(data.decode())
                s.close()
        taker = threading.Thread(target=take)
        taker.start()
        receiver = test_webhook.Receiver(self)
        hook = {"kind": "webhook", "url": f"https://127.0.0.1:{receiver.port}/", "ca_file": str(self.fake.ca)}
        code, err = self.run_verb("test-alert", outputs=[
            {"name": "cef", "kind": "syslog", "transport": "tcp", "address": address, "format": "cef"},
            {"name": "json", "kind": "syslog", "transport": "tcp", "address": address, "format": "json"},
            {"name": "soar", **hook}, {"name": "chat", "single": True, "fields": {"text": "{severity}: {message}"}, **hook}])
        self.assertEqual(code, 0, err)
        taker.join(20)
        uid = self.out.strip()
        cef = next(line for line in got if "CEF:0|" in line)
        self.assertRegex(cef, r"\|D07\|\[SAMPLE\] [^|]*\|3\|.* flexNumber1=1 flexNumber1Label=Sample ")
        self.assertIn(f" externalId={uid} ", cef)
        text = next(line for line in got if "CEF:0|" not in line)
        lines = [json.loads(text[text.index("{"):])] + [r["json"][0] for r in receiver.taken if isinstance(r["json"], list)]
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertIs(line["unmapped"]["is_sample"], True)
            self.assertTrue(line["finding_info"]["title"].startswith("[SAMPLE] "))
            self.assertEqual(line["finding_info"]["uid"], uid)
        chat, = [r["json"] for r in receiver.taken if isinstance(r["json"], dict)]
        self.assertTrue(chat["text"].startswith("Low: [SAMPLE] "), chat)

    def test_a_test_alert_passes_filters_and_goes_where_it_is_told(self):
        outputs = [self.sentinel(min_severity="critical", detectors=["segment_policy"]), self.sentinel(name="other")]
        code, err = self.run_verb("test-alert", "--to", "sentinel", outputs=outputs)
        self.assertEqual(code, 0, err)
        self.assertNotIn("other", err)
        self.assertEqual(len(self.fake.rows), 1)
        code, err = self.run_verb("test-alert", "--to", "nobody", outputs=outputs)
        self.assertEqual(code, 78)
        self.assertIn("no output named nobody", err)

    def test_a_test_alert_that_is_not_taken_says_why(self):
        self.fake.script = lambda n, rows: "403"
        code, err = self.run_verb("test-alert")
        self.assertEqual(code, 1)
        self.assertIn("output sentinel: FAILED: status 403", err)


if __name__ == "__main__":
    unittest.main()
