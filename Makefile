# make demo | make test | make lab: each sets up what is missing first.
#
# TORCH_INDEX names a package index to take torch from, for instance PyTorch's own CPU index; without it pip takes the
# default index's build, or a wheel that lies in a folder which PIP_FIND_LINKS names.
PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
# NumPy's sums come in one order on every CPU of this kind, so that kept outputs can be compared; see docs/design.md.
ifeq ($(shell uname -m),x86_64)
export OPENBLAS_CORETYPE ?= Haswell
endif
TIMED = @start=$$(date +%s); sh -c '$(1)' || exit $$?; echo "== $(2): $$(( $$(date +%s) - start )) s"

.DEFAULT_GOAL := help
.PHONY: help demo test lab check models shipped results notebooks fuzz lines lock clean system system-browser

help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

demo: .venv/ready  ## simulate, record, train, score, report: the main job without a screen
	@$(BIN)/twinlab quickstart

test: .venv/ready system-browser  ## every test: lint, unit and contract, notebooks, browser
	$(call TIMED,$(BIN)/ruff check . && $(BIN)/ruff format --check .,lint)
	$(call TIMED,OMP_NUM_THREADS=1 LP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadscope --ignore tests/browser tests,unit and contract tests)
	$(call TIMED,OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -p no:cacheprovider --nbval --nbval-sanitize-with tests/sanitize.cfg --nbval-cell-timeout 120 notebooks,notebooks)
	$(call TIMED,$(BIN)/python -m pytest -q tests/browser,browser tests)

lab: .venv/ready  ## JupyterLab on the quickstart notebook, on this machine only
	@$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 $$(test $$(id -u) -ne 0 || echo --allow-root) notebooks/00_quickstart.ipynb

check: .venv/ready  ## lint, types, layers and quick tests, before a commit
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	OMP_NUM_THREADS=1 LP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadscope --ignore tests/browser tests

models: .venv/ready  ## record and train one model per line from nothing (at most 20 minutes each on 2 cores)
	$(BIN)/twinlab models

shipped: .venv/ready  ## train the model that the notebooks load anew (about 30 minutes on 2 cores)
	$(BIN)/twinlab quickstart --folder data/runs/shipped --training 96 --validation 12 --steps 2000 --runs 20 \
		--keep data/models/sorting

results: .venv/ready  ## measure what every line and its model must show, into docs/results.md (many hours)
	$(BIN)/twinlab evaluate --all

notebooks: .venv/ready  ## run the notebooks anew and keep their outputs
	OMP_NUM_THREADS=1 $(BIN)/jupyter nbconvert --execute --inplace --to notebook --log-level ERROR \
		--ExecutePreprocessor.store_widget_state=False notebooks/*.ipynb

fuzz: .venv/ready  ## 2,000 mutated scene files (about 3 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/test_fuzz.py --hypothesis-profile fuzz

lines: .venv/ready  ## expert and program on every line, 59 test seeds each (some hours on 2 cores)
	$(BIN)/twinlab score --all --seeds 59

lock: .venv/ready  ## pin every dependency anew; call it with the oldest Python that counts, Debian 12's 3.11.2
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --extra test --strip-extras --no-header --no-annotate --no-emit-index-url \
		--no-emit-trusted-host --no-emit-find-links --upgrade --output-file requirements.lock pyproject.toml
	sed -i 's/+cpu$$//' requirements.lock

clean:  ## remove what set-up and runs made
	rm -rf .venv data/runs

.venv/ready: requirements.lock pyproject.toml | system
	@sh setup/venv.sh "$(PYTHON)" "$(TORCH_INDEX)"

system:
	@sh setup/system.sh libEGL.so.1:libegl1 libGL.so.1:libgl1 libusb-1.0.so.0:libusb-1.0-0 libgomp.so.1:libgomp1

system-browser:
	@sh setup/system.sh chromium:chromium libatomic.so.1:libatomic1
