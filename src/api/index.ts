// The API: kinds, specs, statuses and errors, and what passes between operator and pods.
export { addressesAround, addressOf, hiddenWork, hiddenWorkOf, isShared } from './addresses.ts';
export {
  type Aggregate,
  type Aggregation,
  type AggregationMethod,
  aggregationMethods,
  type LayerVerdict,
  mostLayersInStatus,
  type PartyVerdict,
  partyName,
  partyVerdicts,
} from './aggregation.ts';
export type { Analysis } from './analysis.ts';
export { type AutoFound, wordsOfWay } from './auto.ts';
export * from './conditions.ts';
export * from './crds.ts';
export { doneMessage } from './done.ts';
export * from './entries.ts';
export * from './errors.ts';
export * from './hash.ts';
export type { Engine } from './job.ts';
export * from './json.ts';
export {
  type EmulatorBuildSpec,
  type EmulatorBuildStatus,
  type Way,
  wayOf,
} from './kinds/emulator-build.ts';
export * from './kinds/index.ts';
export { type ArtifactInput, type Input, inLists, inRole } from './kinds/inputs.ts';
export {
  Adapter,
  type OffsiteTuneSpec,
  type OffsiteTuneStatus,
  Training,
  usesOfRows,
} from './kinds/offsite-tune.ts';
export type { AnalysisSummary, PlugInSpec, PlugInStatus, TaskResult } from './kinds/plug-in.ts';
export { countsRows, type DataFormat, isJudged, type Metric, metricsOf } from './metrics.ts';
export { Objective } from './objective.ts';
export * from './parse.ts';
export {
  claimAt,
  environmentOf,
  fitsEnvironment,
  graceSecondsIn,
  graceWithin,
  handedOn,
  heardIn,
  httpsHostsIn,
  keyAt,
  mounted,
  natsFiles,
  podGraceSeconds,
  secretAt,
  variables,
  workerContainer,
} from './pod/environment.ts';
export {
  exitCodeOf,
  exitCodes,
  type FailureReason,
  failureReasons,
  finalExits,
  isFailure,
  mendable,
  reasonOfExit,
  stoppedExit,
} from './pod/exit-codes.ts';
export {
  type ArtifactReference,
  readPodJob,
  resourceIn,
  type Shard,
  shardOf,
  writePodJob,
} from './pod/job.ts';
export { readTermination, type Success, type Termination, writeTermination } from './pod/termination.ts';
export * from './printable.ts';
export { type Audit, type AuditStatus, hidesRows, type Privacy, type PrivacyStatus } from './privacy.ts';
export type { Problem } from './problems.ts';
export * from './quantity.ts';
export * from './resources.ts';
export type { Validation } from './rules.ts';
export { type Key, keyFiles, keysOf, type Signer } from './signing.ts';
export type { ArtifactSource, DataSource, Output, Source, TrainingData } from './sources.ts';
export type {
  Artifact,
  Cell,
  Condition,
  Estimate,
  Progress,
} from './status.ts';
export { isInStore, type StoreScheme, storeSchemes, stores } from './stores.ts';
export type { Structural } from './structural.ts';
