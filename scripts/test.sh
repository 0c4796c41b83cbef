#!/usr/bin/env bash
# Everything that has to pass, in stages; stops at the first that fails and tells the time of each.
. "$(dirname "$0")/lib.sh"

LOGS=target/test-logs
owner mkdir -p "$LOGS"
owner rm -f "$LOGS"/*.log
names=()
times=()

# Sums passed and failed tests over the logs of cargo test, nextest, vitest and node --test.
summary() {
  cat "$LOGS"/*.log 2>/dev/null | sed 's/\x1b\[[0-9;]*m//g' | awk -v broken="$1" '
    function count(word) { return match($0, "[0-9]+ " word) ? substr($0, RSTART) + 0 : 0 }
    /^test result: |^ +Summary \[.*tests? run:|^ +Tests +[0-9]/ {
      passed += count("passed"); failed += count("failed"); skipped += count("skipped") + count("ignored")
    }
    /^. (pass|fail|skipped) [0-9]+$/ {
      if ($2 == "pass") passed += $3; else if ($2 == "fail") failed += $3; else skipped += $3
    }
    END {
      if (broken && !failed) failed = 1
      if (skipped) printf "%d skipped; the reasons are above\n", skipped
      printf "%d passed, %d failed\n", passed, failed
    }'
}

report() {
  local at
  printf '\n'
  for at in "${!names[@]}"; do printf '%-22s %6s s\n' "${names[$at]}" "${times[$at]}"; done
}

stage() {
  local name=$1 log began=$SECONDS
  shift
  log="$LOGS/$(printf '%02d' "${#names[@]}")-${name// /-}.log"
  say "$name"
  if "$@" 2>&1 | owner tee "$log"; then
    names+=("$name") times+=($((SECONDS - began)))
    return
  fi
  names+=("$name (failed)") times+=($((SECONDS - began)))
  report
  printf 'the stage "%s" failed; its output is in %s\n' "$name" "$log"
  summary 1
  exit 1
}

# The compiler begins beside the web's stages, at the lowest priority: they leave half of two cores idle. What it has to
# say is said again by the build at the head of the Rust tests, which waits for this one.
compiling=
compile_beside() {
  nice -n 19 "${OWNER[@]}" cargo test --workspace --no-run --quiet >/dev/null 2>&1 &
  compiling=$!
}
trap '[ -z "$compiling" ] || kill "$compiling" 2>/dev/null || true' EXIT

rust_tests() {
  if owner cargo nextest --version >/dev/null 2>&1; then
    # nextest runs no examples in documentation.
    owner cargo nextest run --workspace --no-fail-fast --status-level fail --final-status-level flaky &&
      owner cargo test --workspace --doc --quiet
  else
    owner cargo test --workspace --no-fail-fast
  fi
}

# Played with is what the Rust tests were built with: another choice of crates, with other features of theirs, would build
# nearly everything once more.
end_to_end() {
  owner cargo test --workspace --no-run --quiet &&
    owner cp target/debug/deps/libnearframe_nvenc_stand_in.so target/debug/ &&
    CHROMIUM=$(find_chromium) owner npm --prefix web-client run test:e2e -w e2e
}

# The pages over a mock: contrast and names of everything, keys and pads, what a visitor has to fetch.
page_tests() {
  CHROMIUM=$(find_chromium) owner npm --prefix web-client run --silent axe -w portal
}

stage "setup" scripts/setup.sh build run test
stage "pages" scripts/web.sh build
compile_beside
stage "web checks" scripts/web.sh check
stage "web unit tests" scripts/web.sh test
stage "pages in a browser" page_tests
stage "rust tests" rust_tests
stage "end to end" end_to_end
report
summary 0
