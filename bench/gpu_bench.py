#!/usr/bin/env python3
"""Times all training steps on a GPU, here and in PyTorch; what scripts/gpu_check.sh calls where the GPU is.

  gpu_bench.py --programs FOLDER --steps OUT/steps.jsonl [--seconds 530] [--workload NAME ...]

Eager PyTorch first, for every workload of compare.py; then ours; then PyTorch's other configurations. A line of JSON a run, with
its workload and configuration, goes into the steps file, and so do failures; what stands there is not run again, so calls of
limited length follow each other. Exit status 3 while something is left."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import compare

BATCHES = {"nb201-path": [64, 256], "spos-path": [128], "mobilenet-path": [128], "shufflenet-blocks": [128],
           "mobilenet-blocks": [128]}  # others: 64
OURS = {"nascent": [], "nascent, tf32": ["--precision", "tf32"], "nascent, bf16": ["--precision", "bf16"]}
EAGER = {"eager": []}
OTHERS = {"strict float32": ["--precision", "strict"],
          "channels_last": ["--layout", "channels_last"],
          "channels_last, bf16": ["--layout", "channels_last", "--precision", "bf16"],
          "channels_last, tuned": ["--layout", "channels_last", "--tuned"],
          "channels_last, compile": ["--layout", "channels_last", "--compile"],
          "channels_last, bf16, compile": ["--layout", "channels_last", "--precision", "bf16", "--compile"]}


def takes_bf16(programs, name):
    """Whether the workload's program says so; activations of chains are float32 alone."""
    program = os.path.join(programs, compare.WORKLOADS[name][0])
    return "tf32,bf16}" in subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout


def plan(workloads, programs):
    """(workload, batch, configuration, arguments, ours) in the order of what is wanted first."""
    stores_bf16 = {name for name in workloads if takes_bf16(programs, name)}
    for configs, ours in ((EAGER, False), (OURS, True)):
        for name in workloads:
            for batch in BATCHES.get(name, [64]):
                for config, arguments in configs.items():
                    if config == "nascent, bf16" and name not in stores_bf16:
                        continue
                    yield name, batch, config, arguments, ours
    for config, arguments in OTHERS.items():
        for name in workloads:
            for batch in BATCHES.get(name, [64]):
                yield name, batch, config, arguments, False


def command_of(args, name, batch, arguments, ours, paths):
    program, script, workload, network = compare.WORKLOADS[name]
    steps, warmup = (args.our_steps, args.our_warmup) if ours else (args.torch_steps, args.torch_warmup)
    sizes = [*workload, "--batch", str(batch), "--steps", str(steps), "--warmup", str(warmup)]
    if ours:
        return [os.path.join(args.programs, program), *sizes, "--device", args.our_device, *arguments]
    return [sys.executable, os.path.join(HERE, "torch", script), *sizes, *network, "--device", args.torch_device, *paths,
            *arguments]


def last_object(text):
    for line in reversed(text.strip().splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--programs", required=True, help="folder of the bench programs")
    p.add_argument("--steps", required=True, help="file to add lines to")
    p.add_argument("--seconds", type=float, default=530, help="begin nothing that may take longer than this in all")
    p.add_argument("--limit", type=float, default=120, help="seconds for one run")
    p.add_argument("--workload", nargs="+", default=sorted(compare.WORKLOADS), choices=sorted(compare.WORKLOADS))
    p.add_argument("--our-device", default="gpu")
    p.add_argument("--torch-device", default="cuda")
    p.add_argument("--our-steps", type=int, default=100)
    p.add_argument("--our-warmup", type=int, default=50, help="captures settle in it")
    p.add_argument("--torch-steps", type=int, default=20)
    p.add_argument("--torch-warmup", type=int, default=10)
    args = p.parse_args()
    until = time.monotonic() + args.seconds
    done = set()
    if os.path.exists(args.steps):
        with open(args.steps) as f:
            done = {(s["workload"], s["batch"], s["config"]) for s in map(json.loads, f)}
    left = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, batch, config, arguments, ours in plan(args.workload, args.programs):
            if (name, batch, config) in done:
                continue
            room = until - time.monotonic()
            if room < 10:
                left += 1
                continue
            paths = []
            if name.endswith("-path") and not ours:
                paths = ["--paths", os.path.join(folder, name)]
                count = args.torch_steps + args.torch_warmup
                program, _, workload, _ = compare.WORKLOADS[name]
                with open(paths[1], "w") as f:
                    subprocess.run([os.path.join(args.programs, program), *workload, "--print-paths", str(count)], stdout=f,
                                   check=True)
            began = time.monotonic()
            command = command_of(args, name, batch, arguments, ours, paths)
            cut_short = room < args.limit
            try:
                ran = subprocess.run(command, capture_output=True, text=True, timeout=min(args.limit, room))
                found = last_object(ran.stdout) if ran.returncode == 0 else None
                error = None if found else (ran.stderr.strip().splitlines() or [f"exit status {ran.returncode}"])[-1][:300]
            except subprocess.TimeoutExpired:
                if cut_short:  # not its fault: again next time
                    left += 1
                    continue
                found, error = None, f"no end after {args.limit:.0f} s"
            line = {"workload": name, "batch": batch, "config": config, **(found or {"error": error})}
            with open(args.steps, "a") as f:
                f.write(json.dumps(line) + "\n")
            print(f"{name} {batch} {config}: {found['wall_median'] * 1000:.3f} ms" if found else f"{name} {batch} {config}: {error}",
                  f"({time.monotonic() - began:.0f} s)", flush=True)
    if left:
        print(f"{left} runs are left: call it again")
    return 3 if left else 0


if __name__ == "__main__":
    sys.exit(main())
