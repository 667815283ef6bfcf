import { expect, test } from 'vitest';
import { ServerProtocol } from '../../../../src/progress/nats/protocol.ts';

const info = (more: object = {}) => `INFO ${JSON.stringify({ version: '2.12.0', ...more })} \r\n`;

/** Whether all of it is accepted, told in pieces of so many bytes. */
function accepted(said: string, pieceBytes = said.length): boolean {
  const protocol = new ServerProtocol();
  const bytes = Buffer.from(said);
  for (let at = 0; at < bytes.length; at += pieceBytes)
    if (!protocol.accepts(bytes.subarray(at, at + pieceBytes))) return false;
  return true;
}

test('what a server says is accepted, however it is cut', () => {
  const said = [
    info({ connect_urls: ['10.0.0.1:4222', '[::1]:4222'], nonce: 'abc' }),
    'PING\r\nPONG\r\n+OK\r\n-ERR \'Permissions Violation for Publish to "a"\'\r\n',
    'MSG offsite.v1.a 1 5\r\nPING\n\r\nMSG a 12 _INBOX.b 0\r\n\r\n',
    'HMSG a 1 12 14\r\nNATS/1.0\r\n\r\n\r\n\r\nHMSG a 1 _INBOX.b 12 12\r\nNATS/1.0\r\n\r\n\r\n',
    info({ ldm: true }),
  ].join('');
  for (const pieceBytes of [1, 2, 7, said.length]) expect(accepted(said, pieceBytes)).toBe(true);
});

test.each([
  ['of no kind', '\u001b[2J\r\n'],
  ['in a header of HTTP', 'HTTP/1.1 400 Bad Request\r\n'],
  ['a payload of a negative length', 'MSG a 1 -5\r\nxx\r\n'],
  ['a payload of 8 GB', 'MSG a 1 8000000000\r\n'],
  ['headers that are longer than all', 'HMSG a 1 13 12\r\n'],
  ['a payload that is longer than said', 'MSG a 1 1\r\nxx\r\n'],
  ['a greeting that is no JSON', 'INFO {\r\n'],
  ['a greeting of another form', `${info({ connect_urls: ['10.0.0.1:4222', 7] })}`],
  ['a greeting without a version', 'INFO {}\r\n'],
  ['a line without an end', `INFO {"server_id":"${'x'.repeat(300_000)}`],
])('%s is refused, however it is cut', (_, said) => {
  for (const pieceBytes of [1, 7, said.length]) expect(accepted(said, pieceBytes)).toBe(false);
});

test('a payload as large as an answer about a stream may be is accepted', () => {
  expect(accepted(`MSG a 1 ${40 << 20}\r\n${'x'.repeat(40 << 20)}\r\nPING\r\n`, 65_536)).toBe(true);
});
