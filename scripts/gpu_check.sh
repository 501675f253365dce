#!/usr/bin/env bash
# Checks and measures on a GPU, in steps of under 9 minutes. What needs packages is done where they are; what needs a GPU may
# be done on another machine, which has the driver, CUDA and PyTorch, and neither Debian's packages nor a network.
#
#   scripts/gpu_check.sh pack        here: builds for sm_90a; build/gpu_check/ then holds this script and an archive of programs and libraries
#   build/gpu_check/gpu_check.sh test|sanitize|bench [OUT]      on the machine with the GPU: results into OUT
#   scripts/gpu_check.sh report OUT  one JSON and one Markdown table into bench/results/
#
# test: the tests that use the gpu. sanitize: compute-sanitizer's memcheck and racecheck over the op cases. bench: all workloads of
# bench/compare.py, eager PyTorch first, then ours, then PyTorch's other configurations; called again, it goes on (bench/gpu_bench.py;
# what stands behind OUT goes to it).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
step=${1:-}
out=${2:-${OUT:-$PWD/gpu_check_out}}

pack() {
    cd "$here/.."
    source scripts/setup.sh ""
    cmake --preset cuda -DNASCENT_BENCH=ON
    local steps
    local experiments=(bench/device_*)
    experiments=("${experiments[@]/#*\//bench_}")
    mapfile -t steps < <(cd bench && python3 -c 'import compare; print(*sorted({w[0] for w in compare.WORKLOADS.values()}), sep="\n")')
    cmake --build --preset cuda --parallel "$(nascent_jobs)" --target test_engine test_ops test_nas rlnas bench_ops "${experiments[@]}" "${steps[@]}"
    local to=build/gpu_check/bundle program library
    rm -rf build/gpu_check
    mkdir -p "$to/bin" "$to/lib" "$to/bench/torch"
    for program in tests/test_engine tests/test_ops tests/test_nas rlnas bench_ops "${experiments[@]}" "${steps[@]}"; do
        cp "build/cuda/$program" "$to/bin/"
        strip "$to/bin/${program##*/}"
        # All but the C library's own, which belong to the kernel and the loader of the machine.
        ldd "build/cuda/$program" | awk '$3 ~ /^\// { print $3 }' | grep -Ev '/(libc|libm|libdl|libpthread|librt)\.so' || true
    done | sort -u > "$to/libraries"
    while read -r library; do cp -L "$library" "$to/lib/"; done < "$to/libraries"
    cp bench/compare.py bench/gpu_bench.py "$to/bench/"
    cp bench/torch/*.py "$to/bench/torch/"
    git describe --always --dirty > "$to/commit"
    # A window of 64 MiB: each program holds the same kernels, which are packed once.
    python3 -c 'import tarfile; t = tarfile.open("build/gpu_check/bundle.tar.xz", "w:xz", preset=9); t.add("build/gpu_check/bundle", "bundle"); t.close()'
    rm -rf "$to"
    cp scripts/gpu_check.sh build/gpu_check/
    local size
    size=$(du -sm build/gpu_check | cut -f1)
    echo "gpu_check: build/gpu_check holds $size MiB"
    ((size <= 64)) || { echo "gpu_check: more than 64 MiB" >&2; return 1; }
}

# run NAME SECONDS COMMAND...: the output into OUT/NAME.log, one line about it, and its end into OUT/steps.
run() {
    local name=$1 limit=$2 start=$SECONDS code=0
    shift 2
    timeout "$limit" "$@" > "$out/$name.log" 2>&1 || code=$?
    echo "$name rc=$code seconds=$((SECONDS - start))" | tee -a "$out/steps"
    return 0
}

prepare() {
    mkdir -p "$out"
    unpacked=$(mktemp -d)
    trap 'rm -rf "$unpacked"' EXIT
    # Either may lack xz.
    tar -C "$unpacked" -xJf "$here/bundle.tar.xz" 2>/dev/null || python3 -m tarfile -e "$here/bundle.tar.xz" "$unpacked"
    here=$unpacked/bundle
    export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    cp "$here/commit" "$out/commit"
    nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem --format=csv,noheader > "$out/gpu" 2>/dev/null || echo "no GPU" > "$out/gpu"
    date -u +%Y-%m-%d > "$out/date"
}

gpu_test() {
    prepare
    # Tests that read the sources stay at home.
    run test_engine 60 "$here/bin/test_engine" --test-case='*gpu*,*capture*,*graph*'
    run test_ops 300 "$here/bin/test_ops" --test-case-exclude='*in the sources*'
    run test_nas 120 "$here/bin/test_nas" --test-case='*gpu*,*tf32*,*bf16*'
    run rlnas 60 "$here/bin/rlnas" run --data synthetic --device gpu --epochs 2 --out "$out/run"
    rm -rf "$out/run"
}

sanitize() {
    prepare
    local tool
    if ! command -v compute-sanitizer >/dev/null; then
        echo "compute-sanitizer: not run, it is not there" | tee -a "$out/steps"
        return 0
    fi
    for tool in memcheck racecheck; do
        run "$tool" 250 compute-sanitizer --tool "$tool" --error-exitcode 9 "$here/bin/test_ops" --test-case='the gpu computes*'
        if grep -q "not supported\|Unable to\|Device not supported" "$out/$tool.log"; then
            echo "$tool: not run, the machine refuses it: $(grep -m1 'not supported\|Unable to' "$out/$tool.log")" | tee -a "$out/steps"
        fi
    done
}

# A machine that is lent call by call keeps what was measured there between them; every call's OUT holds all of it.
bench() {
    prepare
    local kept=${TMPDIR:-/tmp}/nascent_gpu_check_steps.jsonl code=0
    if [[ -f $out/steps.jsonl && ! -f $kept ]]; then cp "$out/steps.jsonl" "$kept"; fi
    python3 "$here/bench/gpu_bench.py" --programs "$here/bin" --steps "$kept" "$@" 2>&1 | tee "$out/bench.log" || code=$?
    cp "$kept" "$out/steps.jsonl"
    echo "bench rc=$code" | tee -a "$out/steps"
    local experiment
    for experiment in "$here"/bin/bench_device_*; do run "${experiment##*/bench_}" 60 "$experiment"; done
}

case "$step" in
    pack) pack ;;
    test) gpu_test ;;
    sanitize) sanitize ;;
    bench) bench "${@:3}" ;;
    report) exec python3 "$here/../bench/gpu_report.py" "$out" ;;
    *)
        sed -n '2,13p' "${BASH_SOURCE[0]}"
        [[ "$step" == --help || "$step" == -h ]] || exit 2
        ;;
esac
