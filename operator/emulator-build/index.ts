export { decide, emulatorBuild as rules } from './decide.ts';
export { observe } from './observe.ts';
