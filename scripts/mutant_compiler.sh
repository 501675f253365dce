#!/bin/sh
# The compiler's launcher in scripts/mutate.py's build: what has choices, or includes them, is compiled quickly, with the
# library's checks and for one instruction set; the rest as in every release build, so that ccache has it.
for source; do :; done
ccache=$(command -v ccache)
if [ "$(head -n 1 "$source")" = '#include "scripts/mutants.h"' ]; then
    set -- "$@" -O1 -w -D_GLIBCXX_ASSERTIONS -DNASCENT_CHECKED
    case $source in */kernels/cpu/*) set -- "$@" -DHWY_COMPILE_ONLY_STATIC $NASCENT_MUTANT_TARGET ;; esac
fi
exec $ccache "$@"
