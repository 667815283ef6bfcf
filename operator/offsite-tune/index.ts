export { decide, offsiteTune as rules } from './decide.ts';
export { observe } from './observe.ts';
