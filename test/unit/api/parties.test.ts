import { describe, expect, it } from 'vitest';
import { doneMessage, type PartyVerdict } from '../../../src/api/index.ts';

const party = (adapter: string, leftOut: number): PartyVerdict => ({
  ...{ digest: 'sha256:0', adapter, weight: '1', norm: '1', distance: '1', taken: 3 - leftOut, leftOut },
  layers: [],
});
const message = (parties: PartyVerdict[], note?: string) => doneMessage({ parties }, note);

describe('what is said of an aggregation that is done', () => {
  it('names who was left out, and of how much', () => {
    const parties = [party('north', 0), party('east', 3), { ...party('s3://exchange/x', 1), signer: 'west' }];
    expect(message(parties)).toBe(
      'every stage is done; left out: east at 3 of 3 layers, west at 1 of 3 layers',
    );
    expect(message(parties, 'container proxy ran on')).toMatch(
      /^every stage is done; container proxy ran on; left out: east/,
    );
  });

  it('counts those for whom there is no room', () => {
    const parties = Array.from({ length: 64 }, (_, i) => party(`s3://${'x'.repeat(1000)}/${i}`, 3));
    expect(message(parties)).toMatch(/ and 60 more$/);
    expect(message(parties).length).toBeLessThan(5000);
  });

  it('is no more than that where nobody was left out, or one was plugged in', () => {
    expect(message([party('north', 0)])).toBe('every stage is done');
    expect(doneMessage({})).toBe('every stage is done');
    expect(doneMessage({}, 'container proxy ran on')).toBe('every stage is done; container proxy ran on');
  });
});
