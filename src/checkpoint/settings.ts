// The reader of a model's JSON settings, without what would have another program load code.
import { type JsonBounds, parsePythonJson } from '../api/index.ts';
import { type Files, onDisk } from '../artifact/index.ts';
import { configBounds, readJsonFile } from './json.ts';

/** A file of settings. */
export interface Settings {
  readonly value: unknown;
  /** As it is written, without its byte order mark. */
  readonly text: string;
  /** The fields that were there and name code: neither value nor text has them. */
  readonly leftOut: readonly string[];
  /** The value with them, by which a file is known again. */
  readonly whole: unknown;
}

/**
 * Fields by which transformers (5.24) loads code of a directory or a repository (dynamic_module_utils.py, pipelines, generate), or
 * that say yes to it for whoever reads them.
 */
const ofCode: ReadonlySet<string> = new Set([
  'auto_map',
  'custom_generate',
  'custom_pipelines',
  'trust_remote_code',
  '_auto_class',
]);
/** They take the name of an attention that transformers has, or a repository's whose kernels it loads (hub_kernels.py). */
const ofKernels: ReadonlySet<string> = new Set(['attn_implementation', '_attn_implementation']);

/** Whether transformers would load code by a field, whose value is written so; a slash may be written as an escape. */
const namesCode = (name: string, written: string): boolean =>
  ofCode.has(name) || (ofKernels.has(name) && /[/\\]/.test(written));

/**
 * Reads settings as `readJsonFile` does, without the fields that name code to run, in whatever mapping they stand: models are
 * published with them, so they are no fault, but nothing that is made of the model may have them.
 * @throws OffsiteError BadModel naming the file
 */
export function readSettings(
  path: string,
  { bounds = configBounds, files = onDisk }: { bounds?: JsonBounds; files?: Files } = {},
): Settings {
  const { value, text } = readJsonFile(path, bounds, files);
  const { text: kept, leftOut } = withoutCode(text);
  if (leftOut.length === 0) return { value, text, leftOut, whole: value };
  return { ...parsePythonJson(new TextEncoder().encode(kept), bounds), leftOut, whole: value };
}

/** A mapping or a list that is open, and its member that is being read. */
interface Open {
  readonly isMapping: boolean;
  /** Where the member starts: its comma, or what follows the brace while nothing before it stays. */
  start: number;
  isFirst: boolean;
  name?: string | undefined;
  /** Where its name ends. */
  behind: number;
}

/** @param text JSON, or what Python's json writes; everything but the members that are taken out stays as it is written */
function withoutCode(text: string): Pick<Settings, 'text' | 'leftOut'> {
  const leftOut = new Set<string>();
  const cuts: [start: number, end: number][] = [];
  const open: Open[] = [];
  const endMember = (level: Open, at: number) => {
    const isLast = text[at] !== ',';
    const { name, start, isFirst, behind } = level;
    if (name !== undefined && namesCode(name, text.slice(behind, at))) {
      leftOut.add(name);
      // What was taken out of it goes with it.
      while ((cuts.at(-1)?.[0] ?? -1) >= start) cuts.pop();
      const end = isFirst ? at + (isLast ? 0 : 1) : start + text.slice(start, at).trimEnd().length;
      cuts.push([start, end]);
      level.start = isFirst ? at + 1 : at;
    } else {
      level.start = at;
      level.isFirst = false;
    }
    level.name = undefined;
  };
  for (let at = 0; at < text.length; at++) {
    const level = open.at(-1);
    const letter = text[at];
    if (letter === '"') {
      const end = endOfText(text, at);
      if (level?.isMapping && level.name === undefined) {
        level.name = JSON.parse(text.slice(at, end)) as string;
        level.behind = end;
      }
      at = end - 1;
    } else if (letter === '{' || letter === '[') {
      open.push({ isMapping: letter === '{', start: at + 1, isFirst: true, behind: at });
    } else if (level !== undefined && (letter === ',' || letter === '}' || letter === ']')) {
      endMember(level, at);
      if (letter !== ',') open.pop();
    }
  }
  let [kept, done] = ['', 0];
  for (const [start, end] of cuts) {
    kept += text.slice(done, start);
    done = end;
  }
  return { text: kept + text.slice(done), leftOut: [...leftOut] };
}

/** What follows a text's last quote. */
function endOfText(text: string, start: number): number {
  let end = start + 1;
  while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end + 1;
}
