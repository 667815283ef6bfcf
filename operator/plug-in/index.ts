export { decide, plugIn as rules } from './decide.ts';
export { observe } from './observe.ts';
