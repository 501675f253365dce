"""The spots of a file that can be changed, and the texts that make them choices of one build."""
import collections
import hashlib
import re

from mutation.place import ROOT

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
