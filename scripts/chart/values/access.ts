import { z } from 'zod';
import { listPassedOn, namespaces } from './fields.ts';

export const rbac = z
  .strictObject({
    create: z.boolean().default(true).describe("Whether the chart makes the operator's roles and bindings."),
    userRoles: z
      .strictObject({
        create: z
          .boolean()
          .default(true)
          .describe(
            'ClusterRoles offsite-model-owner, offsite-data-owner and offsite-viewer, for you to bind.',
          ),
        aggregateToView: z
          .boolean()
          .default(true)
          .describe('Whether who has the ClusterRole view may read the three kinds.'),
        aggregateToEdit: z
          .boolean()
          .default(false)
          .describe('Whether who has the ClusterRole edit is both model owner and data owner.'),
        aggregateToAdmin: z
          .boolean()
          .default(true)
          .describe(
            'Whether who has the ClusterRole admin is both, and so may bind the roles in the namespace.',
          ),
      })
      .prefault({})
      .describe('Roles for people.'),
  })
  .prefault({})
  .describe('Access to the Kubernetes API.');

/** Pods of the cluster's DNS by their namespaces; NodeLocal DNSCache listens at an address of the node. */
const clusterDns = [
  ...['kube-system', 'openshift-dns'].map((name) => ({
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } },
  })),
  { ipBlock: { cidr: '169.254.20.10/32' } },
];

export const networkPolicy = z
  .strictObject({
    enabled: z.boolean().default(true).describe('Policies for the operator and the embedded NATS.'),
    metricsFrom: listPassedOn(
      'Peers that may scrape the operator, as in ingress.from; any pod of the cluster where empty.',
    ),
    apiServerPorts: z
      .array(z.int().min(1).max(65535))
      .min(1)
      .default([443, 6443])
      .describe('Ports of the API server that the operator may reach.'),
    apiServerCidrs: z
      .array(z.string().regex(/^[0-9a-fA-F.:]+\/[0-9]{1,3}$/))
      .default([])
      .describe('Addresses of the API server; anywhere where empty.'),
    dnsPorts: z
      .array(z.int().min(1).max(65535))
      .min(1)
      .default([53, 5353])
      .describe("Ports of the cluster's DNS, by UDP and TCP; OpenShift's pods of it listen on 5353."),
    dnsTo: listPassedOn(
      "Where the cluster's DNS is, as in egress.to: its namespace on Kubernetes and OpenShift, and NodeLocal DNSCache. Anywhere where empty.",
    ).default(clusterDns),
    operatorEgress: listPassedOn('More egress rules for the operator, as in NetworkPolicy.spec.egress.'),
    natsEgress: listPassedOn('Egress rules for the embedded NATS, which calls no one by itself.'),
    natsPorts: z
      .array(z.int().min(1).max(65535))
      .min(1)
      .default([4222])
      .describe('Ports of an external NATS.'),
    natsTo: listPassedOn(
      'Where an external NATS is, as in egress.to; anywhere where empty, which policies of worker pods do not take.',
    ),
    natsFrom: listPassedOn(
      'More peers that may reach the embedded NATS, such as where `offsite watch` runs.',
    ),
    workers: z
      .strictObject({
        enabled: z
          .boolean()
          .default(false)
          .describe('Policies for worker pods: no one calls them, they call DNS, NATS and the stores.'),
        namespaces: namespaces('Where; watchNamespaces where empty. One of the two is needed.'),
        stores: listPassedOn(
          'Egress rules for S3, the hub, a proxy and so on, as in NetworkPolicy.spec.egress; claims need none.',
        ),
      })
      .prefault({})
      .describe('What worker pods may reach.'),
  })
  .prefault({})
  .describe("NetworkPolicies; they do something where the cluster's network enforces them.");
