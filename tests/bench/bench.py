#!/usr/bin/env python3
"""Measures segwatch against two yardsticks in interleaved rounds and prints a table.

  tests/bench/bench.py BUILD [--quick] [--rounds N] [--gate] [--only PART]

1. The whole job (decode, order, fold, detect, write) of `segwatch replay -j 1`, against simdjson's On-Demand parser that
   only walks the same file to each flowTuples string. Both on one and the same core; the file is in the page cache.
2. The Kafka path against the slower of what it is made of: the same bytes by `replay -j 1`, and a bare librdkafka
   consumer that throws them away. The broker (librdkafka's mock cluster) is a process of its own on the same cores.
3. The engine while a snapshot of 1 GiB is taken of it, against itself without.
4. The Kafka path while 2,000 findings a second go into the outbox, to the alert file and to a Sentinel output, against
   the Kafka path alone; and whether everything was sent a minute later. The service is bench_drain, an HTTPS server in C
   that hands out tokens and discards what it gets (the strict one of the tests is Python and would keep a core busy).
   Broker, service, consumer and output share the machine's cores.
5. With a state of 1 GiB: start to READY, and SIGTERM to exit. Beside it what a bare program takes to touch as much memory
   for the first time: a virtual machine whose host takes idle memory back pays for that, whoever asks for it.

A machine's speed drifts; ratios within a round do not, so the median of the rounds' ratios is what counts.
BUILD is a release build with tests; `./dev bench` makes it. Corpora are kept in build-bench/. Exit 0, with --gate 1 when
a target is missed."""
import argparse
import atexit
import hashlib
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import fake_azure  # noqa: E402

OUTBOX_ROWS = 2000  # a second
CACHE = ROOT / "build-bench"
MIB = 1 << 20
RESIDENT_LIMIT = 576 * MIB
KAFKA_PER_PARTITION = 3  # MiB; the mock broker keeps 5 of each partition
# Thousands of hosts, about 20 tuples a record, begin, continue and end in proportion, 200,000 connections open at a time.
CORPUS = ["--seed", "1", "--hosts", "8000", "--load", "1000", "--pooled", "24", "--minutes", "240",
          "--message-kb", "100:900"]
# Denser in time and in smaller messages, so that partitions that hold so little run side by side in event time, as real
# ones do.
KAFKA_CORPUS = ["--seed", "1", "--hosts", "8000", "--load", "2600", "--minutes", "60", "--message-kb", "64:128"]


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def timed(args, cpus=None, stdout=subprocess.DEVNULL):
    """Runs to the end; (seconds, CPU seconds, most resident bytes, stdout)."""
    began = time.monotonic()
    p = subprocess.Popen([str(a) for a in args], stdout=stdout, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                         preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None)
    out = p.stdout.read() if stdout == subprocess.PIPE else b""
    err = p.stderr.read()
    _, status, usage = os.wait4(p.pid, 0)
    took = time.monotonic() - began
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        raise SystemExit(f"bench: {args[0]} failed with {p.returncode}:\n{err.decode(errors='replace')[-2000:]}")
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, out


def corpus(build, mib, options, name):
    """Path of the NDJSON file and of its configuration; made once per generator."""
    generator = build / "tests/gen_scenario"
    key = hashlib.sha256(generator.read_bytes() + repr(options).encode()).hexdigest()[:12]
    where = CACHE / f"{name}-{mib}-{key}"
    if not (where / "complete").exists():
        for old in CACHE.glob(f"{name}-{mib}-*"):
            subprocess.run(["rm", "-rf", old], check=True)
        began = time.monotonic()
        subprocess.run([generator, *options, "--max-mib", str(mib), "--out", where], check=True,
                       stderr=open(CACHE / "generator.log", "w"))
        took = time.monotonic() - began
        size = (where / "messages.ndjson").stat().st_size
        say(f"made {size / MIB:.0f} MiB in {took:.1f} s ({size / took / 1e6:.0f} MB/s): "
            + (CACHE / "generator.log").read_text().strip().replace("gen_scenario: ", ""))
        if size < mib * MIB * 0.99:
            raise SystemExit("bench: the scenario ended before the corpus was full")
        config = where / "config.yaml"
        config.write_text(config.read_text() + "memory: {limit: 512MiB}\n")
        (where / "complete").touch()
    return where / "messages.ndjson", where / "config.yaml"


def compile_walk():
    source, program = ROOT / "tests/bench/walk_simdjson.cpp", CACHE / "walk_simdjson"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["g++", "-O3", "-march=native", "-std=c++17", "-o", program, source, "-lsimdjson"], check=True)
    return program


def warm(path):
    with open(path, "rb") as f:
        while f.read(8 * MIB):
            pass


class Table:
    def __init__(self):
        self.rows, self.short = [], 0

    def ratio(self, what, ratios, target, wish=None):
        median = statistics.median(ratios)
        verdict = "pass" if median >= target else "SHORT"
        self.short += median < target
        goal = f">= {target:g}" + (f" (wish {wish:g})" if wish else "")
        self.rows.append((what, goal, f"{median:.3f}", f"{min(ratios):.3f}..{max(ratios):.3f}", verdict))

    def limit(self, what, value, target, unit=1, suffix=""):
        verdict = "pass" if value <= target else "SHORT"
        self.short += value > target
        self.rows.append((what, f"<= {target / unit:g}{suffix}", f"{value / unit:.4g}{suffix}", "", verdict))

    def note(self, what, values, suffix):
        self.rows.append((what, "", f"{statistics.median(values):.4g}{suffix}",
                          f"{min(values):.4g}..{max(values):.4g}", ""))

    def show(self):
        head = ("what", "target", "measured", "spread", "")
        widths = [max(len(row[i]) for row in self.rows + [head]) for i in range(5)]
        for row in [head, tuple("-" * w for w in widths)] + self.rows:
            print("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())


def replay_args(segwatch, config, path, summary):
    return [segwatch, "replay", "-c", config, "-j", "1", "--summary", summary, path]


def measure_job(table, build, path, config, rounds):
    """(c): simdjson's walk against the whole job, on the same core."""
    walk, segwatch = compile_walk(), build / "daemon/segwatch"
    cpu = {max(os.sched_getaffinity(0))}
    size = path.stat().st_size
    warm(path)
    ratios, by_cpu, walk_rate, job_rate, resident, evicted, tuples = [], [], [], [], 0, 0, 0
    with tempfile.TemporaryDirectory() as tmp:
        summary = pathlib.Path(tmp) / "summary.json"
        for i in range(rounds):
            _, _, _, out = timed([walk, path], cpu, subprocess.PIPE)
            walk_s = int(out.split()[0]) / 1e9
            job_s, job_cpu, most, _ = timed(replay_args(segwatch, config, path, summary), cpu)
            totals = json.loads(summary.read_text())
            if totals["tuples"] + totals["tuple_errors"] == 0 or int(out.split()[3]) != totals["tuples"]:
                raise SystemExit(f"bench: simdjson counts {out.split()[3]} tuples, segwatch {totals['tuples']}")
            resident, evicted, tuples = max(resident, most), max(evicted, totals["evicted"]), totals["tuples"]
            ratios.append(walk_s / job_s)
            by_cpu.append(int(out.split()[5]) / 1e9 / job_cpu)
            walk_rate.append(size / walk_s / 1e6)
            job_rate.append(size / job_s / 1e6)
            say(f"round {i + 1}: walk {walk_rate[-1]:.0f} MB/s, replay {job_rate[-1]:.0f} MB/s, ratio {ratios[-1]:.3f}")
    table.ratio("whole job / simdjson walk, one core", ratios, 0.06, 0.1)
    table.note("  the same in CPU time (for a busy machine)", by_cpu, "")
    table.note("  simdjson walk", walk_rate, " MB/s")
    table.note("  segwatch replay -j 1", job_rate, " MB/s")
    table.note("  the same", [r * 1e6 / size * tuples / 1e6 for r in job_rate], " M tuples/s")
    table.limit("  most resident memory", resident, RESIDENT_LIMIT, MIB, " MiB")
    table.limit("  entries evicted", evicted, 0)


def measure_kafka(table, build, mib, rounds):
    """(d): Kafka path against replay of the same bytes and against a discarding consumer."""
    part, config = corpus(build, mib, KAFKA_CORPUS, "kafka")
    size = part.stat().st_size
    partitions = str(-(-size // int(KAFKA_PER_PARTITION * MIB)))
    segwatch, ends, pipe = build / "daemon/segwatch", build / "tests/bench/bench_kafka", build / "tests/bench/bench_pipeline"
    broker = subprocess.Popen([ends, "broker", part, partitions], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        line = broker.stdout.readline().split()
        if len(line) != 3:
            raise SystemExit("bench: the broker did not start")
        address, n = line[0].decode(), line[1].decode()
        warm(part)
        ratios, by_cpu, kafka_rate, replay_rate, discard_rate, late = [], [], [], [], [], []
        with tempfile.TemporaryDirectory() as tmp:
            for i in range(rounds):
                _, _, _, out = timed([ends, "discard", address, partitions, n], None, subprocess.PIPE)
                discard_s = int(out.split()[0]) / 1e9
                replay_s, replay_cpu, _, _ = timed(replay_args(segwatch, config, part, pathlib.Path(tmp) / "s.json"))
                kafka_s, kafka_cpu, _, out = timed([pipe, config, address, n], None, subprocess.PIPE)
                late.append(int(out.split()[2]))
                ratios.append(max(discard_s, replay_s) / kafka_s)
                by_cpu.append(replay_cpu / kafka_cpu)
                for rates, s in (kafka_rate, kafka_s), (replay_rate, replay_s), (discard_rate, discard_s):
                    rates.append(size / s / 1e6)
                say(f"round {i + 1}: kafka {kafka_rate[-1]:.0f}, replay {replay_rate[-1]:.0f}, "
                    f"discard {discard_rate[-1]:.0f} MB/s, ratio {ratios[-1]:.3f}")
    finally:
        broker.stdin.close()
        broker.wait()
    table.ratio("Kafka path / slower of its parts", ratios, 0.85)
    table.note("  replay / Kafka path in CPU time", by_cpu, "")
    # bench_pipeline does not align partitions as `run` does: late tuples are folded all the same, but not in order
    table.note("  tuples folded late over Kafka", late, "")
    table.note("  Kafka path", kafka_rate, " MB/s")
    table.note("  segwatch replay -j 1, same bytes", replay_rate, " MB/s")
    table.note("  librdkafka, discarding", discard_rate, " MB/s")


SNAPSHOT_MEMORY = 6800  # MiB of memory.limit, of which the made-up connections fill about a sixth: 1 GiB


def snapshot_row(build, memory_mib, path, rounds):
    out = subprocess.run([build / "tests/bench/bench_snapshot", str(memory_mib), path, str(rounds)], check=True,
                         capture_output=True, text=True).stdout
    return {line.split()[0]: [float(x) for x in line.split()[1:]] for line in out.splitlines()}


def measure_snapshot(table, build, memory_mib, rounds):
    """What the engine loses while another thread reads a snapshot and writes it to a file as the daemon does; and while it
    only reads, faster than any disk."""
    path = CACHE / "snapshot.bench"
    for what, row in (("written", snapshot_row(build, memory_mib, path, rounds)),
                      ("only read", snapshot_row(build, memory_mib, "", rounds))):
        # by the time of the thread itself as well: others on the machine count less then
        table.ratio(f"engine while a snapshot is {what} / without, by the clock", row["speed"], 0.5)
        table.ratio("  the same, CPU", row["speed_cpu"], 0.5)
        table.limit("  pause of its begin", row["begin_ms"][0], 50, 1, " ms")
        table.limit("  most of the copy buffers in use", row["buffers_mib"][0], memory_mib * 0.016, 1, " MiB")
        for text, name, unit in (("longest second of event time meanwhile", "longest_step_ms", " ms"),
                                 ("the same without a snapshot", "longest_step_quiet_ms", " ms"),
                                 ("a tuple meanwhile, and CPU", "ns_during", " ns"), ("without", "ns_quiet", " ns"),
                                 ("times the engine had to wait", "waits", ""), ("size", "snapshot_mib", " MiB"),
                                 ("read in", "read_s", " s"), ("and on the disk in", "written_s", " s")):
            table.rows.append((f"  {text}", "", " ".join(f"{x:.4g}" for x in row[name]) + unit, "", ""))
    path.unlink()


def findings(build):
    """Path of lines of real size: those of a replayed attack that open a finding (updates come once in 15 minutes)."""
    lines = CACHE / "findings.jsonl"
    program = build / "daemon/segwatch"
    if not lines.exists() or lines.stat().st_mtime < program.stat().st_mtime:
        with tempfile.TemporaryDirectory() as d:
            subprocess.run([build / "tests/gen_scenario", "--seed", "3", "--hours", "6", "--hosts", "80", "--load", "30",
                            "--attack", "full", "--out", d], check=True, stderr=subprocess.DEVNULL)
            out = subprocess.run([program, "replay", "-q", "-c", f"{d}/config.yaml", f"{d}/messages.ndjson"], check=True,
                                 stdout=subprocess.PIPE).stdout
        opened = [l for l in out.splitlines(True) if json.loads(l)["activity_name"] == "Create"]
        if not opened:
            raise SystemExit("bench: the scenario has no findings")
        lines.write_bytes(b"".join(opened))
    return lines


def outbox_config(config, folder, port):
    """The corpus' configuration with a Sentinel output that goes to bench_drain."""
    secret = folder / "secret"
    secret.write_text("s")
    secret.chmod(0o600)
    output = {"name": "sentinel", "kind": "sentinel", "endpoint": f"https://localhost:{port}", "ca_file": str(folder / "ca.pem"),
              "dcr": "dcr-0123456789abcdef0123456789abcdef",
              "auth": {"tenant": "11111111-1111-1111-1111-111111111111", "client_id": "22222222-2222-2222-2222-222222222222",
                       "client_secret": {"file": str(secret)}, "authority": f"https://localhost:{port}"}}
    path = folder / "config.yaml"
    path.write_text(config.read_text() + f"outputs: {json.dumps([output])}\n")
    return path


def measure_outbox(table, build, mib, rounds, seconds):
    """What findings cost the consumer."""
    part, config = corpus(build, mib, KAFKA_CORPUS, "kafka")
    lines = findings(build)
    partitions = str(-(-part.stat().st_size // int(KAFKA_PER_PARTITION * MIB)))
    broker = subprocess.Popen([build / "tests/bench/bench_kafka", "broker", part, partitions], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(dir=CACHE) as tmp:
        folder = fake_azure.make_certificates(pathlib.Path(tmp))
        drain = subprocess.Popen([build / "tests/bench/bench_drain", folder / "server.pem"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        try:
            address, n = broker.stdout.readline().decode().split()[:2]
            port = int(drain.stdout.readline())
            (folder / "state").mkdir()
            _, _, most, out = timed([build / "tests/bench/bench_outbox", outbox_config(config, folder, port), address, n, lines,
                                     folder / "state", seconds, rounds, OUTBOX_ROWS], None, subprocess.PIPE)
        finally:
            for p in broker, drain:
                p.stdin.close()
                p.wait()
    rows = [line.split() for line in out.decode().splitlines()]
    turns = [(kind, *map(int, rest)) for kind, *rest in rows if kind in ("with", "without")]
    put, at_once, later, until, delivered, alerts = (int(v) for v in rows[-1][1:])
    if delivered != put or alerts != put:
        say(f"{put} findings put, {delivered} delivered, {alerts} in the alert file")
    speed, by_cpu, rates = [], [], []
    for i in range(0, len(turns), 2):
        a, b = sorted(turns[i:i + 2])  # with, without
        rates.append(b[1] / b[2] * 1e3)
        speed.append(a[1] / a[2] / rates[-1] * 1e3)
        by_cpu.append((a[3] - b[3] * a[1] / b[1]) / (OUTBOX_ROWS * a[2] / 1e9) / 1e3)
        say(f"round {i // 2 + 1}: {rates[-1]:.0f} MB/s alone on {b[3] / b[2]:.2f} cores, beside findings {speed[-1]:.3f} of that "
            f"on {a[3] / a[2]:.2f} cores")
    table.ratio(f"consumer beside {OUTBOX_ROWS} findings a second / alone", speed, 0.95)
    table.limit("  findings unsent a minute later", max(later, put - delivered), 0)
    table.limit("  lines missing in the alert file", put - alerts, 0)
    table.note("  findings unsent when no more were put", [at_once], "")
    table.note("  until the last was sent", [until / 1e9], " s")
    table.note("  CPU of one finding (outbox, alert file, Sentinel)", by_cpu, " us")
    table.note("  consumer alone", rates, " MB/s")
    table.note("  bytes of a finding", [lines.stat().st_size / lines.read_bytes().count(b"\n")], "")


def read_bandwidth(path):
    """Of a file that the page cache does not hold; MiB/s. What was read leaves it again: to find new memory for all of it
    is not the disk's work."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    buf, n, began = bytearray(MIB), 0, time.monotonic()
    while got := os.readv(fd, [buf]):
        n += got
        if n % (8 * MIB) == 0:
            os.posix_fadvise(fd, 0, n, os.POSIX_FADV_DONTNEED)
    took = time.monotonic() - began
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    return n / MIB / took


IDLE_S = 6  # after which a host may have taken back what nobody uses (the kernel reports free pages after 2 s)


class Daemon:
    """`segwatch run` as systemd starts it; .ready is the seconds until READY=1."""

    def __init__(self, segwatch, config, log):
        notify = CACHE / "start/notify"
        notify.unlink(missing_ok=True)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        door.bind(str(notify))
        door.settimeout(120)
        began = time.monotonic()
        self.process = subprocess.Popen([segwatch, "run", "-c", config], stderr=open(log, "ab"), stdin=subprocess.DEVNULL,
                                        env=dict(os.environ, NOTIFY_SOCKET=str(notify)))
        atexit.register(self.process.kill)
        while b"READY=1" not in door.recv(4096):
            pass
        self.ready = time.monotonic() - began
        self.cpu = sum(int(x) for x in pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")")[1].split()[11:13])
        self.cpu /= os.sysconf("SC_CLK_TCK")
        door.close()

    def leave(self):
        began = time.monotonic()
        self.process.terminate()
        code = self.process.wait(60)
        if code:
            raise SystemExit(f"bench: run left with {code}: see {CACHE}/start/log")
        return time.monotonic() - began


def newest_snapshot(d):
    return max((p for p in (d / "state").glob("snapshot.*") if p.suffix[1:].isdigit()), key=lambda p: int(p.suffix[1:]))


def measure_start(table, build, memory_mib, rounds):
    """A state of about 1 GiB in the real daemon: start to READY, SIGTERM to exit without and with a snapshot to write."""
    d, segwatch = CACHE / "start", build / "daemon/segwatch"
    subprocess.run(["rm", "-rf", d], check=True)
    (d / "state").mkdir(parents=True, mode=0o700)
    snapshot = d / "state/snapshot.1"
    (d / "flows.json").write_text("")
    config = d / "segwatch.yaml"
    config.write_text(f"sources: [{{name: lab, kind: file, path: {d}/flows.json}}]\nalerts: {{file: {d}/alerts.jsonl}}\n"
                      f"state: {{dir: {d}/state}}\nadmin: {{socket: {d}/ctl, http: none}}\nmemory: {{limit: {memory_mib}MiB}}\n")
    subprocess.run([build / "tests/bench/bench_snapshot", str(memory_mib), snapshot, "1", "0",
                    '{"version":1,"number":"1","conf":"","places":[]}'], check=True, stdout=subprocess.DEVNULL)
    size = snapshot.stat().st_size / MIB
    ready, cpu, allowed, beyond, disk, leave, written, leave_last = [], [], [], [], [], [], [], []
    touch = {"huge": [], "huge again": [], "small": [], "small again": []}
    for i in range(rounds):
        for pages in "huge", "small":
            time.sleep(IDLE_S)
            for again in "", " again":
                touch[pages + again].append(float(timed([build / "tests/bench/bench_touch", str(round(size)), pages],
                                                        None, subprocess.PIPE)[3]))
        time.sleep(IDLE_S)
        newest = newest_snapshot(d)
        disk.append(read_bandwidth(newest))
        run = Daemon(segwatch, config, d / "log")
        ready.append(run.ready)
        cpu.append(run.cpu)
        allowed.append(run.ready - size / disk[-1])
        beyond.append(allowed[-1] - touch["huge"][-1])
        leave.append(run.leave())  # of a disk that nothing is known of: no last snapshot, if it is large
        run = Daemon(segwatch, config, d / "log")
        began, before = time.monotonic(), newest_snapshot(d)
        subprocess.run([segwatch, "ctl", "snapshot", "-c", config], check=True, stdout=subprocess.DEVNULL)
        while before == newest_snapshot(d):
            time.sleep(0.01)
            if time.monotonic() - began > 120:
                raise SystemExit("bench: no snapshot after 120 s")
        written.append(time.monotonic() - began)
        time.sleep(0.5)
        subprocess.run([segwatch, "ctl", "snapshot", "-c", config], check=False, stdout=subprocess.DEVNULL)
        time.sleep(0.2)
        leave_last.append(run.leave())
        say(f"round {i + 1}: {size:.0f} MiB, disk {disk[-1]:.0f} MiB/s, ready {ready[-1]:.2f} s, exit {leave[-1]:.2f} s, "
            f"in the middle of a snapshot {leave_last[-1]:.2f} s")
    table.limit("start to READY beyond size / bandwidth of the disk", statistics.median(allowed), 1, 1, " s")
    table.limit("  CPU of a start", statistics.median(cpu), 1, 1, " s")
    table.note("  beyond the disk and a first touch of as much memory", beyond, " s")
    table.note("  start to READY", ready, " s")
    table.note("  as much memory touched by a bare program, huge pages", touch["huge"], " s")
    table.note("    at once again, by another process", touch["huge again"], " s")
    table.note("  the same in pages of 4 KiB", touch["small"], " s")
    table.note("    at once again", touch["small again"], " s")
    table.note("  size of the snapshot", [size], " MiB")
    table.note("  the disk reads", disk, " MiB/s")
    table.limit("SIGTERM to exit", max(leave), 5, 1, " s")
    table.limit("  the same while a snapshot is written", max(leave_last), 5, 1, " s")
    table.note("  a snapshot is written in", written, " s")
    subprocess.run(["rm", "-rf", d], check=True)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("build", type=pathlib.Path)
    args.add_argument("--quick", action="store_true", help="64 MiB instead of 1 GiB, 3 rounds")
    args.add_argument("--rounds", type=int)
    args.add_argument("--gate", action="store_true", help="exit 1 when a target is missed")
    args.add_argument("--only", choices=["job", "kafka", "snapshot", "outbox", "start"])
    args.add_argument("--seconds", type=int, help="length of a turn of the outbox (default 60, --quick 10)")
    o = args.parse_args()
    CACHE.mkdir(exist_ok=True)
    mib = 64 if o.quick else 1024
    rounds, table = o.rounds or (3 if o.quick else 5), Table()
    notes = f"{os.cpu_count()} cores"
    if o.only in (None, "job"):
        path, config = corpus(o.build, mib, CORPUS, "corpus")
        notes += f"; corpus {path.stat().st_size / MIB:.0f} MiB"
        measure_job(table, o.build, path, config, rounds)
    if o.only in (None, "kafka"):
        measure_kafka(table, o.build, min(mib, 192), rounds)
    if o.only in (None, "snapshot"):
        measure_snapshot(table, o.build, 1400 if o.quick else SNAPSHOT_MEMORY, 3 if o.quick else 5)
    if o.only in (None, "outbox"):
        measure_outbox(table, o.build, min(mib, 192), o.rounds or 3, o.seconds or (10 if o.quick else 60))
    if o.only in (None, "start"):
        measure_start(table, o.build, 1400 if o.quick else SNAPSHOT_MEMORY, 3)
    print(f"\n{notes}; {rounds} interleaved rounds; medians of round-wise ratios.\nThe Kafka broker shares the cores with "
          "the consumer.\n")
    table.show()
    return 1 if o.gate and table.short else 0


sys.exit(main())
