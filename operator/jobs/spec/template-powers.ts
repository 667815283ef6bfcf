/** Whether a resource's pod template asks for more than the installation allows. */
import { isDeepStrictEqual } from 'node:util';
import { type Problem, workerContainer } from '../../../src/api/index.ts';
import { isMapping, type Json } from '../json.ts';
import { containerRules, isSet, type Power, podRules, type Rule } from './powers.ts';
import { merge } from './template.ts';

const containerLists = ['containers', 'initContainers', 'ephemeralContainers'] as const;
const appArmorAnnotation = /^container\.apparmor\.security\.beta\.kubernetes\.io\//;

/** Of the pod as a whole, what reaches into every container of it. */
const podWide = [
  'securityContext',
  'shareProcessNamespace',
  'hostAliases',
  'dnsConfig',
  'dnsPolicy',
] as const;

interface Found {
  readonly power: Power;
  /** Empty where it is the template as a whole. */
  readonly field: string;
  readonly gives: string;
}

/** What a rule found. */
interface Match extends Found {
  /** Where and what it is, whatever stands before it in its lists. */
  readonly identity: string;
}

/**
 * What a resource's template asks for and the installation does not allow, by field.
 * @param installed the installation's own template: it may ask for anything, but what it has of the node is not passed on
 */
export function powerProblems(template: unknown, installed: Json, allowed: readonly Power[]): Problem[] {
  if (!isMapping(template)) return [];
  const isForbidden = ({ power }: Found) => !allowed.includes(power);
  const said = [...asked(template), ...passedOn(template, installed)].filter(isForbidden);
  // What is said is told by its field; what comes of it is looked at all the same.
  const found = said.length > 0 ? said : gained(merge(installed, template), installed).filter(isForbidden);
  return found.map(({ power, field, gives }) => ({
    field: field === '' ? 'spec.template' : `spec.template.${field}`,
    reason: `gives the pod ${gives}; leave it out, or ask for the chart's worker.allowInTemplates.${power}`,
  }));
}

/** What the merged template has of powers that the installation's has not. */
function gained(merged: Json, installed: Json): Found[] {
  const had = new Set(asked(merge({}, installed)).map(({ identity }) => identity));
  return asked(merged)
    .filter(({ identity }) => !had.has(identity))
    .map(({ power, gives, field }) => ({ power, field: '', gives: `${gives} (as its ${field})` }));
}

function asked(template: Json): Match[] {
  const spec = mappingAt(template, 'spec');
  return [
    ...podRules.flatMap((rule) => matches(rule, spec, 'spec')),
    ...containersOf(spec).flatMap(({ container, field, place, isWorker }) =>
      containerRules
        .filter(({ isOursInWorker = false }) => !(isWorker && isOursInWorker))
        .flatMap((rule) => matches(rule, container, field, place)),
    ),
    ...Object.entries(mappingAt(mappingAt(template, 'metadata'), 'annotations')).flatMap(([name, value]) =>
      appArmorAnnotation.test(name) && value === 'unconfined'
        ? [
            {
              power: 'privileges' as const,
              field: `metadata.annotations[${name}]`,
              identity: name,
              gives: 'no AppArmor',
            },
          ]
        : [],
    ),
  ];
}

/** Another image in a container of the installation's that has such rights, or a mount of such a volume, would have them too. */
function passedOn(template: Json, installed: Json): Found[] {
  const itsSpec = mappingAt(installed, 'spec');
  const powerOf = (rules: readonly Rule[], value: Json) =>
    rules.flatMap((rule) => matches(rule, value, ''))[0]?.power;
  const volumes = new Map<unknown, Power>();
  for (const volume of listAt(itsSpec, 'volumes')) {
    const power = powerOf(podRules, { volumes: [volume] });
    if (power !== undefined) volumes.set(mappingOf(volume)['name'], power);
  }
  for (const volume of listAt(mappingAt(template, 'spec'), 'volumes'))
    volumes.delete(mappingOf(volume)['name']);
  const powerOfMounts = (container: Json) =>
    listAt(container, 'volumeMounts').flatMap((mount) => volumes.get(mappingOf(mount)['name']) ?? [])[0];
  const containers = new Map<unknown, Power>();
  const mounted = new Map<unknown, { readonly power: Power; readonly by: unknown }>();
  for (const { container, isWorker } of containersOf(itsSpec)) {
    const power = powerOf(containerRules, container) ?? powerOfMounts(container);
    if (power === undefined || isWorker) continue;
    containers.set(container['name'], power);
    for (const mount of listAt(container, 'volumeMounts'))
      mounted.set(mappingOf(mount)['name'], { power, by: container['name'] });
  }
  return [
    ...containersChanged(template, containers, volumes),
    ...volumesChanged(template, mounted),
    ...podChanged(template, installed, containers),
  ];
}

/** Such a container runs what it finds in its volumes, whatever these are. */
function volumesChanged(
  template: Json,
  mounted: ReadonlyMap<unknown, { readonly power: Power; readonly by: unknown }>,
): Found[] {
  return listAt(mappingAt(template, 'spec'), 'volumes').flatMap((volume, i): Found[] => {
    const { name } = mappingOf(volume);
    const found = mounted.get(name);
    if (found === undefined) return [];
    const gives = `another volume ${name} for container ${found.by} of the installation's template`;
    return [{ power: found.power, field: `spec.volumes[${i}]`, gives }];
  });
}

/** Another user, the sight of its processes and files, or other hosts under the names that it asks. */
function podChanged(template: Json, installed: Json, containers: ReadonlyMap<unknown, Power>): Found[] {
  const [first] = containers;
  if (first === undefined) return [];
  const [name, power] = first;
  const merged = mappingAt(merge(installed, template), 'spec');
  const before = mappingAt(merge({}, installed), 'spec');
  return podWide
    .filter((field) => !isDeepStrictEqual(merged[field], before[field]))
    .map((field) => ({
      power,
      field: `spec.${field}`,
      gives: `what container ${name} of the installation's template would have, too`,
    }));
}

function containersChanged(
  template: Json,
  containers: ReadonlyMap<unknown, Power>,
  volumes: ReadonlyMap<unknown, Power>,
): Found[] {
  return containersOf(mappingAt(template, 'spec')).flatMap(({ container, field }): Found[] => {
    const power = containers.get(container['name']);
    const mounts = listAt(container, 'volumeMounts').flatMap((mount, i): Found[] => {
      const { name } = mappingOf(mount);
      const power = volumes.get(name);
      return power === undefined
        ? []
        : [
            {
              power,
              field: `${field}.volumeMounts[${i}]`,
              gives: `volume ${name} of the installation's template`,
            },
          ];
    });
    return power === undefined
      ? mounts
      : [{ power, field, gives: `container ${container['name']} of the installation's template` }, ...mounts];
  });
}

const containersOf = (spec: Json) =>
  containerLists.flatMap((list) =>
    listAt(spec, list).flatMap((entry, i) =>
      isMapping(entry)
        ? [
            {
              container: entry,
              field: `spec.${list}[${i}]`,
              place: `spec.${list}[${placeOf(entry, i)}]`,
              isWorker: list === 'containers' && entry['name'] === workerContainer,
            },
          ]
        : [],
    ),
  );

/** Every field that the rule names and whose value gives what it guards. */
function matches(
  { power, at, gives, when = isSet }: Rule,
  below: Json,
  field: string,
  place = field,
): Match[] {
  return valuesAt(below, at.split(/\.|(?=\[\])/), field, place)
    .filter(({ value }) => when(value))
    .map(({ field, place, value }) => ({
      power,
      field,
      identity: `${place}=${JSON.stringify(value)}`,
      gives,
    }));
}

interface Value {
  readonly field: string;
  readonly place: string;
  readonly value: unknown;
}

function valuesAt(value: unknown, [step, ...rest]: readonly string[], field: string, place: string): Value[] {
  if (step === undefined) return [{ field, place, value }];
  if (step === '[]')
    return Array.isArray(value)
      ? value.flatMap((entry: unknown, i) =>
          valuesAt(entry, rest, `${field}[${i}]`, `${place}[${placeOf(entry, i)}]`),
        )
      : [];
  return isMapping(value) && Object.hasOwn(value, step)
    ? valuesAt(value[step], rest, field === '' ? step : `${field}.${step}`, `${place}.${step}`)
    : [];
}

/** By its name, where it has one: other entries may come before it. */
const placeOf = (entry: unknown, i: number): string => {
  const name = isMapping(entry) ? entry['name'] : entry;
  return typeof name === 'string' ? JSON.stringify(name) : String(i);
};

const mappingOf = (value: unknown): Json => (isMapping(value) ? value : {});
const mappingAt = (mapping: Json, name: string): Json => mappingOf(mapping[name]);
const listAt = (mapping: Json, name: string): unknown[] => {
  const value = mapping[name];
  return Array.isArray(value) ? value : [];
};
