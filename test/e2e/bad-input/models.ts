import { mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { gguf } from '../../support/tiny/gguf.ts';
import { setField } from '../../support/tiny/index.ts';
import { type Case, config, rewrite } from './case.ts';

const model = (name: string, change: Case['change'], message: RegExp): Case => ({
  name,
  kind: 'EmulatorBuild',
  change,
  reason: 'BadModel',
  message,
});

/** Writes model.safetensors again with its header's text changed, the tensors as they were. */
function reheader(file: string, change: (header: string) => string): void {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header = Buffer.from(change(bytes.subarray(8, start).toString()));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(file, Buffer.concat([length, header, bytes.subarray(start)]));
}

/** Models that are damaged, unsupported or others than the spec says. */
export const modelCases: Case[] = [
  model(
    'missing model',
    ({ manifest }) => setField(manifest, 'spec.model.uri', 'file:nowhere/model'),
    /nowhere\/model: there is no such file or directory/,
  ),
  model(
    'model digest',
    ({ manifest }) => setField(manifest, 'spec.model.digest', `sha256:${'0'.repeat(64)}`),
    /spec\.model\.digest: the digest of .*model is sha256:[0-9a-f]{64}, expected sha256:0{64}/,
  ),
  model(
    'a directory in place of the configuration',
    ({ path }) => {
      rmSync(path('model/config.json'));
      mkdirSync(path('model/config.json'));
    },
    /config\.json/,
  ),
  model(
    'a licence that is a link to rows of the user',
    ({ path }) => symlinkSync('../data/train.jsonl', path('model/LICENSE')),
    /LICENSE: leads by a symbolic link to \/.*\/data\/train\.jsonl, which is no file of its directory's own/,
  ),
  model(
    'a file that nothing reads, and that is a link to rows of the user',
    ({ path }) => symlinkSync('../data/train.jsonl', path('model/notes.bin')),
    /notes\.bin: leads by a symbolic link to \/.*\/data\/train\.jsonl, which is no file of its directory's own/,
  ),
  {
    name: 'a card that is a link to rows of the user',
    kind: 'PlugIn',
    change: ({ path }) => symlinkSync('../data/train.jsonl', path('model/README.md')),
    reason: 'BadModel',
    message:
      /README\.md: leads by a symbolic link to \/.*\/data\/train\.jsonl, which is no file of its directory's own/,
  },
  model(
    'empty model directory',
    ({ path }) => rmSync(path('model/model.safetensors')),
    /model: holds no model\.safetensors, model\.safetensors\.index\.json or \.gguf file/,
  ),
  model(
    'a configuration of a billion layers',
    ({ path }) => config(path, { num_hidden_layers: 1_000_000_000 }),
    /config\.json: 1000000000 layers are more than any model has \(1024 at most\)/,
  ),
  model(
    'truncated safetensors',
    ({ path }) => truncateSync(path('model/model.safetensors'), 100_000),
    /model\.safetensors: tensor \S+ ends at byte \d+, the file at 100000; it is truncated/,
  ),
  model(
    'safetensors of zero length',
    ({ path }) => truncateSync(path('model/model.safetensors'), 0),
    /model\.safetensors: is 0 bytes long/,
  ),
  model(
    'header larger than the file',
    ({ path }) => writeFileSync(path('model/model.safetensors'), Buffer.from('ffffff0000000000', 'hex')),
    /its header claims 16777215 bytes, the file has 8/,
  ),
  model(
    'overlapping offsets',
    ({ path }) =>
      reheader(path('model/model.safetensors'), (header) => {
        const entries = JSON.parse(header);
        const [from, to] = entries['model.norm.weight'].data_offsets;
        entries['model.norm.weight'].data_offsets = [from - 4, to - 4];
        return JSON.stringify(entries);
      }),
    /tensors \S+ and model\.norm\.weight overlap; the header is damaged/,
  ),
  model(
    'a name that stands twice',
    ({ path }) =>
      reheader(path('model/model.safetensors'), (header) =>
        header.replace('{', '{"model.norm.weight":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'),
      ),
    /tensor model\.norm\.weight stands twice in its header/,
  ),
  model(
    'a GGUF type that is not supported',
    ({ path, manifest }) => {
      const tensors = [{ name: 'token_embd.weight', dimensions: [256, 2], type: 10 }];
      writeFileSync(path('model/model.gguf'), gguf({ tensors, data: new Uint8Array(1024) }));
      setField(manifest, 'spec.model.uri', `file:${path('model/model.gguf')}`);
    },
    /model\.gguf: tensor token_embd\.weight is Q2_K; F32, F16, Q4_0, .*BF16.* are supported/,
  ),
  model(
    'a directory in place of the file',
    ({ path }) => {
      rmSync(path('model/model.safetensors'));
      mkdirSync(path('model/model.safetensors'));
    },
    /holds no model\.safetensors, /,
  ),
  model(
    'NaN weights',
    ({ path }) =>
      rewrite(path('model/model.safetensors'), (tensors) => {
        tensors.get('model.layers.2.mlp.up_proj.weight')!.values[7] = Number.NaN;
      }),
    /tensor model\.layers\.2\.mlp\.up_proj\.weight holds NaN \(element 7\); a weight must be finite/,
  ),
  model(
    'a tensor is missing',
    ({ path }) =>
      rewrite(path('model/model.safetensors'), (tensors) => {
        tensors.delete('model.layers.3.self_attn.q_proj.weight');
      }),
    /has no tensor model\.layers\.3\.self_attn\.q_proj\.weight, which its config\.json asks for/,
  ),
  model(
    'another shape',
    ({ path }) => config(path, { intermediate_size: 65 }),
    /tensor model\.layers\.0\.mlp\.gate_proj\.weight is \[64,32\], its config\.json asks for \[65,32\]/,
  ),
  model(
    'unknown architecture',
    ({ path }) => config(path, { architectures: ['MambaForCausalLM'] }),
    /config\.json: architectures: MambaForCausalLM is not supported \(.*LlamaForCausalLM.* are\)/,
  ),
  model(
    'no architecture',
    ({ path }) => config(path, { architectures: undefined }),
    /config\.json: architectures: missing is not supported/,
  ),
  model(
    'a field of the wrong type',
    ({ path }) => config(path, { hidden_size: 'wide' }),
    /config\.json: hidden_size: /,
  ),
  model(
    'config.json is no JSON',
    ({ path }) => writeFileSync(path('model/config.json'), '{'),
    /config\.json: is not JSON/,
  ),
  model(
    'config.json is a list',
    ({ path }) => writeFileSync(path('model/config.json'), '[]'),
    /config\.json: /,
  ),
  model('no tokenizer', ({ path }) => rmSync(path('model/tokenizer.json')), /holds no tokenizer\.json/),
  model(
    'tokenizer.json is no JSON',
    ({ path }) => writeFileSync(path('model/tokenizer.json'), '{'),
    /tokenizer\.json: is not JSON/,
  ),
  model(
    'tokenizer.json is something else',
    ({ path }) => writeFileSync(path('model/tokenizer.json'), '{"model": 5}'),
    /tokenizer\.json: the tokenizer cannot be used/,
  ),
];
