import { z } from 'zod';
import { integer, namespaceName, resourceName } from './fields.ts';
import { EmulatorBuildSpec } from './kinds/emulator-build.ts';
import { OffsiteTuneSpec } from './kinds/offsite-tune.ts';
import { PlugInSpec } from './kinds/plug-in.ts';
import { EmulatorBuildStatus, OffsiteTuneStatus, PlugInStatus } from './status.ts';

export const group = 'offsite-tuning.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;

const metadata = z.looseObject({
  name: resourceName,
  namespace: namespaceName.optional(),
  uid: z.string().min(1).max(128).optional(),
  generation: integer(1, Number.MAX_SAFE_INTEGER).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});
export type Metadata = z.output<typeof metadata>;

/** A whole resource. A status in a manifest is not read: the operator, or `offsite run`, writes it. */
function resource<K extends string, S extends z.ZodType>(kind: K, spec: S) {
  return z
    .strictObject({
      apiVersion: z.literal(apiVersion),
      kind: z.literal(kind),
      metadata,
      spec,
      status: z.unknown().optional(),
    })
    .transform(({ status: _, ...rest }) => rest);
}

/** The kinds in the order in which they are made. */
export const kinds = {
  EmulatorBuild: {
    kind: 'EmulatorBuild',
    description:
      "Derives an emulator from a model: a smaller, worse model whose transfer layers are the model's own.",
    plural: 'emulatorbuilds',
    singular: 'emulatorbuild',
    shortName: 'eb',
    schema: resource('EmulatorBuild', EmulatorBuildSpec),
    spec: EmulatorBuildSpec,
    status: EmulatorBuildStatus,
  },
  OffsiteTune: {
    kind: 'OffsiteTune',
    description: "Fine-tunes an emulator's transfer layers on private data; an adapter comes back.",
    plural: 'offsitetunes',
    singular: 'offsitetune',
    shortName: 'ot',
    schema: resource('OffsiteTune', OffsiteTuneSpec),
    spec: OffsiteTuneSpec,
    status: OffsiteTuneStatus,
  },
  PlugIn: {
    kind: 'PlugIn',
    description:
      'Plugs an adapter into the full model, measures it, and releases the result if the gates hold.',
    plural: 'plugins',
    singular: 'plugin',
    shortName: 'pi',
    schema: resource('PlugIn', PlugInSpec),
    spec: PlugInSpec,
    status: PlugInStatus,
  },
} as const;

export type Kind = keyof typeof kinds;

/** The resources as parsed: checked, defaults applied. */
export type EmulatorBuild = z.output<typeof kinds.EmulatorBuild.schema>;
export type OffsiteTune = z.output<typeof kinds.OffsiteTune.schema>;
export type PlugIn = z.output<typeof kinds.PlugIn.schema>;
export type Resource = EmulatorBuild | OffsiteTune | PlugIn;
