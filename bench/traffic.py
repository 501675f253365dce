#!/usr/bin/env python3
"""How many bytes each kernel of a step moves, and how many it must: counted, on the emulated gpu, from every access.

    cmake --preset traffic && cmake --build --preset traffic --target bench_path_step
    bench/traffic.py build/traffic/bench_path_step --batch 64 --precision tf32

Runs one step of a timed step program of the preset `traffic` with the options given (hours for the largest) and prints a
table by kernel, the most bytes first. Bytes are those of sectors of 32. Moved: what a block asks of a tensor counts once a
block, also where the second cache has it (weights, which all blocks read, count for each). Needed: once a launch.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def kernel_at(place):
    """The kernel's name, from the call of simt::launch that ends at file:line."""
    path, line = re.match(r"(.*):(\d+),", place).groups()
    path = Path(re.sub(r"^(\.\./)*", "", path.removeprefix(f"{ROOT}/")))
    before = "\n".join((ROOT / path).read_text(encoding="utf-8").splitlines()[:int(line) + 1])
    calls = re.findall(r"simt::launch\(\s*(?:\w+::)*(\w+)|\b(launch_\w+)[<(]", before)
    return f"{''.join(calls[-1]) if calls else '?'} ({path.name}:{line})"


def main(program, *options):
    with tempfile.TemporaryDirectory() as folder:
        counted = Path(folder) / "traffic"
        environment = os.environ | {"NASCENT_EMULATE": "1", "NASCENT_TRAFFIC": str(counted)}
        subprocess.run([program, "--device", "gpu", "--steps", "1", "--warmup", "0", *options], check=True, env=environment,
                       stdout=subprocess.DEVNULL)
        if not counted.exists():
            sys.exit(f"{program} counted nothing: expected a program of the preset traffic")
        launches = [json.loads(line) for line in counted.read_text(encoding="utf-8").splitlines()]
    rows = {}
    for each in launches:
        row = rows.setdefault(kernel_at(each["place"]), [0, 0, 0, 0])
        values = each["launches"], each["blocks"], *(each["read"][i] + each["written"][i] for i in range(2))
        rows[kernel_at(each["place"])] = [a + b for a, b in zip(row, values)]
    print(f"`bench/traffic.py {' '.join([program, *options])}`\n")
    print("| kernel | launches | blocks | MB moved | MB needed | moved / needed |\n|---|---|---|---|---|---|")
    rows = sorted(rows.items(), key=lambda r: -r[1][2])
    rows.append(("together", [sum(r[i] for _, r in rows) for i in range(4)]))
    for name, (count, blocks, moved, needed) in rows:
        ratio = f"{moved / needed:.2f}" if needed else ""
        print(f"| {name} | {count} | {blocks} | {moved / 1e6:.2f} | {needed / 1e6:.2f} | {ratio} |")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
