// The spec's section on analyses: what is measured of a plugged-in model to explain its result.
import { z } from 'zod';
import { decimalBetween, integer, resourceName } from './fields.ts';
import { distinct, withRules } from './rules.ts';

const coefficients = ['-0.5', '-0.25', '0', '0.25', '0.5', '0.75', '1', '1.25', '1.5'];

/** What else is measured of a plugged-in model, to explain it: each is evaluated again and again, changed a little. */
export const Analysis = withRules(
  z.strictObject({
    interpolation: z
      .strictObject({
        coefficients: distinct(
          z
            .array(decimalBetween(-10, 10, '0.5'))
            .min(1)
            .max(41),
        )
          .default(coefficients)
          .describe(
            'Where on the line (1-c) full + c plugged: 0 is the full model, 1 the adapter as it came; below 0 and above 1 lies what is beyond.',
          ),
      })
      .optional()
      .describe('Loss and metric on the line from the full model through the plug-in and beyond.'),
    layerImportance: z
      .strictObject({
        methods: distinct(
          z
            .array(z.enum(['delete', 'rewind']))
            .min(1)
            .max(2),
        )
          .default(['delete', 'rewind'])
          .describe(
            "delete: each layer is skipped; rewind: each transfer layer gets the full model's own weights again.",
          ),
      })
      .optional()
      .describe('What the plugged-in model loses with one layer changed.'),
    tasks: distinct(z.array(resourceName).min(1).max(32))
      .optional()
      .describe('Names of the tasks of spec.evaluation that are used; all when absent.'),
    limit: integer(1, 1000000)
      .optional()
      .describe("How many of each task's first rows; as many as the evaluation uses when absent."),
  }),
  {
    holds: ({ interpolation, layerImportance }) =>
      interpolation !== undefined || layerImportance !== undefined,
    cel: 'has(self.interpolation) || has(self.layerImportance)',
    message: 'must ask for interpolation, layerImportance or both: {interpolation: {}} will do',
  },
);
export type Analysis = z.output<typeof Analysis>;
