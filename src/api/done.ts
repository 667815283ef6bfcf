// What is said of a resource whose stages are all done.
import { leftOutNote } from './aggregation.ts';
import type { Status } from './kinds/index.ts';
import type { PlugInStatus } from './kinds/plug-in.ts';

/**
 * The message of the condition Complete.
 * @param status with what was found
 * @param note what else there is to be said
 */
export function doneMessage(status: Status, note?: string): string {
  const { parties } = status as PlugInStatus;
  return ['every stage is done', note, leftOutNote(parties)].filter((part) => part !== undefined).join('; ');
}
