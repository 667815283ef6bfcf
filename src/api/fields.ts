// Schemas of single fields that specs share: names, numbers, digests, quantities and URIs.
import { z } from 'zod';
import { withClusterRule, withRules } from './rules.ts';
import { storeSchemes, writableSchemes } from './stores.ts';

/** A string of at most `longest` characters that matches; `right` says what to write instead. */
export function matching(pattern: RegExp, longest: number, right: string) {
  return withRules(z.string().max(longest), {
    holds: (value) => typeof value !== 'string' || pattern.test(value),
    cel: `self.matches(${celString(pattern)})`,
    message: right,
  });
}

export const integer = (least: number, most: number) => z.int().min(least).max(most);

const decimalPattern = /^[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$/;

interface Bounds {
  readonly above?: number;
  readonly below?: number;
  readonly atMost?: number;
}

/**
 * A number with a fraction: a string in YAML, as the Kubernetes API conventions ask. Never negative.
 * @param word that may stand in its place
 */
export function decimal(bounds: Bounds, example: string, word?: string) {
  const { above = -1, below = Number.POSITIVE_INFINITY, atMost = Number.POSITIVE_INFINITY } = bounds;
  const limits = [
    bounds.above === undefined ? undefined : ['above', '>', bounds.above],
    bounds.below === undefined ? undefined : ['below', '<', bounds.below],
    bounds.atMost === undefined ? undefined : ['at most', '<=', bounds.atMost],
  ].filter((limit) => limit !== undefined);
  const words = [
    ...(bounds.above === undefined ? ['0 or more'] : []),
    ...limits.map(([word, , bound]) => `${word} ${bound}`),
  ].join(' and ');
  return withRules(z.string().max(32), {
    holds: (value) => {
      const number = Number(value);
      const right = decimalPattern.test(value) && number > above && number < below && number <= atMost;
      return typeof value !== 'string' || value === word || right;
    },
    cel: `${word === undefined ? '' : `self == '${word}' || `}${[
      `self.matches(${celString(decimalPattern)})`,
      ...limits.map(([, operator, bound]) => `double(self) ${operator} double(${bound})`),
    ].join(' && ')}`,
    message: `must be a number ${words}, in quotes, such as "${example}"${word === undefined ? '' : `, or "${word}"`}`,
  });
}

/** A JSON value whose numbers that are written as strings, as above, are numbers. */
export function inOneSpelling(value: unknown): unknown {
  if (typeof value === 'string') return decimalPattern.test(value) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(inOneSpelling);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inOneSpelling(item)]));
}

/** A number with a fraction between two bounds, which may be negative: a string in YAML. */
export function decimalBetween(least: number, most: number, example: string) {
  const pattern = /^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$/;
  return withRules(z.string().max(32), {
    holds: (value) => {
      const number = Number(value);
      return typeof value !== 'string' || (pattern.test(value) && number >= least && number <= most);
    },
    cel: `self.matches(${celString(pattern)}) && double(self) >= double(${least}) && double(self) <= double(${most})`,
    message: `must be a number from ${least} to ${most}, in quotes, such as "${example}"`,
  });
}

const namePattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const nameRight = 'must be lower-case letters, digits and "-", at most 40 characters, no "-" at the ends';

/** The name of one of our resources: a DNS label, short enough for Job names and usable as a NATS token. */
export const resourceName = matching(namePattern, 40, nameRight);

/** A namespace: a DNS label, which is also safe as a part of a path. */
export const namespaceName = matching(
  namePattern,
  63,
  'must be lower-case letters, digits and "-", at most 63 characters, no "-" at the ends',
);

/** The same rule, at the root of a CRD, where the API server shows its message. */
export const nameRule = {
  rule: `self.metadata.name.size() <= 40 && self.metadata.name.matches(${celString(namePattern)})`,
  message: `metadata.name ${nameRight}`,
};

/** The name of an object of Kubernetes' own, such as a Secret. */
export const objectName = matching(
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
  253,
  'must be lower-case letters, digits, "-" and ".", with a letter or digit at the ends and beside each "."',
);

export const digest = matching(
  /^sha256:[0-9a-f]{64}$/,
  71,
  'must be "sha256:" and 64 hexadecimal digits in lower case, as `offsite digest` prints it',
);

export const quantity = matching(
  /^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$/,
  32,
  'must be a quantity in quotes, such as "4Gi"',
);

/** Where something is read from. */
export const inputUri = uriIn(storeSchemes);

/** Where something is written to. */
export const outputUri = uriIn(writableSchemes);

function uriIn(schemes: readonly string[]) {
  const claim = 'pvc:\\/\\/[a-z0-9]([-.a-z0-9]*[a-z0-9])?\\/.+';
  const named = schemes.length === 1 ? schemes[0] : `(${schemes.join('|')})`;
  return uri(
    new RegExp(`^(file:.+|${claim}|${named}:\\/\\/.+)$`),
    `must be pvc://CLAIM/PATH, ${schemes.map((scheme) => `${scheme}://`).join(', ')} or, for \`offsite run\`, file:PATH (oci:// is not supported yet)`,
  );
}

function uri(pattern: RegExp, right: string) {
  const plain = /^\P{Cc}*$/u;
  const inside = withRules(
    matching(pattern, 1024, right),
    {
      holds: (value) => plain.test(value),
      cel: `self.matches(${celString(plain)})`,
      message: 'must hold no control characters',
    },
    {
      holds: (value) => !/^pvc:.*\/\.\.(\/|$)/.test(value),
      cel: `!self.matches(${celString(/^pvc:.*\/\.\.(\/|$)/)})`,
      message: 'must not leave its claim: write the path without ".."',
    },
  );
  return withClusterRule(inside, {
    rule: "!self.startsWith('file:')",
    message:
      'must not be file: in a cluster (that is for `offsite run` on one machine): write pvc://CLAIM/PATH',
  });
}

function celString(pattern: RegExp): string {
  return `r'${pattern.source.replaceAll('\\/', '/')}'`;
}
