# SPDX-License-Identifier: Apache-2.0
"""The Debian package: what is in it, its life in a root of its own, and the README's way to install it.

As root the README is followed word for word in a throw-away overlay of this machine's root; always, dpkg installs,
upgrades, removes and purges in an empty root. `./dev soak package` also builds it twice and compares the bytes, and
follows the README in a bare Debian 12 from debootstrap."""
import gzip
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SOAK = os.environ.get("SEGWATCH_SOAK") == "1"
VERSION = re.search(r"^  version: '(.*)',$", (ROOT / "meson.build").read_text(), re.M)[1]


def run(*args, **kw):
    p = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1200,
                       stdin=subprocess.DEVNULL if "input" not in kw else None, **kw)
    return p.returncode, p.stdout


def must(*args, **kw):
    code, out = run(*args, **kw)
    assert code == 0, f"{' '.join(map(str, args))}: exit {code}\n{out[-4000:]}"
    return out


def build(dist):
    must(ROOT / "dev", "package", cwd=ROOT, env=dict(os.environ, DIST=str(dist)))
    return next(p for p in pathlib.Path(dist).glob("segwatch_*.deb"))


def install_section():
    text = README[README.index("## Install and run it"):]
    text = text[:text.index("\n## ", 3)]
    return re.findall(r"```(\w+)\n(.*?)```", text, re.S)


def setUpModule():
    """One package for all; SEGWATCH_DIST names a folder with one that is there already."""
    folder = tempfile.TemporaryDirectory(prefix="segwatch-package-")
    unittest.addModuleCleanup(folder.cleanup)
    Built.dir = pathlib.Path(folder.name)
    Built.dir.chmod(0o755)
    Built.dist = pathlib.Path(os.environ.get("SEGWATCH_DIST", Built.dir / "dist")).resolve()
    # ends with lintian, which fails at a warning
    Built.deb = next(Built.dist.glob("segwatch_*.deb")) if "SEGWATCH_DIST" in os.environ else build(Built.dist)
    Built.tree = Built.dir / "tree"
    must("dpkg-deb", "-R", Built.deb, Built.tree)


class Built(unittest.TestCase):
    dir = dist = deb = tree = None


class Package(Built):
    def test_lintian_says_nothing(self):
        changes = next(self.dist.glob("*.changes"))
        code, out = run("lintian", "--allow-root", "--fail-on", "error,warning", changes)
        self.assertEqual((code, [l for l in out.splitlines() if l.startswith(("E:", "W:"))]), (0, []))

    def test_lintian_would_say_something(self):
        broken = self.dir / "broken"
        shutil.copytree(self.tree, broken, symlinks=True)
        shutil.rmtree(broken / "usr/share/man")
        shutil.rmtree(broken / "usr/share/doc/segwatch")
        must("dpkg-deb", "-b", "--root-owner-group", broken, self.dir / "broken.deb")
        code, out = run("lintian", "--allow-root", "--fail-on", "error,warning", self.dir / "broken.deb")
        self.assertNotEqual(code, 0)
        self.assertIn("no-copyright-file", out)

    def test_content(self):
        files = {}
        for line in must("dpkg-deb", "-c", self.deb).splitlines():
            mode, owner, _, _, _, path = line.split(None, 5)
            self.assertEqual(owner, "root/root", path)
            files[path.lstrip(".")] = mode
        for path in ("/usr/bin/segwatch", "/lib/systemd/system/segwatch.service", "/usr/lib/sysusers.d/segwatch.conf",
                     "/usr/lib/tmpfiles.d/segwatch.conf", "/etc/segwatch/segwatch.yaml", "/etc/logrotate.d/segwatch",
                     "/usr/share/segwatch/alert.schema.json", "/usr/share/segwatch/segwatch-config.schema.json",
                     "/usr/share/man/man1/segwatch.1.gz", "/usr/share/man/man5/segwatch.yaml.5.gz",
                     "/usr/share/man/man8/segwatch.service.8.gz", "/usr/share/bash-completion/completions/segwatch",
                     "/usr/share/doc/segwatch/copyright", "/usr/share/doc/segwatch/changelog.gz",
                     "/usr/share/doc/segwatch/changelog.Debian.gz", "/usr/share/doc/segwatch/examples/credential.conf",
                     "/usr/share/segwatch/prometheus/segwatch.rules.yml"):
            self.assertIn(path, files)
            self.assertEqual(files[path], "-rwxr-xr-x" if path.startswith("/usr/bin/") else "-rw-r--r--", path)
        for guide in (ROOT / "docs").glob("*.md"):  # dpkg compresses the larger ones
            self.assertTrue({f"/usr/share/doc/segwatch/{guide.name}", f"/usr/share/doc/segwatch/{guide.name}.gz"} & set(files))
        self.assertEqual([p for p in files if p.startswith("/usr/bin/") and not p.endswith("/")], ["/usr/bin/segwatch"])
        conffiles = (self.tree / "DEBIAN/conffiles").read_text().split()
        self.assertEqual(sorted(conffiles), ["/etc/logrotate.d/segwatch", "/etc/segwatch/segwatch.yaml"])
        control = (self.tree / "DEBIAN/control").read_text()
        self.assertIn(f"\nVersion: {VERSION}-", control)
        for library in ("librdkafka1", "libuv1", "libcjson1", "libyaml-0-2"):
            self.assertRegex(control, rf"\nDepends: .*\b{library}\b")

    def test_program_in_it_runs_and_is_hardened(self):
        program = self.tree / "usr/bin/segwatch"
        self.assertIn(f"segwatch {VERSION}\n", must(program, "version"))
        must(program, "check", "-c", self.tree / "etc/segwatch/segwatch.yaml")
        headers, symbols = must("readelf", "-Wld", program), must("readelf", "-W", "--dyn-syms", program)
        self.assertIn("GNU_RELRO", headers)
        self.assertRegex(headers, r"BIND_NOW|Flags:.* NOW")
        self.assertRegex(headers, r"Flags: .*PIE")
        self.assertRegex(headers, r"GNU_STACK .* RW ")
        self.assertIn("__stack_chk_fail", symbols)
        self.assertRegex(symbols, r"__\w+_chk@")

    def test_schemas_unit_and_texts_are_those_of_the_sources(self):
        for name in ("alert.schema.json", "cef.fields.json", "segwatch-config.schema.json"):
            self.assertEqual(json.loads((self.tree / "usr/share/segwatch" / name).read_text()),
                             json.loads((ROOT / "config" / name).read_text()))
        unit = (self.tree / "lib/systemd/system/segwatch.service").read_text()
        self.assertIn("ExecStart=/usr/bin/segwatch run ", unit)
        self.assertEqual(gzip.decompress((self.tree / "usr/share/doc/segwatch/changelog.gz").read_bytes()),
                         (ROOT / "CHANGELOG.md").read_bytes())
        must("systemd-analyze", "security", "--offline=true", "--threshold=13",
             self.tree / "lib/systemd/system/segwatch.service")
        for page in (self.tree / "usr/share/man").rglob("*.gz"):
            code, out = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page,
                            env=dict(os.environ, LC_ALL="C.UTF-8", MANROFFSEQ=""))
            self.assertEqual(code, 0, page)
            self.assertNotIn("warning", out.split("\n", 1)[0])


class Life(Built):
    """dpkg in an empty root, scripts without chroot; with fakeroot where the test is not root."""

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(dir=self.dir))
        for path in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib", "var/log", "etc", "usr/bin"):
            (self.root / path).mkdir(parents=True, exist_ok=True)
        (self.root / "var/lib/dpkg/status").touch()

    def dpkg(self, *args):
        fake = [] if os.geteuid() == 0 else ["fakeroot", "-i", self.dir / "fake", "-s", self.dir / "fake"]
        (self.dir / "fake").touch()
        return must(*fake, "dpkg", f"--root={self.root}", "--force-script-chrootless", "--force-depends",
                    "--force-confold", "--force-not-root", "--log=/dev/null", *args,
                    env=dict(os.environ, DEBIAN_FRONTEND="noninteractive", PATH="/usr/sbin:/usr/bin:/sbin:/bin"))

    def repacked(self, version):
        """The same package with another version and one more line in the program's own logrotate file."""
        tree = self.dir / version
        if not tree.exists():
            shutil.copytree(self.tree, tree, symlinks=True)
            control = tree / "DEBIAN/control"
            control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
            must("dpkg-deb", "-b", "--root-owner-group", tree, self.dir / f"{version}.deb")
        return self.dir / f"{version}.deb"

    def test_install(self):
        self.dpkg("--install", self.deb)
        user = [l for l in (self.root / "etc/passwd").read_text().splitlines() if l.startswith("segwatch:")]
        self.assertEqual(len(user), 1)
        self.assertTrue(user[0].endswith(":/usr/sbin/nologin"), user)
        self.assertRegex((self.root / "etc/group").read_text(), r"(?m)^segwatch:")
        for path, mode in (("etc/segwatch/credentials", 0o700), ("var/lib/segwatch", 0o750), ("var/log/segwatch", 0o750),
                           ("etc/segwatch/conf.d", 0o755)):
            self.assertEqual(stat.S_IMODE((self.root / path).stat().st_mode), mode, path)
        if os.geteuid() == 0:
            uid = int(user[0].split(":")[2])
            self.assertEqual({(self.root / p).stat().st_uid for p in ("var/lib/segwatch", "var/log/segwatch")}, {uid})
            self.assertEqual((self.root / "etc/segwatch/credentials").stat().st_uid, 0)
        wants = list((self.root / "etc/systemd").rglob("segwatch.service")) if (self.root / "etc/systemd").exists() else []
        self.assertEqual(wants, [], "it is not enabled before it has a source")

    def test_upgrade_keeps_configuration_and_state(self):
        self.dpkg("--install", self.repacked(f"{VERSION}~before"))
        kept = {"etc/segwatch/segwatch.yaml": "sources: []\n# mine\n", "etc/segwatch/conf.d/mine.yaml": "segments: []\n",
                "etc/segwatch/credentials/eventhub": "secret\n", "var/lib/segwatch/offsets.json": "{}\n",
                "var/log/segwatch/alerts.jsonl": "{}\n"}
        for path, text in kept.items():
            (self.root / path).write_text(text)
        self.dpkg("--install", self.deb)
        self.assertIn("install ok installed", must("dpkg-query", f"--admindir={self.root}/var/lib/dpkg", "-W", "-f",
                                                   "${Status} ${Version}", "segwatch"))
        self.assertIn(f"{VERSION}-", must("dpkg-query", f"--admindir={self.root}/var/lib/dpkg", "-W", "-f", "${Version}",
                                          "segwatch"))
        for path, text in kept.items():
            self.assertEqual((self.root / path).read_text(), text, path)

    def test_remove_keeps_what_purge_takes(self):
        self.dpkg("--install", self.deb)
        for path in ("var/lib/segwatch/offsets.json", "var/log/segwatch/alerts.jsonl"):
            (self.root / path).write_text("{}\n")
        self.dpkg("--remove", "segwatch")
        for path in ("usr/bin/segwatch", "lib/systemd/system/segwatch.service", "usr/share/segwatch"):
            self.assertFalse((self.root / path).exists(), path)
        for path in ("etc/segwatch/segwatch.yaml", "var/lib/segwatch/offsets.json", "var/log/segwatch/alerts.jsonl"):
            self.assertTrue((self.root / path).exists(), path)
        self.dpkg("--purge", "segwatch")
        left = [str(p) for p in self.root.rglob("*segwatch*")]
        self.assertEqual(left, [])

    def test_purge_leaves_what_the_administrator_made(self):
        self.dpkg("--install", self.deb)
        secret = self.root / "etc/segwatch/credentials/eventhub"
        secret.write_text("secret\n")
        self.dpkg("--purge", "segwatch")
        self.assertEqual(secret.read_text(), "secret\n")
        self.assertFalse((self.root / "etc/segwatch/segwatch.yaml").exists())
        self.assertFalse((self.root / "var/lib/segwatch").exists())


# Runs in a mount name space of its own; $1 scratch, $2 lower root, $3 repository, $4 script, $5 more folders to see.
CHROOT = r"""
set -eu
mount -t tmpfs -o size=2g none "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/up,workdir=$1/work" "$1/root"
for d in proc sys dev; do mount --rbind "/$d" "$1/root/$d"; done
mkdir -p "$1/root$3" "$1/root/usr/local/bin" "$1/root/run/segwatch-test"
mount --bind "$3" "$1/root$3"
mount --bind "$(dirname "$4")" "$1/root/run/segwatch-test"
cp /etc/resolv.conf "$1/root/etc/resolv.conf" 2>/dev/null || true
# sudo is not in every image, and without a service manager systemctl can only work on the files.
printf '#!/bin/sh\nexec "$@"\n' >"$1/root/usr/local/bin/sudo"
printf '#!/bin/sh\nverb=$1; shift\n[ "$1" != --now ] || shift\nexec /bin/systemctl "$verb" "$@"\n' >"$1/root/usr/local/bin/systemctl"
chmod 755 "$1/root/usr/local/bin/sudo" "$1/root/usr/local/bin/systemctl"
exec chroot "$1/root" /usr/bin/env -i HOME=/root USER=root LANG=C.UTF-8 SYSTEMD_OFFLINE=1 DEBIAN_FRONTEND=noninteractive \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -eu "/run/segwatch-test/$(basename "$4")" "$3"
"""

# After the README's own commands: what they have done.
AFTER = r"""
id segwatch >/dev/null
id -nG root | grep -qw segwatch
[ "$(stat -c %a:%U /etc/segwatch/credentials/eventhub)" = 600:root ]
grep -q '^LoadCredential=eventhub:' /etc/systemd/system/segwatch.service.d/credential.conf
[ -L /etc/systemd/system/multi-user.target.wants/segwatch.service ]
systemd-analyze verify --man=no segwatch.service
su -s /bin/sh segwatch -c 'segwatch version'
bash -c 'source /usr/share/bash-completion/completions/segwatch && complete -p segwatch'
cat >/tmp/run.yaml <<'END'
sources: [{name: f, kind: file, path: /run/segwatch-test/flows.json}]
END
# as the service: its user, its folders
install -d -m 0750 -o segwatch -g segwatch /run/segwatch
su -s /bin/sh segwatch -c 'umask 0027; exec timeout --preserve-status 4 segwatch run -c /tmp/run.yaml'
if command -v logrotate >/dev/null; then
    logrotate --debug --state /tmp/rotate /etc/logrotate.d/segwatch 2>&1 | grep error && exit 1
fi
[ "$(stat -c %a:%U:%G /var/log/segwatch/alerts.jsonl)" = 640:segwatch:segwatch ]
state() { find /var/lib/segwatch /var/log/segwatch -type f -exec stat -c '%n %a %U:%G' {} + -exec sha256sum {} + | sort; }
before=$(state)
grep -q /var/lib/segwatch/ <<<"$before"
apt-get install -y --reinstall ./dist/segwatch_*.deb >/dev/null
[ "$(state)" = "$before" ]
su -s /bin/sh segwatch -c 'exec timeout --preserve-status 4 segwatch run -c /tmp/run.yaml'
grep -q 'kind: eventhubs' /etc/segwatch/segwatch.yaml
apt-get purge -y segwatch >/dev/null
[ ! -e /usr/bin/segwatch ] && [ ! -e /var/lib/segwatch ] && [ ! -e /var/log/segwatch ] && [ -e /etc/segwatch/credentials ]
echo README-FOLLOWED
"""


class Readme(Built):
    """The section on installing, block by block: sh is run, yaml goes into the file that the text names."""

    def script(self, commands):
        kinds = [k for k, _ in install_section()]
        self.assertEqual(kinds, ["sh", "yaml", "sh", "sh"])
        blocks = [text for _, text in install_section()]
        first = blocks[0].splitlines()
        self.assertEqual(first[0], "./dev package")  # done in setUpModule
        self.assertIn("in `/etc/segwatch/segwatch.yaml`", README)
        self.assertEqual(blocks[3].split("#")[0].strip(), "segwatch tail -f")
        script = self.dir / "readme.sh"
        shutil.copy(ROOT / "tests/data/samples/ms_docs_vnet_v4.json", self.dir / "flows.json")
        (self.dir / "segwatch.yaml").write_text(blocks[1])
        script.write_text('cd "$1"\n' + commands + "\n".join(first[1:])
                          + "\ncp /run/segwatch-test/segwatch.yaml /etc/segwatch/segwatch.yaml\n" + blocks[2] + AFTER)
        return script

    def follow(self, lower, commands=""):
        scratch = self.dir / "scratch"
        scratch.mkdir(exist_ok=True)
        # the repository is shown with the fresh package in dist/
        repository = self.dir / "repository"
        repository.mkdir(exist_ok=True)
        shutil.copytree(self.dist, repository / "dist", dirs_exist_ok=True)
        code, out = run("unshare", "--mount", "bash", "-c", CHROOT, "bash", scratch, lower, repository,
                        self.script(commands))
        self.assertEqual(code, 0, out[-4000:])
        self.assertIn("README-FOLLOWED", out)

    def overlays(self):
        """Whether this machine lets us."""
        probe = self.dir / "probe"
        probe.mkdir()
        code, _ = run("unshare", "--mount", "sh", "-ec", "mount -t tmpfs none $1 && mkdir $1/u $1/w $1/r && "
                      "mount -t overlay overlay -o lowerdir=/,upperdir=$1/u,workdir=$1/w $1/r", "sh", probe)
        return code == 0

    def test_followed_word_for_word(self):
        script = self.script("").read_text()
        must("bash", "-n", self.dir / "readme.sh")
        for path in re.findall(r"/usr/share/\S+", script.split("README-FOLLOWED")[0]):
            if "segwatch" in path:
                self.assertTrue((self.tree / path.lstrip("/")).exists(), path)
        if os.geteuid() == 0 and self.overlays():
            self.follow("/")


class Soak:
    """What takes minutes or the network: ./dev soak package."""

    class Bare(Readme):
        test_followed_word_for_word = None

        def test_followed_in_a_bare_debian_12(self):
            self.assertEqual(os.geteuid(), 0, "debootstrap needs root")
            base = self.dir / "base"
            must("debootstrap", "--variant=minbase", "bookworm", base, "http://deb.debian.org/debian")
            self.follow(base, "apt-get update -q >/dev/null\napt-get install -y -q adduser procps systemd >/dev/null\n")

    class Reproducible(unittest.TestCase):
        def test_the_same_sources_give_the_same_bytes(self):
            with tempfile.TemporaryDirectory() as d:
                first = build(f"{d}/one")
                old = os.umask(0o077)
                os.environ["TZ"] = "Asia/Tokyo"
                try:
                    second = build(f"{d}/a/deeper/folder")
                finally:
                    os.umask(old)
                    del os.environ["TZ"]
                self.assertEqual(first.read_bytes(), second.read_bytes())


if SOAK:
    Bare, Reproducible = Soak.Bare, Soak.Reproducible


if __name__ == "__main__":
    unittest.main()
