/** What it means that the API server refuses a Job: whether the same Job can ever be taken, and whose fault it is. */
import { workerContainer } from '../../../src/api/index.ts';
import { ApiError, type KubeObject } from '../../runtime/index.ts';
import { isMapping, type Json } from '../json.ts';
import { joined, mergeKeys } from '../spec/template.ts';

/** Quota, admission, rights, a namespace that is ending, or a Job that is wrong: not a fault of the moment. Or a webhook that is away. */
export const isRefusal = (error: unknown): error is ApiError =>
  error instanceof ApiError &&
  ([400, 403, 413, 422].includes(error.status) ||
    (error.status === 500 && error.message.includes('failed calling webhook')));

/** The API server's words without our request; where it names fields of the pod template, only those. */
export function refusalText(error: ApiError): string {
  const fields = (error.details?.causes ?? []).flatMap(({ field, message: why }) =>
    field?.startsWith('spec.template') ? [`${field}: ${why}`] : [],
  );
  return fields.length > 0 ? fields.join('; ') : error.message.replace(/^create \S+ [^:]*: /, '');
}

/**
 * Whether the resource's own template is what is wrong: the API server names fields, and each is one that the resource
 * sets, or forgot in an entry of its own. All else (a policy's word, a webhook's, what the installation's template or the
 * operator itself set) may be another tomorrow.
 */
export function isOwnTemplatesFault(error: ApiError, job: KubeObject, object: KubeObject): boolean {
  const fields = fieldsOf(error);
  const whole = templateOf(job);
  const own = templateOf(object);
  return fields.length > 0 && fields.every((field) => isSetBy(own, whole, partsOf(field)));
}

/** Of a longer answer, more fields or a longer name it is not asked whose fault they are: fields may be anybody's words. */
const longestMessage = 16_384;
const mostFields = 100;
const longestField = 1024;

/** Those that the answer names; an unnamed cause counts as a field that is nobody's. None where they are past all bounds. */
function fieldsOf(error: ApiError): string[] {
  const fields = namedFields(error);
  return fields.length > mostFields || fields.some(({ length }) => length > longestField) ? [] : fields;
}

function namedFields({ status, message, details }: ApiError): string[] {
  if (status === 422) return (details?.causes ?? []).map(({ field = '' }) => field);
  if (message.length > longestMessage) return [];
  // What it cannot read it names in its message alone; no policy has seen the Job then.
  if (/: strict decoding error: /.test(message))
    return [...message.matchAll(/(?:unknown|duplicate) field "([^"]+)"/g)].map(([, field]) => field!);
  const [, field] =
    /cannot be handled as a Job: .* into Go struct field [A-Za-z]+\.(\S+) of type/.exec(message) ?? [];
  return field === undefined ? [] : [field];
}

/** `spec.template.spec.containers[0].env` -> spec, template, spec, containers, 0, env. */
const partsOf = (field: string): string[] =>
  [...field.matchAll(/\[([^[\]]*)\]|([^.[\]]+)/g)].map(([, inBrackets, name]) => inBrackets ?? name!);

const templateOf = ({ spec }: KubeObject): unknown => (isMapping(spec) ? spec['template'] : undefined);

function isSetBy(own: unknown, whole: unknown, [spec, template, ...path]: readonly string[]): boolean {
  if (spec !== 'spec' || template !== 'template' || path.length === 0) return false;
  // The API server's checks leave metadata out.
  const inMetadata = path[0] === 'labels' || path[0] === 'annotations';
  return reaches(own, whole, inMetadata ? ['metadata', ...path] : path, {
    list: 'template',
    isOwnEntry: false,
  });
}

interface Passed {
  /** The field's name of the list that the path is in. */
  readonly list: string;
  /** Whether it went through an entry that is no part of ours, and so must be whole by itself. */
  readonly isOwnEntry: boolean;
}

/** Whether `own` has what the path names in `whole`, or an entry of its own in which that is missing. */
function reaches(own: unknown, whole: unknown, [part, ...rest]: readonly string[], passed: Passed): boolean {
  if (own === undefined) return false;
  // A value of its own, whatever of it the path names.
  if (part === undefined || !isStructure(own)) return true;
  const inWhole = ownField(whole, part);
  if (Array.isArray(own)) {
    // Where values are of a wrong type, entries are not told apart.
    if (!/^\d+$/.test(part))
      return own.some((entry) =>
        reaches(entry, undefined, [part, ...rest], { ...passed, isOwnEntry: false }),
      );
    const entry = own[placeIn(own, Array.isArray(whole) ? whole : [], Number(part), passed.list)];
    const isOwnEntry = !(isMapping(entry) && entry['name'] === workerContainer);
    return reaches(entry, inWhole, rest, { ...passed, isOwnEntry });
  }
  if (inWhole === undefined && rest.length === 0 && passed.isOwnEntry) return true;
  return reaches(ownField(own, part), inWhole, rest, { ...passed, list: part });
}

/** Where an entry of the merged list stands in the own one; -1 where it does not. */
function placeIn(own: readonly unknown[], whole: readonly unknown[], at: number, list: string): number {
  if (joined.has(list)) return at - (whole.length - own.length);
  const key = mergeKeys.get(list);
  if (key === undefined) return at;
  const nameOf = (entry: unknown) => (isMapping(entry) ? entry[key] : undefined);
  return own.findIndex((entry) => nameOf(entry) !== undefined && nameOf(entry) === nameOf(whole[at]));
}

/** Never what every object has, such as `constructor`. */
const ownField = (value: unknown, name: string): unknown =>
  isStructure(value) && Object.hasOwn(value as Json, name) ? (value as Json)[name] : undefined;

const isStructure = (value: unknown): boolean => typeof value === 'object' && value !== null;
