// The identity of a resource among the events of many.

/** What names the resource that an event is about. */
export interface ResourceIdentity {
  kind: string;
  metadata: { name: string; namespace?: string | undefined; uid?: string | undefined };
}

/** Of a namespace's resources there is one of a kind and name at a time. */
export const keyOf = ({ kind, metadata }: ResourceIdentity): string =>
  `${metadata.namespace ?? ''}/${kind}/${metadata.name}`;
