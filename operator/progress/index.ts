export { type AuthSecretStore, RunCredentials, type RunCredentialsOptions } from './credentials.ts';
export { Reports, type ReportsOptions, type Warning } from './reports.ts';
