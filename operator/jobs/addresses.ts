/** What an address says by its form alone. */
export const claimOf = (uri: string): string | undefined => /^pvc:\/\/([^/]+)\//.exec(uri)?.[1];
