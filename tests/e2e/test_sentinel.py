# SPDX-License-Identifier: Apache-2.0
"""The Sentinel sink against an API that checks everything and fails in every way the documents name."""
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from fake_azure import CLIENT, DCR, TENANT, FakeAzure, Proxy, make_certificates  # noqa: E402
from sinks import T0, Sinks, columns, finding  # noqa: E402

SOAK = "SEGWATCH_SOAK" in os.environ
SEED = int(os.environ.get("SEGWATCH_SEED", 7))
REQUESTS = int(os.environ.get("SEGWATCH_COUNT", 10000 if SOAK else 3000))
OUTPUT_KIB = 8 * 1024  # of memory, each
TOKEN_SECONDS = 60 if SOAK else 10


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.fake = FakeAzure(self.folder, columns())
        self.addCleanup(self.fake.close)
        self.secret = self.folder / "secret"
        self.write_secret("s3cret-canary")

    def write_secret(self, text):
        new = self.folder / "secret.new"
        new.write_text(text + "\n")
        new.chmod(0o600)
        new.rename(self.secret)

    def auth(self, **more):
        return {"tenant": TENANT, "client_id": CLIENT, "client_secret": {"file": str(self.secret)},
                "authority": self.fake.endpoint, **more}

    def output(self, **more):
        return {"name": "sentinel", "kind": "sentinel", "endpoint": self.fake.endpoint, "dcr": DCR,
                "ca_file": str(self.fake.ca), "auth": self.auth(), "retry": {"first": "10ms", "max": "50ms"},
                "timeout": "5s", **more}

    def sinks(self, *outputs, seconds=60, **kw):
        return Sinks(self, self.folder, list(outputs) or [self.output()], seconds, **kw)

    def uids(self):
        return [r["EventOriginalUid"] for r in self.fake.rows]

    def wait_for(self, what, seconds=20):
        end = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), end, "in time")
            time.sleep(0.02)

    def check_contract(self):
        self.assertEqual(self.fake.violations[:5], [])

    def check_delivered(self, n, missing=()):
        """Everything arrived, and twice only what the sink could not know to have arrived."""
        uids = self.uids()
        want = {f"{i:032x}" for i in range(n) if i not in missing}
        self.assertEqual(set(uids), want)
        twice = {u for u in set(uids) if uids.count(u) > 1} if len(uids) > len(want) else set()
        self.assertLessEqual(twice, self.fake.unknown)

    def check_no_secrets(self, s):
        """Whatever was logged or kept: neither the secrets nor the tokens."""
        for path in [*s.state.iterdir(), self.folder / "sinks.log"]:
            self.assertNotIn(b"canary", path.read_bytes(), path)


class Delivery(Case):
    def test_rows_arrive_once_and_in_order(self):
        s = self.sinks()
        s.feed(finding(i) for i in range(500))
        stats = s.end()["sinks"]["sentinel"]
        self.assertEqual(self.uids(), [f"{i:032x}" for i in range(500)])
        self.assertEqual((stats["rows"], stats["rejected"], stats["retries"]), (500, 0, 0))
        self.assertEqual(len(self.fake.token_requests), 1)
        self.assertEqual(self.fake.rows[7]["EventUid"], f"{7 // 3:032x}")
        self.assertEqual(self.fake.rows[7]["Finding"]["message"], " message 7")
        self.check_contract()

    def test_the_time_spread_of_a_request_stays_below_half_an_hour(self):
        s = self.sinks()
        s.feed(finding(i, ms=T0 + i * 61_000) for i in range(200))
        s.end()
        self.check_delivered(200)
        self.check_contract()
        self.assertGreaterEqual(len(self.fake.requests), 200 * 61 // 1800)

    def test_a_request_stays_below_a_million_bytes(self):
        s = self.sinks()
        s.feed(finding(i, pad=3500) for i in range(600))
        s.end()
        self.check_delivered(600)
        self.check_contract()
        sizes = [r["plain"] for r in self.fake.requests]
        self.assertGreater(max(sizes), 900_000, "and is not wastefully small")

    def test_an_output_needs_so_much_memory_and_no_more(self):
        """docs/OUTPUTS.md says how much; findings of the largest size make the fullest batches."""
        def peak(n):
            subprocess.run(["rm", "-rf", self.folder / "state"], check=True)
            self.fake.rows = []
            s = self.sinks(*[self.output(name=f"s{i}") for i in range(n)])
            s.feed(finding(i, pad=14_000) for i in range(400))
            end = time.monotonic() + 40
            while len(self.fake.rows) < 400 * n and time.monotonic() < end:
                time.sleep(0.05)
            with open(f"/proc/{s.process.pid}/status") as f:
                most = next(int(l.split()[1]) for l in f if l.startswith("VmHWM"))
            s.end()
            return most

        one, five = peak(1), peak(5)
        self.assertGreater(five - one, 4 * 1024, "five have more than one: else this measures nothing")
        self.assertLess((five - one) / 4, OUTPUT_KIB)

    def test_oversize_rows_are_cut_and_marked(self):
        s = self.sinks()
        s.feed([finding(0, pad=200_000), finding(1)])
        s.end()
        self.check_delivered(2)
        self.check_contract()
        self.assertEqual([r["RowTruncated"] for r in self.fake.rows], [True, False])
        self.assertTrue(self.fake.rows[0]["Finding"]["metadata"]["is_truncated"])

    def test_filters(self):
        s = self.sinks(self.output(min_severity="high", detectors=["segment_policy"]))
        s.feed([finding(0, severity=4, detector="segment_policy"), finding(1, severity=3, detector="segment_policy"),
                finding(2, severity=5, detector="horizontal_scan"), finding(3, severity=5, detector="segment_policy")])
        s.end()
        self.assertEqual(self.uids(), [f"{0:032x}", f"{3:032x}"])
        self.check_contract()

    def test_drain_of_a_queue(self):
        self.fake.down()
        s = self.sinks()
        s.feed(finding(i) for i in range(10_000))
        time.sleep(1)
        self.fake.up()
        began = time.monotonic()
        while len(self.fake.rows) < 10_000 and time.monotonic() - began < 30:
            time.sleep(0.02)
        seconds = time.monotonic() - began
        s.end()
        self.check_delivered(10_000)
        self.check_contract()
        self.assertGreaterEqual(10_000 / seconds, 1000, f"{10_000 / seconds:.0f} rows/s")

    def test_what_is_marked_is_not_sent_again_after_a_restart(self):
        s = self.sinks()
        s.feed(finding(i) for i in range(50))
        s.end()
        s = self.sinks()
        s.feed(finding(i) for i in range(50, 80))
        s.end()
        self.assertEqual(self.uids(), [f"{i:032x}" for i in range(80)])


class Trouble(Case):
    def run_script(self, script, n=30, **output):
        """n rows, each request after the script's; returns statistics."""
        actions = list(script)
        self.fake.script = lambda k, rows: actions.pop(0) if actions else "ok"
        s = self.sinks(self.output(timeout="300ms", **output))
        s.feed(finding(i) for i in range(n))
        stats = s.end()["sinks"]["sentinel"]
        self.assertEqual(actions, [])
        self.check_contract()
        self.check_no_secrets(s)
        return stats, s

    def test_each_trouble_alone_loses_nothing(self):
        for trouble in self.fake.MISBEHAVIOUR[1:]:
            if trouble in ("400", "429 date"):
                continue
            with self.subTest(trouble):
                self.fake.rows, self.fake.unknown = [], set()
                self.fake.hang_seconds = 0.6
                (self.folder / "state").exists() and subprocess.run(["rm", "-rf", self.folder / "state"], check=True)
                stats, _ = self.run_script([trouble, trouble])
                self.check_delivered(30)
                self.assertEqual(stats["rejected"], 0)
                duplicates = len(self.fake.rows) - 30
                self.assertEqual(duplicates > 0, trouble.endswith(" taken"), f"{duplicates} duplicates")

    def test_retry_after_is_obeyed_also_as_a_date(self):
        began = time.monotonic()
        self.run_script(["429 date"])
        # a date has whole seconds: a second hence may be a moment hence
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual([r["status"] for r in self.fake.requests], [429, 204])

    def test_retry_after_of_seconds_is_obeyed(self):
        self.run_script(["429 3"])
        first, second = (r["time"] for r in self.fake.requests)
        self.assertGreaterEqual(second - first, 2.9)
        self.assertLess(second - first, 10)

    def test_a_stream_that_the_rule_does_not_have_is_an_outage_at_once(self):
        s = self.sinks(self.output(stream="Custom-Other", retry={"first": "10s", "max": "10s"}), seconds=1)
        s.feed(finding(i) for i in range(20))
        s.process.stdin.close()
        self.assertEqual(s.process.wait(), 1)
        self.assertIn("InvalidStream: The stream Custom-Other was not configured", s.log())
        self.assertEqual([r["status"] for r in self.fake.requests], [400], "no search for a bad row")
        self.assertEqual(s.rejected(), [])

    def test_403_names_the_role_and_404_what_to_look_at(self):
        _, s = self.run_script(["403", "404"])
        self.assertIn("Monitoring Metrics Publisher", s.log())
        self.assertIn(CLIENT, s.log())
        self.assertNotIn("token-canary", s.log())

    def test_a_bad_row_is_found_set_aside_and_the_others_arrive(self):
        bad = {3, 4, 77, 200, 299}
        s = self.sinks()
        s.feed(finding(i, title="POISON" if i in bad else None) for i in range(300))
        stats = s.end()["sinks"]["sentinel"]
        self.check_delivered(300, bad)
        self.assertEqual(stats["rejected"], len(bad))
        rows = s.rejected()
        self.assertEqual({r["uid"] for r in rows}, {f"{i:032x}" for i in bad})
        self.assertTrue(all("does not match the schema" in r["answer"] and r["status"] == 400 for r in rows))
        self.assertLess(stats["requests"], 80)
        self.check_contract()

    def test_when_every_row_is_refused_it_is_not_the_rows(self):
        self.fake.script = lambda n, rows: "400" if n < 120 else "ok"
        s = self.sinks()
        s.feed(finding(i) for i in range(100))
        stats = s.end()["sinks"]["sentinel"]
        self.assertEqual(stats["rejected"], 0)
        self.check_delivered(100)
        self.assertIn("every row is refused", s.log())

    def test_many_bad_rows_in_a_row_hold_up_nothing(self):
        bad = set(range(10, 60))
        s = self.sinks()
        s.feed(finding(i, title="POISON" if i in bad else None) for i in range(100))
        stats = s.end()["sinks"]["sentinel"]
        self.check_delivered(100, bad)
        self.assertEqual((stats["rejected"], stats["rows"]), (50, 50))
        self.assertEqual({r["uid"] for r in s.rejected()}, {f"{i:032x}" for i in bad})
        self.assertEqual(len(self.fake.rows), 50, "none twice")
        self.check_contract()

    def test_who_always_refuses_gets_the_rows_when_it_is_right_whatever_is_restarted(self):
        self.fake.script = lambda n, rows: "400"
        for start in range(3):
            s = self.sinks(seconds=1)
            s.feed(finding(i) for i in range(start * 20, start * 20 + 20))
            s.process.stdin.close()
            self.assertEqual(s.process.wait(), 1)
            self.assertIn("every row is refused", s.log())
            self.assertEqual(s.rejected(), [])
        self.fake.script = lambda n, rows: "ok"
        s = self.sinks()
        s.feed([finding(60)])
        stats = s.end()["sinks"]["sentinel"]
        self.assertEqual((stats["rejected"], stats["rows"]), (0, 61))
        self.assertEqual(self.uids(), [f"{i:032x}" for i in range(61)])

    def test_a_bad_row_alone_waits_for_another_finding(self):
        s = self.sinks()
        s.feed([finding(0, title="POISON")])
        time.sleep(0.7)
        self.assertIn("no other finding waits", s.log())
        self.assertEqual(s.rejected(), [])
        s.feed([finding(3)])
        stats = s.end()["sinks"]["sentinel"]
        self.assertEqual((stats["rejected"], stats["rows"]), (1, 1))
        self.assertIn("does not match the schema", s.rejected()[0]["answer"])

    def test_too_large_is_halved(self):
        self.fake.script = lambda n, rows: "413" if len(rows) > 7 else "ok"
        s = self.sinks()
        s.feed(finding(i) for i in range(64))
        s.end()
        self.check_delivered(64)
        self.check_contract()

    def test_an_outage_fills_the_queue_to_its_cap_and_no_further(self):
        self.fake.down()
        s = self.sinks(self.output(queue="1MiB"))
        s.feed(finding(i, severity=2 + i % 3, pad=2000) for i in range(1500))
        time.sleep(1.5)
        self.fake.up()
        result = s.end()
        stats = result["sinks"]["sentinel"]
        self.assertGreater(stats["given_up"], 0)
        # what was in flight when it was given up arrives all the same
        self.assertTrue(0 <= len(set(self.uids())) + stats["given_up"] - 1500 <= 400, len(self.uids()))
        self.assertEqual(len(set(self.uids())), len(self.uids()))
        sent = [int(u, 16) % 3 for u in self.uids()]
        self.assertLess(sent.count(0), sent.count(2) / 2, "the least severe go first")
        self.check_contract()

    def test_requests_of_every_kind_mixed(self):
        rng = random.Random(SEED)
        kinds = ["ok"] * 24 + [k for k in self.fake.MISBEHAVIOUR if k not in ("ok", "400", "429 date", "hang", "hang taken")]
        kinds += ["hang", "hang taken"] if SOAK else []
        actions = [rng.choice(kinds) for _ in range(REQUESTS)]
        for i in range(0, REQUESTS, 500):
            actions[i] = "hang" if i % 1000 else "hang taken"
        self.fake.hang_seconds = 0.6
        self.fake.script = lambda n, rows: actions[n] if n < REQUESTS else "ok"
        bad = {i for i in range(0, REQUESTS, 331)}
        n = int(REQUESTS * 1.45)
        s = self.sinks(self.output(timeout="300ms", rows_per_request=2, retry={"first": "10ms", "max": "10ms"}),
                       seconds=1800 if SOAK else 240, level="error")
        s.feed(finding(i, ms=T0 + i * 45_000, title="POISON" if i in bad else None) for i in range(n))
        stats = s.end()["sinks"]["sentinel"]
        self.assertGreaterEqual(stats["requests"], REQUESTS)
        self.check_delivered(n, bad)
        self.assertEqual(stats["rejected"], len(bad))
        self.check_contract()
        self.check_no_secrets(s)
        # at most one token between two answers that are not 401
        burst = 0
        for event in self.fake.events:
            burst = burst + 1 if event == "T" else burst if event == "401" else 0
            self.assertLessEqual(burst, 1)
        self.assertGreater(self.fake.events.count("401"), 10)


class Tokens(Case):
    def deliver(self, auth, n=5, env=None, **kw):
        s = self.sinks(self.output(auth={**auth, **kw}), env=env)
        s.feed(finding(i) for i in range(n))
        s.end()
        self.check_delivered(n)
        self.check_contract()
        self.check_no_secrets(s)
        return {kind for _, kind, _ in self.fake.token_requests}

    def make_certificate(self, *key):
        subprocess.run(["openssl", "req", "-x509", *key, "-nodes", "-keyout", self.folder / "app.key", "-out",
                        self.folder / "app.crt", "-days", "2", "-subj", "/CN=app"], check=True, stderr=subprocess.DEVNULL)
        pem = self.folder / "app.pem"
        pem.write_text((self.folder / "app.crt").read_text() + (self.folder / "app.key").read_text())
        pem.chmod(0o600)
        return pem

    def test_certificate(self):
        pem = self.make_certificate("-newkey", "rsa:2048")
        self.fake.certificate = self.folder / "app.crt"
        auth = {k: v for k, v in self.auth().items() if k != "client_secret"}
        self.assertEqual(self.deliver(auth, certificate={"file": str(pem)}), {"certificate"})

    def test_federated_token(self):
        token = self.folder / "federated"
        token.write_text("federated-canary")
        token.chmod(0o600)
        auth = {k: v for k, v in self.auth().items() if k != "client_secret"}
        self.assertEqual(self.deliver(auth, federated_token_file=str(token)), {"federated"})
        self.assertEqual(self.fake.assertions, ["federated-canary"])

    def test_a_federated_token_that_was_rotated_is_read_anew(self):
        token = self.folder / "federated"

        def write(text):
            new = self.folder / "federated.new"
            new.write_text(text)
            new.chmod(0o600)
            new.rename(token)

        write("federated-canary")
        self.fake.token_ttl = 2
        auth = {k: v for k, v in self.auth().items() if k != "client_secret"}
        s = self.sinks(self.output(auth={**auth, "federated_token_file": str(token)}))
        s.feed([finding(0)])
        self.wait_for(lambda: len(self.fake.rows) == 1)
        write("federated-canary-2")  # the old one is no longer good
        self.fake.federated = {"federated-canary-2"}
        time.sleep(2.2)
        s.feed([finding(1)])
        self.assertEqual(s.end()["sinks"]["sentinel"]["retries"], 0)
        self.check_delivered(2)
        self.assertEqual(self.fake.assertions, ["federated-canary", "federated-canary-2"])
        self.check_no_secrets(s)

    def test_retry_after_of_who_gives_tokens_is_obeyed(self):
        for auth in self.auth(), self.managed():
            with self.subTest(auth):
                subprocess.run(["rm", "-rf", self.folder / "state"], check=True)
                self.fake.rows, self.fake.token_requests = [], []
                self.fake.entra_refusals = [(429, "2"), (503, None)]
                self.deliver(auth)
                (first, _, _), (second, _, _), (third, _, _) = self.fake.token_requests
                self.assertGreaterEqual(second - first, 1.9)
                self.assertLess(third - second, 1, "what is not said is a pause of our own")

    def managed(self, **more):
        return {"managed_identity": {"endpoint": f"http://127.0.0.1:{self.fake.http_port}/metadata/identity/oauth2/token",
                                     **more}}

    def test_managed_identity(self):
        self.assertEqual(self.deliver(self.managed()), {"imds"})

    def test_user_assigned_identity(self):
        self.assertEqual(self.deliver(self.managed(client_id="id-of-user")), {"imds"})

    def test_app_service(self):
        env = {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.fake.http_port}/msi/token", "IDENTITY_HEADER": "header-canary"}
        for row in {}, {"client_id": "id-of-user"}, {"object_id": "object-of-user"}, {"resource_id": "/subscriptions/s/identity"}:
            with self.subTest(row):
                subprocess.run(["rm", "-rf", self.folder / "state"], check=True)
                self.fake.rows = []
                self.assertEqual(self.deliver({"managed_identity": {"via": "app-service", **row}}, env=env), {"app service"})

    def test_app_service_without_its_environment_or_its_identity_says_so(self):
        env = {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.fake.http_port}/msi/token", "IDENTITY_HEADER": "header-canary"}
        for row, env, words in (({}, {}, "IDENTITY_ENDPOINT and IDENTITY_HEADER are not set"),
                                ({"client_id": "nobody"}, env, "this machine has no such identity")):
            s = self.sinks(self.output(auth={"managed_identity": {"via": "app-service", **row}}), seconds=1, env=env)
            s.feed([finding(0)])
            s.process.stdin.close()
            self.assertEqual(s.process.wait(), 1)
            self.assertIn(words, s.log())
            self.assertNotIn("canary", s.log())
        self.assertEqual(self.fake.rows, [])

    def test_arc(self):
        self.assertEqual(self.deliver(self.managed(via="arc", tokens_dir=str(self.fake.arc_dir))), {"arc"})

    def test_arc_may_not_name_any_file(self):
        s = self.sinks(self.output(auth=self.managed(via="arc", tokens_dir=str(self.folder / "elsewhere"))), seconds=2)
        s.feed([finding(0)])
        s.process.stdin.close()
        self.assertEqual(s.process.wait(), 1)
        self.assertIn("not a .key in", s.log())
        self.assertEqual(self.fake.rows, [])

    def test_sovereign_clouds_and_an_audience_of_ones_own(self):
        for more, audience in (({"cloud": "usgov"}, "https://monitor.azure.us"),
                               ({"cloud": "china"}, "https://monitor.azure.cn"),
                               ({"audience": "https://other.example"}, "https://other.example")):
            with self.subTest(audience):
                subprocess.run(["rm", "-rf", self.folder / "state"], check=True)
                self.fake.rows, self.fake.audience = [], audience
                self.deliver(self.auth(), **more)

    def test_a_proxy_is_used_for_all_but_the_machines_own_identity(self):
        proxy = Proxy()
        self.addCleanup(proxy.close)
        s = self.sinks(self.output(proxy=f"http://127.0.0.1:{proxy.port}"),
                       self.output(name="managed", auth=self.managed(), proxy=f"http://127.0.0.1:{proxy.port}"))
        s.feed([finding(0)])
        s.end()
        self.assertEqual(len(self.fake.rows), 2)
        self.assertEqual(set(proxy.targets), {("CONNECT", f"localhost:{self.fake.port}")})
        self.assertGreaterEqual(len(proxy.targets), 1)  # connections are shared

    def test_an_unknown_authority_sees_neither_secret_nor_row(self):
        other = self.folder / "other"
        other.mkdir()
        make_certificates(other)
        s = self.sinks(self.output(ca_file=str(other / "ca.pem")), seconds=1)
        s.feed([finding(0)])
        s.process.stdin.close()
        self.assertEqual(s.process.wait(), 1)
        self.assertIn("TLS failed", s.log())
        self.assertEqual((self.fake.token_requests, self.fake.requests), ([], []))

    def test_a_wrong_secret_is_an_outage_that_ends_when_the_file_is_right(self):
        self.write_secret("wrong-canary")
        s = self.sinks()
        s.feed(finding(i) for i in range(5))
        time.sleep(0.5)
        self.assertIn("AADSTS7000215", s.log())
        self.write_secret("s3cret-canary")
        s.end()
        self.check_delivered(5)
        self.check_no_secrets(s)

    def test_expiry_and_rotation_fail_no_row(self):
        """Ten sinks with tokens of one second, secrets that change all the time."""
        self.fake.token_ttl = 1
        outputs = []
        for i in range(10):
            out = self.output(name=f"s{i}", auth=self.auth(client_secret={"file": str(self.secret)}))
            outputs.append(out)
        s = self.sinks(*outputs, seconds=TOKEN_SECONDS + 60)
        rotations, n, secret = 0, 0, "s3cret-canary"
        end = time.monotonic() + TOKEN_SECONDS + 2
        next_rotation = 0
        while time.monotonic() < end:
            if time.monotonic() > next_rotation:
                new = f"s3cret-canary-{rotations}"
                # the old one is good until the next rotation: who has read it must be able to use it
                self.fake.secrets = {secret, new}
                self.write_secret(new)
                secret = new
                rotations += 1
                next_rotation = time.monotonic() + TOKEN_SECONDS / 25
            s.feed([finding(n)])
            n += 1
            time.sleep(0.05)
        stats = s.end()["sinks"]
        for name, sink in stats.items():
            self.assertEqual((sink["rows"], sink["retries"], sink["rejected"]), (n, 0, 0), name)
        self.assertGreaterEqual(rotations, 20)
        self.assertGreaterEqual(len(self.fake.token_requests), 100)
        self.assertEqual([t for t in self.fake.token_requests if t[2] != 200], [])
        self.check_contract()
        self.check_no_secrets(s)


if __name__ == "__main__":
    unittest.main()
