import { type ObserveOptions, observe as observeJobs, type Situation } from '../jobs/index.ts';
import { offsiteTune } from './decide.ts';

export const observe = (key: string, options: ObserveOptions): Promise<Situation | undefined> =>
  observeJobs(offsiteTune, key, options);
