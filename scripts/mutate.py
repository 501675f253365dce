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
import hashlib
import html
import json
import os
import queue
import random
import re
import resource
import select
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutate"
SOURCE = WORK / "source"
BUILD = SOURCE / "build" / "cpu"  # the place of other builds, which ccache may know the files from
LOG = WORK / "log.jsonl"
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
# Test cases that go through all ops; they run for one op at a time.
EVERY_OP = ("gradients equal difference quotients on the cpu", "gradients equal difference quotients with Winograd's convolution",
            "fused ops equal their reference in value and all gradients", "gradients accumulate",
            "a gradient that one input has already is added to, and no other",
            "only wanted gradients are written, and wanting fewer changes no bit",
            "the same bits with one to four threads, and after a reset", "captured and replayed equals eager to the bit",
            "gradients equal difference quotients on the gpu", "the gpu computes what the cpu computes",
            "ops on the gpu give the same bits in every order of the threads",
            "ops in bf16 on the gpu are as far from float64's as their roundings make them",
            "ops in bf16 on the gpu are the model that rounds where they store, input by input",
            "ops in bf16 on the gpu have float32's numbers, rounded once, where nothing is rounded on the way")
# Take long and see nothing that others do not, or need more than one instruction set; and what runs on the emulated gpu.
LEFT_OUT = r"200 steps learn|^targets?\b|every target"
ON_THE_GPU = r"on the gpu|on either device|emulat"
STALLED = 10  # seconds without any processor time
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
    ("shift index", r"(?<=[\w)\]])\[(\w+)\](?!\.dtype)", r"\1 + 1", r"mutant::shift<#>(\1)"),
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

# Statements and types that say which memory is asked for ahead or has to be written by now, and can change no number.
HINT = re.compile(r"Prefetch\(|_prefetch\(|\bahead\.(add|step)\(|\bnext\.add\(|FlushStream\(|^const NextStrip |^(const )?int next_count\b|"
                  r"^(class Ahead|struct NextStrip) ")
# Lines that are compiled alone from the beginning: constants, and declarations in conditions.
ALONE = re.compile(r"constexpr.* = |\bif constexpr|[+-]= \{|\bif \([^()]*(;|[^=!<>]=[^=])")
# What stands before the extent of an array that is declared: T w, or T (&acc), and other extents.
DECLARATION = re.compile(r"(^|[;(,{] ?)\s*(?!return|else)([\w:]+ )*[\w:]+(<[^<>]*>)?[*&]* [*&]*(\w+|\(&\w+\))(\[\w+\])*$")


def code_lines(text):
    """(number, line) of lines that are neither comments, declarations of strings, checks and their messages nor the sample
    calls of ops, which are tests themselves."""
    message, sample = False, None
    for number, line in enumerate(text.split("\n")):
        bare = line.strip()
        if match := re.match(r"( *)(static std::vector<Case> cases\(\) \{$|std::vector<Case> \w+::cases\(\) \{$|(?!return)\w+ sample\()", line):
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


def hints(lines):
    """The numbers of the lines that belong to a HINT."""
    inside = None
    for number, line in lines:
        if inside is None and HINT.search(line.strip()):
            inside = "};" if line.startswith(("class", "struct")) else ";"
        if inside:
            yield number
            if line == inside or inside == ";" and line.split("//")[0].rstrip().endswith((";", "}")):
                inside = None


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
    numbered = list(code_lines(text))
    hint = set(hints(numbered))
    for place, (number, line) in enumerate(numbered):
        if number in hint:
            continue
        around = "\n".join(l.strip() for _, l in numbered[max(0, place - 2):place] + numbered[place + 1:place + 3])
        around = hashlib.sha256(around.encode()).hexdigest()[:12]
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
                key = (line.strip(), changed.strip(), around)
                seen[key] += 1
                yield {"file": path, "line": number, "what": what, "old": line, "new": changed, "around": around, "nth": seen[key], "begin": begin,
                       "end": end, "closing": closing, "text": code[begin:end],
                       "choice": match.expand(choice) if choice else None}


def compiled_alone(spot):
    """Whether the spot is in a constant, or where something is declared; what stands behind a condition is in neither."""
    line = spot["old"].split("//")[0]
    if match := re.search(r"\bif constexpr (\()", line):
        return spot["begin"] < (matching(line, match.start(1)) or len(line))
    if re.search(r"\bif \([\w.]+ [+-]= [^;()]*;", line):
        return spot["what"] == "condition"
    return bool(ALONE.search(line))


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
            sign = next((o["id"] for o in spots if o["what"] == "sign" and o["begin"] == begin + 1), 0)
            edits[(begin + 1, begin + 2)] = f"+ (mutant::plus<{sign}, {n}>) +"
        elif what == "sign" and not s["choice"]:
            name = "plus" if s["text"] == "+" else "minus"
            edits.setdefault((begin, s["end"]), f"{s['text']} (mutant::{name}<{n}, 0>) {s['text']}")
        else:
            edits[(begin, s["end"])] = s["choice"].replace("#", str(n))
    return edits


INCLUDE = '#include "scripts/mutants.h"\n'
machine = Path("/proc/cpuinfo").read_text()
MARCH = "skylake-avx512" if "avx512vl" in machine else "haswell" if "avx2" in machine else "native"


def with_choices(path, spots, includes_some):
    """The file's text with the spots as choices; what only includes such files is compiled as they are."""
    if not spots:
        return (INCLUDE if includes_some and path.endswith(".cpp") else "") + (ROOT / path).read_text()
    lines = (ROOT / path).read_text().split("\n")
    by_line = collections.defaultdict(list)
    for s in spots:
        by_line[s["line"]].append(s)
    for number, here in by_line.items():
        # A drop that stands with a sign that is compiled alone has nothing to stand on; they go together, by lines.
        line = lines[number]
        for (begin, end), text in sorted(edits_of(here).items(), reverse=True):
            line = line[:begin] + text + line[end:]
        lines[number] = line
    return INCLUDE + "\n".join(lines) + f"// {MARCH}\n"  # what is built for another is built again


def including(files, changed):
    """The files that include one of those that are changed, by way of others too."""
    includes = {path: set(re.findall(r'^#include "([^"]+)"', (ROOT / path).read_text(), re.M)) for path in files}
    found, before = set(changed), None
    while found != before:
        before = set(found)
        found |= {path for path in files if includes[path] & before}
    return found


def write(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def build(jobs, targets, keep_going=False):
    command = ["ninja", "-C", str(BUILD), f"-j{jobs}"] + (["-k0"] if keep_going else []) + [f"test_{t}" for t in targets]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, "NASCENT_MUTANT_TARGET": f"-march={MARCH}"})


class Choices:
    """Which spots of a file are choices in the build: those to be tried, or more where they are built already."""

    NOTE = WORK / "choices.json"

    def __init__(self, files, todo):
        self.files, self.built = files, json.loads(self.NOTE.read_text()) if self.NOTE.exists() else {}
        ids = {s["id"] for s in todo}
        for path, spots in files.items():
            state = hashlib.sha256(f"{[s['id'] for s in spots[:1]]} {(ROOT / path).read_text()}".encode()).hexdigest()
            known = self.built.get(path)
            known = known if known and known["state"] == state else {"state": state, "alone": [], "ids": []}
            for s in spots:
                s["alone"] |= s["id"] in known["alone"]
            wanted = [s["id"] for s in spots if s["id"] in ids and not s["alone"]]
            self.built[path] = known if set(wanted) <= set(known["ids"]) else {**known, "ids": wanted}

    def write(self):
        """Writes the sources, and notes it."""
        some = including(self.files, [path for path, here in self.built.items() if path in self.files and here["ids"]])
        for path, spots in self.files.items():
            here = self.built[path]
            ids = set(here["ids"])
            chosen = [s for s in spots if s["id"] in ids and not s["alone"]]
            here |= {"ids": [s["id"] for s in chosen], "alone": [s["id"] for s in spots if s["alone"]]}
            write(SOURCE / path, with_choices(path, chosen, path in some))
        self.NOTE.write_text(json.dumps(self.built))


def build_all(files, todo, jobs, programs):
    """Builds the mutants; lines that do not compile as choices lose them and are marked `alone`."""
    choices = Choices(files, todo)
    for _ in range(12):
        choices.write()
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


class Unit:
    """A test case, or one for one op."""

    def __init__(self, program, case, op=None):
        self.program, self.case, self.op = program, case, op
        self.name = f"{program}: {case}" + (f" ({op})" if op else "")
        pattern = case.replace("\\", "\\\\").replace(",", "\\,")
        self.command = [str(BUILD / "tests" / f"test_{program}"), "--abort-after=1", f"--test-case={pattern}"]
        self.reached, self.cpu = frozenset(), 0.0

    def run(self, mutant, folder, cpu=3600, reached=None):
        """(the exit code or "hang", the processor time)."""
        folder.mkdir(parents=True, exist_ok=True)
        for left in os.listdir(folder):
            shutil.rmtree(folder / left) if (folder / left).is_dir() else (folder / left).unlink()
        unset = ("NASCENT_CPU_TARGET", "NASCENT_EMULATE", "NASCENT_ONLY_OP")
        environment = {k: v for k, v in os.environ.items() if k not in unset}
        environment |= {"NASCENT_MUTANT": str(mutant), "TMPDIR": str(folder)}
        if MARCH == "haswell":  # files without mutants are compiled for every instruction set
            environment["NASCENT_CPU_TARGET"] = "avx2"
        if self.op:
            environment["NASCENT_ONLY_OP"] = self.op
        if reached:
            environment["NASCENT_MUTANTS_REACHED"] = str(reached)

        def limits():
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu) + 1, int(cpu) + 2))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
            resource.setrlimit(resource.RLIMIT_DATA, (6 << 30, 6 << 30))

        process = subprocess.Popen(self.command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=limits, process_group=0)  # a session would have a share of the processor of its own
        ended = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(ended, select.POLLIN)
            used, since, hang = -1, time.monotonic(), False
            while not poll.poll(5000):
                # On a busy machine time says nothing; a program that waits for what never comes uses no processor.
                now = sum(int(x) for x in Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:15])
                if now != used:
                    used, since = now, time.monotonic()
                elif time.monotonic() - since > STALLED:
                    os.killpg(process.pid, 9)
                    hang = True
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            os.close(ended)
        process.returncode = code = os.waitstatus_to_exitcode(status)
        return "hang" if hang or code in (-9, -24) else code, usage.ru_utime + usage.ru_stime

    def measure(self, folder, longest):
        """Runs the original and notes the spots it passes, and its time. Fails where it takes longer than `longest`."""
        file = folder / "reached.txt"
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text("")
        code, self.cpu = self.run(-1, folder / "tmp", longest, reached=file)
        self.reached = frozenset(int(line) for line in file.read_text().split())
        return code == 0


def units_of(program, jobs, longest, cases, left_out):
    """The program's test cases with the spots that they pass; measured once per build."""
    binary = BUILD / "tests" / f"test_{program}"
    stamp = os.stat(binary).st_mtime_ns
    note = WORK / "units" / f"{program}.json"
    listed = subprocess.run([binary, "--list-test-cases", "--reporters=xml"], capture_output=True, text=True, check=True).stdout
    names = dict.fromkeys(html.unescape(n) for n in re.findall(r'<TestCase name="([^"]*)"', listed))
    ops = sorted({n for p in (ROOT / "ops").rglob("*") if p.suffix in (".h", ".cpp")
                  for n in re.findall(r'static constexpr const char\* name = "([a-z0-9_]+)";', p.read_text())})
    units = [Unit(program, name, op) for name in names if not re.search(left_out, name) and (not cases or re.search(cases, name))
             for op in (ops if program == "ops" and name in EVERY_OP else [None])]
    if note.exists() and (known := json.loads(note.read_text()))["stamp"] == [stamp, cases, longest]:
        units = [u for u in units if u.name in known["units"]]
        for u in units:
            u.cpu, reached = known["units"][u.name]
            u.reached = frozenset(reached)
        return units
    waiting, bad = queue.SimpleQueue(), []
    for u in units:
        waiting.put(u)

    def work(worker):
        while not waiting.empty():
            unit = waiting.get()
            if not unit.measure(WORK / "tmp" / f"measure{worker}", longest):
                bad.append(unit)

    parallel(work, jobs)
    for u in bad:
        print(f"mutate: {u.name}: fails without a mutation, or takes too long, and is left out", flush=True)
    units = [u for u in units if u not in bad]
    note.parent.mkdir(exist_ok=True)
    note.write_text(json.dumps({"stamp": [stamp, cases, longest], "units": {u.name: (u.cpu, sorted(u.reached)) for u in units}}))
    return units


def parallel(work, workers):
    threads = [threading.Thread(target=work, args=(i,)) for i in range(workers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


class Judge:
    """Knows the test cases of the programs and which of them catch what."""

    def __init__(self, units, budget):
        self.units, self.budget = units, budget  # units: by program
        self.tries, self.catches = collections.Counter(), collections.Counter()

    def expense(self, file, unit):
        """What it costs to catch one mutant of this file by this test case, as far as is known."""
        return (unit.cpu + 0.02) * (self.tries[file, unit.name] + 2) / (self.catches[file, unit.name] + 0.5)

    def meet(self, spot, number, programs, folder):
        """Verdict on a mutant; `programs` are those that it is to meet."""
        reached, spent, total = False, 0.0, 0.0
        for program in programs:
            passing = [u for u in self.units[program] if number == 0 or number in u.reached]
            reached |= bool(passing)
            total += sum(u.cpu for u in passing)
            for unit in sorted(passing, key=lambda u: self.expense(spot["file"], u)):
                if spent > 0 and spent + unit.cpu > self.budget:
                    continue
                code, cpu = unit.run(number, folder, 1 + 4 * unit.cpu)
                spent += cpu
                if code == INVALID:
                    return "does not compile"
                self.tries[spot["file"], unit.name] += 1
                if code != 0:
                    self.catches[spot["file"], unit.name] += 1
                    return f"caught by {unit.name}" + (" (hang)" if code == "hang" else "")
        if not reached:
            return "SURVIVED, not reached"
        return "SURVIVED" if total <= self.budget else f"SURVIVED, met {spent:.0f} s of {total:.0f} s"

    def alone(self, spot, programs, folder, jobs):
        """The same for one that is compiled for itself."""
        path = SOURCE / spot["file"]
        original = path.read_text()
        lines = original.split("\n")
        lines[spot["line"] + original.startswith(INCLUDE)] = spot["new"]
        write(path, "\n".join(lines))
        try:
            if build(jobs, programs).returncode != 0:
                return "does not compile"
            return self.meet(spot, 0, programs, folder)
        finally:
            write(path, original)


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


def prepare(files, emulator):
    """The tree's copy and its build folder; files with mutants are written later."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, names):
        source, target = ROOT / name, SOURCE / name
        if not source.exists() or name in files and target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".cu" and not emulator:  # they compile slowly, and their tests take long
            write(target, "")
        elif name == "tests/gpu_device.h" and not emulator:
            write(target, source.read_text().replace('setenv("NASCENT_EMULATE", "1", 1);', "return nullptr;"))
        elif name == "tests/main.cpp":  # a handler that runs while the heap is broken waits for ever
            write(target, "#define DOCTEST_CONFIG_NO_POSIX_SIGNALS\n" + source.read_text())
        elif not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copy(source, target)
    if (BUILD / "CMakeCache.txt").exists() and (BUILD / "CMakeCache.txt").stat().st_mtime > max(
            (SOURCE / n).stat().st_mtime for n in filter(None, names) if Path(n).name == "CMakeLists.txt"):
        return  # new files are found by the build
    subprocess.run(["cmake", "-S", str(SOURCE), "-B", str(BUILD), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DNASCENT_CUDA=OFF",
                    "-DCMAKE_COMPILE_WARNING_AS_ERROR=1", f"-DCCACHE={ROOT}/scripts/mutant_compiler.sh",
                    "-DCMAKE_EXE_LINKER_FLAGS=-no-pie -Wl,--unresolved-symbols=ignore-all"], check=True, stdout=subprocess.DEVNULL)


def explanations(path):
    """(file, changed line) of the mutants that are equivalent: `* `file`` and below it `  * `line`: why`."""
    found, file = set(), None
    for line in path.read_text().split("\n"):
        if match := re.match(r"\* `([^`]+)`$", line):
            file = match[1]
        elif match := re.match(r"  \* `(.+?)`: ", line):
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
    for place, spots in enumerate(files.values()):
        for number, s in enumerate(spots, 1):  # blocks of numbers, so that a change in one file leaves the others as built
            s["id"], s["alone"] = place * 512 + number, compiled_alone(s)
    drawn = [s for path, spots in files.items() for s in spots if not args.file or any(belongs(path, f) for f in args.file)]
    random.Random(args.seed).shuffle(drawn)
    drawn = drawn[:args.count]
    if args.file:
        drawn.sort(key=lambda s: next(i for i, f in enumerate(args.file) if belongs(s["file"], f)))
    if args.list:
        for s in drawn:
            print(f"{s['file']}:{s['line'] + 1}: {s['what']}: {s['new'].strip()}")
        return 0
    explained = explanations(ROOT / "docs" / "mutation.md")
    verdicts = {} if args.again else read_log(args.log)
    if args.summary:
        return summary(drawn, verdicts, explained)

    if args.avx2:
        global MARCH
        MARCH = "haswell"
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
