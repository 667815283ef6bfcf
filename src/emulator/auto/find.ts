// Finds the way to make an emulator: candidates are counted, those within size and exact share are looked at, and one is chosen.
import { type Way, wordsOfWay } from '../../api/index.ts';
import { canonicalJson, inPlace } from '../../artifact/index.ts';
import type { Engine } from '../../engine/index.ts';
import type { Model } from '../../model/index.ts';
import { progressOf } from '../../progress/index.ts';
import type { ObservationName, Observations } from '../observe/observations.ts';
import type { Evidence } from '../plan/plan.ts';
import { type BuildInput, probeExamples } from '../probe/stage.ts';
import type { ProbeKey } from '../probe/states.ts';
import type { RefineOptions } from '../refine/refine.ts';
import type { SimilarityOptions } from '../similarity/similarity.ts';
import {
  type Budgets,
  type Candidate,
  type Chosen,
  chooseSealed,
  countedVerdict,
  doubtOf,
  doubtOfAgreement,
  type Figures,
  type Verdict,
  verdictOf,
} from './choose.ts';
import { type NestedFactors, nestedFactors } from './factors.ts';
import { KeptFigures } from './kept.ts';
import { measure, measureSealed, type Sealable } from './measure.ts';
import { type Planned, type PlanningOptions, plannedWays } from './planned.ts';
import { type Rows, rowsToLook } from './rows.ts';

/** What a build is to find, and how much it may give away. */
export interface AutoOptions extends PlanningOptions, Budgets {}

export interface FindInput extends BuildInput {
  readonly auto: AutoOptions;
  readonly similarity: SimilarityOptions;
  /** How the bundle is trained before it is sealed; not when absent. */
  readonly refine?: RefineOptions | undefined;
  /** A directory of this resource alone: what is kept of unfinished work. */
  readonly own: string;
  /** Makes what would be sealed of a candidate, as `assemble` makes it afterwards; of the factors where they are there. */
  readonly make: (candidate: Planned, factors: NestedFactors | undefined) => Promise<Sealable>;
}

/** What the probe's pass has found. */
export interface ProbeFindings {
  readonly key: ProbeKey;
  readonly evidence: Evidence;
  readonly found: Observations;
}

export interface Found {
  readonly way: Way;
  /** Why it was chosen. */
  readonly reason: string;
  readonly candidates: readonly (Candidate & { readonly verdict: Verdict | 'chosen' })[];
  /** How many of the probe's rows were looked at. */
  readonly rows: number;
  /** What looking cost, in forward passes of the full model's blocks over the probe's rows. */
  readonly passes: number;
}

/** Of how candidates, and what would be sealed, are measured: what was measured in another way is not gone on with. */
const methods = { auto: 5, sealed: 4 } as const;

/** What must be observed beforehand. */
export const observedForAuto: readonly ObservationName[] = ['inputs'];

/**
 * The way within the budgets whose emulator's gradient agrees most with the full model's. What it takes is told before it begins:
 * candidates, rows, and passes over the probe's rows. The budget of bits is held against what would be sealed as well: refined, and
 * in the numbers that the bundle stores.
 * @throws OffsiteError BadSpec with the nearest candidate's figures where none keeps the budgets; BadData where the rows tell no leak; Cancelled
 */
export async function findWay(
  engine: Engine,
  model: Model,
  findings: ProbeFindings,
  input: FindInput,
): Promise<Found> {
  const { auto } = input;
  const planned = await plannedWays(engine, model, findings, auto);
  const examples = await probeExamples(model, engine, findings.key.data, input);
  const rows = rowsToLook(model, examples, planned, input.memory);
  const within = planned.filter((candidate) => countedVerdict(candidate, auto) === 'fits');
  const { measured, factors } = await figuresOf(engine, model, findings, { rows, within }, input);
  const figures = new Map(within.map((candidate, i) => [candidate, measured[i]!]));
  const looked = planned.map((candidate): Candidate => {
    const { way, sizeShare, exactParameterShare } = candidate;
    return { way, sizeShare, exactParameterShare, figures: figures.get(candidate) };
  });
  const keptSealed = await keptOf('sealed', rows, findings, input);
  const { chosen, candidates } = await chooseSealed(looked, auto, async ({ way }) => {
    const name = canonicalJson(way);
    const known = keptSealed.of(name);
    if (known !== undefined) return known;
    const made = await input.make(planned.find((candidate) => candidate.way === way)!, factors);
    const found = await measureSealed(engine, model, made, { rows, memory: input.memory });
    await keptSealed.add(name, found);
    return found;
  });
  const doubt = doubtOf(chosen.sealed, auto, rows.looked.length);
  if (doubt !== undefined) input.emit({ type: 'warning', reason: 'LeakDoubtful', message: doubt });
  const unsure = doubtOfAgreement(chosen.figures);
  if (unsure !== undefined) input.emit({ type: 'warning', reason: 'AgreementDoubtful', message: unsure });
  return {
    way: chosen.way,
    reason: reasonOf(candidates, chosen, auto),
    candidates: candidates.map((candidate) => ({
      ...candidate,
      verdict: candidate.way === chosen.way ? 'chosen' : verdictOf(candidate, auto),
    })),
    rows: rows.looked.length,
    passes: passesOf(rows, within),
  };
}

/** What is kept of measurements, of figures by candidate or of what would be sealed of them. */
function keptOf<K extends keyof typeof methods>(
  kind: K,
  rows: Rows,
  { key }: ProbeFindings,
  { work, auto: { sharing }, similarity, refine, keeper = inPlace }: FindInput,
): Promise<KeptFigures<K>> {
  const address = { method: methods[kind], key, similarity, sharing, rows: rows.looked.length };
  return KeptFigures.open(kind, work, kind === 'sealed' && refine ? { ...address, refine } : address, keeper);
}

async function figuresOf(
  engine: Engine,
  model: Model,
  findings: ProbeFindings,
  { rows, within }: { rows: Rows; within: readonly Planned[] },
  input: FindInput,
): Promise<{ measured: readonly Figures[]; factors?: NestedFactors | undefined }> {
  if (within.length === 0) return { measured: [] };
  const { own, memory, emit } = input;
  const { key, found } = findings;
  const kept = await keptOf('auto', rows, findings, input);
  const passes = passesOf(rows, within);
  const begin = () => progressOf('assemble: auto', passes, emit);
  let progress = begin();
  progress(0, [
    { name: 'candidates', value: String(within.length) },
    { name: 'rows', value: String(rows.looked.length) },
    { name: 'passes', value: passes.toFixed(2) },
  ]);
  const ratio = within.flatMap(({ way }) => ratioOf(way) ?? []).sort((a, b) => Number(b) - Number(a))[0];
  let factors: NestedFactors | undefined;
  const measured = await measure(engine, model, {
    ...{ rows, candidates: within, kept, memory },
    progress: (passes) => progress(passes),
    async factors() {
      if (ratio === undefined) return undefined;
      factors = await nestedFactors(own, { engine, model, found }, ratio, { probed: key, emit });
      // The derivation tells of itself; the time that is left is counted from here.
      progress = begin();
      return factors;
    },
  });
  return { measured, factors };
}

const ratioOf = ({ compression }: Way) => (compression?.type === 'lowRank' ? compression.ratio : undefined);

const passesOf = ({ passes }: Rows, within: readonly Planned[]): number =>
  within.reduce((sum, candidate) => sum + passes.of(candidate), within.length === 0 ? 0 : passes.full);

/** Why a candidate was chosen, as a sentence. */
function reasonOf(candidates: readonly Candidate[], chosen: Chosen, budgets: Budgets): string {
  const fitting = candidates.filter((candidate) => verdictOf(candidate, budgets) === 'fits');
  const begin = `Of ${candidates.length} candidates ${fitting.length} ${fitting.length === 1 ? 'keeps' : 'keep'} the budgets`;
  const best = `${wordsOfWay(chosen.way)}: its gradient agrees most with the full model's (cosine ${chosen.figures.agreement.toFixed(2)})`;
  const others = fitting.filter(({ way }) => way !== chosen.way);
  const next = others.toSorted((a, b) => b.figures!.agreement - a.figures!.agreement)[0];
  const beside = next && `; next, ${next.figures!.agreement.toFixed(2)}, is ${wordsOfWay(next.way)}`;
  const given = candidates.filter(({ sealed }) => sealed !== undefined).length - 1;
  const up =
    given === 0
      ? ''
      : ` ${given} that ${given === 1 ? 'agrees' : 'agree'} more would keep too many bits as sealed.`;
  return `${begin}. Chosen is ${best}${beside ?? ''}.${up}`;
}
