# SPDX-License-Identifier: Apache-2.0
"""What a boot must have shown, from the guest's lines and the server's counters. Every check gives
a sentence if it fails; no sentence, and the case has passed."""

import re

import audit_cases
from cases import DEVICE


def judge(case, boot):
    if boot.trouble:
        return [boot.trouble]
    if case.audited:
        return list(what_an_audit_says(case, boot))
    problems = list(guest_side(case, boot)) + list(server_side(case, boot))
    if boot.replayed:
        problems.append("the trace does not replay to the same: " + boot.replayed)
    if "rogue" in case.tasks:
        problems += rogue(case, boot)
    return problems


def expect(boot, name, wanted):
    value = boot.said.get(name, "(not said)")
    if value != wanted:
        yield f"{name} is {value}, not {wanted}"


def what_an_audit_says(case, boot):
    """The kernel and the audit of the bytes that it booted with: each of them on its own."""
    for name, wanted in case.said.items():
        yield from expect(boot, name, wanted)
    for pattern in case.log:
        if not any(re.search(pattern, line) for line in boot.log):
            yield f"no line of the kernel's is: {pattern}"
    for pattern in case.silent:
        for line in boot.log:
            if re.search(pattern, line):
                yield f"a line of the kernel's is: {line.strip()}"
    for severity, rule in sorted(set(case.finds) ^ boot.findings):
        missing = "does not find" if (severity, rule) in case.finds else "finds"
        yield f"the audit {missing} {rule} ({severity}): {boot.audited.strip()}"
    # A rule that was found names the boots that bear it out: this one, and none that is not there.
    cited = set(re.findall(r"boot: ([^()]+) \(([0-9.]+)\)", boot.audited))
    for what in cited - {(one.what, one.kernel) for one in audit_cases.CASES}:
        yield f"the audit names a boot that is none of these: {what}"
    if case.evidence and (case.what, case.kernel) not in cited:
        yield f"the audit does not name this boot: {boot.audited.strip()}"
    count = boot.counters
    for name, some in case.counted.items():
        if (count[name] != 0) != some:
            yield f"{name} is {count[name]}"
    if case.checked and (count["stale"] or not count["books_exact"]):
        yield "stale answers, or books that do not add up"
    if boot.faults:
        yield f"{len(boot.faults)} faults that nobody provoked: {boot.faults[0]}"


def guest_side(case, boot):
    if "state" in case.tasks:
        if case.front.sysfs not in boot.said.get("iommus", "").split():
            yield f"no {case.front.sysfs} among the IOMMUs: {boot.said.get('iommus')}"
        yield from expect(boot, "group_devices", DEVICE)
        yield from expect(boot, "type", case.group_type)
    if "data" in case.tasks:
        yield from expect(boot, "data", "equal")
        if int(boot.said.get("device_interrupts", 0)) == 0:
            yield "the disk never interrupted"
    if "slow" in case.tasks:
        yield from expect(boot, "slow", "equal")
    if "plain" in case.tasks:
        yield from expect(boot, "plain_group", "none")
        yield from expect(boot, "plain", "equal")
        if int(boot.said.get("plain_interrupts", 0)) == 0:
            yield "the disk beside the unit never interrupted"
    if "switch" in case.tasks:
        for kind in ("identity", "DMA", "DMA-FQ"):
            yield from expect(boot, f"type_after_{kind}", kind)
            yield from expect(boot, f"data_{kind}", "equal")
    if "rogue" not in case.tasks and boot.faults:
        yield f"{len(boot.faults)} faults that nobody provoked: {boot.faults[0]}"


def server_side(case, boot):
    count = boot.counters
    if case.checked:
        if count["stale"]:
            yield f"{count['stale']} stale answers, the first: {count['first_stale']}"
        if not count["books_exact"]:
            yield "the books do not add up"
        if case.mode != "pt" and count["judged"] < count["hits"]:
            yield "not every hit was compared with the tables"
    if not count["enabled"]:
        yield "the guest never turned translation on"
    if case.mode == "pt" and count["passed_through"] == 0:
        yield "nothing passed through"
    if case.mode != "pt":
        if count["hits"] == 0:
            yield "not one hit"
        if count["invalidations"] == 0:
            yield "not one invalidation"
    if case.front.caching and count["invalidations"] < 1000:
        yield f"only {count['invalidations']} invalidations: mappings were not announced"
    if "plain" in case.tasks and count["bypassed"] == 0:
        yield "nothing bypassed"


def rogue(case, boot):
    if boot.said.get("faults_before_rogue") != "0":
        yield "faults before anything went astray"
    if boot.said.get("rogue_request") != "served":
        yield "the request that went astray was not served"
    if not any(re.search(case.front.fault, line) for line in boot.faults):
        yield "no line of the driver names the fault: " + (boot.faults or ["(none)"])[0]
    strangers = [line for line in boot.faults if not re.search(case.front.fault, line)]
    if strangers:
        yield "another fault than the rogue's: " + strangers[0]
    if int(boot.said.get(case.front.interrupts, 0)) == 0:
        yield "no interrupt came with the fault"
    yield from expect(boot, "data_after_rogue", "equal")
    if boot.counters["devices"][DEVICE[5:]]["astray_landed"]:
        yield "a request that went astray has landed"
