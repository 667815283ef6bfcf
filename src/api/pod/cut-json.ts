// JSON that was cut off on its way: what is whole of it.

/**
 * The beginning of a JSON object that was cut off, closed: its members that are whole, and the whole members of the one
 * that the cut went through, if that is an object too. A string among its own members, such as a failure's message, is kept
 * as far as it came.
 */
export function wholeOf(text: string): string {
  const open: string[] = [];
  let [inString, isValue, whole] = [false, false, '{}'];
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (inString) {
      if (character === '\\') i++;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '{' || character === '[') {
      open.push(character === '{' ? '}' : ']');
      isValue = false;
    } else if (character === '}' || character === ']') {
      open.pop();
      if (isShallow(open)) whole = text.slice(0, i + 1) + closing(open);
    } else if (character === ',') {
      if (isShallow(open)) whole = text.slice(0, i) + closing(open);
      isValue = false;
    } else if (character === ':') isValue = true;
  }
  if (!inString || !isValue || open.length !== 1) return whole;
  // An escape that was cut through is no character.
  const rest = text.replace(/\\(u[0-9a-fA-F]{0,3})?$/, '');
  const cut = `${rest}…"}`;
  return isObject(cut) ? cut : whole;
}

/** In the object itself, or in an object that is a member of it. */
const isShallow = (open: readonly string[]) => open.length <= 2 && open.every((bracket) => bracket === '}');

const closing = (open: readonly string[]) => open.toReversed().join('');

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
