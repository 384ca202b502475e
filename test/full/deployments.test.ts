/** Two builds of a Worker Deployment, on a real server: what runs stays with its build, what starts gets the current one, and back. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { startWorkers, type RunningWorkers } from '../../src/worker/workers.js';
import { bundleWith } from '../support/bundle.js';
import { startHarness, type Harness } from '../support/harness.js';
import { stateOf } from '../support/state.js';
import { accountOf, untilKnown } from '../support/switchboard.js';
import { shareFaults } from '../support/tasks.js';
import { until } from '../support/until.js';

const NAME = 'rivya';
// `RoutingConfigUpdateState` of the Service.
const IN_PROGRESS = 1;
// `VersioningBehavior` of the Service.
const AUTO_UPGRADE = 2;
let newer = '';
let harness: Harness;
beforeAll(async () => {
  // Words alone tell the two builds apart.
  newer = await bundleWith([['src/policy/text.ts', "'Done.'", "'Done, in newer words.'"]]);
  harness = await startHarness({ workers: false });
});
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
  await rm(path.dirname(newer), { recursive: true });
});

type Deployed = Pick<Harness, 'settings' | 'connection' | 'namespace' | 'temporal'>;

function startBuild(of: Deployed, buildId: string, codePath = inject('bundle')): Promise<RunningWorkers> {
  const { connection, namespace } = of;
  const settings = { ...of.settings, deployment: { deploymentName: NAME, buildId } };
  return startWorkers(settings, { connection, namespace, workflows: { workflowBundle: { codePath } } });
}

/** As `temporal worker deployment set-current-version` does. The Service learns of a build by its first polls. */
async function makeCurrent({ temporal, namespace }: Deployed, buildId: string): Promise<void> {
  const request = { namespace, deploymentName: NAME, buildId, identity: 'test', ignoreMissingTaskQueues: true };
  await until(() =>
    temporal.workflowService.setWorkerDeploymentCurrentVersion(request).then(
      () => true,
      () => false,
    ),
  );
  // All queues know of it.
  await until(async () => {
    const { workerDeploymentInfo } = await temporal.workflowService.describeWorkerDeployment({
      namespace,
      deploymentName: NAME,
    });
    return Number(workerDeploymentInfo?.routingConfigUpdateState) !== IN_PROGRESS;
  });
}

test('what began without a build goes on with the first one; what runs stays with its build; what starts gets the current one; and back. Each is paid once', async () => {
  const faults = shareFaults(harness.emulator);
  const words = async (workflowId: string): Promise<string> => {
    const workflow = harness.temporal.workflow.getHandle(workflowId);
    return (await workflow.query<{ currentDetails: string }>('__temporal_workflow_metadata')).currentDetails;
  };
  const begin = async (prompt: string) => {
    const release = faults.keep(prompt);
    const handle = await harness.client.start({ model: 'z-image', prompt }, { workflowId: prompt });
    await until(async () => (await stateOf(handle)).phase === 'waiting');
    return { handle, release };
  };
  const without = await harness.startWorkers();
  const unversioned = await begin('began without a build');
  const builds = [await startBuild(harness, '0.1.0-a')];
  await makeCurrent(harness, '0.1.0-a');
  await without.stop();
  const first = await begin('began on a');
  builds.push(await startBuild(harness, '0.1.0-b', newer));
  await makeCurrent(harness, '0.1.0-b');
  const second = await begin('began on b');
  // The way back.
  await makeCurrent(harness, '0.1.0-a');
  const third = await begin('after the way back');
  for (const { handle, release } of [unversioned, first, second, third]) {
    release();
    await handle.result();
  }
  expect(await words('began on a')).toContain('**Done.**');
  expect(await words('began on b')).toContain('**Done, in newer words.**');
  expect(await words('after the way back')).toContain('**Done.**');
  const { tasks } = await harness.emulator.ledger();
  const prompts = Object.values(tasks).map(({ prompt }) => String(prompt));
  expect(prompts.toSorted()).toEqual(['after the way back', 'began on a', 'began on b', 'began without a build']);
  await Promise.all(builds.map((workers) => workers.stop()));
});

test('the account never ends, so it goes on with the current build, and the old one drains', async () => {
  await using own = await startHarness({ workers: false });
  const builds = [await startBuild(own, '0.1.0-a')];
  await makeCurrent(own, '0.1.0-a');
  const buildOf = async (): Promise<string | undefined> => {
    const { raw } = await accountOf(own).describe();
    const { behavior, deploymentVersion } = raw.workflowExecutionInfo?.versioningInfo ?? {};
    return Number(behavior) === AUTO_UPGRADE ? (deploymentVersion?.buildId ?? undefined) : undefined;
  };
  await untilKnown(own);
  await until(async () => (await buildOf()) === '0.1.0-a');
  builds.push(await startBuild(own, '0.1.0-b', newer));
  await makeCurrent(own, '0.1.0-b');
  // A Workflow that sleeps moves with its next event.
  await accountOf(own).executeUpdate('refresh');
  await until(async () => (await buildOf()) === '0.1.0-b');
  await builds[0]!.stop();
  await expect(accountOf(own).executeUpdate('stopSubmits')).resolves.toContain('Stopped');
  await builds[1]!.stop();
});

test('two builds together keep the limit of the key', async () => {
  // 60 calls a minute for both; each build has more to do than that.
  await using limited = await startHarness({ workers: false, env: { RIVYA_RATE_LIMIT_PER_MINUTE: '60' } });
  const builds: RunningWorkers[] = [];
  for (const buildId of ['0.1.0-a', '0.1.0-b']) {
    builds.push(await startBuild(limited, buildId));
    await makeCurrent(limited, buildId);
    const jobs = Array.from({ length: 60 }, (_, n) => ({ model: 'z-image', prompt: `${buildId} ${n}` }));
    await Promise.all(jobs.map((input) => limited.client.start(input)));
  }
  const bothFrom = Date.now();
  // Files of results are no calls to the API.
  const callsSince = (from: number) =>
    limited.emulator.requests().filter(({ at, path: to }) => at > from && to.startsWith('/api/v1/'));
  await until(() => callsSince(bothFrom).length >= 45);
  // Two limits would give twice as many calls.
  const times = callsSince(bothFrom);
  const perMinute = (60_000 * times.length) / (Date.now() - bothFrom);
  expect(perMinute).toBeLessThanOrEqual(66);
  await limited.emulator.close();
  await Promise.all(builds.map((workers) => workers.stop()));
});
