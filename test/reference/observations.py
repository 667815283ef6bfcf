"""What a pass over rows finds of every linear map, by hooks in float64: moments of inputs, gradients, block influence.

Needs what families.py needs. Writes test/fixtures/observations.json for some of its checkpoints.
"""
import json

import torch
import transformers

import families
from families import blocks_of, build, described, forward, hub_name, padded, path_of, real, rows_of
from families_variants import VARIANTS

NAMES = ["llama-biases", "gpt2", "bloom", "phi3", "gemma2", "gpt-neox", "opt-post-norm-projected", "qwen3"]
families.SAMPLE = 8


def is_map(module):
    return isinstance(module, (torch.nn.Linear, transformers.pytorch_utils.Conv1D))


def watch(model):
    """Every linear map's input and output, and every block's; outputs keep their gradient."""
    owner, list_name = blocks_of(model)
    base = f"{path_of(model, owner)}{list_name}"
    maps, blocks = {}, []

    def at_map(name):
        def keep(_, args, output):
            output.retain_grad()
            maps[name] = (args[0], output)

        return keep

    def at_block(_, args, kwargs, output):
        states = args[0] if args else kwargs["hidden_states"]
        blocks.append((states, output[0] if isinstance(output, tuple) else output))

    for layer, block in enumerate(getattr(owner, list_name)):
        block.register_forward_hook(at_block, with_kwargs=True)
        for path, module in block.named_modules():
            if is_map(module):
                module.register_forward_hook(at_map(f"{base}.{layer}.{path}.weight"))
    return maps, blocks


def tokens_of(values, rows):
    """The rows' own tokens, [tokens, width]; some families join rows and places."""
    length = max(map(len, rows))
    return real(values.reshape(len(rows), length, -1), rows)


def observed(variant):
    torch.manual_seed(0)
    model = build(variant)[0].double()
    rows = rows_of(variant["fields"]["vocab_size"], variant.get("rows", [13, 9]))
    maps, blocks = watch(model)
    loss = forward(model, rows)[1]
    loss.backward()
    weights = dict(model.named_parameters())
    found = {}
    for name, (x, y) in maps.items():
        x, g = tokens_of(x, rows), tokens_of(y.grad, rows)
        dw = weights[name].grad
        transposed = tuple(dw.shape) == (x.shape[1], g.shape[1]) and ".c_" in name
        found[hub_name(variant, name)] = {
            "mean": described(x.mean(0)),
            "second": described(x.T @ x / len(x)),
            "outputs": described(g.T @ g / len(g)),
            "weight": described(dw.T if transposed else dw),
        }
    cosines = [torch.cosine_similarity(tokens_of(x, rows), tokens_of(y, rows), dim=1).mean() for x, y in blocks]
    return {"influence": [1 - cosine.item() for cosine in cosines], "maps": found}


if __name__ == "__main__":
    result = {name: observed(VARIANTS[name]) for name in NAMES}
    path = families.FIXTURES.parent / "observations.json"
    path.write_text(json.dumps(result, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
    print(f"{path.stat().st_size / 1000:.0f} kB")
