"""Writes test/fixtures/tokenizers: small tokenizers of every layout in use, texts, and what the reference says of them.

Ids are those of the tokenizers package, and for SentencePiece in GGUF of sentencepiece itself; pairs of context and answer
by the rule of lm-evaluation-harness (TemplateLM._encode_pair); conversations and their masks by transformers. Of a text's
ids their CRC-32 is kept. Needs tokenizers, sentencepiece and transformers (no PyTorch); run it from the repository's root.
"""

import base64
import json
import random
import re
import struct
import tempfile
import unicodedata
import zlib
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import (
    AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers,
)
from transformers import PreTrainedTokenizerFast

OUT = Path("test/fixtures/tokenizers")
TASKS = Path("test/fixtures/tasks")
rng = random.Random(11)
SPACE = "\u2581"


def english():
    """Sentences of the tasks' rows."""
    for path in sorted(TASKS.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            for value in json.loads(line).values():
                if isinstance(value, str) and len(value) > 12:
                    yield value


SENTENCES = list(english())
OTHERS = [
    "Ünïcödé straße naïve café", "ﬁne ﬂow № ½ ①② ｆｕｌｌ ｗｉｄｔｈ", "日本語の文章です。東京タワー", "你好，世界！我们去吃饭吧",
    "한국어 문장입니다", "مرحبا بالعالم، كيف حالك؟", "שלום עולם", "Привет, мир! Как дела?", "Γειά σου Κόσμε", "नमस्ते दुनिया",
    "สวัสดีชาวโลก", "e\u0301e\u0300 a\u030a o\u0308\u0323 n\u0303 \u0915\u094d\u0937", "👍🏽👩‍👩‍👧‍👦🇩🇪🙂❤️", "def f(x):\n    return x ** 2\n",
    "x = [1, 2, 3]\t# comment", "3.14159 1,000,000 0x1F 2026-11-28", "it's we're I'LL they'd THEY'VE", "http://a.b/c?d=e&f=%20",
    "\u200bzero\u200dwidth\ufeff", "a\u00a0b\u2003c\u3000d", "…—“quoted”‘x’", "\u0000\u0001\u001b[0m\u007f\u0085", "\ufffd\ufffe\uffff",
]
SPECIALS = ["<s>", "</s>", "<unk>", "<|end|>", "<|user|>", "<pad>", "[CLS]", "[SEP]", "wholeword", "<mask>"]


def a_text():
    """One text of a few pieces of all kinds, joined in every way."""
    pieces = []
    for _ in range(rng.randint(1, 5)):
        kind = rng.randrange(10)
        if kind < 3:
            words = rng.choice(SENTENCES).split(" ")
            start = rng.randrange(len(words))
            pieces.append(" ".join(words[start : start + rng.randint(1, 8)]))
        elif kind < 5:
            other = rng.choice(OTHERS)
            start = rng.randrange(len(other))
            pieces.append(other[start : start + rng.randint(1, 14)])
        elif kind == 5:
            pieces.append(rng.choice([" ", "\n", "\t", "\r\n", "  \n "]) * rng.randint(1, 9))
        elif kind == 6:
            pieces.append(str(rng.randrange(10 ** rng.randint(1, 9))))
        elif kind == 7:
            pieces.append(rng.choice(SPECIALS))
        elif kind == 8:
            pieces.append(rng.choice("aeo.- 0日🙂") * rng.randint(1, 12))
        else:
            top = rng.choice([0x80, 0x250, 0x3000, 0x10000, 0x1FFFF])
            codes = [rng.randrange(top) for _ in range(rng.randint(1, 6))]
            pieces.append("".join(chr(c) for c in codes if not 0xD800 <= c < 0xE000))
    return rng.choice(["", " ", "", "\n"]).join(pieces)


TEXTS = ["", " ", "a", "\n"] + [a_text() for _ in range(2596)]
CORPUS = SENTENCES + OTHERS * 3
VOCAB = 640


def added(content, special=True, **options):
    return AddedToken(content, special=special, normalized=options.pop("normalized", False), **options)


def byte_level(pre, normalizer=None, specials=("<|end|>",), vocab=VOCAB, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=[added(s) for s in specials], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def sentencepiece_model(kind, **options):
    with tempfile.TemporaryDirectory() as place:
        corpus = Path(place, "corpus.txt")
        lines = [line for text in CORPUS for line in text.replace("\0", "").splitlines() if line.strip()]
        corpus.write_text("\n".join(lines))
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=str(Path(place, "m")), model_type=kind, vocab_size=VOCAB + 256,
            character_coverage=0.98, minloglevel=2, hard_vocab_limit=False, **options,
        )
        model = proto.ModelProto()
        model.ParseFromString(Path(place, "m.model").read_bytes())
        return model


def sp_merges(model):
    """Pairs of pieces that make a piece, best score first (sentencepiece's own rule, as a list)."""
    known = {p.piece: p.score for p in model.pieces if p.type == 1}
    merges = []
    for piece, score in sorted(known.items(), key=lambda item: -item[1]):
        for i in range(1, len(piece)):
            if piece[:i] in known and piece[i:] in known:
                merges.append((piece[:i], piece[i:]))
    return merges


def sp_bpe(model, normalizer, pre=None, bos="<s>", extra=()):
    vocab = {p.piece: i for i, p in enumerate(model.pieces)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=sp_merges(model), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre:
        tokenizer.pre_tokenizer = pre
    tokenizer.add_special_tokens([added("<unk>"), added("<s>"), added("</s>")])
    if extra:
        tokenizer.add_special_tokens(list(extra))
    if bos:
        with_bos(tokenizer, bos)
    return tokenizer


def with_bos(tokenizer, bos, before=None):
    template = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B:1", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    tokenizer.post_processor = processors.Sequence([before, template]) if before else template


def unigram(model, normalizer, pre, byte_fallback, eos=False):
    pieces = [(p.piece, p.score) for p in model.pieces]
    unk = next(i for i, p in enumerate(model.pieces) if p.type == 2)
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unk, byte_fallback=byte_fallback))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    tokenizer.add_special_tokens([added("<unk>"), added("<s>"), added("</s>")])
    if eos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
        )
    return tokenizer


def some_nfkc(path):
    """Rules of NFKC for a small precompiled map: compatibility characters, and letters with marks."""
    rules = {}
    for code in list(range(0xA0, 0x250)) + list(range(0x2000, 0x2200)) + list(range(0xFB00, 0xFB20)) + list(range(0xFF00, 0xFF60)):
        if unicodedata.normalize("NFKC", chr(code)) != chr(code):
            rules[chr(code)] = unicodedata.normalize("NFKC", chr(code))
    for letter in "aeioucnsAEIOUCNS":
        for mark in "\u0300\u0301\u0302\u0303\u0308\u030a\u030c\u0327":
            composed = unicodedata.normalize("NFC", letter + mark)
            if len(composed) == 1:
                rules[letter + mark] = composed
    rules.update({"\t": " ", "\n": " ", "\r": " ", "\u3000": " ", "\u200b": " ", "\ufeff": ""})
    hexes = lambda text: " ".join(f"{ord(c):X}" for c in text)
    path.write_text("".join(f"{hexes(k)}\t{hexes(v)}\n" for k, v in rules.items()))


def layouts():
    cl100k = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    split = lambda pattern: pre_tokenizers.Split(Regex(pattern), "isolated", False)
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    sequence = pre_tokenizers.Sequence

    yield "gpt2", byte_level(gpt2)
    opt = byte_level(gpt2, specials=("<pad>", "</s>", "<unk>"))
    with_bos(opt, "</s>")
    yield "opt", opt
    llama3 = byte_level(sequence([split(cl100k.replace("DIGITS", r"\p{N}{1,3}")), plain]), specials=("<|begin|>", "<|end|>"), vocab=900, ignore_merges=True)
    # Whole words that no merge makes: what ignore_merges is for.
    spec = json.loads(llama3.to_str())
    spec["model"]["merges"] = [m for i, m in enumerate(spec["model"]["merges"]) if i % 5]
    llama3 = Tokenizer.from_str(json.dumps(spec))
    with_bos(llama3, "<|begin|>", processors.ByteLevel(trim_offsets=False))
    yield "llama3", llama3
    yield "smollm2", byte_level(sequence([pre_tokenizers.Digits(individual_digits=True), gpt2]))
    yield "qwen2", byte_level(sequence([split(cl100k.replace("DIGITS", r"\p{N}")), plain]), normalizers.NFC())
    yield "bloom", byte_level(sequence([split(r" ?[^(\s|[.,!?…。，、।۔،])]+"), plain]))
    yield "deepseek", byte_level(sequence([split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(r"[一-龥ࠀ-一가-퟿]+"), pre_tokenizers.Digits(individual_digits=True), plain]))
    o200k = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    yield "phi4", byte_level(sequence([split(o200k), plain]))
    prefixed = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True))
    yield "byte-level-prefix-space", prefixed

    words = byte_level(gpt2)
    words.add_tokens([
        AddedToken("wholeword", single_word=True), AddedToken("<mask>", lstrip=True, special=True, normalized=False),
        AddedToken("<|user|>", rstrip=True, special=True, normalized=False), AddedToken("e", single_word=True, normalized=True),
        AddedToken("00", single_word=True, lstrip=True, rstrip=True),
    ])
    yield "added-tokens", words
    bounded = byte_level(gpt2)
    bounded.enable_truncation(5)
    bounded.enable_padding(length=9, pad_id=3, pad_token="<|end|>")
    yield "truncation-and-padding", bounded

    bpe = sentencepiece_model("bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, split_digits=True)
    legacy = lambda: normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    yield "llama2", sp_bpe(bpe, legacy())
    phi3 = sp_bpe(bpe, legacy(), bos=None, extra=[added("<|user|>", rstrip=True), added("<|end|>", rstrip=True)])
    yield "phi3", phi3
    for scheme in ("first", "always", "never"):
        pre = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme, split=False)
        yield f"metaspace-{scheme}", sp_bpe(bpe, None, pre)
    gemma = sp_bpe(bpe, normalizers.Replace(" ", SPACE), pre_tokenizers.Split(" ", "merged_with_previous"))
    yield "gemma", gemma

    with tempfile.TemporaryDirectory() as place:
        rules = Path(place, "rules.tsv")
        some_nfkc(rules)
        uni = sentencepiece_model("unigram", byte_fallback=True, normalization_rule_tsv=str(rules))
    charsmap = normalizers.Precompiled(uni.normalizer_spec.precompiled_charsmap)
    metaspace = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")
    yield "unigram-byte-fallback", unigram(uni, None, metaspace, True)
    yield "t5", unigram(uni, charsmap, sequence([pre_tokenizers.WhitespaceSplit(), metaspace]), False, eos=True)
    yield "unigram-precompiled", unigram(uni, normalizers.Sequence([charsmap, normalizers.Replace(Regex(" {2,}"), " ")]), metaspace, True)
    yield "gguf-sentencepiece", bpe

    bert = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer = normalizers.BertNormalizer(lowercase=True)
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    bert.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=VOCAB, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False))
    bert.post_processor = processors.BertProcessing(("[SEP]", bert.token_to_id("[SEP]")), ("[CLS]", bert.token_to_id("[CLS]")))
    yield "wordpiece", bert
    level = Tokenizer(models.WordLevel(unk_token="<unk>"))
    level.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()])
    level.pre_tokenizer = sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()])
    level.train_from_iterator(CORPUS, trainers.WordLevelTrainer(vocab_size=VOCAB, special_tokens=["<unk>"], show_progress=False))
    yield "word-level", level


def crc(ids):
    return zlib.crc32(struct.pack(f"<{len(ids)}I", *ids))


def gguf_ids(processor, text):
    """As llama.cpp has them: names of special tokens in a text are these tokens, what stands between them is a text of its own."""
    ids = []
    for part in re.split(r"(<unk>|<s>|</s>)", text):
        ids += [processor.piece_to_id(part)] if part in ("<unk>", "<s>", "</s>") else processor.encode(part)
    return ids


def packed(numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}I", *numbers)).decode()


def encode_pair(encode, context, continuation):
    """TemplateLM._encode_pair of lm-evaluation-harness, with the tokenizer's own special tokens."""
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    whole, alone = encode(context + continuation), encode(context)
    return {"whole": whole, "context": len(alone)}


def opened(tokenizer):
    """Ids without those that the tokenizer's own template puts behind a text: an answer goes on there."""
    def encode(text):
        encoding = tokenizer.encode(text)
        ids, mask = encoding.ids, encoding.special_tokens_mask
        while ids and mask[-1] and 0 in mask:
            ids, mask = ids[:-1], mask[:-1]
        return ids
    return encode


PAIRS = [
    ("The sky is", [" blue", " green", " the"]), ("Question: Which word?\nAnswer:", [" one", " two words", " 3"]),
    ("It ends with spaces  ", [" blue", "blue"]), ("A tab\t\n", ["next", " next"]), ("It ends inside a wo", ["rd is", "od"]),
    ("日本", ["語", "の文"]), ("1", ["23", " 4"]), ("x</s>", [" y", "y"]), ("Say 👍", ["🏽", " 👍"]), ("no", [" blue sky and", " blue sky"]),
    ("nbsp\u00a0", ["a", " b"]), ("…", ["\n\n", "!"]),
]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}<|user|>{% generation %} {{ m.content }}{{ eos_token }}{% endgeneration %}\n"
    "{% else %}[INST] {{ m.content }} [/INST]{% endif %}{% endfor %}"
)
ENDS = [("<s>", "</s>"), ("<|begin|>", "<|end|>"), ("</s>", "</s>"), ("<|end|>", "<|end|>"), ("[CLS]", "[SEP]"), ("<unk>", "<unk>")]
CHATS = [
    [("user", "What is blue?"), ("assistant", "The sky is.")],
    [("user", "Hi"), ("assistant", "Hello 👍🏽"), ("user", "日本語"), ("assistant", "  two  words\n")],
    [("user", "a"), ("assistant", "1234"), ("user", "and then?")],
]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "texts.json").write_text(json.dumps(TEXTS, ensure_ascii=False))
    for name, made in layouts():
        if name == "gguf-sentencepiece":
            processor = sentencepiece.SentencePieceProcessor(model_proto=made.SerializeToString())
            record = {
                "tokens": [p.piece for p in made.pieces], "scores": [p.score for p in made.pieces],
                "types": [p.type for p in made.pieces],
                "crcs": packed([crc([1] + gguf_ids(processor, text)) for text in TEXTS]),
            }
        else:
            reference = Tokenizer.from_str(made.to_str())
            reference.no_truncation()
            reference.no_padding()
            encode = lambda text: reference.encode(text).ids
            record = {"tokenizer": json.loads(made.to_str()), "crcs": packed([crc(encode(text)) for text in TEXTS])}
            record["pairs"] = [
                {"context": context, "answers": answers, "expected": [encode_pair(opened(reference), context, a) for a in answers]}
                for context, answers in PAIRS
            ]
            bos, eos = next(pair for pair in ENDS if all(reference.token_to_id(t) is not None for t in pair))
            record["config"] = {"bos_token": bos, "eos_token": eos, "chat_template": TEMPLATE}
            fast = PreTrainedTokenizerFast(tokenizer_object=reference, **record["config"])
            record["chats"] = []
            for chat in CHATS:
                messages = [{"role": role, "content": content} for role, content in chat]
                out = fast.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
                record["chats"].append({"messages": messages, "ids": out["input_ids"], "mask": out["assistant_masks"]})
        (OUT / f"{name}.json").write_text(json.dumps(record, ensure_ascii=False, separators=(",", ":")))


main()
