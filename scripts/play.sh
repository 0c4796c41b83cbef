#!/usr/bin/env bash
# Builds what is needed and starts a matchmaker and a node here: play.sh loopback|phone [flags of `nearframe up`]
. "$(dirname "$0")/lib.sh"

reach=$1
shift
scripts/setup.sh build run
scripts/web.sh build
say "building nearframe (the first time takes a while)"
owner cargo build -p nearframe

flags=(--data "$ROOT/.nearframe")
[ "$reach" = loopback ] || flags+=(--listen 0.0.0.0:8643 --ca-listen 0.0.0.0:8644)
say "starting; the line that begins with \"ready\" is the address to open, Ctrl+C stops"
# Mesa's device-select layer would complain on machines without a desktop; adapters are chosen by kind.
exec "${OWNER[@]}" env NODEVICE_SELECT=1 target/debug/nearframe up "${flags[@]}" "$@"
