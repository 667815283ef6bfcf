/** What only the operator knows of the kinds: how large what they make is, and what fills memory. */
import type { Kind, PlugIn } from '../src/api/index.ts';
import { type Footprint, type KindRules, rulesOf, usual } from './jobs/index.ts';

const footprints: Readonly<Partial<Record<Kind, Footprint>>> = {
  EmulatorBuild: { outputBytes: (_, modelBytes) => modelBytes },
  // Saved activations fill what they are given.
  OffsiteTune: { fillsMemory: true },
  PlugIn: {
    outputBytes: (spec, modelBytes) =>
      (spec as PlugIn['spec']).output.save === 'model' ? modelBytes : usual.artifact,
  },
};

export const rulesFor = (kind: Kind): KindRules => rulesOf(kind, footprints[kind] ?? {});
