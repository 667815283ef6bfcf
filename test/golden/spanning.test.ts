// Several blocks as one graph, on the CPU: what one block at a time gives, which is what transformers does.
import { afterAll, expect, test } from 'vitest';
import { Decoder, weightsOf } from '../../src/model/index.ts';
import { measure, memory } from '../support/golden/families/measure.ts';
import { measureEmulator } from '../support/golden/families/tuned.ts';
import { triedVariants, type Use, withModel as withVariant } from '../support/golden/families/with-model.ts';
import { workDirectory } from '../support/golden/smollm2.ts';

const work = workDirectory();
afterAll(work.remove);

const withModel = <T>(variant: string, use: Use<T>) => withVariant({ directory: work.path, variant }, use);

const families = triedVariants();

const spanMemory = 2 ** 30;

test.each(families)('%s: all blocks at once, logits, loss and gradients', async (variant) => {
  const [together, apart] = await withModel(variant, async (engine, model, fixture) => {
    const weights = weightsOf(model, { memory });
    const all = Array.from({ length: weights.depth }, (_, position) => position);
    expect(new Decoder(engine, model.architecture, weights, { spanMemory }).spans()).toEqual([all]);
    return [await measure(engine, model, fixture, { spanMemory }), await measure(engine, model, fixture)];
  });
  // What float32 leaves open: the library joins operators across blocks, too.
  for (const figure of ['logits', 'loss', 'gradients'] as const)
    expect(together[figure], figure).toBeLessThan(2 * apart[figure] + 1e-6);
});

test('five steps of every adapter, and what is plugged in', async () => {
  const { lora, dropout, beside, droppedBeside, head, bottleneck, ...own } = await withModel(
    'llama',
    (engine, model, fixture) => measureEmulator(engine, model, fixture, { spanMemory }),
  );
  for (const { losses, changes, plugIn } of [own, lora, dropout, beside, droppedBeside, head, bottleneck]) {
    expect(losses).toBeLessThan(1e-3);
    expect(changes).toBeLessThan(1e-2);
    // A gradient of the head that is nothing but rounding still moves its weight by a whole step of AdamW.
    expect(plugIn).toBeLessThan(plugIn === head.plugIn ? 1e-2 : 1e-3);
  }
});
