#!/usr/bin/env python3
"""Changes the mathematics of kernels, ops and engine one spot at a time and looks whether a test notices.

    scripts/mutate.py --count 40 --seed 1          a random sample
    scripts/mutate.py --file kernels/cpu/node.cpp  all spots of one file
    scripts/mutate.py --list                       only print the spots

Works on a copy in build/mutate/source with a build folder of its own. A mutant that does not compile is left out; one that
makes a test fail, crash or hang is caught; the others survive and are printed with the line, to be killed by a new test or
explained in docs/mutation.md, which lists lines (by their text) that are equivalent. Exit status 1 if an unexplained one
survives.
"""
import argparse
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutate"
# What computes, and which test programs look at it (the cheapest first).
TARGETS = {
    "kernels/cpu": ["kernels", "ops", "nas"],
    "ops": ["ops", "nas"],
    "ops/optim": ["ops", "nas"],
    "engine/autograd": ["engine", "ops", "nas"],
    "engine/memory": ["engine", "ops", "nas"],
    "engine/base": ["engine", "nas"],
    "nas/algo": ["nas", "apps"],
    "nas/metric": ["nas"],
    "nas/supernet": ["nas", "apps"],
}
# (what, pattern, replacement): each match of a pattern in a line of code is one spot.
RULES = [
    ("sign", r"(?<=[\w)\]]) \+ (?=[\w(])", " - "),
    ("sign", r"(?<=[\w)\]]) - (?=[\w(])", " + "),
    ("sign", r" \+= ", " -= "),
    ("sign", r" -= ", " += "),
    ("drop term", r"(?<=[\w)\]]) \+ [\w.]+(?=[;,)])", ""),
    ("drop factor", r"(?<=[\w)\]]) \* [\w.]+(?=[;,)])", ""),
    ("shift index", r"\[(\w+)\](?! *\()", r"[\1 + 1]"),
    ("comparison", r" < ", " <= "),
    ("comparison", r" > ", " >= "),
    ("comparison", r" == ", " != "),
    ("fused multiply-add", r"\bMulAdd\(", "NegMulAdd("),
    ("maximum", r"\bMax\(", "Min("),
    ("write mode", r"Write::accumulate", "Write::overwrite"),
    ("write mode", r"Write::overwrite", "Write::accumulate"),
    ("write mode", r"\baccumulate ?\?", "!accumulate ?"),
    ("condition", r"\bif \((?!constexpr)", "if (!("),
]


def code_lines(text):
    """(number, line) of lines that are neither comments, includes, declarations of strings nor checks."""
    for number, line in enumerate(text.split("\n")):
        bare = line.strip()
        if not bare or bare.startswith(("//", "#", "*", "template", "using", "namespace", "NASCENT_", "HWY_")):
            continue
        if "NASCENT_CHECK" in line or '"' in line or "for (" in line and "operator" in line:
            continue
        yield number, line


def spots(files):
    for path in files:
        text = (ROOT / path).read_text()
        for number, line in code_lines(text):
            code = line.split("//")[0]
            for what, pattern, replacement in RULES:
                for match in re.finditer(pattern, code):
                    changed = code[:match.start()] + match.expand(replacement) + code[match.end():]
                    if what == "condition":
                        closing = matching(changed, match.start() + len("if (!"))
                        if closing is None:
                            continue
                        changed = changed[:closing] + ")" + changed[closing:]
                    yield {"file": path, "line": number, "what": what, "old": line, "new": changed}


def matching(text, opening):
    """Where the parenthesis that opens at `opening` is closed."""
    depth = 0
    for i in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return i
    return None


def run(command, timeout):
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=timeout).returncode
    except subprocess.TimeoutExpired:
        return "timeout"


def tests_of(path):
    best = max((folder for folder in TARGETS if path.startswith(folder + "/")), key=len)
    return TARGETS[best]


def judge(spot, jobs, limit):
    path = WORK / "source" / spot["file"]
    original = path.read_text()
    lines = original.split("\n")
    lines[spot["line"]] = spot["new"]
    path.write_text("\n".join(lines))
    try:
        for test in tests_of(spot["file"]):
            if run(["cmake", "--build", str(WORK / "build"), "--parallel", str(jobs), "--target", f"test_{test}"], 1800) != 0:
                return "does not compile"
            code = run([str(WORK / "build" / "tests" / f"test_{test}")], limit[test])
            if code != 0:
                return f"caught by {test}" + (" (hang)" if code == "timeout" else "")
        return "SURVIVED"
    finally:
        path.write_text(original)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file", action="append", help="all spots of this file (may be repeated)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e9, help="stop drawing after this long")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    files = args.file or sorted(str(p.relative_to(ROOT)) for folder in TARGETS for p in (ROOT / folder).glob("*")
                                if p.suffix in (".cpp", ".h") and "primitive" not in p.name)
    found = list(spots(dict.fromkeys(files)))
    if not args.file:
        random.Random(args.seed).shuffle(found)
        found = found[:args.count]
    if args.list:
        for s in found:
            print(f"{s['file']}:{s['line'] + 1}: {s['what']}: {s['new'].strip()}")
        return 0

    source = WORK / "source"
    source.mkdir(parents=True, exist_ok=True)
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != (ROOT / name).read_bytes():
            shutil.copy(ROOT / name, target)
    subprocess.run(["cmake", "-S", str(source), "-B", str(WORK / "build"), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                    "-DNASCENT_CHECKED=ON"], check=True, stdout=subprocess.DEVNULL)
    limit = {}
    for test in sorted({t for tests in TARGETS.values() for t in tests}):
        subprocess.run(["cmake", "--build", str(WORK / "build"), "--parallel", str(args.jobs), "--target", f"test_{test}"],
                       check=True, stdout=subprocess.DEVNULL)
        start = time.monotonic()
        if run([str(WORK / "build" / "tests" / f"test_{test}")], 1800) != 0:
            sys.exit(f"mutate: test_{test} fails without a mutation")
        limit[test] = 60 + 10 * (time.monotonic() - start)

    explained = (ROOT / "docs" / "mutation.md").read_text() if (ROOT / "docs" / "mutation.md").exists() else ""
    counts, survivors, start = {}, [], time.monotonic()
    for i, spot in enumerate(found):
        if time.monotonic() - start > args.seconds:
            break
        verdict = judge(spot, args.jobs, limit)
        if verdict == "SURVIVED" and f"`{spot['new'].strip()}`" in explained:
            verdict = "survived, equivalent (docs/mutation.md)"
        counts[verdict.split(" by ")[0]] = counts.get(verdict.split(" by ")[0], 0) + 1
        if verdict == "SURVIVED":
            survivors.append(spot)
        print(f"{i + 1}/{len(found)} {spot['file']}:{spot['line'] + 1} {spot['what']}: {spot['new'].strip()}: {verdict}", flush=True)
    print("mutate:", ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
