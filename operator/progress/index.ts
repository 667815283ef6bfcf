// Progress over NATS as the operator uses it: credentials for runs, and what their pods report.
export { type AuthSecretStore, RunCredentials, type RunCredentialsOptions } from './credentials.ts';
export { Reports, type ReportsOptions, type Warning } from './reports.ts';
