// Durations and texts from outside in the form that a terminal shows.
import { printable } from '../../api/index.ts';

/** A duration as people say it: `8 s`, `4 min 10 s`, `2 h 5 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 10) return whole % 60 === 0 ? `${minutes} min` : `${minutes} min ${whole % 60} s`;
  if (minutes < 60) return `${Math.round(whole / 60)} min`;
  const hours = Math.floor(whole / 3600);
  const rest = Math.floor((whole % 3600) / 60);
  return rest === 0 ? `${hours} h` : `${hours} h ${rest} min`;
}

/** Text from outside as one line of a terminal. */
export const oneLine = (text: string): string => printable(text.replaceAll(/\s+/g, ' ').trim());

/** `text` cut to `width` characters, with an ellipsis where something was cut away. */
export function shorten(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`;
}
