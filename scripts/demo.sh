#!/usr/bin/env bash
# Builds rlnas and runs it on pictures it makes itself: a small supernet is trained on random labels, then architectures
# are searched by the angle of their weights. The run goes to runs/demo (or demo-2, ...); one that was interrupted is
# continued.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh ""

cmake --preset cpu >/dev/null
cmake --build --preset cpu --target rlnas --parallel "$(nascent_jobs)"
rlnas=build/cpu/rlnas

# The benchmark's own network on few pictures, for minutes on two cores; a real run leaves these at their defaults.
settings=(--data synthetic --synthetic-train 4096 --epochs 5 --method both --seed 0 --checkpoint-seconds 20
          --progress-seconds 10)

run=runs/demo
number=1
while [[ -e "$run/arch.json" ]]; do  # finished
    number=$((number + 1))
    run=runs/demo-$number
done
code=0
if [[ -e "$run/run.toml" ]]; then
    echo "demo: continuing $run"
    "$rlnas" resume "$run" || code=$?
else
    "$rlnas" run "${settings[@]}" --out "$run" || code=$?
fi
if ((code == 75)); then
    echo "demo: interrupted; run scripts/demo.sh again to continue $run"
fi
if ((code != 0)); then exit "$code"; fi

echo
echo "demo: the architecture found is above and in $run/arch.json, drawn in $run/export/cell.svg"
