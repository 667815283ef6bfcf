/** Whether a resource's pod template asks for more than the installation allows. */
import type { Problem } from '../../src/api/index.ts';
import { workerContainer } from './objects.ts';
import { containerRules, isSet, type Power, podRules, type Rule } from './powers.ts';
import { isMapping, type Json } from './template.ts';

const containerLists = ['containers', 'initContainers', 'ephemeralContainers'] as const;
const appArmorAnnotation = /^container\.apparmor\.security\.beta\.kubernetes\.io\//;

interface Found {
  readonly power: Power;
  readonly field: string;
  readonly gives: string;
}

/**
 * What a resource's template asks for and the installation does not allow, by field.
 * @param installed the installation's own template: it may ask for anything, but what it has of the node is not passed on
 */
export function powerProblems(template: unknown, installed: Json, allowed: readonly Power[]): Problem[] {
  if (!isMapping(template)) return [];
  return [...asked(template), ...passedOn(template, installed)]
    .filter(({ power }) => !allowed.includes(power))
    .map(({ power, field, gives }) => ({
      field: `spec.template.${field}`,
      reason: `gives the pod ${gives}; leave it out, or ask for the chart's worker.allowInTemplates.${power}`,
    }));
}

function asked(template: Json): Found[] {
  const spec = mappingAt(template, 'spec');
  return [
    ...podRules.flatMap((rule) => matches(rule, spec, 'spec')),
    ...containersOf(spec).flatMap(({ container, field, isWorker }) =>
      containerRules
        .filter(({ isOursInWorker = false }) => !(isWorker && isOursInWorker))
        .flatMap((rule) => matches(rule, container, field)),
    ),
    ...Object.entries(mappingAt(mappingAt(template, 'metadata'), 'annotations')).flatMap(([name, value]) =>
      appArmorAnnotation.test(name) && value === 'unconfined'
        ? [{ power: 'privileges' as const, field: `metadata.annotations[${name}]`, gives: 'no AppArmor' }]
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
  for (const { container, isWorker } of containersOf(itsSpec)) {
    const power = powerOf(containerRules, container) ?? powerOfMounts(container);
    if (power !== undefined && !isWorker) containers.set(container['name'], power);
  }
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
              isWorker: list === 'containers' && entry['name'] === workerContainer,
            },
          ]
        : [],
    ),
  );

/** Every field that the rule names and whose value gives what it guards. */
function matches({ power, at, gives, when = isSet }: Rule, below: Json, field: string): Found[] {
  return valuesAt(below, at.split(/\.|(?=\[\])/), field)
    .filter(({ value }) => when(value))
    .map((found) => ({ power, field: found.field, gives }));
}

function valuesAt(
  value: unknown,
  [step, ...rest]: readonly string[],
  field: string,
): { field: string; value: unknown }[] {
  if (step === undefined) return [{ field, value }];
  if (step === '[]')
    return Array.isArray(value) ? value.flatMap((entry, i) => valuesAt(entry, rest, `${field}[${i}]`)) : [];
  return isMapping(value) && Object.hasOwn(value, step)
    ? valuesAt(value[step], rest, field === '' ? step : `${field}.${step}`)
    : [];
}

const mappingOf = (value: unknown): Json => (isMapping(value) ? value : {});
const mappingAt = (mapping: Json, name: string): Json => mappingOf(mapping[name]);
const listAt = (mapping: Json, name: string): unknown[] => {
  const value = mapping[name];
  return Array.isArray(value) ? value : [];
};
