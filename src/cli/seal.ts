// The commands that convert LoRA adapters between PEFT's format and an artifact.
import { printable, printableJson } from '../api/index.ts';
import { openBundle } from '../emulator/index.ts';
import { exportAdapter, sealAdapter } from '../plugin/index.ts';

interface SealFlags {
  emulator: string;
  output: string;
  digest?: string;
  json?: boolean;
}

/** `offsite seal DIR`: an artifact of a LoRA adapter that PEFT trained on a bundle, for an OffsiteTune's reader. */
export async function sealCommand(directory: string, flags: SealFlags): Promise<void> {
  const bundle = openBundle(flags.emulator, flags.digest);
  try {
    const { digest, sizeBytes } = await sealAdapter(directory, bundle, flags.output);
    if (flags.json) console.log(printableJson({ path: flags.output, kind: 'Adapter', digest, sizeBytes }));
    else console.log(`${printable(`Adapter ${flags.output}: sealed`)}\n  ${digest}\n  ${sizeBytes} bytes`);
  } finally {
    bundle.close();
  }
}

/** `offsite export DIR`: a LoRA adapter as PEFT and vLLM load it. */
export async function exportCommand(
  directory: string,
  { output, json }: { output: string; json?: boolean },
): Promise<void> {
  await exportAdapter(directory, output);
  console.log(json ? printableJson({ path: output }) : printable(`written to ${output}, for PEFT and vLLM`));
}
