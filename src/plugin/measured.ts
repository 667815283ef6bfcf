// Measured cells without loss by rounding: gates need more than the decimals that are shown.
import { countsRows, type TaskResult } from '../api/index.ts';

export const cellNames = ['fullZeroShot', 'emulatorZeroShot', 'emulatorFineTuned', 'plugIn'] as const;
export type CellName = (typeof cellNames)[number];

/** A cell's value for each. */
export type CellValues = Readonly<Record<CellName, number>>;

/** A task's result as it is kept. */
export interface MeasuredTask extends TaskResult {
  /** The cells' values as they were measured, where the rounded ones do not tell them. */
  exact?: Record<CellName, string>;
}

/** Below so many rows four decimals tell how many were right, where each is or is not. */
const countedBelow = 5000;

/** What a task's result must keep beside the rounded cells so that `valuesOf` finds the values again. */
export function exactOf(
  { metric, samples }: Pick<TaskResult, 'metric' | 'samples'>,
  values: CellValues,
): Pick<MeasuredTask, 'exact'> {
  if (countsRows(metric) && samples < countedBelow) return {};
  const { fullZeroShot, emulatorZeroShot, emulatorFineTuned, plugIn } = values;
  return {
    exact: {
      fullZeroShot: String(fullZeroShot),
      emulatorZeroShot: String(emulatorZeroShot),
      emulatorFineTuned: String(emulatorFineTuned),
      plugIn: String(plugIn),
    },
  };
}

/** The cells' values as they were measured; rounded ones only where an older version kept no others. */
export function valuesOf({ metric, samples, cells, exact }: MeasuredTask): CellValues {
  const value = (name: CellName) => {
    if (exact !== undefined) return Number(exact[name]);
    const rounded = Number(cells[name].value);
    return countsRows(metric) ? Math.round(rounded * samples) / samples : rounded;
  };
  return {
    fullZeroShot: value('fullZeroShot'),
    emulatorZeroShot: value('emulatorZeroShot'),
    emulatorFineTuned: value('emulatorFineTuned'),
    plugIn: value('plugIn'),
  };
}
