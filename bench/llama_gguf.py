"""A LLaMA checkpoint in float32 as a GGUF file: token ids go in, so its vocabulary holds mere numbers. Usage: llama_gguf.py MODEL OUTPUT

llama.cpp turns pairs of neighbours where transformers turns halves: rows of the query and key maps change places.
"""
import json
import sys
from pathlib import Path

import numpy
from gguf import GGUFWriter
from safetensors import safe_open

directory, output = map(Path, sys.argv[1:])
config = json.loads((directory / "config.json").read_text())
heads, groups, hidden = config["num_attention_heads"], config["num_key_value_heads"], config["hidden_size"]
names = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def by_pairs(weight, count):
    rows, columns = weight.shape
    return weight.reshape(count, 2, rows // count // 2, columns).swapaxes(1, 2).reshape(rows, columns)


writer = GGUFWriter(output, "llama")
writer.add_context_length(config["max_position_embeddings"])
writer.add_embedding_length(hidden)
writer.add_block_count(config["num_hidden_layers"])
writer.add_feed_forward_length(config["intermediate_size"])
writer.add_head_count(heads)
writer.add_head_count_kv(groups)
writer.add_rope_dimension_count(hidden // heads)
writer.add_rope_freq_base(config.get("rope_theta", 10000.0))
writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
writer.add_vocab_size(config["vocab_size"])
writer.add_file_type(0)
# Without a vocabulary node-llama-cpp aborts when it opens the model.
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("default")
writer.add_token_list([str(token) for token in range(config["vocab_size"])])
writer.add_token_merges(["1 0"])
with safe_open(directory / "model.safetensors", "numpy") as weights:
    writer.add_tensor("token_embd.weight", weights.get_tensor("model.embed_tokens.weight"))
    writer.add_tensor("output_norm.weight", weights.get_tensor("model.norm.weight"))
    for layer in range(config["num_hidden_layers"]):
        for name, there in names.items():
            weight = weights.get_tensor(f"model.layers.{layer}.{name}.weight")
            if there in ("attn_q", "attn_k"):
                weight = by_pairs(weight, heads if there == "attn_q" else groups)
            writer.add_tensor(f"blk.{layer}.{there}.weight", numpy.ascontiguousarray(weight))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
