"""The copy of the tree in which mutants are choices, and its build."""
import collections
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from mutation import place
from mutation.place import BUILD, ROOT, SOURCE, WORK
from mutation.spots import edits_of

INCLUDE = '#include "scripts/mutants.h"\n'


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
    return INCLUDE + "\n".join(lines) + f"// {place.march}\n"  # what is built for another is built again


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
                          env={**os.environ, "NASCENT_MUTANT_TARGET": f"-march={place.march}"})


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
            write(target, source.read_text().replace('setenv("NASCENT_EMULATE", "1", 1);',
                                                            'if (std::getenv("PATH")) return nullptr;'))  # none that the compiler knows of
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
