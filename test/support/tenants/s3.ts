/** Tries everything on the buckets of a real S3 server, with whosever keys, and reads in the answer whether it was permitted. */
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketAclCommand,
  GetBucketPolicyCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { S3Server } from '../servers/s3-server.ts';
import type { Attempt } from './attempts.ts';

export type Tried = Pick<Attempt, 'what' | 'deed' | 'permitted'>;

/** A place of a bucket, with an object in it. */
export interface Place {
  readonly what: string;
  readonly bucket: string;
  readonly prefix: string;
  /** Below the prefix. */
  readonly object: string;
}

export class S3User {
  readonly #client: S3Client;
  /** Of the server's root user, who makes what is then tried. */
  readonly #root: S3Client;
  readonly #name: string;

  /** @param credentials what the Secret of this user holds; of nobody where it is absent */
  constructor(server: S3Server, name: string, credentials?: Record<string, string>) {
    this.#name = name;
    this.#root = clientOf(server, server.credentials);
    this.#client = clientOf(server, credentials);
  }

  /** Everything that is there to be tried in a place. What succeeds leaves objects of this user's name. */
  async tryPlace({ what, bucket: Bucket, prefix, object }: Place): Promise<Tried[]> {
    const there = { Bucket, Key: `${prefix}${object}` };
    const mine = { Bucket, Key: `${prefix}tried by ${this.#name}` };
    const begun = await this.#root.send(new CreateMultipartUploadCommand(mine));
    const upload = { ...mine, UploadId: begun.UploadId };
    await this.#root.send(new PutObjectCommand({ ...mine, Body: 'x' }));
    const tags = { TagSet: [{ Key: 'tried', Value: 'yes' }] };
    const tried = await this.#tryAll(what, {
      read: () => this.#client.send(new GetObjectCommand(there)),
      head: () => this.#client.send(new HeadObjectCommand(there)),
      write: () => this.#client.send(new PutObjectCommand({ ...mine, Body: 'x' })),
      'begin upload': () => this.#client.send(new CreateMultipartUploadCommand(mine)),
      'upload part': () => this.#client.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: 'x' })),
      'abort upload': () => this.#client.send(new AbortMultipartUploadCommand(upload)),
      'read tags': () => this.#client.send(new GetObjectTaggingCommand(there)),
      tag: () => this.#client.send(new PutObjectTaggingCommand({ ...mine, Tagging: tags })),
      delete: () => this.#client.send(new DeleteObjectCommand(mine)),
    });
    await this.#root.send(new PutObjectCommand({ ...mine, Body: 'x' }));
    return [...tried, { what, deed: 'delete many', permitted: await this.#mayDeleteMany(mine) }];
  }

  /** Everything that is there to be tried on a bucket itself; none of it may succeed but reading. */
  async tryBucket(Bucket: string): Promise<Tried[]> {
    const open = { Effect: 'Allow', Principal: '*', Action: 's3:*', Resource: `arn:aws:s3:::${Bucket}/*` };
    return await this.#tryAll('the bucket itself', {
      list: () => this.#client.send(new ListObjectsV2Command({ Bucket })),
      'list versions': () => this.#client.send(new ListObjectVersionsCommand({ Bucket })),
      'list uploads': () => this.#client.send(new ListMultipartUploadsCommand({ Bucket })),
      'read policy': () => this.#client.send(new GetBucketPolicyCommand({ Bucket })),
      'read ACL': () => this.#client.send(new GetBucketAclCommand({ Bucket })),
      'set policy': () =>
        this.#client.send(
          new PutBucketPolicyCommand({
            Bucket,
            Policy: JSON.stringify({ Version: '2012-10-17', Statement: [open] }),
          }),
        ),
      'remove policy': () => this.#client.send(new DeleteBucketPolicyCommand({ Bucket })),
      delete: () => this.#client.send(new DeleteBucketCommand({ Bucket })),
    });
  }

  async mayMakeBuckets(): Promise<boolean> {
    return await this.#may(() => this.#client.send(new CreateBucketCommand({ Bucket: 'another' })));
  }

  close(): void {
    this.#client.destroy();
    this.#root.destroy();
  }

  async #tryAll(what: string, deeds: Record<string, Deed>): Promise<Tried[]> {
    const tried: Tried[] = [];
    for (const [deed, act] of Object.entries(deeds))
      tried.push({ what, deed, permitted: await this.#may(act, `${deed} ${what}`) });
    return tried;
  }

  async #may(act: Deed, named = ''): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      if (isRefusal(error)) return false;
      // Let through, and then found to be impossible.
      if (error instanceof S3ServiceException && error.name === 'BucketNotEmpty') return true;
      throw new Error(`${this.#name}: ${named}: ${error}`, { cause: error });
    }
  }

  /** A request for many is answered with a list of those that were refused. */
  async #mayDeleteMany({ Bucket, Key }: { Bucket: string; Key: string }): Promise<boolean> {
    try {
      const asked = new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key }] } });
      const { Errors = [] } = await this.#client.send(asked);
      if (Errors.some(({ Code }) => Code !== 'AccessDenied')) throw new Error(JSON.stringify(Errors));
      return Errors.length === 0;
    } catch (error) {
      if (isRefusal(error)) return false;
      throw error;
    }
  }
}

type Deed = () => Promise<unknown>;

/** HEAD has no body to say it in. */
const isRefusal = (error: unknown) =>
  error instanceof S3ServiceException &&
  error.$metadata.httpStatusCode === 403 &&
  ['AccessDenied', 'Unknown'].includes(error.name);

/** Without values its requests are not signed. */
const clientOf = ({ endpoint }: S3Server, values?: Record<string, string>) =>
  new S3Client({
    ...{ endpoint, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 },
    ...(values === undefined && { signer: { sign: async (request) => request } }),
    credentials: {
      accessKeyId: values?.['AWS_ACCESS_KEY_ID'] ?? 'none',
      secretAccessKey: values?.['AWS_SECRET_ACCESS_KEY'] ?? 'none',
    },
  });
