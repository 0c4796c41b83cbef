#!/usr/bin/env bash
# Does a test notice when the code is wrong? Mutates crates with cargo-mutants, one shard of them, for at most so long.
# Usage: scripts/mutation.sh CRATE [LEAST_PERCENT]; fails where fewer of the mutants are caught.
. "$(dirname "$0")/lib.sh"

CRATE=${1:?name a crate, such as nearframe-ledger}
LEAST=${2:-0}
# Each night takes the next of so many shards, so that they are through within that many nights: a whole crate takes hours.
SHARDS=${MUTANT_SHARDS:-8}
SHARD=${MUTANT_SHARD:-$(($(date +%s) / 86400 % SHARDS))}
WITHIN_S=${MUTANTS_WITHIN_S:-5400}
# One mutant's tests may take so long; most are caught in a second.
MUTANT_WITHIN_S=${MUTANT_WITHIN_S:-120}
# A mutant of the ledger shows long before the postings of a whole test are done.
export LEDGER_POSTINGS=${LEDGER_POSTINGS:-200000}
OUT=target/nightly/$CRATE
PATH="$ROOT/target/tools/bin:$PATH"

if ! owner cargo mutants --version >/dev/null 2>&1; then
  say "installing cargo-mutants into target/tools"
  owner env "PATH=$PATH" cargo install --quiet --locked --root target/tools cargo-mutants ||
    fail "cargo-mutants could not be installed; its messages are above"
fi

say "$CRATE: shard $SHARD of $SHARDS, at most $WITHIN_S s"
owner mkdir -p "$OUT"
owner rm -rf "$OUT/mutants.out"
status=0
owner env "PATH=$PATH" timeout --signal=INT "$WITHIN_S" cargo mutants --package "$CRATE" --shard "$SHARD/$SHARDS" \
  --timeout "$MUTANT_WITHIN_S" --output "$OUT" --no-times --colors never || status=$?
# 0: all caught; 2: some were missed; 3: some ran out of time; 124 and 130: the night is over, and what was tried counts.
case $status in
  0 | 2 | 3 | 124 | 130) ;;
  *) fail "cargo mutants ended with $status; its messages are above" ;;
esac

count() { if [ -f "$OUT/mutants.out/$1.txt" ]; then wc -l <"$OUT/mutants.out/$1.txt"; else echo 0; fi; }
caught=$(($(count caught) + $(count timeout)))
missed=$(count missed)
tried=$((caught + missed))
[ "$tried" -gt 0 ] || fail "$CRATE: not one mutant was tried within $WITHIN_S s"
share=$((caught * 1000 / tried))
say "$CRATE: $caught of $tried mutants caught ($((share / 10)).$((share % 10)) %); missed: $OUT/mutants.out/missed.txt"
[ "$share" -ge "$((LEAST * 10))" ] || fail "$CRATE: fewer than $LEAST % of the mutants were caught"
