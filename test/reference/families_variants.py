"""The variants: a configuration class of transformers and its fields, all tiny; each family's first has an emulator."""

ROTARY = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 64, "max_position_embeddings": 64,
}
# four layers, of which 1 is removed; its nearest kept layer to the right is a transfer layer and stays frozen there
SHARED = {"source": [0, 2, 2, 3], "transfer": [0, 2]}


def llama(family="llama", config="LlamaConfig", **fields):
    return {"family": family, "config": config, "fields": ROTARY | fields}


def gpt2(**fields):
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 64}
    return {"family": "gpt2", "config": "GPT2Config", "fields": sizes | fields}


def opt(**fields):
    sizes = {
        "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 64,
        "max_position_embeddings": 64}
    return {"family": "opt", "config": "OPTConfig", "fields": sizes | fields}


def neox(**fields):
    sizes = ROTARY | {"intermediate_size": 64}
    del sizes["num_key_value_heads"]
    return {
        "family": "gpt-neox", "config": "GPTNeoXConfig", "fields": sizes | fields,
        "renamed": {"lm_head.weight": "embed_out.weight"}}


def bloom(**fields):
    sizes = {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 64}
    return {"family": "bloom", "config": "BloomConfig", "fields": sizes | fields}


def gemma(family, config, **fields):
    sizes = {"head_dim": 16, "query_pre_attn_scalar": 24, "sliding_window": 5}
    return llama(family, config, **sizes | fields) | {"centredNorms": True}


def phi3(**fields):
    return llama("phi3", "Phi3Config", pad_token_id=0, **fields)


LONG = {"rope_type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.0, 2.0, 3.0, 4.0]}

LONG8 = {"rope_type": "longrope", "short_factor": [1 + i / 10 for i in range(8)], "long_factor": [1.0 + i for i in range(8)]}
LOCAL = {"rope_type": "default", "rope_theta": 10000.0}


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
    # an angle follows from the length of the row, which transformers takes of the longest row beside it
    "llama-rope-dynamic-beyond": llama(max_position_embeddings=8, **rope("dynamic", factor=4.0)) | {"alone": True},
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
    "qwen3": llama("qwen3", "Qwen3Config", num_hidden_layers=4, head_dim=16) | {"emulator": SHARED},
    "qwen3-biases-tied": llama("qwen3", "Qwen3Config", head_dim=8, attention_bias=True, tie_word_embeddings=True),
    "qwen3-windows": llama("qwen3", "Qwen3Config", head_dim=8, use_sliding_window=True, sliding_window=4, max_window_layers=1),
    "gpt2": gpt2(n_layer=4) | {"emulator": SHARED},
    "gpt2-bare-names": gpt2() | {"bare": "transformer."},
    "gpt2-untied": gpt2(tie_word_embeddings=False, n_inner=40, activation_function="relu", scale_attn_weights=False),
    "opt": opt(num_hidden_layers=4) | {"emulator": SHARED},
    "opt-post-norm-projected": opt(num_hidden_layers=4, do_layer_norm_before=False, word_embed_proj_dim=24) | {"emulator": SHARED},
    "opt-bare-names": opt() | {"bare": "model."},
    "opt-no-biases": opt(enable_bias=False, layer_norm_elementwise_affine=False, activation_function="gelu"),
    "opt-no-last-norm": opt(_remove_final_layer_norm=True, tie_word_embeddings=False),
    "gpt-neox": neox(num_hidden_layers=4) | {"emulator": SHARED},
    "gpt-neox-serial": neox(use_parallel_residual=False, attention_bias=False, **rope("default", partial_rotary_factor=1.0)),
    "gpt-neox-old-names": neox() | {"written": {"rope_parameters": None, "rotary_pct": 0.25, "rotary_emb_base": 10000}},
    "gpt-neox-tied-bare-names": neox(tie_word_embeddings=True) | {"bare": "gpt_neox."},
    "bloom": bloom(n_layer=4) | {"emulator": SHARED},
    "bloom-six-heads": bloom(hidden_size=48, n_head=6),
    "bloom-residual-after-norm": bloom(apply_residual_connection_post_layernorm=True) | {"bare": "transformer."},
    "gemma2": gemma("gemma2", "Gemma2Config", num_hidden_layers=4) | {"emulator": SHARED},
    "gemma2-no-caps": gemma("gemma2", "Gemma2Config", attn_logit_softcapping=None, final_logit_softcapping=None),
    "gemma3": gemma("gemma3", "Gemma3TextConfig", num_hidden_layers=4, sliding_window_pattern=3) | {"emulator": SHARED},
    "gemma3-old-names": gemma("gemma3", "Gemma3TextConfig", sliding_window_pattern=2, rope_scaling={
        "rope_type": "linear", "factor": 8.0}) | {"written": {
            "rope_parameters": None, "layer_types": None, "sliding_window_pattern": 2, "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}},
    # full attention's angles follow from the length of the row, the windows' do not
    "gemma3-rope-dynamic-beyond": gemma("gemma3", "Gemma3TextConfig", sliding_window_pattern=2, max_position_embeddings=8, rope_parameters={
        "full_attention": {"rope_type": "dynamic", "rope_theta": 1000000.0, "factor": 4.0}, "sliding_attention": LOCAL}) | {"alone": True},
    "gemma3-rope-longrope": gemma("gemma3", "Gemma3TextConfig", sliding_window_pattern=2, rope_parameters={
        "full_attention": {"rope_theta": 1000000.0, "factor": 8.0, "original_max_position_embeddings": 10, **LONG8},
        "sliding_attention": LOCAL}) | {"alone": True},
    "phi3": phi3(num_hidden_layers=4) | {"emulator": SHARED},
    "phi3-window": phi3(sliding_window=4, num_key_value_heads=4),
    "phi3-longrope": phi3(hidden_size=64, partial_rotary_factor=0.5, original_max_position_embeddings=8, rope_scaling=LONG),
    "phi3-longrope-old-name": phi3(original_max_position_embeddings=16, rope_scaling=LONG) | {"written": {
        "rope_parameters": None, "rope_theta": 10000.0, "rope_scaling": {
            "type": "su", "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.0, 2.0, 3.0, 4.0]}}},
}
