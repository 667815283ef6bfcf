/** What an image holds, as a bill of materials in CycloneDX's form: no time and no random number, so equal images have equal bills. */

export interface Component {
  readonly name: string;
  readonly version: string;
  readonly license?: string | undefined;
}

/** @param subject the image's own program */
export function billOf(subject: Component, components: readonly Component[]): object {
  const keyed = new Map(components.map((component) => [purlOf(component), component]));
  const sorted = [...keyed].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: { type: 'application', ...described(subject) } },
    components: sorted.map(([purl, component]) => ({
      type: 'library',
      'bom-ref': purl,
      ...described(component),
      purl,
    })),
  };
}

const described = ({ name, version, license }: Component) => ({
  name,
  version,
  // Not every package states one licence by its SPDX name; what it states is kept as it is.
  ...(license !== undefined && { licenses: [{ expression: license }] }),
});

const purlOf = ({ name, version }: Component) => `pkg:npm/${name.replace(/^@/, '%40')}@${version}`;
