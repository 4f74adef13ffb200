#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a program as a systemd unit would confine it, where no systemd runs.

    sandbox.py [--writable DIR]... [--readable PATH]... UNIT COMMAND [ARGUMENT]...

Reads the [Service] section and applies: the system call filter (groups expanded by systemd-analyze), address families,
no writable and executable memory, no new namespaces, no set-user-id bits, no new privileges, limits, umask; and as root
also an empty capability set, an unprivileged user, a read-only file system but for the --writable folders, private
/tmp, /dev, /home and /proc. A setting that is neither applied nor listed in NOT_APPLIED is an error, so that none is
forgotten. SANDBOX=plain|full is set for the program: full is as root."""
import argparse
import ctypes
import errno
import os
import pathlib
import re
import resource
import socket
import subprocess
import sys

USER = 64321
SYS_mount_setattr = 442
CLONE_NEWNS, CLONE_NEWALL = 0x20000, (0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x2000000)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
ALLOW, ERRNO = 0x7fff0000, 0x00050000
GT, EQ, MASKED_EQ, NE = 6, 4, 7, 1

NOT_APPLIED = {
    "PrivateMounts": "the mount name space is private as root",
    "PrivateUsers": "the user is unprivileged and has no capabilities",
    "ProtectHostname": "sethostname is not in the filter",
    "ProtectClock": "the calls are not in the filter",
    "ProtectKernelTunables": "the file system is read-only, the user unprivileged",
    "ProtectKernelModules": "the calls are not in the filter",
    "ProtectKernelLogs": "the calls are not in the filter",
    "ProtectControlGroups": "the file system is read-only",
    "RestrictRealtime": "sched_setscheduler is not in the filter",
    "RemoveIPC": "of the service manager",
    "DevicePolicy": "a private /dev",
    "KeyringMode": "keyctl is not in the filter",
    "TasksMax": "needs a control group",
    "SystemCallArchitectures": "the filter ends processes of another architecture",
    "AmbientCapabilities": "there are none",
}
MANAGER = re.compile(r"Type|Exec\w+|Restart\w*|Watchdog\w+|Timeout\w+|User|Group|\w+Directory(Mode)?|LoadCredential\w*")

libc = ctypes.CDLL(None, use_errno=True)


def must(r, what):
    if r < 0:
        e = ctypes.get_errno() or -r
        raise OSError(e, f"{what}: {os.strerror(e)}")
    return r


def mount(source, target, kind, flags, options=""):
    must(libc.mount(os.fsencode(source), os.fsencode(target), os.fsencode(kind), ctypes.c_ulong(flags),
                    os.fsencode(options)), f"mount {target}")


class MountAttr(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in ("set", "clear", "propagation", "userns")]


def mount_read_only(path, on, recursive):
    attr = MountAttr(set=1 if on else 0, clear=0 if on else 1)
    must(libc.syscall(SYS_mount_setattr, -100, os.fsencode(path), 0x8000 if recursive else 0, ctypes.byref(attr),
                      ctypes.sizeof(attr)), f"mount_setattr {path}")


class Cmp(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Filter:
    """One seccomp filter; several may be loaded one after the other, the strictest answer holds."""

    lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    lib.seccomp_init.restype = ctypes.c_void_p

    def __init__(self, default):
        self.ctx = ctypes.c_void_p(self.lib.seccomp_init(ctypes.c_uint32(default)))
        self.n = 0

    def add(self, action, name, *compare):
        number = self.lib.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # not of this architecture
            return
        rows = (Cmp * max(1, len(compare)))(*[Cmp(*c) for c in compare])
        must(self.lib.seccomp_rule_add_exact_array(self.ctx, ctypes.c_uint32(action), number, len(compare), rows), name)
        self.n += 1

    def load(self):
        must(self.lib.seccomp_load(self.ctx), "seccomp_load")


def settings(unit):
    found, section = {}, ""
    for line in pathlib.Path(unit).read_text().splitlines():
        if line.startswith("["):
            section = line
        elif "=" in line and not line.startswith("#") and section == "[Service]":
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def system_calls(group):
    names, todo = set(), [group]
    while todo:
        name = todo.pop()
        if not name.startswith("@"):
            names.add(name)
            continue
        out = subprocess.run(["systemd-analyze", "syscall-filter", name], stdout=subprocess.PIPE, check=True).stdout
        todo += [l.strip() for l in out.decode().splitlines()[1:] if l.strip() and not l.strip().startswith("#")]
    return names


class Sandbox:
    def __init__(self, unit):
        self.rows = settings(unit)
        self.used = set()
        self.full = False

    def get(self, key, default=None):
        self.used.add(key)
        return self.rows.get(key, [default])[-1]

    def on(self, key):
        return self.get(key) in ("yes", "true", "on", "1")

    def limits(self):
        os.umask(int(self.get("UMask", "0022"), 8))
        for key, which in (("LimitCORE", resource.RLIMIT_CORE), ("LimitNOFILE", resource.RLIMIT_NOFILE)):
            value = self.get(key)
            if value is not None:
                hard = resource.getrlimit(which)[1]
                value = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
                resource.setrlimit(which, (value, value))

    def files(self, writable, readable):
        """Read-only but for some folders, which keep their paths."""
        must(libc.unshare(CLONE_NEWNS), "unshare")
        mount("none", "/", "none", MS_REC | MS_PRIVATE)
        kept = [(p, os.open(p, os.O_PATH)) for p in writable + readable]
        if self.get("ProtectSystem") == "strict":
            mount_read_only("/", True, True)
            for path in ("/proc", "/sys"):
                mount_read_only(path, False, False)
        if self.on("PrivateDevices"):
            self.devices()
        hidden = ["/tmp", "/var/tmp"] if self.on("PrivateTmp") else []
        hidden += [p for p in ("/home", "/root", "/run/user") if os.path.isdir(p)] if self.on("ProtectHome") else []
        for path in hidden:
            mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" if "tmp" in path else "mode=0755")
        for path, fd in kept:
            if not os.path.exists(path):
                os.makedirs(path if os.path.isdir(f"/proc/self/fd/{fd}") else os.path.dirname(path))
                if not os.path.isdir(f"/proc/self/fd/{fd}"):
                    open(path, "w").close()
            mount(f"/proc/self/fd/{fd}", path, "none", MS_BIND)
            mount_read_only(path, path in readable, False)
            os.close(fd)
        proc = "hidepid=invisible" if self.get("ProtectProc") == "invisible" else ""
        if self.get("ProcSubset") == "pid":
            proc += ",subset=pid"
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, proc.strip(","))

    @staticmethod
    def devices():
        names = [n for n in ("null", "zero", "full", "random", "urandom", "tty") if os.path.exists(f"/dev/{n}")]
        fds = {n: os.open(f"/dev/{n}", os.O_PATH) for n in names}
        mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=0755")
        for name, fd in fds.items():
            open(f"/dev/{name}", "w").close()
            mount(f"/proc/self/fd/{fd}", f"/dev/{name}", "none", MS_BIND)
            os.close(fd)
        os.mkdir("/dev/shm", 0o1777)

    def user(self):
        if self.get("CapabilityBoundingSet") == "":
            cap = 0
            while libc.prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0:
                cap += 1
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)

    def calls(self):
        """The allow list, then what is refused by its arguments."""
        error = ERRNO | getattr(errno, self.get("SystemCallErrorNumber", "EPERM"))
        self.used.add("SystemCallFilter")
        allowed = set()
        for row in self.rows.get("SystemCallFilter", []):
            for word in row.lstrip("~").split():
                allowed = allowed - system_calls(word) if row.startswith("~") else allowed | system_calls(word)
        filters = []
        if allowed:
            f = Filter(error)
            for name in sorted(allowed):
                f.add(ALLOW, name)
            if f.n < 100:
                raise SystemExit("sandbox: the system call filter is empty")
            filters.append(f)
        f = Filter(ALLOW)
        self.arguments(f)
        filters.insert(0, f)
        if self.on("NoNewPrivileges"):
            must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
        return filters

    def arguments(self, f):
        refuse = ERRNO | errno.EPERM
        families = self.get("RestrictAddressFamilies")
        if families is not None:
            allowed = {int(getattr(socket, name)) for name in families.split()}
            for family in set(range(64)) - allowed:
                f.add(ERRNO | errno.EAFNOSUPPORT, "socket", (0, EQ, family, 0))
            f.add(ERRNO | errno.EAFNOSUPPORT, "socket", (0, GT, 63, 0))
        if self.on("MemoryDenyWriteExecute"):
            f.add(refuse, "mmap", (2, MASKED_EQ, 6, 6))
            f.add(refuse, "mprotect", (2, MASKED_EQ, 4, 4))
            f.add(refuse, "pkey_mprotect", (2, MASKED_EQ, 4, 4))
            f.add(refuse, "shmat", (2, MASKED_EQ, 0o100000, 0o100000))
        if self.on("RestrictNamespaces"):
            for flag in CLONE_NEWALL:
                f.add(refuse, "unshare", (0, MASKED_EQ, flag, flag))
                f.add(refuse, "clone", (0, MASKED_EQ, flag, flag))
            f.add(refuse, "setns")
            f.add(ERRNO | errno.ENOSYS, "clone3")
        if self.on("LockPersonality"):
            f.add(refuse, "personality", (0, NE, 0, 0))
        if self.on("RestrictSUIDSGID"):
            for bit in (0o4000, 0o2000):
                for name, at in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1), ("mkdirat", 2)):
                    f.add(refuse, name, (at, MASKED_EQ, bit, bit))

    def enter(self, writable, readable):
        os.umask(0o022)
        if os.geteuid() == 0:
            try:
                self.files(writable, readable)
                self.full = True
            except OSError as e:
                print(f"sandbox: file system not confined: {e}", file=sys.stderr)
        for key in ("ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectProc", "ProcSubset",
                    "CapabilityBoundingSet"):
            self.get(key)
        self.limits()
        filters = self.calls()
        forgotten = [k for k in self.rows if k not in self.used and k not in NOT_APPLIED and not MANAGER.fullmatch(k)]
        if forgotten:
            raise SystemExit(f"sandbox: this launcher does not know {', '.join(forgotten)}")
        if os.geteuid() == 0:
            self.user()
        for f in filters:
            f.load()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--writable", action="append", default=[])
    p.add_argument("--readable", action="append", default=[])
    p.add_argument("unit")
    p.add_argument("command", nargs=argparse.REMAINDER)
    o = p.parse_args()
    s = Sandbox(o.unit)
    s.enter([os.path.abspath(d) for d in o.writable], [os.path.abspath(d) for d in o.readable])
    os.chdir("/")
    os.execve(o.command[0], o.command, dict(os.environ, SANDBOX="full" if s.full else "plain"))


if __name__ == "__main__":
    main()
