# SPDX-License-Identifier: Apache-2.0
"""The matrix: which machines are booted, with which kernel and words on its command line, and what
each of them must come to. Plain data; boot.py boots one, verdict.py judges it."""

from dataclasses import dataclass, field

DEVICE = "0000:00:04.0"
PLAIN = "0000:00:05.0"  # named by no table
ROGUE_SECTOR = 16000
ROGUE_ADDRESS = 0xDEAD000
DISK_BYTES = 16 << 20
KERNELS = ("6.12", "6.1")

# What the kernel is told, and the type its groups then have.
MODES = {
    "lazy": ("iommu.strict=0", "DMA-FQ"),
    "strict": ("iommu.strict=1", "DMA"),
    "pt": ("iommu=pt", "identity"),
    # Linux takes strict mode where mappings are announced, whatever it was told.
    "lazy refused": ("iommu.strict=0", "DMA"),
}


@dataclass(frozen=True)
class Front:
    """One IOMMU as a guest can find it: what the server is told, what sysfs calls it, how its
    driver words a fault of the rogue's."""

    name: str
    server: dict
    sysfs: str
    fault: str  # regular expression
    interrupts: str = "fault_interrupts"
    kernel_words: str = ""
    kernels: tuple = KERNELS
    modes: tuple = ("lazy", "strict", "pt")
    caching: bool = False  # mappings are announced


def vtd(name, profile, reasons, caching=False, **more):
    return Front(
        name=name,
        caching=caching,
        server={"front_end": "vtd", "profile": profile, "caching_mode": caching},
        sysfs="dmar0",
        fault=r"DMAR: \[DMA (Read|Write) NO_PASID\] Request device \[00:04\.0\] "
        r"fault addr 0xdead000 \[fault reason 0x(%s)\]" % reasons,
        **more,
    )


AMD_FAULT = (
    r"(0000:00:04\.0: AMD-Vi: Event logged \[IO_PAGE_FAULT"
    r"|Event logged \[IO_PAGE_FAULT device=0000:00:04\.0) .*address=0xdead000 "
)

FRONTS = [
    vtd("VT-d legacy", "legacy", "05|06"),
    vtd("VT-d first stage", "first-stage", "70|71"),
    vtd("VT-d second stage", "second-stage", "78|79|7a|85|86"),
    Front("AMD-Vi v1", {"front_end": "amdvi", "profile": "v1"}, "ivhd0", AMD_FAULT),
    Front("AMD-Vi v2", {"front_end": "amdvi", "profile": "v2"}, "ivhd0", AMD_FAULT,
          kernel_words="amd_iommu=pgtbl_v2"),
    Front("virtio-iommu", {"front_end": "virtio-iommu"}, "0000:00:03.0",
          r"virtio_iommu virtio\d+: page fault from EP 32 at 0xdead000 \[[RW]\]",
          kernels=("6.12",)),
    vtd("VT-d legacy, CM", "legacy", "05|06", caching=True, modes=("lazy refused",)),
    vtd("VT-d second stage, CM", "second-stage", "78|79|7a|85|86", caching=True,
        modes=("lazy refused",)),
]


@dataclass(frozen=True)
class Case:
    front: Front
    kernel: str
    mode: str
    tasks: tuple
    queues: int = 1
    device: dict = field(default_factory=dict)  # further options of the disk
    record: bool = False  # a trace, which must replay to the same
    bug: str = ""  # seeded on purpose: the case passes if it is caught

    # Those of audit_cases.py are other.
    audited = False
    qemu = ()
    log = ()

    @property
    def name(self):
        more = ", recorded" if self.record else ""
        more += ", buffers returned early" if self.device else ""
        more += f", {self.bug}" if self.bug else ""
        return f"{self.front.name}, {self.kernel}, {self.mode}{more}"

    @property
    def group_type(self):
        return MODES[self.mode][1]

    @property
    def checked(self):
        """Whether the server compares every answer of its caches: not where speed is measured."""
        return not any(task.startswith("bench") for task in self.tasks)

    def serve_words(self, folder):
        words = ["--check"] if self.checked else []
        return words + (["--record", str(folder / "trace")] if self.record else [])

    @property
    def kernel_line(self):
        # On a busy host the emulated timer can be too late for the kernel's check of it.
        words = [MODES[self.mode][0], self.front.kernel_words,
                 "console=ttyS0 quiet panic=-1 no_timer_check",
                 f"weir.device={DEVICE} weir.plain={PLAIN} weir.rogue={ROGUE_SECTOR}",
                 "weir.do=" + ",".join(self.tasks)]
        return " ".join(word for word in words if word)


def matrix():
    """Everything that must pass. Where the guest translates, requests also go astray; what is lazy
    also switches its group's type at run time, and has two processors and queues."""
    for front in FRONTS:
        for kernel in front.kernels:
            for mode in front.modes:
                tasks = ["state", "data", "plain"]
                if mode == "lazy":
                    tasks.append("switch")
                if mode in ("strict", "lazy refused"):
                    tasks.append("rogue")
                yield Case(front, kernel, mode, tuple(tasks), queues=2 if mode == "lazy" else 1)
    # Buffers that are returned before their data lands: only a completion that waits for it keeps
    # the guest from noticing.
    for front in SENSITIVE:
        yield Case(front, "6.12", "strict", ("state", "slow"), device=EARLY)
    for front in SENSITIVE:
        yield Case(front, "6.12", "strict", ("state", "data", "plain", "rogue"), record=True)


EARLY = {"latency_us": 3000, "returns_early": True}
# One of each vendor.
SENSITIVE = [front for front in FRONTS if front.name in ("VT-d legacy", "AMD-Vi v1", "virtio-iommu")]


def seeded():
    """The same with a bug in the server: each must be noticed, by the guest or by the checker."""
    for front in SENSITIVE:
        yield Case(front, "6.12", "strict", ("state", "data"), bug="kPagesForgotten")
        yield Case(front, "6.12", "strict", ("state", "slow"), device=EARLY, bug="kCompletedEarly")


def benchmarks():
    """Throughput on the first kernel, per front; the disk that bypasses beside the translated one
    in its first boot."""
    for front in FRONTS:
        if "CM" in front.name:
            continue
        for mode in ("pt", "lazy", "strict"):
            tasks = ("bench_plain", "bench") if mode == "pt" else ("bench",)
            yield Case(front, "6.12", mode, tasks)
