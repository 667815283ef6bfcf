import { spawn } from 'node:child_process';

/** Runs a program with `job` as JSON on its standard input; the last line that it prints is its result, as JSON. */
export function measure<Result>(
  command: string,
  args: readonly string[],
  job: unknown,
): Promise<Result & { wallSeconds: number }> {
  const start = performance.now();
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify(job));
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      const wallSeconds = (performance.now() - start) / 1000;
      const result = output.trim().split('\n').at(-1) ?? '';
      if (code === 0) resolve({ ...(JSON.parse(result) as Result), wallSeconds });
      else reject(new Error(`${command} ${args.join(' ')} ended with code ${code}`));
    });
  });
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
