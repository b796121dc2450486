# SPDX-License-Identifier: Apache-2.0
"""One `weir serve`: its description, the QEMU command that it prints, and what it counted."""

import json
import os
import select
import subprocess
import time

from cases import DEVICE, DISK_BYTES, PLAIN, ROGUE_ADDRESS, ROGUE_SECTOR

READY_SECONDS = 20
MEMORY_MIB = 256


def description(case):
    rogue = {"rogue_sector": ROGUE_SECTOR, "rogue_address": ROGUE_ADDRESS}
    if "rogue" not in case.tasks:
        rogue = {}
    disk = {"type": "virtio-blk", "bytes": DISK_BYTES}
    return {
        **case.front.server,
        "memory_mib": MEMORY_MIB,
        "processors": case.queues,
        "devices": [
            {**disk, "address": DEVICE[5:], "queues": case.queues, **rogue, **case.device},
            {**disk, "address": PLAIN[5:], "bypass": True},
        ],
    }


class Server:
    """Serves from the beginning of the `with` to its end, or to finish()."""

    def __init__(self, weir, case, folder, table=None):
        """`table`: a file whose bytes are served in the place of those that weir builds."""
        said = dict(getattr(case, "description", None) or description(case))
        if table:
            said["table"] = str(table)
        (folder / "machine.json").write_text(json.dumps(said))
        environment = {**os.environ, "WEIR_SEEDED_BUG": case.bug} if case.bug else None
        self.log = folder / "serve.log"
        self.process = subprocess.Popen(
            [str(weir), "serve", str(folder / "machine.json"), "--folder", str(folder / "run"),
             "--qemu", "", *case.serve_words(folder)],
            stdout=subprocess.PIPE, stderr=self.log.open("w"), text=True, env=environment)
        self.qemu_arguments = self.line(READY_SECONDS)

    def line(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if select.select([self.process.stdout], [], [], 0.2)[0]:
                line = self.process.stdout.readline()
                if line:
                    return line.strip()
                break
        raise RuntimeError("weir serve said nothing: " + self.log.read_text()[-300:].strip())

    def finish(self):
        """Ends it and gives back its counters."""
        self.process.terminate()
        counters = json.loads(self.line(READY_SECONDS))
        self.process.wait(READY_SECONDS)
        return counters

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
