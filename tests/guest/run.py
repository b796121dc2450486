#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots unmodified Linux guests behind weir and judges them: `./run guests` calls it once everything
it needs is there.

The last line says how many passed and failed; the exit status is 1 if any failed."""

import argparse
import concurrent.futures
import os
import pathlib
import re
import sys
import time

import audit_cases
import cases
from boot import boot
from qtest import smoke
from verdict import judge

QTEST = "VT-d legacy without a kernel (qtest)"
SAME_TIME = max(1, min(2, os.cpu_count() or 1))


def run_case(case, place, weir, seeded):
    result = boot(case, place, seeded if case.bug else weir)
    problems = judge(case, result)
    if case.bug:
        # Any complaint will do, but there must be one.
        caught = problems or []
        problems = [] if caught else ["nobody noticed the bug"]
        return case, result, problems, caught
    return case, result, problems, []


def show(case, result, problems, caught, verbose):
    print(f"{'FAILED' if problems else 'ok    '} {result.seconds:5.1f} s  {case.name}", flush=True)
    for line in problems:
        print(f"         {line}")
    for line in caught[:1]:
        print(f"         caught: {line}")
    if verbose or problems:
        for line in result.console.splitlines()[-25 if not verbose else 0:]:
            print(f"       | {line[:180]}")
        print(f"         server: {result.counters}")
    elif result.faults:
        print(f"         {result.faults[0].strip()}")
    else:
        for line in shown(case, result):
            print(f"         {line}")


def shown(case, result):
    """What of a kernel's log bears out the audit of its table."""
    for pattern in case.log:
        line = next(line for line in result.log if re.search(pattern, line))
        yield re.sub(r"^\[ *[0-9.]+\] ", "", line.strip())


def bench_table(rows):
    """Megabytes a second, one line a machine and mode, side by side."""
    names = ("large_read", "large_write", "small_read", "small_write")
    print(f"\n{'virtio-blk, MB/s':32}" + "".join(f"{name:>14}" for name in names))
    for case, said in rows:
        for what, mode in (("bypass", "bypass"), ("bench", case.mode)):
            cells = [int(said[f"{what}_{name}"]) / 1e6 for name in names if f"{what}_{name}" in said]
            if cells:
                print(f"{case.front.name + ', ' + mode:32}" + "".join(f"{c:14.1f}" for c in cells))
    print("large: requests of 256 KiB, small: of 4 KiB, one at a time; QEMU's TCG, one processor")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--place", type=pathlib.Path, help="what make_root.sh left")
    parser.add_argument("--weir", type=pathlib.Path, help="the command")
    parser.add_argument("--seeded", default="none", help="the command with bugs to switch on")
    parser.add_argument("--bench", action="store_true", help="throughput instead of the matrix")
    parser.add_argument("--only", default="", help="cases with this in their name")
    parser.add_argument("--verbose", action="store_true", help="everything the guests said")
    parser.add_argument("--count", action="store_true", help="say how many cases there are")
    arguments = parser.parse_args()

    chosen = list(cases.benchmarks()) if arguments.bench else list(cases.matrix())
    if not arguments.bench:
        chosen += audit_cases.CASES
    if not arguments.bench and arguments.seeded != "none":
        chosen += cases.seeded()
    if arguments.count:
        print(len(chosen) + (not arguments.bench))
        return 0
    chosen = [case for case in chosen if arguments.only in case.name]
    without_kernel = not arguments.bench and arguments.only in QTEST

    began = time.monotonic()
    failed = 0
    rows = []
    if without_kernel:
        seconds, problems = smoke(arguments.place, arguments.weir)
        print(f"{'FAILED' if problems else 'ok    '} {seconds:5.1f} s  {QTEST}", flush=True)
        for line in problems:
            print(f"         {line}")
        failed += bool(problems)
    # Throughput is measured alone.
    with concurrent.futures.ThreadPoolExecutor(1 if arguments.bench else SAME_TIME) as pool:
        running = [pool.submit(run_case, case, arguments.place, arguments.weir, arguments.seeded)
                   for case in chosen]
        for future in running:
            case, result, problems, caught = future.result()
            show(case, result, problems, caught, arguments.verbose)
            failed += bool(problems)
            rows.append((case, result.said))
    if arguments.bench:
        bench_table(rows)
    print(f"\ntotal: {time.monotonic() - began:.0f} s, {1 if arguments.bench else SAME_TIME} at a time")
    print(f"{len(chosen) + without_kernel - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
