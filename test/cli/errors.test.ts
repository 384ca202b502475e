/** The exit status of each error. Their classes are not imported by the command, which tells them apart by their names. */
import { ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { CommanderError } from 'commander';
import { expect, test } from 'vitest';
import { Unreadable } from '../../src/temporal/runs.js';
import { InvalidAddress } from '../../src/http/address.js';
import { InvalidRequest, RivyaApiError } from '../../src/api/index.js';
import { judge, STATUS, UsageError } from '../../src/cli/errors.js';
import { GenerationError } from '../../src/client.js';
import { SettingsError } from '../../src/config.js';
import { InvalidInput } from '../../src/policy/index.js';
import { BrokenReceipt, StoreSettingError, StoreUnavailable } from '../../src/storage/index.js';
import { TemporalUnreachable } from '../../src/temporal/connect.js';
import { ServerNotFound } from '../../src/temporal/embedded/find.js';

const grpc = (code: number): Error => Object.assign(new Error('call'), { code, details: 'why', metadata: {} });
const generation = (code: string): Error => new GenerationError('film', code, 'why');

test.each([
  [new CommanderError(0, 'commander.version', '0.1.0'), STATUS.done],
  [new CommanderError(1, 'commander.unknownOption', 'why'), STATUS.usage],
  [new UsageError('why'), STATUS.usage],
  [new InvalidInput('model', 'is empty'), STATUS.usage],
  [new InvalidRequest('taskId', 'is empty'), STATUS.usage],
  [new InvalidAddress('why'), STATUS.usage],
  [new SettingsError('why'), STATUS.usage],
  [new StoreSettingError('why'), STATUS.usage],
  [new RivyaApiError('why', { outcome: 'refused', code: 'api_key_revoked' }), STATUS.usage],
  [new RivyaApiError('why', { outcome: 'unknown' }), STATUS.unreachable],
  [new WorkflowNotFoundError('why', 'film', undefined), STATUS.usage],
  [generation('GenerationFailed'), STATUS.failed],
  [generation('InputChanged'), STATUS.usage],
  [new Unreadable('why'), STATUS.unread],
  [new BrokenReceipt('why'), STATUS.unread],
  [new StoreUnavailable('why'), STATUS.unreachable],
  [new TemporalUnreachable('localhost:7233', null), STATUS.unreachable],
  [new ServerNotFound('why'), STATUS.unreachable],
  [grpc(5), STATUS.usage],
  [grpc(14), STATUS.unreachable],
  [new ServiceError('why', { cause: grpc(7) }), STATUS.usage],
  [new ServiceError('why', { cause: grpc(14) }), STATUS.unreachable],
  [new TypeError('why'), STATUS.failed],
])('%s: its exit status', (error, status) => {
  expect(judge(error).status).toBe(status);
});

test('a page or a redirect in the place of the API is no wrong input: the advice is about the way to it', () => {
  const { status, action } = judge(new RivyaApiError('why', { outcome: 'unknown', httpStatus: 302 }));
  expect(action).toMatch(/RIVYA_BASE_URL.*HTTPS_PROXY/);
  expect(status).toBe(STATUS.usage);
});
