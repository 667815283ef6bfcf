// The CLI's entry: all commands with their options and help, and how an error becomes an exit code.
import { Command, CommanderError, Option } from 'commander';
import { OffsiteError, variables } from '../api/index.ts';
import { failureOf } from '../worker/index.ts';
import { printCrds } from './crds.ts';
import { printDigest } from './digest.ts';
import { failOnLostOutput } from './output.ts';
import { endWithParent } from './parent.ts';
import { reportCommand } from './report.ts';
import { runCommand } from './run-command.ts';
import { exportCommand, sealCommand } from './seal.ts';
import { signCommand } from './sign.ts';
import { verifyCommand } from './verify/command.ts';
import { watchCommand } from './watch.ts';

const collect = (value: string, earlier: string[]) => [...earlier, value];
const json = () => new Option('--json', 'print JSON for scripts');

const program = new Command('offsite')
  .description(
    'Offsite-tuning: a model that never leaves, data that never leaves; an emulator goes out, an adapter comes back.',
  )
  .showHelpAfterError('(offsite --help shows how)')
  .exitOverride()
  .addHelpText(
    'after',
    `
Start here:
  $ make quickstart                                  a real model and real questions, from nothing to the report
  $ offsite run -f examples/quickstart --work-dir .offsite/run --mount models=DIR --mount data=DIR --mount artifacts=DIR
  $ offsite report .offsite/run                      the run's page again: did it work, similarities, losses, cells
  $ offsite watch ot/words --nats nats://HOST:4222   live progress of what runs in a cluster
  $ offsite verify DIR                               is this bundle or adapter what its manifest says?
Exit codes: 0 all Complete, 1 something failed, was stopped or could not be written, 2 wrong usage or a wrong manifest.`,
  );

program
  .command('run')
  .description(
    'run EmulatorBuild, OffsiteTune and PlugIn manifests on this machine, in the order of their references',
  )
  .requiredOption(
    '-f, --filename <path>',
    'a manifest or a directory of manifests; may be given more than once',
    collect,
    [],
  )
  .option('--work-dir <dir>', 'where resource.yaml of each resource goes', '.offsite/run')
  .option('--mount <claim=dir>', 'let pvc://CLAIM/... be DIR; may be given more than once', collect, [])
  .option(
    '--keys <secret=dir>',
    "let the keys of Secret SECRET (signingKeyRef's private.pem, publicKeyRef's public.pem) be the files of DIR; may be given more than once",
    collect,
    [],
  )
  .option(
    '--nats <url>',
    'send progress, warnings and results there too: nats://host:4222 or tls://host:4222; NATS away is no failure',
  )
  .option(
    '--nats-credentials <file>',
    'a .creds file for NATS; else NATS_CREDS, or NATS_USER and NATS_PASSWORD, or NATS_TOKEN',
  )
  .addOption(json())
  .addHelpText(
    'after',
    `
A run that was stopped (Ctrl-C, kill, a terminal that was closed, a reader that went away) goes on where it was when the same command is given again:
finished stages return their artifacts at once, training goes on from its last checkpoint, to the same digest.
Places: file:PATH (from the manifest's directory), pvc://CLAIM/PATH (with --mount), s3://BUCKET/PATH (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL), hf://OWNER/NAME@REVISION (HF_TOKEN) and https://HOST/PATH; what comes over the
network is kept in WORK_DIR/.stores, and is not fetched again while it is the same there.`,
  )
  .action(runCommand);

program
  .command('watch')
  .description("live progress of what runs in a cluster, or of somebody else's `offsite run --nats`")
  .argument('[resource]', 'NAME or KIND/NAME, such as words or ot/words; everything when absent')
  .option(
    '-n, --namespace <namespace>',
    'of the resources; over NATS every namespace when absent, with kubectl its own',
  )
  .option('-A, --all-namespaces', 'every namespace, also with kubectl')
  .option('--nats <url>', `where progress is told; ${variables.natsUrl} when absent`)
  .option(
    '--nats-credentials <file>',
    'a .creds file for NATS, such as watcher.creds of the Secret <release>-nats-auth',
  )
  .addOption(json())
  .addHelpText(
    'after',
    `
Without a NATS URL, or where it cannot be reached, the resources' status is followed with kubectl: the same figures, at
most every two seconds. Bars on a terminal, plain lines elsewhere, one JSON object a line with --json.
KIND/NAME ends with its resource; all else ends with Ctrl-C. With bin/ on PATH, \`kubectl offsite watch\` is the same.
  $ kubectl -n offsite-system port-forward svc/offsite-tuning-nats 4222 &
  $ kubectl offsite watch -n team-a --nats nats://127.0.0.1:4222 --nats-credentials watcher.creds`,
  )
  .action(watchCommand);

program
  .command('report')
  .description('write the HTML report of a work dir of `offsite run`, or of resources in a cluster')
  .argument('<work-dir-or-name>', 'a work dir; else, or with --namespace, the name of resources')
  .option(
    '-n, --namespace <namespace>',
    'of the resources in a cluster, read with kubectl; its own when absent',
  )
  .option('-o, --output <file>', 'where the page goes: report.html in the work dir, or here for a cluster')
  .option(
    '--mount <claim=dir>',
    'where pvc://CLAIM/... lies here, for what is not in the status: similarity matrix, losses, manifests',
    collect,
    [],
  )
  .addOption(json())
  .action(reportCommand);

program
  .command('verify')
  .description(
    'check what came from outside, as far as it goes without computing: a bundle, an adapter, a model',
  )
  .argument(
    '<dir>',
    'a bundle, an adapter, a released model; or a model as the hub has it, without a manifest',
  )
  .option('--emulator <dir>', 'for an adapter: the bundle that it must have been trained on')
  .option('--digest <sha256:...>', 'the digest that it must have')
  .option('--key <file>', 'a public key (or several) in PEM: one of them must have signed it')
  .addOption(json())
  .addHelpText(
    'after',
    `
Looked at are the manifest, every file's name, size and sha256, links and files that do not belong there; tensors' names,
shapes and types against config.json and the plan; every value (NaN, infinity, changes that no training makes); tokenizer
and chat template, and tokens beyond the embedding; files that are something else (Git LFS pointers, archives). Settings
that name code to run are told, as no fault. Nothing is trained or evaluated. Exit codes: 0 good, 1 something is wrong and named, 2 wrong usage.`,
  )
  .action(verifyCommand);

program
  .command('seal')
  .description('make an artifact of a LoRA adapter that PEFT trained on a bundle, after all checks of PlugIn')
  .argument(
    '<dir>',
    "what PEFT's save_pretrained has written: adapter_model.safetensors, adapter_config.json",
  )
  .requiredOption('--emulator <dir>', 'the bundle that it was trained on')
  .requiredOption('--output <dir>', 'where the artifact goes; nothing may be there yet')
  .option('--digest <sha256:...>', 'the digest that the bundle must have')
  .addOption(json())
  .addHelpText(
    'after',
    `
Taken are factors (lora_A, lora_B) of linear maps of the bundle's transfer layers (or kept ones), the same in each, and lm_head where it
was trained in full (modules_to_save); float16 and bfloat16 are widened to float32. DoRA, rsLoRA and other settings that
change what factors mean are refused by name. The digest that is printed goes to the model owner, with the directory.`,
  )
  .action(sealCommand);

program
  .command('sign')
  .description('sign an artifact that lies here, as spec.output.signingKeyRef does where it is made')
  .argument('<dir>', 'a bundle, an adapter or a released model')
  .requiredOption(
    '--key <file>',
    'a private key in PEM: PKCS#8, ECDSA P-256 or Ed25519, not encrypted (openssl genpkey -algorithm ed25519)',
  )
  .addOption(json())
  .addHelpText(
    'after',
    `
Every file is checked against the manifest first. The signature is manifest.dsse.json beside manifest.json, a DSSE envelope of an in-toto
statement; the digest stays what it was. offsite verify --key checks it, and so does cosign verify-blob-attestation.`,
  )
  .action(signCommand);

program
  .command('export')
  .description(
    'write a LoRA adapter as PEFT and vLLM load it: adapter_model.safetensors, adapter_config.json',
  )
  .argument('<dir>', 'an adapter: of an OffsiteTune, of a PlugIn with save: adapter, or of offsite seal')
  .requiredOption('--output <dir>', 'where the two files go; nothing may be there yet')
  .addOption(json())
  .action(exportCommand);

program
  .command('digest')
  .description('print the digest of a model: the sha256 of its sorted "sha256  path" lines')
  .argument('<path>', 'a model directory or file')
  .addOption(json())
  .action(printDigest);

program
  .command('crds')
  .description('print the CustomResourceDefinitions, for kubectl apply -f -')
  .addOption(json())
  .action(printCrds);

failOnLostOutput();
endWithParent();
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    console.error(
      error instanceof OffsiteError || !process.env['OFFSITE_DEBUG'] ? failureOf(error).message : error,
    );
    process.exitCode = error instanceof OffsiteError && error.reason === 'BadSpec' ? 2 : 1;
  }
}
