# SPDX-License-Identifier: Apache-2.0
"""What an audit says, and a kernel shows: each rule of `weir acpi audit` that speaks of guests has a
boot here with a table altered in just that way, and one with a table that is not. Plain data, as in
cases.py; tables.py makes the bytes."""

from dataclasses import dataclass, field

from cases import DEVICE, DISK_BYTES, PLAIN

SECOND = "00:1d.0"  # the function of a second unit's registers
SIBLING = "00:04.1"
MEMORY_MIB = 256
IN_MEMORY = ("0x8000000", "0x8000fff")  # ordinary memory of the guest
RESERVED = ("0xfed1c000", "0xfed1cfff")  # of which its memory map says that it is reserved
NOWHERE = "0xfed00000"  # no unit's registers
# GASup: Linux 6.12 looks at a table's other features only where it has this one.
GUEST_APIC = 1 << 7
MESSAGES = "0x00000000fee00000,0x00000000feefffff,msi"


def wide(region):
    """As sysfs writes it."""
    return ",".join(f"{int(address, 16):#018x}" for address in region)


def nothing(_):
    pass


@dataclass(frozen=True)
class AuditCase:
    what: str
    front_end: str
    kernel: str = "6.12"
    server: dict = field(default_factory=dict)  # further members of its description
    devices: tuple = ()  # of its description, beside the disks 04.0 and 05.0
    disks: tuple = ({}, {"bypass": True})  # how those two are described
    edit: object = nothing  # takes the table's fields
    # For the audit: which unit each function is wished to be behind; None: it is to bypass.
    wishes: dict = field(default_factory=lambda: {"04.0": 0, "05.0": None})
    io_apic: bool = False  # the first unit is wished to remap its interrupts
    facts: dict = field(default_factory=dict)  # beside what the guest says
    finds: tuple = ()  # every (severity, rule) that the audit has to give
    log: tuple = ()  # regular expressions, each of which a line of the kernel's matches
    silent: tuple = ()  # and such as none matches
    said: dict = field(default_factory=dict)  # what the guest says of itself
    counted: dict = field(default_factory=dict)  # of the server: whether it is more than nothing
    lazy: bool = False
    qemu: tuple = ()  # pairs: words of the QEMU command and what stands in their place
    # Nobody may need an interrupt: not the disks, nor the serial port.
    without_interrupts: bool = False
    tasks: tuple = ("state", "touch", "tables")

    audited = True
    record = False
    bug = ""

    @property
    def name(self):
        return f"audit: {self.what}, {self.kernel}"

    @property
    def description(self):
        disk = {"type": "virtio-blk", "bytes": DISK_BYTES}
        return {"front_end": self.front_end, "memory_mib": MEMORY_MIB, **self.server,
                "devices": [{**disk, "address": DEVICE[5:], **self.disks[0]},
                            {**disk, "address": PLAIN[5:], **self.disks[1]},
                            *({**disk, **one} for one in self.devices)]}

    @property
    def checked(self):
        # The check is of machines with one unit.
        return "second_unit" not in self.server

    @property
    def evidence(self):
        """Whether it is what a rule's source names: the others are tables that are right."""
        return bool(set(self.finds) - {NO_CATCH_ALL}) or "no catch-all" in self.what

    def serve_words(self, _folder):
        return ["--check"] if self.checked else []

    @property
    def kernel_line(self):
        words = [f"iommu.strict={0 if self.lazy else 1}",
                 "console=ttyS0 quiet panic=-1 no_timer_check",
                 f"weir.device={DEVICE} weir.plain={PLAIN}", "weir.do=" + ",".join(self.tasks)]
        if self.without_interrupts:
            words.append("weir.kmsg=1 weir.nodisks=1 printk.devkmsg=on")
        return " ".join(words)


# --- edits -----------------------------------------------------------------------------------------


def drhd(fields):
    return next(one for one in fields["structures"] if one["kind"] == "DRHD")


def scope(at, kind="endpoint", enumeration=0):
    return {"kind": kind, "flags": "0x0", "enumeration": enumeration, "start_bus": "0x0",
            "path": [at]}


def rmrr(fields, region):
    fields["structures"].append({"kind": "RMRR", "segment": 0, "base": region[0],
                                 "limit": region[1], "scopes": [scope("04.0")]})


def rhsa(fields, base):
    fields["structures"].append({"kind": "RHSA", "base": base, "proximity": 0})


def for_everybody(fields):
    drhd(fields)["flags"]["INCLUDE_PCI_ALL"] = 1
    drhd(fields)["scopes"] = []


def without_fault(fields):
    for_everybody(fields)
    rmrr(fields, RESERVED)
    rhsa(fields, drhd(fields)["base"])


def regions_elsewhere(fields):
    for_everybody(fields)
    promise_remapping(fields)
    drhd(fields)["scopes"].append(scope("14.0", "io_apic"))
    drhd(fields)["scopes"].append(scope("1b.0"))
    rmrr(fields, IN_MEMORY)
    rhsa(fields, NOWHERE)


def promise_remapping(fields):
    fields["flags"]["INTR_REMAP"] = 1


def remap_io_apic(fields):
    promise_remapping(fields)
    drhd(fields)["scopes"].append(scope("14.0", "io_apic"))


def one_of_the_slot(fields):
    drhd(fields)["scopes"] = [one for one in drhd(fields)["scopes"] if one["path"] == ["04.0"]]


def unit_without_place(fields):
    unit = drhd(fields)
    fields["structures"].append({**unit, "base": "0x0", "scopes": [scope("1b.0")]})


def endpoint_as_bridge(fields):
    drhd(fields)["scopes"] = [scope("04.0", "sub_hierarchy")]


def ivhds(fields):
    return [one for one in fields["blocks"] if one["kind"].startswith("IVHD")]


def list_io_apic(fields, source):
    for one in ivhds(fields):
        one["entries"].append({"kind": "special", "device": "00:00.0", "settings": {},
                               "handle": 0, "source": source, "variety": 1})


def io_apic_elsewhere(fields):
    list_io_apic(fields, "00:1f.7")
    for one in ivhds(fields):
        if "efr" in one:
            one["efr"] = hex(int(one["efr"], 16) ^ GUEST_APIC)
    fields["blocks"].append({"kind": "IVMD_one", "flags": {"Unity": 0, "IR": 1, "IW": 1, "ExclRange": 1},
                             "device": "00:04.0", "last_device": "00:00.0",
                             "segment": 0, "reserved": "000000000000", "base": RESERVED[0], "length": "0x1000"})


def io_apic_southbridge(fields):
    list_io_apic(fields, "00:14.0")


def unit_in_its_range(fields):
    """Endpoint ids stay those of the functions."""
    ranges = [one for one in fields["nodes"] if one["kind"] == "pci_range"]
    ranges[0].update(bdf_start="00:03.0", endpoint_start="0x18")


# --- cases -----------------------------------------------------------------------------------------

NO_CATCH_ALL = ("note", "no-catch-all")
TRANSLATED = {"group_devices": DEVICE, "type": "DMA", "data": "equal"}
BYPASSES = {"group_05.0": "none", "plain": "equal"}
NO_IOMMU = {"iommus": "", "group_04.0": "none"}
FIRMWARE_BUG = "Firmware Bug"

# Three threads a core, cores a module, and so on, each level rounded up to a power of two: the
# second socket begins with APIC id 256, the second core is 4.
TOPOLOGY = "maxcpus=162,sockets=2,dies=3,modules=3,cores=3,threads=3"


def processors(*places):
    devices = [f"-device max-x86_64-cpu,socket-id={socket},die-id=0,module-id=0,core-id={core},"
               "thread-id=0" for socket, core in places]
    return (("-smp 1 ", " ".join([f"-smp 1,{TOPOLOGY}", *devices, ""])),)


def two_units(**second):
    return {"server": {"second_unit": {"address": SECOND, **second}},
            "disks": ({}, {"second_unit": True}), "wishes": {"04.0": 0, "05.0": 1}, "lazy": True}


CASES = [
    AuditCase("DMAR, a unit for everybody", "vtd", edit=without_fault,
              wishes={"04.0": 0, "05.0": 0}, silent=(FIRMWARE_BUG,),
              said={**TRANSLATED, "group_05.0": "2", "plain": "equal", "taint": "0",
                    "reserved_regions": f"{wide(RESERVED)},direct {MESSAGES}"},
              counted={"bypassed": False}),
    AuditCase("DMAR, no catch-all", "vtd", finds=(NO_CATCH_ALL,),
              facts={"highest_apic_id": 4}, qemu=processors((0, 1)),
              said={**TRANSLATED, **BYPASSES, "online": "0-1", "present": "0-1"},
              silent=(FIRMWARE_BUG,), counted={"bypassed": True}),
    AuditCase("DMAR, regions elsewhere", "vtd", edit=regions_elsewhere,
              wishes={"04.0": 0, "05.0": 0}, io_apic=True,
              said={**TRANSLATED, "taint": "2048"},
              finds=(("error", "reserved-region"), ("error", "affinity"), ("error", "intr-remap"),
                     ("note", "scope-of-nobody")),
              log=(r"DMAR: \[Firmware Bug\]: No firmware reserved region can cover this RMRR "
                   r"\[0x0000000008000000-0x0000000008000fff\]",
                   r"DMAR: \[Firmware Bug\]: Your BIOS is broken; RHSA refers to non-existent "
                   r"DMAR unit at fed00000",
                   r"DMAR-IR: Not enabling interrupt remapping")),
    AuditCase("DMAR, I/O APIC in no scope", "vtd", server={"interrupt_remapping": True},
              edit=promise_remapping, finds=(NO_CATCH_ALL, ("error", "io-apic-missing")),
              said={**TRANSLATED, **BYPASSES},
              log=(r"DMAR-IR: \[Firmware Bug\]: ioapic 0 has no mapping iommu, interrupt "
                   r"remapping will be disabled", r"DMAR-IR: Not enabling interrupt remapping")),
    AuditCase("DMAR, I/O APIC in a scope", "vtd", server={"interrupt_remapping": True},
              edit=remap_io_apic, io_apic=True, finds=(NO_CATCH_ALL,), without_interrupts=True,
              tasks=("tables",), log=(r"DMAR-IR: Enabled IRQ remapping in xapic mode",),
              silent=(FIRMWARE_BUG, "Not enabling")),
    AuditCase("DMAR, half a slot", "vtd", devices=({"address": SIBLING},), edit=one_of_the_slot,
              wishes={"04.0": 0, "04.1": None, "05.0": None},
              finds=(NO_CATCH_ALL, ("error", "group-split")),
              said={**TRANSLATED, **BYPASSES, "group_04.1": "none"}),
    AuditCase("DMAR, a whole slot", "vtd", devices=({"address": SIBLING},),
              wishes={"04.0": 0, "04.1": 0, "05.0": None}, finds=(NO_CATCH_ALL,),
              said={**TRANSLATED, **BYPASSES, "group_devices": f"{DEVICE} 0000:{SIBLING}"}),
    AuditCase("DMAR, caching mode on one of two", "vtd", **two_units(caching_mode=True),
              finds=(NO_CATCH_ALL, ("warning", "caching-mode")),
              said={**TRANSLATED, "plain": "equal", "iommus": "dmar0 dmar1"},
              log=(r"DMAR: IOMMU batching disallowed due to virtualization",)),
    AuditCase("DMAR, caching mode on none of two", "vtd", **two_units(), finds=(NO_CATCH_ALL,),
              said={**TRANSLATED, "plain": "equal", "iommus": "dmar0 dmar1", "type": "DMA-FQ"},
              silent=("batching disallowed",)),
    AuditCase("DMAR, APIC id 256", "vtd", facts={"highest_apic_id": 256},
              qemu=processors((0, 1), (1, 0)),
              finds=(NO_CATCH_ALL, ("warning", "bypass-destination")),
              said={**TRANSLATED, **BYPASSES, "online": "0-1", "present": "0-2"},
              log=(r"x2apic: IRQ remapping doesn't support X2APIC mode",
                   r"smpboot: CPU 2 has invalid APIC ID 100\. Aborting bringup")),
    AuditCase("DMAR, a unit nowhere", "vtd", edit=unit_without_place, without_interrupts=True,
              wishes={"04.0": 0, "05.0": None}, tasks=("state", "tables"), said=NO_IOMMU,
              finds=(NO_CATCH_ALL, ("error", "register-base"), ("note", "scope-of-nobody")),
              log=(r"DMAR: \[Firmware Bug\]: Your BIOS is broken; DMAR reported at address 0",)),
    AuditCase("DMAR, an endpoint as a bridge", "vtd", edit=endpoint_as_bridge,
              without_interrupts=True, tasks=("state", "tables"), said=NO_IOMMU,
              finds=(NO_CATCH_ALL, ("error", "scope-type")),
              log=(r"DMAR: Device scope type does not match for 0000:00:04\.0",)),
    AuditCase("IVRS, I/O APIC elsewhere", "amdvi", edit=io_apic_elsewhere,
              finds=(("error", "io-apic-southbridge"), ("error", "features"),
                     ("note", "exclusion")),
              said={**TRANSLATED, **BYPASSES, "reserved_regions": f"{wide(RESERVED)},direct "
                    f"{MESSAGES} 0x000000fd00000000,0x000000ffffffffff,reserved"}, log=(
                  r"AMD-Vi: \[Firmware Bug\]: : No southbridge IOAPIC found",
                  r"AMD-Vi: Disabling interrupt remapping",
                  r"AMD-Vi: \[Firmware Warn\]: EFR mismatch\. Use IVHD EFR")),
    AuditCase("IVRS, I/O APIC in no entry", "amdvi", without_interrupts=True, tasks=("tables",),
              finds=(("error", "io-apic-southbridge"), ("error", "io-apic-missing")),
              log=(r"AMD-Vi: \[Firmware Bug\]: : IOAPIC\[0\] not in IVRS table",)),
    AuditCase("IVRS, I/O APIC at A0h", "amdvi", edit=io_apic_southbridge, io_apic=True,
              without_interrupts=True, tasks=("tables",),
              log=(r"AMD-Vi: Interrupt remapping enabled",),
              silent=(r"Firmware", "Disabling interrupt remapping")),
    AuditCase("VIOT, a unit in its own range", "virtio-iommu", edit=unit_in_its_range,
              wishes={"04.0": 0, "05.0": None}, finds=(("warning", "lists-itself"),
                                                       ("error", "not-as-wished")),
              said={**TRANSLATED, **BYPASSES, "group_03.0": "none"}),
]
