#!/usr/bin/env python3
"""Prepares training batches here and with torchvision, in turn on the same cores, and prints how many times more torchvision
needs for a picture: of the JPEG files, and of them against our pack of the same pictures (shorter side 256).

  cmake --preset bench && cmake --build --preset bench --target bench_pictures
  bench/compare_pictures.py FOLDER [--python /usr/bin/python3] [--rounds 5]

FOLDER holds a folder per class. In every round ours runs on the files and on the pack directly before torchvision, all with the
same batch and workers; ratios are medians over rounds, of core-seconds and of wall time."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data")
    p.add_argument("--pipeline", choices=["spos", "imagenet"], default="spos")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    p.add_argument("--epochs", type=int, default=3)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--python", default="/usr/bin/python3")
    p.add_argument("--build", default=os.path.join(HERE, "..", "build", "bench"), help="where bench_pictures is")
    p.add_argument("--results", help="write the runs to this JSON file")
    args = p.parse_args()
    program = os.path.join(args.build, "bench_pictures")
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        pack = os.path.join(folder, "train.pack")
        run([program, args.data, "--pack", pack])
        for workers in args.workers:
            for number in range(args.rounds):
                same = ["--pipeline", args.pipeline, "--batch", str(args.batch), "--workers", str(workers), "--epochs",
                        str(args.epochs)]
                load = os.getloadavg()[0]
                row = {"workers": workers, "load": load, "files": run([program, args.data, *same]),
                       "pack": run([program, pack, *same]),
                       "torchvision": run([args.python, os.path.join(HERE, "torch", "pictures.py"), args.data, *same])}
                runs.append(row)
                print(f"{workers} workers, round {number + 1}, ms of a core a picture: files {1e3 * row['files']['core']:.2f}, "
                      f"pack {1e3 * row['pack']['core']:.2f}, torchvision {1e3 * row['torchvision']['core']:.2f}, load {load:.1f}",
                      file=sys.stderr, flush=True)
    print("| workers | kind | ms of a core a picture: torchvision / files / pack | files | pack |\n|---|---|---|---|---|")
    for workers in args.workers:
        mine = [r for r in runs if r["workers"] == workers]
        for kind in ("core", "wall"):
            times = [1e3 * statistics.median(r[side][kind] for r in mine) for side in ("torchvision", "files", "pack")]
            ratio = {side: statistics.median(r["torchvision"][kind] / r[side][kind] for r in mine) for side in ("files", "pack")}
            print(f"| {workers} | {kind} | {times[0]:.2f} / {times[1]:.2f} / {times[2]:.2f} | **{ratio['files']:.2f}** "
                  f"| **{ratio['pack']:.1f}** |")
    if args.results:
        with open(args.results, "w") as f:
            json.dump({"data": os.path.basename(args.data.rstrip("/")), "pipeline": args.pipeline, "batch": args.batch,
                       "runs": runs}, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
