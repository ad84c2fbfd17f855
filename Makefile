# make reproduce · make test · make lab · make page · make sweep · make evidence · make bench · make pins
PYTHON ?= python3
PROFILE ?= smoke
ARTEFACTS ?= all
DATASET ?=
# the versions that CI used; empty: whatever pyproject.toml allows
PINS ?= constraints.txt
BIN := .venv/bin
STAMP := .venv/.installed
DATASET_FLAG := $(if $(DATASET),--dataset $(DATASET))

.PHONY: reproduce test lint lab page sweep evidence bench pins clean

reproduce: $(STAMP)
	$(BIN)/lasem reproduce $(ARTEFACTS) --profile $(PROFILE) $(DATASET_FLAG)

# Files in their order: sorted by the number of tests, those with few slow ones would be left to the end. And
# a worker that dies is not replaced: the others finish and its test is named, where a new one may wait for ever
test: $(STAMP) lint
	MPLBACKEND=agg $(BIN)/python -m pytest tests -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0
	$(BIN)/python tests/run_notebooks.py

lint: $(STAMP)
	$(BIN)/ruff check lasem_core tests notebooks
	$(BIN)/ruff format --check lasem_core tests notebooks

# working copies: JupyterLab saves outputs into what it has open, and sources carry none
lab: $(STAMP)
	mkdir -p lab
	for n in notebooks/*.ipynb; do test "lab/$${n#notebooks/}" -nt "$$n" || cp --backup=simple --suffix=.bak "$$n" lab/; done
	$(BIN)/jupyter lab lab/01_quickstart.ipynb

page: $(STAMP)
	$(BIN)/voila notebooks/02_explorer.ipynb

sweep: $(STAMP)
	$(BIN)/lasem sweep $(ARTEFACTS) --profile $(PROFILE) $(DATASET_FLAG)

evidence: $(STAMP)
	$(BIN)/lasem sweep evidence

bench: $(STAMP)
	$(BIN)/lasem bench

clean:
	rm -rf .cache outputs/smoke outputs/your_own_data outputs/your_own_network outputs/report.html outputs/example-images

pins: $(STAMP)
	$(BIN)/python tests/make_constraints.py

# The stamp says that this pyproject.toml is installed: a second call installs nothing. Distributions that ship
# Python without ensurepip still have venv itself, and pip can install into it from outside. Of what comes with torch and
# JupyterLab little is ever imported, so nothing is compiled beforehand.
$(STAMP): pyproject.toml $(wildcard $(PINS))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "lasem needs Python 3.11 or newer; name one: make PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -m pip --version > /dev/null 2>&1 \
	  || $(PYTHON) -m venv --clear .venv > /dev/null 2>&1 \
	  || { $(PYTHON) -m venv --clear --without-pip .venv \
	       && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; } \
	  || { echo "cannot make a virtual environment: install your system's python3-venv package" >&2; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile $(if $(PINS),-c $(PINS)) -e '.[test]'
	@touch $(STAMP)
