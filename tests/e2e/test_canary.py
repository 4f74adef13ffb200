# SPDX-License-Identifier: Apache-2.0
"""What looks for secrets after every daemon of these tests (canary.py) finds one that is there."""
import base64
import pathlib
import tempfile
import unittest

import canary
from daemon import Daemon

KEY = "dGhpcyBpcyBub3QgYSBrZXkgb2YgYW55Ym9keQ=="


class Canary(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="segwatch-canary-")
        self.addCleanup(self.folder.cleanup)
        self.dir = pathlib.Path(self.folder.name)
        self.secret = self.dir / "secret"
        self.secret.write_text(f"Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=l;SharedAccessKey={KEY};EntityPath=t\n")
        self.secret.chmod(0o600)
        (self.dir / "token").write_text("0123456789abcdef")
        (self.dir / "token").chmod(0o600)
        self.config = self.dir / "c.yaml"
        self.config.write_text(
            f'sources: [{{name: w, kind: eventhubs, connection_string: {{file: {self.secret}}}, brokers: ["127.0.0.1:1"]}}]\n'
            f"state: {{dir: {self.dir}/state}}\nalerts: {{file: {self.dir}/alerts.jsonl}}\nlog: {{level: debug}}\n"
            f"admin: {{socket: none, http: none, token: {{file: {self.dir}/token}}}}\n")
        self.counted = dict(canary.counted)

    def tearDown(self):
        canary.counted.update(self.counted)  # what is found here was put there

    def life(self):
        d = Daemon(self, self.config)
        d.wait_log("event=start ")
        self.assertEqual(d.stop()[0], 0)
        return d

    def test_every_secret_is_looked_for_and_is_nowhere(self):
        values, paths = canary.secrets(self.config)
        self.assertEqual(values, {KEY, "0123456789abcdef"})
        self.assertEqual(paths, {self.secret.resolve(), (self.dir / "token").resolve()})
        self.life().kill()
        self.assertGreater(canary.counted["files"], self.counted["files"] + 3)

    def test_one_that_leaks_is_seen(self):
        for name, text in (("state/outbox.db-wal", "x" + KEY + "x"), ("notes.log", "Bearer 0123456789abcdef"),
                           ("coded.txt", base64.b64encode(b"0123456789abcdef").decode())):
            with self.subTest(name):
                d = self.life()
                (self.dir / name).write_text(text)
                with self.assertRaisesRegex(AssertionError, name):
                    d.kill()
                (self.dir / name).unlink()

    def test_a_secret_that_was_changed_meanwhile_is_remembered(self):
        d = self.life()
        (self.dir / "token").write_text("fedcba9876543210")
        (self.dir / "old.log").write_text("key=0123456789abcdef")
        with self.assertRaisesRegex(AssertionError, "old.log"):
            d.kill()


if __name__ == "__main__":
    unittest.main()
