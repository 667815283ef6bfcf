// onnxruntime without telemetry.

const variable = 'ORT_DISABLE_TELEMETRY';

/**
 * Keeps onnxruntime from posting device id, program path and run counts to its maker, and from keeping them in the home
 * directory. It reads the process's environment when its first session is made; a thread reaches that only where it shares it.
 */
export function silence(): void {
  // Set already by whoever started the process, as a rule: changing it beside other threads that read it is not safe.
  if (process.env[variable] !== '1') process.env[variable] = '1';
}
