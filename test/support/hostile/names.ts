const unprintable = 'has a character that cannot be printed';
const leaves = 'has a part ".." and leaves its directory';
const emptyPart = 'has an empty part or a part "."';

/** Names of files that no store, manifest or archive may give, and what is said of each. */
export const badNames: readonly { name: string; problem: string }[] = [
  { name: '', problem: 'is empty' },
  { name: '.', problem: emptyPart },
  { name: '..', problem: leaves },
  { name: '../out', problem: leaves },
  { name: '../../../../../../../../tmp/offsite-was-here', problem: leaves },
  { name: 'deep/../../out', problem: leaves },
  { name: 'deep/..', problem: leaves },
  { name: './out', problem: emptyPart },
  { name: 'deep/./out', problem: emptyPart },
  { name: 'deep//out', problem: emptyPart },
  { name: '/etc/offsite-was-here', problem: 'is absolute' },
  { name: '..\\out', problem: 'has a backslash' },
  { name: 'C:\\out', problem: 'has a backslash' },
  { name: 'a\0b', problem: unprintable },
  { name: 'a\nb', problem: unprintable },
  { name: 'a\rb', problem: unprintable },
  { name: '\u001b[2J\u001b[32mall is well', problem: unprintable },
  { name: 'del\u007f', problem: unprintable },
  { name: 'csi\u009b31m', problem: unprintable },
  { name: 'line\u2028separator', problem: unprintable },
  { name: 'config\u202enosj.safetensors', problem: unprintable },
  { name: 'isolate\u2067d', problem: unprintable },
  { name: 'zero\u200bwidth', problem: unprintable },
  { name: 'half\ud800', problem: unprintable },
  { name: `${'x/'.repeat(32)}x`, problem: 'has more than 32 parts' },
  { name: 'x'.repeat(256), problem: 'has a part of more than 255 bytes' },
  { name: 'ü'.repeat(128), problem: 'has a part of more than 255 bytes' },
  { name: `${'deep/'.repeat(205)}x`, problem: 'is longer than 1024 bytes' },
];

/** Names that cannot stand beside each other. */
export const badPairs: readonly { names: readonly string[]; problem: string }[] = [
  { names: ['twice', 'twice'], problem: 'the name "twice" is there twice' },
  { names: ['a', 'a/b/c'], problem: 'the name "a" is a file and, for a/b/c, a directory' },
  { names: ['a/b/c', 'a/b'], problem: 'the name "a/b" is a file and, for a/b/c, a directory' },
];
