import { HtmlValidate } from 'html-validate';
import { describe, expect, test } from 'vitest';
import type { Cell } from '../../../src/api/index.ts';
import { renderReport } from '../../../src/report/page.ts';
import type { ReportRecord } from '../../../src/report/record.ts';
import { balance } from '../../../src/report/sections/balance.ts';
import {
  analysisOf,
  buildEntry,
  failedStatus,
  plugInEntry,
  recordOf,
  similarityOf,
  taskResult,
  tuneEntry,
} from '../../support/unit/report/records.ts';

const validator = new HtmlValidate({ extends: ['html-validate:recommended', 'html-validate:a11y'] });

/** Every rule that a page breaks, with the line. */
async function faultsOf(page: string): Promise<string[]> {
  const { results } = await validator.validateString(page);
  return results.flatMap(({ messages }) =>
    messages.map(({ ruleId, message, line }) => `${line}: ${ruleId}: ${message}`),
  );
}

const textOf = (page: string) =>
  page
    .replace(/<style>.*?<\/style>/s, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ');

const matches = (page: string, pattern: RegExp) =>
  [...page.matchAll(pattern)].map(([, group]) => group as string);

describe('where a reader looks first', () => {
  const status = { scores: { exactTensorShare: '0.8020', cpl: '0.9000' } as never };
  const firstOf = (parts: Partial<ReportRecord>) => textOf(balance(recordOf(parts))?.text ?? '');

  test('in the page, before the cards of the resources', async () => {
    const page = await renderReport(recordOf({ builds: [buildEntry({ status })] }));
    expect(await faultsOf(page)).toEqual([]);
    expect(page.indexOf('<div id="balance">')).toBeGreaterThan(page.indexOf('<h1>'));
    expect(page.indexOf('<div id="balance">')).toBeLessThan(page.indexOf('<ul class="cards">'));
  });

  test('stands what the adapter did, what the tuned emulator is able to and what the bundle holds', () => {
    const text = firstOf({ builds: [buildEntry({ status })] });
    expect(text).toContain('Full model on words 64.6%, with the adapter 78.6%');
    expect(text).toContain('Emulator, tuned on the same rows 72.6% (+8.0 to the untuned full model)');
    expect(text).toContain('the bundle holds exactly 80.2% of its tensors');
    expect(text).not.toContain('Bits kept');
  });

  test('a difference of perplexities has the sign that its figures have', () => {
    const perplexities = { metric: 'perplexity', full: 301.8, emulator: 900, tuned: 12.12, plugged: 149.1 };
    const entry = plugInEntry({ tasks: [taskResult(perplexities)] });
    expect(firstOf({ plugIns: [entry] })).toContain(
      'Emulator, tuned on the same rows 12.12 (−289.7 to the untuned full model)',
    );
  });

  test('stand the leak measures where they were asked for, and what an attack reached', () => {
    const bitsKept = { value: '0.1297', stderr: '0.0174', low: '0.0945', high: '0.1617' };
    const leak = { exactParameterShare: '0.2107', subspaceShare: '0.5', layerSubspaceShare: '0.4', bitsKept };
    const point = { tokens: 30_000, emulator: bitsKept, control: bitsKept };
    const leakTest = { metric: 'acc', samples: 8, full: bitsKept, halfway: '0.5000', points: [point] };
    const of = (test: object) =>
      firstOf({
        builds: [
          buildEntry({ status: { scores: { exactTensorShare: '0.2', leak, leakTest: test } as never } }),
        ],
      });
    const text = of(leakTest);
    expect(text).toContain('the bundle holds exactly 21.1% of its parameters');
    expect(text).toContain('Bits kept, untuned 13.0%');
    expect(text).toContain('Half of the model, by an attack not within 30,000 tokens');
    expect(of({ ...leakTest, reachedAt: 10_000 })).toContain('by an attack within 10,000 tokens');
    expect(of({ ...leakTest, reachedAt: 0 })).toContain('by an attack without any tuning');
    expect(of({ ...leakTest, halfway: undefined })).not.toContain('by an attack');
  });

  test('stands nothing of the kind where there are several, or none yet', () => {
    const two = firstOf({ plugIns: [plugInEntry(), plugInEntry({ name: 'other' })], builds: [] });
    expect(two).not.toContain('Emulator, tuned');
    expect(
      firstOf({ plugIns: [], builds: [buildEntry({ status: { scores: undefined } as never })] }),
    ).not.toContain('exactly');
  });
});

/** Four steps, the first and the last without rows. */
function hiddenEntry() {
  const losses = [Number.NaN, 1.5, 0.5, Number.NaN];
  const interval = (value: string, low: string, high: string) => ({ value, low, high });
  return tuneEntry({
    history: { value: { losses, evaluations: [], bestStep: 4 } },
    status: {
      training: {
        ...{ steps: 4, bestStep: 4 },
        privacy: {
          ...{ epsilon: '2.0000', delta: '0.001', noiseMultiplier: '3.3767', clipNorm: '1' },
          ...{ samplingRate: '0.2222222222222222', clipped: '0.2500' },
        },
      },
      audit: {
        membership: {
          ...{ members: 64, nonMembers: 200, auc: interval('0.5346', '0.4535', '0.6157') },
          tpr: interval('0.0469', '0.0098', '0.1309'),
        },
        canaries: {
          ...{ canaries: 8, candidates: 63, exposure: interval('2.1457', '0.6299', '3.6616') },
          ...{ chance: '1.3751', most: '6.0000' },
        },
      },
    },
  });
}

describe('the leak of a bundle', () => {
  const scores = {
    ...{ metric: 'acc', samples: 200, exactTensorShare: '0.8020', cpl: '0.9000' },
    full: { value: '0.6000', stderr: '0.0300' },
    emulator: { value: '0.3200', stderr: '0.0300' },
  };
  const estimate = { value: '0.2000', stderr: '0.0400', low: '0.1200', high: '0.2800' };
  const shares = { exactParameterShare: '0.3000', subspaceShare: '0.7000', layerSubspaceShare: '0.5500' };
  const pageOf = (leak: object) =>
    renderReport(
      recordOf({ builds: [buildEntry({ depth: 4, status: { scores: { ...scores, leak } as never } })] }),
    );

  test('stands before the similarities, with errors and what is not claimed', async () => {
    const control = { value: '0.2500', stderr: '0.0310' };
    const page = await pageOf({ ...shares, control, correctedCpl: estimate, greedyAgreement: estimate });
    expect(await faultsOf(page)).toEqual([]);
    const text = textOf(page);
    expect(text).toContain('random control 25.0% 3.1 points');
    expect(text).toContain('(corrected CPL) 20.0% 4.0 points 12.0% to 28.0%');
    expect(text).toContain('bits kept not told');
    expect(text).toContain('of the layers alone 55.0%');
    expect(text).toMatch(/Not claimed : .*no guarantee by cryptography/);
    expect(text.indexOf('Not claimed')).toBeLessThan(text.indexOf('How alike the layers are'));
  });

  test('without scores its shares are told alone', async () => {
    const reason = 'the probe set has 0 rows after the first 16; scores need 2';
    const entry = buildEntry({
      depth: 4,
      status: { scores: { exactTensorShare: '0.8', reason, leak: shares } },
    });
    const text = textOf(await renderReport(recordOf({ builds: [entry] })));
    expect(text).toContain('parameters held exactly 30.0%');
    expect(text).not.toContain('corrected CPL');
  });
});

describe('a build that finds its own way', () => {
  const lowRank = (ratio: string) => ({
    ...{ strategy: 'none', compression: { type: 'lowRank', ratio }, transferLayers: { count: 0 } },
    ...{ sizeShare: '0.5000', exactParameterShare: '0.2100' },
  });
  const measured = (value: string, agreement: string) => ({
    bitsKept: { value, stderr: '0.0200' },
    ...{ agreement, agreementAtStart: '0.1000', agreementTrained: '0.9000' },
  });
  const candidates = [
    {
      ...{ ...lowRank('0.2'), ...measured('-1000000.0000', '0.2000'), verdict: 'fits' },
      bitsKept: { value: '-1000000.0000', withoutOneRow: '0.2800' },
    },
    { ...lowRank('0.35'), ...measured('0.1300', '0.4000'), verdict: 'chosen' },
    { ...lowRank('0.5'), ...measured('0.4500', '0.6000'), verdict: 'overLeak' },
    {
      ...{ strategy: 'crash', layers: 3, transferLayers: { count: 2 }, verdict: 'overSize' },
      ...{ sizeShare: '0.8000', exactParameterShare: '0.8000' },
    },
  ];
  const reason = 'Of 4 candidates 2 keep the budgets. Chosen is all layers, lowRank 0.35.';
  const [, chosen] = candidates;
  const auto = { chosen, reason, candidates, rows: 13, passes: '1.48' };
  const pageOf = (status: object) =>
    renderReport(
      recordOf({
        builds: [
          buildEntry({
            ...{ depth: 4, status: status as never },
            spec: { strategy: undefined, layers: undefined, auto: { leakAtMost: '0.3', sizeAtMost: '0.7' } },
          }),
        ],
      }),
    );

  test('has its frontier, every candidate, and why one was chosen', async () => {
    const page = await pageOf({ auto });
    expect(await faultsOf(page)).toEqual([]);
    const text = textOf(page);
    expect(text).toContain(reason);
    expect(text).toContain('on 13 rows of the probe');
    expect(text).toContain(
      'all layers, lowRank 0.35, LoRA beside every map 13.0% ± 2.0 50.0% 21.0% 0.4000 0.1000 0.9000 chosen',
    );
    expect(text).toContain('lowRank 0.2, LoRA beside every map below -100% (28.0% without one row) 50.0%');
    expect(text).toContain('3 layers by crash, exact, 2 transfer layers 80.0% 80.0% too large');
    expect(text).toContain('Strategy none');
    expect(text).toContain('compressed by lowRank');
    expect(page).not.toContain('NaN');
  });

  test('before it was found, says so', async () => {
    const page = await pageOf({});
    expect(await faultsOf(page)).toEqual([]);
    expect(textOf(page)).toContain('strategy and compression are to be found');
    expect(textOf(page)).not.toContain('How it was chosen');
  });
});

describe('a leak test', () => {
  const cell = (value: string) => ({ value, stderr: '0.0200' });
  const points = [
    { tokens: 0, emulator: cell('0.2600'), control: cell('0.2500') },
    { tokens: 100000, emulator: cell('0.3000'), control: cell('0.2500') },
    { tokens: 1000000, emulator: cell('0.4400'), control: cell('0.2600') },
  ];
  const tested = { metric: 'acc', samples: 500, full: cell('0.6000'), points, halfway: '0.4250' };
  const pageOf = (leakTest: object) =>
    renderReport(recordOf({ builds: [buildEntry({ depth: 4, status: { scores: { leakTest } as never } })] }));

  test('has its curve, its points and one sentence', async () => {
    const page = await pageOf({ ...tested, reachedAt: 1000000 });
    expect(await faultsOf(page)).toEqual([]);
    const text = textOf(page);
    expect(text).toContain('Within 1,000,000 tokens of tuning the emulator reaches half of the model');
    expect(text).toContain('untuned 26.0% ± 2.0 25.0% ± 2.0 60.0% ± 2.0');
    expect(text).toContain('1,000,000 44.0% ± 2.0');
    expect(page).not.toContain('NaN');
  });

  test.each([
    [{}, 'Within 1,000,000 tokens of tuning the emulator does not reach half'],
    [{ reachedAt: 0 }, 'Untuned, the emulator has half'],
    [{ halfway: undefined }, 'nothing can be told of what tuning recovers'],
  ])('of %j it says what was found', async (found, words) => {
    expect(textOf(await pageOf({ ...tested, ...found }))).toContain(words);
  });

  test('a perplexity beyond all bounds is drawn', async () => {
    const wild = points.map((point) => ({
      ...point,
      control: { value: '1.7976931348623157e+308', stderr: '0.1' },
    }));
    const page = await pageOf({
      ...tested,
      metric: 'perplexity',
      full: cell('10.0'),
      halfway: '100.0',
      points: wild,
    });
    expect(await faultsOf(page)).toEqual([]);
    expect(page).not.toContain('NaN');
  });
});

describe('a whole run', async () => {
  const page = await renderReport(recordOf());

  test('is valid, small and loads nothing', async () => {
    expect(await faultsOf(page)).toEqual([]);
    expect(page.length).toBeLessThan(500_000);
    expect(page).not.toMatch(/<script|javascript:|@import|url\((?!#)/i);
    expect(matches(page, /(?:src|href)="(?!#|data:)([^"]*)"/g)).toEqual([]);
    expect(
      matches(page, /(https?:\/\/[^"'\s<]*)/g).filter((url) => !url.startsWith('http://www.w3.org/')),
    ).toEqual([]);
  });

  test('every link and label leads somewhere, no id stands twice', () => {
    const ids = matches(page, /\sid="([^"]*)"/g);
    expect(new Set(ids).size).toBe(ids.length);
    const wanted = [
      ...matches(page, /href="#([^"]*)"/g),
      ...matches(page, /url\(#([^)]*)\)/g),
      ...matches(page, /aria-labelledby="([^"]*)"/g).flatMap((list) => list.split(' ')),
    ];
    expect(wanted.filter((id) => !ids.includes(id))).toEqual([]);
  });

  test('every plot has a title and a description, every table a caption', () => {
    const plots = matches(page, /(<svg class="plot".*?<\/svg>)/gs);
    expect(plots).toHaveLength(8);
    for (const plot of plots)
      expect(plot).toMatch(
        /^<svg [^>]*role="img"[^>]*><title id="[^"]+">[^<]+<\/title><desc id="[^"]+">[^<]{20,}/,
      );
    expect(matches(page, /(<table>)/g)).toHaveLength(matches(page, /(<table>\s*<caption>[^<])/g).length);
    expect(page).not.toMatch(/NaN|undefined|\[object|Infinity/);
  });

  test('says what was found', () => {
    const text = textOf(page);
    for (const part of [
      'Offsite-tuning worked on words: the adapter lifts the full model from 64.6% to 78.6%',
      'Of the 30 layers of smollm2, 15 are kept',
      '+14.0 points, 95% interval, paired on the same rows: +10.5 to +17.5. The interval excludes zero.',
      'best step: 120',
    ]) {
      expect(text).toContain(part);
    }
  });

  test('is the same for the same record', async () => {
    expect(await renderReport(recordOf())).toBe(page);
    const [one, two] = await Promise.all([renderReport(recordOf()), renderReport(recordOf())]);
    expect(one).toBe(page);
    expect(two).toBe(page);
  });
});

test('nothing from outside becomes markup', async () => {
  const evil = `</title><script>alert("1")</script><img src=x onerror='alert(2)'>&\u0000\u001b`;
  const page = await renderReport(
    recordOf({
      place: evil,
      unreadable: [evil],
      builds: [
        buildEntry({
          similarity: { absent: evil },
          status: { ...failedStatus('BadData', evil), scores: { reason: evil } },
        }),
      ],
      tunes: [tuneEntry({ history: { absent: evil }, manifest: { absent: evil } })],
      plugIns: [
        plugInEntry({
          status: {
            evaluation: [
              {
                ...taskResult({ metric: evil }),
                task: evil,
                differences: [{ name: evil, value: '0', stderr: '0', low: '0', high: '0' }],
              },
            ],
            gates: [{ name: evil, passed: false, message: evil }],
          },
        }),
      ],
    }),
  );
  expect(page.replaceAll('\n', '')).not.toMatch(/<script|<img|\p{Cc}/u);
  expect(page).toContain('&lt;script&gt;');
  expect((await faultsOf(page)).filter((fault) => !fault.includes('long-title'))).toEqual([]);
});

test('128 layers, and all of them kept as they are', async () => {
  const deep = await renderReport(recordOf({ tunes: [], plugIns: [], builds: [buildEntry({ depth: 128 })] }));
  expect(deep.length).toBeLessThan(600_000);
  expect(await faultsOf(deep)).toEqual([]);
  const shallow = await renderReport(
    recordOf({ tunes: [], plugIns: [], builds: [buildEntry({ depth: 128, sharing: 'none' })] }),
  );
  expect(textOf(shallow)).toContain('the emulator is 64 layers deep');
});

/** Of which no layer is exact: LoRA trains beside factors. */
function withoutTransferLayers(): ReturnType<typeof buildEntry> {
  const value = { ...similarityOf(8, 'none'), transferLayers: [] };
  const entry = buildEntry({ depth: 8, sharing: 'none', similarity: { value } });
  const { spec } = entry.resource;
  Object.assign(spec, { transferLayers: { count: 0 }, compression: { type: 'lowRank' } });
  return entry;
}

/** Each record holds only what its case is about: plots take most of the time. */
interface Case {
  record: Partial<ReportRecord>;
  says: string[];
}

/** A tuning whose emulator came from such a figure to an accuracy of 1. */
function privateCells(
  { samples, ...emulatorZeroShot }: { samples: number; value: string; stderr: string },
  says: string[],
): Case {
  const cells = { emulatorZeroShot, emulatorFineTuned: { value: '1.0000', stderr: '0.0000' } };
  return {
    record: { tunes: [tuneEntry({ status: { validation: { metric: 'acc', samples, cells } } })] },
    says,
  };
}

/** A tuning whose emulator came from one perplexity to another on 40 private rows. */
function privatePerplexities(before: string, after: string, says: string[]): Case {
  const [emulatorZeroShot, emulatorFineTuned] = [before, after].map((value) => ({
    ...{ value, stderr: value === 'Infinity' ? value : '1.0000' },
  })) as [Cell, Cell];
  const validation = { metric: 'perplexity', samples: 40, cells: { emulatorZeroShot, emulatorFineTuned } };
  return { record: { tunes: [tuneEntry({ status: { validation } })] }, says };
}

const cases: Record<string, Case> = {
  'nothing at all': {
    record: { builds: [], tunes: [], plugIns: [], unreadable: ['x/resource.yaml: spec.layers: must be'] },
    says: [
      'whether offsite-tuning works is not measured',
      'x/resource.yaml: spec.layers: must be',
      'No resource was found',
    ],
  },
  'only a model owner': {
    record: { builds: [buildEntry({ depth: 8 })] },
    says: ['No adapter was plugged in here'],
  },
  'an emulator without transfer layers': {
    record: { builds: [withoutTransferLayers()] },
    says: [
      'None is a transfer layer: LoRA beside the linear maps of every kept layer can be trained and comes back.',
      'Of the colours, blue is kept, compressed (lowRank), with LoRA trained beside it.',
      'compressed by lowRank',
    ],
  },
  'preference pairs': {
    record: {
      tunes: [
        tuneEntry({
          objective: { type: 'dpo', beta: '0.2' },
          status: {
            validation: {
              metric: 'pair_acc',
              samples: 200,
              cells: {
                emulatorZeroShot: { value: '0.5000', stderr: '0.0000' },
                emulatorFineTuned: { value: '0.7000', stderr: '0.0325' },
              },
            },
          },
        }),
      ],
      plugIns: [plugInEntry({ tasks: [taskResult({ metric: 'pair_acc', full: 0.5 })] })],
    },
    says: [
      'dpo, beta 0.2',
      'Mean of the pairs&#39; loss (dpo).',
      'pair accuracy on 200 validation rows',
      'than in the emulator before it was tuned, whose own is 50% by definition.',
      'than in the full model, whose own is 50% by definition.',
      'leans more to the chosen answer than the full model does in 78.6% of the pairs, which is told and not judged',
      'not judged',
    ],
  },
  'private cells of 3 rows': privateCells({ samples: 3, value: '0.6667', stderr: '0.3333' }, [
    '; that may be chance: fewer than 10 rows.',
  ]),
  'private cells that differ by their error': privateCells(
    { samples: 12, value: '0.6667', stderr: '0.1421' },
    [
      '; that may be chance: the rows that differ are too few or too even (McNemar&#39;s exact test, p about 0.125).',
    ],
  ),
  'private cells that differ by less than 1.96 errors': privateCells(
    { samples: 12, value: '0.6667', stderr: '0.3333' },
    ['; by these two figures alone that may be chance.'],
  ),
  'private cells that differ by more': privateCells({ samples: 12, value: '0.2500', stderr: '0.1306' }, [
    '(standard error at most 13.1 points).',
  ]),
  'private cells from an infinite perplexity': privatePerplexities('Infinity', '23.4100', [
    'tuning moves the emulator from ∞ to 23.41, and an infinite perplexity is worse than any other.',
  ]),
  'private cells to an infinite perplexity': privatePerplexities('23.4100', 'Infinity', [
    'tuning moves the emulator from 23.41 to ∞, and an infinite perplexity is worse than any other.',
  ]),
  'private cells of infinite perplexities': privatePerplexities('Infinity', 'Infinity', [
    'the emulator&#39;s perplexity is infinite before and after tuning, and which is the better one cannot be told.',
  ]),
  'a sparse adapter': {
    record: {
      tunes: [
        tuneEntry({
          objective: { type: 'sft', l1: '0.3' },
          status: { training: { steps: 120, bestStep: 120, unchanged: '0.8125' } },
        }),
      ],
    },
    says: ['sft, l1 0.3', 'Left as it was 81.3%', 'answer&#39;s token, in nats.'],
  },
  'a failed training without a history': {
    record: {
      tunes: [
        tuneEntry({
          status: {
            ...failedStatus('BadData', 'train.jsonl: row 7: answer is 9, but there are 4 choices'),
            training: undefined,
            validation: undefined,
            artifact: undefined,
          },
          history: { absent: 'there is no loss history beside the adapter' },
          manifest: { absent: 'no artifact was made' },
        }),
      ],
      plugIns: [
        plugInEntry({
          tasks: [],
          status: {
            phase: 'Pending',
            artifact: undefined,
            evaluation: undefined,
            gates: undefined,
            conditions: [],
          },
        }),
      ],
    },
    says: [
      'OffsiteTune words failed, so nothing was measured',
      'train.jsonl: row 7: answer is 9, but there are 4 choices',
      'The loss curve is not shown: there is no loss history beside the adapter.',
      'PlugIn words: Pending',
    ],
  },
  'a failed build': {
    record: {
      builds: [
        buildEntry({
          status: {
            ...failedStatus('BadModel', 'no such file'),
            similarity: undefined,
            plan: undefined,
            scores: undefined,
            artifact: undefined,
          },
          similarity: { absent: 'no artifact was made' },
        }),
      ],
      tunes: [],
      plugIns: [],
    },
    says: ['EmulatorBuild words failed', 'No similarities are known yet.', '(BadModel): no such file'],
  },
  'a cluster: the matrix and the losses are elsewhere': {
    record: {
      builds: [buildEntry({ similarity: { absent: 'pvc://artifacts/x cannot be reached from here' } })],
      tunes: [tuneEntry({ history: { absent: 'it stays where the training ran' } })],
    },
    says: [
      'The whole matrix is not shown: pvc://artifacts/x cannot be reached from here.',
      'Neighbouring layers',
      'Loss of the first step 3.0000',
    ],
  },
  'no validation rows': {
    record: { tunes: [tuneEntry({ validation: false })] },
    says: [
      'There are no validation rows: the adapter is the last step.',
      'what the emulator is worth on private data is not measured',
    ],
  },
  'modules and a head': {
    record: { tunes: [tuneEntry({ adapter: { type: 'bottleneck', size: 8, head: true } })] },
    says: ['Trained bottleneck and the head', 'Trains bottleneck and the head for 120 steps'],
  },
  'a later round': {
    record: {
      tunes: [
        tuneEntry({
          start: { ref: { kind: 'PlugIn', name: 'round-1' } },
          status: { training: { steps: 120, bestStep: 120, unchanged: '0.99994' } },
        }),
      ],
    },
    says: [
      'Trains the transfer layers on from round-1 for 120',
      'Went on from round-1',
      'as it was &gt;99.9%',
    ],
  },
  'rows that are hidden, some steps without any, and what attacks found': {
    record: { tunes: [hiddenEntry()] },
    says: [
      'Trained with row-level DP-SGD, epsilon = 2.0000 at delta = 0.001 under Poisson sampling, RDP accountant; tuning runs not included.',
      'which of two texts a row was has twice epsilon and who has k rows in the data about k times epsilon, each at a far larger delta',
      'Rows clipped 25.0%',
      'No step was chosen on these rows',
      'Training loss from 1.5000 at step 2 to 0.5000 at step 3.',
      'area under the curve 0.535 0.454 to 0.616 0.500',
      'at 1% false positives 4.7% 1.0% to 13.1% 1.0%',
      'of at most 6.000 2.146 0.630 to 3.662 1.375',
      '64 training rows against 200 validation rows',
      'another attack may find more',
    ],
  },
  'one step': { record: { tunes: [tuneEntry({ steps: 1, validation: false })] }, says: ['Loss by step'] },
  'no step yet': {
    record: { tunes: [tuneEntry({ history: { value: { losses: [], evaluations: [], bestStep: 0 } } })] },
    says: ['The loss curve is not shown: no step is done.'],
  },
  'more steps than a plot can show': {
    record: { tunes: [tuneEntry({ steps: 10_000 })] },
    says: ['Training: means of 25 steps.'],
  },
  'no evaluation asked for': {
    record: { plugIns: [plugInEntry({ evaluated: false })] },
    says: ['plugged in without an evaluation', 'the resource names no tasks'],
  },
  'one row, which has no standard error': {
    record: { plugIns: [plugInEntry({ tasks: [taskResult({ samples: 1, stderr: Number.NaN })] })] },
    says: ['there are too few rows to decide it: fewer than 10 rows'],
  },
  perplexity: {
    record: {
      plugIns: [
        plugInEntry({
          tasks: [
            taskResult({ metric: 'perplexity', full: 20, emulator: 90, tuned: 30, plugged: 12, stderr: 0.5 }),
          ],
        }),
      ],
    },
    says: ['lowers its perplexity from 20.00 to 12.00', 'perplexity (lower is better)'],
  },
  analyses: {
    record: { plugIns: [plugInEntry({ analysis: analysisOf() })] },
    says: [
      'loss is 1.0000, the full model&#39;s 1.5000.',
      'On the line it is lowest at 1: 1.0000.',
      'There is no barrier between full model and plug-in',
      'Without layer 0 the loss grows most, by 6.0000; without layer 11 least, by −0.0500.',
      'layer 29 carries most: set back to the full model&#39;s weights, the loss changes by 0.2900',
      'The axis is linear near zero and logarithmic beyond 0.01.',
      '10 (transfer) −0.0272 +1.0 0.1000 −3.5',
    ],
  },
  'analyses of perplexity, of 128 layers, plugged in by half': {
    record: {
      plugIns: [
        plugInEntry({
          tasks: [taskResult({ metric: 'perplexity', full: 20, emulator: 90, tuned: 30, plugged: 12 })],
          analysis: analysisOf({ depth: 128, metric: 'perplexity', coefficient: 0.5 }),
        }),
      ],
    },
    says: ['0.5 1.1250 3.080 plug-in', 'deleted: perplexity', '127 −0.0764'],
  },
  'a plug-in that is the full model, with a place that gave no numbers': {
    record: {
      plugIns: [
        plugInEntry({
          analysis: {
            ...analysisOf({ coefficient: 0 }),
            interpolation: [
              { coefficient: 0, figures: [{ value: '0.5000', loss: '1.500000' }] },
              { coefficient: 1, figures: [{ value: '0.5000', loss: '1.500000' }] },
              { coefficient: 9, figures: [] },
            ],
          },
        }),
      ],
    },
    says: ['On the line it is lowest at 0: 1.5000.'],
  },
  'analyses of which only the status tells': {
    record: {
      plugIns: [
        {
          ...plugInEntry({ analysis: analysisOf() }),
          analysis: { absent: 'pvc://artifacts/words-model cannot be reached from here' },
        },
      ],
    },
    says: [
      'The curves are not shown: pvc://artifacts/words-model cannot be reached from here.',
      'On the line it is lowest at 1: 1.0000.',
    ],
  },
  'one layer': {
    record: { builds: [buildEntry({ depth: 1 })] },
    says: ['none is removed'],
  },
  'several of each': {
    record: {
      builds: [buildEntry({ name: 'a', depth: 8 }), buildEntry({ name: 'b', depth: 8, sharing: 'none' })],
      tunes: [tuneEntry({ name: 'a' }), tuneEntry({ name: 'b' })],
      plugIns: [
        plugInEntry({ name: 'a', tasks: [taskResult(), taskResult({ task: 'sciq', plugged: 0.5 })] }),
        plugInEntry({ name: 'b', tasks: [taskResult({ plugged: 0.65, tuned: 0.4 })] }),
      ],
    },
    says: [
      'Offsite-tuning worked on 1 of 3 evaluations, is not decided on 1 and did not work on 1',
      'mean acc 64.6% ± 1.3',
    ],
  },
};

test.each(Object.entries(cases))('%s', async (_, { record, says }) => {
  const page = await renderReport(recordOf({ builds: [], tunes: [], plugIns: [], ...record }));
  expect(await faultsOf(page)).toEqual([]);
  expect(page).not.toMatch(/NaN|undefined|\[object|Infinity/);
  const text = textOf(page);
  for (const part of says) expect(text).toContain(part);
});

test('a matrix of ones has a scale too', async () => {
  const similarity = {
    ...similarityOf(6),
    matrix: Array.from({ length: 6 }, () => Array<number>(6).fill(1)),
    adjacent: Array<number>(5).fill(1),
  };
  const page = await renderReport(
    recordOf({
      tunes: [],
      plugIns: [],
      builds: [buildEntry({ depth: 6, similarity: { value: similarity } })],
    }),
  );
  expect(page).not.toMatch(/NaN|Infinity/);
});

test('the exponent of a learning rate is not torn from it, and is no escape', async () => {
  const page = await renderReport(recordOf({ tunes: [tuneEntry({})] }));
  expect(page).toMatch(/learning rate [\d.]+e\u2011\d/);
  expect(page).not.toContain('\\u{');
});

test('what a strategy chose by beside similarities is told', async () => {
  const shown = async (found: object) => {
    const similarity = { value: { ...similarityOf(6), ...found } };
    const page = await renderReport(recordOf({ builds: [buildEntry({ depth: 6, similarity })] }));
    expect(await faultsOf(page)).toEqual([]);
    return textOf(page);
  };
  expect(await shown({ influence: [0.5, 0.1, 0.2, 0.2, 0.1, 0.4] })).toContain(
    'Block influence of the 6 layers',
  );
  expect(await shown({ removed: [3, 1] })).toContain('rows was lowest: 3, 1.');
  expect(await shown({})).not.toContain('Block influence');
});
