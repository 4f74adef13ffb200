# SPDX-License-Identifier: Apache-2.0
"""Every secret of every configuration that the tests start a daemon with is a canary: when the daemon is gone, nothing that
it left may have it: its log, its state, its alerts, whatever else lies beside its configuration. How many were looked for
is told at the end of the run (tests/run.py wants it)."""
import atexit
import base64
import os
import pathlib
import re
import sys
import urllib.parse

# `key: {file: PATH}` and `key: {credential: NAME}`; of the alert file the path is no secret
REFERENCE = re.compile(r"""([\w.]+)["']?\s*:\s*\{\s*["']?(file|credential)["']?\s*:\s*["']?([^"'},]+?)["']?\s*[},]""")
NO_SECRETS = {"alerts", "quarantine"}
counted = {"daemons": 0, "secrets": 0, "files": 0, "found": 0}


def values_of(content):
    """What of a secret's file must not be seen: the key of a connection string, a private key's lines, else all of it."""
    text = content.decode(errors="replace")
    if "-----BEGIN" in text:
        bodies = re.findall(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END", text, re.S)
        return {l.strip() for b in bodies for l in b.splitlines() if len(l.strip()) >= 32}
    keys = re.findall(r"SharedAccessKey=([^;\s]+)", text)
    return {v for v in (keys or [text.strip()]) if len(v) >= 8 and "\n" not in v}


def secrets(config, env=None):
    """({value}, {path of a secret}) that a configuration names."""
    values, paths = set(), set()
    folder = (env or {}).get("CREDENTIALS_DIRECTORY") or os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")
    try:
        text = pathlib.Path(config).read_text(errors="replace")
    except OSError:
        return values, paths
    for key, kind, name in REFERENCE.findall(text):
        path = pathlib.Path(name) if kind == "file" else pathlib.Path(folder, name)
        if key in NO_SECRETS or not path.is_file():
            continue
        paths.add(path.resolve())
        values |= values_of(path.read_bytes())
    return {v for v in values if v not in text}, paths


def forms(value):
    """As it is, as it may be encoded."""
    raw = value.encode()
    return {raw, base64.b64encode(raw).rstrip(b"="), urllib.parse.quote(value, safe="").encode()}


def places(folder, values, paths):
    """Files under `folder` that have a secret, but for those that are one."""
    wanted, found = set().union(*map(forms, values)), []
    for path in pathlib.Path(folder).rglob("*"):
        if not path.is_file() or path.is_symlink() or path.resolve() in paths:
            continue
        try:
            data = path.read_bytes()
        except OSError:
            continue
        counted["files"] += 1
        if any(w in data for w in wanted) and data.strip() not in {v.encode() for v in values}:
            found.append(str(path))
    return found


def remember(config, env=None):
    """Before a daemon starts: what its configuration has then. A test may change it later: look() adds that."""
    return secrets(config, env)


def look(config, before, env=None):
    """After a daemon ended: AssertionError if a secret is somewhere."""
    values, paths = secrets(config, env)
    values, paths = values | before[0], paths | before[1]
    counted["daemons"] += 1
    counted["secrets"] += len(values)
    found = places(pathlib.Path(config).parent, values, paths) if values else []
    counted["found"] += len(found)
    if found:
        raise AssertionError("a secret of the configuration is in " + ", ".join(found))


@atexit.register
def tell():
    if counted["daemons"]:
        print("canary: %(secrets)d secrets of %(daemons)d daemons looked for in %(files)d files, %(found)d found" % counted,
              file=sys.stderr, flush=True)
