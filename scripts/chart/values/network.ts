import { z } from 'zod';
import { objectName, text } from './fields.ts';

const proxyUrl = (whose: string) =>
  z
    .string()
    .regex(/^(https?:\/\/[^\s@]+)?$/)
    .default('')
    .describe(
      `Proxy for ${whose}, http://host:port. One with a password: worker.template, as a variable of a Secret.`,
    );

export const proxy = z
  .strictObject({
    https: proxyUrl('https:// addresses'),
    http: proxyUrl('http:// addresses, such as a plain S3 endpoint'),
    except: text(
      'Hosts that are asked directly, by commas: names (and what is below them), addresses, ranges.',
    ),
  })
  .prefault({})
  .describe('Through what worker pods reach S3, the hub and other stores; NATS is reached directly.');

export const caBundle = z
  .strictObject({
    configMap: objectName(
      'ConfigMap with the certificates, of this name in the namespaces of release and users (trust-manager writes such).',
    ),
    secret: objectName('Secret with them instead.'),
    key: z
      .string()
      .regex(/^[-._a-zA-Z0-9]+$/)
      .default('ca.crt')
      .describe('The key of the PEM file in it.'),
  })
  .prefault({})
  .describe(
    'Authorities of your own that operator and worker pods trust beside the public ones, for stores and NATS.',
  );
