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

/** By name, all powers of a container or volume: each that is not allowed is a reason of its own. */
type PowersByName = ReadonlyMap<unknown, ReadonlySet<Power>>;
/** By power, the name of the first container that has it. */
type Holders = Map<Power, unknown>;

/**
 * Another image in a container of the installation's that has such rights, or a mount of such a volume, would have them too;
 * and without the container nothing does what it is there for.
 */
function passedOn(template: Json, installed: Json): Found[] {
  const itsSpec = mappingAt(installed, 'spec');
  const powersOf = (rules: readonly Rule[], value: Json) =>
    rules.flatMap((rule) => matches(rule, value, '')).map(({ power }) => power);
  const volumes = new Map<unknown, Set<Power>>();
  for (const volume of listAt(itsSpec, 'volumes')) {
    const powers = powersOf(podRules, { volumes: [volume] });
    if (powers.length > 0) volumes.set(mappingOf(volume)['name'], new Set(powers));
  }
  for (const volume of listAt(mappingAt(template, 'spec'), 'volumes'))
    volumes.delete(mappingOf(volume)['name']);
  const containers = new Map<unknown, Set<Power>>();
  const mounted = new Map<unknown, Holders>();
  const holders: Holders = new Map();
  for (const { container, isWorker } of containersOf(itsSpec)) {
    if (isWorker) continue;
    const { name } = container;
    const mounts = [...listAt(container, 'volumeMounts'), ...listAt(container, 'volumeDevices')].map(
      (mount) => mappingOf(mount)['name'],
    );
    const ofMounts = mounts.flatMap((volume) => [...(volumes.get(volume) ?? [])]);
    const powers = new Set([...powersOf(containerRules, container), ...ofMounts]);
    if (powers.size > 0) containers.set(name, powers);
    addHolder(holders, powers, name);
    for (const volume of mounts) {
      const ofVolume = mounted.get(volume) ?? new Map();
      mounted.set(volume, addHolder(ofVolume, powers, name));
    }
  }
  return [
    ...containersTakenAway(template, itsSpec, containers),
    ...containersChanged(template, containers, volumes),
    ...volumesChanged(template, mounted),
    ...podChanged(template, installed, holders),
  ];
}

function addHolder(holders: Holders, powers: ReadonlySet<Power>, container: unknown): Holders {
  for (const power of powers) if (!holders.has(power)) holders.set(power, container);
  return holders;
}

/** A null takes a whole list away. */
function containersTakenAway(template: Json, itsSpec: Json, containers: PowersByName): Found[] {
  const spec = mappingAt(template, 'spec');
  return containerLists
    .filter((list) => spec[list] === null)
    .flatMap((list) =>
      listAt(itsSpec, list).flatMap((entry) => {
        const { name } = mappingOf(entry);
        const gives = `no container ${name} of the installation's template`;
        return [...(containers.get(name) ?? [])].map((power) => ({ power, field: `spec.${list}`, gives }));
      }),
    );
}

/** Such a container runs what it finds in its volumes, whatever these are. */
function volumesChanged(template: Json, mounted: ReadonlyMap<unknown, Holders>): Found[] {
  return listAt(mappingAt(template, 'spec'), 'volumes').flatMap((volume, i): Found[] => {
    const { name } = mappingOf(volume);
    return [...(mounted.get(name) ?? [])].map(([power, by]) => ({
      power,
      field: `spec.volumes[${i}]`,
      gives: `another volume ${name} for container ${by} of the installation's template`,
    }));
  });
}

/** Another user, the sight of its processes and files, or other hosts under the names that it asks. */
function podChanged(template: Json, installed: Json, holders: Holders): Found[] {
  if (holders.size === 0) return [];
  const merged = mappingAt(merge(installed, template), 'spec');
  const before = mappingAt(merge({}, installed), 'spec');
  return podWide
    .filter((field) => !isDeepStrictEqual(merged[field], before[field]))
    .flatMap((field) =>
      [...holders].map(([power, name]) => ({
        power,
        field: `spec.${field}`,
        gives: `what container ${name} of the installation's template would have, too`,
      })),
    );
}

function containersChanged(template: Json, containers: PowersByName, volumes: PowersByName): Found[] {
  return containersOf(mappingAt(template, 'spec')).flatMap(({ container, field }): Found[] => {
    const { name } = container;
    const changed = [...(containers.get(name) ?? [])].map((power) => ({
      power,
      field,
      gives: `container ${name} of the installation's template`,
    }));
    const mounts = listAt(container, 'volumeMounts').flatMap((mount, i): Found[] => {
      const volume = mappingOf(mount)['name'];
      return [...(volumes.get(volume) ?? [])].map((power) => ({
        power,
        field: `${field}.volumeMounts[${i}]`,
        gives: `volume ${volume} of the installation's template`,
      }));
    });
    return [...changed, ...mounts];
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
