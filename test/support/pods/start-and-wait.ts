/** Starts a test cluster, prints its directory and waits to be killed. */
import { startTestCluster } from '../cluster/node.ts';

const cluster = await startTestCluster();
console.log(cluster.directory);
setInterval(() => {}, 1 << 30);
