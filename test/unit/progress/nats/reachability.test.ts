import { expect, test } from 'vitest';
import { connectionOptions } from '../../../../src/progress/nats/reachability.ts';

const environment = {};

test.each([
  ['nats://a:4222,nats://b', false],
  ['a:4222', false],
  ['tls://a:4222, tls://b', true],
])('TLS is asked for of all servers of %s: %s', (url, asked) => {
  expect(connectionOptions({ url, environment }).tls !== undefined).toBe(asked);
});

test.each(['nats://a:4222,tls://b', 'tls://a,nats://b', 'tls://a,b'])(
  '%s, where TLS is asked for of some servers only, is refused',
  (url) => {
    expect(() => connectionOptions({ url, environment })).toThrow(
      'the NATS URLs must all be tls://, or none of them',
    );
    // An authority of one's own is asked of all servers.
    expect(connectionOptions({ url, environment: { NATS_CA: 'ca.crt' } }).tls).toEqual({ caFile: 'ca.crt' });
  },
);

test.each(['http://a:4222', 'nats://', 'nats://u:hunter2@a:99999999', 'nats://u:hunter2%zz@a:4222'])(
  '%s is no address of NATS, which is said without a password',
  (url) => {
    const error = (() => {
      try {
        return connectionOptions({ url, environment });
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toMatchObject({ reason: 'BadSpec', message: expect.stringMatching(/^the NATS URL /) });
    expect((error as Error).message).not.toContain('hunter2');
  },
);
