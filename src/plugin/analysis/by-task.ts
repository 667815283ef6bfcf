// An analysis record read by task, as numbers for plots and summaries.
import type { AnalysisRecord } from './record.ts';

/** A place on the line, or a layer: a task's loss in nats there, and its metric. */
export interface Measured {
  readonly at: number;
  readonly loss: number;
  readonly value: number;
}

/** What a record says of one of its tasks; what could not be scored is left out. */
export interface TaskFigures {
  readonly plugIn: Measured | undefined;
  readonly line: readonly Measured[];
  readonly deleted: readonly Measured[];
  readonly rewound: readonly Measured[];
}

/** @param i of the task among the record's */
export function figuresOf(record: AnalysisRecord, i: number): TaskFigures {
  const measured = (at: number, figures: AnalysisRecord['plugIn']): Measured[] =>
    figures[i] ? [{ at, loss: Number(figures[i].loss), value: Number(figures[i].value) }] : [];
  const layers = (list: AnalysisRecord['deleted'] = []) =>
    list.flatMap(({ layer, figures }) => measured(layer, figures));
  return {
    plugIn: measured(record.coefficient, record.plugIn)[0],
    line: (record.interpolation ?? []).flatMap((point) => measured(point.coefficient, point.figures)),
    deleted: layers(record.deleted),
    rewound: layers(record.rewound),
  };
}
