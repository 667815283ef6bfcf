"""Small random checkpoints of every family and variant, computed by transformers: logits, loss, gradients, an emulator.

Needs Python with torch, transformers, peft and numpy. Writes test/fixtures/families/<variant>.json; arguments name variants,
none means all. No weight is stored: each follows from its name and place by `uniform`, on both sides.
"""
import base64
import copy
import json
import sys
from pathlib import Path

import numpy as np
import peft
import torch
import transformers

from families_variants import VARIANTS

FIXTURES = Path(__file__).parent.parent / "fixtures" / "families"
STEPS, LEARNING_RATE, SAMPLE = 5, 1e-3, 32
RANK, ALPHA = 3, 12
RATE, SEED = 0.25, 7
SIZE = 5
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def hash_of(name):
    """FNV-1a."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x01000193) & 0xFFFFFFFF
    return np.array([seed], dtype=np.uint32)


def mixed(x):
    """murmur3's finaliser."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x85EBCA6B)
    x = x ^ (x >> np.uint32(13))
    x = x * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


def columns(size):
    return np.arange(size, dtype=np.uint32) * np.uint32(0x9E3779B1)


def uniform(name, size):
    """`size` numbers from -1 to 1: the hash of the element's number, seeded by the name's."""
    return (mixed(columns(size) + hash_of(name)) >> np.uint32(8)).astype(np.float64) / 2**23 - 1


def mask_of(name, step, shape):
    """The numbers of [rows, places, width] that stay, counted as dropout does; the optimiser's steps are counted from 0."""
    rows, places, width = shape
    start = mixed(mixed(hash_of(name) ^ np.uint32(SEED)) ^ np.uint32(step))
    by_row = mixed(start ^ np.arange(rows, dtype=np.uint32))
    tokens = mixed(by_row[:, None] ^ np.arange(places, dtype=np.uint32)[None])
    kept = mixed(tokens[..., None] + columns(width)) >= RATE * 2**32
    return torch.from_numpy(kept / (1 - RATE))


def range_of(name, shape, centred_norms):
    """(base, scale): a weight is base + scale * uniform. Products keep about the size of what goes in."""
    if len(shape) == 1:
        is_norm = "norm" in name or ".ln_" in name
        if name.endswith(".bias"):
            return 0.0, 0.2
        return (0.0 if centred_norms else 1.0, 0.3) if is_norm else (0.0, 0.2)
    if any(word in name for word in ("embed_tokens", "embed_positions", "wte", "wpe", "embed_in", "word_embeddings")):
        return 0.0, 1.0
    # Conv1D lies [in, out], all others [out, in]
    fan_in = shape[0] if ".c_" in name else shape[1]
    return 0.0, round(1.7 / fan_in**0.5, 6)


def hub_name(variant, name):
    """As a checkpoint has it: transformers renames on loading, and some are published without the outer module's name."""
    return variant.get("renamed", {}).get(name, name).removeprefix(variant.get("bare", ""))


def build(variant):
    # configurations write into the dictionaries that they are given
    config = getattr(transformers, variant["config"])(**copy.deepcopy(variant["fields"]))
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    model.config.use_cache = False
    dtype = DTYPES[variant.get("dtype", "F32")]
    tensors = []
    # a tied head is the embedding again: named_parameters tells each once
    for name, parameter in model.named_parameters():
        base, scale = range_of(name, parameter.shape, variant.get("centredNorms", False))
        name = hub_name(variant, name)
        values = torch.from_numpy((base + scale * uniform(name, parameter.numel())).astype(np.float32))
        parameter.data = values.to(dtype).float().reshape(parameter.shape)
        tensors.append([name, list(parameter.shape), base, scale])
    # as save_pretrained writes it; `written` is laid over it, null taking a field away
    written = variant.get("written", {})
    hub = config.to_diff_dict() | {"architectures": [type(model).__name__]} | written
    hub = {key: value for key, value in hub.items() if key not in written or value is not None}
    return model.eval(), hub, tensors


def blocks_of(model):
    """The module that holds the list of blocks, and the list's name."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, torch.nn.ModuleList) and len(child) == model.config.num_hidden_layers:
                return module, name
    raise LookupError("no list of blocks")


def rows_of(vocabulary, lengths):
    # from 4 on: padding tokens of some families have no gradient
    return [
        [4 + int((x + 1) / 2 * (vocabulary - 4)) for x in uniform(f"row {i}", length)]
        for i, length in enumerate(lengths)
    ]


def padded(rows, value):
    length = max(map(len, rows))
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])


def apart(model, rows):
    """Each row's logits alone, the shortest first: angles of the longest row so far are then those of its own length."""
    logits = [None] * len(rows)
    for i in by_length(rows):
        own = model(torch.tensor([rows[i]])).logits[0]
        logits[i] = torch.nn.functional.pad(own, (0, 0, 0, max(map(len, rows)) - len(own)))
    return torch.stack(logits)


def by_length(rows):
    return sorted(range(len(rows)), key=lambda i: len(rows[i]))


def forward(model, rows, alone=False):
    """Logits [B, T, V] and the mean loss over every token but the first of each row."""
    mask = padded([[1] * len(row) for row in rows], 0)
    logits = apart(model, rows) if alone else model(padded(rows, 0), attention_mask=mask).logits
    labels = padded([row[1:] for row in rows], -100)
    shown = logits[:, : labels.shape[1]]
    loss = torch.nn.functional.cross_entropy(
        shown.reshape(-1, shown.shape[-1]), labels.reshape(-1), ignore_index=-100
    )
    return logits, loss


def packed(values):
    array = values.detach().to(torch.float32).contiguous().numpy().astype("<f4")
    return base64.b64encode(array.tobytes()).decode()


def described(tensor):
    flat = tensor.detach().double().flatten()
    count = min(SAMPLE, len(flat))
    places = [i * len(flat) // count for i in range(count)]
    return {"norm": flat.norm().item(), "sample": packed(flat[places])}


def real(values, rows):
    """The rows' own tokens of [B, T, ...], one after the other."""
    return torch.cat([values[i, : len(row)] for i, row in enumerate(rows)])


def tails(values, rows):
    return torch.cat([values[i, len(row) - 2 : len(row)] for i, row in enumerate(rows)])


def full(model, rows, variant):
    owner, name = blocks_of(model)
    alone = variant.get("alone", False)
    seen = []

    def keep(_, args, kwargs):
        seen.append(args[0] if args else kwargs["hidden_states"])
        seen[-1].retain_grad()

    hook = getattr(owner, name)[0].register_forward_pre_hook(keep, with_kwargs=True)
    logits, loss = forward(model, rows, alone)
    loss.backward()
    hook.remove()
    if alone:
        of_rows = dict(zip(by_length(rows), (states.grad[0] for states in seen), strict=True))
        state_gradient = torch.cat([of_rows[i] for i in range(len(rows))])
    else:
        state_gradient = real(seen[0].grad, rows)
    return {
        "logits": packed(real(logits, rows)),
        "loss": loss.item(),
        "stateGradient": described(state_gradient),
        "gradients": {
            hub_name(variant, name): described(p.grad) for name, p in model.named_parameters()
        },
    }


def emulator_of(model, source):
    """The model whose position i runs a copy of layer source[i]; nothing of it is trained."""
    emulator = copy.deepcopy(model).requires_grad_(False)
    owner, name = blocks_of(emulator)
    blocks = getattr(owner, name)
    setattr(owner, name, torch.nn.ModuleList([copy.deepcopy(blocks[layer]) for layer in source]))
    kinds = getattr(emulator.config, "layer_types", None)
    if kinds is not None:
        emulator.config.layer_types = [kinds[layer] for layer in source]
    return emulator


def five_steps(model, rows, parameters, at_step=lambda step: None):
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    losses = []
    for step in range(STEPS):
        at_step(step)
        optimizer.zero_grad()
        loss = forward(model, rows)[1]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def tuned(model, rows, source, transfer):
    """The emulator's logits, five AdamW steps on its transfer layers, and the trained full model."""
    emulator = emulator_of(model, source)
    owner, list_name = blocks_of(emulator)
    # where a transfer layer is repeated, only its own place trains
    trained = {layer: getattr(owner, list_name)[layer].requires_grad_(True) for layer in transfer}
    names = {
        f"{path_of(model, blocks_of(model)[0])}{list_name}.{layer}.{name}": p
        for layer in trained
        for name, p in trained[layer].named_parameters()
    }
    before = {name: p.detach().clone() for name, p in names.items()}
    zero_shot = forward(emulator, rows)[0].detach()
    losses = five_steps(emulator, rows, list(names.values()))
    changes = {name: p.detach() - before[name] for name, p in names.items()}
    plugged = copy.deepcopy(model)
    plugged.load_state_dict({name: p.detach() for name, p in names.items()}, strict=False)
    with torch.no_grad():
        return zero_shot, losses, changes, forward(plugged, rows)[0]


def path_of(model, module):
    path = next(name for name, other in model.named_modules() if other is module)
    return f"{path}." if path else ""


def with_noise(changes, exact):
    """Each change, and the share of it that float32 itself leaves open: a key's bias has no gradient but rounding."""
    return {
        name: described(change) | {"noise": ((change.double() - exact[name]).norm() / exact[name].norm()).item()}
        for name, change in changes.items()
    }


class Masked(torch.nn.Module):
    """In the place of PEFT's dropout: the masks of `mask_of`."""

    step, rows = None, 0

    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, x):
        if Masked.step is None:
            return x
        # opt has rows and places in one dimension
        by_row = x.reshape(Masked.rows, -1, x.shape[-1])
        return (by_row * mask_of(self.name, Masked.step, by_row.shape).to(x.dtype)).reshape(x.shape)

    @staticmethod
    def at(step):
        Masked.step = step


def lora_on(model, layers, dropout=0, head=False):
    """PEFT's LoRA on every linear map of some layers; the first factor starts as `uniform` says, the second as zeros."""
    owner, name = blocks_of(model)
    modules = sorted({path.split(".")[-2] for path, p in getattr(owner, name)[0].named_parameters() if p.dim() == 2})
    config = peft.LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=dropout, target_modules=modules, layers_to_transform=layers, bias="none",
        modules_to_save=["lm_head"] if head else None, task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(model, config)
    for path, p in adapted.named_parameters():
        if "lora_A" in path:
            values = uniform(path.replace(".default", ""), p.numel()) / p.shape[1] ** 0.5
            p.data = torch.from_numpy(values.astype(np.float32)).to(p.dtype).reshape(p.shape)
    for path, module in adapted.named_modules():
        if dropout and path.endswith("lora_dropout"):
            module["default"] = Masked(path.replace("lora_dropout", "lora_A.weight"))
    return adapted


def lora_tuned(model, rows, source, transfer, **options):
    adapted = lora_on(emulator_of(model, source), transfer, **options)
    parameters = {
        path.replace(".default", "").replace(".modules_to_save", ""): p
        for path, p in adapted.named_parameters() if p.requires_grad}
    before = {path: p.detach().clone() for path, p in parameters.items()}
    Masked.rows = len(rows)
    losses = five_steps(adapted, rows, list(parameters.values()), Masked.at)
    Masked.at(None)
    plugged = lora_on(copy.deepcopy(model), transfer, **options)
    state = peft.get_peft_model_state_dict(adapted, save_embedding_layers=False)
    assert sorted(state) == sorted(parameters)
    peft.set_peft_model_state_dict(plugged, state)
    with torch.no_grad():
        logits = forward(plugged, rows)[0]
    return losses, {path: p.detach() - before[path] for path, p in parameters.items()}, logits


class Bottleneck(torch.nn.Module):
    """x + fc2(relu(fc1(x))) as Offsite-Tuning's public code has it, without dropout; the second map starts as zeros."""

    def __init__(self, path, like):
        super().__init__()
        width = like.shape[-1]
        self.fc1, self.fc2 = torch.nn.Linear(width, SIZE), torch.nn.Linear(SIZE, width)
        self.to(like.dtype)
        for name, p in self.named_parameters():
            start = uniform(f"{path}.adapter.{name}", p.numel()) / width**0.5 if "fc1" in name else np.zeros(p.numel())
            p.data = torch.from_numpy(start.astype(np.float32)).to(p.dtype).reshape(p.shape)

    def forward(self, x):
        return x + self.fc2(torch.relu(self.fc1(x)))


def bottlenecks_on(model, layers):
    """A bottleneck behind the last linear map of attention and MLP of some layers; their parameters by name."""
    owner, list_name = blocks_of(model)
    base = f"{path_of(model, owner)}{list_name}"
    last = ("o_proj", "out_proj", "c_proj", "dense", "down_proj", "fc2", "dense_4h_to_h")
    found = {}
    for layer in layers:
        block = getattr(owner, list_name)[layer]
        maps = [(path, module) for path, module in block.named_modules() if path.split(".")[-1] in last]
        assert len(maps) == 2, maps
        for path, module in maps:
            full_path = f"{base}.{layer}.{path}"
            module.adapter = Bottleneck(full_path, torch.zeros(model.config.hidden_size, dtype=module.weight.dtype))
            module.register_forward_hook(lambda self, _, output: self.adapter(output))
            found |= {f"{full_path}.adapter.{name}": p for name, p in module.adapter.named_parameters()}
    return found


def bottleneck_tuned(model, rows, source, transfer):
    emulator = emulator_of(model, source)
    parameters = bottlenecks_on(emulator, transfer)
    before = {path: p.detach().clone() for path, p in parameters.items()}
    losses = five_steps(emulator, rows, list(parameters.values()))
    plugged = copy.deepcopy(model)
    with torch.no_grad():
        for path, p in bottlenecks_on(plugged, transfer).items():
            p.copy_(parameters[path])
        logits = forward(plugged, rows)[0]
    return losses, {path: p.detach() - before[path] for path, p in parameters.items()}, logits


def adapter(tune, model, rows, source, transfer, given, **options):
    """What an adapter `given` so comes to."""
    losses, changes, plugged = tune(model, rows, source, transfer, **options)
    exact = tune(copy.deepcopy(model).double(), rows, source, transfer, **options)[1]
    return given | {
        "losses": losses,
        "changes": with_noise(changes, exact),
        "plugIn": packed(tails(plugged, rows)),
    }


def emulated(model, rows, source, transfer):
    zero_shot, losses, changes, plugged = tuned(model, rows, source, transfer)
    exact = tuned(copy.deepcopy(model).double(), rows, source, transfer)[2]
    place = (model, rows, source, transfer)
    factors = {"rank": RANK, "alpha": ALPHA}
    return {
        "source": source,
        "transferLayers": transfer,
        "logits": packed(tails(zero_shot, rows)),
        "losses": losses,
        "changes": with_noise(changes, exact),
        "plugIn": packed(tails(plugged, rows)),
        "lora": adapter(lora_tuned, *place, factors),
        "dropout": adapter(lora_tuned, *place, factors | {"rate": RATE, "seed": SEED}, dropout=RATE),
        "head": adapter(lora_tuned, *place, factors, head=True),
        "bottleneck": adapter(bottleneck_tuned, *place, {"size": SIZE}),
    }


def reference(name, variant):
    torch.manual_seed(0)
    model, config, tensors = build(variant)
    rows = rows_of(variant["fields"]["vocab_size"], variant.get("rows", [13, 9]))
    result = {
        "family": variant["family"],
        "config": config,
        "dtype": variant.get("dtype", "F32"),
        "tensors": tensors,
        "rows": rows,
        "full": full(model, rows, variant),
    }
    if "emulator" in variant:
        result["emulator"] = emulated(model, rows, **variant["emulator"])
    path = FIXTURES / f"{name}.json"
    path.write_text(json.dumps(result, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
    print(f"{name}: loss {result['full']['loss']:.4f}, {path.stat().st_size / 1000:.0f} kB", flush=True)


torch.set_num_threads(1)
if __name__ == "__main__":
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or VARIANTS:
        reference(name, VARIANTS[name])
