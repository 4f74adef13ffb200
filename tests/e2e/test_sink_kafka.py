# SPDX-License-Identifier: Apache-2.0
"""The Kafka sink against a real broker: every finding, keyed by its incident and in order, through outages and over the
connection string of Event Hubs."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from kafka_broker import KafkaBroker, missing  # noqa: E402
from sinks import BUILD, SEGWATCH, Sinks, finding  # noqa: E402


@unittest.skipIf(missing(), missing())
class SinkKafka(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = cls.enterClassContext(KafkaBroker("findings"))
        cls.tool("create", "findings", 3)

    @classmethod
    def tool(cls, *args):
        subprocess.run([BUILD / "tests/kafka_tool", cls.broker.plaintext, *map(str, args)], check=True, timeout=30)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def sinks(self, topic, seconds=40, **more):
        row = {"name": "bus", "kind": "kafka", "brokers": [self.broker.plaintext], "topic": topic,
               "retry": {"first": "50ms", "max": "200ms"}, **more}
        return Sinks(self, self.folder, [{k: v for k, v in row.items() if v is not None}], seconds)

    def messages(self, topic):
        """(key, partition, value) in the order of their offsets."""
        p = subprocess.run(["kcat", "-b", self.broker.plaintext, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f",
                            "%k\\t%p\\t%s\\n"], stdout=subprocess.PIPE, check=True, timeout=30)
        rows = [line.split("\t", 2) for line in p.stdout.decode().splitlines()]
        return [(key, int(partition), json.loads(value)) for key, partition, value in rows]

    def check(self, topic, findings):
        got = self.messages(topic)
        self.assertEqual(sorted(v["metadata"]["uid"] for _, _, v in got), sorted(f["metadata"]["uid"] for f in findings))
        wanted = {f["metadata"]["uid"]: f for f in findings}
        of_key = {}
        for key, partition, value in got:
            self.assertEqual(value, wanted[value["metadata"]["uid"]])
            self.assertEqual(key, value["finding_info"]["uid"])
            of_key.setdefault(key, []).append((partition, value["metadata"]["logged_time"]))
        for rows in of_key.values():
            self.assertEqual(len({partition for partition, _ in rows}), 1, "one incident, one partition")
            self.assertEqual(rows, sorted(rows))
        return got

    def test_every_finding_once_keyed_by_its_incident_and_in_order(self):
        self.tool("create", "all", 3)
        findings = [finding(i) for i in range(700)]
        s = self.sinks("all")
        s.feed(findings)
        stats = s.end()["sinks"]["bus"]
        self.assertEqual((stats["rows"], stats["rejected"]), (700, 0))
        got = self.check("all", findings)
        self.assertEqual({partition for _, partition, _ in got}, {0, 1, 2}, "keys spread")

    def test_a_topic_that_is_not_there_is_waited_for(self):
        s = self.sinks("later", timeout="2s", librdkafka={"topic.metadata.propagation.max.ms": "0",
                                                          "topic.metadata.refresh.interval.ms": "500"})
        s.feed([finding(i) for i in range(5)])
        end = time.monotonic() + 20
        while "topic" not in s.log() and time.monotonic() < end:
            time.sleep(0.1)
        self.assertIn("nknown topic", s.log())
        self.tool("create", "later", 1)
        self.assertEqual(s.end()["sinks"]["bus"]["rows"], 5)
        self.check("later", [finding(i) for i in range(5)])

    def test_an_outage_loses_nothing(self):
        """The broker stands still for longer than a message may take."""
        self.tool("create", "outage", 2)
        s = self.sinks("outage", timeout="2s", seconds=60)
        s.feed([finding(i) for i in range(50)])
        end = time.monotonic() + 20
        while len(self.messages("outage")) < 50 and time.monotonic() < end:
            time.sleep(0.1)
        self.broker.process.send_signal(19)
        try:
            s.feed([finding(i) for i in range(50, 120)])
            end = time.monotonic() + 20
            while "sink_state" not in s.log() and "bus" not in s.log() and time.monotonic() < end:
                time.sleep(0.1)
            self.assertIn("bus", s.log(), "it says that nothing is delivered")
        finally:
            self.broker.process.send_signal(18)
        s.end()
        got = [v["metadata"]["uid"] for _, _, v in self.messages("outage")]
        self.assertEqual(set(got), {finding(i)["metadata"]["uid"] for i in range(120)}, "at least once")

    def test_a_finding_that_is_too_large_is_cut(self):
        self.tool("create", "large", 1)
        s = self.sinks("large")
        s.feed([finding(1), finding(2, pad=1200000), finding(3)])
        self.assertEqual(s.end()["sinks"]["bus"]["rows"], 3)
        got = [v for _, _, v in self.messages("large")]
        self.assertEqual([v["metadata"]["uid"] for v in got], [finding(i)["metadata"]["uid"] for i in (1, 2, 3)])
        self.assertLess(len(json.dumps(got[1])), 1000000)
        self.assertTrue(got[1]["metadata"]["is_truncated"])

    def secret(self, text):
        path = self.folder / "secret"
        path.write_text(text)
        path.chmod(0o600)
        return {"file": str(path)}

    def test_over_the_connection_string_of_event_hubs(self):
        s = self.sinks(None, brokers=[self.broker.sasl_ssl], ca_file=self.broker.ca_file,
                       connection_string=self.secret(self.broker.connection_string() + "\n"))
        s.feed([finding(i) for i in range(9)])
        self.assertEqual(s.end()["sinks"]["bus"]["rows"], 9)
        self.check("findings", [finding(i) for i in range(9)])

    def test_over_a_password_that_is_kept_elsewhere(self):
        self.tool("create", "own", 1)
        s = self.sinks("own", brokers=[self.broker.sasl_ssl], ca_file=self.broker.ca_file,
                       password=self.secret(self.broker.connection_string() + "\n"),
                       librdkafka={"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN",
                                   "sasl.username": "$ConnectionString"})
        s.feed([finding(i) for i in range(100, 105)])
        self.assertEqual(s.end()["sinks"]["bus"]["rows"], 5)
        self.check("own", [finding(i) for i in range(100, 105)])

    def test_a_wrong_key_is_told_and_never_shown(self):
        wrong = self.broker.connection_string().replace("dGVzdC1", "d3Jvbmc")
        s = self.sinks(None, brokers=[self.broker.sasl_ssl], ca_file=self.broker.ca_file, timeout="3s",
                       connection_string=self.secret(wrong))
        s.feed([finding(1)])
        end = time.monotonic() + 20
        while "uthentication" not in s.log() and time.monotonic() < end:
            time.sleep(0.1)
        self.assertIn("uthentication", s.log())
        self.assertNotIn("d3Jvbmc", s.log())
        s.kill()

    def run_check(self, *options, **row):
        config = self.folder / "check.json"
        config.write_text(json.dumps({"outputs": [{"name": "bus", "kind": "kafka", **row}]}))
        p = subprocess.run([SEGWATCH, "check", "-c", config, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=60, env=dict(os.environ, NO_COLOR="1"))
        return p.returncode, (p.stdout + p.stderr).decode()

    def test_check_online_asks_for_the_topic(self):
        code, text = self.run_check("--online", brokers=[self.broker.plaintext], topic="findings", timeout="5s")
        self.assertEqual(code, 0, text)
        self.assertIn("topic 'findings' has 3 partitions", text)
        code, text = self.run_check("--online", brokers=[self.broker.plaintext], topic="nowhere", timeout="5s")
        self.assertNotEqual(code, 0, text)
        self.assertIn("topic 'nowhere': Broker: Unknown topic", text)

    def test_what_the_configuration_refuses(self):
        for row, word in (({"brokers": ["b:1"]}, "needs 'topic'"), ({"topic": "t"}, "needs 'brokers'"),
                          ({"brokers": ["b:1"], "topic": "t", "librdkafka": {"acks": "1"}}, "'acks' is set by segwatch"),
                          ({"brokers": ["b:1"], "topic": "t", "librdkafka": {"enable.idempotence": "false"}},
                           "'enable.idempotence' is set by segwatch"),
                          ({"brokers": ["b:1"], "topic": "t", "librdkafka": {"max.in.flight": "6"}},
                           "'max.in.flight' must be 1 to 5"),
                          ({"brokers": ["b:1"], "topic": "t", "librdkafka": {"retries": "0"}}, "'retries' must be 1 or more"),
                          ({"brokers": ["b:1"], "topic": "t", "librdkafka": {"no.such": "1"}}, "is not a setting"),
                          ({"brokers": ["b:1"], "topic": "t", "url": "https://x/"}, "'url' has no meaning")):
            code, text = self.run_check(**row)
            self.assertEqual(code, 78, text)
            self.assertRegex(text, r"check\.json:\d+:\d+: .*" + re.escape(word))


if __name__ == "__main__":
    unittest.main()
