# SPDX-License-Identifier: Apache-2.0
"""The disk fails at a chosen call while the daemon works through a topic (tests/tools/fault_shim.c): it ends there as on
SIGKILL, the power goes, the disk is full, broken, or writes less than asked. In the end the alert file holds what an
undisturbed run writes: nothing lost, nothing twice, the same order; and the state that is left says the same."""
import concurrent.futures
import random
import shutil
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import kit
import rig

MORE = """detectors:
  horizontal_scan: {mode: alert}
  vertical_scan: {mode: alert}
  denied_scan: {mode: alert}
  admin_fanout: {mode: alert}
  new_admin_edge: {mode: alert}
  pivot_chain: {mode: alert}
incidents: {min_severity: low, max_per_hour: 0}
"""
# Event time runs thousands of times faster than the clock, so order must outlast a restart.
STREAM = "time: {reorder: 59m, idle: 60m}\n"
SECONDS = 30  # for one life; far more than it needs
WORKERS = 3  # points at a time: a life mostly waits
SHIM_EXIT, TEMPFAIL = 99, 75
ALLOWED = {"exit": ["done", SHIM_EXIT], "powerloss": ["done", SHIM_EXIT], "enospc": ["done"], "short": ["done"],
           "eio": ["done", TEMPFAIL]}  # how a life under that fault may end


class Shim:
    """The shim's environment, and what it tells through its shared page."""

    def __init__(self, folder, kind="", at=0, seed=1, hold=False):
        self.path = folder / f"shared.{kind}.{at}.{seed}"
        self.path.write_bytes(b"\0" * 4096)
        self.env = {"LD_PRELOAD": str(kit.BUILD / "tests/fault_shim.so"), "FAULT_DIR": str(folder / "disk"),
                    "FAULT_SHARED": str(self.path), "FAULT_KIND": kind, "FAULT_AT": str(at), "FAULT_SEED": str(seed),
                    "FAULT_FOR": "0" if hold else "1"}

    def read(self):
        """(calls, hits, what was hit)."""
        calls, hits, _, what = struct.unpack("QQI64s", self.path.read_bytes()[:84])
        return calls, hits, what.split(b"\0")[0].decode(errors="replace")

    def release(self):
        with open(self.path, "r+b") as f:
            f.seek(16)
            f.write(b"\0\0\0\0")


class DiskRig(rig.Rig):
    """State and alerts in `disk`, so that log and configuration are not counted."""

    def folder(self, name):
        d = super().folder(name)
        (d / "disk").mkdir()
        text = (d / "segwatch.yaml").read_text()
        (d / "segwatch.yaml").write_text(text.replace(f"{d}/alerts.jsonl", f"{d}/disk/alerts.jsonl").replace(
            f"{d}/state", f"{d}/disk/state"))
        return d

    def alerts(self, folder):
        return folder / "disk/alerts.jsonl"


class StreamRig(DiskRig):
    """Messages come while the daemon lives and dies, so that there are releases and snapshots to be killed between."""

    PORTIONS = 20

    def folder(self, name):
        d = super().folder(name)
        if name != "undisturbed":
            text = (d / "segwatch.yaml").read_text()
            (d / "segwatch.yaml").write_text(text.replace("topic: hub", f"topic: {name}"))
            self.broker.tell(f"topic {name} {self.PARTITIONS}")
        return d

    def feed(self, name):
        """Starts; the thread ends when everything is there."""
        rows = rig.rows_of(self.messages, self.PARTITIONS)
        n = (len(rows) + self.PORTIONS - 1) // self.PORTIONS

        def run():
            with subprocess.Popen([str(kit.BUILD / "tests/kafka_tool"), self.broker.brokers, "produce", name],
                                  stdin=subprocess.PIPE) as tool:
                for i in range(self.PORTIONS):
                    tool.stdin.write(rig.framed(rows[i * n:(i + 1) * n]))
                    tool.stdin.flush()
                    time.sleep(0.09)
            if tool.returncode:
                raise RuntimeError("what was to be read was not written")

        thread = threading.Thread(target=run)
        thread.start()
        return thread


class Disk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory(prefix="segwatch-faults-")
        cls.addClassCleanup(cls.temp.cleanup)
        cls.rig = DiskRig(cls.temp.name, MORE, ["--checkpoint-ms", "40"])
        cls.addClassCleanup(cls.rig.close)
        cls.stream = StreamRig(cls.temp.name + "/stream", MORE + STREAM, ["--checkpoint-ms", "40"])
        cls.addClassCleanup(cls.stream.close)
        cls.calls = {}
        for r in (cls.rig, cls.stream):
            d = r.folder("counted")
            feeder = r.feed("counted") if r is cls.stream else None
            shim = Shim(d)
            run = r.start(d, shim.env)
            assert run.wait(lambda: r.is_done(run), SECONDS) is True, run.log()[-3000:]
            assert run.end() == 0, run.log()[-3000:]
            if feeder:
                feeder.join()
            r.state = rig.canonical(r.dir / "undisturbed/segwatch.yaml")
            wrong = cls.compare(r, d)
            assert wrong is None, wrong
            cls.calls[r] = shim.read()[0]

    @staticmethod
    def compare(of, d):
        """What is wrong with the lines and the state, as text; None if nothing is."""
        wrong = rig.compare(of.expected, of.alerts(d))
        if wrong:
            return wrong
        try:
            state = rig.canonical(d / "segwatch.yaml")
        except AssertionError as e:
            return str(e)
        if state == of.state:
            return None
        return "the state differs: " + "; ".join(f"{a} | {b}" for a, b in zip(of.state, state) if a != b)[:600]

    # ---- one point ----

    def life(self, d, shim=None, hold_s=0, of=None):
        """One life: (how it ended: "done", an exit code, or "hangs"; the run)."""
        of = of or self.rig
        run = of.start(d, shim.env if shim else None)
        if hold_s:
            run.wait(lambda: shim.read()[1] > 0 or of.is_done(run), SECONDS)
            time.sleep(hold_s)
            if run.process.poll() is None:
                shim.release()
                began = time.monotonic()
        ok = run.wait(lambda: of.is_done(run), SECONDS)
        if hold_s and ok and time.monotonic() - began > 10:
            return "resumes too late", run
        code = run.end()
        if ok is None:
            return "hangs", run
        return ("done" if code == 0 else code) if ok else code, run

    def point(self, kind, choice):
        """What is wrong after a fault, as text; None if nothing is. A process that was killed is killed up to three times
        before it may go on."""
        kills = kind in ("exit", "powerloss")
        name, n_hit = f"{kind}-{choice.randrange(10 ** 9)}", 0
        of = self.stream if kills else self.rig
        d = of.folder(name)
        feeder = of.feed(name) if kills else None
        hits, how, wrong = [], None, None
        for _ in range(choice.randint(1, 3) if kills else 1):
            at, seed = choice.randint(1, self.calls[of]), choice.randint(1, 10 ** 6)
            shim = Shim(d, kind, at, seed, hold=kind == "enospc")
            how, run = self.life(d, shim, 0.3 if kind == "enospc" else 0, of)
            hits.append(f"call {at} ({shim.read()[2]}), seed {seed}")
            n_hit += shim.read()[1] > 0
            not_started = kind in ("eio", "enospc") and how in (1, TEMPFAIL) and "event=start_failed" in run.log()
            if how not in ALLOWED[kind] and not not_started:
                wrong = f"it ended with {how}"
                break
        if not wrong and (how != "done" or kills):
            how, run = self.life(d, of=of)
            if how != "done":
                wrong = f"the life after it ended with {how}"
        if feeder:
            feeder.join()
        if not wrong and not kills and how == "done" and self.compare(of, d):
            # the fault met the very end: what that life could not save any more the next one makes good
            wrong = rig.compare(of.expected, of.alerts(d))
            how = wrong or self.life(d, of=of)[0]
            wrong = wrong or (None if how == "done" else f"the life after it ended with {how}")
        wrong = wrong or self.compare(of, d)
        n_loaded = sum("event=snapshot msg=\"state of release" in log.read_text(errors="replace") for log in d.glob("log.*"))
        with of.broker.lock:
            self.n_hit, self.n_loaded = self.n_hit + n_hit, self.n_loaded + n_loaded
        if wrong is None:
            shutil.rmtree(d)
            return None
        log = "\n".join(l for l in run.log().splitlines() if "event=stats" not in l)
        return f"{name}: {'; '.join(hits)}: {wrong}\n{log[-1500:]}\n(until the end of the test: {d})"

    def points(self, kind, n):
        bad, done = [], 0
        began = time.monotonic()
        self.n_hit = self.n_loaded = 0

        def one(i):
            return "not tried" if len(bad) >= 5 else self.point(kind, random.Random(f"{kit.SEED} {kind} {i}"))
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for wrong in pool.map(one, range(n)):
                done += wrong != "not tried"
                if wrong and wrong != "not tried":
                    bad.append(wrong)
        kit.say(f"disk {kind}", f"{done} points ({self.n_hit} faults met) of {self.calls[self.stream if kind in ('exit', 'powerloss') else self.rig]} calls, "
                f"{len(self.rig.expected)} lines each, {self.n_loaded} starts from a snapshot, {len(bad)} bad, {time.monotonic() - began:.0f} s")
        self.assertEqual(bad, [], "\n\n".join(bad))
        self.assertGreater(self.n_hit, n // 2)

    def test_killed_at_a_call(self):
        self.points("exit", kit.size(60, 300))  # each with one to three faults

    def test_the_power_goes(self):
        self.points("powerloss", kit.size(60, 300))

    def test_full(self):
        self.points("enospc", kit.size(60, 300))

    def test_broken(self):
        self.points("eio", kit.size(60, 300))

    def test_writes_less_than_asked(self):
        self.points("short", kit.size(60, 300))

    # ---- a file system that is really full ----

    def test_a_full_file_system_pauses_and_goes_on(self):
        d = self.rig.folder("tmpfs")
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(d / "disk")],
                                 stderr=subprocess.DEVNULL).returncode == 0
        shim = None if mounted else Shim(d, "enospc", 30, 1, hold=True)  # without the right to mount: as near as it goes
        if mounted:
            self.addCleanup(subprocess.run, ["umount", "-l", str(d / "disk")])
        self.rig.broker.tell("down 1")  # nothing comes before the disk is full
        self.addCleanup(self.rig.broker.tell, "up 1")
        run = self.rig.start(d, shim.env if shim else None)
        self.addCleanup(run.end, 9)
        self.assertTrue(run.wait(lambda: run.watermark(), SECONDS), run.log()[-2000:])
        if mounted:
            with open(d / "disk/filler", "wb") as f:
                try:
                    while True:
                        f.write(b"\0" * 65536)
                        f.flush()
                except OSError:
                    pass
        self.rig.broker.tell("up 1")
        self.assertTrue(run.wait(lambda: "full" in run.log() or "No space" in run.log(), SECONDS), run.log()[-2000:])
        self.assertIsNone(run.wait(lambda: self.rig.is_done(run), 2), "it must wait, not end: " + run.log()[-2000:])
        if mounted:
            (d / "disk/filler").unlink()
        else:
            shim.release()
        began = time.monotonic()
        self.assertTrue(run.wait(lambda: self.rig.is_done(run), 10), run.log()[-3000:])
        kit.say("disk full", f"{'tmpfs' if mounted else 'shim'}: done {time.monotonic() - began:.1f} s after there was room")
        self.assertEqual(run.end(), 0)
        self.assertIsNone(self.compare(self.rig, d))

    # ---- the checker can fail ----

    def test_what_is_lost_or_doubled_is_seen(self):
        d = self.rig.folder("control")
        how, run = self.life(d)
        self.assertEqual(how, "done", run.log()[-2000:])
        self.assertIsNone(self.compare(self.rig, d))
        before, self.rig.state = self.rig.state, self.rig.state[:-1] + ["count tuples: 0"]
        self.assertIn("the state differs", self.compare(self.rig, d))
        self.rig.state = before
        path = self.rig.alerts(d)
        whole = path.read_bytes()
        lines = whole.splitlines(keepends=True)
        for name, data in {"lost": b"".join(lines[:3] + lines[4:]), "doubled": whole + lines[2],
                           "order": b"".join([lines[1], lines[0]] + lines[2:]), "newline": whole[:-5],
                           "differ": whole.replace(b'"severity":"Medium"', b'"severity":"High"', 1)}.items():
            path.write_bytes(data)
            self.assertIn(name, rig.compare(self.rig.expected, path) or "nothing", name)

    def test_a_state_that_is_thrown_away_is_seen(self):
        """Killed in the middle and started without its state: lines come twice."""
        d = self.rig.folder("amnesia")
        first = self.rig.start(d)
        lines = lambda: self.rig.alerts(d).exists() and self.rig.alerts(d).read_bytes().count(b"\n")
        self.assertTrue(first.wait(lambda: lines() >= 10, SECONDS), first.log()[-2000:])
        first.end(9)
        shutil.rmtree(d / "disk/state")
        # without its state it is another instance, which the dead one's claim on the group holds up
        run = rig.Run(self.rig, d, None, (*self.rig.options, "--take-over"))
        run.wait(lambda: run.watermark() == self.rig.final, SECONDS)
        time.sleep(0.5)
        run.end()
        self.assertIn("doubled", rig.compare(self.rig.expected, self.rig.alerts(d)) or "nothing")


if __name__ == "__main__":
    unittest.main()
