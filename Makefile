# make run    install what the app needs into .venv (once) and serve it; PORT=8000 or ARGS="--port 8000"
# make test   install what the tests need too (Chromium included) and run them; TESTS=tests/test_app.py, WORKERS=0
# make torture  all bad uploads and nonsense for every endpoint that the tests can make; make test takes a draw of them
# make check  lint, format, types, and known vulnerabilities of what is installed
# make space OUT=dir   collect what a Hugging Face Space needs and check it; VQ_WEIGHTS=org/prefix, ZEROGPU=1
# make trials DATA=cats64.zip PERCEPTUAL=squeezenet1_1.safetensors   what each setting of a recipe does; two hours, into runs/trials
# make report CATS=cats64.zip PHOTOS=photos160.zip PERCEPTUAL=squeezenet1_1.safetensors   write weights/README.md
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
TESTS ?= tests
WORKERS ?= 2

.PHONY: run test torture check space trials report clean

run: $(VENV)/.run
	@exec $(BIN)/python app.py $(ARGS)

test: $(VENV)/.test
	@sh tests/chromium.sh $(BIN)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(TESTS)

torture: $(VENV)/.test
	@VQ_TORTURE=1 $(BIN)/python -m pytest tests/test_corpus.py tests/test_fuzz.py tests/test_faults.py tests/test_limits.py

check: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python tests/audit.py

space: $(VENV)/.run
	@test -n "$(OUT)" || { echo "Say where: make space OUT=dir" >&2; exit 2; }
	@$(BIN)/python -m vq.space "$(OUT)"

# The stamps make a second call start at once, without network.
$(VENV)/.run: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; \
	sys.exit("Python 3.11 or newer is needed; this is %d.%d. Try: make run PYTHON=python3.12" % v[:2] if v < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements-test.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@

trials: $(VENV)/.run
	@$(BIN)/python -m vq.train.trials --data "$(DATA)" --perceptual "$(PERCEPTUAL)" --out runs/trials

report: $(VENV)/.test
	@$(BIN)/python -m vq.report --cats "$(CATS)" --photos "$(PHOTOS)" --perceptual "$(PERCEPTUAL)"

clean:
	rm -rf $(VENV)
