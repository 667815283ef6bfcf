"""LoRA beside layers that are held as factors, with biases that their family lacks: the logits of an emulator of every family,
five AdamW steps of PEFT's LoRA on every kept layer of it, and the full model with what was trained; by transformers, on the
factors multiplied out. Writes test/fixtures/families-beside.json; arguments name families, none means all.

Needs what families.py needs. No factor is stored: each follows from its name and place by `uniform`, on both sides.
"""
import copy
import json
import sys

import numpy as np
import peft
import torch

from families import (
    ALPHA, FIXTURES, RANK, RATE, SEED, Masked, adapter, blocks_of, build, emulator_of, five_steps, forward, hub_name, lora_on,
    packed, path_of, rows_of, tails, uniform,
)
from families_variants import VARIANTS


def values(tensor):
    """In float64, of the float32 numbers that a bundle holds."""
    name, shape, base, scale = tensor
    numbers = (base + scale * uniform(name, int(np.prod(shape)))).astype(np.float32)
    return torch.from_numpy(numbers.astype(np.float64)).reshape(shape)


def factored(model, variant, layers):
    """The model with the maps of some layers as products, and the tensors that these are made of, by the hub's names."""
    compressed = copy.deepcopy(model)
    owner, list_name = blocks_of(compressed)
    tensors = []
    for layer in layers:
        block = getattr(owner, list_name)[layer]
        prefix = f"{path_of(compressed, owner)}{list_name}.{layer}."
        maps = [(path, module) for path, module in block.named_modules() if getattr(module, "weight", None) is not None]
        for path, module in maps:
            if module.weight.dim() != 2:
                continue
            conv = type(module).__name__ == "Conv1D"
            outputs, inputs = reversed(module.weight.shape) if conv else module.weight.shape
            rank = max(1, min(outputs, inputs) // 3)
            name = hub_name(variant, f"{prefix}{path}.weight").removesuffix(".weight")
            left = [f"{name}.left.weight", [outputs, rank], 0.0, round(1.7 / rank**0.5, 6)]
            right = [f"{name}.right.weight", [rank, inputs], 0.0, round(1.7 / inputs**0.5, 6)]
            tensors += [left, right]
            product = values(left) @ values(right)
            dtype = module.weight.dtype
            module.weight.data = (product.T.contiguous() if conv else product).to(dtype)
            if module.bias is None:
                bias = [f"{name}.bias", [outputs], 0.0, 0.2]
                tensors.append(bias)
                module.bias = torch.nn.Parameter(values(bias).to(dtype), requires_grad=False)
    return compressed, tensors


def beside(model, rows, source, kept, variant=None, **options):
    """Losses, changes, and the logits of the full model whose own weights have what was trained."""
    compressed, _ = factored(model, variant, kept)
    adapted = lora_on(emulator_of(compressed, source), kept, **options)
    parameters = {path.replace(".default", ""): p for path, p in adapted.named_parameters() if p.requires_grad}
    before = {path: p.detach().clone() for path, p in parameters.items()}
    Masked.rows = len(rows)
    losses = five_steps(adapted, rows, list(parameters.values()), Masked.at)
    Masked.at(None)
    plugged = lora_on(copy.deepcopy(model), kept, **options)
    peft.set_peft_model_state_dict(plugged, peft.get_peft_model_state_dict(adapted, save_embedding_layers=False))
    with torch.no_grad():
        logits = forward(plugged, rows)[0]
    return losses, {path: p.detach() - before[path] for path, p in parameters.items()}, logits


def reference(variant):
    torch.manual_seed(0)
    model, _, _ = build(variant)
    rows = rows_of(variant["fields"]["vocab_size"], variant.get("rows", [13, 9]))
    source = variant["emulator"]["source"]
    kept = sorted(set(source))
    compressed, tensors = factored(model, variant, kept)
    with torch.no_grad():
        logits = forward(emulator_of(compressed, source), rows)[0]
    place = (model, rows, source, kept)
    factors = {"rank": RANK, "alpha": ALPHA}
    return {
        "tensors": tensors,
        "logits": packed(tails(logits, rows)),
        "lora": adapter(beside, *place, factors, variant=variant),
        "dropout": adapter(
            beside, *place, factors | {"rate": RATE, "seed": SEED}, variant=variant, dropout=RATE),
    }


path = FIXTURES.parent / "families-beside.json"
found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
for name, variant in VARIANTS.items():
    if "emulator" in variant and name in (sys.argv[1:] or VARIANTS):
        found[name] = reference(variant)
        print(f"{name}: losses {found[name]['lora']['losses']}", flush=True)
path.write_text(json.dumps(found, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
print(f"{len(found)} families, {path.stat().st_size / 1000:.0f} kB")
