// The fine-tuning stage: from an emulator and private rows to an adapter, resumed from its checkpoints.
import type { Audit } from '../api/index.ts';
import { cameTo, doneOrFree, inPlace } from '../artifact/index.ts';
import { openBundle } from '../emulator/index.ts';
import { restoreState } from '../training/index.ts';
import { takeRoomOfAnyRow } from './any-row.ts';
import { audit, checkAuditable, takeSealed } from './audit/index.ts';
import { historyOf, madeEarlier, restoreRecord, writeHistory } from './history.ts';
import { warnOfNoTargets } from './not-finite.ts';
import { ownCheckpoints, prepare, type Run, type TuneOptions } from './prepare.ts';
import { refuseOtherNoise } from './privacy/index.ts';
import { resultOf, type TuneResult, writeAdapter } from './result.ts';
import { type Start, startFrom } from './start.ts';
import { referencesOf, train } from './train.ts';

/**
 * Trains inside the emulator, its transfer layers or beside all of its layers, and writes the adapter. Goes on from the newest checkpoint of the same
 * work, to the same adapter; returns a finished adapter of the same work at once, where this resource has made it.
 * @throws OffsiteError BadModel, BadData, and Cancelled after a checkpoint
 */
export async function tune(options: TuneOptions): Promise<TuneResult> {
  const { output, work, emit, keeper = inPlace } = options;
  const bundle = openBundle(options.emulator.directory, options.emulator.digest);
  let start: Start | undefined;
  try {
    start = options.start?.(bundle);
    const run = await prepare(options, bundle, start);
    const { audit: asked } = options.spec;
    const isHidden = run.privacy !== undefined;
    if (isHidden) warnOfNoTargets(run.rows, emit);
    if (asked)
      checkAuditable(asked, { rows: run.rows, validation: run.validation?.examples }, { isHidden, emit });
    const started = performance.now();
    const { state } = run;
    let trained = 0;
    const history = historyOf(work);
    await keeper.pull(history, { exact: false });
    const { mayReplace, told } = options;
    const destination = { output, own: work, keeper, mayReplace, told };
    const earlier = madeEarlier(history, run.identity);
    const done = await doneOrFree(destination, run.work, earlier);
    let digest = done?.digest;
    if (digest === undefined) {
      await keeper.pull(ownCheckpoints(work, run), { exact: false });
      if (run.privacy !== undefined) {
        const made = (await cameTo(destination, run.work)) ?? earlier;
        refuseOtherNoise(ownCheckpoints(work, run), made, output);
        await takeRoomOfAnyRow(run, options);
      }
      // Before anything is trained, and before what was trained earlier is put in place.
      const references = await referencesOf(run, options);
      if (restoreState(ownCheckpoints(work, run), run.identity, state, emit)) state.record.resumes += 1;
      for (const { training } of run.parts.values()) training.update();
      warnOfHead(run, options);
      trained = await train(run, references, options);
      digest = await writeAdapter(destination, run, run.checkUnchanged);
      writeHistory(history, nameOf(run, digest), state.record);
    } else if (
      !restoreRecord(history, { names: [run.measuredAs, run.identity], adapter: digest }, state.record)
    ) {
      // Killed between the adapter and its history.
      await keeper.pull(ownCheckpoints(work, run), { exact: false });
      if (restoreState(ownCheckpoints(work, run), run.identity, state, () => {}))
        writeHistory(history, nameOf(run, digest), state.record);
    }
    keeper.pushLater(history, { exact: true });
    const seconds = (performance.now() - started) / 1000;
    const result = resultOf({ output, digest }, run, trained / seconds);
    return asked ? { ...result, audit: await auditOf(asked, run, { start, digest }, options) } : result;
  } finally {
    start?.close();
    bundle.close();
  }
}

/** A training that hides its rows comes to another adapter where it is made again under another noise. */
const nameOf = ({ measuredAs, privacy }: Run, digest: string) => ({
  identity: measuredAs,
  ...(privacy && { adapter: digest }),
});

/** What attacks find on the adapter as it was sealed, against what whoever has it had before. */
async function auditOf(
  asked: Audit,
  run: Run,
  { start, digest }: { start: Start | undefined; digest: string },
  { spec, output, memory, emit }: TuneOptions,
) {
  const { state, parts, untuned, decoder, rows, validation, bundle } = run;
  const evaluated = () => {
    for (const { evaluated } of parts.values()) evaluated.update();
    return decoder;
  };
  const { seed, maxLength } = spec.training;
  return await audit(asked, {
    before() {
      if (start === undefined) return untuned;
      startFrom(start, state.tensors);
      return evaluated();
    },
    after() {
      takeSealed({ output, digest }, state.tensors);
      return evaluated();
    },
    ...{ seed, maxLength, memory, emit, takesNaN: run.privacy !== undefined },
    architecture: bundle.model.architecture,
    rows,
    validation: validation?.examples,
  });
}

/** A head's rows are the vocabulary's: those that answers hold change in a way of their own. */
function warnOfHead({ privacy }: Run, { spec, emit }: TuneOptions): void {
  if (spec.adapter.head !== true || privacy !== undefined) return;
  emit({
    type: 'warning',
    reason: 'RowsTold',
    message:
      "spec.adapter.head: a head that is trained tells which tokens the rows' answers hold; leave it out, or train with spec.privacy (docs/privacy.md)",
  });
}
