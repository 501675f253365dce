#!/usr/bin/env python3
"""Changes the mathematics of kernels, ops and engine one spot at a time and looks whether a test notices.

    scripts/mutate.py                               all spots (hours of one core)
    scripts/mutate.py --count 150 --seed 1          a random sample
    scripts/mutate.py --file kernels/cpu/node.cpp   all spots of one file (or of a folder)
    scripts/mutate.py --list                        only print the spots
    scripts/mutate.py --summary                     only count what the log holds

Works on a copy in build/mutate/source, built once: scripts/mutants.h lets a test program turn into any one mutant by
NASCENT_MUTANT=n. Lines that cannot be written that way are changed and compiled one by one. A first run of the tests notes
which of them pass which spots; a mutant then meets only those, the cheapest first. One that makes a test fail, crash or hang
is caught; the others survive and are printed, to be killed by a new test or explained in docs/mutation.md, which lists
changed lines (by their text) that are equivalent. Verdicts go to build/mutate/log.jsonl, and a spot that stands there
is not tried again while its file is unchanged (--again: it is). Exit status 1 if an unexplained one survives.
"""
import argparse
import collections
import hashlib
import json
import os
import queue
import random
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutate"
SOURCE = WORK / "source"
BUILD = WORK / "build"
LOG = WORK / "log.jsonl"
# What computes, and which tests look at it, the cheapest first. A stage is a program, or some of its test files, or all
# but some of them; {} is the first word of the file's name.
LONG = "golden_step_test,training_test"
NAS, STEPS = f"nas:-{LONG},data_,run_directory,run_journal,run_checkpoint,run_progress", f"nas:{LONG}"
STAGES = {
    "kernels/cpu": ["kernels:{}", "kernels:head", "kernels:sgd,node,primitive,target", "kernels:conv", "ops", STEPS],
    "ops": ["ops", STEPS],
    "ops/optim": ["ops:sgd", "ops:-sgd", STEPS],
    "ops/primitive": ["ops"],
    "engine/autograd": ["engine", "ops", STEPS],
    "engine/memory": ["engine", "ops", NAS, STEPS],
    "engine/tensor": ["engine", "ops", NAS],
    "engine/base": ["engine", "nas:{}", NAS, STEPS],
    "nas/algo": ["nas:{}", NAS, STEPS, "apps:rlnas_test"],
    "nas/metric": ["nas:{},metric", NAS],
    "nas/space": ["nas:space,net_", NAS, STEPS],
    "nas/supernet": ["nas:state_dict", NAS, STEPS],
}
# Takes long and sees nothing that the steps compared with PyTorch's do not.
LEFT_OUT = "200 steps learn*"
STALLED = 40  # seconds without any processor time
INVALID = 77  # what a mutant exits with that would not compile
# (what, pattern, the changed line, the same as a choice): each match in a line of code is one spot. The choice's # is
# the mutant's number; None where another rule's choice or a compilation of its own does it.
RULES = [
    ("sign", r"(?<=[\w)\]]) (\+) (?=[\w(])", "-", None),
    ("sign", r"(?<=[\w)\]]) (-) (?=[\w(])", "+", None),
    ("sign", r" (\+=) ", "-=", "+= (mutant::add<#>) +="),
    ("sign", r" (-=) ", "+=", "-= (mutant::subtract<#>) -="),
    ("drop term", r"(?<=[\w)\]])( \+ [\w.]+)(?=[;,)])", "", None),
    ("drop factor", r"(?<=[\w)\]])( \* [\w.]+)(?=[;,)])", "", None),
    ("shift index", r"(?<=[\w)\]])\[(\w+)\]", r"\1 + 1", r"mutant::shift<#>(\1)"),
    ("comparison", r" (<) ", "<=", "< (mutant::less<#>) <"),
    ("comparison", r" (>) ", ">=", "> (mutant::greater<#>) >"),
    ("comparison", r" (==) ", "!=", "== (mutant::equal<#>) =="),
    ("fused multiply-add", r"\bhn::(MulAdd\()", "NegMulAdd(", None),
    ("maximum", r"\bhn::(Max\()", "Min(", None),
    ("write mode", r"\b((?:\w+::)*)Write::accumulate", r"\1Write::overwrite", None),
    ("write mode", r"\b((?:\w+::)*)Write::overwrite", r"\1Write::accumulate", None),
    ("write mode", r"\b(accumulate) ?\?", r"!\1", r"mutant::flip<#>(\1)"),
    ("condition", r"\bif (\()(?!constexpr)", None, None),
]

# Lines that are compiled alone from the beginning: constants, and declarations in conditions.
ALONE = re.compile(r"constexpr.* = |[+-]= \{|\bif \([^()]*(;|[^=!<>]=[^=])")
# What stands before the extent of an array that is declared: T w, or T (&acc), and other extents.
DECLARATION = re.compile(r"(^|[;(,{] ?)\s*(?!return|else)([\w:]+ )*[\w:]+(<[^<>]*>)?[*&]* [*&]*(\w+|\(&\w+\))(\[\w+\])*$")


def code_lines(text):
    """(number, line) of lines that are neither comments, declarations of strings, checks and their messages nor the sample
    calls of ops, which are tests themselves."""
    message, sample = False, None
    for number, line in enumerate(text.split("\n")):
        bare = line.strip()
        if match := re.match(r"( *)(static std::vector<Case> cases\(\)|std::vector<Case> \w+::cases\(\)|Case sample\(.*) \{$", line):
            sample = match[1] + "}"
        if sample is not None:
            sample = None if line == sample else sample
            continue
        message = message or "NASCENT_CHECK" in bare or re.search(r"\bfail\(", bare)
        if message:
            message = not bare.endswith(";")
            continue
        if not bare or bare.startswith(("//", "#", "*", "template", "using", "namespace", "HWY_", "ASAN_", "static_assert")):
            continue
        if '"' not in line:
            yield number, line


def matching(text, opening):
    """Where the parenthesis that opens at `opening` is closed."""
    depth = 0
    for i in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return i
    return None


def spots_of(path):
    text = (ROOT / path).read_text()
    seen = collections.Counter()
    for number, line in code_lines(text):
        code = line.split("//")[0]
        for what, pattern, replacement, choice in RULES:
            for match in re.finditer(pattern, code):
                if what == "shift index" and DECLARATION.search(code[:match.start()]):
                    continue
                begin, end = match.span(1) if match.re.groups and "Write" not in pattern else match.span()
                closing = None
                if what == "condition":
                    closing = matching(code, begin)
                    if closing is None:
                        continue
                    changed = f"{code[:begin]}(!{code[begin:closing]}){code[closing:]}"
                else:
                    changed = code[:begin] + match.expand(replacement) + code[end:]
                key = (line.strip(), changed.strip())
                seen[key] += 1
                yield {"file": path, "line": number, "what": what, "old": line, "new": changed, "nth": seen[key], "begin": begin,
                       "end": end, "closing": closing, "text": code[begin:end],
                       "choice": match.expand(choice) if choice else None}


def edits_of(spots):
    """The texts to put into one line, by place, that make all its spots choices."""
    edits = {}
    for s in spots:
        n, begin, what = s["id"], s["begin"], s["what"]
        if what == "condition":
            edits[(begin + 1, begin + 1)] = f"mutant::flip<{n}>(static_cast<bool>("
            edits[(s["closing"], s["closing"])] = "))"
        elif what == "fused multiply-add":
            edits[(begin - len("hn::"), s["end"])] = f"MUTANT_MULADD({n}, "
        elif what == "maximum":
            edits[(begin - len("hn::"), s["end"])] = f"MUTANT_MAX({n}, "
        elif what == "write mode" and not s["choice"]:
            other = re.sub("accumulate|overwrite", lambda m: "overwrite" if m[0] == "accumulate" else "accumulate", s["text"])
            edits[(begin, s["end"])] = f"(mutant::on({n}) ? {other} : {s['text']})"
        elif what == "drop factor":
            edits[(begin + 1, begin + 2)] = f"* (mutant::times<{n}>) *"
        elif what == "drop term":
            sign = next(o for o in spots if o["what"] == "sign" and o["begin"] == begin + 1)
            edits[(begin + 1, begin + 2)] = f"+ (mutant::plus<{sign['id']}, {n}>) +"
        elif what == "sign" and not s["choice"]:
            name = "plus" if s["text"] == "+" else "minus"
            edits.setdefault((begin, s["end"]), f"{s['text']} (mutant::{name}<{n}, 0>) {s['text']}")
        else:
            edits[(begin, s["end"])] = s["choice"].replace("#", str(n))
    return edits


def with_choices(path, spots):
    """The file's text with all the spots as choices."""
    lines = (ROOT / path).read_text().split("\n")
    by_line = collections.defaultdict(list)
    for s in spots:
        if not s["alone"]:
            by_line[s["line"]].append(s)
    for number, here in by_line.items():
        # A drop that stands with a sign that is compiled alone has nothing to stand on; they go together, by lines.
        line = lines[number]
        for (begin, end), text in sorted(edits_of(here).items(), reverse=True):
            line = line[:begin] + text + line[end:]
        lines[number] = line
    return '#include "scripts/mutants.h"\n' + "\n".join(lines)


def write(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def build(jobs, targets, keep_going=False):
    command = ["ninja", "-C", str(BUILD), f"-j{jobs}"] + (["-k0"] if keep_going else []) + [f"test_{t}" for t in targets]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def build_all(files, jobs, programs):
    """Builds every mutant; lines that do not compile as choices lose them and are marked `alone`."""
    for _ in range(12):
        for path, spots in files.items():
            write(SOURCE / path, with_choices(path, spots))
        result = build(jobs, programs, keep_going=True)
        if result.returncode == 0:
            return
        complaints = [line for line in result.stdout.split("\n") if re.search(r"error:|required from|expansion of", line)]
        places = {(os.path.relpath(os.path.normpath(BUILD / p), SOURCE), int(n) - 2)
                  for line in complaints for p, n in re.findall(r"([\w./-]+\.(?:cpp|h)):(\d+):", line)}
        bad = [s for path, spots in files.items() for s in spots if not s["alone"] and (path, s["line"]) in places]
        print(f"mutate: {len(bad)} spots are compiled alone", flush=True)
        if not bad:
            break
        for s in bad:
            s["alone"] = True
    (WORK / "build.log").write_text(result.stdout)
    sys.exit(f"mutate: does not build, see {WORK}/build.log")


class Stage:
    def __init__(self, name):
        self.name = name
        program, _, tests = name.partition(":")
        self.program = program
        self.command = [str(BUILD / "tests" / f"test_{program}"), "--abort-after=1", f"--test-case-exclude={LEFT_OUT}"]
        if tests:
            patterns = ",".join(f"*{t}*" for t in tests.lstrip("-").split(","))
            self.command.append(("--source-file-exclude=" if tests[0] == "-" else "--source-file=") + patterns)
        self.reached, self.cpu = set(), 0.0

    def run(self, mutant, folder, cpu=3600, reached=None):
        """The exit code, or "hang"."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        environment = {k: v for k, v in os.environ.items() if k not in ("NASCENT_DATA_DIR", "NASCENT_CPU_TARGET")}
        environment |= {"NASCENT_MUTANT": str(mutant), "TMPDIR": str(folder)}
        if reached:
            environment["NASCENT_MUTANTS_REACHED"] = str(reached)

        def limits():
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu) + 1, int(cpu) + 2))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
            resource.setrlimit(resource.RLIMIT_DATA, (6 << 30, 6 << 30))

        process = subprocess.Popen(self.command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=limits, start_new_session=True)
        used, since, code = -1, time.monotonic(), None
        while code is None:
            try:
                code = process.wait(5)
            except subprocess.TimeoutExpired:
                # On a busy machine time says nothing; a program that waits for what never comes uses no processor.
                now = sum(int(x) for x in Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:15])
                if now != used:
                    used, since = now, time.monotonic()
                elif time.monotonic() - since > STALLED:
                    os.killpg(process.pid, 9)
                    process.wait()
                    return "hang"
        return "hang" if code in (-9, -24) else code

    def measure(self):
        """Runs the original and notes the spots it passes, and its time; once per build."""
        stamp = os.stat(self.command[0]).st_mtime_ns
        note = WORK / "stages" / (re.sub(r"\W", "_", self.name) + ".json")
        if note.exists() and (known := json.loads(note.read_text()))["stamp"] == stamp:
            self.cpu, self.reached = known["cpu"], set(known["reached"])
            return
        file = WORK / "reached.txt"
        file.write_text("")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        if self.run(-1, WORK / "tmp" / "measure", reached=file) != 0:
            sys.exit(f"mutate: {' '.join(self.command)} fails without a mutation")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.reached = {int(line) for line in file.read_text().split()}
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps({"stamp": stamp, "cpu": self.cpu, "reached": sorted(self.reached)}))

    def try_mutant(self, mutant, folder):
        return self.run(mutant, folder, 3 + 4 * self.cpu)


def stages_of(path, stages):
    folder = max((f for f in STAGES if path.startswith(f + "/")), key=len)
    stem = re.split(r"[_.-]", Path(path).name)[0]
    for name in dict.fromkeys(name.replace("{}", stem) for name in STAGES[folder]):
        if name not in stages:
            stages[name] = Stage(name)
        yield stages[name]


def judge(spot, stages, folder, jobs):
    """Verdict on one mutant."""
    number = spot["id"]
    if spot["alone"]:  # compiled for itself
        path = SOURCE / spot["file"]
        original = path.read_text()
        lines = original.split("\n")
        lines[spot["line"] + 1] = spot["new"]
        write(path, "\n".join(lines))
        try:
            if build(jobs, sorted({s.program for s in stages})).returncode != 0:
                return "does not compile"
            return run_stages(0, stages, folder)
        finally:
            write(path, original)
    passing = [s for s in stages if number in s.reached]
    return run_stages(number, passing, folder) if passing else "SURVIVED, not reached"


def run_stages(number, stages, folder):
    for stage in stages:
        code = stage.try_mutant(number, folder)
        if code == INVALID:
            return "does not compile"
        if code != 0:
            return f"caught by {stage.name}" + (" (hang)" if code == "hang" else "")
    return "SURVIVED"


def identity(spot):
    return [spot["file"], spot["old"].strip(), spot["new"].strip(), spot["nth"]]


def read_log(hashes):
    """Verdicts on spots of files that are as they were; survivors are tried again when tests changed."""
    verdicts = {}
    for line in LOG.read_text().splitlines() if LOG.exists() else []:
        entry = json.loads(line)
        if hashes.get(entry["spot"][0]) == entry["hash"]:
            verdicts[tuple(entry["spot"])] = entry["verdict"]
    return verdicts


def copy_tree():
    """The tracked files; build files of the copy know nothing of mutated ones yet."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, names):
        if not (ROOT / name).exists():
            continue
        target = SOURCE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        yield name, target


def summary(spots, verdicts, explained):
    counts, survivors = collections.Counter(), []
    for s in spots:
        verdict = verdicts.get(tuple(identity(s)), "not tried")
        if verdict.startswith("SURVIVED"):
            if f"`{s['new'].strip()}`" in explained:
                verdict = "equivalent (docs/mutation.md)"
            else:
                survivors.append((s, verdict))
        counts[verdict.split(" by ")[0].split(",")[0]] += 1
    for s, verdict in survivors:
        print(f"{s['file']}:{s['line'] + 1} {s['what']}: {s['new'].strip()}: {verdict}")
    print(f"mutate: {len(spots)} spots:", ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    return 1 if survivors else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1 << 30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file", action="append", help="the spots of files whose path begins so (may be repeated)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e9, help="draw no more after this long")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--survivors", action="store_true", help="try again those that survived")
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()

    every = sorted(str(p.relative_to(ROOT)) for folder in STAGES for p in (ROOT / folder).glob("*") if p.suffix in (".cpp", ".h") and "drawing" not in p.name)
    files = {path: list(spots_of(path)) for path in every}
    for place, spots in enumerate(files.values()):
        for number, s in enumerate(spots, 1):  # blocks of numbers, so that a change in one file leaves the others as built
            s["id"], s["alone"] = place * 1024 + number, bool(ALONE.search(s["old"]))
    drawn = [s for path, spots in files.items() for s in spots if not args.file or path.startswith(tuple(args.file))]
    random.Random(args.seed).shuffle(drawn)
    drawn = drawn[:args.count]
    if args.list:
        for s in drawn:
            print(f"{s['file']}:{s['line'] + 1}: {s['what']}: {s['new'].strip()}")
        return 0
    hashes = {path: hashlib.sha256((ROOT / path).read_bytes()).hexdigest()[:16] for path in files}
    explained = (ROOT / "docs" / "mutation.md").read_text() if (ROOT / "docs" / "mutation.md").exists() else ""
    verdicts = {} if args.again else read_log(hashes)
    if args.summary:
        return summary(drawn, verdicts, explained)

    for name, target in copy_tree():
        if name not in files and (not target.exists() or target.read_bytes() != (ROOT / name).read_bytes()):
            shutil.copy(ROOT / name, target)
    write(SOURCE / "scripts" / "mutants.h", (ROOT / "scripts" / "mutants.h").read_text())
    for path in files:
        if not (SOURCE / path).exists():
            shutil.copy(ROOT / path, SOURCE / path)
    subprocess.run(["cmake", "-S", str(SOURCE), "-B", str(BUILD), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DNASCENT_CHECKED=ON",
                    "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -w"], check=True, stdout=subprocess.DEVNULL)
    todo = [s for s in drawn if tuple(identity(s)) not in verdicts
            or args.survivors and verdicts[tuple(identity(s))].startswith("SURVIVED")]
    todo.sort(key=lambda s: tuple(identity(s)) not in verdicts)  # survivors first
    stages = {}
    plan = {path: list(stages_of(path, stages)) for path in {s["file"] for s in todo}}
    start = time.monotonic()
    build_all(files, args.jobs, sorted({stage.program for stage in stages.values()}))
    print(f"mutate: built in {time.monotonic() - start:.0f} s", flush=True)
    for stage in stages.values():
        stage.measure()
        print(f"mutate: {stage.name}: {stage.cpu:.1f} s, passes {len(stage.reached)} spots", flush=True)

    start, lock = time.monotonic(), threading.Lock()

    def work(worker, waiting):
        while time.monotonic() - start < args.seconds:
            try:
                spot = waiting.get_nowait()
            except queue.Empty:
                return
            begun = time.monotonic()
            verdict = judge(spot, plan[spot["file"]], WORK / "tmp" / str(worker), args.jobs)
            with lock:
                verdicts[tuple(identity(spot))] = verdict
                with LOG.open("a") as log:
                    log.write(json.dumps({"spot": identity(spot), "hash": hashes[spot["file"]], "verdict": verdict,
                                          "seconds": round(time.monotonic() - begun, 2)}) + "\n")
                if verdict.startswith("SURVIVED"):
                    print(f"{spot['file']}:{spot['line'] + 1} {spot['what']}: {spot['new'].strip()}: {verdict}", flush=True)

    # First what needs no compiler, side by side; then the rest, which change the programs, one after the other.
    for alone, workers in ((False, args.jobs), (True, 1)):
        waiting = queue.SimpleQueue()
        for s in todo:
            if s["alone"] == alone:
                waiting.put(s)
        threads = [threading.Thread(target=work, args=(i, waiting)) for i in range(workers)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    return summary(drawn, verdicts, explained)


if __name__ == "__main__":
    sys.exit(main())
