# SPDX-License-Identifier: Apache-2.0
"""The webhook sink: what is sent, that it is signed, and that trouble loses nothing."""
import hashlib
import hmac
import json
import os
import pathlib
import random
import shutil
import ssl
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from fake_azure import Handler, Server, certificates  # noqa: E402
from sinks import Sinks, finding  # noqa: E402

SEED = int(os.environ.get("SEGWATCH_SEED", 7))
REQUESTS = 3000 if "SEGWATCH_SOAK" in os.environ else 150


class Receiver:
    def __init__(self, test):
        self.requests, self.script = [], []
        self.refuse = lambda rows: False
        self.too_large = 1 << 30
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pathlib.Path(certificates().name) / "server.pem")
        self.server = Server(("127.0.0.1", 0), type("H", (Handler,), {"fake": self}))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)

    def on_get(self, h):
        h.answer(405, {})

    def on_post(self, h):
        body = h.body()
        status = self.script.pop(0) if self.script else 200
        rows = json.loads(body)
        if status == 200 and self.refuse(rows if isinstance(rows, list) else [rows]):
            status = 400
        if status == 200 and len(body) > self.too_large:
            status = 413
        self.requests.append({"status": status, "headers": dict(h.headers), "body": body, "json": json.loads(body),
                              "path": h.path, "time": time.monotonic()})
        if status == "reset":
            return h.reset()
        h.answer(status, {}, [("Retry-After", "0")] if status == 429 else [])

    @property
    def taken(self):
        return [r for r in self.requests if r["status"] == 200]


class Webhook(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.receiver = Receiver(self)

    def secret(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return {"file": str(path)}

    def deliver(self, findings, seconds=30, **more):
        s = Sinks(self, self.folder, [{
            "name": "hook", "kind": "webhook", "url": f"https://localhost:{self.receiver.port}/in?x=1",
            "ca_file": str(pathlib.Path(certificates().name) / "ca.pem"), "retry": {"first": "10ms", "max": "50ms"},
            "per_minute": 6000, **more}], seconds)
        s.feed(findings)
        stats = s.end()["sinks"]["hook"]
        return stats, s

    def test_arrays_of_whole_findings(self):
        self.deliver([finding(n) for n in range(250)])
        rows = [f for r in self.receiver.taken for f in r["json"]]
        self.assertEqual(rows, [finding(n) for n in range(250)])
        self.assertLessEqual(max(len(r["json"]) for r in self.receiver.taken), 100)
        self.assertEqual({r["path"] for r in self.receiver.taken}, {"/in?x=1"})
        self.assertEqual(self.receiver.taken[0]["headers"]["Content-Type"], "application/json")

    def test_single_objects(self):
        self.deliver([finding(n) for n in range(5)], single=True)
        self.assertEqual([r["json"] for r in self.receiver.taken], [finding(n) for n in range(5)])

    def test_fields(self):
        f = finding(3, title='quote " and {brace}')
        f["unmapped"]["targets"] = ["10.0.0.1", "10.0.0.2"]
        self.deliver([f], single=True, fields={
            "text": "{severity}: {finding_info.title} -> {unmapped.targets}", "risk": "{risk_score}",
            "targets": "{unmapped.targets}", "none": "{no.such}", "partly": "a {no.such} b", "brace": "{{x}",
            "kind": "fixed", "alert": "{is_alert}"})
        self.assertEqual(self.receiver.taken[0]["json"], {
            "text": 'Low: quote " and {brace} -> 10.0.0.1, 10.0.0.2', "risk": f["risk_score"],
            "targets": ["10.0.0.1", "10.0.0.2"], "none": None, "partly": "a  b", "brace": "{x}", "kind": "fixed",
            "alert": f["is_alert"]})

    def test_signature_and_bearer(self):
        _, s = self.deliver([finding(1)], signature=self.secret("key", "hmac-canary"), bearer=self.secret("t", "tok-canary"))
        r = self.receiver.taken[0]
        stamp = r["headers"]["X-Segwatch-Timestamp"]
        want = hmac.new(b"hmac-canary", stamp.encode() + b"." + r["body"], hashlib.sha256).hexdigest()
        self.assertEqual(r["headers"]["X-Segwatch-Signature"], "v1=" + want)
        self.assertLess(abs(int(stamp) - time.time()), 60)
        self.assertEqual(r["headers"]["Authorization"], "Bearer tok-canary")
        self.assertNotIn("canary", s.log())

    def test_trouble_loses_nothing(self):
        self.receiver.script = [500, 429, 403, 404, "reset", 413, 503, 302]
        stats, s = self.deliver([finding(n) for n in range(50)])
        rows = [f["metadata"]["uid"] for r in self.receiver.taken for f in r["json"]]
        self.assertEqual(rows, [f"{n:032x}" for n in range(50)])
        self.assertEqual(stats["rejected"], 0)
        self.assertGreaterEqual(stats["retries"], 6)

    def test_requests_of_every_kind_mixed(self):
        rng = random.Random(SEED)
        kinds = [200] * 12 + [500, 502, 503, 504, 429, 403, 404, 408, 401, 302, "reset", 413]
        n = REQUESTS
        self.receiver.script = [rng.choice(kinds) for _ in range(n)]
        stats, s = self.deliver((finding(k) for k in range(n)), seconds=60 + n // 20, rows_per_request=rng.randint(1, 3),
                                retry={"first": "10ms", "max": "20ms"})
        rows = [f["metadata"]["uid"] for r in self.receiver.taken for f in r["json"]]
        self.assertEqual(rows, [f"{k:032x}" for k in range(n)], f"seed {SEED}")
        self.assertEqual(stats["rejected"], 0)
        self.assertGreater(len(self.receiver.requests) - len(self.receiver.taken), n / 20)

    def test_what_is_refused_alone_is_set_aside(self):
        bad = {3, *range(20, 35)}
        self.receiver.refuse = lambda rows: any(f["finding_info"]["title"] == "BAD" for f in rows)
        for more in {}, {"single": True}:
            with self.subTest(more):
                self.receiver.requests.clear()
                stats, s = self.deliver([finding(n, title="BAD" if n in bad else None) for n in range(60)], **more)
                self.assertEqual(stats["rejected"], len(bad))
                self.assertEqual({r["uid"] for r in s.rejected()}, {f"{n:032x}" for n in bad})
                rows = [f["metadata"]["uid"] for r in self.receiver.taken
                        for f in (r["json"] if isinstance(r["json"], list) else [r["json"]])]
                self.assertEqual(sorted(rows), [f"{n:032x}" for n in range(60) if n not in bad])
                shutil.rmtree(self.folder / "state")

    def test_refusals_that_end_were_not_the_rows(self):
        self.receiver.script = [400] * 25
        stats, s = self.deliver([finding(n) for n in range(12)])
        self.assertEqual((stats["rejected"], s.rejected()), (0, []))
        self.assertEqual(sorted(f["metadata"]["uid"] for r in self.receiver.taken for f in r["json"]),
                         [f"{n:032x}" for n in range(12)])

    def test_a_finding_of_fields_that_is_too_large_is_cut_until_it_fits(self):
        self.receiver.too_large = 8000
        f = finding(1, pad=100_000)
        f["unmapped"]["targets"] = [f"10.0.{i // 256}.{i % 256}" for i in range(5000)]
        fields = {"text": "{message}", "also": "on {finding_info.title}: {message}", "targets": "{unmapped.targets}",
                  "all": "{finding_info}"}
        stats, s = self.deliver([finding(0), f, finding(2)], single=True, fields=fields)
        self.assertEqual((stats["rows"], stats["rejected"], s.rejected()), (3, 0, []))
        got = self.receiver.taken[1]["json"]
        self.assertEqual(set(got), set(fields))
        self.assertGreater(len(got["text"]), 1000)
        self.assertTrue(f["message"].startswith(got["text"]))
        self.assertTrue(got["also"].startswith("on Finding 1: xxx"))
        self.assertGreater(len(got["targets"]), 50)
        self.assertEqual(got["targets"][:50], f["unmapped"]["targets"][:50])
        self.assertEqual([r["status"] for r in self.receiver.requests], [200, 413, 413, 200, 200])

    def test_rate(self):
        began = time.monotonic()
        self.deliver([finding(n) for n in range(6)], single=True, per_minute=300)
        self.assertGreaterEqual(time.monotonic() - began, 1.0)


if __name__ == "__main__":
    unittest.main()
