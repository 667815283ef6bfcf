"""Whether PEFT makes of a LoRA adapter what PlugIn saved: MODEL ADAPTER SAVED, three directories of `offsite run`.

Needs Python with torch, transformers and peft. Prints what PEFT says of the adapter, the largest difference of the logits, relative to
their root mean square, and how far both are from the model without the adapter.
"""
import shutil
import sys
import tempfile
from pathlib import Path

import peft
import torch
import transformers

model_path, adapter_path, saved_path = sys.argv[1:]
torch.manual_seed(0)


def load(path):
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


model, saved = load(model_path), load(saved_path)
ids = torch.randint(4, model.config.vocab_size, (2, 24))
with torch.no_grad(), tempfile.TemporaryDirectory() as directory:
    for name in ("adapter_config.json", "adapter.safetensors"):
        shutil.copy(Path(adapter_path, name), Path(directory, name.replace("adapter.s", "adapter_model.s")))
    before = model(ids).logits
    adapted = peft.PeftModel.from_pretrained(model, directory)
    logits, expected = adapted(ids).logits, saved(ids).logits
config = adapted.peft_config["default"]
scale = expected.pow(2).mean().sqrt()
print(f"dropout {config.lora_dropout}, modules to save {config.modules_to_save}, tied {saved.config.tie_word_embeddings}")
print(f"difference {((logits - expected).abs().max() / scale).item():.1e}, change {((before - expected).abs().max() / scale).item():.1e}")
