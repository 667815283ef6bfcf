import { type Observed, type ObserveOptions, observe as observeJobs } from '../jobs/index.ts';
import { offsiteTune } from './decide.ts';

export const observe = (key: string, options: ObserveOptions): Promise<Observed | undefined> =>
  observeJobs(offsiteTune, key, options);
