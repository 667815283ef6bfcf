// The report's appendix: each resource's artifact, conditions, digests and settings.
import { bytes, moment } from '../figures.ts';
import { type Html, html } from '../html.ts';
import { phaseChip, table } from '../parts.ts';
import { type AnyEntry, entriesOf, known, type ReportRecord } from '../record.ts';

/** For the record: every resource's artifact, conditions, what it was made from, and its settings. */
export function recordSection(record: ReportRecord): Html {
  const entries = entriesOf(record);
  return html`<section id="record" aria-labelledby="record-h">
<h2 id="record-h">For the record</h2>
${artifacts(entries)}
${conditions(entries)}
${entries.map(details)}
</section>`;
}

const nameOf = ({ resource }: AnyEntry) => `${resource.kind} ${resource.metadata.name}`;

function artifacts(entries: readonly AnyEntry[]): Html {
  return table({
    caption: 'Resources and what they made',
    columns: [
      { title: 'resource' },
      { title: 'phase' },
      { title: 'size', number: true },
      { title: 'digest', message: true },
      { title: 'address', message: true },
    ],
    rows: entries.map((entry) => {
      const { artifact } = entry.status;
      return [
        nameOf(entry),
        phaseChip(entry.status),
        artifact && bytes(artifact.sizeBytes),
        artifact && html`<code>${artifact.digest}</code>`,
        artifact && html`<code>${artifact.uri}</code>`,
      ];
    }),
  });
}

function conditions(entries: readonly AnyEntry[]): Html {
  const rows = entries.flatMap((entry) =>
    (entry.status.conditions ?? []).map(({ type, status, reason, message, lastTransitionTime }) => [
      nameOf(entry),
      `${type}: ${status}`,
      reason,
      message,
      html`<time datetime="${lastTransitionTime}">${moment(lastTransitionTime)}</time>`,
    ]),
  );
  return rows.length === 0
    ? html`<p>No resource has a condition yet.</p>`
    : table({
        caption: 'Conditions',
        columns: [
          { title: 'resource' },
          { title: 'condition' },
          { title: 'reason' },
          { title: 'message', message: true },
          { title: 'since' },
        ],
        rows,
      });
}

function details(entry: AnyEntry): Html {
  const name = nameOf(entry);
  const manifest = known(entry.manifest);
  const { startTime, completionTime } = entry.status;
  return html`<details><summary>${name}: settings and digests</summary>
${startTime && html`<p class="soft">From <time datetime="${startTime}">${moment(startTime)}</time>${completionTime && html` to <time datetime="${completionTime}">${moment(completionTime)}</time>`}.</p>`}
${
  manifest
    ? [
        table({
          caption: `${name}: made from`,
          columns: [{ title: 'what' }, { title: 'digest' }],
          rows: Object.entries(manifest.madeFrom).map(([what, digest]) => [
            what,
            html`<code>${digest}</code>`,
          ]),
        }),
        table({
          caption: `${name}: files of the artifact`,
          columns: [{ title: 'file' }, { title: 'size', number: true }, { title: 'sha256' }],
          rows: manifest.files.map(({ path, sizeBytes, sha256 }) => [
            path,
            bytes(sizeBytes),
            html`<code>${sha256}</code>`,
          ]),
        }),
      ]
    : html`<p class="soft">The artifact's manifest is not shown: ${'absent' in entry.manifest ? entry.manifest.absent : ''}.</p>`
}
${table({
  caption: `${name}: settings, with defaults`,
  columns: [{ title: 'field' }, { title: 'value', message: true }],
  rows: settingsOf(entry.resource.spec).map(([field, value]) => [html`<code>${field}</code>`, value]),
})}</details>
`;
}

/** What says how a pod runs, and may hold what is not for readers. */
const left: ReadonlySet<string> = new Set(['template', 'suspend']);

/** Every field of a spec by its path, as text. */
function settingsOf(value: object, path = 'spec'): [field: string, value: string][] {
  return Object.entries(value).flatMap(([name, member]): [string, string][] => {
    if (member === undefined || (path === 'spec' && left.has(name))) return [];
    const field = Array.isArray(value) ? `${path}[${name}]` : `${path}.${name}`;
    if (Array.isArray(member) && member.every((item) => typeof item !== 'object'))
      return [[field, member.join(', ')]];
    if (typeof member === 'object' && member !== null) return settingsOf(member, field);
    return [[field, String(member)]];
  });
}
