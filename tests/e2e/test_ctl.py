# SPDX-License-Identifier: Apache-2.0
"""The control socket: what it answers, what it refuses, and that nobody can make it large or slow."""
import json
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest
import urllib.request

from daemon import SEGWATCH, Daemon

BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", str(pathlib.Path(SEGWATCH).parents[1])))


class Ctl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segwatch-e2e-")
        cls.addClassCleanup(cls.folder.cleanup)
        scenario = pathlib.Path(cls.folder.name, "scenario")
        subprocess.run([str(BUILD / "tests/gen_scenario"), "--hours", "6", "--hosts", "80", "--load", "30", "--attack",
                        "full", "--out", str(scenario)], check=True, timeout=60, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        cls.lines = (scenario / "messages.ndjson").read_bytes().splitlines(keepends=True)
        cls.rules = (scenario / "config.yaml").read_text()

    def setUp(self):
        self.dir = pathlib.Path(self.folder.name, self._testMethodName)
        self.dir.mkdir()
        self.path = self.dir / "flows.ndjson"
        self.path.write_bytes(b"".join(self.lines))
        self.socket = self.dir / "s.sock"

    def config(self, more="", admin=None):
        file = self.dir / "segwatch.yaml"
        admin = admin or f"{{socket: {self.socket}, http: none}}"
        file.write_text(f"sources:\n  - {{name: f, kind: file, path: {self.path}, follow: true}}\n"
                        f"alerts: {{file: {self.dir}/alerts.jsonl}}\nstate: {{dir: {self.dir}/state}}\n"
                        f"admin: {admin}\n{more}{self.rules}")
        return file

    def start(self, **kw):
        d = Daemon(self, self.config(**kw))
        d.wait_for(self.socket.exists, "the socket")
        return d

    def ctl(self, *args):
        return subprocess.run([SEGWATCH, "ctl", *args, "--socket", str(self.socket)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=40, text=True)

    def ask(self, command, **arg):
        p = self.ctl(command, *arg.values(), "-o", "json")
        answer = json.loads(p.stdout)
        self.assertEqual(p.stdout.count("\n"), 1)
        return answer

    def result(self, command):
        answer = self.ask(command)
        self.assertTrue(answer["ok"], answer)
        return answer["result"]

    def raw(self, data, shut=False):
        """What the socket answers to these bytes, until it closes or 7 s."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(7)
            s.connect(str(self.socket))
            try:
                s.sendall(data)
                if shut:
                    s.shutdown(socket.SHUT_WR)
            except BrokenPipeError:
                pass
            out = b""
            try:
                while part := s.recv(65536):
                    out += part
            except (socket.timeout, ConnectionResetError):
                pass
            return out

    def read_all(self, d):
        d.wait_for(lambda: self.result("stats")["engine"]["messages"] == len(self.lines), "all of it is read")

    def test_status_and_stats_tell_what_was_read(self):
        d = self.start()
        self.read_all(d)
        d.wait_for(lambda: len(self.result("stats")["top_pairs"]) > 5, "it was released as well")
        d.wait_for(lambda: self.result("status")["disk"]["state_free_bytes"], "the disk was looked at")
        s = self.result("status")
        f = s["sources"][0]
        self.assertEqual((f["name"], f["kind"], f["state"], f["partitions"], f["partitions_at_end"], f["lag_bytes"]),
                         ("f", "file", "reading", 1, 1, 0))
        self.assertEqual((s["state"], s["reasons"]), ("ok", []))
        self.assertEqual(s["pid"], d.process.pid)
        self.assertEqual({x["state"] for x in s["sinks"]}, {"ok"})
        self.assertLessEqual({"alerts", "signals", "quarantine"}, {x["name"] for x in s["sinks"]})
        self.assertGreater(s["disk"]["state_size_bytes"], s["disk"]["state_free_bytes"])
        lines = [json.loads(l) for l in (self.dir / "alerts.jsonl").read_text().splitlines()]
        newest = self.result("status")["findings"]["recent"]
        self.assertEqual([x["uid"] for x in newest], [l["finding_info"]["uid"] for l in lines[::-1]][:16])
        self.assertEqual([x["severity"] for x in newest], [l["severity"] for l in lines[::-1]][:16])
        e = self.result("stats")
        n = sum(len(json.loads(l)["records"]) for l in self.lines)
        self.assertEqual(e["engine"]["records"], n)
        self.assertEqual(sum(e["engine"][k] for k in ("tuples_begin", "tuples_continue", "tuples_end",
                                                      "tuples_denied", "tuples_stateless")), e["engine"]["tuples"])
        self.assertIn("connections", {t["name"] for t in e["tables"]})
        flows = [p["flows_allowed"] + p["flows_denied"] for p in e["top_pairs"]]
        self.assertEqual(flows, sorted(flows, reverse=True))
        self.assertGreater(len(flows), 5)
        for words in (["status"], ["stats"]):
            p = self.ctl(*words)
            self.assertEqual((p.returncode, p.stderr), (0, ""))
            self.assertIn(f["last_record"], p.stdout)

    def test_pause_keeps_messages_and_resume_reads_them(self):
        d = self.start()
        self.read_all(d)
        self.assertEqual(self.result("pause"), {"was_paused": False, "paused": True})
        self.assertEqual(self.result("pause"), {"was_paused": True, "paused": True})
        before = self.result("stats")["engine"]["messages"]
        with open(self.path, "ab") as f:
            f.write(self.lines[-1])
        time.sleep(1.5)  # a file is looked at twice a second
        s = self.result("status")
        self.assertEqual((s["state"], self.result("stats")["engine"]["messages"]), ("paused", before))
        self.assertEqual(s["sources"][0]["partitions_at_end"], 0)
        self.assertEqual(self.result("resume"), {"was_paused": True, "paused": False})
        d.wait_for(lambda: self.result("stats")["engine"]["messages"] == before + 1, "the line that waited is read")
        self.assertEqual(self.result("status")["state"], "ok")
        self.assertEqual(d.stop()[0], 0)

    def test_a_paused_kafka_source_goes_on_polling(self):
        """What comes meanwhile is known and waits; no partition is lost, and its lag is told."""
        broker = subprocess.Popen([str(BUILD / "tests/mock_broker")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (broker.stdin.close(), broker.wait(10), broker.stdout.close()))
        address = broker.stdout.readline().split()[1]
        broker.stdin.write("topic flows 2\n")
        broker.stdin.flush()
        self.assertEqual(broker.stdout.readline().strip(), "ok")

        def produce(lines, partition):
            subprocess.run(["kcat", "-P", "-b", address, "-t", "flows", "-p", str(partition), "-l", "/dev/stdin"],
                           input=b"".join(lines), check=True, timeout=30, stderr=subprocess.DEVNULL)

        produce(self.lines[:100], 0)
        produce(self.lines[100:200], 1)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        config = self.config(admin=f"{{socket: {self.socket}, http: \"127.0.0.1:{port}\"}}")
        text = config.read_text()
        row = text[text.index("  - {name: f"):text.index("alerts:")]
        config.write_text(text.replace(row, f"  - {{name: k, kind: kafka, brokers: [\"{address}\"], topic: flows}}\n"))

        def lags():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as f:
                return {int(p): int(n) for p, n in re.findall(
                    r'(?m)^segwatch_kafka_lag_messages\{source="k",topic="flows",partition="(\d)"\} (\d+)$', f.read().decode())}

        d = Daemon(self, config)
        d.wait_for(self.socket.exists, "the socket")
        d.wait_for(lambda: self.result("stats")["engine"]["messages"] == 200, "both partitions are read")
        d.wait_for(lambda: lags() == {0: 0, 1: 0}, "no lag")
        self.result("pause")
        produce(self.lines[200:250], 0)
        produce(self.lines[250:280], 1)
        d.wait_for(lambda: lags() == {0: 50, 1: 30}, "the lag of what waits")
        time.sleep(1)
        s = self.result("status")
        self.assertEqual((s["state"], s["sources"][0]["lag_messages"], s["sources"][0]["state"]), ("paused", 80, "reading"))
        self.assertEqual(self.result("stats")["engine"]["messages"], 200)
        self.result("resume")
        d.wait_for(lambda: self.result("stats")["engine"]["messages"] == 280, "the rest")
        d.wait_for(lambda: lags() == {0: 0, 1: 0}, "no lag")
        self.assertEqual(self.result("status")["sources"][0]["errors"], 0)
        self.assertEqual(d.stop()[0], 0)

    def test_reload_has_one_path_and_names_the_place(self):
        d = self.start()
        good = (self.dir / "segwatch.yaml").read_text()
        bad = good.replace("admin: {", "time: {reorder: 5x}\nadmin: {")
        line = bad.splitlines().index("time: {reorder: 5x}") + 1
        (self.dir / "segwatch.yaml").write_text(bad)
        p = self.ctl("reload")
        self.assertEqual(p.returncode, 78)
        self.assertIn(f"{self.dir}/segwatch.yaml:{line}:17: ", p.stderr)
        answer = self.ask("reload")
        self.assertEqual((answer["ok"], answer["error"]["errors"][0]["line"]), (False, line))
        s = self.result("status")["config"]
        self.assertEqual((s["last_reload_ok"], s["last_reload_errors"]), (False, 1))
        d.process.send_signal(signal.SIGHUP)
        d.wait_for(lambda: d.log().count("the new configuration is not used") == 3, "the same words after SIGHUP")
        (self.dir / "segwatch.yaml").write_text(good.replace("admin: {", "log: {level: debug}\nadmin: {"))
        self.assertEqual(self.ctl("reload").returncode, 0)
        c = self.result("status")["config"]
        self.assertEqual((c["last_reload_ok"], c["needs_restart"]), (True, ""))

    def test_reload_names_what_waits_for_a_restart(self):
        d = self.start()
        text = (self.dir / "segwatch.yaml").read_text()
        (self.dir / "segwatch.yaml").write_text(
            text.replace("follow: true}", "follow: false}").replace("http: none}", "http: \"127.0.0.1:1\"}")
            .replace(f"{self.dir}/alerts.jsonl", f"{self.dir}/other.jsonl").replace("admin: {", "log: {level: debug}\nadmin: {"))
        p = self.ctl("reload")
        self.assertEqual((p.returncode, p.stdout.splitlines()[1:]), (0, ["needs_restart: sources, alerts.file, admin.http"]))
        self.assertIn("these changes need a restart: sources,", d.log())
        self.assertEqual(self.result("status")["sinks"][0]["path"], f"{self.dir}/alerts.jsonl", "it goes there still")
        (self.dir / "segwatch.yaml").write_text(text)
        self.assertEqual(self.result("reload")["needs_restart"], "")

    def test_reopen_and_log_level(self):
        d = self.start()
        self.read_all(d)
        d.wait_for(lambda: (self.dir / "alerts.jsonl").exists(), "the alert file")
        os.rename(self.dir / "alerts.jsonl", self.dir / "old")
        self.assertEqual(self.ctl("reopen").returncode, 0)
        d.wait_for(lambda: (self.dir / "alerts.jsonl").exists(), "a new alert file")
        self.assertEqual(self.ctl("set-log-level", "error").returncode, 0)
        self.assertEqual(self.ctl("set-log-level", "loud").returncode, 64)
        time.sleep(0.3)
        n = d.log().count("event=stats ")
        time.sleep(0.5)
        self.assertEqual(d.log().count("event=stats "), n, "statistics are of level info")
        self.assertEqual(self.ctl("set-log-level", "info").returncode, 0)
        d.wait_for(lambda: d.log().count("event=stats ") > n, "statistics again")

    def test_a_snapshot_is_taken_when_it_is_wanted(self):
        d = self.start()
        self.read_all(d)
        before = self.result("status")["snapshot"]["written"]
        d.wait_for(lambda: self.ask("snapshot")["ok"], "one is wanted")
        d.wait_for(lambda: self.result("status")["snapshot"]["written"] > before, "and written")
        s = self.result("status")["snapshot"]
        self.assertGreater(s["bytes"], 10000)
        self.assertLess(s["age_ms"], 20000)

    def test_only_the_owner_may_connect_and_the_file_goes(self):
        d = self.start()
        self.assertEqual(stat.S_IMODE(self.socket.stat().st_mode), 0o600)
        self.assertEqual(d.stop()[0], 0)
        self.assertFalse(self.socket.exists())
        p = self.ctl("status")
        self.assertEqual(p.returncode, 75)
        self.assertIn("is the daemon running?", p.stderr)

    def test_a_stale_socket_is_replaced_a_living_one_is_not(self):
        d = self.start()
        d.process.kill()
        d.process.wait()
        self.assertTrue(self.socket.exists(), "a crash leaves it behind")
        d = Daemon(self, self.config())
        d.wait_log("event=start ")
        self.assertEqual(self.ctl("version").returncode, 0)
        second = self.dir / "second.yaml"
        second.write_text(self.config().read_text().replace(f"{self.dir}/state", f"{self.dir}/state2"))
        p = subprocess.run([SEGWATCH, "run", "-c", str(second)], stderr=subprocess.PIPE, timeout=20, text=True)
        self.assertEqual(p.returncode, 1)
        self.assertIn("another process listens", p.stderr)
        self.assertEqual(self.ctl("version").returncode, 0, "the first one still answers")
        self.assertEqual(d.stop()[0], 0)
        self.socket.write_text("precious")
        p = subprocess.run([SEGWATCH, "run", "-c", str(second)], stderr=subprocess.PIPE, timeout=20, text=True)
        self.assertEqual((p.returncode, self.socket.read_text()), (1, "precious"))

    def test_a_port_or_path_that_cannot_be_had_is_named_with_a_way_out(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            text = self.config().read_text()
            for admin, why in ((f'http: "{address}", socket: none', f"admin.http: {address}: cannot listen"),
                               (f"http: none, socket: {self.dir}/nowhere/s", f"admin.socket: {self.dir}/nowhere/s: No such")):
                config = self.dir / "other.yaml"
                config.write_text(re.sub(r"admin: .*", f"admin: {{{admin}}}", text))
                p = subprocess.run([SEGWATCH, "run", "-c", str(config)], stderr=subprocess.PIPE, timeout=20, text=True)
                self.assertEqual(p.returncode, 1)
                self.assertIn(why, p.stderr)
                self.assertIn("name another", p.stderr)

    def test_what_nobody_asked_for_does_not_keep_it_from_starting(self):
        (self.dir / "segwatch.yaml").write_text(self.config().read_text().replace("admin:", "#"))
        d = Daemon(self, self.dir / "segwatch.yaml")
        d.wait_log("event=start ")
        self.assertEqual(d.stop()[0], 0)

    def test_bad_requests_are_answered_and_harm_nobody(self):
        d = self.start()
        for data, code in ((b"\n", "bad_request"), (b"status\n", "bad_request"), (b"\0\0\0\n", "bad_request"),
                           (b'{"command":"format-disk"}\n', "unknown_command"), (b"[" * 5000 + b"\n", "bad_request"),
                           (b'{"command":"\xff\xfe"}\n', "unknown_command"), (b"x" * 20000, "too_long"),
                           (b'{"command":"status"', "too_slow")):
            answer = json.loads(self.raw(data).split(b"\n")[0])
            self.assertEqual((answer["ok"], answer["error"]["code"]), (False, code), data[:40])
        lines = self.raw(b'{"command":"version"}\n{"command":"version"}\n', shut=True).splitlines()
        self.assertEqual([json.loads(l)["ok"] for l in lines], [True, True], "one line each way, as often as wanted")
        self.assertEqual(d.stop()[0], 0)

    def test_a_thousand_slow_and_garbling_clients_are_bounded(self):
        d = self.start()
        fds = lambda: len(os.listdir(f"/proc/{d.process.pid}/fd"))
        self.result("version")
        before, worst, crowd = fds(), 0, []
        try:
            for i in range(1000):
                s = socket.socket(socket.AF_UNIX)
                s.setblocking(False)
                try:
                    s.connect(str(self.socket))
                    s.send((b'{"comm', b"\xff" * 9000, b"")[i % 3])
                except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                    pass
                crowd.append(s)
                if i % 100 == 0:
                    worst = max(worst, fds())
            end = time.monotonic() + 4
            while time.monotonic() < end:
                worst = max(worst, fds())
                time.sleep(0.05)
            self.assertLessEqual(worst, before + 17, "16 clients and the one being sent away")
            d.wait_for(lambda: self.ctl("version").returncode == 0, "who asks properly finds a place", 10)
        finally:
            for s in crowd:
                s.close()
        d.wait_for(lambda: fds() <= before, "all are let go")
        self.assertEqual(d.stop()[0], 0)

    def test_usage(self):
        for args in ([], ["dance"], ["status", "now"], ["set-log-level"], ["status", "-o", "xml"], ["status", "-x"],
                     ["status", "-c", "a", "-s", "b"]):
            p = subprocess.run([SEGWATCH, "ctl", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
            self.assertEqual((p.returncode, p.stdout), (64, b""), args)
        p = subprocess.run([SEGWATCH, "ctl", "relaod"], stderr=subprocess.PIPE, timeout=20, text=True)
        self.assertIn("did you mean 'reload'?", p.stderr)
        text = subprocess.run([SEGWATCH, "ctl", "--help"], stdout=subprocess.PIPE, timeout=20, text=True).stdout
        for command in ("status", "stats", "version", "reload", "reopen", "set-log-level", "snapshot", "pause", "resume"):
            self.assertRegex(text, rf"(?m)^  {command}( |$)")


if __name__ == "__main__":
    unittest.main()
