// The report's data model: resources, their statuses, and what lies beside them or why it is missing.
import type {
  EmulatorBuild,
  EmulatorBuildStatus,
  OffsiteTune,
  OffsiteTuneStatus,
  PlugIn,
  PlugInStatus,
} from '../api/index.ts';
import type { Manifest } from '../artifact/index.ts';
import type { SimilarityRecord } from '../emulator/index.ts';
import type { AnalysisRecord } from '../plugin/index.ts';
import type { LossHistory } from '../tuning/index.ts';

/** Something that lies beside a resource, or why the page has to do without it. */
export type Found<T> = { readonly value: T } | { readonly absent: string };

export const known = <T>(found: Found<T>): T | undefined => ('value' in found ? found.value : undefined);

/** A resource with its status and the manifest of the artifact that it made. */
interface Entry<R, S> {
  readonly resource: R;
  readonly status: S;
  readonly manifest: Found<Manifest>;
}

export interface BuildEntry extends Entry<EmulatorBuild, EmulatorBuildStatus> {
  readonly similarity: Found<SimilarityRecord>;
}
export interface TuneEntry extends Entry<OffsiteTune, OffsiteTuneStatus> {
  readonly history: Found<LossHistory>;
}
export interface PlugInEntry extends Entry<PlugIn, PlugInStatus> {
  readonly analysis: Found<AnalysisRecord>;
}
export type AnyEntry = BuildEntry | TuneEntry | PlugInEntry;

/** All that one report is made of; equal records give equal pages. */
export interface ReportRecord {
  /** Where it was run, in words: a work dir's name, or a namespace. */
  readonly place: string;
  readonly builds: readonly BuildEntry[];
  readonly tunes: readonly TuneEntry[];
  readonly plugIns: readonly PlugInEntry[];
  /** Resources that could not be read, one line each. */
  readonly unreadable: readonly string[];
}

export const entriesOf = ({ builds, tunes, plugIns }: ReportRecord): AnyEntry[] => [
  ...builds,
  ...tunes,
  ...plugIns,
];

/** Names a resource's section in the page. */
export const anchorOf = ({ resource }: AnyEntry): string =>
  [
    resource.kind.toLowerCase(),
    ...(resource.metadata.namespace ? [resource.metadata.namespace] : []),
    resource.metadata.name,
  ].join('-');
