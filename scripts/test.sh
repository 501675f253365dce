#!/usr/bin/env bash
# Builds everything and runs every test. Arguments go to ctest: scripts/test.sh -R journal, or -LE slow without the builds
# of the other presets. The comparison with PyTorch needs Debian's python3-torch (several hundred MB), which is installed
# unless NASCENT_WITH_TORCH=0; without it that test is skipped and says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export NASCENT_WITH_TORCH=${NASCENT_WITH_TORCH:-1}
source scripts/setup.sh ""

cmake --preset cpu "-DCMAKE_COMPILE_WARNING_AS_ERROR=${NASCENT_WARNINGS_ARE_ERRORS:-0}"
cmake --build --preset cpu --parallel "$(nascent_jobs)"
exec ctest --preset cpu --output-on-failure -j"$(nproc)" "$@"
