/** What an address says by its form alone. */
export const claimOf = (uri: string): string | undefined => /^pvc:\/\/([^/]+)\//.exec(uri)?.[1];

/** Whether it comes and goes over the network. */
export const isRemote = (uri: string): boolean => /^(s3|hf|https|oci):/.test(uri);
