// Exits 0 if node_modules holds what package-lock.json asks for. npm writes its hidden lock file last, so a broken
// installation has none. JavaScript, since the Node that runs this may not strip types yet.
import { readFileSync } from 'node:fs';

const packages = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;

function isCurrent() {
  const wanted = packages('package-lock.json');
  const installed = packages('node_modules/.package-lock.json');
  const missing = Object.keys(wanted).some(
    (path) => path !== '' && !installed[path] && !wanted[path].optional,
  );
  const foreign = Object.keys(installed).some(
    (path) => installed[path].integrity !== wanted[path]?.integrity,
  );
  return !missing && !foreign;
}

try {
  process.exit(isCurrent() ? 0 : 1);
} catch {
  process.exit(1);
}
