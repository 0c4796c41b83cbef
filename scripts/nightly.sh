#!/usr/bin/env bash
# What takes long: properties with many seeds, mutation of the crates without I/O, fuzzing, ten minutes of play.
. "$(dirname "$0")/lib.sh"

SEEDS=${SEEDS:-4096}
CONTROL_SEEDS=${CONTROL_SEEDS:-10000}
FUZZ_S=${FUZZ_S:-120}
SOAK_S=${SOAK_S:-600}
LEDGER_POSTINGS=${LEDGER_POSTINGS:-1000000000}
# Of these, mutants that no test notices are a list to work on; of the ledger, at least 90 % have to be noticed.
PURE=(nearframe-stream nearframe-placement nearframe-journal nearframe-protocol)
OUT=target/nightly

scripts/setup.sh build run test
scripts/web.sh build
owner mkdir -p "$OUT"

say "properties, $SEEDS cases each"
owner env PROPTEST_CASES="$SEEDS" cargo test --workspace --quiet

say "the control plane in simulated time, $CONTROL_SEEDS histories"
owner env NEARFRAME_SEEDS="$CONTROL_SEEDS" cargo test -p nearframe-matchmaker --test simulation --quiet

say "three matchmakers whose database is away for 60 s"
owner env NEARFRAME_AWAY_S=60 cargo test -p nearframe --test replicas --quiet
say "ledger: $LEDGER_POSTINGS postings with crashes"
owner env LEDGER_POSTINGS="$LEDGER_POSTINGS" cargo test --quiet -p nearframe-ledger --test books -- no_unit_drifts

say "mutation: does a test notice when the code is wrong?"
scripts/mutation.sh nearframe-ledger 90
for name in "${PURE[@]}"; do
  MUTANTS_WITHIN_S=${PURE_MUTANTS_WITHIN_S:-1800} scripts/mutation.sh "$name"
done

say "fuzzing, $FUZZ_S seconds for each target"
if ! owner cargo +nightly --version >/dev/null 2>&1; then
  fail "fuzzing needs nightly Rust: rustup toolchain install nightly"
fi
PATH="$ROOT/target/tools/bin:$PATH"
if ! owner env "PATH=$PATH" cargo fuzz --version >/dev/null 2>&1; then
  say "installing cargo-fuzz into target/tools"
  owner cargo install --quiet --locked --root target/tools cargo-fuzz ||
    fail "cargo-fuzz could not be installed; its messages are above"
fi
for target in binary_forms texts input_sequencer media_sender; do
  say "fuzzing $target"
  owner env "PATH=$PATH" cargo +nightly fuzz run --fuzz-dir protocol/fuzz "$target" -- -max_total_time="$FUZZ_S"
done

say "soak: $SOAK_S seconds of play"
scripts/bench.sh latency --seconds "$SOAK_S" --json | owner tee "$OUT/soak.json"
