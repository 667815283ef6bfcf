import { type Observed, type ObserveOptions, observe as observeJobs } from '../jobs/index.ts';
import { plugIn } from './decide.ts';

export const observe = (key: string, options: ObserveOptions): Promise<Observed | undefined> =>
  observeJobs(plugIn, key, options);
