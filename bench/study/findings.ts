// The study's kept results: every run that was made, also the bad ones.
import { keptIn } from '../kept.ts';
import type { Attack } from './attacks.ts';
import type { Found } from './autos.ts';
import type { Finding } from './experiment.ts';
import type { Look } from './looks.ts';

export const findings = keptIn<Finding>(new URL('findings.json', import.meta.url));
export const attacksKept = keptIn<Attack>(new URL('attacks.json', import.meta.url));
export const autosKept = keptIn<Found>(new URL('autos.json', import.meta.url));
export const looksKept = keptIn<Look>(new URL('looks.json', import.meta.url));
