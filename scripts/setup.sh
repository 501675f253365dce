#!/usr/bin/env bash
# Makes sure that everything the build needs is installed: Debian 12 packages, nothing else, nothing from elsewhere.
# Run it, or source it (the other scripts do). It does nothing where nothing is missing.
#
#   scripts/setup.sh          what building and testing needs
#   scripts/setup.sh deep     also what scripts/deep.sh needs
#   NASCENT_WITH_TORCH=1      also PyTorch (several hundred MB), against which optional tests compare
set -euo pipefail
export LC_ALL=C.UTF-8

# The one list of packages; third_party/README.md says why each library is there.
NASCENT_PACKAGES=(
    g++                  # 12.2: C++20
    cmake ninja-build    # 3.25
    pkg-config           # finds Highway
    ccache               # a second build takes seconds
    libfmt-dev
    libeigen3-dev
    libhwy-dev
    librandom123-dev
    libcli11-dev
    libtomlplusplus-dev
    nlohmann-json3-dev
    libjpeg62-turbo-dev
    libpng-dev
    libarchive-dev
    doctest-dev          # tests
    libbenchmark-dev     # benchmarks, which a test builds
    python3              # writes the kernels' dispatchers; tests of the sources' structure
)
NASCENT_DEEP_PACKAGES=(git gcovr clang-tidy clang-format clang-14 libclang-rt-14-dev)

nascent_missing() {  # those of the packages given that are not installed
    local package
    for package in "$@"; do
        if [[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" != installed ]]; then
            echo "$package"
        fi
    done
}

nascent_setup() {
    local wanted=("${NASCENT_PACKAGES[@]}") missing
    if [[ "${1:-}" == deep ]]; then wanted+=("${NASCENT_DEEP_PACKAGES[@]}"); fi
    if [[ "${NASCENT_WITH_TORCH:-0}" == 1 ]]; then wanted+=(python3-torch python3-numpy); fi

    if ! command -v dpkg-query >/dev/null; then
        echo "setup: this is no Debian system, so nothing is installed. The build needs what Debian 12 calls:" >&2
        echo "setup:   ${wanted[*]}" >&2
    else
        mapfile -t missing < <(nascent_missing "${wanted[@]}")
        if ((${#missing[@]} > 0)); then
            local as_root=()
            if ((EUID != 0)); then
                if ! command -v sudo >/dev/null; then
                    echo "setup: these packages are missing, and this is neither root nor is there sudo:" >&2
                    echo "setup:   ${missing[*]}" >&2
                    echo "setup: as root: apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
                    return 1
                fi
                as_root=(sudo)
            fi
            echo "setup: installing ${missing[*]}"
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "${missing[@]}" >/dev/null
        fi
    fi

    if command -v nvcc >/dev/null || [[ -x /usr/local/cuda/bin/nvcc ]]; then
        echo "setup: CUDA toolkit found; the preset cuda builds for GPUs"
    elif command -v nvidia-smi >/dev/null; then
        echo "setup: NVIDIA driver found, CUDA toolkit absent: programs compute on the CPU"
    else
        echo "setup: CUDA toolkit absent: programs compute on the CPU"
    fi
}

# Compilers that run at once: the processors, but 1.5 GB of memory for each.
nascent_jobs() {
    local processors memory
    processors=$(nproc)
    memory=$(awk '/^MemAvailable:/ { print int($2 / 1500000) }' /proc/meminfo 2>/dev/null || echo 1)
    if ((memory < 1)); then memory=1; fi
    echo $((processors < memory ? processors : memory))
}

nascent_setup "${1:-}"
