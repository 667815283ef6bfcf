// The study's kept results: every run that was made, also the bad ones.
import { keptIn } from '../kept.ts';
import type { Finding } from './experiment.ts';

export const findings = keptIn<Finding>(new URL('findings.json', import.meta.url));
