#!/usr/bin/env bash
# Measures, in a release build: bench.sh [arguments of nearframe-bench]; all benches where none are given
. "$(dirname "$0")/lib.sh"

scripts/setup.sh build run test >&2
scripts/web.sh build >&2
CHROMIUM=$(find_chromium)
export CHROMIUM
owner cargo build --quiet --release -p nearframe -p nearframe-probe -p nearframe-bench >&2
[ $# -gt 0 ] || set -- all
exec "${OWNER[@]}" target/release/nearframe-bench "$@"
