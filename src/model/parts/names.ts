/**
 * The outer module's part of tensor names: '' where a checkpoint was published without it.
 * @param inner a tensor that every checkpoint of the family has
 */
export function outerName(outer: string, inner: string, has: (name: string) => boolean): string {
  return has(inner) && !has(outer + inner) ? '' : outer;
}
