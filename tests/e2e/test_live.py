# SPDX-License-Identifier: Apache-2.0
"""tests/live/sentinel.sh with an az, a segwatch and a sleep of our own: what it does while a role does not act yet, which
row it waits for, and that it says no when it should."""
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UID = "0123456789abcdef0123456789abcdef"

AZ = r"""#!/bin/sh
printf '%s\n' "$*" | tr '\n' ' ' >>"$LOG"; echo >>"$LOG"
case "$*" in
"ad sp show"*) echo principal-1 ;;
*"workspace show"*) echo workspace-1 ;;
*"log-analytics query"*SecurityAlert*) turn incident ;;
*"log-analytics query"*) turn row ;;
*segwatch-live-content*) echo '{}' ;;
*"deployment group create"*) echo '{"endpoint": {"value": "https://e.ingest.monitor.azure.com"}, "dcr": {"value": "dcr-1"}}' ;;
*) echo "what is $*?" >&2; exit 2 ;;
esac
"""
# turn WHAT: fails (a table that is not there), then finds nothing, then finds one, as often as FAIL_WHAT says
TURN = r"""#!/bin/sh
eval "fail=\${FAIL_$1:-0}"
n=$(cat "$STATE/$1" 2>/dev/null || echo 0)
echo $((n + 1)) >"$STATE/$1"
[ "$n" -ge "$fail" ] || { [ $((n % 2)) = 0 ] && exit 1; echo 0; exit 0; }
echo 1
"""
PROGRAM = r"""#!/bin/sh
echo "segwatch $*" >>"$LOG"
case "$*" in
*--online*) [ "$(turn online)" = 1 ] || { echo "output sentinel: FAILED: status 403" >&2; exit "${ONLINE_CODE:-1}"; } ;;
test-alert*) echo "${UID_SAID}"; [ "$(turn sample)" = 1 ] || { echo "output sentinel: FAILED: status 403" >&2; exit 1; } ;;
check*) cat "$3" >"$STATE/config" ;;
*) exit 2 ;;
esac
"""


class Live(unittest.TestCase):
    def run_script(self, *args, **env):
        folder = tempfile.TemporaryDirectory(prefix="segwatch-e2e-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        for name, text in (("az", AZ), ("turn", TURN), ("segwatch", PROGRAM), ("sleep", "#!/bin/sh\necho \"sleep $1\" >>\"$LOG\"\n")):
            path = self.dir / name
            path.write_text(text)
            path.chmod(0o755)
        (self.dir / "state").mkdir()
        (self.dir / "tmp").mkdir()
        p = subprocess.run(["sh", ROOT / "tests/live/sentinel.sh", *(args or ("group", "ws"))], capture_output=True, text=True,
                           timeout=60, env={"PATH": f"{self.dir}:{os.environ['PATH']}", "LOG": str(self.dir / "log"),
                                            "STATE": str(self.dir / "state"), "SEGWATCH": str(self.dir / "segwatch"),
                                            "TMPDIR": str(self.dir / "tmp"), "TENANT": "t", "CLIENT_ID": "c",
                                            "SECRET_FILE": "/secret", "UID_SAID": UID, **env})
        self.log = (self.dir / "log").read_text().splitlines() if (self.dir / "log").exists() else []
        self.assertEqual(list((self.dir / "tmp").iterdir()), [], "it cleans up")
        return p

    def position(self, text):
        return next(i for i, line in enumerate(self.log) if text in line)

    def test_what_does_not_act_yet_is_asked_again(self):
        p = self.run_script(FAIL_online="5", FAIL_sample="2", FAIL_row="4", FAIL_incident="3")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn(f"PASS: row and incident of {UID}", p.stdout)
        self.assertEqual(self.log.count("sleep 30"), 5 + 2 + 4 + 3)
        # the rules are there before the sample is, or they would not take it
        self.assertLess(self.position("segwatch-live-content"), self.position("test-alert"))
        self.assertIn("endpoint: \"https://e.ingest.monitor.azure.com\", dcr: \"dcr-1\"", (self.dir / "state/config").read_text())

    def test_it_looks_for_its_own_row(self):
        self.assertEqual(self.run_script().returncode, 0)
        self.assertNotIn("sleep 30", self.log)
        queries = [line for line in self.log if "log-analytics query" in line]
        self.assertEqual(len(queries), 2)
        for query in queries:
            self.assertIn(f"'{UID}'", query)

    def test_what_never_acts_ends_in_a_failure(self):
        for what in ("online", "sample", "row", "incident"):
            with self.subTest(what):
                p = self.run_script(**{f"FAIL_{what}": "1000"})
                self.assertEqual(p.returncode, 1, p.stdout)
                self.assertNotIn("PASS", p.stdout)
                self.assertIn("FAIL: ", p.stderr)
                self.assertEqual(self.log.count("sleep 30"), 60, "half an hour")

    def test_what_waiting_does_not_help_ends_at_once(self):
        p = self.run_script(FAIL_online="1000", ONLINE_CODE="78")
        self.assertEqual((p.returncode, self.log.count("sleep 30")), (1, 0), p.stderr)
        p = self.run_script(UID_SAID="no id")
        self.assertEqual(p.returncode, 1)
        self.assertIn("test-alert printed no id", p.stderr)
        self.assertEqual(self.run_script("group").returncode, 64)
        self.assertEqual(self.log, [])


if __name__ == "__main__":
    unittest.main()
