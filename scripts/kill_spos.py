#!/usr/bin/env python3
"""Kills a run of spos again and again, in its training and in its search, and compares what it leaves with an
undisturbed run, byte by byte.

    scripts/kill_spos.py build/cpu/spos OUT [--seed N] [--least S] [--most S] -- --preset spos/shufflenet --data ... --steps 8

What is behind -- are the options of `spos run`, without --out. Exit status 1 where anything differs.
"""
import argparse
import pathlib
import random
import shutil
import subprocess
import sys
import time

LEFT = ["arch.json", "export/arch.svg", "export/arch.yaml", "export/candidates.csv", "export/supernet.safetensors"]


def left_by(run):
    return {name: (run / name).read_bytes() for name in LEFT if (run / name).exists()}


def phase(run):
    return "search" if (run / "export/supernet.safetensors").exists() else "training"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spos")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--least", type=float, default=2, help="seconds that a life lasts at least")
    parser.add_argument("--most", type=float, default=6)
    parser.add_argument("--lives", type=int, default=100, help="after so many the run is left alone")
    parser.add_argument("options", nargs="+", help="of spos run, behind --")
    a = parser.parse_args()
    whole, killed = a.out / "whole", a.out / "killed"
    for run in (whole, killed):
        shutil.rmtree(run, ignore_errors=True)
    a.out.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    subprocess.run([a.spos, "run", *a.options, "--out", whole], check=True, stderr=subprocess.DEVNULL)
    print(f"undisturbed: {time.monotonic() - begin:.0f} s")
    moments = random.Random(a.seed)
    kills = {"training": 0, "search": 0}
    for life in range(a.lives + 1):
        command = ["resume", killed] if (killed / "run.toml").exists() else ["run", *a.options, "--out", killed]
        process = subprocess.Popen([a.spos, *command, "--checkpoint-steps", "1"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        try:
            wait = moments.uniform(a.least, a.most) if life < a.lives else None
            process.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            kills[phase(killed)] += 1
            process.kill()
            process.communicate()
            continue
        if process.returncode == 0:
            break
        sys.exit(f"life {life}: exit status {process.returncode}")
    print(f"killed {kills['training']} times in training, {kills['search']} in search")
    one, other = left_by(whole), left_by(killed)
    different = [name for name in LEFT if one.get(name) != other.get(name)]
    print("different: " + ", ".join(different) if different else f"the same {len(one)} files, {sum(map(len, one.values()))} bytes")
    sys.exit(bool(different) or not kills["training"] or not kills["search"])


if __name__ == "__main__":
    main()
