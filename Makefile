.PHONY: help install demo test check bench soak steady fuzz fix lock

help:  ## Say what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

install:  ## Create .venv and install hayserve into it
	@scripts/install

demo:  ## Serve an example agent on port 1416, as agent_service and as gpt-4o-mini
	@scripts/install
	@.venv/bin/hayserve run examples/agent_service --alias gpt-4o-mini

test:  ## Run the whole test suite
	@scripts/install dev
	@scripts/test

check:  ## Check format, lint, types, imports between rooms and dependencies
	@scripts/install dev
	@scripts/check

bench:  ## Compare the speed with Hayhooks' and with the floor, and write the table and plot into docs
	@scripts/install dev
	@.venv/bin/python -m benchmarks

soak:  ## Prove for half an hour that deploys lose nothing, whatever is killed, and what they cost
	@scripts/install dev
	@.venv/bin/python -m soak.redeploy
	@.venv/bin/python -m soak.kill
	@.venv/bin/python -m soak.memory
	@.venv/bin/python -m soak.start

steady:  ## Prove for ten minutes that memory stays flat and nothing fails at 80 % load
	@scripts/install dev
	@.venv/bin/python -m soak.steady

fuzz:  ## Send a million broken inputs to all that reads what strangers send
	@scripts/install dev
	@.venv/bin/python -m soak.fuzz_decoders
	@.venv/bin/python -m soak.fuzz_http
	@.venv/bin/python -m soak.schema --cases 100000 --all

fix:  ## Format the code and mend what can be mended automatically
	@scripts/install dev
	@scripts/fix

lock:  ## Pin every dependency anew
	@scripts/install dev
	@scripts/lock --upgrade
