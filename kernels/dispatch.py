#!/usr/bin/env python3
"""Writes the one function that each declaration of a kernel family promises: it calls the CPU's or the GPU's.

    kernels/dispatch.py kernels/conv.h build/kernels/conv.cpp

Every function of the header whose first parameter is a `const Stream&` is a kernel. `kernels/cpu` defines it in namespace
nascent::kernels::cpu, `kernels/cuda` in nascent::kernels::gpu; what one of them lacks or declares otherwise, the linker
names. Templates are over one element type T, float or double.
"""
import re
import sys

DECLARATION = re.compile(r"^(?P<template>template <class T>\s+)?(?P<type>[\w:]+) (?P<name>\w+)\((?P<parameters>const Stream&[^;{}]*)\);",
                         re.MULTILINE)


def split(parameters):
    """At the commas that no <> encloses."""
    parts, depth, start = [], 0, 0
    for i, character in enumerate(parameters):
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(parameters[start:i])
            start = i + 1
    return [" ".join(p.split()) for p in parts + [parameters[start:]]]


def bare(parameter):
    """A parameter's type, without its name."""
    match = re.fullmatch(r"(.*[\s*&>])(\w+)", parameter)
    # `int terms` has a name; `std::size_t`, `bool` and `const T*` have none.
    return match[1].strip() if match and match[1].strip() not in ("const", "unsigned") else parameter


def kernel(declaration):
    template, result, name = declaration["template"], declaration["type"], declaration["name"]
    types = [bare(p) for p in split(declaration["parameters"])]
    named = ", ".join(f"{t} a{i}" for i, t in enumerate(types))
    passed = ", ".join(f"a{i}" for i in range(len(types)))
    head, of = ("template <class T>\n", "<T>") if template else ("", "")
    lines = [f"namespace {where} {{\n{head}{result} {name}({', '.join(types)});\n}}" for where in ("cpu", "gpu")]
    lines.append(f"{head}{result} {name}({named}) {{\n"
                 f"    return a0.where == Where::gpu ? gpu::{name}{of}({passed}) : cpu::{name}{of}({passed});\n}}")
    if template:
        for t in ("float", "double"):
            concrete = ", ".join(re.sub(r"\bT\b", t, p) for p in types)
            lines.append(f"template {result} {name}<{t}>({concrete});")
    return "\n".join(lines)


def main(header, output):
    with open(header, encoding="utf-8") as f:
        text = re.sub(r"//[^\n]*", "", f.read())
    kernels = [kernel(m) for m in DECLARATION.finditer(text)]
    if len(kernels) != len(re.findall(r"\(const Stream&", text)):
        sys.exit(f"{header}: a function of a Stream that is no plain declaration")
    body = "\n\n".join(kernels)
    with open(output, "w", encoding="utf-8") as f:
        f.write(f'// Made from {header} by kernels/dispatch.py.\n#include "{header}"\n\nnamespace nascent::kernels {{\n\n{body}\n\n}}\n')


if __name__ == "__main__":
    main(*sys.argv[1:])
