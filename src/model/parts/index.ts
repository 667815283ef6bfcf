// The parts that model families are built of: layers, attention, inputs, slots and configuration.
export { type Activation, activate, activationField } from './activation.ts';
export { alibiSide } from './alibi.ts';
export { attention, type Heads, headsOf } from './attention.ts';
export { commonFields, parseConfig } from './config.ts';
export { headParts, layerNorm, linear, parts, perHead, softCap, transposed } from './layers.ts';
export { outerName } from './names.ts';
export { maskSide, rotarySides } from './sides.ts';
export { headSlot, type Inputs, linearSlots, normSlots, transposedSlots } from './slots.ts';
export { type WindowKind, windowFields, windowKinds } from './windows.ts';
