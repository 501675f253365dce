#!/usr/bin/env python3
"""Takes each barrier, wait and shuffle out of the GPU kernels, one at a time, and looks whether test_gpu notices.

    scripts/mutate_barriers.py                              all of kernels/cuda and kernels/common
    scripts/mutate_barriers.py --file kernels/cuda/head.cu  those of one file
    scripts/mutate_barriers.py --list                       only print the spots

Works on a copy in build/mutate_barriers/source with build folders of its own, which hold test_gpu over the emulator:
without sanitizers, and for what survives there with ThreadSanitizer, first the test files that are called like the
kernel's, then all. A barrier that can go without a failure in both is either redundant, then the section "Barriers" of
docs/emulator.md quotes its line as `file: line` with a proof, or a test is missing: exit status 1.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutate_barriers"
FOLDERS = {"kernels/cuda": (".cu", ".cuh"), "kernels/common": (".cuh",)}
NOTHING = "static_cast<void>(0)"
WAITS = re.compile(r"\b(?:__syncthreads|__syncwarp|__threadfence|(?:simt::)?cp_async_(?:wait<[^<>]*>|commit))(?=\()")
EXCHANGES = re.compile(r"\b__(?:shfl(?:_xor|_up|_down)?|any|all|ballot|reduce_\w+)_sync(?=\()|\b__syncthreads_(?:and|or|count)(?=\()")


def arguments(line, opening):
    """The arguments of the call whose parenthesis opens there, and where it ends; None if it ends on another line."""
    depth, start, found = 0, opening + 1, []
    for i in range(opening, len(line)):
        depth += (line[i] in "([{") - (line[i] in ")]}")
        if depth == 0 or (depth == 1 and line[i] == ","):
            found.append(line[start:i].strip())
            start = i + 1
        if depth == 0:
            return found, i + 1
    return None


def spots(files):
    for path in files:
        for number, line in enumerate((ROOT / path).read_text().split("\n")):
            code = line.split("//")[0]
            for match in [*WAITS.finditer(code), *EXCHANGES.finditer(code)]:
                name = match.group()
                call = arguments(code, match.end())
                if call is None:
                    sys.exit(f"mutate_barriers: {path}:{number + 1}: the call ends on another line: {line.strip()}")
                values, end = call
                if match.re is WAITS:
                    changes = [("removed", NOTHING)]
                else:  # every thread keeps what it has
                    changes = [("removed", f"({values[1 if name.endswith('_sync') else 0]})")]
                if name.endswith("_sync"):  # lane 0 is not in the mask
                    changes.append(("mask", f"{name}({values[0]} & ~1u, {', '.join(values[1:])})"))
                for what, to in changes:
                    yield {"file": path, "line": number, "what": what, "old": line.strip(),
                           "new": line[:match.start()] + to + line[end:]}


def fixed_addresses():
    """What to run ThreadSanitizer's builds with: g++ 12's cannot start where addresses are random in more than 28 bits."""
    command = ["setarch", "-R"]
    works = shutil.which("setarch") and subprocess.run([*command, "true"], stderr=subprocess.DEVNULL).returncode == 0
    return command if works else []


class Build:
    """test_gpu in a folder of its own, made when it is first needed."""

    def __init__(self, name, options, prefix=()):
        self.folder, self.options, self.prefix = WORK / name, options, list(prefix)
        self.limits = {}  # seconds that the unchanged tests, by filter, may take

    def make(self):
        if not self.limits:
            subprocess.run(["cmake", "-S", str(WORK / "source"), "-B", str(self.folder), "-G", "Ninja", "-DNASCENT_CUDA=OFF",
                            "-DCMAKE_BUILD_TYPE=RelWithDebInfo", *self.options], check=True, stdout=subprocess.DEVNULL)
        return subprocess.run([*self.prefix, "cmake", "--build", str(self.folder), "--parallel", "1", "--target", "test_gpu"],
                              capture_output=True, text=True)

    def check(self, which):
        """The unchanged tests must pass, or a failure would say nothing."""
        if which in self.limits:
            return
        done = self.make()
        if done.returncode != 0:
            sys.exit(f"mutate_barriers: test_gpu does not compile in {self.folder}\n{done.stdout}")
        start = time.monotonic()
        failure = self.test(which, 3600)
        if failure:
            sys.exit(f"mutate_barriers: test_gpu fails as it is, in {self.folder}: {failure}")
        self.limits[which] = 60 + 10 * (time.monotonic() - start)

    def test(self, which, limit):
        """None if the tests in files of that name pass, else what is seen first: the test case and how."""
        command = [*self.prefix, str(self.folder / "tests" / "test_gpu"), "--abort-after=1", "--no-colors",
                   f"--source-file=*/tests/gpu/{which}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit,
                                  env=os.environ | {"TSAN_OPTIONS": "halt_on_error=1"})
        except subprocess.TimeoutExpired:
            return "a hang"
        if done.returncode == 0:
            ran = re.search(r"test cases:\s+(\d+)", done.stdout)
            if not ran or ran.group(1) == "0":
                sys.exit(f"mutate_barriers: there is no test in {which}")
            return None
        return reason(done)


def reason(done):
    race = re.search(r"SUMMARY: (ThreadSanitizer: [^/(]*)(?:\S*/)?(\S*)", done.stderr)
    if race:
        return "".join(race.groups())
    case = re.search(r"TEST CASE:\s*(.*)", done.stdout)
    thrown = re.search(r"THREW exception: (.*)|threw exception: (.*)", done.stdout)
    seen = re.search(r"divergent \w+|deadlock|lane not in its own mask|lane \d+ is read but not in the mask", done.stdout)
    how = seen.group() if seen else "an exception" if thrown else f"signal {-done.returncode}" if done.returncode < 0 else "values"
    return f"{case.group(1) if case else '?'}: {how}"


def tests_of(file):
    """The test files to run first for a kernel's file: those that share the most words of its name."""
    words = Path(file).stem.split("_")
    for n in range(len(words), 0, -1):
        stem = "_".join(words[:n])
        if list((ROOT / "tests" / "gpu").glob(stem + "*_test.cpp")):
            return stem + "*_test.cpp"
    return "*"


def judge(spot, build, which):
    build.check(which)
    path = WORK / "source" / spot["file"]
    original = path.read_text()
    lines = original.split("\n")
    lines[spot["line"]] = spot["new"]
    path.write_text("\n".join(lines))
    try:
        done = build.make()
        if done.returncode != 0:  # a spot that is not looked at
            sys.exit(f"mutate_barriers: {spot['file']}:{spot['line'] + 1} does not compile as {spot['new']}\n{done.stdout}")
        return build.test(which, build.limits[which])
    finally:
        path.write_text(original)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", action="append", help="of this file alone (may be repeated)")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    files = args.file or sorted(str(p.relative_to(ROOT)) for folder, ends in FOLDERS.items()
                                for p in (ROOT / folder).iterdir() if p.suffix in ends)
    found = list(spots(files))
    if args.list:
        for s in found:
            print(f"{s['file']}:{s['line'] + 1}: {s['what']}: {s['new'].strip()}")
        return 0
    if not found:
        sys.exit("mutate_barriers: there is no barrier at all")

    source = WORK / "source"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    tracked = [name for name in tracked if name and (ROOT / name).exists()]
    for old in [p for p in source.rglob("*") if p.is_file() and str(p.relative_to(source)) not in tracked]:
        old.unlink()  # of a tree that had it
    for name in tracked:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != (ROOT / name).read_bytes():
            target.write_bytes((ROOT / name).read_bytes())
    plain = Build("build", ["-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1"])
    races = Build("build_thread", ["-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1", "-DNASCENT_SANITIZE=thread"], fixed_addresses())

    explained = (ROOT / "docs" / "emulator.md").read_text().partition("\n## Barriers\n")[2].partition("\n## ")[0]
    rows, survivors = [], 0
    for i, spot in enumerate(found):
        seen = judge(spot, plain, "*")
        for which in dict.fromkeys((tests_of(spot["file"]), "*")):
            seen = seen or judge(spot, races, which)
        if seen is None:
            known = f"`{Path(spot['file']).name}: {spot['old']}`" in explained
            survivors += not known
            seen = "survives, is redundant (docs/emulator.md)" if known else "SURVIVES"
        rows.append((f"{Path(spot['file']).name}:{spot['line'] + 1}", spot["what"], spot["old"].split("//")[0].strip(), seen))
        print(f"{i + 1}/{len(found)} {' | '.join(rows[-1])}", flush=True)
    print("\n| place | change | line | seen by |\n|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |")
    print(f"\nmutate_barriers: {len(rows)} changes, {survivors} survive unexplained")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
