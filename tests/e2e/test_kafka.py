# SPDX-License-Identifier: Apache-2.0
"""The daemon against a real Apache Kafka broker: the same findings as replay, restarts without a skipped message,
Event Hubs' way of logging in, topics that grow, expire or carry something else."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import zlib

import kafka_broker
from daemon import SEGWATCH, Daemon, places

BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", str(pathlib.Path(SEGWATCH).parents[1])))
N_PARTITIONS = 4
NOW_MS = int(time.time() * 1000)
MAC = re.compile(rb'"macAddress":"(\w+)"')


def partition_of(message, n):
    """A NIC always writes to the same partition, as producers with a key do."""
    m = MAC.search(message)
    return zlib.crc32(m.group(1)) % n if m else 0


def plain(lines):
    """Without what differs by contract: when it was written, and that it is history."""
    out = []
    for line in lines:
        line = json.loads(json.dumps(line))
        line["metadata"].pop("logged_time", None)
        for place in (line, line["unmapped"], line["finding_info"]):
            place.pop("historic", None)
        out.append(line)
    return out


@unittest.skipIf(kafka_broker.missing(), kafka_broker.missing() or "")
class Kafka(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="segwatch-e2e-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.broker = kafka_broker.KafkaBroker(topic="hub")
        cls.broker.__enter__()
        cls.addClassCleanup(cls.broker.__exit__)
        cls.scenario = pathlib.Path(cls.folder.name, "scenario")
        subprocess.run([str(BUILD / "tests/gen_scenario"), "--hours", "6", "--hosts", "80", "--load", "30", "--attack",
                        "full", "--out", str(cls.scenario)], check=True, timeout=60)
        cls.messages = (cls.scenario / "messages.ndjson").read_bytes().splitlines()
        cls.rules = (cls.scenario / "config.yaml").read_text()
        p = subprocess.run([SEGWATCH, "replay", "-c", str(cls.scenario / "config.yaml"), "--summary", "-",
                            str(cls.scenario / "messages.ndjson")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           check=True, timeout=60)
        cls.summary = json.loads(p.stderr.splitlines()[-1])
        cls.findings = [json.loads(l) for l in p.stdout.splitlines()]

    def setUp(self):
        self.dir = pathlib.Path(self.folder.name, self._testMethodName)
        self.dir.mkdir()
        self.topic = self._testMethodName.replace("test_", "")[:60]

    def tool(self, *args, data=b""):
        p = subprocess.run([str(BUILD / "tests/kafka_tool"), self.broker.plaintext, *map(str, args)], input=data,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        self.assertEqual(p.returncode, 0, p.stdout.decode(errors="replace"))
        return p.stdout.decode()

    def produce(self, messages, topic=None, n=N_PARTITIONS, partition=None):
        rows = []
        for m in messages:
            p = partition_of(m, n) if partition is None else partition
            rows.append(b"%d %d %d\n%s" % (p, NOW_MS, len(m), m))
        self.tool("produce", topic or self.topic, data=b"".join(rows))

    def config(self, source=None, more=""):
        """Settings that find new partitions within a second; the scenario's segments and policy."""
        source = source or (f'{{name: lab, kind: kafka, brokers: ["{self.broker.plaintext}"], topic: {self.topic}, '
                            'librdkafka: {topic.metadata.refresh.interval.ms: "500"}}')
        path = self.dir / "segwatch.yaml"
        path.write_text(f"sources:\n  - {source}\nalerts: {{file: {self.dir}/alerts.jsonl}}\n"
                        f"state: {{dir: {self.dir}/state}}\n{more}{self.rules}")
        return path

    def alerts(self, health=False):
        path = self.dir / "alerts.jsonl"
        lines = [json.loads(l) for l in path.read_text().splitlines()] if path.exists() else []
        return [l for l in lines if (l["unmapped"]["kind"] == "health") == health]

    def offsets(self):
        return {partition: r["next"] for (_, partition), r in places(self.dir / "segwatch.yaml").items()}

    def test_findings_over_four_partitions_are_those_of_replay(self):
        self.tool("create", self.topic, N_PARTITIONS)
        self.produce(self.messages)
        d = Daemon(self, self.config())
        d.wait_for(lambda: d.stats()[:2] == (len(self.messages), self.summary["records"]) and
                   len(self.alerts()) >= len(self.findings), "everything read, folded and found")
        code, seconds = d.stop()
        self.assertEqual(code, 0, d.log()[-2000:])
        self.assertLess(seconds, 5)

        self.assertGreater(len(self.findings), 5)
        self.assertEqual(plain(self.alerts()), plain(self.findings))
        self.assertEqual((self.dir / "quarantine.jsonl").read_bytes(), b"")

    def test_a_restart_skips_no_message(self):
        self.tool("create", self.topic, N_PARTITIONS)
        half = len(self.messages) // 2
        self.produce(self.messages[:half])
        config = self.config()
        d = Daemon(self, config)
        ends = [0] * N_PARTITIONS
        for m in self.messages[:half]:
            ends[partition_of(m, N_PARTITIONS)] += 1
        # What was read and is still on its way when the daemon stops, it reads again: records are counted at the end.
        records = sum(len(json.loads(m)["records"]) for m in self.messages[:half])
        d.wait_for(lambda: d.stats()[:2] == (half, records), "the first half read")
        self.assertEqual(d.stop()[0], 0)
        self.assertEqual(self.offsets(), dict(enumerate(ends)))
        self.produce(self.messages[half:])
        d = Daemon(self, config)
        d.wait_for(lambda: len(self.alerts()) >= len(self.findings), "everything found")
        d.wait_for(lambda: sum(self.offsets().values()) == len(self.messages), "the rest read")
        self.assertEqual(d.stop()[0], 0)
        self.assertNotIn("event=kafka_gap", d.log())
        self.assertEqual(plain(self.alerts()), plain(self.findings), "as if there had been no restart")

    def test_stopping_while_reading_is_quick_and_loses_nothing(self):
        self.tool("create", self.topic, N_PARTITIONS)
        self.produce(self.messages * 3)
        config = self.config()
        read = 0
        for n in range(40):
            d = Daemon(self, config)
            d.wait_for(lambda: d.stats()[0] > 0, "something read")
            code, seconds = d.stop()
            self.assertEqual(code, 0, d.log()[-2000:])
            self.assertLess(seconds, 5)
            before, read = read, sum(self.offsets().values())
            self.assertGreater(read, before)
            if n >= 3 or read == 3 * len(self.messages):
                break

    def test_event_hubs_login_and_a_key_rotated_while_running(self):
        self.tool("create", "hub", N_PARTITIONS)
        self.produce(self.messages[:400], topic="hub")
        secret = self.dir / "connection"
        right = self.broker.connection_string("hub")
        secret.write_text(right.replace("SharedAccessKey=dGVz", "SharedAccessKey=b2xk") + "\n")
        secret.chmod(0o600)
        d = Daemon(self, self.config(
            f"{{name: weu, kind: eventhubs, connection_string: {{file: {secret}}}, brokers: ["
            f'"{self.broker.sasl_ssl}"], ca_file: {self.broker.ca_file}}}'))
        d.wait_log("event=kafka_auth")
        self.assertIn("the credentials were refused", d.log())
        secret.write_text(right + "\n")
        d.wait_for(lambda: d.stats()[0] == 400, "everything read with the new key", 40)
        self.assertIn("trying with the new one", d.log())
        self.assertIn("works again", d.log())
        self.assertEqual(d.stop()[0], 0)
        for text in (d.log(), (self.dir / "alerts.jsonl").read_text()):
            self.assertNotIn("SharedAccessKey=", text)
            self.assertNotIn("dGVzdC1r", text)

    def test_a_password_of_a_broker_of_ones_own_is_kept_elsewhere_and_read_again(self):
        self.tool("create", "hub2", N_PARTITIONS)
        self.produce(self.messages[:200], topic="hub2")
        secret = self.dir / "password"
        right = self.broker.connection_string("hub")
        secret.write_text("wrong")
        secret.chmod(0o600)
        settings = 'security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: "$ConnectionString"'
        d = Daemon(self, self.config(
            f"{{name: own, kind: kafka, password: {{file: {secret}}}, brokers: [\"{self.broker.sasl_ssl}\"], topic: hub2, "
            f"ca_file: {self.broker.ca_file}, librdkafka: {{{settings}}}}}"))
        d.wait_log("event=kafka_auth")
        secret.write_text(right + "\n")
        d.wait_for(lambda: d.stats()[0] == 200, "everything read with the right one", 40)
        self.assertEqual(d.stop()[0], 0)
        self.assertNotIn("dGVzdC1r", d.log())

    def test_a_partition_added_while_running_is_read_from_its_start(self):
        self.tool("create", self.topic, 1)
        self.produce(self.messages[:50], partition=0)
        config = self.config(f'{{name: lab, kind: kafka, brokers: ["{self.broker.plaintext}"], topic: {self.topic}, start: '
                             'latest, librdkafka: {topic.metadata.refresh.interval.ms: "500"}}')
        d = Daemon(self, config)
        d.wait_log(f"partition 0 of {self.topic}: reading from offset 50 ")
        self.tool("grow", self.topic, 2)
        self.produce(self.messages[50:90], partition=1)
        d.wait_for(lambda: d.stats()[0] == 40, "the new partition read")
        self.assertIn(f"partition 1 of {self.topic}: reading from offset 0 ", d.log())
        self.assertEqual(d.stop()[0], 0)
        self.assertEqual(self.offsets()[0], 50, "start: latest is kept over a restart though nothing was read")

    def test_messages_that_expired_are_a_gap_that_is_told(self):
        self.tool("create", self.topic, 1)
        self.produce(self.messages[:300], partition=0)
        config = self.config()
        d = Daemon(self, config)
        d.wait_for(lambda: d.stats()[0] == 300, "read")
        d.stop()
        at = self.offsets()[0]
        self.produce(self.messages[300:600], partition=0)
        self.tool("trim", self.topic, 0, 500)
        d = Daemon(self, config)
        d.wait_for(lambda: d.stats()[0] == 100, "what is left read")
        self.assertIn(f"offsets [{at}, 500) are gone, {500 - at} messages", d.log())
        d.wait_for(lambda: self.alerts(health=True), "a health finding")
        self.assertEqual(d.stop()[0], 0)
        self.assertIn(f"{500 - at} messages of partition 0", self.alerts(health=True)[0]["message"])

    def test_messages_that_expired_after_a_crash_are_gone_without(self):
        """What was read and is to be repeated, and what was never read: only that is a gap."""
        self.tool("create", self.topic, 2)
        self.produce(self.messages[:200], partition=0)
        self.produce(self.messages[200:300], partition=1)
        config = self.config()
        d = Daemon(self, config, "--checkpoint-ms", "3600000")
        d.wait_for(lambda: self.offsets() == {0: 200, 1: 100}, "read")
        d.kill()
        self.produce(self.messages[300:500], partition=0)
        self.tool("trim", self.topic, 0, 250)
        d = Daemon(self, config)
        d.wait_log("event=recovered")
        d.wait_for(lambda: self.offsets() == {0: 400, 1: 100}, "what is left read")
        d.wait_for(lambda: self.alerts(health=True), "a health finding")
        self.assertEqual(d.stop()[0], 0)
        told = [a["message"] for a in self.alerts(health=True)]
        self.assertEqual(len(told), 1)
        self.assertIn("50 messages of partition 0", told[0])
        self.assertIn("(offsets 200 to 249)", told[0])

    def test_a_source_without_flow_records_says_why(self):
        self.tool("create", self.topic, 1)
        self.produce([b'{"records":[{"time":"2026-01-01T00:00:00Z","category":"AuditLogs","properties":{}}]}', b"x"] * 5,
                     partition=0)
        self.tool("create", self.topic + "-empty", 1)
        source = '{{name: {}, kind: kafka, brokers: ["' + self.broker.plaintext + '"], topic: {}, start: {}}}'
        rows = [source.format("other", self.topic, "earliest"), source.format("empty", self.topic + "-empty", "earliest"),
                source.format("late", self.topic, "latest"), source.format("wrong", "no-such-topic", "earliest")]
        d = Daemon(self, self.config("\n  - ".join(rows)), "--quiet-ms", "1500")
        d.wait_for(lambda: len(self.alerts(health=True)) >= 4, "four health findings")
        why = {re.search(r"Source (\w+) ", f["message"]).group(1): f["message"] for f in self.alerts(health=True)}
        self.assertRegex(why["other"], "10 messages")
        self.assertIn("is empty", why["empty"])
        self.assertIn("start: latest", why["late"])
        self.assertIn("the log says why", why["wrong"])
        self.assertIn("is this the right hub", d.log())
        self.assertEqual(len({f["finding_info"]["uid"] for f in self.alerts(health=True)}), 4)
        bad = [json.loads(l) for l in (self.dir / "quarantine.jsonl").read_text().splitlines()]
        self.assertEqual([b["offset"] for b in bad if b["excerpt"] == "x" and b["source"] == "other"], [1, 3, 5, 7, 9])
        self.assertEqual({b["topic"] for b in bad}, {self.topic})
        self.assertEqual({b["message_base64"] for b in bad if b["excerpt"] == "x"}, {"eA=="}, "kept whole")
        self.assertEqual(d.stop()[0], 0)

    def test_systemd_is_told_and_a_second_instance_refused(self):
        """Ready without any broker; reload keeps the old configuration if the new one is wrong; SIGUSR1 reopens."""
        path = str(self.dir / "notify")
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notify.close)
        notify.bind(path)
        notify.settimeout(15)

        def told(word):
            seen = []
            while word not in " ".join(seen):
                seen.append(notify.recv(4096).decode())
            return seen[-1]

        config = self.config('{name: lab, kind: kafka, brokers: ["127.0.0.1:1"], topic: nothing}')
        d = Daemon(self, config, env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000000"})
        told("READY=1")
        self.assertIn("learning", d.log())
        second = subprocess.run([SEGWATCH, "run", "-c", str(config)], stderr=subprocess.PIPE, timeout=20)
        self.assertEqual(second.returncode, 75)
        self.assertIn(f"process id {d.process.pid}", second.stderr.decode())
        told("WATCHDOG=1")
        os.rename(self.dir / "alerts.jsonl", self.dir / "alerts.old")
        d.process.send_signal(signal.SIGUSR1)
        d.wait_for(lambda: (self.dir / "alerts.jsonl").exists(), "alert file opened anew")
        good = config.read_text()
        config.write_text(good + "nonsense: 1\n")
        d.process.send_signal(signal.SIGHUP)
        d.wait_log("the old one stays in force")
        self.assertRegex(d.log(), r"segwatch\.yaml:\d+:1: ")
        config.write_text(good)
        d.process.send_signal(signal.SIGHUP)
        d.wait_log("the new configuration is in force")
        self.assertIn("last record never", told("STATUS="))
        d.process.send_signal(signal.SIGTERM)
        told("STOPPING=1")
        self.assertEqual(d.process.wait(10), 0)
        self.assertIn("event=kafka_connect", d.log())

    def test_wrong_configurations_are_78(self):
        def run(text):
            path = self.dir / "wrong.yaml"
            path.write_text(text)
            p = subprocess.run([SEGWATCH, "run", "-c", str(path)], stderr=subprocess.PIPE, timeout=20)
            return p.returncode, p.stderr.decode()

        self.assertEqual(run("segments: []\n")[0], 78)
        code, err = run('sources:\n  - {name: a, kind: kafka, brokers: ["127.0.0.1:1"], topic: t, librdkafka: '
                        f'{{no.such.setting: "1"}}}}\nstate: {{dir: {self.dir}/s}}\nalerts: {{file: {self.dir}/a.jsonl}}\n')
        self.assertEqual(code, 78)
        self.assertIn("no.such.setting", err)


if __name__ == "__main__":
    unittest.main()
