// The parts that model families are built of: layers, attention, inputs, slots and configuration.
export { type Activation, activate, activationField } from './activation.ts';
export { alibiPlaces, alibiSide, alibiSlopes } from './alibi.ts';
export { attention, headsOf, takesTiles } from './attention.ts';
export { commonFields, guardedFields, noSuchBias, parseConfig } from './config.ts';
export { channel, gives, headRuns, takes } from './cuts.ts';
export { headParts, layerNorm, linear, parts, perHead, softCap, transposed } from './layers.ts';
export { outerName } from './names.ts';
export { maskSide, rotarySides } from './sides.ts';
export { headSlot, type Inputs, inputsOf, linearSlots, normSlots, transposedSlots } from './slots.ts';
export { type WindowKind, windowFields, windowKinds } from './windows.ts';
