#!/usr/bin/env python3
"""Changes the mathematics of kernels, ops and engine one spot at a time and looks whether a test notices.

    scripts/mutate.py                               all spots (hours of one core)
    scripts/mutate.py --count 150 --seed 1          a random sample
    scripts/mutate.py --file kernels/cpu/node.cpp   all spots of one file (or of a folder)
    scripts/mutate.py --list                        only print the spots
    scripts/mutate.py --summary                     only count what the log holds

Works on a copy in build/mutate/source, built once, for one instruction set: scripts/mutants.h lets a test program turn into
any one mutant of those to be tried by NASCENT_MUTANT=n. Lines that cannot be written that way are changed and compiled one by one (--alone). Every
test case (of ops: for every op) runs once first and notes which spots it passes; a mutant then meets only those, in the
order of what they cost and how many mutants of its file they caught. One that makes a test fail, crash or hang is caught;
the others survive and are printed, to be killed by a new test or explained in docs/mutation.md, which lists changed lines
(by their text) that are equivalent. Verdicts go to build/mutate/log.jsonl (--log); a spot that stands there is not tried again
as long as its line and the code next to it are what they were (--again: it is). Exit status 1 if an unexplained one survives.
"""
import argparse
import collections
import fnmatch
import json
import queue
import random
import re
import sys
import threading
import time
from pathlib import Path

from mutation import place
from mutation.build import build_all, prepare
from mutation.judge import Judge, parallel, units_of
from mutation.place import BUILD, LOG, ROOT, WORK
from mutation.spots import compiled_alone, spots_of

# What computes, and the programs that test it, in the order in which a mutant meets them.
PROGRAMS = {
    "kernels": ["kernels", "ops", "nas"],
    "kernels/cpu": ["kernels", "ops", "nas"],
    "ops": ["ops", "nas"],
    "ops/optim": ["ops", "nas"],
    "ops/primitive": ["ops"],
    "engine/autograd": ["engine", "ops", "nas"],
    "engine/base": ["engine", "kernels", "ops", "nas"],
    "engine/io": ["engine"],
    "engine/memory": ["engine", "ops", "nas"],
    "engine/streams": ["engine", "ops", "nas"],
    "engine/streams/cuda_device.cpp": ["cuda_device"],
    "engine/tensor": ["engine", "ops", "nas"],
    "nas/algo": ["nas"],
    "nas/metric": ["nas"],
    "nas/space": ["nas"],
    "nas/supernet": ["nas"],
}
# Take long and see nothing that others do not, or need more than one instruction set; and what runs on the emulated gpu.
LEFT_OUT = r"200 steps learn|^targets?\b|every target"
ON_THE_GPU = r"on the gpu|on either device|emulat"


def belongs(path, wish):
    return path.startswith(wish) or fnmatch.fnmatch(path, wish)


def programs_of(path):
    return PROGRAMS[max((f for f in PROGRAMS if (path + "/").startswith(f + "/")), key=len)]


def identity(spot):
    """What a verdict holds for: the line as it was and is, and the code around it. An edit elsewhere leaves it valid."""
    return (spot["file"], spot["old"].strip(), spot["new"].strip(), spot["around"], spot["nth"])


def read_log(log):
    verdicts = {}
    for line in log.read_text().splitlines() if log.exists() else []:
        entry = json.loads(line)
        verdicts[tuple(entry["spot"])] = entry
    return verdicts


def explanations(path, avx2):
    """(file, changed line) of the mutants that are equivalent: `* `file`` and below it `  * `line`: why`. What AVX-512 is
    the reason of does not hold for AVX2."""
    found, file = set(), None
    for line in path.read_text().split("\n"):
        if match := re.match(r"\* `([^`]+)`$", line):
            file = match[1]
        elif (match := re.match(r"  \* `(.+?)`: (.*)", line)) and not (avx2 and "AVX-512" in match[2]):
            found.add((file, match[1]))
    return found


def summary(spots, verdicts, explained):
    counts, survivors = collections.Counter(), []
    for s in spots:
        verdict = verdicts[identity(s)]["verdict"] if identity(s) in verdicts else "not tried"
        # A changed line that is explained is equivalent whether it was tried or not.
        if not verdict.startswith(("caught", "does not")) and (s["file"], s["new"].strip()) in explained:
            verdict = "equivalent (docs/mutation.md)"
        elif verdict.startswith("SURVIVED"):
            survivors.append((s, verdict))
        counts[verdict.split(" by ")[0].split(",")[0]] += 1
    for s, verdict in survivors:
        print(f"{s['id']}: {s['file']}:{s['line'] + 1} {s['what']}: {s['new'].strip()}: {verdict}")
    print(f"mutate: {len(spots)} spots:", ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    return 1 if survivors else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1 << 30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file", action="append", help="the spots of files whose path begins so or is such a pattern "
                        "(may be repeated; in this order)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e9, help="draw no more after this long")
    parser.add_argument("--programs", default="engine,cuda_device,kernels,ops,nas", help="the test programs to be used, of these; survivors of "
                        "some meet the others in a later run")
    parser.add_argument("--budget", type=float, default=60, help="processor seconds that a mutant may take")
    parser.add_argument("--cases", help="only test cases whose names have this pattern in them; what survives them is not logged")
    parser.add_argument("--longest", type=float, default=3600, help="test cases that take more processor seconds are left out")
    parser.add_argument("--emulator", action="store_true", help="with the emulated gpu's kernels, and the test cases on it")
    parser.add_argument("--avx2", action="store_true", help="compile the kernels for AVX2, whose vectors are narrower")
    parser.add_argument("--alone", action="store_true", help="also those that are compiled one by one, and those that no "
                        "test case passes where they are choices, as constants that the compiler evaluates")
    parser.add_argument("--log", type=Path, default=LOG, help="where verdicts are read from and written to")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--survivors", nargs="?", const="", help="try again those that survived, of files whose path begins so")
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()

    every = sorted(str(p.relative_to(ROOT)) for folder in PROGRAMS for p in (ROOT / folder).glob("*")
                   if p.suffix in (".cpp", ".h") and "drawing" not in p.name and not p.name.endswith("_cases.cpp"))
    files = {path: list(spots_of(path)) for path in every}
    for index, spots in enumerate(files.values()):
        for number, s in enumerate(spots, 1):  # blocks of numbers, so that a change in one file leaves the others as built
            s["id"], s["alone"] = index * 512 + number, compiled_alone(s)
    drawn = [s for path, spots in files.items() for s in spots if not args.file or any(belongs(path, f) for f in args.file)]
    random.Random(args.seed).shuffle(drawn)
    drawn = drawn[:args.count]
    if args.file:
        drawn.sort(key=lambda s: next(i for i, f in enumerate(args.file) if belongs(s["file"], f)))
    if args.list:
        for s in drawn:
            print(f"{s['file']}:{s['line'] + 1}: {s['what']}: {s['new'].strip()}")
        return 0
    explained = explanations(ROOT / "docs" / "mutation.md", args.avx2)
    verdicts = {} if args.again else read_log(args.log)
    if args.summary:
        return summary(drawn, verdicts, explained)

    if args.avx2:
        place.march = place.AVX2
    prepare(files, args.emulator)
    built = (BUILD / "build.ninja").read_text()  # that of cuda_device only where there are CUDA's headers
    programs = [p for p in args.programs.split(",") if f"test_{p}:" in built]

    def to_meet(spot):
        """The programs that are to see the mutant still."""
        known = verdicts.get(identity(spot))
        if known and not known["verdict"].startswith("SURVIVED"):
            return []
        again = args.survivors is not None and spot["file"].startswith(args.survivors)
        met = known["met"] if known and not again else []
        return [p for p in programs_of(spot["file"]) if p in programs and p not in met]

    def unpassed(spot):
        """Whether no test case passed the choice: perhaps the compiler evaluates it, and a compilation of its own tells."""
        known = verdicts.get(identity(spot))
        return known is not None and known["verdict"] == "SURVIVED, not reached"

    todo = [s for s in drawn if to_meet(s) and (s["file"], s["new"].strip()) not in explained]
    start = time.monotonic()
    needed = [p for p in programs if any(p in to_meet(s) for s in todo)]
    build_all(files, todo, args.jobs, needed)
    print(f"mutate: built in {time.monotonic() - start:.0f} s", flush=True)
    units, left_out = {}, LEFT_OUT if args.emulator else f"{LEFT_OUT}|{ON_THE_GPU}"
    for program in needed:
        units[program] = units_of(program, args.jobs, args.longest, args.cases, left_out)
        print(f"mutate: {program}: {len(units[program])} cases, {sum(u.cpu for u in units[program]):.1f} s, "
              f"{len(frozenset().union(*(u.reached for u in units[program])))} spots passed", flush=True)
    judge, start, lock = Judge(units, args.budget), time.monotonic(), threading.Lock()

    # First what needs no compiler, side by side; then the rest, which change the programs, one after the other.
    for alone, workers in ((False, args.jobs), (True, 1)):
        if alone and not args.alone:
            print(f"mutate: {sum(s['alone'] for s in todo)} spots that are compiled one by one are left for --alone")
            break
        waiting = queue.SimpleQueue()
        for s in todo:
            if s["alone"] == alone or alone and unpassed(s):
                waiting.put(s)

        def work(worker):
            while time.monotonic() - start < args.seconds:
                try:
                    spot = waiting.get_nowait()
                except queue.Empty:
                    return
                begun, folder = time.monotonic(), WORK / "tmp" / str(worker)
                meeting = [p for p in programs_of(spot["file"]) if p in programs] if alone else to_meet(spot)
                verdict = (judge.alone(spot, meeting, folder, args.jobs) if alone else judge.meet(spot, spot["id"], meeting, folder))
                with lock:
                    before = verdicts.get(identity(spot), {"met": []})["met"]
                    entry = {"spot": identity(spot), "verdict": verdict, "met": sorted({*before, *meeting}),
                             "seconds": round(time.monotonic() - begun, 2)}
                    if args.cases and verdict.startswith("SURVIVED"):
                        continue
                    verdicts[identity(spot)] = entry
                    with args.log.open("a") as log:
                        log.write(json.dumps(entry) + "\n")
                    if verdict.startswith("SURVIVED"):
                        print(f"{spot['id']}: {spot['file']}:{spot['line'] + 1} {spot['what']}: {spot['new'].strip()}: {verdict}", flush=True)

        parallel(work, workers)
    return summary(drawn, verdicts, explained)


if __name__ == "__main__":
    sys.exit(main())
