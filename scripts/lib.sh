# Shared by the scripts: where we are, who we are, and how to say things. Sourced, not run.
# shellcheck shell=bash

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD

say() { printf '\033[1m» %s\033[0m\n' "$*" >&2; }
fail() {
  printf '\033[1;31m✗ %s\033[0m\n' "$*" >&2
  exit 1
}

# Through sudo, only packages are installed as root: what is built belongs to the owner of the checkout.
OWNER=()
if [ "$(id -u)" = 0 ] && [ -n "${SUDO_UID:-}" ] && [ "$SUDO_UID" != 0 ] && [ "$(stat -c %u .)" = "$SUDO_UID" ]; then
  owner_home=$(getent passwd "$SUDO_UID" | cut -d: -f6)
  OWNER=(setpriv --reuid "$SUDO_UID" --regid "$SUDO_GID" --init-groups
    env "HOME=$owner_home" "PATH=$owner_home/.cargo/bin:$PATH")
fi
case ":$PATH:" in
  *":$HOME/.cargo/bin:"*) ;;
  *) PATH="$HOME/.cargo/bin:$PATH" ;;
esac

# Runs a command as the owner of the checkout.
owner() { "${OWNER[@]}" "$@"; }

# Whether version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# The browser of the tests: CHROMIUM, or one that is installed; nothing where there is none.
find_chromium() {
  local candidate
  for candidate in "${CHROMIUM:-}" chromium google-chrome-stable google-chrome; do
    [ -n "$candidate" ] || continue
    if command -v "$candidate" >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
  done
}
