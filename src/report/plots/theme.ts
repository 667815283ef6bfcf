// The look that all plots share.
import type { Config } from 'vega';

/** Colours by role, as CSS variables of the page: one SVG serves light and dark. */
export const colours = {
  text: 'var(--text)',
  soft: 'var(--soft)',
  grid: 'var(--line)',
  panel: 'var(--panel)',
  transfer: 'var(--transfer)',
  kept: 'var(--kept)',
  shared: 'var(--shared)',
  removed: 'var(--removed)',
} as const;

const fontSize = 12;

/** How every plot looks. Fonts are the page's; titles and descriptions for screen readers are added by draw(). */
export const theme: Config = {
  background: null as unknown as string,
  padding: 2,
  axis: {
    aria: false,
    domainColor: colours.soft,
    gridColor: colours.grid,
    tickColor: colours.soft,
    labelColor: colours.soft,
    titleColor: colours.soft,
    labelFontSize: fontSize,
    titleFontSize: fontSize,
    titleFontWeight: 'normal',
    labelPadding: 4,
    titlePadding: 6,
    tickSize: 4,
  },
  legend: {
    aria: false,
    labelColor: colours.soft,
    titleColor: colours.soft,
    labelFontSize: fontSize,
    titleFontSize: fontSize,
    titleFontWeight: 'normal',
  },
  text: { fontSize, fill: colours.text },
};
