// Holds a session of onnxruntime until it is killed: made by our engine on a thread like the worker's, or by the library itself.
import { InferenceSession } from 'onnxruntime-node';
import { Engine } from '../../../src/engine/index.ts';
import { GraphBuilder } from '../../../src/graph/index.ts';

const graph = () => {
  const g = new GraphBuilder();
  const x = g.input('x', 'float32', [1]);
  g.output('y', g.add(x, x));
  return g;
};

if (process.argv[2] === 'engine') {
  const engine = await Engine.create({ provider: 'cpu', threads: 1 });
  await engine.session('held', graph);
} else {
  await InferenceSession.create(graph().serialize());
}
console.log('held');
setInterval(() => undefined, 1000);
