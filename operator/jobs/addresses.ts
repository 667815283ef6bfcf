// What an address says by its form alone.

/** The claim of a pvc: address; undefined for any other. */
export const claimOf = (uri: string): string | undefined => /^pvc:\/\/([^/]+)\//.exec(uri)?.[1];
