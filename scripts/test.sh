#!/usr/bin/env bash
# Builds everything and runs the tests. Arguments go to ctest: scripts/test.sh -R journal
# The slow ones (builds of the other presets) are left to scripts/deep.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh ""

cmake --preset cpu
cmake --build --preset cpu --parallel "$(nascent_jobs)"
exec ctest --preset cpu -LE slow --output-on-failure -j"$(nproc)" "$@"
