/** What an API server writes down of every request of one user: what was asked, and by which binding it was permitted. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';

export interface Audited {
  readonly verb: string;
  /** As roles name it: `jobs`, `plugins/status`. */
  readonly resource: string;
  readonly group: string;
  /** Absent where all namespaces were asked for. */
  readonly namespace?: string;
  readonly name?: string;
  readonly code: number;
  /** In the API server's words. */
  readonly reason: string;
}

export class Audit {
  readonly flags: readonly string[];
  readonly #log: string;
  #from = 0;

  /** @param user whose requests are written down */
  constructor(directory: string, user: string) {
    const policy = join(directory, 'audit.yaml');
    this.#log = join(directory, 'audit.log');
    const rules = [{ level: 'Metadata', users: [user] }, { level: 'None' }];
    const header = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'] };
    writeFileSync(policy, stringify({ ...header, rules }));
    this.flags = [`--audit-policy-file=${policy}`, `--audit-log-path=${this.#log}`];
  }

  /** What was asked for so far is forgotten. */
  startAnew(): void {
    this.#from = this.#lines().length;
  }

  /** The requests since then that were about objects. */
  requests(): Audited[] {
    return this.#lines()
      .slice(this.#from)
      .map((line) => JSON.parse(line) as Line)
      .flatMap(({ verb, objectRef, responseStatus, annotations }) => {
        if (objectRef === undefined) return [];
        const { resource, subresource, apiGroup = '', namespace, name } = objectRef;
        return {
          ...{ verb, resource: subresource ? `${resource}/${subresource}` : resource, group: apiGroup },
          ...(namespace !== undefined && { namespace }),
          ...(name !== undefined && { name }),
          ...{ code: responseStatus?.code ?? 0, reason: annotations?.['authorization.k8s.io/reason'] ?? '' },
        };
      });
  }

  /** Whole ones. */
  #lines(): string[] {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8').split('\n').slice(0, -1) : [];
  }
}

interface Line {
  verb: string;
  objectRef?: {
    resource: string;
    subresource?: string;
    apiGroup?: string;
    namespace?: string;
    name?: string;
  };
  responseStatus?: { code?: number };
  annotations?: Record<string, string>;
}
