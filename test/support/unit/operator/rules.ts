import { type Decision, decide, type JobSettings, type Situation } from '../../../../operator/jobs/index.ts';
import { rulesFor } from '../../../../operator/kinds.ts';
import type { Kind } from '../../../../src/api/index.ts';

/** What the operator decides on a resource of this kind. */
export const decideOn = (kind: Kind, situation: Situation, settings: JobSettings, now: Date): Decision =>
  decide(rulesFor(kind), situation, settings, now);
