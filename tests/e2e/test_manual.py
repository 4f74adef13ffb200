#!/usr/bin/env python3
"""Manual pages and completion: they render without a warning, say what --help says, and complete what there is."""
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEGWATCH_BUILD", ROOT / "build"))
SEGWATCH = os.environ.get("SEGWATCH", str(ROOT / "build/daemon/segwatch"))
PAGES = [BUILD / "docs/segwatch.1", BUILD / "docs/segwatch.yaml.5", ROOT / "docs/man/segwatch.service.8"]
COMPLETION = BUILD / "docs/segwatch"


def run(*args, env=None, stdin=None):
    p = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, input=stdin,
                       env=dict(os.environ, LC_ALL="C.UTF-8", **(env or {})))
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def rendered(page):
    code, text, errors = run("man", "--warnings", "-E", "UTF-8", "-l", page, env={"MANWIDTH": "120"})
    assert code == 0, errors
    return re.sub(r".\x08", "", text)


def flat(text):
    return re.sub(r"\s+", " ", text.replace("\u2010\n", "").replace("\u2010", "-"))


def verbs():
    code, text, _ = run(SEGWATCH, "help")
    assert code == 0
    return [v for v in re.findall(r"^  (\S+) +\S", text, re.M) if v != "help"]


class Manual(unittest.TestCase):
    def test_pages_render_without_warnings(self):
        for page in PAGES:
            code, _, errors = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page,
                                  env={"MANWIDTH": "80", "MANROFFSEQ": ""})
            self.assertEqual((code, errors), (0, ""), page)

    def test_a_wrong_page_would_be_seen(self):
        code, _, errors = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "-", env={"MANROFFSEQ": ""},
                              stdin=b".TH X 1\n.SH NAME\nx \\- y\n.NOSUCHMACRO\n")
        self.assertNotEqual((code, errors), (0, ""))

    def test_every_verb_and_option_of_the_help_is_in_the_manual(self):
        manual = flat(rendered(PAGES[0]))
        names = verbs()
        self.assertGreaterEqual(len(names), 6)
        for verb in names:
            code, text, _ = run(SEGWATCH, verb, "--help")
            self.assertEqual(code, 0)
            usage = text.splitlines()[0].replace("usage: segwatch ", "")
            self.assertIn(usage, manual)
            for option in re.findall(r"^  (?:-\w, |    )(--[\w-]+)", text, re.M):
                self.assertIn(option, manual, f"{verb} {option}")

    def test_options_for_tests_are_hidden(self):
        self.assertNotIn("stats-ms", rendered(PAGES[0]))
        self.assertNotIn("stats-ms", COMPLETION.read_text())

    def test_every_option_of_the_configuration_is_in_its_manual(self):
        manual = rendered(PAGES[1])
        code, sample, _ = run(SEGWATCH, "check", "--sample")
        self.assertEqual(code, 0)
        keys = set(re.findall(r"^#? *(?:- )?([a-z_0-9]+):(?: |$)", sample, re.M))
        self.assertGreater(len(keys), 40)
        for key in sorted(keys):
            self.assertRegex(manual, rf"(?m)(^|[ .]){key}\b", key)

    def test_the_service_page_names_files_that_are_there(self):
        text = (ROOT / "docs/man/segwatch.service.8").read_text().replace("\\-", "-")
        for name in re.findall(r"/usr/share/doc/segwatch/examples/([\w.]+)", text):
            self.assertTrue((ROOT / "config/examples" / name).is_file(), name)


class Completion(unittest.TestCase):
    def complete(self, *words, cwd=None):
        script = ("source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _segwatch 2>/dev/null; "
                  "printf '%s\\n' \"${COMPREPLY[@]}\"")
        p = subprocess.run(["bash", "--norc", "-c", script, "bash", str(COMPLETION), "segwatch", *words], cwd=cwd,
                           stdout=subprocess.PIPE, timeout=20, text=True)
        return [l for l in p.stdout.splitlines() if l]

    def test_script_is_clean(self):
        code, out, _ = run("shellcheck", "-s", "bash", COMPLETION)
        self.assertEqual(code, 0, out)

    def test_verbs(self):
        self.assertEqual(set(self.complete("")), set(verbs()) | {"help", "--help", "--version"})
        self.assertEqual(self.complete("repl"), ["replay"])
        self.assertEqual(self.complete("help", "rep"), ["replay"])

    def test_options_of_every_verb(self):
        for verb in verbs():
            _, text, _ = run(SEGWATCH, verb, "--help")
            want = set(re.findall(r"^  (?:-\w, |    )(--[\w-]+)", text, re.M)) | {"--help"}
            self.assertEqual(set(self.complete(verb, "-")), want)

    def test_values(self):
        self.assertEqual(self.complete("tail", "--severity", "h"), ["high"])
        self.assertEqual(self.complete("tail", "-o", ""), ["compact", "json", "table"])
        self.assertEqual(self.complete("tail", "--output", "=", "j"), ["json"])
        self.assertEqual(self.complete("tail", "--output", "="), ["compact", "json", "table"])
        self.assertEqual(self.complete("tail", "--since", ""), [])

    def test_files(self):
        self.assertEqual(self.complete("check", "-c", "READ", cwd=ROOT), ["README.md"])
        self.assertEqual(self.complete("replay", "READ", cwd=ROOT), ["README.md"])
        self.assertIn("daemon", self.complete("demo", "--keep", "da", cwd=ROOT))
        self.assertEqual(self.complete("demo", "--keep", "READ", cwd=ROOT), [])


if __name__ == "__main__":
    unittest.main()
