// The plot of the similarity matrix, with the plan's clusters and roles on it.
import { type Mark, type Spec, scheme } from 'vega';
import type { Plan } from '../../emulator/index.ts';
import { isShallow, type Role, rolesOf } from '../roles.ts';
import { palettePng } from './png.ts';
import { colours } from './theme.ts';

const schemeName = 'viridis';
const shades = 256;

/**
 * The whole similarity matrix with the plan drawn on it: clusters as frames, roles as a strip along both axes, kept and
 * transfer layers on the diagonal, shared positions at (position, the layer whose weights it runs).
 * @param side of the matrix in pixels
 */
export function heatMap(matrix: readonly (readonly number[])[], plan: Plan, side: number): Spec {
  const depth = matrix.length;
  const domain = domainOf(matrix);
  const cell = side / depth;
  const strip = Math.max(6, Math.min(12, cell));
  const roles = rolesOf(plan);
  const onDiagonal = (role: Role) =>
    roles.flatMap((found, layer) => (found === role ? [{ x: layer, y: layer }] : []));
  return {
    width: side,
    height: side,
    data: [
      { name: 'clusters', values: framesOf(plan) },
      { name: 'layers', values: roles.map((role, layer) => ({ layer, role })) },
      { name: 'transfer', values: onDiagonal('transfer') },
      { name: 'kept', values: onDiagonal('kept') },
      { name: 'shared', values: sharedOf(plan) },
    ],
    scales: [
      { name: 'layer', type: 'linear', domain: [-0.5, depth - 0.5], range: [0, side], zero: false },
      { name: 'colour', type: 'linear', domain, range: { scheme: schemeName } },
      {
        name: 'role',
        type: 'ordinal',
        domain: ['transfer', 'kept', 'shared', 'removed'],
        range: [colours.transfer, colours.kept, colours.shared, colours.removed],
      },
    ],
    axes: [
      { orient: 'bottom', scale: 'layer', title: 'layer', ...layerAxis(depth, side), offset: strip + 3 },
      { orient: 'left', scale: 'layer', title: 'layer', ...layerAxis(depth, side), offset: strip + 3 },
    ],
    legends: [
      {
        fill: 'colour',
        orient: 'top',
        direction: 'horizontal',
        title: 'similarity',
        gradientLength: Math.min(220, side * 0.6),
        gradientThickness: 10,
        tickCount: 4,
        offset: 10,
      },
    ],
    marks: [
      {
        type: 'image',
        encode: {
          enter: {
            x: { value: 0 },
            y: { value: 0 },
            width: { value: side },
            height: { value: side },
            url: { value: pixels(matrix, domain) },
            smooth: { value: false },
            aspect: { value: false },
          },
        },
      },
      ...strips(strip, cell),
      ...frames(Math.max(0.5, Math.min(1.75, cell / 6))),
      points('shared', 'square', Math.min(40, (cell * 0.4) ** 2)),
      points('kept', 'circle', Math.min(60, (cell * 0.5) ** 2)),
      points('transfer', 'diamond', Math.min(150, (cell * 0.8) ** 2)),
    ],
  };
}

function domainOf(matrix: readonly (readonly number[])[]): [number, number] {
  const lowest = Math.min(1, ...matrix.map((row) => Math.min(...row)));
  // A matrix of ones still needs a scale that goes somewhere.
  return [Math.min(Math.floor(lowest * 20) / 20, 0.95), 1];
}

function pixels(matrix: readonly (readonly number[])[], [low, high]: [number, number]): string {
  const shade = (value: number) =>
    Math.max(0, Math.min(shades - 1, Math.round(((value - low) / (high - low)) * (shades - 1))));
  const interpolate = scheme(schemeName) as (at: number) => string;
  const palette = Array.from(
    { length: shades },
    (_, i) =>
      interpolate(i / (shades - 1))
        .match(/\d+/g)
        ?.map(Number) as [number, number, number],
  );
  return palettePng(
    matrix.map((row) => Uint8Array.from(row, shade)),
    palette,
  );
}

const framesOf = ({ clusters }: Plan) =>
  clusters
    .filter(({ length }) => length > 1)
    .map((cluster) => ({ from: (cluster[0] as number) - 0.5, to: (cluster.at(-1) as number) + 0.5 }));

const sharedOf = (plan: Plan) =>
  isShallow(plan)
    ? []
    : plan.source.flatMap((source, position) => (source === position ? [] : [{ x: position, y: source }]));

/** Layer numbers, as many as there is room for. */
function layerAxis(depth: number, side: number) {
  const step = [1, 2, 5, 10, 20, 50, 100].find((size) => (side / depth) * size >= 22) ?? 200;
  const values = Array.from({ length: Math.ceil(depth / step) }, (_, i) => i * step);
  return { values, format: 'd', grid: false, domain: false };
}

/** Each layer's role beside the matrix, at the left and below. */
function strips(size: number, cell: number): Mark[] {
  const gap = cell > 6 ? 1 : 0;
  const along = (field: string, offset: number) => ({ scale: 'layer', field, offset });
  const length = { value: Math.max(0.5, cell - gap) };
  const fill = { scale: 'role', field: 'role' };
  const start = -cell / 2 + gap / 2;
  return [
    {
      type: 'rect',
      from: { data: 'layers' },
      encode: {
        enter: {
          x: { value: -size - 3 },
          width: { value: size },
          y: along('layer', start),
          height: length,
          fill,
        },
      },
    },
    {
      type: 'rect',
      from: { data: 'layers' },
      encode: {
        enter: {
          y: { signal: 'height', offset: 3 },
          height: { value: size },
          x: along('layer', start),
          width: length,
          fill,
        },
      },
    },
  ];
}

/** A cluster of more than one layer: a white frame with a dark edge, so that it shows on every colour. */
function frames(thickness: number): Mark[] {
  return [
    ['#000', 2 * thickness],
    ['#fff', thickness],
  ].map(([stroke, width]) => ({
    type: 'rect',
    from: { data: 'clusters' },
    encode: {
      enter: {
        x: { scale: 'layer', field: 'from' },
        x2: { scale: 'layer', field: 'to' },
        y: { scale: 'layer', field: 'from' },
        y2: { scale: 'layer', field: 'to' },
        stroke: { value: stroke as string },
        strokeWidth: { value: width as number },
      },
    },
  }));
}

/** Where a role is marked in the matrix: a data set of that role's name. */
function points(role: Role, shape: string, size: number): Mark {
  return {
    type: 'symbol',
    from: { data: role },
    encode: {
      enter: {
        x: { scale: 'layer', field: 'x' },
        y: { scale: 'layer', field: 'y' },
        shape: { value: shape },
        size: { value: size },
        fill: { value: colours[role] },
        stroke: { value: '#fff' },
        strokeWidth: { value: 1 },
      },
    },
  };
}
