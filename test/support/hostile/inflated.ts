/** 10 MB of JSON that all parsers take: a list (or what stands in other brackets) of one thing again and again. */
export const millionsOf = (thing: string, open = '[', close = ']') =>
  Buffer.from(`${open}${`${thing},`.repeat(10_000_000 / (thing.length + 1))}${thing}${close}`);

/** What refusing something takes: this process's own seconds, whatever else the machine does, and MiB of its heap. */
export async function costOf(act: () => unknown): Promise<{ seconds: number; mebibytes: number }> {
  const [heap, cpu] = [process.memoryUsage().heapUsed, process.cpuUsage()];
  await act();
  const { user, system } = process.cpuUsage(cpu);
  return {
    seconds: (user + system) / 1e6,
    mebibytes: (process.memoryUsage().heapUsed - heap) / 2 ** 20,
  };
}
