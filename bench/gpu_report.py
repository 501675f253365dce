#!/usr/bin/env python3
"""From what scripts/gpu_check.sh left in a folder: bench/results/gpu_DATE.json and gpu_DATE.md.

  bench/gpu_report.py OUT [--results FOLDER]"""
import argparse
import json
import pathlib
import sys


def text(folder, name):
    path = folder / name
    return path.read_text(encoding="utf-8").strip() if path.exists() else "unknown"


def label(s):
    if s.get("program") == "nascent":
        return "nascent, " + s.get("precision", "float32")
    if s["config"].startswith("nascent"):  # did not work
        return s["config"]
    return f"PyTorch {s.get('version', '')}, {s['config']}"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--results", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent / "results")
    args = p.parse_args()
    if not (args.folder / "date").exists():
        sys.exit(f"{args.folder}: no results of scripts/gpu_check.sh")
    steps = [json.loads(line) for line in text(args.folder, "steps.jsonl").splitlines() if line.startswith("{")]
    done = text(args.folder, "steps").splitlines()
    about = {name: text(args.folder, name) for name in ("date", "commit", "gpu")}
    args.results.mkdir(parents=True, exist_ok=True)
    base = args.results / f"gpu_{about['date']}"
    base.with_suffix(".json").write_text(json.dumps({**about, "checks": done, "steps": steps}, indent=1) + "\n")
    lines = [f"# On a GPU, {about['date']}", "", f"{about['gpu']}; commit {about['commit']}; made by `scripts/gpu_check.sh`.", "",
             "| check | result |", "|---|---|"]
    lines += ["| " + " | ".join(line.split(" ", 1)) + " |" for line in done]
    for name, batch in sorted({(s["workload"], s["batch"]) for s in steps}):
        rows = [s for s in steps if (s["workload"], s["batch"]) == (name, batch)]
        ours = [s for s in rows if s["config"] == "nascent" and "error" not in s]
        lines += ["", f"## {name}, batch {batch}", "", "| what | ms a step, median | times ours | device MiB |", "|---|---|---|---|"]
        for s in rows:
            if "error" in s:
                lines.append(f"| {label(s)} | does not work: {s['error'][:100]} | | |")
                continue
            ratio = f"{s['wall_median'] / ours[0]['wall_median']:.2f}" if ours else ""
            size = s.get("device_bytes") or s.get("high_water", 0)
            lines.append(f"| {label(s)} | {1000 * s['wall_median']:.3f} | {ratio} | {size / (1 << 20):.0f} |")
    base.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print(base.with_suffix(".md"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
