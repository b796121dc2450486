# SPDX-License-Identifier: Apache-2.0
"""A machine without processor and firmware (QEMU's qtest) before the same server that serves guests:
this file is firmware, driver and guest in one, register by register. A second instead of a boot, and
every number is written out as the manuals have it (VT-d 4.1: 9.1, 9.3, 9.8, 10.4, 11.4)."""

import pathlib
import shlex
import socket
import struct
import subprocess
import tempfile
import time
from types import SimpleNamespace

from server import Server

GUARD_SECONDS = 20
IOMMU, COPIER = 3 << 3, 4 << 3  # devices on bus 0
COPIER_BAR = 0xFE000000

# The unit's registers.
VER, CAP, GCMD, GSTS, RTADDR, FSTS, IQT, IQA = 0x00, 0x08, 0x18, 0x1C, 0x20, 0x34, 0x88, 0x90
TE, SRTP, QIE = 1 << 31, 1 << 30, 1 << 26

# Where things are in the machine's memory.
ROOT, CONTEXT, LEVEL4, LEVEL3, LEVEL2, LEVEL1 = (0x1000 * n for n in range(1, 7))
QUEUE, STATUS, SOURCE, DESTINATION = 0x7000, 0x8000, 0x80000, 0x81000
IOVA_SOURCE, IOVA_DESTINATION = 0x10000, 0x11000


class Machine:
    """What one may say to QEMU over its qtest socket."""

    def __init__(self, connection):
        self.lines = connection.makefile("rw")

    def say(self, *words):
        self.lines.write(" ".join(str(word) for word in words) + "\n")
        self.lines.flush()
        answer = self.lines.readline().split()
        if not answer or answer[0] != "OK":
            raise RuntimeError(f"{words} was answered with {answer}")
        return int(answer[1], 16) if len(answer) > 1 else None

    def read(self, at, size=8):
        return self.say("readq" if size == 8 else "readl", hex(at))

    def write(self, at, value, size=8):
        self.say("writeq" if size == 8 else "writel", hex(at), hex(value))

    def config(self, devfn, offset, value):
        self.say("outl", "0xcf8", hex(0x80000000 | devfn << 8 | offset))
        self.say("outl", "0xcfc", hex(value))

    def config_read(self, devfn, offset):
        self.say("outl", "0xcf8", hex(0x80000000 | devfn << 8 | offset))
        return self.say("inl", "0xcfc")


def expect(what, found, wanted):
    if found != wanted:
        raise AssertionError(f"{what} is {found:#x}, not {wanted:#x}")


class Driver:
    def __init__(self, machine, base):
        self.machine = machine
        self.base = base
        self.tail = 0

    def register(self, offset, size=8):
        return self.machine.read(self.base + offset, size)

    def command(self, bits, kept=0):
        """Global command, and its status once the server has carried it out: a read on the same
        socket comes after the posted write."""
        self.machine.write(self.base + GCMD, bits | kept, 4)
        expect("GSTS", self.register(GSTS, 4) & (bits | kept), bits | kept)

    def post(self, low, high):
        self.machine.write(QUEUE + self.tail, low)
        self.machine.write(QUEUE + self.tail + 8, high)
        self.tail += 16
        self.machine.write(self.base + IQT, self.tail)

    def wait(self, number):
        """An invalidation wait descriptor, and the word that it writes."""
        self.post(number << 32 | 1 << 5 | 5, STATUS)
        self.register(GSTS, 4)
        expect("the status word", self.machine.read(STATUS, 4), number)


def copy(machine, length):
    machine.write(COPIER_BAR + 0x00, IOVA_SOURCE)
    machine.write(COPIER_BAR + 0x08, IOVA_DESTINATION)
    machine.write(COPIER_BAR + 0x10, length, 4)
    machine.write(COPIER_BAR + 0x14, 1, 4)
    return machine.read(COPIER_BAR + 0x18, 4)


def drive(machine, base):
    expect("the copier's id", machine.config_read(COPIER, 0), 0x77661234)
    machine.config(IOMMU, 0x10, base)
    machine.config(IOMMU, 0x04, 0x2)  # memory
    machine.config(COPIER, 0x10, COPIER_BAR)
    machine.config(COPIER, 0x14, COPIER_BAR + 0x1000)
    machine.config(COPIER, 0x04, 0x6)  # memory, bus master

    driver = Driver(machine, base)
    expect("the version", driver.register(VER, 4), 0x40)
    # Whoever has looked at the registers finds the function no more.
    expect("the hidden function's id", machine.config_read(IOMMU, 0), 0xFFFFFFFF)

    # Before translation is on, addresses are memory's own.
    machine.write(IOVA_SOURCE, 0x0123456789ABCDEF)
    expect("the first copy's status", copy(machine, 8), 0)
    expect("the first copy", machine.read(IOVA_DESTINATION), 0x0123456789ABCDEF)

    # Bus 0, 00:04.0 in domain 1 with four levels, two pages.
    machine.write(ROOT, CONTEXT | 1)
    machine.write(CONTEXT + COPIER * 16, LEVEL4 | 1)
    machine.write(CONTEXT + COPIER * 16 + 8, 1 << 8 | 2)
    machine.write(LEVEL4, LEVEL3 | 3)
    machine.write(LEVEL3, LEVEL2 | 3)
    machine.write(LEVEL2, LEVEL1 | 3)
    machine.write(LEVEL1 + 0x10 * 8, SOURCE | 3)
    machine.write(LEVEL1 + 0x11 * 8, DESTINATION | 3)
    machine.write(base + RTADDR, ROOT)
    driver.command(SRTP)
    machine.write(base + IQA, QUEUE)
    driver.command(QIE)
    driver.post(1 << 4 | 1, 0)  # contexts, all
    driver.post(1 << 4 | 2, 0)  # IOTLB, all
    driver.wait(0x11)
    driver.command(TE, QIE)

    machine.write(SOURCE, 0xFEDCBA9876543210)
    for _ in range(2):  # walked, then hit
        expect("the copy's status", copy(machine, 8), 0)
    expect("the copy", machine.read(DESTINATION), 0xFEDCBA9876543210)

    # The destination goes, page by page; what the driver then reads of it.
    machine.write(LEVEL1 + 0x11 * 8, 0)
    driver.post(1 << 16 | 3 << 4 | 2, IOVA_DESTINATION)
    driver.wait(0x22)
    expect("the refused copy's status", copy(machine, 8), 2)
    expect("FSTS.PPF", driver.register(FSTS, 4) & 2, 2)
    records = base + (driver.register(CAP) >> 24 & 0x3FF) * 16
    expect("the faulting address", machine.read(records), IOVA_DESTINATION)
    high = machine.read(records + 8)
    expect("the faulting function", high & 0xFFFF, COPIER)
    expect("the reason", high >> 32 & 0xFF, 5)
    expect("the page", machine.read(DESTINATION), 0xFEDCBA9876543210)


def register_base(folder):
    """Of the table's first DRHD."""
    table = (folder / "run" / "table.aml").read_bytes()
    return struct.unpack_from("<Q", table, 48 + 8)[0]


def smoke(place, weir):
    """Seconds, and what went wrong: a list, as of any case."""
    # What Server wants to know of a case.
    case = SimpleNamespace(
        front=SimpleNamespace(server={}), queues=1, device={}, bug="",
        serve_words=lambda _folder: ["--check"],
        description={"front_end": "vtd", "profile": "legacy", "memory_mib": 64,
                     "devices": [{"type": "copy", "address": "00:04.0"}]})
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="weir-qtest-") as name:
        folder = pathlib.Path(name)
        qemu = None
        try:
            with Server(weir, case, folder) as server:
                listening = socket.socket(socket.AF_UNIX)
                listening.settimeout(GUARD_SECONDS)
                listening.bind(str(folder / "qtest.sock"))
                listening.listen()
                command = [str(place / "qemu"), *shlex.split(server.qemu_arguments)]
                command += ["-accel", "qtest", "-qtest", f"unix:{folder}/qtest.sock"]
                command[command.index("stdio")] = "null"  # the serial line
                qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=(folder / "qemu.log").open("w"),
                                        stderr=subprocess.STDOUT)
                connection, _ = listening.accept()
                connection.settimeout(GUARD_SECONDS)
                drive(Machine(connection), register_base(folder))
                qemu.kill()
                count = server.finish()
                # Both pages once more, and the source of the copy that was refused.
                wanted = {"stale": 0, "books_exact": True, "enabled": True, "hits": 3,
                          "faulted": 1}
                problems = [f"{key} is {count.get(key)}, not {value}"
                            for key, value in wanted.items() if count.get(key) != value]
        except Exception as error:
            log = folder / "qemu.log"
            said = log.read_text()[-300:].strip() if log.exists() else ""
            problems = [f"{type(error).__name__}: {error} {said}".strip()]
        finally:
            if qemu:
                qemu.kill()
                qemu.wait()
    return time.monotonic() - began, problems
