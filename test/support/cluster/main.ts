/** `make cluster`, `make cluster-stop`, `make cluster-demo`: node test/support/cluster/main.ts start|stop|demo */
import { runDemo } from './demo.ts';
import { startTarget, stopTarget } from './target.ts';

const commands: Record<string, () => Promise<void>> = {
  start: async () => {
    const { kubeconfig } = await startTarget();
    console.log(kubeconfig);
  },
  stop: stopTarget,
  demo: async () => runDemo(await startTarget()),
};

const command = commands[process.argv[2] ?? ''];
if (!command) {
  console.error('usage: node test/support/cluster/main.ts start|stop|demo');
  process.exit(2);
}
try {
  await command();
} catch (error) {
  console.error(`cluster: ${(error as Error).message}`);
  process.exitCode = 1;
}
