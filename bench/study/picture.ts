// A plot of the study as an image by itself, drawn as the report draws, light and dark.
import type { TopLevelSpec } from 'vega-lite';
import { drawLite } from '../../src/report/plots/draw.ts';
import { palette } from '../../src/report/style.ts';

/** @param told what the image says to who does not see it; id: unique among the images of a page */
export async function picture(
  plot: TopLevelSpec,
  told: { readonly id: string; readonly title: string; readonly text: string },
): Promise<string> {
  const { text } = await drawLite(plot, told);
  const standalone = text
    .replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" ')
    .replace('</desc>', `</desc><style>${palette}svg{background:var(--panel)}</style>`);
  return `${standalone}\n`;
}
