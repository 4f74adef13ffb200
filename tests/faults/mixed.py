# SPDX-License-Identifier: Apache-2.0
"""One process for a long time: an endless stream at sixty times the speed of the clock, brokers that fail, reloads, tools
that ask. What it holds does not grow and what it opens it closes. `./dev soak mixed` (not a part of ./dev test)."""
import ctypes
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
import test_brokers

MIB = 1 << 20
SPEED = 60  # event time against the clock
START_MS = 1772438400000  # 2026-03-02T08:00:00Z
N_NICS, PARTITIONS = 40, 4
PR_SET_THP_DISABLE = 41  # inherited; huge pages would round what is resident up in steps of 2 MiB


def minute(k, choice):
    """What the NICs of a small network write about one minute of event time: (partition, stamp, message)."""
    start = START_MS + k * 60000
    text = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(start / 1000 + 60))
    rows = []
    for nic in range(N_NICS):
        tuples = []
        for i in range(12):
            at, port = start + choice.randrange(60000), 20000 + choice.randrange(2000)
            dst = f"10.2.0.{1 + (nic * 7 + i) % 30}"
            tuples.append(f'"{at},10.1.0.{nic + 1},{dst},{port},443,6,O,B,NX,0,0,0,0"')
            tuples.append(f'"{at + 5},10.1.0.{nic + 1},{dst},{port},443,6,O,E,NX,9,3000,9,9000"')
        if nic == 3 and k % 60 == 0:  # once an hour somebody scans
            tuples += [f'"{start + 1000 * i},10.1.0.4,10.3.0.{i + 1},50000,445,6,O,D,NX,0,0,0,0"' for i in range(30)]
        m = (f'{{"records":[{{"time":"{text}","flowLogVersion":4,"flowLogGUID":"g","macAddress":"00224800{nic:04X}",'
             '"category":"FlowLogFlowEvent","flowLogResourceID":"/SUBSCRIPTIONS/S/MIXED","targetResourceID":"/subscriptions/s/v",'
             '"operationName":"FlowLogFlowEvent","flowRecords":{"flows":[{"aclID":"a","flowGroups":[{"rule":"r","flowTuples":['
             + ",".join(tuples) + "]}]}]}}]}")
        rows.append((nic % PARTITIONS, start + 90000, m.encode()))
    return rows


def slope(points):
    """Least squares: units per second."""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    return sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)


class Mixed(unittest.TestCase):
    def test_one_process_for_long(self):
        seconds = kit.size(60, 3600)
        choice = random.Random(f"{kit.SEED} mixed")
        self.assertEqual(ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0)
        with tempfile.TemporaryDirectory(prefix="segwatch-faults-") as folder:
            d = pathlib.Path(folder)
            broker = rig.MockBroker(test_brokers.N_BROKERS)
            self.addCleanup(broker.close)
            broker.tell(f"topic hub {PARTITIONS}")
            brokers = '", "'.join(broker.brokers.split(","))
            good = (f'sources:\n  - {{name: lab, kind: kafka, brokers: ["{brokers}"], topic: hub, librdkafka: {{fetch.wait.max.ms: "50"}}}}\n'
                    f"alerts: {{file: {d}/alerts.jsonl, rotate: {{size: 1MiB, keep: 2}}}}\nstate: {{dir: {d}/state, checkpoint: 2s}}\n"
                    f"admin: {{socket: {d}/ctl, http: none}}\nlearning: 0\nmemory: {{limit: 64MiB}}\n"
                    "segments: [{name: web, cidrs: [10.1.0.0/24]}, {name: db, cidrs: [10.2.0.0/24]}, {name: app, cidrs: [10.3.0.0/24]}]\n")
            config = d / "segwatch.yaml"
            config.write_text(good)
            run = rig.Run(type("Holder", (), {"running": []})(), d, more=["--stats-ms", "10000"])
            self.addCleanup(run.end, 9)
            nemesis = test_brokers.Nemesis(broker, run, kit.SEED)
            pid, k, began, samples = run.process.pid, 0, time.monotonic(), []
            while time.monotonic() - began < seconds:
                broker.produce("hub", minute(k, choice))
                k += 1
                what = choice.random()
                if what < 0.05:
                    nemesis.next()[0]()
                elif what < 0.10:
                    config.write_text(good + choice.choice(["log: {level: info}\n", "nonsense: 1\n"]))
                    run.process.send_signal(signal.SIGHUP)
                elif what < 0.13:
                    subprocess.run([kit.SEGWATCH, "ctl", "status", "-c", str(config)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, timeout=20)
                self.assertIsNone(run.process.poll(), run.log()[-3000:])
                resident = int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024
                samples.append((time.monotonic() - began, resident, len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))))
                time.sleep(max(0, began + k * 60 / SPEED - time.monotonic()))
            late = samples[len(samples) // 3:]
            per_hour = slope([(t, r) for t, r, _ in late]) * 3600
            span = late[-1][0] - late[0][0]
            kit.say("mixed", f"{seconds} s, {k} minutes of event time, {dict(nemesis.kinds)}, resident {late[0][1]:.1f} to "
                    f"{late[-1][1]:.1f} MiB, slope {per_hour:.2f} MiB/h over {span:.0f} s, descriptors {min(f for _, _, f in late)} to "
                    f"{max(f for _, _, f in late)}, {(d / 'alerts.jsonl').read_bytes().count(10)} lines of findings")
            self.assertEqual(run.end(), 0)
            # over a short run the allocator's steps weigh more than any slope
            self.assertLessEqual(per_hour * span / 3600, max(1 * span / 3600, 0.5))
            third = len(late) // 3  # connections to brokers come and go: what leaks goes beyond what they ever took
            self.assertLessEqual(max(f for _, _, f in late[-third:]), max(f for _, _, f in late[:third]) + 2, "descriptors")
            self.assertGreater((d / "alerts.jsonl").stat().st_size, 0)


if __name__ == "__main__":
    unittest.main()
