"""Emulators of the small checkpoints of families.py whose frozen blocks have fewer heads and channels.

Needs what families.py needs. Writes test/fixtures/families-narrow.json. Here the blocks keep their full width, with zeros where
the maps behind heads and channels would take what is left out: the same weights multiplied out. These maps have biases, also
where the family's have none.
"""
import copy
import json

import torch

from families import (
    FIXTURES, blocks_of, build, emulator_of, five_steps, forward, packed, path_of, rows_of, tails, uniform, with_noise)
from families_variants import VARIANTS, llama

ONE_KEY_HEAD = llama(num_hidden_layers=4, num_key_value_heads=1)
NAMES = [name for name, variant in VARIANTS.items() if "emulator" in variant]
LAST = ("o_proj", "out_proj", "c_proj", "dense", "down_proj", "fc2", "dense_4h_to_h")
TRAINED, NARROW = [0, 2], [1, 3]


def units_left(config, layer, inner):
    """Of the second block every other head, of the last one all but the last; where one key head is left, of its query heads."""
    heads = config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    units = groups if groups > 1 else heads
    stays = [u for u in range(units) if (u % 2 == 1 if layer == 1 else u < units - 1)]
    per = heads // groups if groups > 1 else 1
    return {
        "groups": stays if groups > 1 else [0],
        "heads": [u * per + i for u in stays for i in range(per)],
        "inner": [c for c in range(inner) if (c % 3 if layer == 1 else c % 2 == 0)],
    }


def ends_of(block):
    """The maps behind heads and behind channels."""
    attention, mlp = [m for path, m in block.named_modules() if path.split(".")[-1] in LAST]
    return attention, mlp


def inputs_first(module):
    """The weight with its inputs along the first axis: Conv1D has it so."""
    return module.weight if type(module).__name__ == "Conv1D" else module.weight.T


def zeroed(emulator, layer):
    config = emulator.config
    owner, name = blocks_of(emulator)
    attention, mlp = ends_of(getattr(owner, name)[layer])
    left = units_left(config, layer, inputs_first(mlp).shape[0])
    size = inputs_first(attention).shape[0] // config.num_attention_heads
    elements = [h * size + i for h in left["heads"] for i in range(size)]
    for module, stays, slot in ((attention, elements, "output"), (mlp, left["inner"], "down")):
        weight = inputs_first(module)
        out = [i for i in range(weight.shape[0]) if i not in stays]
        with torch.no_grad():
            weight[out] = 0
        bias = torch.from_numpy(uniform(f"{slot} of {layer}", config.hidden_size) / 4).to(module.weight.dtype)
        module.bias = torch.nn.Parameter(bias, requires_grad=False)
    return left


def narrow_of(model):
    emulator = emulator_of(model, range(model.config.num_hidden_layers))
    return emulator, {layer: zeroed(emulator, layer) for layer in NARROW}


def tuned(model, rows):
    emulator, _ = narrow_of(model)
    owner, list_name = blocks_of(emulator)
    names = {
        f"{path_of(emulator, owner)}{list_name}.{layer}.{name}": p
        for layer in TRAINED
        for name, p in getattr(owner, list_name)[layer].requires_grad_(True).named_parameters()
    }
    before = {name: p.detach().clone() for name, p in names.items()}
    zero_shot = forward(emulator, rows)[0].detach()
    losses = five_steps(emulator, rows, list(names.values()))
    plugged = copy.deepcopy(model)
    plugged.load_state_dict({name: p.detach() for name, p in names.items()}, strict=False)
    changes = {name: p.detach() - before[name] for name, p in names.items()}
    with torch.no_grad():
        return zero_shot, losses, changes, forward(plugged, rows)[0]


def reference(variant):
    torch.manual_seed(0)
    model, config, tensors = build(variant)
    rows = rows_of(variant["fields"]["vocab_size"], variant.get("rows", [13, 9]))
    zero_shot, losses, changes, plugged = tuned(model, rows)
    exact = tuned(copy.deepcopy(model).double(), rows)[2]
    return {
        "family": variant["family"], "config": config, "dtype": "F32", "tensors": tensors, "rows": rows,
        "kept": narrow_of(model)[1], "logits": packed(tails(zero_shot, rows)), "losses": losses,
        "changes": with_noise(changes, exact), "plugIn": packed(tails(plugged, rows)),
        "emulator": {"source": [*range(model.config.num_hidden_layers)], "transferLayers": TRAINED},
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    made = {name: reference(VARIANTS[name]) for name in NAMES} | {"llama-one-key-head": reference(ONE_KEY_HEAD)}
    path = FIXTURES.parent / "families-narrow.json"
    path.write_text(json.dumps(made, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
    print(f"{path.stat().st_size / 1000:.0f} kB")
