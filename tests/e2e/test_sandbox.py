# SPDX-License-Identifier: Apache-2.0
"""The program does its whole job inside the unit's own confinement: tests/tools/sandbox.py applies it."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from fake_azure import CLIENT, DCR, TENANT, FakeAzure  # noqa: E402
from sinks import columns  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", ROOT / "build"))
SEGWATCH = os.environ.get("SEGWATCH", str(BUILD / "daemon/segwatch"))
UNIT = BUILD / "systemd/segwatch.service"
USER = 64321

PROBES = """
import ctypes, json, mmap, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)
def write(path):
    with open(path, "w"):
        pass
probes = {
    "etc": lambda: write("/etc/segwatch-probe"), "usr": lambda: write("/usr/segwatch-probe"),
    "state": lambda: write(sys.argv[1] + "/probe"), "setuid": lambda: os.setuid(0),
    "inet": lambda: socket.socket(socket.AF_INET).close(), "unix": lambda: socket.socket(socket.AF_UNIX).close(),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
    "namespace": lambda: call("unshare", 0x10000000), "mount": lambda: call("mount", b"a", b"/tmp", b"tmpfs", 0, None),
    "trace": lambda: call("ptrace", 0, 0, 0, 0), "reboot": lambda: call("reboot", 0),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 5), "suid": lambda: os.chmod(sys.argv[1], 0o4755),
}
out = {"sandbox": os.environ["SANDBOX"], "uid": os.getuid(), "processes": sum(p.isdigit() for p in os.listdir("/proc"))}
for name, probe in probes.items():
    try:
        probe()
        out[name] = "allowed"
    except OSError as e:
        out[name] = os.strerror(e.errno)
print(json.dumps(out))
"""


class Sandbox(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="segwatch-sandbox-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.dir.chmod(0o755)
        self.own = self.dir / "own"  # what the service may write
        self.own.mkdir()
        self.program = self.dir / "bin/segwatch"
        self.program.parent.mkdir()
        shutil.copy(SEGWATCH, self.program)
        if os.geteuid() == 0:
            os.chown(self.own, USER, USER)

    def command(self, *args):
        return [sys.executable, str(ROOT / "tests/tools/sandbox.py"), "--writable", str(self.own), "--readable",
                str(self.program.parent), str(UNIT), *map(str, args)]

    def test_what_the_unit_forbids_does_not_work(self):
        """The launcher confines: else the other tests would say nothing."""
        p = subprocess.run(self.command("/usr/bin/python3", "-c", PROBES, self.own), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=60, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        seen = json.loads(p.stdout)
        for name in ("state", "inet", "unix"):
            self.assertEqual(seen[name], "allowed", name)
        for name in ("code", "namespace", "mount", "trace", "reboot", "priority", "suid", "setuid"):
            self.assertEqual(seen[name], "Operation not permitted", name)
        for name in ("netlink", "packet"):
            self.assertEqual(seen[name], "Address family not supported by protocol", name)
        self.assertNotEqual(seen["etc"], "allowed")
        self.assertNotEqual(seen["usr"], "allowed")
        if seen["sandbox"] == "full":
            self.assertEqual((seen["etc"], seen["usr"], seen["uid"], seen["processes"]),
                             ("Read-only file system", "Read-only file system", USER, 1))

    def test_a_setting_that_the_launcher_does_not_know_is_an_error(self):
        unit = self.dir / "unit"
        unit.write_text(UNIT.read_text().replace("[Install]", "ProtectEverything=yes\n[Install]"))
        command = self.command("/bin/true")
        command[command.index(str(UNIT))] = str(unit)
        p = subprocess.run(command, stderr=subprocess.PIPE, timeout=60, text=True)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("ProtectEverything", p.stderr)

    def test_over_kafka_to_the_findings(self):
        """`demo`: broker, daemon over TCP, an attack found completely."""
        p = subprocess.run(self.command(self.program, "demo", "--fast", "--keep", self.own / "demo"),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=150, text=True)
        self.assertEqual(p.returncode, 0, p.stdout[-2000:] + p.stderr[-2000:])
        self.assertIn("\nPASS: ", p.stdout)
        self.assertGreater((self.own / "demo/alerts.jsonl").stat().st_size, 1000)

    def test_outputs_over_tls(self):
        """Names, TLS, tokens and sockets of the outputs; no netlink, which the resolver would like."""
        azure = self.dir / "azure"
        azure.mkdir()
        fake = FakeAzure(azure, columns())
        self.addCleanup(fake.close)
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        got, taken = [], []  # it stays open: a server that closes at once may have taken nothing

        def take():
            taken.append(server.accept()[0])
            got.append(taken[0].recv(65536))

        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        self.addCleanup(lambda: [s.close() for s in taken])
        shutil.copy(fake.ca, self.own / "ca.pem")
        (self.own / "secret").write_text("s3cret-canary")
        (self.own / "segwatch.json").write_text(json.dumps({"outputs": [
            {"name": "sentinel", "kind": "sentinel", "endpoint": fake.endpoint, "dcr": DCR, "ca_file": str(self.own / "ca.pem"),
             "auth": {"tenant": TENANT, "client_id": CLIENT, "client_secret": {"file": str(self.own / "secret")},
                      "authority": fake.endpoint}},
            {"name": "siem", "kind": "syslog", "transport": "tcp", "address": f"localhost:{server.getsockname()[1]}"}]}))
        for path in self.own.iterdir():
            path.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(path, USER, USER)
        p = subprocess.run(self.command(self.program, "test-alert", "-c", self.own / "segwatch.json"), stderr=subprocess.PIPE,
                           timeout=60, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(len(fake.rows), 1)
        taker.join(10)
        self.assertRegex(got[0], rb"CEF:0\|segwatch\|segwatch\|[^|]*\|D07\|\[SAMPLE\] .*\|3\|.* flexNumber1=1 ")

    def test_run_on_a_file_to_the_findings_reload_and_stop(self):
        scenario = self.own / "scenario"
        subprocess.run([str(BUILD / "tests/gen_scenario"), "--hours", "6", "--hosts", "60", "--load", "30", "--attack",
                        "full", "--out", str(scenario)], check=True, timeout=60)
        (self.own / "segwatch.yaml").write_text(
            f"sources:\n  - {{name: f, kind: file, path: {scenario}/messages.ndjson, follow: true}}\n"
            f"alerts: {{file: {self.own}/alerts.jsonl}}\nstate: {{dir: {self.own}/state}}\n"
            + (scenario / "config.yaml").read_text())
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{USER}:{USER}", str(self.own)], check=True)
        alerts = self.own / "alerts.jsonl"
        with open(self.dir / "log", "wb") as log:
            p = subprocess.Popen(self.command(self.program, "run", "-c", self.own / "segwatch.yaml"), stderr=log)
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end and p.poll() is None and not (alerts.exists() and alerts.read_text().count("\n") > 2):
                time.sleep(0.1)
            p.send_signal(signal.SIGHUP)
            time.sleep(1)
            self.assertIsNone(p.poll(), (self.dir / "log").read_text()[-3000:])
            p.terminate()
            self.assertEqual(p.wait(30), 0, (self.dir / "log").read_text()[-3000:])
        finally:
            if p.poll() is None:
                p.kill()
                p.wait()
        log = (self.dir / "log").read_text()
        lines = [json.loads(l) for l in alerts.read_text().splitlines()]
        self.assertTrue(any(l["unmapped"]["kind"] == "incident" for l in lines), log[-3000:])
        self.assertRegex(log, r"event=\S*reload")
        self.assertNotIn("not permitted", log)
        self.assertEqual(alerts.stat().st_mode & 0o777, 0o640, "the group may read it, others not")


if __name__ == "__main__":
    unittest.main()
