# SPDX-License-Identifier: Apache-2.0
"""The syslog sink against a real rsyslog, over TLS and TCP, whose own parsers read what was sent; and a Unix socket."""
import json
import os
import pathlib
import random
import re
import shutil
import socket
import ssl
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

    def __init__(self, test, folder, driver, port=0, peer=None):
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
            tls = f'streamDriver.name="{driver}" streamDriver.mode="1" ' + (
                f'streamDriver.authMode="x509/name" permittedPeer=["{peer}"]' if peer else 'streamDriver.authMode="anon"')
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


    def test_rsyslog_that_lets_in_another_name_gets_nothing_and_loses_nothing(self):
        """GnuTLS's driver sends no tickets and looks at the certificate after the handshake, which succeeds."""
        pem = client_certificate(self.folder, "segwatch")
        server = Rsyslog(self, self.folder, "gtls", peer="other")
        s = self.sinks(self.output(f"localhost:{server.port}", "tls", client_certificate=pem))
        s.feed(finding(n) for n in range(50))
        end = time.monotonic() + 20
        while s.log().count("sink_outage") < 2 and time.monotonic() < end:
            time.sleep(0.05)
        server.stop()
        self.assertEqual(server.messages(), [])
        server = Rsyslog(self, self.folder, "gtls", server.port, peer="segwatch")
        stats = s.end()["sinks"]["siem"]
        got = server.messages(50)
        self.assertEqual([m["cef"]["f"]["Extensions"]["flexString1"] for m in got], [f"{n:032x}" for n in range(50)])
        self.assertGreaterEqual(stats["retries"], 2)


def client_certificate(folder, name):
    """Key and certificate of ours, signed by the servers' authority, as an option."""
    ca = pathlib.Path(certificates().name)
    run = lambda *a: subprocess.run(["openssl", *a], check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "client.key", "-out", "client.csr", "-subj", f"/CN={name}")
    (folder / "client.ext").write_text(f"subjectAltName=DNS:{name}\n")
    run("x509", "-req", "-in", "client.csr", "-CA", ca / "ca.pem", "-CAkey", ca / "ca.key", "-set_serial", "7", "-days", "2",
        "-extfile", "client.ext", "-out", "client.crt")
    pem = folder / "client.pem"
    pem.write_text((folder / "client.key").read_text() + (folder / "client.crt").read_text())
    pem.chmod(0o600)
    return {"file": str(pem)}


class LateServer:
    """TLS that wants a certificate of the client, and looks at it only `late` seconds after it has come."""

    def __init__(self, test, version, tickets, late):
        folder = pathlib.Path(certificates().name)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "server.pem")
        self.context.load_verify_locations(folder / "ca.pem")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.maximum_version = version
        self.context.num_tickets = tickets
        self.late, self.received, self.refused, self.connections = late, b"", 0, 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        test.addCleanup(self.socket.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            with client:
                try:
                    self.one(client)
                except (ssl.SSLError, OSError):
                    self.refused += 1

    def one(self, client):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_side=True)
        turns = 0
        while True:
            try:
                if turns == 0:
                    raise ssl.SSLWantReadError
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.sendall(outgoing.read())
                incoming.write(client.recv(1 << 16))
                turns += 1
                if turns == 2:
                    time.sleep(self.late)
            except ssl.SSLError:
                client.sendall(outgoing.read())  # the alert
                raise
        while True:
            try:
                data = tls.read(1 << 16)
                if not data:
                    return
                self.received += data
            except ssl.SSLWantReadError:
                client.sendall(outgoing.read())
                data = client.recv(1 << 16)
                if not data:
                    return
                incoming.write(data)

    def ids(self, n=0):
        """Of what was received; waits for n of them."""
        end = time.monotonic() + 10
        while True:
            ids = [m.decode() for m in re.findall(rb"flexString1=(\w{32}) ", self.received)]
            if len(ids) >= n or time.monotonic() > end:
                return ids
            time.sleep(0.01)


class Late(Case):
    WAYS = [(ssl.TLSVersion.TLSv1_2, 2), (ssl.TLSVersion.TLSv1_3, 2), (ssl.TLSVersion.TLSv1_3, 0)]

    def test_what_a_server_refuses_late_still_waits(self):
        for version, tickets in self.WAYS:
            for late in 0.03, 0.3:
                with self.subTest(version=version, tickets=tickets, late=late), tempfile.TemporaryDirectory() as folder:
                    server = LateServer(self, version, tickets, late)
                    s = Sinks(self, folder, [self.output(f"localhost:{server.port}", "tls")], 60)
                    s.feed(finding(n) for n in range(50))
                    end = time.monotonic() + 20
                    while "sink_outage" not in s.log() and time.monotonic() < end:
                        time.sleep(0.02)
                    self.assertRegex(s.log(), "refused by the server: .*alert (certificate required|handshake failure)")
                    self.assertEqual(server.ids(), [])
                    # it wants none any more
                    server.context.verify_mode = ssl.CERT_NONE
                    stats = s.end()["sinks"]["siem"]
                    self.assertEqual(server.ids(50), [f"{n:032x}" for n in range(50)])
                    self.assertEqual(stats["rows"], 50)
                    self.assertGreaterEqual(stats["retries"], 1)

    def test_a_server_that_takes_us_late_slows_only_the_beginning(self):
        for version, tickets in self.WAYS:
            with self.subTest(version=version, tickets=tickets), tempfile.TemporaryDirectory() as folder:
                server = LateServer(self, version, tickets, 0.3)
                pem = client_certificate(pathlib.Path(folder), "segwatch")
                s = Sinks(self, folder, [self.output(f"localhost:{server.port}", "tls", client_certificate=pem,
                                                     rows_per_request=10)], 60)
                s.feed([finding(0)])
                end = time.monotonic() + 20
                while not server.received and time.monotonic() < end:
                    time.sleep(0.01)
                began = time.monotonic()
                s.feed(finding(n) for n in range(1, 1001))
                stats = s.end()["sinks"]["siem"]
                self.assertLess(time.monotonic() - began, 15, "100 requests, each of which would wait")
                self.assertEqual(server.ids(1001), [f"{n:032x}" for n in range(1001)])
                self.assertEqual((stats["retries"], server.connections, server.refused), (0, 1, 0))


class UnixSocket(Case):
    def test_a_stream_gets_frames(self):
        path = self.folder / "log"
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(str(path))
        server.listen(1)
        server.settimeout(10)
        received = b""
        s = self.sinks(self.output(str(path), "unix"))
        s.feed(self.nasty(n) for n in range(20))
        client, _ = server.accept()
        with client:
            client.settimeout(10)
            while len(self.frames(received) or []) < 20:
                received += client.recv(65536)
            stats = s.end()["sinks"]["siem"]
        messages = self.frames(received)
        self.assertEqual(len(messages), 20)
        for n, message in enumerate(messages):
            self.assertRegex(message, "^<163>1 ")
            self.assertIn(f"flexString1={n:032x} ", message)
        self.assertEqual((stats["rows"], stats["retries"]), (20, 0))

    def frames(self, data):
        """What octet counting says; None if the last one is not whole."""
        messages = []
        while data:
            n, _, data = data.partition(b" ")
            if len(data) < int(n):
                return None
            messages.append(data[:int(n)].decode())
            data = data[int(n):]
        return messages

    def test_a_finding_too_large_for_a_datagram_is_cut(self):
        path = self.folder / "log"
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind(str(path))
        server.settimeout(20)
        got = []
        reader = threading.Thread(target=lambda: [got.append(server.recv(1 << 20)) for _ in range(5)])
        s = self.sinks(self.output(str(path), "unix", format="json"))
        s.feed([finding(1), finding(2), finding(3, pad=400000), finding(4), finding(5)])
        reader.start()
        stats = s.end()["sinks"]["siem"]
        reader.join()
        text = [json.loads(m[m.index(b"{"):]) for m in got]
        self.assertEqual([f["metadata"]["uid"] for f in text], [f"{n:032x}" for n in range(1, 6)], "each once, in order")
        self.assertTrue(text[2]["metadata"]["is_truncated"])
        self.assertEqual((stats["rows"], stats["rejected"], stats["retries"]), (5, 0, 0))

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
