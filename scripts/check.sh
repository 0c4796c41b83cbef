#!/usr/bin/env bash
# Format, lints, licences, types and drift: what a reviewer need not look for.
. "$(dirname "$0")/lib.sh"

scripts/setup.sh build
scripts/web.sh build

say "format"
owner cargo fmt --all --check
say "lints"
owner cargo clippy --workspace --all-targets --quiet -- -D warnings
say "dependencies: bans, licences, sources"
if ! owner cargo deny --version >/dev/null 2>&1; then
  PATH="$ROOT/target/tools/bin:$PATH"
  if ! [ -x target/tools/bin/cargo-deny ]; then
    say "installing cargo-deny into target/tools"
    owner cargo install --quiet --locked --root target/tools cargo-deny ||
      fail "cargo-deny could not be installed; its messages are above"
  fi
fi
owner cargo deny --log-level error check bans licenses sources
say "the API's description against the code"
owner cargo test --quiet -p nearframe-matchmaker --lib the_committed_description_is_the_one_that_is_served
say "web client: lints, types, generated client"
scripts/web.sh check
say "all checks passed"
