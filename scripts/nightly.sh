#!/usr/bin/env bash
# What takes long: properties with many seeds, mutation of the crates without I/O, ten minutes of play.
. "$(dirname "$0")/lib.sh"

SEEDS=${SEEDS:-4096}
SOAK_S=${SOAK_S:-600}
MUTANT_WITHIN_S=120
PURE=(nearframe-stream nearframe-placement nearframe-ledger nearframe-protocol)
OUT=target/nightly

scripts/setup.sh build run test
scripts/web.sh build
owner mkdir -p "$OUT"

say "properties, $SEEDS cases each"
owner env PROPTEST_CASES="$SEEDS" cargo test --workspace --quiet

say "mutation: does a test notice when the code is wrong?"
PATH="$ROOT/target/tools/bin:$PATH"
if ! owner cargo mutants --version >/dev/null 2>&1; then
  say "installing cargo-mutants into target/tools"
  owner env "PATH=$PATH" cargo install --quiet --locked --root target/tools cargo-mutants ||
    fail "cargo-mutants could not be installed; its messages are above"
fi
packages=()
for name in "${PURE[@]}"; do packages+=(--package "$name"); done
# Mutants that no test notices are a list to work on, not a failure.
owner env "PATH=$PATH" cargo mutants "${packages[@]}" --timeout "$MUTANT_WITHIN_S" --output "$OUT" ||
  say "mutants that survived are listed in $OUT/mutants.out/missed.txt"

say "soak: $SOAK_S seconds of play"
scripts/bench.sh latency --seconds "$SOAK_S" --json | owner tee "$OUT/soak.json"
