// Compiles what subprocesses run, before any test: they are ended by a signal, and so write nothing of it down themselves.
import { execFileSync } from 'node:child_process';

const programs = ['subprocess/main.ts', 'data/parquet-program.ts', 'tokenizer/program/work.ts'];

export default function compile(): void {
  for (const program of programs) {
    const { href } = new URL(`../../../src/${program}`, import.meta.url);
    execFileSync(process.execPath, ['-e', `import(${JSON.stringify(href)}).catch(() => {})`]);
  }
}
