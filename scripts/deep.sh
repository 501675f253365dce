#!/usr/bin/env bash
# The checks that take long: sanitizers, warnings as errors, coverage, clang-tidy, formatting, the slow tests.
# All steps run; a summary says which failed. Arguments pick steps by name: scripts/deep.sh asan coverage
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
light=(-DNASCENT_CUDA=OFF -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1")  # instrumented code compiles slowly
# The preset builds (slow) are a step of their own.
ctest_all=(ctest -LE slow --output-on-failure -j"$(nproc)")
own_code=(-E '^(nvcc|tensor):')  # what nvcc says of the kernels is the same in every build

step_test() {
    cmake --preset cpu && cmake --build --preset cpu --parallel "$jobs" && "${ctest_all[@]}" --test-dir build/cpu
}

step_checked() {  # arena checks, warnings as errors
    cmake --preset ci && cmake --build --preset ci --parallel "$jobs" && "${ctest_all[@]}" --test-dir build/ci
}

step_asan() {
    cmake --preset asan && cmake --build --preset asan --parallel "$jobs" && "${ctest_all[@]}" "${own_code[@]}" --test-dir build/asan
}

step_tsan() {
    # g++ 12's ThreadSanitizer cannot start where addresses are random in more than 28 bits.
    local fixed=()
    if setarch -R true 2>/dev/null; then fixed=(setarch -R); fi
    # All but the kernels' tests with CUDA's threads as one: with each of them the gradients of all ops do not end in half an hour.
    cmake -S . -B build/tsan -G Ninja "${light[@]}" -DNASCENT_SANITIZE=thread -DNASCENT_KERNEL_RACES=OFF &&
        "${fixed[@]}" cmake --build build/tsan --parallel "$jobs" &&
        "${fixed[@]}" "${ctest_all[@]}" -E '^(nvcc|tensor|gpu|simt):' --test-dir build/tsan || return 1
    cmake -S . -B build/tsan_kernels -G Ninja "${light[@]}" -DNASCENT_SANITIZE=thread &&
        "${fixed[@]}" cmake --build build/tsan_kernels --parallel "$jobs" --target test_engine test_gpu test_simt &&
        "${fixed[@]}" "${ctest_all[@]}" -R '^(engine|gpu|simt):' --test-dir build/tsan_kernels
}

step_coverage() {  # at least 90 % of the lines
    cmake -S . -B build/coverage -G Ninja -DCMAKE_BUILD_TYPE=Release -DNASCENT_CUDA=OFF -DNASCENT_COVERAGE=ON \
        "-DCMAKE_COMPILE_WARNING_AS_ERROR=${NASCENT_WARNINGS_ARE_ERRORS:-0}" &&
        cmake --build build/coverage --parallel "$jobs" || return 1
    find build/coverage -name '*.gcda' -delete
    "${ctest_all[@]}" "${own_code[@]}" --test-dir build/coverage || return 1
    gcovr --root . --filter 'engine/' --filter 'ops/' --filter 'nas/' \
        --exclude-unreachable-branches --fail-under-line 90 -j "$jobs" build/coverage
}

step_tidy() {
    cmake --preset cpu >/dev/null || return 1
    local runner
    runner=$(command -v run-clang-tidy || command -v run-clang-tidy-14) || return 1
    "$runner" -quiet -p build/cpu -j "$jobs" "^$PWD/(engine|kernels|ops|nas|apps)/.*\.cpp\$" > build/tidy.log 2>/dev/null || true
    if ! grep -q . build/tidy.log; then
        echo "clang-tidy said nothing at all, not even which files it read"
        return 1
    fi
    if grep -E '(warning|error): ' build/tidy.log | sort -u; then return 1; fi
}

step_format() {
    git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -r clang-format --dry-run -Werror
}

step_fuzz() {  # every reader of foreign bytes, NASCENT_FUZZ_SECONDS each
    cmake -S . -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g1" -DNASCENT_CUDA=OFF -DNASCENT_SANITIZE=address -DNASCENT_FUZZ=ON -DNASCENT_TESTS=OFF &&
        cmake --build build/fuzz --parallel "$jobs" && build/fuzz/fuzz/fuzz_seeds build/fuzz/corpus || return 1
    local harness name bad=0
    for harness in build/fuzz/fuzz/fuzz_*; do
        name=${harness##*/fuzz_}
        if [[ "$name" == seeds ]]; then continue; fi
        "$harness" -max_total_time="${NASCENT_FUZZ_SECONDS:-60}" -max_len=16384 -rss_limit_mb=4096 -timeout=20 -print_final_stats=1 \
            -artifact_prefix="build/fuzz/$name-" "build/fuzz/corpus/$name" >"build/fuzz/$name.log" 2>&1 || bad=1
        echo "fuzz: $name: $(grep -E 'number_of_executed_units|SUMMARY' "build/fuzz/$name.log" | tr -s ' ' | tr '\n' ' ')"
    done
    return "$bad"
}

step_sm80() {  # the GPU's kernels for compute capability 8.0 too, without warnings and without spills
    local nvcc file bad=0
    nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null) || { echo "sm80: NOT run, there is no nvcc"; return 0; }
    mkdir -p build/sm80
    for file in kernels/cuda/*.cu; do
        cmake -DNVCC="$nvcc" -DHOST="$(command -v g++)" -DARCH=sm_80 -DROOT="$PWD" -DFILE="$file" -DOUT="$PWD/build/sm80" \
            -P cmake/nvcc_test.cmake || bad=1
    done
    return "$bad"
}

step_mutate() {  # a fixed sample; docs/mutation.md tells of all spots
    python3 scripts/mutate.py --count "${NASCENT_MUTANTS:-200}" --seed 1 --jobs "$(nproc)" --again
}

step_slow() {
    cmake --preset cpu && cmake --build --preset cpu --parallel "$jobs" && ctest --test-dir build/cpu -L slow --output-on-failure
}

step_barriers() {  # each barrier of the GPU kernels taken out: test_gpu must see it, as it is or with ThreadSanitizer
    python3 scripts/mutate_barriers.py
}

steps=(test checked asan tsan coverage tidy format sm80 slow fuzz mutate barriers)
known="${steps[*]}"
if (($# > 0)); then steps=("$@"); fi
for step in "${steps[@]}"; do
    if ! declare -F "step_$step" >/dev/null; then
        echo "deep: no step $step; there are: $known" >&2
        exit 2
    fi
done

# Only now: a name that is wrong installs nothing.
source scripts/setup.sh deep
jobs=$(nascent_jobs)
summary=()
failed=0
for step in "${steps[@]}"; do
    echo
    echo "=== deep: $step"
    start=$SECONDS
    if "step_$step"; then
        summary+=("passed  $step  ($((SECONDS - start)) s)")
    else
        summary+=("FAILED  $step  ($((SECONDS - start)) s)")
        failed=1
    fi
done
echo
echo "=== deep: summary"
printf '%s\n' "${summary[@]}"
exit "$failed"
