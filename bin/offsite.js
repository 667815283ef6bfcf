#!/usr/bin/env node
// Runs the TypeScript sources by type stripping; where this Node is too old for that, with the one that npm brought.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

// onnxruntime posts to its maker otherwise; here no other thread reads the environment yet.
process.env.ORT_DISABLE_TELEMETRY = '1';

const main = new URL('../src/cli/main.ts', import.meta.url);
const [major, minor] = process.versions.node.split('.').map(Number);

if (major > 22 || (major === 22 && minor >= 21)) {
  await import(main.href);
} else {
  let node;
  try {
    node = createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/bin/node`);
  } catch {
    console.error(
      `offsite needs Node 22.21 or newer (this is ${process.versions.node}), and none came with npm ci`,
    );
    process.exit(2);
  }
  // The channel tells the child when this process is killed.
  const stdio = ['inherit', 'inherit', 'inherit', 'ipc'];
  const child = spawn(node, [fileURLToPath(main), ...process.argv.slice(2)], { stdio });
  const passed = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of passed) process.on(signal, () => child.kill(signal));
  child.on('error', ({ message }) => {
    console.error(`offsite: the Node that came with npm ci cannot be started: ${message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (code !== null) process.exit(code);
    // Ends as the child did.
    for (const one of passed) process.removeAllListeners(one);
    process.kill(process.pid, signal);
  });
}
