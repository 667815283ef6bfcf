export { tinyRows, writeRows, writeTinyData } from './data.ts';
export { familyManifests, writeFamilyProject, writeTinyFamily } from './family.ts';
export { type TinyModel, writeTinyModel } from './model.ts';
export {
  type Manifest,
  setField,
  type TinyManifests,
  tinyManifests,
  writeManifests,
  writeTinyProject,
} from './resources.ts';
export { partiesOf, type RoundsShape, tinyRounds, writeTinyRounds } from './rounds.ts';
export { idsOf } from './tokenizer.ts';
