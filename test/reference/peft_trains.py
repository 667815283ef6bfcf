"""Trains a LoRA adapter with PEFT inside an emulator's bundle, for `offsite seal`.

Needs Python with torch, transformers, peft and safetensors. Arguments: BUNDLE ROWS OUTPUT [STEPS]; ROWS are JSON lines with
"text". Modules keep their names in the full model: a layer that was removed passes its input on, one that runs another's
weights is a frozen copy of it. Maps that the bundle holds as two factors are multiplied out; where it has no transfer layers, LoRA
sits on every kept one.
"""
import copy
import json
import pathlib
import sys

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer


class Removed(torch.nn.Module):
    attention_type = "full_attention"

    def forward(self, hidden_states, *_, **__):
        return hidden_states


def load(model, tensors):
    """The bundle's tensors, factors as their product, biases also where the family's map has none."""
    modules = dict(model.named_modules())
    lefts = [name for name in tensors if name.endswith(".left.weight")]
    for path in [name.removesuffix(".left.weight") for name in lefts]:
        product = tensors.pop(f"{path}.left.weight").float() @ tensors.pop(f"{path}.right.weight").float()
        turned = type(modules[path]).__name__ == "Conv1D"
        tensors[f"{path}.weight"] = product.T.contiguous() if turned else product
    for name, values in tensors.items():
        path, _, part = name.rpartition(".")
        if part == "bias" and modules[path].bias is None:
            modules[path].bias = torch.nn.Parameter(torch.zeros(len(values)))
    unknown = model.load_state_dict(tensors, strict=False).unexpected_keys
    if unknown:
        sys.exit(f"{type(model).__name__} has no place for {', '.join(unknown[:3])} of the bundle: it would run without")


def emulator_of(bundle):
    plan = json.loads((bundle / "similarity.json").read_text())
    shapes = bundle / "emulator.json"
    held = json.loads(shapes.read_text())["blocks"] if shapes.exists() else {}
    for layer, shape in held.items():
        if "widths" in shape or any(form["is"] != "factors" for form in shape.get("maps", {}).values()):
            sys.exit(f"{shapes}: layer {layer} has fewer heads or channels, or maps in another form than factors")
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(bundle))
    load(model, load_file(bundle / "model.safetensors"))
    model.tie_weights()
    owner, name = next(
        (module, name)
        for module in model.modules()
        for name, child in module.named_children()
        if isinstance(child, torch.nn.ModuleList) and len(child) == model.config.num_hidden_layers
    )
    layers = getattr(owner, name)
    # with `sharing: none` there are as many positions as kept layers, else as many as the model has
    runs = dict(enumerate(plan["source"])) if len(plan["source"]) == len(layers) else {i: i for i in plan["kept"]}
    blocks = []
    for i, layer in enumerate(layers):
        if i not in runs:
            blocks.append(Removed())
        elif runs[i] == i:
            blocks.append(layer)
        else:
            blocks.append(copy.deepcopy(layers[runs[i]]))
    setattr(owner, name, torch.nn.ModuleList(blocks))
    # masks and angles go by place in transformers, and by the layer whose weights run in the emulator
    kinds = getattr(model.config, "layer_types", None)
    if kinds:
        model.config.layer_types = [kinds[runs.get(i, i)] for i in range(len(layers))]
    model.config.use_cache = False
    return model, plan["transferLayers"] or plan["kept"]


def main(bundle, rows, output, steps="20"):
    torch.manual_seed(1)
    model, transfer = emulator_of(pathlib.Path(bundle))
    tokenizer = AutoTokenizer.from_pretrained(bundle)
    texts = [json.loads(line)["text"] for line in pathlib.Path(rows).read_text().splitlines()]
    config = LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=16, lora_dropout=0.05,
        target_modules=["q_proj", "v_proj"], layers_to_transform=transfer,
    )
    adapted = get_peft_model(model, config)
    optimiser = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-3)
    for step in range(int(steps)):
        ids = torch.tensor([tokenizer(texts[step % len(texts)]).input_ids])
        loss = adapted(input_ids=ids, labels=ids).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        print(f"step {step + 1}: loss {loss.item():.4f}")
    adapted.save_pretrained(output)


main(*sys.argv[1:])
