// What Linux and the operator's own metrics tell of a running process.
import { readFileSync } from 'node:fs';

/** CPU seconds of all threads so far. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, '').trim().split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return ticks / 100;
}

/** The most memory that was resident at once. */
export function peakBytesOf(pid: number): number {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return Number(kilobytes) * 1024;
}

/** The memory that is resident now. */
export function residentBytesOf(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return Number(kilobytes) * 1024;
}

/** Requests to the API server by verb and kind, from /metrics. */
export async function requestsOf(port: number): Promise<Record<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const requests: Record<string, number> = {};
  for (const [, verb, kind, value] of text.matchAll(
    /^offsite_operator_api_requests_total\{verb="(\w+)",kind="(\w+)",code="\d+"\} (\d+)/gm,
  )) {
    const name = `${verb} ${kind}`;
    requests[name] = (requests[name] ?? 0) + Number(value);
  }
  return requests;
}
