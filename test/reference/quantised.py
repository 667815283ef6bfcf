"""Blocks of ggml's quantised types and what they stand for, by the gguf package: test/fixtures/quantised.json.

Needs Python with gguf and numpy. The blocks are random but for their float16 scales, which are of usual sizes, so that
every bit of a block matters.
"""
import base64
import json
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize

# where a block's float16 scales lie
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}

random = np.random.default_rng(7)
fixture = {}
for name, scales in SCALES.items():
    kind = Type[name]
    elements, size = GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, size=(3 * (256 // elements), size), dtype=np.uint8)
    for at in scales:
        values = random.normal(0, 0.02, len(blocks)).astype("<f2")
        blocks[:, at : at + 2] = values.view(np.uint8).reshape(-1, 2)
    values = dequantize(blocks.reshape(-1), kind).astype("<f4")
    assert np.isfinite(values).all()
    fixture[name] = {part: base64.b64encode(array.tobytes()).decode() for part, array in
                     (("blocks", blocks), ("values", values))}
path = Path(__file__).parent.parent / "fixtures" / "quantised.json"
path.write_text(json.dumps(fixture, indent=1) + "\n", encoding="utf-8")
print(path.stat().st_size, "bytes")
