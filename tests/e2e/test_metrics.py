# SPDX-License-Identifier: Apache-2.0
"""The HTTP port: metrics that Prometheus takes, readiness with its reason, and a parser that nobody can annoy."""
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

from daemon import SEGWATCH, Daemon
from fake_azure import CLIENT, DCR, TENANT, FakeAzure
from sinks import columns

BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", str(pathlib.Path(SEGWATCH).parents[1])))


UUID = "00000000-0000-0000-0000-000000000001"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segwatch-e2e-")
        cls.addClassCleanup(cls.folder.cleanup)
        scenario = pathlib.Path(cls.folder.name, "scenario")
        subprocess.run([str(BUILD / "tests/gen_scenario"), "--hours", "6", "--hosts", "80", "--load", "30", "--attack",
                        "full", "--out", str(scenario)], check=True, timeout=60, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        cls.data = (scenario / "messages.ndjson").read_bytes()
        cls.rules = (scenario / "config.yaml").read_text()
        cls.n_messages = cls.data.count(b"\n")

    def setUp(self):
        self.dir = pathlib.Path(self.folder.name, self._testMethodName)
        self.dir.mkdir()
        self.path = self.dir / "flows.ndjson"
        self.path.write_bytes(self.data)

    def config(self, admin="{socket: none, http: \"127.0.0.1:0\"}", sources=None):
        file = self.dir / "segwatch.yaml"
        sources = sources or f"  - {{name: f, kind: file, path: {self.path}, follow: true}}\n"
        file.write_text(f"sources:\n{sources}alerts: {{file: {self.dir}/alerts.jsonl}}\n"
                        f"state: {{dir: {self.dir}/state}}\nadmin: {admin}\n{self.rules}")
        return file

    def start(self, read=True, **kw):
        d = Daemon(self, self.config(**kw))
        d.wait_log("listening, port ")
        d.port = int(re.search(r"listening, port (\d+)", d.log()).group(1))
        if read:
            d.wait_for(lambda: self.value(d, "segwatch_messages_total") == self.n_messages, "all of it is read")
        return d

    def get(self, d, path="/metrics", method="GET", token=None):
        """(status, headers, body)"""
        r = urllib.request.Request(f"http://127.0.0.1:{d.port}{path}", method=method)
        if token:
            r.add_header("Authorization", "Bearer " + token)
        try:
            with urllib.request.urlopen(r, timeout=10) as f:
                return f.status, f.headers, f.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read().decode()

    def samples(self, d):
        return {k: float(v) for k, v in re.findall(r"(?m)^([a-z_]+(?:\{.*\})?) (\S+)$", self.get(d)[2])}

    def value(self, d, name):
        return self.samples(d).get(name)

    def raw(self, d, data, shut=False):
        with socket.create_connection(("127.0.0.1", d.port), timeout=7) as s:
            out = b""
            try:
                s.sendall(data)
                if shut:
                    s.shutdown(socket.SHUT_WR)
                while part := s.recv(65536):
                    out += part
            except (ConnectionResetError, BrokenPipeError, socket.timeout):
                pass
            return out

    def test_promtool_finds_nothing_wrong(self):
        d = self.start()
        status, headers, body = self.get(d)
        self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        p = subprocess.run(["promtool", "check", "metrics"], input=body, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=30, text=True)
        self.assertEqual((p.returncode, p.stdout), (0, ""))
        p = subprocess.run(["promtool", "check", "metrics"], input=body.replace("_total", "_totale"),
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, text=True)
        self.assertNotEqual(p.returncode, 0, "the check can fail")

    def test_values_are_those_of_the_stream(self):
        d = self.start()
        p = subprocess.run([SEGWATCH, "replay", "-c", str(self.config()), "--summary", "-", str(self.path)],
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, timeout=60)
        summary = json.loads(p.stderr.splitlines()[-1])
        v = self.samples(d)
        for name, key in (("segwatch_records_total", "records"), ("segwatch_records_duplicate_total", "records_duplicate"),
                          ('segwatch_tuples_total{state="begin"}', "tuples_begin"),
                          ('segwatch_tuples_total{state="denied"}', "tuples_denied"),
                          ("segwatch_tuples_late_total", "tuples_late")):
            self.assertEqual(v[name], summary[key], name)
        self.assertEqual(v['segwatch_source_up{source="f"}'], 1)
        self.assertEqual(v["segwatch_ready"], 1)
        self.assertLess(abs(v["process_start_time_seconds"] - time.time()), 60)
        self.assertGreater(v["process_resident_memory_bytes"], 1 << 20)
        self.assertGreater(v["process_open_fds"], 5)
        tables = [k for k in v if k.startswith("segwatch_state_bytes")]
        self.assertGreater(len(tables), 20)
        lines = [json.loads(l) for l in (self.dir / "alerts.jsonl").read_text().splitlines()]
        d.wait_for(lambda: sum(x for k, x in self.samples(d).items() if k.startswith("segwatch_findings_total{")) ==
                   len((self.dir / "alerts.jsonl").read_text().splitlines()), "a count for each line")
        v = self.samples(d)
        creates = sum(l["activity_id"] == 1 and l["unmapped"]["kind"] == "incident" for l in lines)
        self.assertGreaterEqual(sum(x for k, x in v.items() if k.startswith('segwatch_findings_total{rule="incident"')
                                    and 'activity="create"' in k), creates)
        self.assertGreater(v["segwatch_detect_latency_seconds_count"], 0)
        self.assertEqual(v["segwatch_detect_latency_seconds_count"], v['segwatch_detect_latency_seconds_bucket{le="+Inf"}'])

    def test_a_real_prometheus_scrapes_it(self):
        d = self.start()
        port = free_port()
        conf = self.dir / "prometheus.yml"
        conf.write_text("global: {scrape_interval: 500ms}\nscrape_configs:\n- job_name: segwatch\n"
                        f"  static_configs: [{{targets: ['127.0.0.1:{d.port}']}}]\n")
        log = open(self.dir / "prometheus.log", "wb")
        self.addCleanup(log.close)
        p = subprocess.Popen(["prometheus", f"--config.file={conf}", f"--storage.tsdb.path={self.dir}/tsdb",
                              f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        self.addCleanup(lambda: (p.terminate(), p.wait(30)))

        def query(expression):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query="
                                            + urllib.parse.quote(expression), timeout=5) as f:
                    rows = json.load(f)["data"]["result"]
                    return float(rows[0]["value"][1]) if rows else None
            except OSError:
                return None

        d.wait_for(lambda: query('up{job="segwatch"}') == 1, "Prometheus has scraped it", 40)
        self.assertEqual(query("segwatch_messages_total"), self.n_messages)
        self.assertGreater(query("count({__name__=~'segwatch_.*'})"), 100)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=5) as f:
            self.assertEqual(json.load(f)["data"]["activeTargets"][0]["lastError"], "")

    def test_routes(self):
        d = self.start()
        for path, status in (("/", 200), ("/metrics?x=y", 200), ("/healthz", 200), ("/readyz", 200), ("/metrics/", 404),
                             ("/METRICS", 404), ("/%6detrics", 404), ("/../etc/passwd", 404), ("/reload", 404)):
            self.assertEqual(self.get(d, path)[0], status, path)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "QUIT"):
            status, headers, _ = self.get(d, "/metrics", method)
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"), method)
        head, whole = self.raw(d, b"HEAD /healthz HTTP/1.0\r\n\r\n"), self.raw(d, b"GET /healthz HTTP/1.0\r\n\r\n")
        self.assertTrue(whole.startswith(head) and head.endswith(b"\r\n\r\n") and whole.endswith(b"ok\n"))

    def test_bad_requests_are_answered(self):
        d = self.start(read=False)
        for data, status in ((b"\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
                             (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 400), (b"\x16\x03\x01\x02\n", 400),
                             (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
                             (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20000, 431),
                             (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100 + b"\r\n", 431), (b"GET / HT", 408)):
            answer = self.raw(d, data)
            self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), (data[:40], answer[:80]))
        self.assertEqual(self.get(d, "/healthz")[0], 200)
        v = self.samples(d)
        self.assertEqual(v['segwatch_admin_refused_total{socket="http",reason="too_long"}'], 1)
        self.assertEqual(v['segwatch_admin_refused_total{socket="http",reason="too_slow"}'], 1)

    def finds_a_place(self, d):
        try:
            return self.get(d, "/healthz")[0] == 200
        except OSError:
            return False

    def test_a_thousand_slow_and_garbling_clients_are_bounded(self):
        d = self.start(read=False)
        fds = lambda: len(os.listdir(f"/proc/{d.process.pid}/fd"))
        self.get(d)
        time.sleep(0.3)
        before, worst, crowd = fds(), 0, []
        try:
            for i in range(1000):
                s = socket.socket()
                s.setblocking(False)
                try:
                    s.connect(("127.0.0.1", d.port))
                except BlockingIOError:
                    pass
                try:
                    s.send((b"GET /met", b"\xff" * 9000, b"")[i % 3])
                except OSError:
                    pass
                crowd.append(s)
                if i % 100 == 0:
                    worst = max(worst, fds())
            end = time.monotonic() + 4
            while time.monotonic() < end:
                worst = max(worst, fds())
                time.sleep(0.05)
            self.assertLessEqual(worst, before + 18, "16 clients, the one being sent away, and ours")
            d.wait_for(lambda: self.finds_a_place(d), "who asks properly finds a place", 10)
        finally:
            for s in crowd:
                s.close()
        d.wait_for(lambda: fds() <= before + 1, "all are let go")
        self.assertEqual(d.stop()[0], 0)

    def test_a_reader_that_takes_nothing_is_let_go(self):
        d = self.start()
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.connect(("127.0.0.1", d.port))
            s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            time.sleep(0.5)
            self.assertEqual(self.get(d, "/healthz")[0], 200)
            time.sleep(6.5)
            self.assertNotEqual(self.get(d)[2], "")
            fds = [os.readlink(f"/proc/{d.process.pid}/fd/{n}") for n in os.listdir(f"/proc/{d.process.pid}/fd")]
            self.assertLessEqual(sum(f.startswith("socket:") for f in fds), 2, "the listener, and perhaps the last scrape")

    def test_readyz_says_why_not(self):
        sources = ("  - {name: gone, kind: kafka, brokers: [\"127.0.0.1:%d\"], topic: t}\n" % free_port() +
                   f"  - {{name: f, kind: file, path: {self.path}, follow: true}}\n")
        d = self.start(read=False, sources=sources)
        d.wait_for(lambda: "gone" in self.get(d, "/readyz")[2], "the broker that does not answer")
        status, headers, body = self.get(d, "/readyz")
        self.assertEqual((status, self.get(d, "/healthz")[0]), (503, 200), "a restart would not help")
        self.assertIn("cannot be read", body)
        v = self.samples(d)
        self.assertEqual((v['segwatch_source_up{source="gone"}'], v["segwatch_ready"],
                          v['segwatch_trouble{reason="source_failing"}']), (0, 0, 1))
        self.assertGreater(v['segwatch_kafka_errors_total{source="gone",code="connect"}'], 0)
        self.assertNotIn('segwatch_kafka_lag_messages{source="gone",topic="t",partition="0"}', v, "absent if unknown")

    def test_the_rules_are_valid_and_about_metrics_that_exist(self):
        rules = pathlib.Path(__file__).resolve().parents[2] / "config/prometheus/segwatch.rules.yml"
        p = subprocess.run(["promtool", "check", "rules", str(rules)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=30, text=True)
        self.assertEqual(p.returncode, 0, p.stdout)
        self.assertRegex(p.stdout, r"SUCCESS: \d\d rules found")
        d = self.start(read=False)
        known = set(re.findall(r"(?m)^# TYPE (\S+)", self.get(d)[2]))
        used = set(re.findall(r"segwatch_[a-z_]+", " ".join(re.findall(r"(?m)^ +expr: (.*)$", rules.read_text()))))
        self.assertGreater(len(used), 10)
        self.assertEqual(used - known, set())
        test = self.dir / "test.yml"
        series = lambda name, values: "  - {series: '%s', values: '%s'}\n" % (name, values)
        test.write_text("rule_files: [%s]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n" % rules +
                        series('segwatch_source_up{source="weu"}', "0x20") + series("segwatch_messages_total", "0+1000x120") +
                        series("segwatch_message_errors_total", "0+5x120") +
                        series('segwatch_trouble{reason="catching_up",instance="a"}', "1x60") +
                        series('segwatch_token_expiry_timestamp_seconds{source="weu"}', "3600x120") +
                        series('segwatch_token_expiry_timestamp_seconds{sink="siem"}', "3600+600x12") +
                        series('segwatch_catch_up_eta_seconds{instance="a"}', "100x60") +
                        "  alert_rule_test:\n"
                        "  - {eval_time: 5m, alertname: SegwatchSourceFailing, exp_alerts: []}\n"
                        "  - {eval_time: 50m, alertname: SegwatchFallingBehind, exp_alerts: []}\n"
                        "  - {eval_time: 90m, alertname: SegwatchQuarantine, exp_alerts: []}\n"
                        "  - {eval_time: 59m, alertname: SegwatchTokenExpires, exp_alerts: []}\n"
                        "  - eval_time: 62m\n    alertname: SegwatchTokenExpires\n    exp_alerts:\n"
                        "    - exp_labels: {severity: warning, source: weu}\n      exp_annotations:\n        summary: "
                        "'the token of weu was not renewed and expires; `journalctl -u segwatch` says why'\n"
                        "  - eval_time: 15m\n    alertname: SegwatchSourceFailing\n    exp_alerts:\n"
                        "    - exp_labels: {severity: critical, source: weu}\n      exp_annotations:\n        summary: "
                        "'segwatch cannot read source weu; `journalctl -u segwatch` says why'\n")
        p = subprocess.run(["promtool", "test", "rules", str(test)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=60, text=True)
        self.assertEqual(p.returncode, 0, p.stdout)

    def test_an_output_that_takes_nothing_shows(self):
        secret = self.dir / "secret"
        secret.write_text("nothing")
        secret.chmod(0o600)
        admin = ("{socket: %s/s.sock, http: \"127.0.0.1:0\"}\noutputs:\n- name: siem\n  kind: sentinel\n"
                 "  endpoint: https://127.0.0.1:%d\n  dcr: dcr-%s\n  auth: {tenant: %s, client_id: %s, client_secret: {file: %s}}\n"
                 "  proxy: http://127.0.0.1:%d" % (self.dir, free_port(), "0" * 32, UUID, UUID, secret, free_port()))
        d = self.start(admin=admin)
        d.wait_for(lambda: self.value(d, 'segwatch_sink_up{sink="siem"}') == 0, "it fails")
        d.wait_for(lambda: (self.value(d, 'segwatch_spool_rows{sink="siem"}') or 0) > 5, "findings wait")
        v = self.samples(d)
        self.assertEqual(v['segwatch_sink_rows_total{sink="siem"}'], 0)
        self.assertGreater(v['segwatch_spool_bytes{sink="siem"}'], 1000)
        self.assertGreater(v['segwatch_spool_limit_bytes{sink="siem"}'], 1 << 20)
        retries = lambda v: {k[k.index("reason=") + 8:-2]: n for k, n in v.items() if k.startswith("segwatch_sink_retries_total")}
        self.assertEqual(set(retries(v)), {"other", "connect", "tls", "broken", "timeout", "auth", "throttled", "server_error",
                                           "refused", "unexpected_status"}, "also those that never happened")
        self.assertEqual({k for k, n in retries(v).items() if n}, {"auth"}, "without a token nothing is sent")
        d.wait_for(lambda: self.value(d, 'segwatch_spool_rows{sink="alerts"}') == 0, "the alert file has all")
        self.assertEqual(self.get(d, "/readyz")[0], 200, "nothing waits for a remote sink")
        p = subprocess.run([SEGWATCH, "ctl", "status", "-s", f"{self.dir}/s.sock"], stdout=subprocess.PIPE, timeout=30,
                           text=True)
        self.assertRegex(p.stdout, r"siem failing \(\d+ wait\)\n  ! siem takes nothing since .*: ")
        p = subprocess.run(["promtool", "check", "metrics"], input=self.get(d)[2], stdout=subprocess.PIPE, timeout=30, text=True)
        self.assertEqual((p.returncode, p.stdout), (0, ""))

    def test_an_output_that_works_shows(self):
        fake = FakeAzure(self.dir, columns())
        self.addCleanup(fake.close)
        fake.token_ttl = 1800
        fake.script = lambda n, rows: "503" if n < 2 else "ok"
        secret = self.dir / "secret"
        secret.write_text("s3cret-canary")
        secret.chmod(0o600)
        admin = ("{socket: none, http: \"127.0.0.1:0\"}\noutputs:\n- name: siem\n  kind: sentinel\n  endpoint: %s\n  dcr: %s\n"
                 "  ca_file: %s\n  auth: {tenant: %s, client_id: %s, client_secret: {file: %s}, authority: \"%s\"}\n"
                 "  retry: {first: 10ms, max: 20ms}" % (fake.endpoint, DCR, fake.ca, TENANT, CLIENT, secret, fake.endpoint))
        d = self.start(admin=admin)
        d.wait_for(lambda: self.value(d, 'segwatch_spool_rows{sink="siem"}') == 0
                   and self.value(d, 'segwatch_sink_rows_total{sink="siem"}'), "everything is taken")
        v = self.samples(d)
        ok = v['segwatch_sink_requests_total{sink="siem",code="204"}']
        self.assertEqual(ok, len(fake.requests) - 2)
        self.assertEqual(v['segwatch_sink_requests_total{sink="siem",code="503"}'], 2)
        retries = {k: n for k, n in v.items() if k.startswith("segwatch_sink_retries_total") and n}
        self.assertEqual(retries, {'segwatch_sink_retries_total{sink="siem",reason="server_error"}': 2})
        for name in "segwatch_sink_request_duration_seconds", "segwatch_sink_payload_bytes":
            self.assertEqual(v[name + '_count{sink="siem"}'], ok + 2)
            self.assertEqual(v[name + '_bucket{sink="siem",le="+Inf"}'], ok + 2)
        self.assertEqual(v['segwatch_sink_payload_bytes_sum{sink="siem"}'], v['segwatch_sink_sent_bytes_total{sink="siem"}'])
        self.assertEqual(v['segwatch_sink_payload_bytes_bucket{sink="siem",le="1048576"}'], ok + 2)
        self.assertGreater(v['segwatch_sink_request_duration_seconds_sum{sink="siem"}'], 0)
        self.assertAlmostEqual(v['segwatch_token_expiry_timestamp_seconds{sink="siem"}'], time.time() + 1800, delta=60)
        p = subprocess.run(["promtool", "check", "metrics"], input=self.get(d)[2], stdout=subprocess.PIPE, timeout=30, text=True)
        self.assertEqual((p.returncode, p.stdout), (0, ""))

    def test_only_loopback_unless_asked_for_with_a_token(self):
        secret = self.dir / "token"
        secret.write_text("s3cret\n")
        secret.chmod(0o600)
        for admin, message in (("{http: \"0.0.0.0:0\"}", "allow_remote"), ("{http: \"[::]:0\"}", "allow_remote"),
                               ("{http: \"0.0.0.0:0\", allow_remote: true}", "needs token"),
                               ("{http: \"localhost:1\"}", "ADDRESS:PORT"), ("{http: \"\"}", "empty")):
            p = subprocess.run([SEGWATCH, "run", "-c", str(self.config(admin))], stderr=subprocess.PIPE, timeout=20, text=True)
            self.assertEqual(p.returncode, 78, admin)
            self.assertRegex(p.stderr, r"segwatch\.yaml:\d+:\d+: .*" + message)
        d = self.start(read=False, admin=f"{{socket: none, http: \"0.0.0.0:0\", allow_remote: true, token: {{file: {secret}}}}}")
        for token, status in ((None, 401), ("wrong", 401), ("s3cre", 401), ("s3cret", 200)):
            for path in ("/metrics", "/healthz"):
                self.assertEqual(self.get(d, path, token=token)[0], status, (path, token))
        self.assertNotIn("s3cret", d.log())

    def test_a_port_in_use_is_an_error_where_it_was_asked_for(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            p = subprocess.run([SEGWATCH, "run", "-c", str(self.config(
                "{socket: none, http: \"127.0.0.1:%d\"}" % s.getsockname()[1]))], stderr=subprocess.PIPE, timeout=20, text=True)
        self.assertEqual(p.returncode, 1)
        self.assertIn("admin.http", p.stderr)


if __name__ == "__main__":
    unittest.main()
