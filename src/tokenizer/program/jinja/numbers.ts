// Python's arithmetic, with integers of any size, and how a float is written.
import { fail, unsupported } from './faults.ts';

type Numeric = bigint | number;

/** Bits of an integer; templates count messages. */
const mostBits = 16_384;

export function arithmetic(operator: string, a: Numeric, b: Numeric): Numeric {
  if (typeof a === 'bigint' && typeof b === 'bigint') return bounded(onIntegers(operator, a, b));
  return onFloats(operator, asFloat(a), asFloat(b));
}

function bounded(value: Numeric): Numeric {
  return typeof value === 'bigint' && BigInt.asIntN(mostBits, value) !== value
    ? unsupported('a huge number')
    : value;
}

function asFloat(value: Numeric): number {
  if (typeof value === 'number') return value;
  if (BigInt.asIntN(54, value) !== value) return unsupported('a huge number beside a float');
  return Number(value);
}

function onIntegers(operator: string, a: bigint, b: bigint): Numeric {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return b === 0n ? fail() : asFloat(a) / asFloat(b);
    case '//':
      return b === 0n ? fail() : (a - modulo(a, b)) / b;
    case '%':
      return b === 0n ? fail() : modulo(a, b);
    default:
      return power(a, b);
  }
}

function modulo(a: bigint, b: bigint): bigint {
  const rest = a % b;
  return rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest;
}

function power(a: bigint, b: bigint): Numeric {
  if (b < 0n) return a === 0n ? fail() : unsupported('a power below one');
  if (BigInt(a.toString(2).length) * b > BigInt(mostBits)) return unsupported('a huge number');
  return a ** b;
}

function onFloats(operator: string, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return b === 0 ? fail() : a / b;
    default:
      return unsupported(`${operator} of floats`);
  }
}

export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  if (Object.is(value, -0)) return '-0.0';
  const [digits = '', exponent = '0'] = value.toExponential().split('e');
  const power = Number(exponent);
  if (value !== 0 && (power < -4 || power >= 16))
    return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  const text = String(value);
  return text.includes('.') ? text : `${text}.0`;
}
