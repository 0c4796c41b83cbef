#!/usr/bin/env bash
# The web client: web.sh build | check | test. Installs its packages when their lock file has changed.
. "$(dirname "$0")/lib.sh"

[ -f web-client/package.json ] || fail "web-client/package.json is missing: the checkout is not whole"
cd web-client

install_packages() {
  local stamp=node_modules/.nearframe-lock now
  now=$(cat package-lock.json package.json ./*/package.json | sha256sum)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ] && return
  say "installing the web client's packages (npm ci)"
  owner npm ci --ignore-scripts --no-audit --no-fund >&2 ||
    fail "npm ci did not work; its messages are above"
  printf '%s\n' "$now" | owner tee "$stamp" >/dev/null
}

# Whether anything that the pages are made of is newer than what was made.
stale() {
  local made=portal/dist/index.html
  [ ! -f "$made" ] || [ ! -d player/dist ] || [ -n "$(find player portal package-lock.json \
    \( -name node_modules -o -name dist -o -name results \) -prune -o -type f -newer "$made" -print -quit)" ]
}

build() {
  stale || return 0
  say "building the pages"
  owner npm run --silent build -w player >&2
  owner npm run --silent build -w portal >&2
  # The build may leave an unchanged file alone; its time says when it was last found fresh.
  owner touch portal/dist/index.html
}

# Every check of every package: two at a time, the longest first.
checks() {
  local check package
  for check in lint check check:api; do
    for package in $(owner node -p 'require("./package.json").workspaces.join(" ")'); do
      printf '%s -w %s\n' "$check" "$package"
    done
  done
}

install_packages
case "${1:-build}" in
  build) build ;;
  check)
    build
    checks | owner xargs -P 2 -L 1 npm run --silent --if-present
    ;;
  test)
    build
    owner npm run --silent test:unit
    ;;
  *) fail "web.sh knows build, check and test" ;;
esac
