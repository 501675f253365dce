#!/usr/bin/env python3
"""Runs a training step here and in plain PyTorch, in turn on the same cores, and prints how many times more PyTorch needs.

  cmake --preset bench && cmake --build --preset bench --target bench_path_step bench_darts_step bench_darts_path_step bench_pcdarts_step bench_mixed_step bench_drnas_step bench_blocks_step bench_chain_step
  bench/compare.py nb201-path --batch 64 [--python ENV/bin/python] [--rounds 3]

Workloads: a path of the NAS-Bench-201 supernet, one of RLNAS's DARTS supernet (darts-path), and steps of searches that mix
all ops, in the DARTS space (with partial channels: pcdarts) and in NAS-Bench-201: of the weights alone, or with an architecture step of the first or second order (-first, -second);
DrNAS's searches in both (drnas-), of the weights alone or with an architecture step (-first);
random paths of SPOS's ShuffleNetV2 and MobileNet at 224 pixels, forward and backward without an optimizer (-blocks), and
whole training steps of both as published (spos-path, mobilenet-path).

Opponents: every Python that has PyTorch (Debian's /usr/bin/python3 and those of --python), in each of: NCHW,
channels_last, torch.compile where it works, and `tuned` (what a user of this supernet might do to be faster at the same
result). In every round ours runs directly before each opponent, on 1 and on 2 threads (with the same paths), and on
both sides the better thread count goes into the round's ratio: once for core-seconds, once for wall time. Shown are
medians over rounds of medians over steps. OpenMP's idle threads sleep (OMP_WAIT_POLICY=passive)."""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# By name: our program, the script in torch/, arguments of both, arguments of the script.
WORKLOADS = {"nb201-path": ("bench_path_step", "step.py", [], []),
             "darts-path": ("bench_darts_path_step", "darts_path_step.py", [], [])}
for space, ours, script, more in (("darts", "bench_darts_step", "darts_step.py", []),
                                  ("pcdarts", "bench_pcdarts_step", "darts_step.py", ["--partial", "4"]),
                                  ("nb201-mixed", "bench_mixed_step", "nb201_mixed_step.py", [])):
    for kind in ("weights", "first", "second"):
        name = space if (space, kind) == ("nb201-mixed", "weights") else f"{space}-{kind}"
        WORKLOADS[name] = (ours, script, ["--step", kind], more)
for space in ("nb201", "nb201-partial", "cifar"):
    for name, kind in ((f"drnas-{space}", "weights"), (f"drnas-{space}-first", "first")):
        WORKLOADS[name] = ("bench_drnas_step", "drnas_step.py", ["--space", space, "--step", kind], [])
for space in ("shufflenet", "mobilenet"):
    WORKLOADS[f"{space}-blocks"] = ("bench_blocks_step", "blocks_step.py", ["--space", space], [])
    WORKLOADS[f"{'spos' if space == 'shufflenet' else space}-path"] = ("bench_chain_step", "chain_step.py", ["--space", space], [])
CONFIGS = {  # by name: arguments of the PyTorch side
    "NCHW": ["--layout", "nchw"],
    "channels_last": ["--layout", "channels_last"],
    "channels_last, tuned": ["--layout", "channels_last", "--tuned"],
    "NCHW, compile": ["--layout", "nchw", "--compile"],
    "channels_last, compile": ["--layout", "channels_last", "--compile"],
    "channels_last, compile, tuned": ["--layout", "channels_last", "--compile", "--tuned"],
}
MIB = 1 << 20


def machine():
    lscpu = dict(line.split(":", 1) for line in subprocess.run(["lscpu"], capture_output=True, text=True,
                                                               check=True).stdout.splitlines() if ":" in line)
    lscpu = {k.strip(): v.strip() for k, v in lscpu.items()}
    flags = set(lscpu.get("Flags", "").split())
    commit = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {"model": lscpu.get("Model name"), "family": lscpu.get("CPU family"), "model_number": lscpu.get("Model"),
            "cores": len(os.sched_getaffinity(0)), "l2": lscpu.get("L2 cache"), "l3": lscpu.get("L3 cache"),
            "instruction_sets": [f for f in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if f in flags],
            "commit": commit.stdout.strip(), "load_before": os.getloadavg()}


def run(command, threads, timeout):
    """The last line's JSON, with the load before it; None and the error's last line where it fails."""
    load = os.getloadavg()[0]
    env = dict(os.environ, OMP_WAIT_POLICY="passive", OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=timeout)
    except subprocess.TimeoutExpired:
        return None, f"no end after {timeout} s"
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return dict(json.loads(done.stdout.strip().splitlines()[-1]), load=load), None


def find_pythons(extra):
    """{interpreter: (torch version, has torch.compile)} of those that can import torch."""
    found = {}
    for python in dict.fromkeys(["/usr/bin/python3", *extra]):
        code = "import torch; print(torch.__version__, int(hasattr(torch, 'compile')))"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True) if os.path.exists(python) else None
        if done is None or done.returncode != 0:
            print(f"{python}: no PyTorch", file=sys.stderr)
            continue
        version, compiles = done.stdout.split()
        found[python] = (version, compiles == "1")
    return found


def ratios(rounds):
    """Of one opponent: medians over rounds. rounds: list of {threads: (ours, theirs)}."""
    def best(side, key, r):
        return min(pair[side][key] for pair in r.values())

    def middle(side, key):
        return statistics.median(best(side, key, r) for r in rounds)

    def ratio(key):
        return [best(1, key, r) / best(0, key, r) for r in rounds]

    growth = middle(1, "rss_growth")
    return {"core_ratio": statistics.median(ratio("core_median")), "core_ratios": ratio("core_median"),
            "wall_ratio": statistics.median(ratio("wall_median")), "wall_ratios": ratio("wall_median"),
            "our_core": middle(0, "core_median"), "their_core": middle(1, "core_median"),
            "our_wall": middle(0, "wall_median"), "their_wall": middle(1, "wall_median"),
            "our_high_water": middle(0, "high_water"), "our_rss_growth": middle(0, "rss_growth"),
            "their_rss_growth": growth, "memory_ratio": middle(0, "high_water") / growth}


def table(results):
    lines = ["| PyTorch | configuration | core-seconds a step: theirs / ours | ratio | wall: theirs / ours | ratio "
             "| memory, MiB: their growth / our high-water (our growth) | ours / theirs |",
             "|---|---|---|---|---|---|---|---|"]
    for r in results:
        if "error" in r:
            lines.append(f"| {r['version']} | {r['config']} | does not work: {r['error'][:80]} | | | | | |")
            continue
        lines.append(
            f"| {r['version']} | {r['config']} | {r['their_core']:.3f} / {r['our_core']:.3f} | **{r['core_ratio']:.2f}** "
            f"| {r['their_wall']:.3f} / {r['our_wall']:.3f} | **{r['wall_ratio']:.2f}** "
            f"| {r['their_rss_growth'] / MIB:.0f} / {r['our_high_water'] / MIB:.0f} ({r['our_rss_growth'] / MIB:.0f}) "
            f"| {r['memory_ratio']:.2f} |")
    return "\n".join(lines)


def report(args, about, pythons, runs, errors, name):
    """Writes the JSON file; returns the list of results, one per opponent that has run."""
    about["load_after"] = os.getloadavg()
    results = []
    for (python, config), rounds in runs.items():
        entry = {"version": pythons[python][0], "config": config, "arguments": CONFIGS[config]}
        if (python, config) in errors:
            entry["error"] = errors[python, config]
        elif rounds:
            entry.update(ratios(rounds), runs=[{str(k): v for k, v in r.items()} for r in rounds])
        else:
            continue
        results.append(entry)
    with open(name, "w") as f:
        json.dump({"workload": args.workload, "batch": args.batch, "rounds": args.rounds, "steps": args.steps,
                   "threads": args.threads, "date": datetime.datetime.now().isoformat(timespec="minutes"),
                   "machine": about, "results": results}, f, indent=1)
        f.write("\n")
    return results


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("workload", choices=sorted(WORKLOADS))
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--warmup", type=int, default=3)
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--python", action="append", default=[], help="another interpreter with PyTorch")
    p.add_argument("--config", action="append", help=f"only these; known: {'; '.join(CONFIGS)}")
    p.add_argument("--winograd", action="store_true", help="ours with Winograd's convolutions")
    p.add_argument("--build", default=os.path.join(HERE, "..", "build", "bench"), help="where the programs are")
    p.add_argument("--results", default=os.path.join(HERE, "..", "build", "compare"),
                   help="folder for the JSON file; what is to stay goes to bench/results")
    p.add_argument("--timeout", type=int, default=900, help="seconds for one run")
    args = p.parse_args()
    for name in args.config or []:
        if name not in CONFIGS:
            p.error(f"no configuration '{name}'; known: {'; '.join(CONFIGS)}")
    program, script, workload, network = WORKLOADS[args.workload]
    program, script = os.path.join(args.build, program), os.path.join(HERE, "torch", script)
    if not os.path.exists(program):
        sys.exit(f"{program} is missing: cmake --preset bench && cmake --build --preset bench --target "
                 f"{os.path.basename(program)}")
    pythons = find_pythons(args.python)
    if not pythons:
        sys.exit("no interpreter with PyTorch; on Debian: apt-get install python3-torch")
    opponents = [(python, config) for python, (_, compiles) in pythons.items() for config in args.config or CONFIGS
                 if compiles or "compile" not in config]
    about, runs, errors = machine(), {o: [] for o in opponents}, {}
    now = datetime.datetime.now()
    name = os.path.join(args.results, f"compare_{args.workload}_{args.batch}{'_winograd' * args.winograd}_{now:%Y-%m-%d}.json")
    os.makedirs(args.results, exist_ok=True)
    if os.path.exists(name):
        sys.exit(f"{name} is there already: move it, or choose another folder by --results")
    sizes = [*workload, "--batch", str(args.batch), "--steps", str(args.steps), "--warmup", str(args.warmup)]
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        if args.workload.endswith("-path"):
            paths = ["--paths", os.path.join(folder, "paths.json")]
            with open(paths[1], "w") as f:
                subprocess.run([program, *workload, "--print-paths", str(args.warmup + args.steps)], stdout=f, check=True)
        for number in range(args.rounds):
            for opponent in opponents:
                if opponent in errors:
                    continue
                python, config = opponent
                pairs = {}
                for threads in args.threads:
                    ours, error = run([program, *sizes, "--threads", str(threads), *["--winograd"] * args.winograd],
                                      threads, args.timeout)
                    if error:
                        sys.exit(f"{program}: {error}")
                    theirs, error = run([python, script, *sizes, *network, "--threads", str(threads), *paths,
                                         *CONFIGS[config]], threads, args.timeout)
                    if error:
                        errors[opponent] = error
                        break
                    pairs[threads] = (ours, theirs)
                    print(f"round {number + 1}, {pythons[python][0]}, {config}, {threads} threads: core "
                          f"{theirs['core_median']:.3f} / {ours['core_median']:.3f}, wall {theirs['wall_median']:.3f} / "
                          f"{ours['wall_median']:.3f}, load {theirs['load']:.1f}", file=sys.stderr, flush=True)
                if len(pairs) == len(args.threads):
                    runs[opponent].append(pairs)
                report(args, about, pythons, runs, errors, name)  # a run that is stopped leaves what it has
    print(table(report(args, about, pythons, runs, errors, name)))
    print(f"\nwritten: {name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
