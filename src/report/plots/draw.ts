// Rendering of Vega and Vega-Lite specifications to compact, accessible SVG.
import { parse, type Spec, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { printable } from '../../api/index.ts';
import { escaped, Html } from '../html.ts';
import { theme } from './theme.ts';

/** What a screen reader is told in place of the picture. */
export interface Description {
  /** Unique in the page; letters, digits and hyphens. */
  readonly id: string;
  readonly title: string;
  readonly text: string;
}

/** Renders a Vega specification to an SVG for the page: its own title and description, no ids that could meet another plot's. */
export async function draw(spec: Spec, description: Description): Promise<Html> {
  const view = new View(parse(spec, { ...theme, ...spec.config }), { renderer: 'none' });
  try {
    return new Html(described(tidy(await view.toSVG(), description.id), description));
  } finally {
    view.finalize();
  }
}

/** The same for a Vega-Lite specification. */
export async function drawLite(spec: TopLevelSpec, description: Description): Promise<Html> {
  const config = { ...spec.config, ...(theme as TopLevelSpec['config']), view: { stroke: null } };
  return draw(compile({ ...spec, config }).spec, description);
}

function described(svg: string, { id, title, text }: Description): string {
  return svg.replace(
    /^<svg[^>]*?width="([\d.]+)" height="([\d.]+)" viewBox="([^"]*)">/,
    (_, width, height, viewBox) =>
      `<svg class="plot" role="img" aria-labelledby="${id}-t ${id}-d" width="${width}" height="${height}" viewBox="${viewBox}">` +
      `<title id="${id}-t">${escaped(title)}</title><desc id="${id}-d">${escaped(text)}</desc>`,
  );
}

/** Leaves out what draws nothing: three fifths of what Vega writes. */
function tidy(svg: string, id: string): string {
  // Vega numbers what it defines through all plots of a process.
  const names = new Map<string, string>();
  const own = (name: string) => {
    if (!names.has(name)) names.set(name, `${id}-${names.size}`);
    return names.get(name) as string;
  };
  return svg
    .replaceAll(/>([^<]*)</g, (_, text: string) => `>${printable(text)}<`)
    .replaceAll(/<path class="(?:fore|back)ground"[^>]*?(?: d=""|d="M0,0h0v0h0Z")[^>]*?\/>/g, '')
    .replaceAll(/<text [^>]*?opacity="0"[^>]*>[^<]*<\/text>/g, '')
    .replaceAll(/ (?:font-family|pointer-events|class|role|aria-[a-z]+)="[^"]*"/g, '')
    .replaceAll(/ (?:opacity|stroke-opacity|fill-opacity)="1"/g, '')
    .replaceAll(/-?\d+\.\d{3,}(?=[^"<>]*")/g, (number) => String(Number(Number(number).toFixed(2))))
    .replaceAll(/( id="|url\(#)([^")]+)/g, (_, before: string, name: string) => before + own(name))
    .replaceAll(/<g>(?:<g>)?(?:<\/g>)?<\/g>/g, '');
}
