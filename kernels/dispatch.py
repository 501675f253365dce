#!/usr/bin/env python3
"""Writes the one function that each declaration of a kernel family promises: it calls the CPU's or the GPU's.

    kernels/dispatch.py kernels/conv.h build/kernels/conv.cpp

Every function of the header whose first parameter is a `const Stream&` is a kernel. `kernels/cpu` defines it in namespace
nascent::kernels::cpu, `kernels/cuda` in nascent::kernels::gpu; what one of them lacks or declares otherwise, the linker
names. Templates are over one element type: T is float or double; S, what is stored, BFloat16 too, which only the GPU has
(kernels/element.h).
"""
import re
import sys

ONLY_GPU = """static void only_gpu(const Stream& stream) {
    if (stream.where != Where::gpu) throw std::invalid_argument("bfloat16 is stored by the gpu alone");
}

"""
DECLARATION = re.compile(r"^(?:template <class (?P<element>[ST])>\s+)?(?P<type>[\w:]+) (?P<name>\w+)\((?P<parameters>const Stream&[^;{}]*)\);",
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
    element, result, name = declaration["element"], declaration["type"], declaration["name"]
    types = [bare(p) for p in split(declaration["parameters"])]
    named = ", ".join(f"{t} a{i}" for i, t in enumerate(types))
    passed = ", ".join(f"a{i}" for i in range(len(types)))
    head, of = (f"template <class {element}>\n", f"<{element}>") if element else ("", "")
    lines = [f"namespace {where} {{\n{head}{result} {name}({', '.join(types)});\n}}" for where in ("cpu", "gpu")]
    lines.append(f"{head}{result} {name}({named}) {{\n"
                 f"    return a0.where == Where::gpu ? gpu::{name}{of}({passed}) : cpu::{name}{of}({passed});\n}}")
    if element:
        def instance(of):
            concrete = ", ".join(re.sub(rf"\b{element}\b", of, p) for p in types)
            return f"{result} {name}<{of}>({concrete})"
        if element == "S":
            parameters = ", ".join(re.sub(r"\bS\b", "BFloat16", p) + f" a{i}" for i, p in enumerate(types))
            lines.append(f"template <>\n{result} {name}<BFloat16>({parameters}) {{\n    only_gpu(a0);\n"
                         f"    return gpu::{name}<BFloat16>({passed});\n}}")
        lines += [f"template {instance(of)};" for of in ("float", "double")]
    return "\n".join(lines)


def main(header, output):
    with open(header, encoding="utf-8") as f:
        text = re.sub(r"//[^\n]*", "", f.read())
    kernels = [kernel(m) for m in DECLARATION.finditer(text)]
    if len(kernels) != len(re.findall(r"\(const Stream&", text)):
        sys.exit(f"{header}: a function of a Stream that is no plain declaration")
    body = "\n\n".join(kernels)
    with open(output, "w", encoding="utf-8") as f:
        f.write(f'// Made from {header} by kernels/dispatch.py.\n#include "{header}"\n\n#include <stdexcept>\n\nnamespace nascent::kernels {{\n\n{ONLY_GPU if "only_gpu" in body else ""}{body}\n\n}}\n')


if __name__ == "__main__":
    main(*sys.argv[1:])
