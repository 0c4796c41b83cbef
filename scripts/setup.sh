#!/usr/bin/env bash
# Checks the tools and installs missing system packages: setup.sh build run test …
# Quick when nothing is missing; says what it does, and exactly what could not be installed and why.
. "$(dirname "$0")/lib.sh"
. scripts/packages.sh

RUST_MIN=1.95.0
NODE_MIN=20.19.0

check_rust() {
  local found
  found=$(owner rustc --version 2>/dev/null | awk '{print $2}') || true
  [ -n "$found" ] || fail "Rust $RUST_MIN or newer is needed and none was found. Install it from https://rustup.rs (one command, no root), then run this again."
  at_least "$found" "$RUST_MIN" || fail "Rust $RUST_MIN or newer is needed, found $found. With rustup: rustup update stable && rustup default stable. Debian's own rustc is too old: https://rustup.rs"
}

check_node() {
  local found
  found=$(owner node --version 2>/dev/null | tr -d v) || true
  [ -n "$found" ] || fail "Node $NODE_MIN or newer is needed and none was found. Install it from https://nodejs.org or with nvm, then run this again."
  at_least "$found" "$NODE_MIN" || fail "Node $NODE_MIN or newer is needed, found $found (Debian 12's own is 18). Install a newer one from https://nodejs.org or with nvm."
  owner npm --version >/dev/null 2>&1 || fail "npm is needed next to Node and was not found. It comes with Node from https://nodejs.org."
}

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# A package whose purpose is met otherwise is not asked for.
needed() {
  case "$1" in
    chromium) [ -z "$(find_chromium)" ] ;;
    *) ! installed "$1" ;;
  esac
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    DEBIAN_FRONTEND=noninteractive "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo DEBIAN_FRONTEND=noninteractive "$@"
  else
    fail "installing packages needs root, and there is no sudo. As root, run: apt-get install ${missing[*]}"
  fi
}

apt_install() { as_root apt-get install -y --no-install-recommends "$@" >"$log" 2>&1; }

install_missing() {
  local log package failed=()
  log=$(mktemp)
  trap 'rm -f "$log"' RETURN
  say "installing packages: ${missing[*]}"
  apt_install "${missing[@]}" && return
  say "that did not work at once; refreshing the list of packages and trying again"
  as_root apt-get update >"$log" 2>&1 || say "apt-get update: $(grep -E '^(E|W):' "$log" | head -n 3)"
  apt_install "${missing[@]}" && return
  for package in "${missing[@]}"; do
    apt_install "$package" && continue
    failed+=("$package")
    printf '  %s could not be installed: %s\n' "$package" "$(grep -E '^E:' "$log" | head -n 2 | tr '\n' ' ')" >&2
  done
  [ ${#failed[@]} = 0 ] || fail "missing: ${failed[*]}. Install them by hand, then run this again."
}

missing=()
for purpose in "$@"; do
  declare -n list="packages_$purpose"
  for package in "${list[@]}"; do
    if command -v dpkg-query >/dev/null 2>&1 && needed "$package"; then missing+=("$package"); fi
  done
done

if ! command -v dpkg-query >/dev/null 2>&1; then
  say "this is not Debian or Ubuntu: install what corresponds to the packages in scripts/packages.sh"
fi
case " ${missing[*]} " in
  *" chromium "*)
    if grep -qs '^ID=ubuntu' /etc/os-release; then
      fail "Ubuntu's chromium is a snap that tests cannot drive. Install Google Chrome or another Chromium and name it: make test CHROMIUM=/usr/bin/google-chrome"
    fi
    ;;
esac
[ ${#missing[@]} = 0 ] || install_missing
check_rust
check_node
