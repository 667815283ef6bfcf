// The command that prints what an API server needs to know the kinds.
import { stringify } from 'yaml';
import { crds } from '../api/index.ts';

/** `offsite crds`: the three CustomResourceDefinitions as YAML documents, or as one JSON list. */
export function printCrds({ json }: { json?: boolean }): void {
  const definitions = crds();
  if (json) console.log(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: definitions }, null, 2));
  else console.log(definitions.map((definition) => stringify(definition)).join('---\n'));
}
