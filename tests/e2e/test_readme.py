"""The README's commands, run as a stranger would: verbs exist, the YAML passes check, replay and tail work."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEGWATCH = os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch"))
BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", ROOT / "build"))
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(r"```%s\n(.*?)```" % language, README, re.S)


def run(args, **kw):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, **kw)


class Readme(unittest.TestCase):
    def test_verbs_of_dev_and_segwatch_exist(self):
        dev = run([str(ROOT / "dev"), "help"]).stdout.decode()
        overview = run([SEGWATCH, "help"]).stdout.decode()
        text = "\n".join(blocks("sh"))
        for verb in sorted(set(re.findall(r"^\./dev (\w+)", text, re.M))):
            self.assertRegex(dev, r"(?m)^  %s\b" % verb)
        verbs = sorted(set(re.findall(r"segwatch (\w+) ", text)))
        self.assertGreaterEqual(len(verbs), 3)
        for verb in verbs:
            self.assertRegex(overview, r"(?m)^  %s\b" % verb)
            help_text = run([SEGWATCH, verb, "--help"])
            self.assertEqual(help_text.returncode, 0)
            self.assertIn(b"Example", help_text.stdout)

    def test_operating_names_every_kind_of_health_finding(self):
        kinds = set()
        for path in (ROOT / "daemon").glob("*.c"):
            text = path.read_text()
            for call in (r'sw__daemon_health\(\s*[^,()]+,\s*"(\w+)"', r'loss_tell\(d, l, "(\w+)"', r'\{ SW__LOSS_\w+, "(\w+)"'):
                kinds |= set(re.findall(call, text))
        self.assertGreaterEqual(len(kinds), 16, kinds)
        table = (ROOT / "docs/OPERATING.md").read_text().split("## Losses of sight")[1].split("\n## ")[0]
        self.assertEqual({k for k in kinds if f"`{k}`" not in table}, set())

    def test_a_verb_that_is_misspelt_is_guessed(self):
        for verb, said in (("replai", "did you mean 'replay'?"), ("xyzzy", "there is no verb 'xyzzy'.")):
            p = run([SEGWATCH, verb])
            self.assertEqual(p.returncode, 64)
            self.assertIn(said, p.stderr.decode())

    def test_the_configuration_passes_check(self):
        yaml = blocks("yaml")[0]
        with tempfile.TemporaryDirectory() as d:
            path = pathlib.Path(d) / "segwatch.yaml"
            path.write_text(yaml)
            p = run([SEGWATCH, "check", "-c", str(path)])
            self.assertEqual(p.returncode, 0, p.stderr.decode())

    def test_replay_of_a_blob_folder_and_tail_of_its_findings(self):
        with tempfile.TemporaryDirectory() as d:
            p = run([str(BUILD / "tests/gen_scenario"), "--seed", "3", "--hours", "26", "--hosts", "60", "--attack",
                     "full", "--pt1h", "--out", d])
            self.assertEqual(p.returncode, 0, p.stderr.decode())
            folder = pathlib.Path(d) / "blobs"
            self.assertGreater(sum(1 for _ in folder.rglob("PT1H.json")), 100)
            conf = pathlib.Path(d) / "config.yaml"
            findings = pathlib.Path(d) / "findings.jsonl"
            with findings.open("wb") as out:
                p = subprocess.run([SEGWATCH, "replay", "-c", str(conf), str(folder)], stdout=out,
                                   stderr=subprocess.PIPE, timeout=300)
            self.assertEqual(p.returncode, 0, p.stderr.decode())
            lines = findings.read_bytes().splitlines()
            self.assertGreaterEqual(len(lines), 1)
            shown = run([SEGWATCH, "tail", str(findings)])
            self.assertEqual(shown.returncode, 0, shown.stderr.decode())
            self.assertGreaterEqual(len(shown.stdout.splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
