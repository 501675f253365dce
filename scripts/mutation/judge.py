"""The test cases that mutants meet, and what they say."""
import collections
import html
import json
import os
import queue
import re
import resource
import select
import shutil
import subprocess
import threading
import time
from pathlib import Path

from mutation import place
from mutation.build import INCLUDE, build, write
from mutation.place import BUILD, ROOT, SOURCE, WORK

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
STALLED = 10  # seconds without any processor time
INVALID = 77  # what a mutant exits with that would not compile


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
        if place.march == place.AVX2:  # files without mutants are compiled for every instruction set
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
