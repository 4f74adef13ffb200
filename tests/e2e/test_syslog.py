# SPDX-License-Identifier: Apache-2.0
"""The syslog sink against a real rsyslog, over TLS and TCP, whose own parsers read what was sent; and a Unix socket."""
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from fake_azure import certificates, make_certificates  # noqa: E402
from sinks import Sinks, finding  # noqa: E402

SEED = int(os.environ.get("SEGWATCH_SEED", 7))
RESTARTS = 20 if "SEGWATCH_SOAK" in os.environ else 1
NASTY = "UserRule_a=b|c\\d\nnext \u00e4 src=1.2.3.4 CEF:0|x|\x1b[31m"


class Rsyslog:
    """rsyslogd that writes one JSON object per message it could parse as CEF."""

    def __init__(self, test, folder, driver, port=0):
        self.folder = pathlib.Path(folder)
        self.out = self.folder / "received"
        if not port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
        self.port = port
        tls = ""
        if driver:
            for name in ("ca.pem", "server.crt", "server.key"):
                shutil.copy(pathlib.Path(certificates().name) / name, self.folder / name)
            tls = f'streamDriver.name="{driver}" streamDriver.mode="1" streamDriver.authMode="anon"'
        config = self.folder / "rsyslog.conf"
        config.write_text(f'''
global(workDirectory="{self.folder}" maxMessageSize="128k" defaultNetstreamDriverCAFile="{self.folder}/ca.pem"
  defaultNetstreamDriverCertFile="{self.folder}/server.crt" defaultNetstreamDriverKeyFile="{self.folder}/server.key")
module(load="imtcp" {tls})
module(load="mmnormalize")
template(name="out" type="list") {{
  constant(value="{{\\"cef\\":") property(name="$!all-json-plain")
  constant(value=",\\"parsed\\":\\"") property(name="parsesuccess")
  constant(value="\\",\\"pri\\":\\"") property(name="pri")
  constant(value="\\",\\"host\\":\\"") property(name="hostname")
  constant(value="\\",\\"app\\":\\"") property(name="app-name")
  constant(value="\\",\\"id\\":\\"") property(name="msgid")
  constant(value="\\",\\"time\\":\\"") property(name="timereported" dateFormat="rfc3339")
  constant(value="\\",\\"sd\\":\\"") property(name="structured-data" format="json")
  constant(value="\\",\\"msg\\":\\"") property(name="msg" format="json") constant(value="\\"}}\\n")
}}
ruleset(name="r") {{
  action(type="mmnormalize" rule=["rule=:%f:cef%"])
  action(type="omfile" file="{self.out}" template="out" asyncWriting="off" flushOnTXEnd="on")
}}
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="r")
''')
        self.log = open(self.folder / "rsyslog.log", "ab")
        self.process = subprocess.Popen(["/usr/sbin/rsyslogd", "-n", "-f", config, "-i", self.folder / "pid"],
                                        stdout=self.log, stderr=subprocess.STDOUT)
        test.addCleanup(self.stop)
        end = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError((self.folder / "rsyslog.log").read_text())
            time.sleep(0.02)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        if not self.log.closed:
            self.log.close()

    def messages(self, n=None, seconds=20):
        """What was received; waits for n of them."""
        end = time.monotonic() + seconds
        while True:
            lines = self.out.read_text().splitlines() if self.out.exists() else []
            if n is None or len(lines) >= n or time.monotonic() > end:
                return [json.loads(l) for l in lines]
            time.sleep(0.05)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def output(self, address, transport, **more):
        return {"name": "siem", "kind": "syslog", "address": address, "transport": transport, "hostname": "segwatch-1",
                "ca_file": str(pathlib.Path(certificates().name) / "ca.pem"), "retry": {"first": "20ms", "max": "200ms"},
                "timeout": "5s", **more}

    def sinks(self, output, seconds=40):
        return Sinks(self, self.folder, [output], seconds)

    def nasty(self, n):
        f = finding(n, title=f"Scan | of\\db = {n}")
        f["evidences"] = [{"src_endpoint": {"ip": "10.1.0.4", "port": 50000}, "dst_endpoint": {"ip": "fd00::7", "port": 22},
                           "connection_info": {"protocol_name": "tcp"}, "data": {"rule": NASTY, "bytes_out": 5}}]
        f["message"] = "10.1.0.4 did x=1|2\\3\nand more "
        return f

    def check_nasty(self, m, n):
        self.assertEqual(m["parsed"], "OK", m)
        cef, ext = m["cef"]["f"], m["cef"]["f"]["Extensions"]
        self.assertEqual((cef["DeviceVendor"], cef["DeviceProduct"], cef["Name"], cef["Severity"]),
                         ("segwatch", "segwatch", f"Scan | of\\db = {n}", "8"))
        self.assertEqual(ext["cs4"], NASTY.replace("\x1b", "?"))
        self.assertEqual(ext["msg"], "10.1.0.4 did x=1|2\\3\nand more")
        self.assertEqual((ext["src"], ext["c6a3"], ext["dpt"], ext["flexString1"]), ("10.1.0.4", "fd00::7", "22", f"{n:032x}"))
        self.assertNotIn("dst", ext)
        # local4 is 20, high is "error"
        self.assertEqual((m["pri"], m["host"], m["app"]), (str(20 * 8 + 3), "segwatch-1", "segwatch"))
        self.assertRegex(m["sd"], r'^\[origin software="segwatch" swVersion="[\d.]+"\]$')


class Streams(Case):
    def check_all(self, transport, driver):
        server = Rsyslog(self, self.folder, driver)
        s = self.sinks(self.output(f"localhost:{server.port}", transport))
        s.feed(self.nasty(n) for n in range(400))
        stats = s.end()["sinks"]["siem"]
        got = server.messages(400)
        self.assertEqual([m["cef"]["f"]["Extensions"]["flexString1"] for m in got], [f"{n:032x}" for n in range(400)])
        for n in (0, 1, 399):
            self.check_nasty(got[n], n)
        self.assertEqual((stats["rows"], stats["retries"]), (400, 0))

    def test_tls_to_rsyslog_with_gnutls(self):
        self.check_all("tls", "gtls")

    def test_tls_to_rsyslog_with_openssl(self):
        self.check_all("tls", "ossl")

    def test_tcp(self):
        self.check_all("tcp", None)

    def test_the_ocsf_object_as_text(self):
        server = Rsyslog(self, self.folder, None)
        s = self.sinks(self.output(f"127.0.0.1:{server.port}", "tcp", format="json"))
        s.feed([finding(1)])
        s.end()
        self.assertEqual(json.loads(server.messages(1)[0]["msg"]), finding(1))

    def test_a_server_that_restarts_misses_nothing(self):
        rng = random.Random(SEED)
        ids = lambda got: {m["cef"]["f"]["Extensions"]["flexString1"] for m in got}
        server = Rsyslog(self, self.folder, rng.choice(["gtls", "ossl"]))
        s = self.sinks(self.output(f"localhost:{server.port}", "tls"), 60 + 10 * RESTARTS)
        n = 0
        for i in range(RESTARTS):
            more = rng.randint(1, 80)
            s.feed(finding(k) for k in range(n, n + more))
            n += more
            # each one, whatever came twice: what the server has not written when it ends is lost
            end = time.monotonic() + 20
            while len(ids(server.messages())) < n and time.monotonic() < end:
                time.sleep(0.05)
            self.assertEqual(len(ids(server.messages())), n, f"seed {SEED}, restart {i}")
            server.stop()
            more = rng.randint(1, 80)
            s.feed(finding(k) for k in range(n, n + more))
            n += more
            time.sleep(rng.uniform(0, 0.6))
            server = Rsyslog(self, self.folder, rng.choice(["gtls", "ossl"]), server.port)
        s.end()
        end = time.monotonic() + 20
        while len(ids(server.messages())) < n and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(ids(server.messages()), {f"{k:032x}" for k in range(n)}, f"seed {SEED}")
        self.assertIn("sink_outage", s.log())

    def test_an_unknown_authority_gets_nothing(self):
        other = self.folder / "other"
        other.mkdir()
        make_certificates(other)
        server = Rsyslog(self, self.folder, "gtls")
        s = self.sinks(self.output(f"localhost:{server.port}", "tls", ca_file=str(other / "ca.pem")), seconds=1)
        s.feed([finding(0)])
        s.process.stdin.close()
        self.assertEqual(s.process.wait(), 1)
        self.assertIn("certificate is not accepted", s.log())
        self.assertEqual(server.messages(), [])

    def test_a_certificate_for_another_name_gets_nothing(self):
        server = Rsyslog(self, self.folder, "gtls")
        # resolves to the same host, but the certificate says localhost
        s = self.sinks(self.output(f"[::ffff:127.0.0.1]:{server.port}", "tls"), seconds=1)
        s.feed([finding(0)])
        s.process.stdin.close()
        self.assertEqual(s.process.wait(), 1)
        self.assertIn("certificate is not accepted", s.log())
        self.assertEqual(server.messages(), [])


class UnixSocket(Case):
    def test_datagrams(self):
        path = self.folder / "log"
        s = self.sinks(self.output(str(path), "unix"))
        s.feed(self.nasty(n) for n in range(20))
        time.sleep(0.3)  # there is nobody yet
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind(str(path))
        server.settimeout(10)
        got = []
        reader = threading.Thread(target=lambda: [got.append(server.recv(65536).decode()) for _ in range(20)])
        reader.start()
        s.end()
        reader.join()
        for n, message in enumerate(got):
            self.assertRegex(message, r"^<163>1 2026-01-01T00:00:00\.\d{3}Z segwatch-1 segwatch - detector \[origin "
                                      r'software="segwatch" swVersion="[\d.]+"\] CEF:0\|segwatch\|segwatch\|')
            self.assertIn(f"flexString1={n:032x} ", message)
            self.assertNotIn("\n", message)


if __name__ == "__main__":
    unittest.main()
