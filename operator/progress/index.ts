export { type AuthSecretStore, type Run, RunCredentials, type RunCredentialsOptions } from './credentials.ts';
export { Reports, type ReportsOptions, type Warning } from './reports.ts';
