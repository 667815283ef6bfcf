// Options of the Kubernetes client, and of each kind of request.
import type { RuntimeMetrics } from '../metrics.ts';
import type { Transport } from './transport.ts';

export interface ClientOptions {
  metrics?: RuntimeMetrics;
  /** Of one request, retries not counted; 30 s. */
  timeoutMilliseconds?: number;
  /** How long "429 or 5xx, come back later" is heeded before the error is thrown; 20 s. */
  patienceMilliseconds?: number;
  /** Client-side limit of writes; none by default: the API server has priority and fairness. */
  writeLimit?: { perSecond: number; burst: number };
  /** Called before every write; throws when this replica must not write (see LeaderElection.assertLeading). */
  beforeWrite?: () => void;
  /** How requests travel; by default HTTP as the kubeconfig says. */
  transport?: Transport;
}

export interface RequestOptions {
  signal?: AbortSignal | undefined;
}

export interface CreateOptions extends RequestOptions {
  fieldManager?: string;
  /** Strict refuses fields that the API server does not know (BadRequest); by default it drops them. */
  fieldValidation?: 'Strict';
}

export interface ApplyOptions extends RequestOptions {
  /** The owner of the fields that the object states. */
  fieldManager: string;
  /** Takes fields over from other owners in place of a Conflict. */
  force?: boolean;
}

export interface ListOptions extends RequestOptions {
  /** Without it, all namespaces. */
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  /** Such as `regarding.uid=...` of events; each kind has its own few fields. */
  fieldSelector?: string | undefined;
  limit?: number;
  continue?: string | undefined;
}

export interface DeleteOptions extends RequestOptions {
  propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  preconditions?: { uid?: string; resourceVersion?: string };
}

export interface WatchOptions extends RequestOptions {
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  /** Events after this version; without it, the server's choice of start. */
  resourceVersion?: string | undefined;
  /** After this time the server ends the watch. */
  timeoutSeconds?: number;
  /** A watch that says nothing for this long counts as broken; bookmarks come about every minute. */
  silenceMilliseconds?: number;
}
