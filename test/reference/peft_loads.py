"""Loads a LoRA adapter made here in PEFT around the full model, and compares its logits with those of the model that PlugIn saved.

Needs Python with torch, transformers, peft and safetensors. Arguments: MODEL ADAPTER PLUGGED_IN, three directories. Ends
with 1 where a logit differs by more than 1e-3 of their root mean square, or where the adapter changes nothing.
"""
import pathlib
import shutil
import sys
import tempfile

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def load(directory):
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()


@torch.no_grad()
def main(model, adapter, plugged_in):
    full, merged = load(model), load(plugged_in)
    ids = torch.randint(full.config.vocab_size, (4, 48), generator=torch.Generator().manual_seed(1))
    before = full(ids).logits
    with tempfile.TemporaryDirectory() as directory:
        for file in pathlib.Path(adapter).iterdir():
            name = "adapter_model.safetensors" if file.name == "adapter.safetensors" else file.name
            shutil.copyfile(file, pathlib.Path(directory, name))
        in_peft = PeftModel.from_pretrained(full, directory)(ids).logits
    ours = merged(ids).logits
    scale = ours.pow(2).mean().sqrt()
    difference = ((in_peft - ours).abs().max() / scale).item()
    change = ((ours - before).abs().max() / scale).item()
    print(f"PEFT against the saved model: {difference:.1e}; the adapter changes logits by {change:.1e}")
    return int(difference > 1e-3 or change < 1e-2)


sys.exit(main(*sys.argv[1:]))
