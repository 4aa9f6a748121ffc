SEEDS = 1000

.PHONY: help sandbox test test-slow lint check bench bench-full simulate mutants docs lock
.DEFAULT_GOAL := help
PYTEST = .venv/bin/python -m pytest
PARALLEL = -n 2 --dist loadfile --no-loadscope-reorder

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

sandbox: .venv/runtime.done ## both vendors' twins, the daemon and a scripted day, on this machine alone (ARGS="--keep" stays up)
	.venv/bin/toveis sandbox $(ARGS)

test: .venv/dev.done ## every test but the slow ones; ARGS go to pytest
	$(PYTEST) $(PARALLEL) -m "not slow" $(ARGS)

test-slow: .venv/dev.done ## the slow tests
	$(PYTEST) $(PARALLEL) -m slow $(ARGS)

lint: .venv/dev.done ## format, lint, types and import contracts
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports

check: lint ## the same, and the unit tests: what must be clean before a commit
	$(PYTEST) $(PARALLEL) tests/unit -q -m "not slow"

bench: .venv/dev.done ## the benchmarks, as a table
	.venv/bin/python -m tests.benchmarks $(ARGS)

bench-full: .venv/dev.done ## the benchmark on a log of a million events: some minutes, and 5 GB of disk
	.venv/bin/python -m tests.benchmarks million $(ARGS)

simulate: .venv/dev.done ## stories in virtual time, told and judged: SEEDS of them (1000), on all cores; ARGS="--seed 7 --words" tells one
	PYTHONHASHSEED=0 .venv/bin/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

mutants: .venv/dev.done ## takes each mechanism of the merge out, and looks for the first story that notices
	PYTHONHASHSEED=0 .venv/bin/python -m tests.simulation --mutants --seeds 500 $(ARGS)

docs: .venv/dev.done ## write anew what docs/ says from the code
	.venv/bin/python -m tests.documents

lock: .venv/dev.done ## write requirements/*.txt anew from *.in (ARGS="--upgrade" takes newer versions)
	for set in bootstrap runtime dev; do \
		.venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --python-version 3.11 $(ARGS) \
			requirements/$$set.in -o requirements/$$set.txt || exit 1; \
	done

.venv/%.done: requirements/%.txt requirements/bootstrap.txt .ci/setup
	.ci/setup $*
