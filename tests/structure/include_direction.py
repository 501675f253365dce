#!/usr/bin/env python3
"""Dependencies between the folders run one way, and this reads every #include to see it.

    kernels <--+
               +-- ops <-- nas <-- apps
    engine  <--+

Kernels and engine are siblings; below both is kernels/simt, which stands in for the CUDA runtime. nas reaches kernels only
through ops. A .cu file includes neither fmt nor Eigen.
"""
import pathlib
import re
import sys

ALLOWED = {
    "kernels": {"kernels"},
    "engine": {"engine"},
    "ops": {"engine", "kernels", "ops"},
    "nas": {"engine", "ops", "nas"},
    "apps": {"engine", "nas", "apps"},
}
BELOW = "kernels/simt/"  # to be included by both siblings; includes nothing but itself
FOLDERS = set(ALLOWED) | {"tests", "bench"}
SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}
NOT_IN_CUDA = ("fmt/", "Eigen/", "unsupported/Eigen/")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def complaints(name, text, root):
    """What is wrong with the includes of the file `name` (relative to the root)."""
    path = pathlib.PurePosixPath(name)
    folder = path.parts[0]
    for match in INCLUDE.finditer(text):
        quote, target = match.groups()
        line = text.count("\n", 0, match.start(2)) + 1
        first = target.split("/")[0]
        if path.suffix in (".cu", ".cuh") and target.startswith(NOT_IN_CUDA):
            yield f"{name}:{line}: {target} in a CUDA file"
        if quote == '"' and first not in FOLDERS:
            yield f'{name}:{line}: "{target}" is not a path from the repository root'
        elif quote == "<" and first in FOLDERS and "/" in target:
            yield f'{name}:{line}: <{target}> is this project\'s, write "{target}"'
        elif quote == '"' and name.startswith(BELOW) and not target.startswith(BELOW):
            yield f"{name}:{line}: {BELOW} must include nothing but itself, not {target}"
        elif quote == '"' and first not in ALLOWED[folder] and not (folder == "engine" and target.startswith(BELOW)):
            yield f"{name}:{line}: {folder} must not include {target} (only {', '.join(sorted(ALLOWED[folder]))})"
        elif quote == '"' and root is not None and not (root / target).is_file():
            yield f"{name}:{line}: {target} does not exist"


def check(root):
    files = sorted(p for folder in ALLOWED for p in (root / folder).rglob("*") if p.suffix in SUFFIXES)
    if len(files) < 10:
        return [f"only {len(files)} sources under {root}: is this the repository's root?"]
    return [c for p in files for c in complaints(p.relative_to(root).as_posix(), p.read_text(encoding="utf-8"), root)]


def self_test():
    bad = [
        ("kernels/a.cpp", '#include "engine/base/error.h"'),
        ("engine/a.cpp", '#include "kernels/conv.h"'),
        ("engine/a.h", '#include "ops/a.h"'),
        ("ops/a.cu", '#include "nas/a.h"'),
        ("kernels/simt/a.h", '#include "kernels/stream.h"'),
        ("ops/a.h", '#include "nas/a.h"'),
        ("nas/run/a.h", '  #  include "kernels/conv.h"'),
        ("nas/a.h", '#include "apps/x/a.h"'),
        ("apps/x/main.cpp", '#include "ops/a.h"'),
        ("engine/a.cpp", '#include "error.h"'),
        ("engine/a.cpp", "#include <engine/base/error.h>"),
        ("engine/a.cpp", '#include "tests/temporary_folder.h"'),
        ("kernels/cuda/a.cu", "#include <fmt/format.h>"),
        ("kernels/cuda/a.cuh", "#include <Eigen/Core>"),
    ]
    good = [
        ("kernels/cpu/a.cpp", '#include "kernels/conv.h"\n#include <hwy/highway.h>'),
        ("engine/a.cpp", '#include <vector>\n// see "kernels/conv.h"\n#include <fmt/format.h>'),
        ("ops/a.cpp", '#include "kernels/conv.h"\n#include "engine/base/error.h"'),
        ("nas/a.cpp", '#include "ops/a.h"'),
        ("engine/streams/a.cpp", '#include "kernels/simt/emulator.h"'),
        ("apps/x/main.cpp", '#include "nas/run/config.h"'),
    ]
    wrong = [f"missed: {name}: {text}" for name, text in bad if not list(complaints(name, text, None))]
    wrong += [f"not wrong: {c}" for name, text in good for c in complaints(name, text, None)]
    return wrong


def main(arguments):
    found = self_test() if arguments == ["--self-test"] else check(pathlib.Path(arguments[0]))
    print("\n".join(found) or "includes point the right way")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
