// Several adapters become one: the methods, pure, and how they go over what the parties changed.
export { Aggregating, type PartyFound, type PlaceFound } from './aggregating.ts';
export type { Changes, Method, Piece } from './changes.ts';
export { methodOf, passesOf } from './methods.ts';
export { type Truncated, truncate } from './truncate.ts';
