// A pod's entry. Signals are heard from the first moment on: as process 1, Node would otherwise ignore SIGTERM.
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort());

const { runPod } = await import('./pod.ts');
process.exit(await runPod(process.env, stop.signal));
