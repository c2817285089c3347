# Two commands do all the set-up on a fresh machine with python3.11 or 3.12, make and git: `make demo` and `make test`.
PYTHON ?=            # e.g. make test PYTHON=/usr/bin/python3.12
JOBS   ?= 2          # tests that run at the same time
BIN    := .venv/bin

# Notebooks find this environment's kernel, and nothing of the user's; the debugger's warning stays out of the outputs.
export JUPYTER_PLATFORM_DIRS := 1
export JUPYTER_PREFER_ENV_PATH := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1

.DEFAULT_GOAL := help
.PHONY: help demo test bench lab explore notebooks course docs gpu lock clean

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

demo: .venv/.installed  ## install into .venv, train teacher, student and two LIX students on ToyDrive, print their table
	@$(BIN)/lix demo

test: .venv/.installed  ## the same environment: style, layers, types, unit tests, every notebook check
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n $(strip $(JOBS)) --dist worksteal

bench: .venv/.installed  ## what the losses and a step cost, as ratios; WRITE=1 replaces the committed ones
	@$(BIN)/python -m tools.benchmarks.ratios $(if $(WRITE),--write)
	@$(if $(WRITE),$(BIN)/python -m tools.benchmarks.losses && $(BIN)/python -m tools.dev.readme_tables)

lab: .venv/.installed  ## open JupyterLab at the first chapter
	@$(BIN)/jupyter lab notebooks/00_start_here.ipynb

explore: .venv/.installed  ## the demos of all chapters as one page in the browser, served on this computer alone
	@$(BIN)/python -m tools.dev.demo_page

notebooks: .venv/.installed  ## run every notebook and write its outputs into it
	@$(BIN)/python tools/dev/execute_notebooks.py

course: .venv/.installed  ## what is made from the notebooks: strips, the page of five lines, the loops of the demos
	@$(BIN)/python -m tools.dev.orientation_strips
	@$(BIN)/python -m tools.dev.five_lines
	@$(BIN)/python -m tools.dev.loops

docs: .venv/.installed  ## build the site into site/: open site/index.html, no server and no network are needed
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "Open site/index.html"

gpu: .venv/.installed  ## check and measure everything on a card, in at most 8 minutes (docs/gpu.md)
	@$(BIN)/python -m tools.benchmarks.gpu

# Use the oldest interpreter in use (Debian 12 has 3.11.2): some newest versions ask for a later patch release.
# torch stays as it is pinned: results were computed with it, so change that line by hand.
lock:  ## pin the newest versions that pyproject.toml allows, torch as it is
	@$(call find_python) && $$python -m venv --clear .lock-venv
	@grep '^torch==' requirements.lock >.lock-venv/constraints.txt
	@.lock-venv/bin/pip install -q --upgrade setuptools
	@.lock-venv/bin/pip install -q -c .lock-venv/constraints.txt --no-build-isolation -e '.[test]'
	@.lock-venv/bin/python tools/dev/write_lock.py
	@rm -rf .lock-venv

clean:  ## remove the environment and the caches
	rm -rf .venv .lock-venv .pytest_cache .ruff_cache .mypy_cache .import_linter_cache build site *.egg-info
	find lixlib tests tools -name __pycache__ -exec rm -rf {} +

# A candidate counts only if it runs: a version manager's shim may exist for a Python that is not active.
define find_python
python=; seen=; for candidate in $(or $(strip $(PYTHON)),python3.11 python3.12 python3); do \
  $$candidate -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null || continue; \
  seen=$$candidate; \
  if $$candidate -c 'import ensurepip, venv' 2>/dev/null; then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
  if [ -n "$$seen" ]; then echo "$$seen cannot make environments: install its venv module (Debian, Ubuntu: apt install python3-venv)." >&2; \
  else echo "No Python 3.11 or 3.12 found: install one, or name it: make ... PYTHON=/path/to/python3.12" >&2; fi; \
  exit 1; \
fi
endef

# The stamp is written last, so an installation that failed half-way is taken up again by the next call.
.venv/.installed: pyproject.toml requirements.lock
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { $(call find_python); $$python -m venv --clear .venv; }
	@echo "Installing into .venv: a few minutes the first time."
	@$(BIN)/pip install -q -r requirements.lock
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@
