# Every chore is one word. All of them make what they need; only the first time needs a network.
.DEFAULT_GOAL := help
.PHONY: help run test check policy-campaign api-campaign server-campaign server-soak bench bench-server api-reference lock clean
VENV := .venv
BENCH_VENV := .venv-bench
CAMPAIGN_VENV := .venv-campaign
LOCK_VENV := .venv-lock
ARGS ?=
# The example must show the same whatever the caller has set.
WITHOUT_SETTINGS = env $$(env | sed -n -E 's/^((KMS|KEYSTEAD)_[A-Za-z0-9_]*)=.*/-u \1/p')
COMPILE := pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-annotate \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links
export PYTHON
MAKEFLAGS += --no-print-directory

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

run: ## the whole tour on real input, in .run/ made anew
	@requirements/set-up $(VENV) requirements/run.txt
	@$(WITHOUT_SETTINGS) $(VENV)/bin/python examples/run.py $(ARGS)

test: ## the whole suite (ARGS="tests/crypto -k nonce -n 0" for a part)
	@requirements/set-up $(VENV) requirements/test.txt
	@$(WITHOUT_SETTINGS) $(VENV)/bin/python -m pytest -n 2 --dist worksteal $(ARGS)

check: ## lint, format, types, layers
	@requirements/set-up $(VENV) requirements/test.txt
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

policy-campaign: ## the policy engine against its model (ARGS="100000" for fewer cases than 1,000,000)
	@requirements/set-up $(VENV) requirements/test.txt
	@$(VENV)/bin/python -m tests.policy.campaign $(ARGS)

api-campaign: ## a schema fuzzer with every check on against a live server (ARGS="500" for more examples than 50)
	@requirements/set-up $(CAMPAIGN_VENV) requirements/campaign.txt
	@$(WITHOUT_SETTINGS) $(CAMPAIGN_VENV)/bin/python -m tests.server.api_campaign $(ARGS)

server-campaign: ## 10,000 tries at finding old state after an answer, in every worker (ARGS="..." for pytest)
	@requirements/set-up $(VENV) requirements/test.txt
	@KEYSTEAD_SERVER_ROUNDS=1000 KEYSTEAD_SERVER_KILLING_ROUNDS=750 \
		$(VENV)/bin/python -m pytest -q -rP tests/server/test_workers.py -k t41 $(ARGS)

server-soak: ## so many minutes of mixed load with faults beside a model, to docs/soak.md from 15 on (ARGS="3")
	@requirements/set-up $(VENV) requirements/test.txt
	@$(WITHOUT_SETTINGS) $(VENV)/bin/python -m tests.server.soak.campaign $(ARGS)

bench: ## keystead and its peers side by side, written to docs/benchmark.md (ARGS="ciphers" for a part)
	@requirements/set-up $(BENCH_VENV) requirements/bench.txt
	@$(WITHOUT_SETTINGS) $(BENCH_VENV)/bin/python -m bench $(ARGS)

bench-server: ## the server beside OpenBao, written to docs/benchmark-server.md (ARGS="plain" for a part)
	@requirements/set-up $(BENCH_VENV) requirements/bench.txt
	@$(WITHOUT_SETTINGS) $(BENCH_VENV)/bin/python -m bench.server $(ARGS)

api-reference: ## docs/api.md from the operations of the API
	@requirements/set-up $(VENV) requirements/test.txt
	@$(VENV)/bin/python -m tests.docs.api_reference

lock: ## renew the lock files from requirements/*.in (asks the package index)
	@$(PYTHON_FOR_LOCK) -m venv $(LOCK_VENV)
	@$(LOCK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check pip-tools==7.6.2
	@cd requirements && for part in run test bench campaign; do \
		CUSTOM_COMPILE_COMMAND="make lock" ../$(LOCK_VENV)/bin/$(COMPILE) --output-file $$part.txt $$part.in || exit 1; \
	done

PYTHON_FOR_LOCK = $(or $(PYTHON),python3.11)

clean: ## remove what the other words made
	rm -rf .venv $(BENCH_VENV) $(CAMPAIGN_VENV) $(LOCK_VENV) .run .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
