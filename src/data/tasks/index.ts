// The registry of the published question-answering sets.
import { arc } from './arc.ts';
import { hellaswag } from './hellaswag.ts';
import { openbookqa } from './openbookqa.ts';
import { piqa } from './piqa.ts';
import type { Task } from './question.ts';
import { race } from './race.ts';
import { sciq } from './sciq.ts';
import { webquestions } from './webquestions.ts';

export type { Question } from './question.ts';

/** The question-answering sets by the format's name. */
export const tasks = {
  openbookqa,
  arc,
  webquestions,
  piqa,
  sciq,
  race,
  hellaswag,
} satisfies Record<string, Task>;
export type TaskName = keyof typeof tasks;
