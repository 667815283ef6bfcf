import { DiscardPolicy, type NatsConnection, NatsError, nanos, RetentionPolicy, StorageType } from 'nats';

export const streamName = 'OFFSITE';

const day = 24 * 3600 * 1000;

/**
 * Makes sure that the stream OFFSITE keeps our events; an administrator's own settings for it stay as they are.
 * @returns false where this server has no JetStream or does not let us look; a stream may be there all the same
 * @throws what may pass with time: a lost connection, a server that is not ready
 */
export async function ensureStream(connection: NatsConnection): Promise<boolean> {
  try {
    // Without a check: it would ask for the account's figures, which fewer are allowed to see.
    const { streams } = await connection.jetstreamManager({ checkAPI: false, timeout: 3000 });
    try {
      await streams.info(streamName);
    } catch (error) {
      if (!isApiError(error, 404)) throw error;
      await streams.add({
        name: streamName,
        subjects: ['offsite.v1.>'],
        description: 'Progress, warnings and results of offsite-tuning stages',
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.Old,
        // Per subject, so that progress never drives out a result.
        max_msgs_per_subject: 1000,
        max_age: nanos(7 * day),
        // What could not be acknowledged is sent again, perhaps after a long outage.
        duplicate_window: nanos(3600 * 1000),
      });
    }
    return true;
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
}

const isApiError = (error: unknown, status: number) =>
  error instanceof NatsError && error.api_error?.code === status;

/** JetStream's own codes: not enabled for the server, not enabled for the account. */
const notEnabled = [10076, 10039];

/** No JetStream here (503 without a body, or disabled for the account), or not for us. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof NatsError)) return false;
  if (error.api_error !== undefined) return notEnabled.includes(error.api_error.err_code ?? 0);
  return error.code === '503' || error.code === 'PERMISSIONS_VIOLATION';
}
