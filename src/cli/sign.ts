// The command that signs an artifact of this machine.
import { printable, printableJson } from '../api/index.ts';
import { openArtifact, privateKeyOf, publicKeyOf, signArtifact, signatureName } from '../artifact/index.ts';
import { fingerprintOf } from './fingerprint.ts';
import { keyIn } from './key-file.ts';

/** `offsite sign DIR`: a signature beside an artifact that is whole. */
export function signCommand(directory: string, flags: { key: string; json?: boolean }): void {
  const key = keyIn(flags.key, privateKeyOf);
  const { manifest, digest, checked } = openArtifact(directory);
  checked.checkUnchanged();
  signArtifact(directory, { digest, kind: manifest.kind }, key);
  const signer = fingerprintOf(publicKeyOf(key));
  if (flags.json) console.log(printableJson({ path: directory, kind: manifest.kind, digest, key: signer }));
  else
    console.log(
      `${printable(`${manifest.kind} ${directory}: signed (${signatureName})`)}\n  ${digest}\n  by key ${signer}`,
    );
}
