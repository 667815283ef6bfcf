"""What config.json means to transformers: each configuration class' defaults, aliases, refused nulls and
whole numbers, and rotary angles.

Needs Python with torch and transformers. Writes test/fixtures/config-defaults.json. A case is a variant of
test/fixtures/families with settings changed (DROP takes one away); its angles are those of the last of PLACES tokens.
"""
import copy
import importlib
import json
from dataclasses import fields
from pathlib import Path

import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

FIXTURES = Path(__file__).parent.parent / "fixtures"
DROP, PLACES = "DROP", 20
FAMILIES = {
    "llama": "llama", "mistral": "mistral", "qwen2": "qwen2", "qwen3": "qwen3", "gemma2": "gemma2", "gemma3": "gemma3_text",
    "phi3": "phi3", "opt": "opt", "gpt2": "gpt2", "gpt-neox": "gpt_neox", "bloom": "bloom"}
ROTARY = {
    "llama": "LlamaRotaryEmbedding", "qwen2": "Qwen2RotaryEmbedding", "gemma2": "Gemma2RotaryEmbedding",
    "gemma3_text": "Gemma3RotaryEmbedding", "phi3": "Phi3RotaryEmbedding", "gpt_neox": "GPTNeoXRotaryEmbedding"}


def rope(kind, **numbers):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **numbers}}


def yarn(**numbers):
    return rope("yarn", factor=1000.0, original_max_position_embeddings=16, **numbers)


LONG = {"rope_type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.0, 2.0, 3.0, 4.0]}
CASES = {
    "no setting at all": ("llama", {"rope_parameters": DROP}),
    "rope_theta outside": ("llama", {"rope_parameters": DROP, "rope_theta": 77.0}),
    "rope_theta inside and outside": ("llama", {"rope_theta": 77.0}),
    "rope_theta null": ("llama", {"rope_parameters": DROP, "rope_theta": None}),
    "rope_scaling and rope_parameters": ("llama", {"rope_scaling": {"rope_type": "linear", "factor": 64}}),
    "rope_scaling empty beside rope_parameters": ("llama", rope("linear", factor=2.0) | {"rope_scaling": {}}),
    "linear without factor": ("llama", rope("linear")),
    "llama3 without low_freq_factor": ("llama", rope("llama3", factor=8.0, high_freq_factor=4.0)),
    "yarn": ("llama", yarn()),
    "yarn, mscale 0": ("llama", yarn(mscale=0, mscale_all_dim=1)),
    "yarn, mscale_all_dim 0": ("llama", yarn(mscale=1.5, mscale_all_dim=0)),
    "yarn, mscale alone": ("llama", yarn(mscale=1.5)),
    "yarn, both": ("llama", yarn(mscale=1.5, mscale_all_dim=0.5)),
    "yarn, beta_fast and beta_slow 0": ("llama", yarn(beta_fast=0, beta_slow=0)),
    "yarn, nulls": ("llama", yarn(beta_fast=None, beta_slow=None, mscale=None, attention_factor=None)),
    "yarn, attention_factor 0": ("llama", yarn(attention_factor=0)),
    "yarn, factor null": ("llama", rope("yarn", factor=None, original_max_position_embeddings=16)),
    "yarn, factor absent": ("llama", rope("yarn", original_max_position_embeddings=16)),
    "yarn, original outside": ("llama", rope("yarn", factor=4.0) | {"original_max_position_embeddings": 8}),
    "yarn, original inside and outside": ("llama", yarn() | {"original_max_position_embeddings": 8}),
    "yarn, rope_theta 1": ("llama", {"rope_parameters": yarn()["rope_parameters"] | {"rope_theta": 1.0}}),
    "yarn, max_position_embeddings absent": (
        "llama", rope("yarn", factor=None, original_max_position_embeddings=16) | {"max_position_embeddings": DROP}),
    "the same in qwen2": (
        "qwen2", rope("yarn", factor=None, original_max_position_embeddings=16) | {"max_position_embeddings": DROP}),
    "the same in gemma2": (
        "gemma2", rope("yarn", factor=None, original_max_position_embeddings=16) | {"max_position_embeddings": DROP}),
    "a type of before in llama": ("llama", {"rope_parameters": DROP, "rope_scaling": {**LONG, "rope_type": "su"}}),
    "part of a head in llama": ("llama", {"rope_parameters": LONG, "partial_rotary_factor": 0.5}),
    "phi3 longrope, original absent": (
        "phi3", {"rope_parameters": LONG, "max_position_embeddings": 131072, "original_max_position_embeddings": DROP}),
    "phi3 longrope, original inside alone": (
        "phi3", {"rope_parameters": {**LONG, "original_max_position_embeddings": 8}, "original_max_position_embeddings": DROP}),
    "phi3 longrope, original outside": ("phi3", {"rope_parameters": LONG, "original_max_position_embeddings": 8}),
    "phi3 longrope, max absent": (
        "phi3", {"rope_parameters": LONG, "max_position_embeddings": DROP, "original_max_position_embeddings": 64}),
    "phi3 longrope by the name yarn": (
        "phi3", {"rope_parameters": {**LONG, "rope_type": "yarn", "factor": 2.0}, "original_max_position_embeddings": 8}),
    "phi3 linear": ("phi3", rope("linear", factor=2.0)),
    "phi3, part of a head": ("phi3", {"rope_parameters": DROP, "partial_rotary_factor": 0.5}),
    "phi3, parts inside and outside": ("phi3", rope("default", partial_rotary_factor=1.0) | {"partial_rotary_factor": 0.5}),
    "gpt-neox, nothing": ("gpt-neox", {"rope_parameters": DROP}),
    "gpt-neox, old names": ("gpt-neox", {"rope_parameters": DROP, "rotary_emb_base": 77.0, "rotary_pct": 0.5}),
    "gpt-neox, rope_theta outside": ("gpt-neox", {"rope_parameters": DROP, "rope_theta": 77.0}),
    "gpt-neox, partial_rotary_factor outside": ("gpt-neox", {"rope_parameters": DROP, "partial_rotary_factor": 1.0}),
    "gpt-neox, both bases": ("gpt-neox", {"rotary_emb_base": 77.0}),
    "gpt-neox, rope_scaling": (
        "gpt-neox", {"rope_parameters": DROP, "rope_scaling": {"type": "linear", "factor": 2.0}, "rotary_pct": 1.0}),
    "gemma3, nothing": ("gemma3", {"rope_parameters": DROP}),
    "gemma3, old names": (
        "gemma3", {"rope_parameters": DROP, "rope_theta": 77.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    "gemma3, type for rope_type": ("gemma3", {"rope_parameters": DROP, "rope_scaling": {"type": "linear", "factor": 8.0}}),
    "gemma3, both": ("gemma3", {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    "gemma3, rope_parameters of no kind": ("gemma3", rope("linear", factor=8.0)),
    "gemma3, original outside": (
        "gemma3", {
            "rope_parameters": DROP, "original_max_position_embeddings": 8,
            "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}),
    "gemma3, truncate": (
        "gemma3", {
            "rope_parameters": DROP, "rope_scaling": {
                "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "truncate": False}}),
}


def described(model_type):
    config_class = CONFIG_MAPPING[model_type]
    base = {field.name for field in fields(transformers.PreTrainedConfig)}
    own = [field for field in fields(config_class) if field.name not in base and field.name != "default_theta"]

    def refuses(field, value):
        try:
            config_class.from_dict({field.name: value})
        except Exception:
            return True
        return False

    refused = [field.name for field in own if refuses(field, None)]
    floats = [field.name for field in fields(config_class) if refuses(field, 1) and not refuses(field, 1.0)]
    return {
        "modelType": model_type, "aliases": config_class.attribute_map,
        "defaults": {field.name: field.default for field in own}, "refusesNull": refused, "floats": floats}


def angles(variant, change):
    config = json.loads((FIXTURES / "families" / f"{variant}.json").read_text())["config"]
    changed = {name: value for name, value in {**config, **copy.deepcopy(change)}.items() if value != DROP}
    kind = config["model_type"]
    try:
        read = CONFIG_MAPPING[kind].from_dict(changed)
        modeling = importlib.import_module(f"transformers.models.{kind.removesuffix('_text')}.modeling_{kind.removesuffix('_text')}")
        rotary = getattr(modeling, ROTARY[kind])(read)
        places = torch.arange(PLACES)[None]
        kinds = {"full_attention", "sliding_attention"} if kind == "gemma3_text" else {None}
        of = {}
        for layers in sorted(kinds, key=str):
            cos, sin = rotary(torch.zeros(1), places, *([layers] if layers else []))
            half = cos.shape[-1] // 2
            of[layers or "full_attention"] = {"cos": cos[0, -1, :half].tolist(), "sin": sin[0, -1, :half].tolist()}
        return {"angles": of}
    except Exception as error:
        return {"refused": type(error).__name__}


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    found = {
        "transformers": transformers.__version__,
        "places": PLACES,
        "families": {family: described(kind) for family, kind in FAMILIES.items()},
        "angles": {
            name: {"variant": variant, "change": {k: v for k, v in change.items() if v != DROP},
                   "drop": [k for k, v in change.items() if v == DROP], **angles(variant, change)}
            for name, (variant, change) in CASES.items()},
    }
    (FIXTURES / "config-defaults.json").write_text(json.dumps(found, indent=1) + "\n")
