export { badNames, badPairs } from './names.ts';
