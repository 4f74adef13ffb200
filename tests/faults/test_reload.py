# SPDX-License-Identifier: Apache-2.0
"""Configurations that change under load, half of them wrong: nothing is lost and what is wrong is never applied. And a
secret that is configured everywhere appears nowhere."""
import pathlib
import random
import re
import signal
import subprocess
import tempfile
import time
import unittest

import kit
import rig

import kafka_broker  # of tests/e2e, which kit makes known

WRONG = ["nonsense: 1\n", "learning: 7x\n", "segments: [{name: a, cidrs: [10.0.0.0/33]}]\n", "incidents: {min_severity: hihg}\n",
         "memory: {limit: 1}\n", "time: {reorder: 5m, idle: 1m}\n", ": : :\n", "include: [/nonexistent/file.yaml]\n",
         "detectors: {horizontal_scan: {mode: loud}}\n", "\tlog: {}\n"]


class Reload(unittest.TestCase):
    def test_reloads_under_load(self):
        n = kit.size(100, 500)
        choice = random.Random(f"{kit.SEED} reload")
        with tempfile.TemporaryDirectory(prefix="segwatch-faults-") as folder:
            r = rig.Rig(folder, "time: {reorder: 50m, idle: 51m}\nincidents: {max_per_hour: 0}\n", seed=7, hours=3, hosts=60,
                        load=5, attack="full")
            self.addCleanup(r.close)
            d = r.folder("reloaded")
            config = d / "segwatch.yaml"
            good = config.read_text().replace("topic: hub", "topic: fed")
            config.write_text(good)
            r.broker.tell(f"topic fed {r.PARTITIONS}")
            rows = rig.rows_of(r.messages, r.PARTITIONS)
            run = r.start(d)
            self.assertTrue(run.wait(lambda: run.watermark(), 20))
            portion = (len(rows) + n - 1) // n
            n_bad = n_good = 0
            began = time.monotonic()
            for i in range(n):
                wrong = choice.random() < 0.5
                n_bad, n_good = n_bad + wrong, n_good + (not wrong)
                config.write_text(good + (choice.choice(WRONG) if wrong else f"log: {{level: {choice.choice(['info', 'warning'])}}}\n"))
                run.process.send_signal(signal.SIGHUP)
                if i % 10 == 0:
                    r.broker.produce("fed", rows[i * portion:(i + 10) * portion])
                time.sleep(choice.uniform(0, 0.05))
                self.assertIsNone(run.process.poll(), run.log()[-3000:])
            config.write_text(good)
            run.process.send_signal(signal.SIGHUP)
            self.assertTrue(run.wait(lambda: r.is_done(run), 60), run.log()[-3000:])
            self.assertEqual(run.end(), 0)
            kit.say("reload", f"{n} reloads, {n_bad} of them wrong, in {time.monotonic() - began:.0f} s, {len(r.expected)} lines")
            self.assertIsNone(rig.compare(r.expected, r.alerts(d)))

    def test_what_is_wrong_is_never_applied(self):
        """One by one: the old configuration stays, and its effect; a right one that changes something is seen."""
        with tempfile.TemporaryDirectory(prefix="segwatch-faults-") as folder:
            d = pathlib.Path(folder)
            config = d / "segwatch.yaml"
            source = d / "in.ndjson"
            source.write_text("")
            good = (f"sources:\n  - {{name: f, kind: file, path: {source}, follow: true}}\nstate: {{dir: {d}/state}}\n"
                    f"alerts: {{file: {d}/alerts.jsonl}}\n")
            config.write_text(good)
            holder = type("Holder", (), {"running": []})()
            run = rig.Run(holder, d)
            self.addCleanup(run.end, 9)
            self.assertTrue(run.wait(lambda: run.watermark(), 20), run.log())
            for text in WRONG:
                log = len(run.log())
                config.write_text(good + text)
                self.assertEqual(subprocess.run([kit.SEGWATCH, "check", "-c", str(config)], stdout=subprocess.DEVNULL,
                                                stderr=subprocess.DEVNULL).returncode, 78, text)
                run.process.send_signal(signal.SIGHUP)
                self.assertTrue(run.wait(lambda: "config_error" in run.log()[log:] or "stays in force" in run.log()[log:], 10),
                                text + run.log()[log:])
                self.assertNotIn("is in force", run.log()[log:].replace("stays in force", ""), text)
            config.write_text(good + "log: {level: error}\n")
            run.process.send_signal(signal.SIGHUP)
            time.sleep(1)
            before = run.log().count("event=stats ")
            time.sleep(0.5)
            self.assertEqual(run.log().count("event=stats "), before, "the right one was applied")
            self.assertEqual(run.end(), 0)

    def test_what_reloads_took_is_given_back(self):
        n = kit.size(60, 500)
        choice = random.Random(f"{kit.SEED} given back")
        with tempfile.TemporaryDirectory(prefix="segwatch-faults-") as folder:
            d = pathlib.Path(folder)
            (d / "in.ndjson").write_text("")
            good = (f"sources:\n  - {{name: f, kind: file, path: {d}/in.ndjson, follow: true}}\nstate: {{dir: {d}/state}}\n"
                    f"alerts: {{file: {d}/alerts.jsonl}}\nadmin: {{socket: none, http: none}}\n")
            config = d / "segwatch.yaml"
            config.write_text(good)
            run = rig.Run(type("Holder", (), {"running": []})(), d)
            self.addCleanup(run.end, 9)
            self.assertTrue(run.wait(lambda: run.watermark(), 20), run.log())

            def resident():
                time.sleep(2.5)  # it is swept once a second
                return int(re.search(r"RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{run.process.pid}/status").read_text()).group(1))

            def reload(times):
                for _ in range(times):
                    config.write_text(good + choice.choice(["log: {level: info}\n", "log: {level: warning}\n", "nonsense: 1\n"]))
                    run.process.send_signal(signal.SIGHUP)
                    time.sleep(0.02)

            reload(1)
            before = resident()
            reload(n)
            after = resident()
            kit.say("reload", f"resident {before} KiB after a reload, {after} KiB after {n} more")
            self.assertLess(after - before, 512)
            self.assertEqual(run.end(), 0)


CANARY = "CANARYdGhpcyBpcyBhIHNlY3JldA0123456789"


class Secrets(unittest.TestCase):
    """A canary in every place of the configuration that takes a secret; every verb, every log level, every output."""

    def texts(self, folder, run, port):
        """(where, text) of all that comes out of a living daemon."""
        pid = run.process.pid
        for name in ("cmdline", "environ", "maps", "limits"):
            yield f"/proc/{name}", pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
        for args in (["ctl", "status"], ["ctl", "config"], ["ctl", "sources"], ["ctl", "stats"], ["ctl", "help"]):
            p = subprocess.run([kit.SEGWATCH, *args, "-c", str(folder / "segwatch.yaml")], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=20)
            yield " ".join(args), p.stdout
        p = subprocess.run(["/usr/bin/python3", "-c", "import sys, urllib.request\n"
                            "for p in ('metrics', 'healthz', 'readyz', 'status', ''):\n"
                            "    try: print(urllib.request.urlopen(f'http://127.0.0.1:{sys.argv[1]}/{p}', timeout=5).read().decode())\n"
                            "    except Exception as e: print(e)", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        yield "http", p.stdout

    def run_with(self, folder, secret_text, outputs=""):
        port = kafka_broker.free_ports(1)[0]
        secret = folder / "secret"
        secret.write_text(secret_text)
        secret.chmod(0o600)
        sasl = "{security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN, sasl.username: segwatch}"
        config = folder / "segwatch.yaml"
        config.write_text(
            f"sources:\n  - {{name: weu, kind: eventhubs, connection_string: {{file: {secret}}}, brokers: [\"127.0.0.1:1\"], topic: t}}\n"
            f"  - {{name: own, kind: kafka, password: {{file: {secret}}}, brokers: [\"127.0.0.1:1\"], topic: t, librdkafka: {sasl}}}\n"
            f"state: {{dir: {folder}/state}}\nalerts: {{file: {folder}/alerts.jsonl}}\nlog: {{level: debug}}\n"
            f"admin: {{socket: {folder}/ctl.sock, http: \"127.0.0.1:{port}\", token: {{file: {secret}}}}}\n" + outputs.replace("SECRET", str(secret)))
        found = []
        look = lambda where, data: found.append(where) if CANARY.encode() in data else None
        for args in (["check", "-c", config], ["check", "--dump", "-c", config]):
            p = subprocess.run([kit.SEGWATCH, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
            look(" ".join(map(str, args)), p.stdout)
            n_looked = len(p.stdout)
        holder = type("Holder", (), {"running": []})()
        run = rig.Run(holder, folder)
        if (folder / "leak.txt").exists():
            run.canaries = None  # put there to be found, here
        self.addCleanup(run.end, 9)
        started = run.wait(lambda: "event=start " in run.log(), 5)
        if started:
            time.sleep(1)
            for where, data in self.texts(folder, run, port):
                look(where, data)
            run.process.send_signal(signal.SIGHUP)
            time.sleep(0.3)
        run.end()
        for path in folder.rglob("*"):
            if path.is_file() and path != secret:
                look(str(path.relative_to(folder)), path.read_bytes())
        return found, n_looked, started

    def test_a_canary_is_nowhere(self):
        right = f"Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey={CANARY};EntityPath=t"
        outputs = ("outputs:\n"
                   "  - {name: s, kind: sentinel, endpoint: \"https://127.0.0.1:1\", dcr: dcr-0123456789abcdef0123456789abcdef, auth: "
                   "{tenant: 00000000-0000-0000-0000-000000000000, client_id: 00000000-0000-0000-0000-000000000001, "
                   "client_secret: {file: SECRET}}}\n"
                   "  - {name: w, kind: webhook, url: \"https://127.0.0.1:1/x\", bearer: {file: SECRET}, signature: {file: SECRET}}\n"
                   "  - {name: k, kind: kafka, connection_string: {file: SECRET}, brokers: [\"127.0.0.1:1\"], topic: t}\n"
                   "  - {name: p, kind: kafka, password: {file: SECRET}, brokers: [\"127.0.0.1:1\"], topic: t, librdkafka: "
                   "{security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN, sasl.username: segwatch}}\n")
        cases = {"right": (right, ""), "outputs": (right, outputs), "no key": (right.replace("SharedAccessKey=", "SharedAccesKey="), ""),
                 "cut": (right[:-20], ""), "not one": (CANARY + "\n", ""), "two lines": (right + "\n" + right, ""),
                 "bad host": (right.replace("sb://ns.", "sb://" + CANARY[:8] + "/;"), "")}
        n = 0
        for name, (text, outputs) in cases.items():
            with self.subTest(name), tempfile.TemporaryDirectory(prefix="segwatch-faults-") as folder:
                f = pathlib.Path(folder)
                found, looked, started = self.run_with(f, text, outputs)
                self.assertGreater(looked, 0)
                if name in ("right", "outputs"):
                    self.assertTrue(started, "only what runs can leak")
                self.assertEqual(found, [], name)
                n += 1
        kit.say("canary", f"{n} configurations, 0 places")

    def test_a_secret_that_leaks_is_seen(self):
        with tempfile.TemporaryDirectory(prefix="segwatch-faults-") as folder:
            f = pathlib.Path(folder)
            (f / "leak.txt").write_text("the key is " + CANARY)
            found, _, _ = self.run_with(f, "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=l;SharedAccessKey=" + CANARY)
            self.assertEqual(found, ["leak.txt"])


if __name__ == "__main__":
    unittest.main()
