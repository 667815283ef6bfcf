import { type ObserveOptions, observe as observeJobs, type Situation } from '../jobs/index.ts';
import { plugIn } from './decide.ts';

export const observe = (key: string, options: ObserveOptions): Promise<Situation | undefined> =>
  observeJobs(plugIn, key, options);
