"""The variants: a configuration class of transformers and its fields, all tiny; each family's first has an emulator."""

ROTARY = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 64, "max_position_embeddings": 64,
}
# four layers, of which 1 is removed; its nearest kept layer to the right is a transfer layer and stays frozen there
SHARED = {"source": [0, 2, 2, 3], "transfer": [0, 2]}


def llama(family="llama", config="LlamaConfig", **fields):
    return {"family": family, "config": config, "fields": ROTARY | fields}


def rope(kind, **parameters):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **parameters}}


LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}

VARIANTS = {
    "llama": llama(num_hidden_layers=4) | {"emulator": SHARED},
    "llama-mha-tied": llama(num_key_value_heads=4, tie_word_embeddings=True),
    "llama-one-key-head": llama(num_key_value_heads=1),
    "llama-biases": llama(attention_bias=True, mlp_bias=True),
    "llama-head-size": llama(head_dim=16),
    "llama-f16": llama() | {"dtype": "F16"},
    "llama-bf16": llama() | {"dtype": "BF16"},
    "llama-rope-theta": llama(**rope("default", rope_theta=500000.0)),
    "llama-rope-linear": llama(**rope("linear", factor=4.0)),
    "llama-rope-dynamic": llama(**rope("dynamic", factor=4.0)),
    "llama-rope-dynamic-beyond": llama(max_position_embeddings=8, **rope("dynamic", factor=4.0)),
    "llama-rope-llama3": llama(**rope("llama3", **LLAMA3)),
    "llama-rope-yarn": llama(**rope("yarn", factor=4.0, original_max_position_embeddings=16)),
    "llama-rope-yarn-mscale": llama(**rope(
        "yarn", factor=4.0, original_max_position_embeddings=16, mscale=0.7, mscale_all_dim=1.0, beta_fast=16, beta_slow=2,
        truncate=False)),
    "llama-rope-longrope": llama(**rope(
        "longrope", factor=4.0, original_max_position_embeddings=16, short_factor=[1.0, 1.1, 1.2, 1.3],
        long_factor=[1.0, 2.0, 3.0, 4.0])),
    "llama-rope-longrope-beyond": llama(**rope(
        "longrope", factor=8.0, original_max_position_embeddings=8, short_factor=[1.0, 1.1, 1.2, 1.3],
        long_factor=[1.0, 2.0, 3.0, 4.0])),
    # the spelling before transformers 5
    "llama-rope-old-names": llama(**rope("llama3", **LLAMA3)) | {"written": {
        "rope_parameters": None, "rope_theta": 10000.0, "rope_scaling": {"rope_type": "llama3", **LLAMA3}}},
    "mistral": llama("mistral", "MistralConfig", num_hidden_layers=4, sliding_window=5) | {"emulator": SHARED},
    "mistral-no-window": llama("mistral", "MistralConfig", sliding_window=None),
    "qwen2": llama("qwen2", "Qwen2Config", num_hidden_layers=4) | {"emulator": SHARED},
    "qwen2-tied": llama("qwen2", "Qwen2Config", tie_word_embeddings=True),
    "qwen2-windows": llama("qwen2", "Qwen2Config", use_sliding_window=True, sliding_window=4, max_window_layers=1),
}
