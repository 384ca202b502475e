/**
 * A user's own encrypting codec, which binds each payload to its owner: everything that we read and write by ourselves
 * goes through it, or a task that is paid could not be found again.
 */
import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto';
import { Client, type WorkflowHandle } from '@temporalio/client';
import type { DataConverter, Payload, PayloadCodec, SerializationContext } from '@temporalio/common';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { GenerationClient } from '../../src/client.js';
import type { GenerationResult } from '../../src/contract/index.js';
import type { Fault } from '../../src/emulator/index.js';
import { createRivyaWorkers, RivyaPlugin, type RivyaOptions } from 'rivya-temporal/worker';
import { startHarness, type Harness } from '../support/harness.js';
import { resetToStart } from '../support/reset.js';
import { until } from '../support/until.js';

const key = randomBytes(32);
const { bytes, text } = { bytes: new TextEncoder(), text: new TextDecoder() };

/** AES-GCM; who owns a payload is authenticated with it, so a payload is not read as that of somebody else. */
class Encrypting implements PayloadCodec {
  encode(payloads: Payload[], context?: SerializationContext): Promise<Payload[]> {
    return Promise.resolve(
      payloads.map((payload) => {
        const iv = randomBytes(12);
        const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(owner(context));
        const plain = JSON.stringify({ metadata: base64(payload.metadata ?? {}), data: base64Of(payload.data) });
        const data = Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
        return { metadata: { encoding: bytes.encode('binary/encrypted') }, data };
      }),
    );
  }

  decode(payloads: Payload[], context?: SerializationContext): Promise<Payload[]> {
    return Promise.resolve(
      payloads.map((payload) => {
        if (text.decode(payload.metadata?.['encoding'] ?? undefined) !== 'binary/encrypted') return payload;
        const data = Buffer.from(payload.data!);
        const decipher = createDecipheriv('aes-256-gcm', key, data.subarray(0, 12)).setAAD(owner(context));
        decipher.setAuthTag(data.subarray(-16));
        const plain = Buffer.concat([decipher.update(data.subarray(12, -16)), decipher.final()]).toString();
        const { metadata, data: inner } = JSON.parse(plain) as { metadata: Record<string, string>; data: string };
        const decoded = Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value, 'base64')]);
        return { metadata: Object.fromEntries(decoded), data: Buffer.from(inner, 'base64') };
      }),
    );
  }
}

function owner(context: SerializationContext | undefined): Buffer {
  const { type, namespace, workflowId } = context ?? { type: 'nobody', namespace: '' };
  const activityId = context?.type === 'activity' ? context.activityId : '';
  return Buffer.from(JSON.stringify([type, namespace, workflowId, activityId]));
}

const base64Of = (value: Uint8Array | null | undefined): string => Buffer.from(value ?? []).toString('base64');
const base64 = (metadata: Record<string, Uint8Array>): Record<string, string> =>
  Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, base64Of(value)]));

const dataConverter: DataConverter = { payloadCodecs: [new Encrypting()] };
const workflowBundle = { codePath: inject('bundle') };

let harness: Harness;
let temporal: Client;
let options: RivyaOptions;
beforeAll(async () => {
  harness = await startHarness({
    emulator: {
      // The API forgets a key at once, so only what we can read ourselves keeps a task from being paid again.
      switches: { keyLifetimeMs: 1 },
      durations: { image: 800 },
      faults: [
        { on: 'create', prompt: 'codec steps gateway 2', do: { kind: 'stuck' } },
        { on: 'create', prompt: 'codec steps plugin 2', do: { kind: 'stuck' } },
        ...['gateway', 'plugin', 'plain'].flatMap((way): Fault[] => [
          { on: 'create', prompt: `unanswered ${way}`, times: 1, do: { kind: 'dropAfter' } },
          { on: 'create', prompt: `unanswered ${way}`, times: 1, do: { kind: 'error', code: 'validation_failed' } },
        ]),
      ],
    },
    attributes: false,
    workers: false,
  });
  temporal = new Client({ connection: harness.temporal.connection, namespace: harness.namespace, dataConverter });
  const { apiKey, url } = harness.emulator;
  options = { apiKey, baseUrl: url, rateLimitPerMinute: 60_000, store: null };
});
afterAll(() => harness[Symbol.asyncDispose]());

const tasksOf = async (prompt: string): Promise<string[]> => {
  const { tasks } = await harness.emulator.ledger();
  return Object.keys(tasks).filter((id) => tasks[id]!.prompt === prompt);
};

/** All that the Service keeps of a Workflow, as it is on the wire. */
async function everything(handle: WorkflowHandle): Promise<string> {
  const { raw } = await handle.describe();
  const kept = JSON.stringify([await handle.fetchHistory(), raw], (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
  );
  // Bytes that an earlier toJSON had turned into Base64.
  return (
    kept +
    [...kept.matchAll(/[A-Za-z0-9+/]{16,}={0,2}/g)].map(([found]) => Buffer.from(found, 'base64').toString('latin1'))
  );
}

describe.each(['gateway', 'plugin'] as const)('with a codec of your own (%s)', (way) => {
  const taskQueue = `codec-${way}-${randomUUID()}`;
  const userQueue = `${taskQueue}-user`;
  let stop: () => Promise<void>;
  beforeAll(async () => {
    const { connection, namespace } = harness;
    const common = { connection, namespace, dataConverter };
    const ours = { ...options, taskQueue };
    const plugins = way === 'plugin' ? [new RivyaPlugin(ours)] : [];
    const worker = await Worker.create({ ...common, taskQueue: userQueue, workflowBundle, plugins });
    const runs = [worker.run()];
    const gateway = way === 'gateway' ? await createRivyaWorkers({ ...ours, ...common }) : null;
    if (gateway !== null) runs.push(gateway.run());
    stop = async () => {
      worker.shutdown();
      gateway?.shutdown();
      await Promise.all(runs);
    };
  });
  afterAll(() => stop());

  describe.concurrent('paid once', () => {
    test('a reset finds the task in the memo, a second start compares inputs, and no prompt is in the clear', async () => {
      const input = { model: 'z-image', prompt: `A secret fox of the ${way}` };
      const client = new GenerationClient(temporal, { taskQueue });
      const handle = await client.start(input, { workflowId: `codec ${way}` });
      const { taskId } = await handle.result();
      await resetToStart(temporal, handle.workflowId);
      expect(await handle.result()).toMatchObject({ taskId, reused: true });
      expect(await tasksOf(input.prompt)).toEqual([taskId]);

      const again = await client.start(input, { workflowId: handle.workflowId });
      expect(await again.result()).toMatchObject({ taskId });
      const other = client.start({ ...input, prompt: 'another' }, { workflowId: handle.workflowId });
      await expect(other).rejects.toMatchObject({ code: 'InputChanged' });

      const kept = await everything(temporal.workflow.getHandle(handle.workflowId));
      expect(kept).toContain('binary/encrypted');
      expect(kept).not.toContain('secret fox');
      // No attributes in this namespace: who has no codec reads nothing.
      expect(kept).not.toContain(taskId);
    });

    test('a step of your own Workflow is found by the next run of it, after the first was ended', async () => {
      const workflowId = `codec steps ${way}`;
      const input = (step: number) => ({ model: 'z-image', prompt: `${workflowId} ${step}`, options: { taskQueue } });
      const args = [input(1), input(2)];
      const start = () => temporal.workflow.start('twoSteps', { workflowId, taskQueue: userQueue, args });
      const first = await start();
      await until(async () => (await tasksOf(`${workflowId} 2`)).length === 1);
      await first.terminate();
      const again = await start();
      await harness.emulator.endTasks(`${workflowId} 2`);
      const [one] = (await again.result()) as GenerationResult[];
      expect(one).toMatchObject({ reused: true });
      expect(await tasksOf(`${workflowId} 1`)).toEqual([one!.taskId]);
    });

    test('the fence of an unanswered submit is read by the next attempt', async () => {
      const prompt = `unanswered ${way}`;
      const args = [{ model: 'z-image', prompt }];
      const workflowId = `codec fence ${way}`;
      const handle = await temporal.workflow.start('generateMedia', { workflowId, taskQueue, args });
      // A refusal alone would say that nothing was paid.
      const held = new GenerationClient(temporal, { taskQueue }).handle(workflowId);
      await until(async () => (await held.state())?.hold?.code === 'SubmitUnresolved');
      expect(await held.state()).toMatchObject({ unanswered: { firstPostedAt: expect.any(Number) } });
      const [taskId] = await tasksOf(prompt);
      await held.resume({ taskId: taskId! });
      expect(await handle.result()).toMatchObject({ taskId });
      expect(await tasksOf(prompt)).toEqual([taskId]);
    });
  });
});

test('a task can be named beside generations whose memo only others can read', async () => {
  const args = [{ model: 'z-image', prompt: 'one whose memo is secret' }];
  const workflowId = 'codec of others';
  const other = await temporal.workflow.start('generateMedia', {
    workflowId,
    taskQueue: 'nobody polls',
    args,
    memo: { rivya: { taskId: 'x' } },
  });
  await harness.startWorkers();
  const prompt = 'unanswered plain';
  const handle = await harness.client.start({ model: 'z-image', prompt }, { workflowId: `codec ${prompt}` });
  await until(async () => (await handle.state())?.hold?.code === 'SubmitUnresolved');
  const [taskId] = await tasksOf(prompt);
  await handle.resume({ taskId: taskId! });
  expect(await handle.result()).toMatchObject({ taskId });
  expect(await tasksOf(prompt)).toEqual([taskId]);
  await other.terminate();
});
