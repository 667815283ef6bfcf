// Verification of an emulator's bundle: its tensors against its plan, its similarities, its contents as a model.
import { badModel } from '../../api/index.ts';
import type { OpenedArtifact } from '../../artifact/index.ts';
import { type Bundle, bundleIn, tensorSlots } from '../../emulator/index.ts';
import type { Found } from './found.ts';
import { checkContents } from './model.ts';

/** An emulator's bundle: exactly the tensors of its plan, and similarities that are some. */
export async function checkBundle(artifact: OpenedArtifact): Promise<Found> {
  const { directory } = artifact;
  const bundle = bundleIn(artifact);
  try {
    const { model, plan, layout } = bundle;
    const wanted = new Set(tensorSlots(model.architecture, layout).map(({ name }) => name));
    const foreign = [...model.tensors.keys()].find((name) => !wanted.has(name));
    if (foreign !== undefined)
      throw badModel(`${directory}: holds tensor ${foreign}, which its plan does not need`);
    checkSimilarity(directory, bundle);
    const found = await checkContents(model, directory);
    const { kept, transferLayers, source } = plan;
    const detail = `${kept.length} layers kept of ${model.architecture.depth}, ${source.length} positions, ${transferLayers.length > 0 ? `transfer layers ${transferLayers.join(', ')}` : 'no transfer layers'}`;
    return { ...found, detail };
  } finally {
    bundle.close();
  }
}

function checkSimilarity(directory: string, { model, similarity }: Bundle): void {
  const { depth } = model.architecture;
  const { adjacent, matrix } = similarity;
  const square = matrix.length === depth && matrix.every((row) => row.length === depth);
  const within =
    square &&
    matrix.every((row, i) => row.every((value, j) => Math.abs(value) <= 1 + 1e-9 && value === matrix[j]![i]));
  const alike = adjacent.length === depth - 1 && adjacent.every((value, i) => value === matrix[i]?.[i + 1]);
  if (!within || !alike)
    throw badModel(
      `${directory}: its similarity.json holds no similarities of ${depth} layers; it was changed or damaged`,
    );
}
