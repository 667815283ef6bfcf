// `helm test`: are the kinds served, is the operator ready, does NATS answer?
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

const account = '/var/run/secrets/kubernetes.io/serviceaccount';
const kinds = process.env.KINDS.split(',');

const checks = {
  async 'the three kinds are served'() {
    const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
    const authorization = `Bearer ${readFileSync(`${account}/token`, 'utf8')}`;
    const address = host.includes(':') ? `[${host}]` : host;
    const body = await get(`https://${address}:${port}/apis/offsite-tuning.dev/v1alpha1`, { authorization });
    const served = JSON.parse(body).resources.map(({ kind }) => kind);
    const missing = kinds.filter((kind) => !served.includes(kind));
    if (missing.length > 0) throw new Error(`not served: ${missing.join(', ')}`);
  },
  async 'the operator is ready'() {
    await get(`${process.env.OPERATOR_URL}/readyz`);
  },
  async 'NATS answers'() {
    const { hostname, port } = new URL(process.env.NATS_URL.split(',')[0]);
    const greeting = await hello(hostname, Number(port || 4222));
    if (!greeting.startsWith('INFO ')) throw new Error(`${hostname} is no NATS server`);
    if (JSON.parse(greeting.slice(5)).jetstream !== true) throw new Error(`${hostname} has no JetStream`);
  },
};

/** @returns the body; throws with the status where it is not 200 */
async function get(url, headers = {}) {
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(5000) });
  const body = await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return body;
}

/** The first line that a server says. */
function hello(host, port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: 5000 });
    let heard = '';
    socket.on('data', (data) => {
      heard += data;
      if (!heard.includes('\r\n')) return;
      socket.destroy();
      resolve(heard.split('\r\n')[0]);
    });
    socket.on('timeout', () => socket.destroy(new Error(`${host}:${port} says nothing`)));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`${host}:${port} hung up`)));
  });
}

/** A release needs a moment to come up: a check may fail for half a minute. */
async function pass(check, until) {
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > until) return error.cause?.message ?? error.message;
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

const until = Date.now() + 30_000;
for (const [name, check] of Object.entries(checks)) {
  const problem = await pass(check, until);
  console.log(problem === undefined ? `ok: ${name}` : `FAILED: ${name}: ${problem}`);
  if (problem !== undefined) process.exitCode = 1;
}
