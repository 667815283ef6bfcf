/**
 * The outer module's part of tensor names, and what of it a checkpoint was published without.
 * @param inner a tensor that every checkpoint of the family has
 */
export function outerName(
  outer: string,
  inner: string,
  has: (name: string) => boolean,
): { outer: string; omitted: string } {
  const bare = has(inner) && !has(outer + inner);
  return bare ? { outer: '', omitted: outer } : { outer, omitted: '' };
}
