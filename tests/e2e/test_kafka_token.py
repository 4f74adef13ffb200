# SPDX-License-Identifier: Apache-2.0
"""Event Hubs with tokens of Entra instead of a connection string: OAUTHBEARER against a real Kafka broker that looks at
the token's life, and closes connections whose token has expired."""
import base64
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest
import urllib.request

import kafka_broker
from daemon import SEGWATCH, Daemon
from fake_azure import CLIENT, TENANT, FakeAzure
from sinks import Sinks, finding

BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", str(pathlib.Path(SEGWATCH).parents[1])))
NOW_MS = int(time.time() * 1000)
TTL = 4


def unsecured_jwt(life):
    """What Kafka's own validator for tests takes: a JWT without a signature (RFC 7515, alg none)."""
    part = lambda d: base64.urlsafe_b64encode(json.dumps(d).encode()).decode().rstrip("=")
    now = time.time()
    return f"{part({'alg': 'none'})}.{part({'sub': 'canary-subject', 'iat': now - 1, 'exp': now + life})}."


class FakeEntra(FakeAzure):
    def new_token(self, kind):
        super().new_token(kind)
        return unsecured_jwt(self.token_ttl)


@unittest.skipIf(kafka_broker.missing(), kafka_broker.missing() or "")
class KafkaToken(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = kafka_broker.KafkaBroker(topic="hub", settings={
            "sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER",
            "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config":
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
                'unsecuredLoginStringClaim_sub="broker";',
            "connections.max.reauth.ms": "60000"})
        cls.broker.__enter__()
        cls.addClassCleanup(cls.broker.__exit__)

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="segwatch-e2e-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        (self.dir / "azure").mkdir()
        self.fake = FakeEntra(self.dir / "azure", [], audience="https://127.0.0.1")
        self.addCleanup(self.fake.close)
        self.fake.token_ttl = TTL
        self.secret = self.dir / "secret"
        self.secret.write_text("s3cret-canary")
        self.secret.chmod(0o600)
        self.port = kafka_broker.free_ports(1)[0]
        self.topic = self._testMethodName.replace("test_", "")[:60]
        self.tool("create", self.topic, 2)

    def tool(self, *args, data=b""):
        subprocess.run([str(BUILD / "tests/kafka_tool"), self.broker.plaintext, *map(str, args)], input=data, check=True,
                       stdout=subprocess.PIPE, timeout=60)

    def produce(self, n):
        m = b'{"records":[]}'
        self.tool("produce", self.topic, data=b"".join(b"%d %d %d\n%s" % (i % 2, NOW_MS, len(m), m) for i in range(n)))

    def config(self):
        path = self.dir / "segwatch.json"
        path.write_text(json.dumps({
            "sources": [{"name": "hub", "kind": "eventhubs", "brokers": [self.broker.sasl_ssl], "topic": self.topic,
                         "ca_file": self.broker.ca_file,
                         "auth": {"tenant": TENANT, "client_id": CLIENT, "client_secret": {"file": str(self.secret)},
                                  "authority": self.fake.endpoint, "ca_file": str(self.fake.ca)}}],
            "alerts": {"file": f"{self.dir}/alerts.jsonl"}, "state": {"dir": f"{self.dir}/state"},
            "admin": {"socket": "none", "http": f"127.0.0.1:{self.port}"}}))
        return path

    def expiry(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as f:
            m = re.search(r'(?m)^segwatch_token_expiry_timestamp_seconds\{source="hub"\} (\S+)$', f.read().decode())
        return float(m[1]) if m else None

    def test_reads_on_over_the_life_of_many_tokens(self):
        self.produce(10)
        d = Daemon(self, self.config())
        d.wait_for(lambda: d.stats()[0] == 10, "the first messages")
        first = self.expiry()
        self.assertAlmostEqual(first, time.time() + TTL, delta=TTL, msg="within its life")
        want = 10
        end = time.monotonic() + 3 * TTL
        while time.monotonic() < end:
            self.produce(10)
            want += 10
            d.wait_for(lambda: d.stats()[0] == want, f"{want} messages", 15)
            time.sleep(1)
        self.assertGreater(self.expiry(), first + TTL, "of the token in use")
        self.assertEqual(d.stop()[0], 0)
        self.assertGreaterEqual(len(self.fake.token_requests), 3)
        self.assertEqual(self.fake.violations, [])
        self.assertNotIn("canary", d.log())

    def test_a_wrong_secret_is_told_and_the_right_one_found(self):
        self.secret.write_text("wrong-canary")
        self.produce(10)
        d = Daemon(self, self.config())
        d.wait_log("AADSTS7000215")
        self.assertIsNone(self.expiry(), "there is no token")
        self.secret.write_text("s3cret-canary")
        d.wait_for(lambda: d.stats()[0] == 10, "the messages")
        self.assertEqual(d.stop()[0], 0)
        self.assertNotIn("canary", d.log())

    def output(self, **more):
        return {"name": "bus", "kind": "kafka", "brokers": [self.broker.sasl_ssl], "topic": self.topic,
                "ca_file": self.broker.ca_file, "timeout": "4s", "retry": {"first": "50ms", "max": "500ms"},
                "auth": {"tenant": TENANT, "client_id": CLIENT, "client_secret": {"file": str(self.secret)},
                         "authority": self.fake.endpoint, "ca_file": str(self.fake.ca)}, **more}

    def uids(self):
        p = subprocess.run(["kcat", "-b", self.broker.plaintext, "-C", "-t", self.topic, "-o", "beginning", "-e", "-q"],
                           stdout=subprocess.PIPE, check=True, timeout=30)
        return sorted(json.loads(line)["metadata"]["uid"] for line in p.stdout.splitlines())

    def test_an_output_writes_on_over_the_life_of_many_tokens(self):
        s = Sinks(self, self.dir, [self.output()])
        n = 0
        end = time.monotonic() + 3 * TTL
        while time.monotonic() < end:
            s.feed(finding(i) for i in range(n, n + 5))
            n += 5
            time.sleep(1)
        stats = s.end()["sinks"]["bus"]
        self.assertEqual((stats["rows"], stats["retries"]), (n, 0))
        self.assertEqual(self.uids(), [f"{i:032x}" for i in range(n)])
        self.assertGreaterEqual(len(self.fake.token_requests), 3)
        self.assertEqual(self.fake.violations, [])
        self.assertNotIn("canary", s.log())

    def test_an_output_with_a_wrong_secret_says_so_and_goes_on_with_the_right_one(self):
        self.secret.write_text("wrong-canary")
        s = Sinks(self, self.dir, [self.output(timeout="2s")])
        s.feed(finding(i) for i in range(10))
        end = time.monotonic() + 20
        while ("AADSTS7000215" not in s.log() or "sink_outage" not in s.log()) and time.monotonic() < end:
            time.sleep(0.1)
        self.assertRegex(s.log(), "sink_outage.*Azure Event Hubs Data Sender")
        self.secret.write_text("s3cret-canary")
        self.assertEqual(s.end()["sinks"]["bus"]["rows"], 10)
        self.assertEqual(self.uids(), [f"{i:032x}" for i in range(10)])
        self.assertNotIn("canary", s.log())

    def check(self, output, *options):
        path = self.dir / "check.json"
        path.write_text(json.dumps({"outputs": [output]}))
        p = subprocess.run([SEGWATCH, "check", *options, "-c", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           timeout=60, env=dict(os.environ, NO_COLOR="1"))
        return p.returncode, p.stdout

    def test_check_online_of_an_output(self):
        code, text = self.check(self.output(), "--online")
        self.assertEqual(code, 0, text)
        self.assertIn(f"topic '{self.topic}' has 2 partitions", text)
        self.secret.write_text("wrong-canary")
        code, text = self.check(self.output(), "--online")
        self.assertNotEqual(code, 0, text)
        self.assertIn("AADSTS7000215", text)

    def test_auth_of_an_output_stands_alone(self):
        for more, word in (({"connection_string": {"file": str(self.secret)}}, "auth and connection_string exclude each other"),
                           ({"password": {"file": str(self.secret)}}, "auth and password exclude each other"),
                           ({"brokers": None}, "needs 'brokers'"), ({"topic": None}, "needs 'topic'"),
                           ({"auth": {"tenant": TENANT, "client_id": CLIENT}}, "auth needs")):
            code, text = self.check({k: v for k, v in self.output(**more).items() if v is not None})
            self.assertEqual(code, 78, text)
            self.assertIn(word, text)

    def test_check_online(self):
        p = subprocess.run([SEGWATCH, "check", "--online", "-c", self.config()], stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("source hub: ok: 2 partitions can be read", p.stderr)


if __name__ == "__main__":
    unittest.main()
