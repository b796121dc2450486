# SPDX-License-Identifier: Apache-2.0
"""Boots one guest behind one `weir serve` and gives back all that both of them said."""

import pathlib
import re
import shlex
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field

import tables
from server import Server

GUARD_SECONDS = 60
# The guest's lines; the kernel may write in front of them.
SAID = re.compile(r"weir: (\S+) ?(.*)")


@dataclass
class Boot:
    said: dict = field(default_factory=dict)  # NAME -> VALUE of the guest's lines
    faults: list = field(default_factory=list)  # its driver's decoded lines
    log: list = field(default_factory=list)
    console: str = ""
    counters: dict = field(default_factory=dict)  # the server's
    replayed: str = ""  # what a replay of the trace said; empty: as it was recorded
    findings: set = field(default_factory=set)  # of an audit of its table: (severity, rule)
    audited: str = ""  # the audit's own words
    seconds: float = 0.0
    trouble: str = ""  # why there is no verdict to be had from the rest

    def listen(self, line):
        found = SAID.search(line)
        if not found:
            return
        name, value = found.groups()
        if name in ("fault", "log"):
            (self.faults if name == "fault" else self.log).append(value)
        else:
            self.said[name] = value


def boot(case, place, weir):
    """`place`: what make_root.sh left. `weir`: the command that serves."""
    result = Boot()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="weir-guest-") as name:
        folder = pathlib.Path(name)
        try:
            altered, fields = tables.alter(weir, case, folder) if case.audited else (None, None)
            with Server(weir, case, folder, altered) as server:
                run_qemu(case, place, server, result)
                result.counters = server.finish()
            if case.record:
                result.replayed = replay(weir, folder / "trace")
            if case.audited:
                result.findings, result.audited = tables.audit(weir, case, folder, fields, result.said)
        except Exception as error:  # whatever it was, it is this guest's and not the runner's
            result.trouble = result.trouble or f"{type(error).__name__}: {error}"
    result.seconds = time.monotonic() - began
    return result


def replay(weir, trace):
    """Nothing, if the trace replays to the same translations, faults and books."""
    done = subprocess.run([str(weir), "replay", str(trace)], capture_output=True, text=True,
                          timeout=GUARD_SECONDS)
    if done.returncode == 0:
        return ""
    return (done.stdout + done.stderr).strip()[-400:] or f"exit status {done.returncode}"


def run_qemu(case, place, server, result):
    kernel = place / f"kernel-{case.kernel}"
    arguments = server.qemu_arguments
    for words, instead in case.qemu:
        arguments = arguments.replace(words, instead)
    command = [str(place / "qemu"), *shlex.split(arguments)]
    command += ["-kernel", str(kernel / "vmlinux"), "-initrd", str(kernel / "initrd"),
                "-append", case.kernel_line]
    qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace")
    guard = threading.Timer(GUARD_SECONDS, qemu.kill)
    guard.start()
    lines = []
    try:
        for line in qemu.stdout:
            lines.append(line)
            result.listen(line.rstrip())
    finally:
        guarded = not guard.is_alive()
        guard.cancel()
        qemu.kill()
        qemu.wait()
        result.console = "".join(lines)
    if guarded:
        result.trouble = f"the guest was not done after {GUARD_SECONDS} s"
    elif "done" not in result.said:
        result.trouble = "the guest ended early: " + " | ".join(lines[-3:]).strip()[:300]
