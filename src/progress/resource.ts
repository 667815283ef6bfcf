/** What names the resource that an event is about. */
export interface ResourceIdentity {
  kind: string;
  metadata: { name: string; namespace?: string | undefined; uid?: string | undefined };
}
