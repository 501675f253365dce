#!/usr/bin/env python3
"""Takes each barrier, wait and shuffle out of the GPU kernels, one at a time, and looks whether test_gpu notices.

    scripts/mutate_barriers.py                              all of kernels/cuda and kernels/common
    scripts/mutate_barriers.py --file kernels/cuda/head.cu  those of one file
    scripts/mutate_barriers.py --list                       only print the spots

Builds test_gpu over the emulator in folders of its own, where scripts/barriers.h lets a run leave out any one barrier:
first the test files that are called like the kernel's, then all, each without sanitizers and, for what survives there,
with ThreadSanitizer. A barrier that can go without a failure in both is either redundant, then the section "Barriers" of
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
CALLS = re.compile(r"\b(?:__(?:sync|shfl|any|all|ballot|reduce)\w*|__threadfence\w*|cp_async_(?:wait|commit)\w*)(?=[(<])")
HAVE = re.compile(r"^#define (\w+(?:sync|fence|commit|wait)\w*)", re.M)  # those that scripts/barriers.h can leave out


def spots(files):
    known = set(HAVE.findall((ROOT / "scripts" / "barriers.h").read_text()))
    for path in files:
        for number, line in enumerate((ROOT / path).read_text().split("\n"), 1):
            code = line.split("//")[0]
            found = CALLS.findall(code)
            if not found:
                continue
            if len(found) > 1 or found[0] not in known or code.count("(") != code.count(")"):
                sys.exit(f"mutate_barriers: {path}:{number}: one call a line, whole, that scripts/barriers.h knows: {line.strip()}")
            for what in ["removed", "mask"] if found[0].endswith("_sync") else ["removed"]:
                yield {"file": path, "line": number, "what": what, "old": line.strip()}


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
            subprocess.run(["cmake", "-S", str(ROOT), "-B", str(self.folder), "-G", "Ninja", "-DNASCENT_CUDA=OFF",
                            f"-DCCACHE={ROOT}/scripts/barrier_compiler.sh", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", *self.options],
                           check=True, stdout=subprocess.DEVNULL)
        return subprocess.run([*self.prefix, "cmake", "--build", str(self.folder), "--parallel", str(os.cpu_count()), "--target",
                               "test_gpu"], capture_output=True, text=True)

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

    def test(self, which, limit, left_out=""):
        """None if the tests in files of that name pass, else what is seen first: the test case and how."""
        command = [*self.prefix, str(self.folder / "tests" / "test_gpu"), "--abort-after=1", "--no-colors",
                   f"--source-file=*/tests/gpu/{which}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit,
                                  env=os.environ | {"TSAN_OPTIONS": "halt_on_error=1", "NASCENT_LEFT_OUT": left_out})
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
    return build.test(which, build.limits[which], f"{Path(spot['file']).name}:{spot['line']}:{spot['what']}")


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
            print(f"{s['file']}:{s['line']}: {s['what']}: {s['old']}")
        return 0
    if not found:
        sys.exit("mutate_barriers: there is no barrier at all")

    plain = Build("build", ["-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1"])
    races = Build("build_thread", ["-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1", "-DNASCENT_SANITIZE=thread"], fixed_addresses())

    explained = (ROOT / "docs" / "emulator.md").read_text().partition("\n## Barriers\n")[2].partition("\n## ")[0]
    rows, survivors = [], 0
    for i, spot in enumerate(found):
        seen = None
        for which in dict.fromkeys((tests_of(spot["file"]), "*")):
            seen = seen or judge(spot, plain, which) or judge(spot, races, which)
        if seen is None:
            known = f"`{Path(spot['file']).name}: {spot['old']}`" in explained
            survivors += not known
            seen = "survives, is redundant (docs/emulator.md)" if known else "SURVIVES"
        rows.append((f"{Path(spot['file']).name}:{spot['line']}", spot["what"], spot["old"].split("//")[0].strip(), seen))
        print(f"{i + 1}/{len(found)} {' | '.join(rows[-1])}", flush=True)
    print("\n| place | change | line | seen by |\n|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |")
    print(f"\nmutate_barriers: {len(rows)} changes, {survivors} survive unexplained")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
