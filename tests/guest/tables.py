# SPDX-License-Identifier: Apache-2.0
"""Firmware tables that are altered in one way each, and what `weir acpi audit` makes of them. The
table that `weir serve` builds is taken apart by `weir acpi show --json`, edited field by field, put
together by `weir acpi build`, and served as it is: the guest boots with the very bytes that the audit
reads. What the audit compares with is what the guest found: its memory map, its units' registers."""

import json
import pathlib
import re
import subprocess

from server import Server

FINDING = re.compile(r"(error|warning|note): offset \d+: (.*) \[([a-z0-9-]+); (.*)\]$")


def acpi(weir, *words):
    done = subprocess.run([str(weir), "acpi", *map(str, words)], capture_output=True, text=True)
    # 1: there are findings.
    if done.returncode > 1:
        raise RuntimeError(f"weir acpi {words[0]}: {done.stderr.strip()}")
    return done.stdout


def alter(weir, case, folder):
    """The file with the table of the case, and its fields."""
    with Server(weir, case, folder) as server:
        server.finish()
    fields = json.loads(acpi(weir, "show", "--json", folder / "run" / "table.aml"))
    case.edit(fields)
    (folder / "altered.json").write_text(json.dumps(fields))
    acpi(weir, "build", folder / "altered.json", "-o", folder / "altered.aml")
    return folder / "altered.aml", fields


def audit(weir, case, folder, fields, said):
    """(severity, rule) of each finding, and what was printed."""
    machine = folder / "audited.json"
    machine.write_text(json.dumps(audited_machine(case, fields, said)))
    text = acpi(weir, "audit", folder / "altered.aml", "--topology", machine)
    found = [FINDING.match(line) for line in text.splitlines()[:-1]]
    return {(one[1], one[3]) for one in found if one}, text


def bases_of(fields):
    """Of the units, each once, in their order."""
    if fields["signature"] == "VIOT":
        return ["0x8000000000000018"]  # 00:03.0, as the parse names it
    units = fields.get("structures", fields.get("blocks", []))
    return list(dict.fromkeys(one["base"] for one in units if one["kind"][:4] in ("DRHD", "IVHD")))


def audited_machine(case, fields, said):
    """What the table ought to say, and the facts that the guest has read."""
    bases = bases_of(fields)
    own = {"IVRS": "00:02.0", "VIOT": "00:03.0"}.get(fields["signature"])
    units = [{"name": f"unit{i}", "base": base} for i, base in enumerate(bases)]
    functions = [{"name": "behind " + at, "at": at, "kind": "conventional",
                  "wish": {"unit": f"unit{number}"} if number is not None else "bypass"}
                 for at, number in case.wishes.items()]
    if own:
        functions.append({"name": "iommu", "at": own[3:]})
        units[0]["function"] = "iommu"
    machine = {"table": fields["signature"], "roots": [{"name": "PCI0"}], "units": units,
               "functions": functions, "registers": [], "reserved_memory": [], **case.facts}
    for i, base in enumerate(bases):
        if f"registers_dmar{i}" in said:
            cap, ecap = said[f"registers_dmar{i}"].split()
            machine["registers"].append({"base": base, "cap": "0x" + cap, "ecap": "0x" + ecap})
        if f"registers_ivhd{i}" in said:
            features = said[f"registers_ivhd{i}"].split(":")
            machine["registers"].append({"base": base, "efr": "0x" + features[0],
                                         "efr2": "0x" + (features + ["0"])[1]})
    for region in said.get("reserved_memory", "").split():
        first, last = region.split("-")
        machine["reserved_memory"].append({"first": first, "last": last})
    if "io_apic" in said:
        machine["interrupt_sources"] = [
            {"kind": "io_apic", "id": int(said["io_apic"]), "as": "00:14.0",
             **({"unit": "unit0"} if case.io_apic else {})}]
    return machine


__all__ = ["alter", "audit"]
