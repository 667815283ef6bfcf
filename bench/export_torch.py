"""Writes a GGUF file's weights as a float32 hub checkpoint, so that the PyTorch peer starts from its own best format."""
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

gguf, out = Path(sys.argv[1]), sys.argv[2]
AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32).save_pretrained(out)
