/** Envelopes as DSSE 1.0.0 defines them, from anybody. */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { expect, it } from 'vitest';
import {
  envelopeBounds,
  envelopeOf,
  envelopeWith,
  openEnvelope,
  preAuthenticated,
} from '../../../../src/artifact/signature/dsse.ts';

const payload = { type: 'http://example.com/HelloWorld', body: Buffer.from('hello world') };

it('signs the bytes of the definition’s own example', () => {
  expect(Buffer.from(preAuthenticated(payload)).toString()).toBe(
    'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
  );
  const wide = { type: 'ü', body: Buffer.from('ß€') };
  expect(Buffer.from(preAuthenticated(wide)).toString()).toBe('DSSEv1 2 ü 5 ß€');
  expect(Buffer.from(preAuthenticated({ type: '', body: Buffer.alloc(0) })).toString()).toBe('DSSEv1 0  0 ');
});

/** The definition's key and signature, which it writes as r and s; here as ASN.1, as cosign does. */
const number = (decimal: string) => Buffer.from(BigInt(decimal).toString(16).padStart(64, '0'), 'hex');
const definitions = createPublicKey({
  format: 'jwk',
  key: {
    kty: 'EC',
    crv: 'P-256',
    x: number('46950820868899156662930047687818585632848591499744589407958293238635476079160').toString(
      'base64url',
    ),
    y: number('5640078356564379163099075877009565129882514886557779369047442380624545832820').toString(
      'base64url',
    ),
  },
});
const signature = Buffer.from(
  'A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==',
  'base64',
);
const asn1 = Buffer.concat([
  Buffer.from([0x30, 68, 0x02, 32]),
  signature.subarray(0, 32),
  Buffer.from([0x02, 32]),
  signature.subarray(32),
]);

const enveloped = (fields: object) =>
  Buffer.from(
    JSON.stringify({
      payload: 'aGVsbG8gd29ybGQ=',
      payloadType: payload.type,
      signatures: [{ sig: asn1.toString('base64') }],
      ...fields,
    }),
  );

it('takes the definition’s own signature, in either alphabet and beside others', () => {
  const others = [{ keyid: 'x', sig: 'AAAA' }, { sig: asn1.toString('base64url') }];
  for (const envelope of [enveloped({}), enveloped({ signatures: others }), enveloped({ more: {} })]) {
    const opened = openEnvelope(envelope, [definitions]);
    expect(Buffer.from(opened!.payload.body).toString()).toBe('hello world');
    expect(opened!.payload.type).toBe(payload.type);
    expect(opened!.key).toBe(definitions);
  }
});

const pairs: Record<string, { publicKey: KeyObject; privateKey: KeyObject }> = {
  'ECDSA P-256': generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  Ed25519: generateKeyPairSync('ed25519'),
};

it.each(Object.entries(pairs))('%s: what it signs it knows again, changed in any part no more', (_, pair) => {
  const text = envelopeOf(payload, pair.privateKey);
  const opened = openEnvelope(Buffer.from(text), [definitions, pair.publicKey]);
  expect(opened).toMatchObject({ payload, key: pair.publicKey });
  expect(openEnvelope(Buffer.from(text), [definitions])).toBeUndefined();
  const { signatures, ...rest } = JSON.parse(text);
  for (const changed of [
    { payload: 'aGVsbG8gd29ybGR=' },
    { payload: 'aGVsbG8gV29ybGQ=' },
    { payloadType: 'http://example.com/HelloWorld2' },
    {
      signatures: [
        { sig: signatures[0].sig.replace(/^A|^./, (first: string) => (first === 'A' ? 'B' : 'A')) },
      ],
    },
    { signatures: [{ sig: '' }] },
  ]) {
    const bytes = Buffer.from(JSON.stringify({ ...rest, signatures, ...changed }));
    let found: unknown;
    try {
      found = openEnvelope(bytes, [pair.publicKey]);
    } catch (error) {
      expect((error as Error).message).toBe('holds what is no base64');
    }
    expect(found).toBeUndefined();
  }
});

it('takes one signature more beside those that it has, and all else stays; but none that would make it one that nobody reads', () => {
  const [first, second] = Object.values(pairs);
  const before = enveloped({ more: { x: 1 }, signatures: [{ keyid: 'x', sig: asn1.toString('base64url') }] });
  const text = envelopeWith(before, first!.privateKey)!;
  const after = envelopeWith(Buffer.from(text), second!.privateKey)!;
  const { signatures, ...rest } = JSON.parse(before.toString());
  expect(JSON.parse(after)).toEqual({
    ...rest,
    signatures: [...signatures, { sig: expect.any(String) }, { sig: expect.any(String) }],
  });
  for (const key of [definitions, first!.publicKey, second!.publicKey])
    expect(openEnvelope(Buffer.from(after), [key])?.key).toBe(key);
  const full = enveloped({ signatures: Array(8).fill({ sig: 'AAAA' }) });
  expect(openEnvelope(full, [definitions])).toBeUndefined();
  expect(envelopeWith(full, first!.privateKey)).toBeUndefined();
  const long = enveloped({ more: 'x'.repeat(65_536 - enveloped({ more: '' }).length) });
  expect(openEnvelope(long, [definitions])?.key).toBe(definitions);
  expect(envelopeWith(long, first!.privateKey)).toBeUndefined();
});

it.each<[string, Buffer, string]>([
  ['of megabytes', Buffer.alloc(envelopeBounds.bytes + 1, 0x20), 'has 65537 bytes; at most 65536 are read'],
  ['that nests without end', Buffer.from(`{"payload":${'['.repeat(9)}`), 'nests more than 8 deep'],
  ['of many values', Buffer.from(`[${'1,'.repeat(300)}1]`), 'holds more than 256 values'],
  ['that is no JSON', Buffer.from('-----BEGIN'), 'is not JSON'],
  ['that is no text', Buffer.from([0x22, 0xff, 0x22]), 'is not UTF-8'],
  ['that is a list', Buffer.from('[]'), 'is no envelope of a payload, its type and 1 to 8 signatures'],
  ['without signatures', enveloped({ signatures: [] }), 'is no envelope'],
  [
    'with signatures without end',
    enveloped({ signatures: Array(9).fill({ sig: 'AAAA' }) }),
    'is no envelope',
  ],
  ['with a signature without end', enveloped({ signatures: [{ sig: 'A'.repeat(1025) }] }), 'is no envelope'],
  ['with a payload that is no text', enveloped({ payload: {} }), 'is no envelope'],
  ['with base64 that is none', enveloped({ payload: 'aGVsbG8gd29ybGQ=!' }), 'holds what is no base64'],
  ['with base64 of two alphabets’ worth of blanks', enveloped({ payload: 'aGVs bG8=' }), 'no base64'],
  ['with a signature that is no base64', enveloped({ signatures: [{ sig: '%%' }] }), 'no base64'],
  [
    'that says its payload twice',
    Buffer.from(`{"payload":"AAAA",${enveloped({}).toString().slice(1)}`),
    'has a name twice',
  ],
])('an envelope %s is refused, and nothing of it is told', (_, bytes, words) => {
  expect(() => openEnvelope(bytes, [definitions])).toThrow(words);
});

it('refuses an envelope of padding without end as fast as any other', () => {
  const padding = enveloped({ payload: `${'='.repeat(60_000)}A` });
  const plain = enveloped({ payload: `${'A'.repeat(60_000)}!` });
  const takes = (bytes: Buffer) => {
    const from = performance.now();
    expect(() => openEnvelope(bytes, [definitions])).toThrow('no base64');
    return performance.now() - from;
  };
  // From each of them it took seconds.
  expect(takes(padding)).toBeLessThan(50 * takes(plain) + 500);
});
