#!/usr/bin/env bash
# Builds what is needed and starts a matchmaker and a node here: play.sh loopback|phone [flags of `nearframe up`]
. "$(dirname "$0")/lib.sh"

reach=$1
shift
scripts/setup.sh build run
scripts/web.sh build
say "building nearframe (the first time takes a while)"
owner cargo build --quiet -p nearframe

flags=(--data "$ROOT/.nearframe")
[ "$reach" = loopback ] || flags+=(--listen 0.0.0.0:8643 --ca-listen 0.0.0.0:8644)
say "starting; the line that begins with \"ready\" is the address to open, Ctrl+C stops"
exec "${OWNER[@]}" target/debug/nearframe up "${flags[@]}" "$@"
