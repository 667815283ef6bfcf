/** What a PlugIn reads of models: opened, and checked to belong to each other. */
import { badModel, type PlugIn } from '../api/index.ts';
import { canonicalJson } from '../artifact/index.ts';
import { type Bundle, openBundle } from '../emulator/index.ts';
import { type Model, openModel } from '../model/index.ts';
import { openAdapter } from './adapter.ts';
import { checkParties, type Party } from './aggregate.ts';

/** A directory, and the digest that it must have. */
export interface Given {
  readonly directory: string;
  readonly digest?: string | undefined;
}

/** What the spec calls a party's adapter: its reference's name, else its address. */
type NamedParty = Party & { readonly name: string };

export interface OpenSides {
  readonly model: Model;
  readonly modelDigest: string;
  readonly bundle: Bundle;
  /** Whose adapters are plugged in: one, or several in the order of their digests, so that nothing hangs on the order in which they are named. */
  readonly parties: readonly NamedParty[];
  /** Throws BadModel where a file that was read has been changed since. */
  checkUnchanged(): void;
  close(): void;
}

/** @throws OffsiteError BadModel where one is damaged, not the one that is asked for, or made from another */
export function openSides(
  spec: PlugIn['spec'],
  given: { readonly model: string; readonly emulator: Given; readonly adapters: readonly Given[] },
): OpenSides {
  const toClose: { close(): void }[] = [];
  const close = () => {
    for (const one of toClose) one.close();
  };
  const open = <T extends { close(): void }>(one: T): T => {
    toClose.push(one);
    return one;
  };
  try {
    const model = open(openModel(given.model, { digest: spec.model.digest }));
    const modelDigest = model.digest;
    const bundle = open(openBundle(given.emulator.directory, given.emulator.digest));
    const from = bundle.artifact.manifest.madeFrom['model'];
    if (from !== modelDigest)
      throw badModel(`spec.emulator: the bundle was made from model ${from}, not from ${modelDigest}`);
    // Its weights run by it, beside the model's own; and the data owner has trained by it.
    if (canonicalJson(bundle.model.config) !== canonicalJson(model.config))
      throw badModel(
        `${given.emulator.directory}: its config.json is not that of the model, from which its manifest says that it was made`,
      );
    const emulator = bundle.artifact.digest;
    const parties = given.adapters
      .map(({ directory, digest }, i): NamedParty => {
        const { weight = '1', signer, ref, uri } = spec.adapters?.[i] ?? {};
        const adapter = open(openAdapter(directory, { model, emulator, bundle, digest }));
        return { adapter, directory, name: ref?.name ?? uri ?? directory, weight, signer };
      })
      .sort((a, b) => (a.adapter.digest < b.adapter.digest ? -1 : 1));
    checkParties(parties, { model, bundle });
    const read = [model, bundle.artifact.checked, ...parties.map(({ adapter }) => adapter.checked)];
    const checkUnchanged = () => {
      for (const files of read) files.checkUnchanged();
    };
    return { model, modelDigest, bundle, parties, checkUnchanged, close };
  } catch (error) {
    close();
    throw error;
  }
}
