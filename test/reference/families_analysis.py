"""Losses of the families' small checkpoints with transfer layers changed by formula: on the line to them and beyond, with
each layer deleted, with each transfer layer rewound; by transformers. Writes test/fixtures/families-analysis.json.

Needs what families.py needs. A plugged-in tensor is the full model's plus SHARE of its scale times `uniform`.
"""
import copy
import json

import torch

from families import FIXTURES, blocks_of, build, emulator_of, forward, hub_name, path_of, rows_of, uniform
from families_variants import VARIANTS

SHARE = 0.25
COEFFICIENTS = [-0.5, 0, 0.5, 1, 1.5]


def plugged_tensors(model, variant, tensors, layers):
    """The transfer layers' weights with what was added, by transformers' names."""
    scales = {name: scale for name, _, _, scale in tensors}
    owner, list_name = blocks_of(model)
    state = {}
    for layer in layers:
        prefix = f"{path_of(model, owner)}{list_name}.{layer}."
        for name, p in getattr(owner, list_name)[layer].named_parameters():
            hub = hub_name(variant, prefix + name)
            change = SHARE * scales[hub] * uniform(f"plugged {hub}", p.numel())
            state[prefix + name] = p.detach() + torch.from_numpy(change).float().reshape(p.shape)
    return state


def with_tensors(model, state):
    changed = copy.deepcopy(model)
    changed.load_state_dict(state, strict=False)
    return changed


def losses(name, variant):
    torch.manual_seed(0)
    model, _, tensors = build(variant)
    rows = rows_of(variant["fields"]["vocab_size"], variant.get("rows", [13, 9]))
    transfer = variant["emulator"]["transfer"]
    full = {key: p.detach() for key, p in model.named_parameters()}
    plugged = plugged_tensors(model, variant, tensors, transfer)
    depth = model.config.num_hidden_layers

    def line(c):
        return with_tensors(model, {key: (1 - c) * full[key] + c * value for key, value in plugged.items()})

    def rewound(layer):
        own = set(plugged_tensors(model, variant, tensors, [layer]))
        return with_tensors(model, {key: value for key, value in plugged.items() if key not in own})

    def deleted(layer):
        return emulator_of(with_tensors(model, plugged), [other for other in range(depth) if other != layer])

    loss = lambda changed: forward(changed, rows)[1].item()
    with torch.no_grad():
        return {
            "interpolation": [loss(line(c)) for c in COEFFICIENTS],
            "deleted": [loss(deleted(layer)) for layer in range(depth)],
            "rewound": [loss(rewound(layer)) for layer in transfer],
        }


found = {name: losses(name, variant) for name, variant in VARIANTS.items() if "emulator" in variant}
result = {"share": SHARE, "coefficients": COEFFICIENTS, "losses": found}
path = FIXTURES.parent / "families-analysis.json"
path.write_text(json.dumps(result, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
print(f"{len(found)} families, {path.stat().st_size / 1000:.0f} kB")
