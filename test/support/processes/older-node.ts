// Loaded by Node before bin/offsite.js (--import): this Node says that it is too old to run the sources itself.
Object.defineProperty(process.versions, 'node', { value: '20.0.0' });
