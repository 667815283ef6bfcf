// The schema of what the analyses find, as artifacts carry it.
import { z } from 'zod';

const figure = z.string().max(32);

/** Of one task's rows, as written: the metric, and the mean negative log-likelihood of the answers' tokens in nats. */
const figures = z.object({ value: figure, loss: figure });
export type Figures = z.output<typeof figures>;

/** One entry a task, in the order of `tasks`; none where the variant's scores are not numbers. */
export const figuresList = z.array(figures);

const layers = z.array(z.object({ layer: z.int().nonnegative(), figures: figuresList }));

/** All that the analyses of a PlugIn found; `scores.analysis` of the artifact's manifest. */
export const analysisSchema = z.object({
  tasks: z.array(z.object({ task: z.string(), metric: z.string(), samples: z.int().nonnegative() })),
  /** Of the plug-in: where it is on the line. */
  coefficient: z.number(),
  transferLayers: z.array(z.int().nonnegative()),
  plugIn: figuresList,
  /** In ascending order. */
  interpolation: z.array(z.object({ coefficient: z.number(), figures: figuresList })).optional(),
  /** By layer. */
  deleted: layers.optional(),
  /** By transfer layer. */
  rewound: layers.optional(),
});
export type AnalysisRecord = z.output<typeof analysisSchema>;
