export { costOf, millionsOf } from './inflated.ts';
export { badNames, badPairs } from './names.ts';
export {
  type Answer,
  artifactOf,
  bucketOf,
  HostileServer,
  json,
  type Offered,
  objectOf,
  repositoryOf,
  xml,
} from './servers.ts';
