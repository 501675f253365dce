#!/usr/bin/env python3
"""The reference() of a fused op is composed of primitive ops alone, and this reads the sources of ops/ to see it.

Primitive ops are the functions that ops/reference.h declares; their files in ops/primitive include of ops/ nothing else.
A fused op is a struct with a reference(Inputs). Its files include of ops/ only their own headers, ops/reference.h and what
holds no op. Its reference() and what that uses of its file name no kernel's function and no other op's, and call nothing
but primitive ops, the marks of ops/rounding.h, what is defined beside them, and a few functions that compute nothing.
"""
import pathlib
import re
import sys

PRIMITIVES = "ops/reference.h"
MARKS = "ops/rounding.h"  # where a device rounds; without a scope they compute nothing
NO_OPS = {PRIMITIVES, MARKS, "ops/norm_args.h", "ops/norm_list.h", "ops/kernel_stream.h"}  # headers
# Of views and shapes; `picture_input` reads bytes, which have no gradient.
HARMLESS = {"span", "empty", "fill", "image_of", "static_cast", "NASCENT_CHECK", "picture_input"}
KEYWORDS = {"if", "for", "while", "switch", "return", "sizeof"}
INCLUDE = re.compile(r'^\s*#\s*include\s*"(ops/[^"]+)"', re.MULTILINE)
REFERENCE = re.compile(r"\bTensor\s+(?:(\w+)::)?reference\s*\(\s*Inputs\s+\w*\s*\)\s*const\s*\{")
DECLARED = re.compile(r"^(?:inline )?(?:Tensor|RoundTo)\s+(\w+)\s*\(", re.MULTILINE)
CALL = re.compile(r"(?P<before>::|\.|->)?\s*\b(?P<name>\w+)\s*(?:<[\w:\s,]*>\s*)?\(")
KERNEL = re.compile(r"\bkernels::(?:\w+::)*(\w+)\s*(?:<[^;(]*>)?\s*\(")


def bare(text):
    """Without comments and contents of strings; positions stay."""
    def blank(m):
        return re.sub(r"[^\n\"]", " ", m.group())
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.DOTALL)


def block(text, opening):
    """From a { to its }."""
    depth = 0
    for i in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[opening:i + 1]
    return text[opening:]


def helpers(text):
    """{name: body} of the structs and functions that a file defines, but the fused ops themselves."""
    found = {}
    for m in re.finditer(r"\bstruct\s+(\w+)[^;{(]*\{", text):
        body = block(text, m.end() - 1)
        if "Inputs in) const" not in body or " name =" not in body:
            found[m.group(1)] = body
    for m in re.finditer(r"(?:^|\s)(?:[\w:]+(?:<[^;(){}]*>)?[&*]?\s+)(?:\w+::)?(\w+)\s*\([^;{}]*\)\s*(?:const\s*)?\{", text):
        if m.group(1) not in KEYWORDS | {"reference", "forward", "backward", "cases"}:
            found[m.group(1)] = found.get(m.group(1), "") + block(text, m.end() - 1)
    return found


def complaints(name, text, primitives, ops):
    """What is wrong with the file `name`. ops: functions of ops' own headers that apply an op."""
    includes, text = INCLUDE.findall(text), bare(text)
    stem = pathlib.PurePosixPath(name).stem
    if name.startswith("ops/primitive/"):
        yield from (f"{name}: a primitive op includes {i}" for i in includes if i not in NO_OPS)
        return
    bodies = [block(text, m.end() - 1) for m in REFERENCE.finditer(text)]
    if not bodies:
        return
    yield from (f"{name}: a fused op includes {i}" for i in includes
                if i not in NO_OPS and i != f"ops/{stem}.h" and not i.startswith(f"ops/{stem}_"))
    local, seen = helpers(text), set()
    while bodies:
        body = bodies.pop()
        for m in KERNEL.finditer(body):
            yield f"{name}: reference() calls kernels::{m.group(1)}"
        if re.search(r"\bapply\s*[<(]", body) and "apply" not in local:
            yield f"{name}: reference() applies an op itself"
        for used in set(re.findall(r"\b\w+\b", body)) & set(local) - seen - HARMLESS:
            seen.add(used)
            bodies.append(local[used])
        for m in CALL.finditer(body):
            called = m.group("name")
            if called in ops and called not in primitives | HARMLESS:
                yield f"{name}: reference() calls {called}, which is no primitive op"
            elif m.group("before") or called in primitives | HARMLESS | KEYWORDS or called in local:
                continue
            elif re.search(rf"\bauto\s+{called}\s*=\s*\[", body):  # a lambda, whose body is read with the rest
                continue
            elif not re.search(rf"(?!\breturn\b)\b[\w:]+(?:<[^;(){{}}]*>)?[&*]?\s+{called}\s*\($", body[:m.end()]):  # defined
                yield f"{name}: reference() calls {called}, which is no primitive op"


def check(root):
    read = {p.relative_to(root).as_posix(): p.read_text(encoding="utf-8")
            for p in sorted((root / "ops").rglob("*")) if p.suffix in (".h", ".cpp")}
    primitives = set(DECLARED.findall(bare(read[PRIMITIVES]) + bare(read[MARKS])))
    ops = {f for n, t in read.items() if n.endswith(".h") and n not in (PRIMITIVES, MARKS) for f in DECLARED.findall(bare(t))}
    fused = {n for n, t in read.items() if REFERENCE.search(bare(t))}
    declared = {n for n, t in read.items() if re.search(r"\bTensor reference\(Inputs", bare(t))}
    found = [c for n, t in read.items() for c in complaints(n, t, primitives, ops)]
    if len(fused) < 7 or len(primitives) < 10 or not ops:
        found.append(f"only {len(fused)} fused and {len(primitives)} primitive ops under {root}: is this the root?")
    for n in declared - fused:  # its body is in another file of the same name
        if not any(f.startswith(n.rsplit("_", 1)[0].removesuffix(".h")) for f in fused):
            found.append(f"{n}: declares a reference() whose body was not found")
    return found


def self_test():
    head = '#include "ops/a.h"\n#include "ops/reference.h"\n#include "ops/a_call.h"\n'
    op = "struct A {{ static constexpr const char* name = \"a\"; Tensor reference(Inputs in) const {{ {} }} }};\n"
    good = [head + op.format("return add(relu(in[0]), in[1]);"),
            head + op.format("const kernels::WindowAxis at{1, 2}; return conv2d(in[0], in[1], {at, at});"),
            head + "Tensor twice(Inputs in) { return add(in[0], in[0]); }\n" + op.format("return twice(in);"),
            head + "struct R { Tensor next(int i) { return relu(x); } };\nTensor A::reference(Inputs in) const "
                   "{ R r{in}; return r.next(2); }",
            head + "Tensor A::reference(Inputs in) const { return relu(in[0]); }  // not a_fused(in[0])",
            head + op.format("auto f = [&](int i) {{ return relu(in[i]); }}; return f(0);"),
            "Tensor f(const Tensor& x) { return kernels::f(x); }"]
    bad = [head + op.format("kernels::relu_forward<T>(s, x); return in[0];"),
           head + op.format("return kernels::cpu::relu_forward(s, x);"),
           head + op.format("return a_fused(in[0]);"),
           head + op.format("return nascent::a_fused(in[0]);"),
           head + op.format("return apply(Other{}, {in[0]});"),
           head + op.format("return elsewhere(in[0]);"),
           head + op.format("auto f = [&](int i) {{ return a_fused(in[i]); }}; return f(0);"),
           head + '#include "ops/b.h"\n' + op.format("return relu(in[0]);"),
           head + "Tensor twice(Inputs in) { return a_fused(in[0]); }\n" + op.format("return twice(in);"),
           head + "Tensor once(Inputs in) { kernels::f<T>(in); }\nTensor twice(Inputs in) { return once(in); }\n" +
           op.format("return twice(in);"),
           head + "struct R { Tensor next(int i) { return a_fused(x); } };\nTensor A::reference(Inputs in) const "
                  "{ R r{in}; return r.next(2); }"]
    names = {"add", "relu", "conv2d"}
    wrong = [f"missed: {t}" for t in bad if not list(complaints("ops/a.cpp", t, names, {"a_fused"}))]
    wrong += [f"not wrong: {c}" for t in good for c in complaints("ops/a.cpp", t, names, {"a_fused"})]
    if not list(complaints("ops/primitive/a.cpp", '#include "ops/head.h"\n', names, {"head"})):
        wrong.append("missed: a primitive op that includes a fused one")
    return wrong


def main(arguments):
    found = self_test() if arguments == ["--self-test"] else check(pathlib.Path(arguments[0]))
    print("\n".join(dict.fromkeys(found)) or "references are composed of primitive ops")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
