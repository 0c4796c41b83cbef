# The only commands to remember. What each does is in scripts/; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help play phone test check bench nightly web clean

# More flags for `nearframe up`, such as ARGS="--log debug".
ARGS ?=

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

play: ## build what is needed and play on this machine
	@scripts/play.sh loopback $(ARGS)

phone: ## as play, reachable from a phone on the same network, over HTTPS
	@scripts/play.sh phone $(ARGS)

test: ## everything that CI runs, with the time of each stage
	@scripts/test.sh

check: ## format, lints, licences, types, drift of the API
	@scripts/check.sh

bench: ## measure; ARGS="latency --json" and so on
	@scripts/bench.sh $(ARGS)

nightly: ## what takes long: many seeds, mutation, fuzzing, soak
	@scripts/nightly.sh

web: ## build the pages that the binary embeds
	@scripts/web.sh build

clean: ## remove what was built; games' data in .nearframe stays
	@rm -rf target web-client/node_modules web-client/*/node_modules web-client/*/dist
