// Fields that the API has and no stage computes yet: refused, so that nobody believes that they were heeded.
import { badSpec } from '../../api/index.ts';

/** @throws OffsiteError BadSpec naming the first such field that a resource's spec sets */
export function refuseUnbuilt(spec: Readonly<Record<string, unknown>>): void {
  const { signers, output } = spec as {
    signers?: readonly unknown[];
    output?: { signingKeyRef?: unknown };
  };
  const set = {
    'spec.signers': signers !== undefined && signers.length > 0,
    'spec.output.signingKeyRef': output?.signingKeyRef !== undefined,
  };
  const field = Object.entries(set).find(([, isSet]) => isSet)?.[0];
  if (field !== undefined) throw badSpec(`${field}: is not computed by this version; remove it`);
}
